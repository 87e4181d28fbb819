"""Graphs in ComfyUI's API format: reading, checking, walking, and writing values into copies of them."""

import copy
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from ..errors import BadInput
from .workflow import Graph, Workflow

Scalar = str | int | float | bool
"""What a field of a node can hold besides a link."""


class BadGraph(BadInput):
    """A graph that no server can run. node: the id of the node at fault, or ""."""

    def __init__(self, reason: str, node: str = "") -> None:
        super().__init__(f"node {node}: {reason}" if node else reason)
        self.reason = reason
        self.node = node


class Link(NamedTuple):
    """Where an input comes from: a node, and the number of its output from 0."""

    node: str
    slot: int


EDITOR_FORMAT = (
    "this is the format of ComfyUI's editor, not the API format; "
    'in ComfyUI choose Workflow > Export (API), in older versions "Save (API Format)", and use that file'
)


def read_graph(data: object) -> Graph:
    """Check parsed JSON and give it back as a graph, with links as servers want them. Raises BadGraph."""
    if not isinstance(data, dict):
        raise BadGraph("a workflow is a JSON object of nodes; export it again with Workflow > Export (API)")
    if isinstance(data.get("nodes"), list):
        raise BadGraph(EDITOR_FORMAT)
    if not data:
        raise BadGraph("there is no node in it")
    for node, body in data.items():
        _check_node(node, body)
    graph = _with_plain_links(data)
    for node in graph:
        _check_links(graph, node)
    run_order(graph)
    return graph


def _check_node(node: str, body: object) -> None:
    if not isinstance(body, dict):
        raise BadGraph("a node is an object with class_type and inputs", node)
    class_type = body.get("class_type")
    if not isinstance(class_type, str) or not class_type:
        raise BadGraph("it has no class_type; export the workflow again with Workflow > Export (API)", node)
    if not isinstance(body.get("inputs"), dict):
        raise BadGraph(f"{class_type} has no inputs; write an empty object when it takes none", node)


def _with_plain_links(nodes: Mapping[str, Mapping[str, Any]]) -> Graph:
    """Ids of nodes are text, though a program that wrote the file may have put numbers into the links."""

    def plain(value: Any) -> Any:
        match value:
            case [int(source), int(slot)] if not isinstance(source, bool) and str(source) in nodes:
                return [str(source), slot]
        return value

    return {
        node: {**body, "inputs": {name: plain(value) for name, value in body["inputs"].items()}}
        for node, body in nodes.items()
    }


def _check_links(graph: Graph, node: str) -> None:
    for name, value in graph[node]["inputs"].items():
        if not (isinstance(value, list) and value and isinstance(value[0], str)):
            continue
        if len(value) != 2:
            if value[0] in graph:
                raise BadGraph(f'"{name}" is not a link: a link is [node id, output number]', node)
            continue
        source, slot = value
        if source not in graph:
            raise BadGraph(f'"{name}" is linked to node {source}, which does not exist', node)
        if not isinstance(slot, int) or isinstance(slot, bool) or slot < 0:
            raise BadGraph(f'"{name}" is linked to output {slot!r} of node {source}; outputs are numbered from 0', node)


def link_of(value: object) -> Link | None:
    """The link that a field of a checked graph holds, None for a plain value."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int:
        return Link(value[0], value[1])
    return None


def links(graph: Graph, node: str) -> dict[str, Link]:
    """The linked inputs of a node, in their order."""
    found = ((name, link_of(value)) for name, value in graph[node]["inputs"].items())
    return {name: link for name, link in found if link is not None}


def class_of(graph: Graph, node: str) -> str:
    return str(graph[node]["class_type"])


def title_of(graph: Graph, node: str) -> str:
    """The title that the author gave the node, its class when there is none."""
    meta = graph[node].get("_meta")
    title = meta.get("title") if isinstance(meta, Mapping) else None
    return title if isinstance(title, str) and title else class_of(graph, node)


def run_order(graph: Graph) -> tuple[str, ...]:
    """Every node after all that feed it. Raises BadGraph for a cycle, naming its nodes."""
    sorter = TopologicalSorter({node: [link.node for link in links(graph, node).values()] for node in graph})
    try:
        return tuple(sorter.static_order())
    except CycleError as error:
        ring = error.args[1]
        raise BadGraph(f"the nodes {' > '.join(ring)} feed each other in a circle", ring[0]) from None


def upstream(graph: Graph, *nodes: str) -> Iterator[str]:
    """These nodes and all that feed them, nearest first, each once."""
    waiting = list(nodes)
    seen = set(waiting)
    for node in waiting:
        yield node
        for link in links(graph, node).values():
            if link.node not in seen:
                seen.add(link.node)
                waiting.append(link.node)


def with_values(graph: Graph, workflow: Workflow, values: Mapping[str, Scalar]) -> Graph:
    """A copy with each value written to the targets of its input, and nothing else changed.

    Raises ValueError for a name that the workflow does not declare and for a target that is missing or a link.
    """
    inputs = {item.name: item for item in workflow.inputs}
    changed = _copy(graph)
    for name, value in values.items():
        if name not in inputs:
            raise ValueError(f"{workflow.name} declares no input {name}")
        for node, field in inputs[name].targets:
            fields = changed[node]["inputs"] if node in changed else {}
            if field not in fields or link_of(fields[field]) is not None:
                raise ValueError(
                    f"input {name} of {workflow.name} has no field {field} of node {node} to be written to"
                )
            fields[field] = value
    return changed


def with_prefix(graph: Graph, prefix: str) -> Graph:
    """A copy that saves every result under `prefix` ("chatelier/2026-11-22/<attempt id>"), so that it is found by name.

    Where several nodes save, each has its id in the name. SaveImageWebsocket becomes SaveImage: what it sends dies with
    the socket, a file can be fetched again.
    """
    changed = _copy(graph)
    saving = [
        node
        for node, body in changed.items()
        if body["class_type"] == "SaveImageWebsocket" or "filename_prefix" in body["inputs"]
    ]
    for node in saving:
        body = changed[node]
        if body["class_type"] == "SaveImageWebsocket":
            body["class_type"] = "SaveImage"
        own = re.sub(r"[^A-Za-z0-9]", "_", node)  # the id of a node in a subgraph has colons
        body["inputs"]["filename_prefix"] = prefix if len(saving) == 1 else f"{prefix}-{own}"
    return changed


def _copy(graph: Graph) -> dict[str, dict[str, Any]]:
    return {node: copy.deepcopy(dict(body)) for node, body in graph.items()}
