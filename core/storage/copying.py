"""Copying all records from one store into another, whatever their engines: cut off at any point, it goes on from there."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from ..errors import OperatorMust
from ..values import replace
from . import words
from .records import Kind, Record
from .store import Copyable, Store, Tx

R = TypeVar("R", bound=Record)
AT_ONCE = 200
"""Records of a transaction."""
KEY = "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copying(Record):
    """How far a copy into this store has come; gone when it is whole.

    source: where from, without a password. kind: whose records are being copied, and after which key the next one comes.
    """

    source: str
    kind: str = ""
    after: str | None = None


COPYINGS = Kind(name="copyings", record=Copying)

Say = Callable[[str], None]


async def refuse_half(store: Store) -> None:
    """Raises OperatorMust for a store that a copy was cut off in."""
    if (found := await store.get(COPYINGS, KEY)) is not None:
        raise OperatorMust(words.HALF.format(source=found.source))


async def copy(source: Store, target: Store, kinds: Sequence[Kind[Any]], name: str, say: Say) -> int:
    """How many records there are in both now. name: of the source, without a password. Raises OperatorMust.

    kinds: all that both were opened with.
    """
    if not (isinstance(source, Copyable) and isinstance(target, Copyable)):
        raise OperatorMust(words.NO_COPIES)
    ordered = sorted((kind for kind in kinds if kind.name != COPYINGS.name), key=lambda kind: kind.name)
    await _look_at(source, ordered, name)
    at = await _begin(target, ordered, name, say)
    for kind in ordered:
        if kind.name >= at.kind:
            await _copy_kind(source, target, kind, at.after if kind.name == at.kind else None, say)
    total = 0
    for kind in ordered:
        total += await _compare(source, target, kind)
    await target.restore([], _end)
    return total


async def _look_at(source: Copyable, kinds: Sequence[Kind[Any]], name: str) -> None:
    """Refuse a source that has nothing, or more than was asked for."""
    if others := await source.strangers():
        raise OperatorMust(words.STRANGERS.format(names=", ".join(others)))
    for kind in kinds:
        if await source.page(kind, limit=1):
            return
    raise OperatorMust(words.NOTHING_THERE.format(source=name))


async def _begin(target: Copyable, kinds: Sequence[Kind[Any]], name: str, say: Say) -> Copying:
    """Where to go on. Refuses a target that holds what no copy from here has put there."""
    found = await target.page(COPYINGS, limit=1)
    if found:
        if found[0].source != name:
            raise OperatorMust(words.OTHER_SOURCE.format(source=found[0].source))
        say(words.GOES_ON)
        return found[0]
    full = [kind.name for kind in kinds if await target.page(kind, limit=1)] + await target.strangers()
    if full:
        raise OperatorMust(words.TARGET_FULL.format(names=", ".join(full)))
    fresh = Copying(key=KEY, version=1, source=name)
    await target.restore([(COPYINGS, fresh)], _nothing)
    return fresh


async def _copy_kind(source: Copyable, target: Copyable, kind: Kind[R], after: str | None, say: Say) -> None:
    copied = 0
    while page := await source.page(kind, after=after, limit=AT_ONCE):
        after = page[-1].key
        await target.restore([(kind, record) for record in page], partial(_note, kind.name, after))
        copied += len(page)
        say(words.COPIED.format(kind=kind.name, count=copied))


async def _compare(source: Copyable, target: Copyable, kind: Kind[Any]) -> int:
    """How many records of a kind both have. Raises OperatorMust where they differ."""
    count = 0
    theirs = _all(target, kind)
    async for record in _all(source, kind):
        copied = await anext(theirs, None)
        if copied != record:
            raise OperatorMust(words.DIFFERS.format(kind=kind.name, key=record.key))
        count += 1
    if (more := await anext(theirs, None)) is not None:
        raise OperatorMust(words.DIFFERS.format(kind=kind.name, key=more.key))
    return count


async def _all(store: Copyable, kind: Kind[R]) -> AsyncIterator[R]:
    after: str | None = None
    while page := await store.page(kind, after=after, limit=AT_ONCE):
        for record in page:
            yield record
        after = page[-1].key


async def _note(kind: str, after: str, tx: Tx) -> None:
    at = await tx.get(COPYINGS, KEY)
    if at is None:
        raise OperatorMust(words.TAKEN_OVER)
    await tx.replace(COPYINGS, replace(at, kind=kind, after=after))


async def _nothing(_: Tx) -> None: ...


async def _end(tx: Tx) -> None:
    await tx.delete(COPYINGS, KEY)
