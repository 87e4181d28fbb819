"""What an attempt left on a server: out of what nodes say, or, after a restart, by the names of its files."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chatelier import Graph, Output

TEXT_KEYS = frozenset({"text", "string"})
SAVES = {
    "SaveImage": ".png",
    "SaveAnimatedPNG": ".png",
    "SaveAnimatedWEBP": ".webp",
    "SaveVideo": ".mp4",
    "SaveWEBM": ".webm",
    "SaveAudio": ".flac",
    "SaveAudioMP3": ".mp3",
    "SaveAudioOpus": ".opus",
    "SaveGLB": ".glb",
}
"""Classes that number their files from 00001 under `filename_prefix`, and what those end in."""


def outputs_of(nodes: Mapping[str, Any], graph: Graph) -> tuple[Output, ...]:
    """In the order of the nodes in the graph, then as each node lists them. A file named twice is one output.

    A file is whatever has a file name: custom nodes list theirs under keys of their own.
    """
    found: list[Output] = []
    seen = set[tuple[str, ...]]()
    for node in [*(node for node in graph if node in nodes), *sorted(set(nodes) - set(graph))]:
        for name, remote, text in _results(nodes[node]):
            place = tuple(remote.values())
            if place not in seen or text is not None:
                seen.add(place)
                found.append(Output(n=len(found), node=node, name=name, remote=remote, text=text))
    return tuple(found)


def _results(said: Any) -> Iterator[tuple[str, dict[str, str], str | None]]:
    if not isinstance(said, Mapping):
        return
    for key, value in said.items():
        for item in value if isinstance(value, list) else [value]:
            match item:
                case {"filename": str(filename)} if filename:
                    yield _file_name(filename), _remote(item, filename), None
                case str(text) if key in TEXT_KEYS:
                    yield f"{key}.txt", {}, text


def _file_name(filename: str) -> str:
    return filename.replace("\\", "/").rpartition("/")[2] or "result"


def _remote(item: Mapping[str, Any], filename: str) -> dict[str, str]:
    return {
        "filename": filename,
        "subfolder": str(item.get("subfolder") or ""),
        "type": str(item.get("type") or "output"),
    }


@dataclass(frozen=True, slots=True)
class Saver:
    """A node whose files can be told from all others by their names."""

    node: str
    prefix: str
    suffix: str

    def file(self, number: int) -> dict[str, str]:
        subfolder, _, stem = self.prefix.rpartition("/")
        return {"filename": f"{stem}_{number:05}_{self.suffix}", "subfolder": subfolder, "type": "output"}


def savers(graph: Graph, attempt: str, classes: Mapping[str, Mapping[str, Any]]) -> tuple[Saver, ...]:
    """The nodes that made all results of this attempt; none when not every result can be found by name.

    classes: what is known of the server's classes; a result of another kind than a saved file, a text, has no name.
    """
    found = [
        Saver(node, str(body["inputs"]["filename_prefix"]), SAVES.get(str(body["class_type"]), ""))
        for node, body in graph.items()
        if attempt in str(body.get("inputs", {}).get("filename_prefix", ""))
    ]
    names = Counter((saver.prefix, saver.suffix) for saver in found)
    saving = {saver.node for saver in found}
    nameless = any(_shows(body, classes) for node, body in graph.items() if node not in saving)
    if nameless or max(names.values(), default=1) > 1 or not all(saver.suffix for saver in found):
        return ()
    return tuple(found)


def _shows(body: Mapping[str, Any], classes: Mapping[str, Mapping[str, Any]]) -> bool:
    """Previews do not count: their files went with the restart, and no workflow relies on them."""
    name = str(body.get("class_type", ""))
    return name != "PreviewImage" and classes.get(name, {}).get("output_node") is True
