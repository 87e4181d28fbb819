"""What `work` gets: it reads from one moment's view of the server and from what was written since, which is sent at the end."""

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from chatelier import (
    Cache,
    Exists,
    Kind,
    Leased,
    Question,
    Record,
    Scalar,
    Stale,
    claimed,
    revised,
)

from . import words
from .draft import NO_VERSION, Draft, Entry
from .layout import Shelf, pair, pairs_of, shelf_of
from .reading import Row, View, read

T = TypeVar("T")
R = TypeVar("R", bound=Record)
L = TypeVar("L", bound=Leased)


class Ask:
    """What a transaction wants of the server: `work` hands it out, and goes on with the answer."""

    def __init__(self, call: Callable[[], Awaitable[Any]]) -> None:
        self.call = call

    def __await__(self) -> Generator["Ask", Any, Any]:
        return (yield self)


async def steered(work: Awaitable[T], context: Context) -> T:
    """Run a `work` to its end. An error of the server ends it. Raises RuntimeError when it awaits something that is not `tx`."""
    steps = work.__await__()
    answer: Any = None
    while True:
        try:
            asked: Any = context.run(steps.send, answer)
        except StopIteration as end:
            value: T = end.value
            return value
        if not isinstance(asked, Ask):
            context.run(_close, steps)
            raise RuntimeError(words.OTHER_AWAIT)
        try:
            answer = await asked.call()
        except BaseException:
            context.run(_close, steps)
            raise


def _close(steps: Generator[Any, Any, Any]) -> None:
    steps.close()


@dataclass(slots=True)
class Batch:
    """One transaction of the server, which several works share.

    now: the server's clock. number: of the transaction that wrote before it.
    """

    view: View
    shelves: Mapping[str, Shelf]
    cache: Cache
    draft: Draft
    now: datetime
    number: int


class MongoTx:
    """The part of a transaction that one `work` sees.

    careful: it asks whether a place is free before it takes it. inserted: new records, each with the name of its kind.
    """

    def __init__(self, batch: Batch, *, careful: bool) -> None:
        self._batch = batch
        self._draft = batch.draft
        self._careful = careful
        self._mark = batch.draft.mark()
        self._beliefs = batch.draft.beliefs
        self.inserted: list[tuple[str, Record]] = []
        self.over = False

    @property
    def now(self) -> datetime:
        return self._batch.now

    @property
    def believes(self) -> bool:
        """Whether it took a place that may not be free."""
        return self._draft.beliefs > self._beliefs

    def undo(self) -> None:
        self._draft.undo(self._mark)
        self.inserted.clear()

    async def get(self, kind: Kind[R], key: str, *, by: str = "") -> R | None:
        shelf = self._shelf(kind)
        if by:
            return await self._get_by(shelf, kind, pair(by, key), by)
        entry = self._draft.get(kind.name, key)
        found: R | None = entry.read(kind) if entry is not None else self._batch.cache.get(kind, key)
        if entry is not None or found is not None:
            return found
        row = await self._batch.view.row(shelf, {"_id": key})
        return read(row, kind, self._batch.cache) if row is not None else None

    async def find(
        self,
        kind: Kind[R],
        where: Mapping[str, Scalar] | None = None,
        *,
        order: str = "",
        since: Scalar = None,
        until: Scalar = None,
        descending: bool = False,
        limit: int = 100,
        strict: bool = False,
    ) -> list[R]:
        question = Question.of(kind, where, order=order, since=since, until=until, descending=descending, limit=limit)
        return await self._batch.view.find(self._shelf(kind), kind, question, strict=strict)

    async def insert(self, kind: Kind[R], record: R) -> R:
        return await self.restore(kind, revised(record, 1))

    async def restore(self, kind: Kind[R], record: R) -> R:
        shelf = self._shelf(kind)
        text, new = kind.dump_json(record)
        row = shelf.row(new, text)
        before = self._draft.get(kind.name, new.key)
        there = self._batch.cache.get(kind, new.key) if before is None else before.record
        if there is not None:
            raise Exists(f"{kind.name} {new.key!r} is there already")
        await self._take(shelf, new.key, row.get("u", ()), is_new=before is None)
        known = before or Entry(kind, None, {})
        self._draft.put(new.key, Entry(kind, new, row, known.base, known.base_pairs))
        self.inserted.append((kind.name, new))
        return new

    async def replace(self, kind: Kind[R], record: R) -> R:
        shelf = self._shelf(kind)
        text, new = kind.dump_json(revised(record, record.version + 1))
        row = shelf.row(new, text)
        before = await self._before(shelf, new.key)
        if before is None or before.version != record.version:
            raise Stale(f"{kind.name} {new.key!r} changed since it was read")
        await self._take(shelf, new.key, [one for one in row.get("u", ()) if one not in before.pairs], is_new=False)
        self._draft.put(new.key, Entry(kind, new, row, before.base, before.base_pairs))
        return new

    async def delete(self, kind: Kind[Any], key: str) -> bool:
        before = await self._before(self._shelf(kind), key)
        if before is None:
            return False
        self._draft.put(key, Entry(kind, None, {}, before.base, before.base_pairs))
        return True

    async def claim(self, kind: Kind[L], where: Mapping[str, Scalar], *, owner: str, seconds: float) -> L | None:
        question = Question.due(kind, where, self.now)
        found = await self._batch.view.find(self._shelf(kind), kind, question, strict=False)
        return await self.replace(kind, claimed(found[0], owner, self.now, seconds)) if found else None

    # --- what stands where

    async def _get_by(self, shelf: Shelf, kind: Kind[R], value: str, by: str) -> R | None:
        if by not in kind.unique:
            raise ValueError(f"{by!r} is not a unique key of {kind.name!r}")
        if (holder := self._draft.holder(kind.name, value)) is not None:
            return await self.get(kind, holder)
        row = await self._batch.view.row(shelf, {"u": value})
        if row is None or row["_id"] in self._draft.of(kind.name):  # what was written since has it no more
            return None
        return read(row, kind, self._batch.cache)

    async def _before(self, shelf: Shelf, key: str) -> "_Before | None":
        """What stands under a key now; None for nothing."""
        kind = shelf.kind
        if (entry := self._draft.get(kind.name, key)) is not None:
            if entry.record is None:
                return None
            return _Before(entry.record.version, entry.pairs, entry.base, entry.base_pairs)
        if (known := self._batch.cache.get(kind, key)) is not None:
            pairs = frozenset(pairs_of(kind, known))
            return _Before(known.version, pairs, known.version, pairs)
        row = await self._batch.view.row(shelf, {"_id": key}, ("v", "u"))
        if row is None:
            return None
        pairs = frozenset(row.get("u", ()))
        version = row.get("v")
        known_version = version if isinstance(version, int) and version > 0 else NO_VERSION
        return _Before(known_version, pairs, known_version, pairs)

    async def _take(self, shelf: Shelf, key: str, pairs: Sequence[str], *, is_new: bool) -> None:
        """Make sure, or believe, that nobody else has these unique values, nor the key where it is new. Raises Exists."""
        kind = shelf.kind.name
        for one in pairs:
            if self._draft.holder(kind, one) not in (None, key):
                raise Exists(f"{kind} with the {' '.join(map(repr, one.split('=', 1)))} is there already")
        if not (pairs or is_new):
            return
        if not self._careful:
            self._draft.believe(kind, key if is_new else "", pairs)
            return
        taken: list[Row] = [{"_id": key}] if is_new else []
        taken += [{"u": {"$in": list(pairs)}}] if pairs else []
        written = list(self._draft.of(kind))  # of these the draft alone knows
        if await self._batch.view.row(shelf, {"$and": [{"$or": taken}, {"_id": {"$nin": written}}]}, ("_id",)):
            raise Exists(f"{kind} {key!r}, or one with a unique value of it, is there already")

    def _shelf(self, kind: Kind[Any]) -> Shelf:
        if self.over:
            raise RuntimeError("the transaction is over: `tx` is only good inside of its `work`")
        return shelf_of(self._batch.shelves, kind)


@dataclass(frozen=True, slots=True)
class _Before:
    """What a transaction sees under a key, and what the server has there."""

    version: int
    pairs: frozenset[str]
    base: int
    base_pairs: frozenset[str]
