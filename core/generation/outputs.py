"""Results as a server names them, made into outputs: one order and one numbering, whatever server it was."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..workflows.outputs import outputs_of
from ..workflows.workflow import Graph
from .backend import Output

TEXT_KEYS = frozenset({"text", "string"})
"""Keys under which nodes show words: ComfyUI's own, and those of widespread custom nodes."""

SOLIDS = (".glb", ".gltf", ".obj", ".fbx", ".stl", ".ply", ".usdz")
"""Endings of 3D files, which some nodes of newer servers name without saying where they are: in the folder for outputs."""


def outputs_of_results(results: Mapping[str, Any], graph: Graph) -> tuple[Output, ...]:
    """What each node said of its results (`outputs` of ComfyUI's history), in the order of the graph.

    Nodes whose results are shown come first, so that those count from 0; previews beside them follow, then nodes that were
    added while it ran. A file is whatever has a file name, since custom nodes list theirs under keys of their own; one that is
    named twice is one output.
    """
    found: list[Output] = []
    seen = set[tuple[str, ...]]()
    for node in _in_order(results, graph):
        for name, remote, text in _results(results[node]):
            place = tuple(remote.values())
            if place not in seen or text is not None:
                seen.add(place)
                found.append(Output(n=len(found), node=node, name=name, remote=remote, text=text))
    return tuple(found)


def _in_order(results: Mapping[str, Any], graph: Graph) -> list[str]:
    known = dict.fromkeys([*outputs_of(graph), *graph])
    return [*(node for node in known if node in results), *sorted(results.keys() - known.keys())]


def _results(said: Any) -> Iterator[tuple[str, dict[str, str], str | None]]:
    if not isinstance(said, Mapping):
        return
    for key, value in said.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            match item:
                case {"filename": str(filename)} if filename:
                    yield _file_name(filename), _remote(item, filename), None
                case str(text) if key in TEXT_KEYS:
                    yield f"{key}.txt", {}, text
                case str(path) if path.lower().endswith(SOLIDS):
                    subfolder, _, filename = path.replace("\\", "/").rpartition("/")
                    yield filename, {"filename": filename, "subfolder": subfolder, "type": "output"}, None


def _file_name(filename: str) -> str:
    return filename.replace("\\", "/").rpartition("/")[2] or "result"


def _remote(item: Mapping[str, Any], filename: str) -> dict[str, str]:
    return {
        "filename": filename,
        "subfolder": str(item.get("subfolder") or ""),
        "type": str(item.get("type") or "output"),
    }
