"""A workflow as a command: its options, and what one call fills into its graph."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..chat.messages import FILE_TYPES, LONGEST_TEXT, Choice, Option
from ..commands import words
from ..commands.options import check_value, close
from ..errors import BadInput
from .graph import Scalar, with_values
from .workflow import Graph, Input, Workflow


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
            raise BadInput(words.no_such_option(workflow.name, name, shown, close(name, shown)))
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
        # What the author wrote is never too long, so that it may be sent again.
        max_length=max(LONGEST_TEXT, len(str(item.default))),
        rest=item.role == "prompt",
        advanced=item.advanced,
    )


def _used(item: Input, given: Scalar | None, draw: Callable[[], int]) -> Scalar | None:
    """The value that is written, None when the graph keeps its own."""
    blank = isinstance(given, str) and not given.strip() and item.role != "negative"
    value = item.default if given is None or (blank and item.type == "text") else given
    if value is None and item.required:
        raise BadInput(words.missing(_option(item)))
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
    """As `Option` has it, and of a file its key: the file itself was looked at when it was read."""
    if item.type not in FILE_TYPES:
        return check_value(_option(item), value)
    if not isinstance(value, str) or not value:
        raise BadInput(words.not_allowed(_option(item), str(value)))
    return value
