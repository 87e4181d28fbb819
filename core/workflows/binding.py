"""A workflow as a command: its options, and what one call fills into its graph."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..chat.messages import Choice, Option
from ..errors import BadInput
from ..generation.backend import Graph
from .graph import Scalar, with_values
from .workflow import Input, Workflow

FILES = frozenset({"image", "video", "audio", "file"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """values: what the person may know and repeat, defaults and the drawn seed among them. graph: ready for `fitted`."""

    values: Mapping[str, Scalar]
    graph: Graph


def options_of(workflow: Workflow) -> tuple[Option, ...]:
    """The inputs as options of a command; the prompt takes the words that belong to no other option."""
    return tuple(_option(item) for item in workflow.inputs if not item.hidden)


def bind(workflow: Workflow, values: Mapping[str, Scalar | None], *, draw: Callable[[], int]) -> Bound:
    """Check the values, add defaults and seeds, and write all into a copy of the graph.

    values: by input name; None is the same as left out; of a file input, the key that the attempt's `files` has it under.
    draw: a random number from 0 to 2^32 - 1. Raises BadInput with words for the person.
    """
    shown = {item.name: item for item in workflow.inputs if not item.hidden}
    for name in values:
        if name not in shown:
            raise BadInput(f"/{workflow.name} has no option {name}; it has {', '.join(shown) or 'none'}.")
    used = {item.name: _used(item, values.get(item.name), draw) for item in workflow.inputs}
    filled = {name: value for name, value in used.items() if value is not None}
    unset = {item.name: "" for item in workflow.inputs if item.role == "model" and item.name not in filled}
    written = {
        item.name: _native(workflow.graph, item, filled[item.name]) for item in workflow.inputs if item.name in filled
    }
    graph = with_values(workflow.graph, workflow, {**written, **unset})
    return Bound(values={name: value for name, value in filled.items() if name in shown}, graph=graph)


def _option(item: Input) -> Option:
    return Option(
        name=item.name,
        type=item.type,
        label=item.label,
        description=item.description,
        required=item.required,
        default=item.default,
        minimum=item.minimum,
        maximum=item.maximum,
        step=item.step,
        choices=tuple(Choice(value=choice) for choice in item.choices),
        rest=item.role == "prompt",
        advanced=item.advanced,
    )


def _used(item: Input, given: Scalar | None, draw: Callable[[], int]) -> Scalar | None:
    """The value that is written, None when the graph keeps its own."""
    blank = isinstance(given, str) and not given.strip() and item.role != "negative"
    value = item.default if given is None or (blank and item.type == "text") else given
    if value is None and item.required:
        raise BadInput(f"{item.label or item.name} is missing: say {_wanted(item)} for {item.name}.")
    if item.role == "seed" and (value is None or value == -1):
        return _drawn(item, draw)
    return None if value is None else _checked(item, value)


def _native(graph: Graph, item: Input, value: Scalar) -> Scalar:
    """A choice as the graph has it: "2" of [1, 2, 4] is the number 2 in a field that holds a number."""
    kept = next((graph[node]["inputs"].get(field) for node, field in item.targets if node in graph), None)
    if item.type != "choice" or isinstance(kept, bool) or not isinstance(kept, int | float):
        return value
    try:
        return type(kept)(value)
    except ValueError:
        return value


def _drawn(item: Input, draw: Callable[[], int]) -> int:
    low = max(0, int(item.minimum or 0))
    high = 2**32 - 1 if item.maximum is None else int(item.maximum)
    return low + draw() % (high - low + 1)


def _checked(item: Input, value: Scalar) -> Scalar:
    match item.type:
        case "integer" | "number":
            return _number(item, value)
        case "boolean" if isinstance(value, bool):
            return value
        case "choice" if isinstance(value, str) and value in item.choices:
            return value
        case "text" if isinstance(value, str):
            return value
        case kind if kind in FILES and isinstance(value, str) and value:
            return value
    raise _wrong(item, value)


def _number(item: Input, value: Scalar) -> int | float:
    if isinstance(value, str | bool) or not math.isfinite(value):
        raise _wrong(item, value)
    if item.type == "integer":
        if value != int(value):
            raise _wrong(item, value)
        value = int(value)
    low, high, step = item.minimum, item.maximum, item.step
    if (low is not None and value < low) or (high is not None and value > high):
        raise _wrong(item, value)
    if step:
        steps = (value - (low or 0)) / step
        if abs(steps - round(steps)) > 1e-6:
            raise _wrong(item, value)
    return value if item.type == "integer" else float(value)


def _wrong(item: Input, value: Scalar) -> BadInput:
    shown = str(value) if len(str(value)) <= 40 else f"{str(value)[:40]}…"
    return BadInput(f"{item.name} cannot be {shown}: say {_wanted(item)}.")


def _wanted(item: Input) -> str:
    """ "a whole number from 64 to 2048 in steps of 8"."""
    match item.type:
        case "integer" | "number":
            noun = "a whole number" if item.type == "integer" else "a number"
            if item.role == "seed":
                return f"a whole number from 0 to {item.maximum or 2**32 - 1:.0f}, or -1 to draw one"
            return noun + _range(item)
        case "boolean":
            return "yes or no"
        case "choice":
            return f"one of {', '.join(item.choices)}"
        case "image":
            return "a picture"
        case "text":
            return "some words"
        case "file":
            return "a file"
    return f"{'an' if item.type == 'audio' else 'a'} {item.type} file"


def _range(item: Input) -> str:
    words = "" if item.minimum is None else f" from {item.minimum:g}"
    words += "" if item.maximum is None else f" to {item.maximum:g}" if words else f" up to {item.maximum:g}"
    return words + (f" in steps of {item.step:g}" if item.step else "")
