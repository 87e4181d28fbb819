"""Every node a sketch has, and how it is described to others: ComfyUI's `/object_info`."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from . import (
    nodes_effects,
    nodes_files,
    nodes_image,
    nodes_latent,
    nodes_mask,
    nodes_model,
    nodes_sampler,
    nodes_text,
    nodes_video,
)
from .declare import Node, Slot
from .folders import Folders
from .models import Models

InputConfig = list[Any]


@cache
def all_nodes() -> Mapping[str, Node]:
    shelves = [
        nodes_image,
        nodes_effects,
        nodes_mask,
        nodes_text,
        nodes_model,
        nodes_latent,
        nodes_sampler,
        nodes_files,
    ]
    if nodes_video.available():
        shelves.append(nodes_video)
    return {node.name: node for module in shelves for node in module.shelf}


def choices_of(slot: Slot, folders: Folders, models: Models) -> list[str]:
    if slot.files == "input":
        return folders.inputs()
    return models.names(slot.files) if slot.files else list(slot.choices or ())


def input_config(node: Node, slot: Slot, folders: Folders, models: Models) -> InputConfig:
    """Type and options, as an error names them: always two."""
    if not slot.listed:
        return [slot.type, dict(slot.options)]
    choices = choices_of(slot, folders, models)
    if node.modern:
        return ["COMBO", {**slot.options, "options": choices}]
    return [choices, dict(slot.options)]


def _described_config(node: Node, slot: Slot, folders: Folders, models: Models) -> InputConfig:
    """With what only `/object_info` tells: where every name of a model is taken, the list merely suggests some."""
    kind, options = input_config(node, slot, folders, models)
    return [kind, options | {"accepts_any": True}] if slot.names_model and models.any else [kind, options]


def describe(node: Node, folders: Folders, models: Models) -> dict[str, Any]:
    inputs: dict[str, dict[str, InputConfig]] = {}
    for slot in node.slots:
        config = _described_config(node, slot, folders, models)
        short = config if config[1] or node.modern or slot.type == "*" else config[:1]
        inputs.setdefault(slot.section, {})[slot.name] = short
    inputs.setdefault("required", {})
    found = {
        "input": inputs,
        "input_order": {section: list(slots) for section, slots in inputs.items()},
        "output": list(node.gives),
        "output_is_list": [False] * len(node.gives),
        "output_name": list(node.names),
        "name": node.name,
        "display_name": node.title,
        "description": node.summary,
        "python_module": node.module,
        "category": node.category,
        "output_node": node.output,
    }
    if node.modern:
        found |= {
            "output_tooltips": [None] * len(node.gives),
            "deprecated": False,
            "experimental": False,
            "api_node": False,
        }
    return found


def object_info(folders: Folders, models: Models) -> dict[str, dict[str, Any]]:
    return {name: describe(node, folders, models) for name, node in all_nodes().items()}
