"""Holding a graph against what a server has, before anybody pays for it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..commands.words import number as plain_number
from .choices import mend, model_noun
from .classes import Classes, Spec, hidden_of, is_output, outputs_count, specs_of
from .graph import class_of, link_of, links
from .workflow import Graph, Problem, Workflow

UNLIKELY = (
    "inpaint",
    "refiner",
    "svd",
    "video",
    "ltx",
    "wan",
    "hunyuan",
    "audio",
    "ace_step",
    "stable_cascade",
    "upscale",
)
"""In the names of checkpoints that a text-to-image graph cannot use, or not well."""

HARMLESS = frozenset({"upload", "control_after_generate", "choose file to upload"})
"""Fields that ComfyUI's page has written into exports, and no server minds."""


def check(workflow: Workflow, classes: Classes) -> list[Problem]:
    """Everything in the graph that a server with these classes (`/object_info`) would refuse."""
    graph = workflow.graph
    free = {target for item in workflow.inputs if item.default is None for target in item.targets}
    found = [(node, reason) for node in graph for reason in _node_problems(graph, node, classes, free)]
    if not any(is_output(classes, class_of(graph, node)) for node in graph):
        found.append(("", "no node of it gives a result; add a node such as SaveImage"))
    return [Problem(source=workflow.source or workflow.name, node=node, reason=reason) for node, reason in found]


def lacks(graph: Graph, classes: Classes) -> str:
    """What keeps a server from taking this graph: "lacks the node FluxGuidance", "has no checkpoint named x"; "" for nothing.

    Hand in the graph as it would be submitted, after `fitted`.
    """
    missing = sorted({class_of(graph, node) for node in graph} - classes.keys())
    if missing:
        return f"lacks the node{'s' if len(missing) > 1 else ''} {' and '.join(missing)}"
    absent = (reason for node in graph for reason in _absent(graph, node, classes, frozenset()))
    return next(absent, "")


def fitted(graph: Graph, classes: Classes) -> Graph:
    """The graph with a model of the server wherever it names none (""), likely ones first."""
    changed: dict[str, Any] = dict(graph)
    for node in graph:
        specs = specs_of(classes, class_of(graph, node))
        empty = [
            name
            for name, value in graph[node]["inputs"].items()
            if value == "" and name in specs and "" not in (specs[name].choices or ())
        ]
        chosen = {name: _likely(specs[name].choices or ()) for name in empty if specs[name].type == "COMBO"}
        named = {name: value for name, value in chosen.items() if value is not None}
        if named:
            changed[node] = {**graph[node], "inputs": {**graph[node]["inputs"], **named}}
    return changed


def _likely(choices: Iterable[object]) -> object | None:
    listed = list(choices)
    likely = (choice for choice in listed if not any(word in str(choice).lower() for word in UNLIKELY))
    return next(likely, listed[0] if listed else None)


def _node_problems(graph: Graph, node: str, classes: Classes, free: set[tuple[str, str]]) -> Iterator[str]:
    class_type = class_of(graph, node)
    if class_type not in classes:
        yield f"the server lacks the node {class_type}"
        return
    specs, fields = specs_of(classes, class_type), graph[node]["inputs"]
    for name, spec in specs.items():
        if spec.required and name not in fields:
            yield f"{class_type} needs {name}, which is missing"
    for name in fields:
        if name not in specs and name not in hidden_of(classes, class_type) | HARMLESS and "." not in name:
            yield f"{class_type} has no input {name}"
    for name, link in links(graph, node).items():
        count = outputs_count(classes, class_of(graph, link.node))
        if count is not None and link.slot >= count:
            yield f"{name} comes from output {link.slot} of node {link.node}, which has {count}"
    yield from (f"the server {reason}" for reason in _absent(graph, node, classes, free))
    for name, value in fields.items():
        if name in specs and isinstance(value, list) and link_of(value) is None:
            yield f"{name} is a list, which servers take for a link; a link is [node id, output number]"
        elif name in specs and (node, name) not in free:
            yield from _bad_number(name, value, specs[name])


def _absent(graph: Graph, node: str, classes: Classes, free: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Choices of a node that the server does not offer."""
    specs = specs_of(classes, class_of(graph, node))
    for name, value in graph[node]["inputs"].items():
        spec = specs.get(name)
        if spec is None or not spec.closed or (node, name) in free or link_of(value) is not None:
            continue
        if isinstance(value, str | int | float) and value not in (spec.choices or ()):
            yield _lacking(name, value, spec.choices or (), class_of(graph, node))


def _lacking(name: str, value: object, choices: Sequence[object], class_type: str) -> str:
    """In brackets what to do, since several servers may be told of in one sentence."""
    what = model_noun(name, value)
    if not value:
        return f"has no {what or name} at all{' (put one there)' if what else ''}"
    said = f"has no {what} named {value}" if what else f"does not know {value} as {name} of {class_type}"
    return f"{said} ({mend(name, value, choices)})"


def _bad_number(name: str, value: object, spec: Spec) -> Iterator[str]:
    if spec.type not in {"INT", "FLOAT"} or link_of(value) is not None:
        return
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number raises, which is the question
    except (TypeError, ValueError):
        yield f"{name} should be a number, not {value!r}"
        return
    low, high = spec.number("min"), spec.number("max")
    if low is not None and number < low:
        yield f"{name} is {value}; the least is {plain_number(low)}"
    if high is not None and number > high:
        yield f"{name} is {value}; the most is {plain_number(high)}"
