"""What every engine does alike: values of a document, what a claim writes, and running `work` without a loop."""

from collections.abc import Awaitable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from .records import Kind, L

T = TypeVar("T")


def value_at(document: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, None where there is none."""
    name, _, rest = path.partition(".")
    value = document.get(name)
    if not rest:
        return value
    return value_at(value, rest) if isinstance(value, Mapping) else None


def unique_values(kind: Kind[Any], document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The unique keys of a document as (field, value), each once."""
    pairs: dict[tuple[str, str], None] = {}
    for path in kind.unique:
        value = value_at(document, path)
        for one in value if isinstance(value, list) else [value]:
            if one is not None and one != "":
                pairs[path, str(one)] = None
    return list(pairs)


def claimed(record: L, owner: str, now: datetime, seconds: float) -> L:
    """The record as `owner` holds it from `now` on, still to be stored."""
    return replace(record, owner=owner, fence=record.fence + 1, due=now + timedelta(seconds=seconds))


def drive(work: Awaitable[T]) -> T:
    """Run an awaitable that never suspends to its end, on any thread.

    Raises RuntimeError when it does suspend: then it awaited something that is not the transaction.
    """
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as end:
        value: T = end.value
        return value
    steps.close()
    raise RuntimeError(
        "`work` awaited something that is not `tx`: read and write through `tx` only, do the rest before or after"
    )
