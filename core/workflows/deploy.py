"""Inputs that an author declared with ComfyDeploy's nodes.

Current nodes are `ComfyUIDeployExternal<Type>` with `input_id`, a default and, some of them, limits. In older graphs any field of a
`ComfyUIDeploy…` node whose text starts with `input_` names an input. A value goes where ComfyDeploy's own server writes
it: over the name and over the default, since some of the nodes answer with the one and some with the other.
"""

import json
import re
from collections.abc import Iterator, Mapping

from ..chat.messages import FILE_TYPES, FieldType
from .graph import class_of, link_of
from .names import free_name, name_from
from .workflow import Graph, Input, Role

CURRENT = "ComfyUIDeployExternal"
ANY = "ComfyUIDeploy"
NAME_FIELDS = ("input_id", "name")
DEFAULT_FIELDS = ("default_value", "default_checkpoint_name", "default_lora_name", "default_image", "default_value_url")
TYPES: Mapping[str, FieldType] = {
    "Image": "image", "ImageAlpha": "image", "ImageBatch": "image", "Video": "video", "Vid": "video", "Audio": "audio",
    "File": "file", "EXR": "file", "FaceModel": "file", "Boolean": "boolean", "Enum": "choice", "Number": "number",
    "NumberFloat": "number", "NumberSlider": "number", "NumberInt": "integer", "NumberSliderInt": "integer", "Seed": "integer",
}  # fmt: skip
"""By the suffix of the class; everything else takes text."""


def deploy_inputs(graph: Graph) -> list[Input]:
    """The declared inputs in the order of the graph; their names without `input_`, where something is left of them."""
    found: list[Input] = []
    for node in graph:
        for name, field in _names(graph, node):
            taken = frozenset(item.name for item in found)
            found.append(_input(graph, node, field, free_name(name, taken)))
    return found


def _names(graph: Graph, node: str) -> Iterator[tuple[str, str]]:
    """(input name, the field that says it) of one node."""
    class_type, fields = class_of(graph, node), graph[node]["inputs"]
    if not class_type.startswith(ANY) or "Output" in class_type:
        return
    said = [(value, field) for field, value in fields.items() if isinstance(value, str) and value.startswith("input_")]
    if not said and class_type.startswith(CURRENT):
        field = next((name for name in NAME_FIELDS if name in fields and link_of(fields[name]) is None), "")
        said = [(str(fields[field] or ""), field)] if field else []
    for value, field in said:
        short = name_from(value.removeprefix("input_"))
        yield short if re.search("[a-z]", short) else name_from(f"input_{node}"), field


def _input(graph: Graph, node: str, field: str, name: str) -> Input:
    fields = graph[node]["inputs"]
    suffix = class_of(graph, node).removeprefix(CURRENT).removeprefix(ANY)
    kind = TYPES.get(suffix, "text")
    stands = next((key for key in DEFAULT_FIELDS if fields.get(key) not in (None, "")), "")
    choices = _choices(fields.get("options")) if kind == "choice" else ()
    default = _default(kind, fields.get(stands))
    values = () if kind in FILE_TYPES else DEFAULT_FIELDS[:3]
    over = [key for key in values if key in fields and link_of(fields[key]) is None]
    return Input(
        name=name,
        type="text" if kind == "choice" and not choices else kind,
        targets=((node, field), *((node, key) for key in over)),
        role=_role(suffix, kind),
        label=str(fields.get("display_name") or ""),
        description=str(fields.get("description") or ""),
        required=not stands and suffix != "Seed",
        default=default,
        minimum=_number(fields.get("min_value")) if suffix != "Seed" else None,
        maximum=_number(fields.get("max_value")) if suffix != "Seed" else None,
        choices=choices,
        advanced=suffix in {"Checkpoint", "Lora"},
    )


def _role(suffix: str, kind: FieldType) -> Role:
    if suffix in {"Seed", "Checkpoint"}:
        return "seed" if suffix == "Seed" else "model"
    return "image" if kind == "image" else ""


def _default(kind: FieldType, value: object) -> str | int | float | bool | None:
    """The default as the type has it; None for a link, which the graph itself resolves."""
    if kind in FILE_TYPES or not isinstance(value, str | int | float):
        return None
    if kind == "boolean":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    if kind in {"integer", "number"}:
        number = _number(value)
        return number if number is None or kind == "number" else int(number)
    return str(value)


def _number(value: object) -> float | None:
    try:
        return float(str(value)) if value is not None else None
    except ValueError:
        return None


def _choices(options: object) -> tuple[str, ...]:
    """The options of an Enum: a JSON list, or one a line."""
    try:
        listed = json.loads(str(options or ""))
    except ValueError:
        listed = str(options).splitlines()
    parts = listed if isinstance(listed, list) else []
    return tuple(dict.fromkeys(str(part).strip() for part in parts if str(part).strip()))
