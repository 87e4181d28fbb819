"""Which nodes of a graph give results, of what kind, and what the whole graph is for."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from .classes import Classes, is_output
from .graph import class_of, links
from .workflow import Category, Graph, Input

ResultKind = Literal["image", "animation", "video", "audio", "text", "file"]

KINDS: tuple[tuple[str, ResultKind], ...] = (
    (r"^Save(Latent|GLB|LoRA)|^(Checkpoint|CLIP|VAE|Model|Lora)Save|^ImageOnlyCheckpointSave$", "file"),
    (r"^SaveAnimated|GIF", "animation"),
    (r"^Save(Video|WEBM)$|VideoCombine|(Save|Output|Preview)\w*Video", "video"),
    (r"(Save|Output|Preview)\w*Audio", "audio"),
    (r"^PreviewAny$|^ShowText|Output\w*Text|(Save|Display|Preview)\w*(Text|String)", "text"),
    (r"^(Save|Preview)Image|^MaskPreview$|Output\w*Image|Image ?(Save|Preview)", "image"),
    (r"^(Save|Preview)|Deploy\w*Output|^LossGraph", "file"),
)
"""Tried in this order. Names of ComfyUI's own nodes, of ComfyDeploy's, and of the widespread custom ones."""

TEMPORARY = frozenset({"PreviewImage", "PreviewAudio", "MaskPreview"})
"""What an author looks at while building: shown only when nothing is saved."""


def kind_of(class_type: str) -> ResultKind | None:
    """What a node of this class gives, None for one that is not known to end a graph."""
    return next((kind for pattern, kind in KINDS if re.search(pattern, class_type)), None)


def outputs_of(graph: Graph, classes: Classes | None = None) -> tuple[str, ...]:
    """Ids of the nodes whose results are shown, in the order of the graph.

    When no class in it is known as an output, the nodes that feed no other are taken.
    """
    ends = [node for node in graph if ends_graph(class_of(graph, node), classes)]
    if not ends:
        fed = {link.node for node in graph for link in links(graph, node).values()}
        ends = [node for node in graph if node not in fed]
    lasting = [node for node in ends if class_of(graph, node) not in TEMPORARY]
    return tuple(lasting or ends)


def category_of(graph: Graph, outputs: Sequence[str], inputs: Iterable[Input]) -> Category:
    kinds = {kind_of(class_of(graph, node)) for node in outputs}
    given = {item.type for item in inputs} | {item.role for item in inputs}
    if kinds & {"video", "animation"}:
        return "to video"
    if "image" in kinds and "image" in given:
        return "image to image"
    if "image" in kinds and "prompt" in given:
        return "text to image"
    return "to text" if kinds == {"text"} else "utility"


def ends_graph(class_type: str, classes: Classes | None) -> bool:
    """Whether a node of this class gives a result: as the server says, or by its name."""
    if classes is not None and class_type in classes:
        return is_output(classes, class_type)
    return kind_of(class_type) is not None
