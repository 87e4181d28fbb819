"""What every engine does alike: values of a document, what a claim writes, and running `work` without a loop."""

from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ..values import replace
from .records import Kind, L, R, plain

T = TypeVar("T")


def value_at(whole: Any, path: str) -> Any:
    """The value at a dotted path of a document or of its record, None where there is none."""
    for name in path.split("."):
        whole = whole.get(name) if isinstance(whole, dict) else getattr(whole, name, None)
    return whole


def unique_values(kind: Kind[Any], whole: Any) -> list[tuple[str, str]]:
    """The unique keys of a document or of its record as (field, value), each once."""
    if not kind.unique:
        return []
    pairs: dict[tuple[str, str], None] = {}
    for path in kind.unique:
        value = value_at(whole, path)
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is not None and one != "":
                pairs[path, str(plain(one))] = None
    return list(pairs)


def revised(record: R, version: int) -> R:
    """The record with this version."""
    return replace(record, version=version)


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
