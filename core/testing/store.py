"""A store in memory that is as strict as the real ones, and stricter about `work`."""

import asyncio
import json
from bisect import bisect_left, insort
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from ..clock import Clock, SystemClock
from ..errors import Exists, OperatorMust, Stale, Unavailable
from ..storage import (
    Changes,
    Hints,
    Kind,
    L,
    Question,
    R,
    Record,
    Scalar,
    Sieve,
    Stored,
    Tx,
    Unreadable,
    claimed,
    drive,
    plain,
    revised,
    unique_values,
    unreadable,
    value_at,
)

T = TypeVar("T")
Asked = tuple[tuple[str, ...], str]
"""The fields of a question: those that are equal, and the one of the order."""
BEHIND = 16
"""Rows that an index may be behind. Most move again before somebody asks; all at once would hold up whoever asks."""
_Where = tuple[tuple[Any, ...], tuple[Any, str]]
"""The values that are equal, and the place among those that share them."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A record with the kind that wrote it: an older or newer gateway may have another class for the same name."""

    kind: Kind[Any]
    record: Record

    @property
    def key(self) -> str:
        return self.record.key

    def whole(self, kind: Kind[Any]) -> Any:
        """What has its values, by the names that they are stored under."""
        return self.record if kind.record is self.kind.record else self.kind.dump(self.record)

    def stored(self) -> Stored:
        return Stored(self.key, self.record.version, self.kind.dump(self.record))

    def read(self, kind: Kind[R]) -> R:
        """Raises Unreadable."""
        record: Any = self.record
        return record if kind.record is self.kind.record else self.stored().read(kind)


class _Index:
    """The places of a kind's rows in the answers to one of its questions, by the values that are equal."""

    def __init__(self, kind: Kind[Any], asked: Asked, rows: Iterator[_Row]) -> None:
        self._kind = kind
        self._equal, self._order = asked
        # Twice as quick as going down a path, where the record has all that is on it.
        self._values = attrgetter(*self._equal, self._order or "key")
        self._where: dict[str, _Where] = {}
        self._places: dict[tuple[Any, ...], list[tuple[Any, str]]] = {}
        self.moved: dict[str, None] = {}
        for row in rows:
            self._put(row.key, row)

    def catch_up(self, rows: Mapping[str, _Row]) -> None:
        """With what was written since it was asked last."""
        for key in self.moved:
            self._put(key, rows.get(key))
        self.moved.clear()

    def _put(self, key: str, row: _Row | None) -> None:
        before, after = self._where.get(key), self._of(row) if row else None
        if before == after:
            return
        if before is not None:
            places = self._places[before[0]]
            del places[bisect_left(places, before[1])]
            del self._where[key]
        if after is not None:
            insort(self._places.setdefault(after[0], []), after[1])
            self._where[key] = after

    def keys(self, question: Question) -> Iterator[str]:
        places = self._places.get(tuple(value for _, value in question.equal), [])
        first = 0 if question.since is None else bisect_left(places, (question.since,))
        last = len(places) if question.until is None else bisect_left(places, (question.until,))
        found = range(first, last)
        return (places[n][1] for n in (reversed(found) if question.descending else found))

    def _of(self, row: _Row) -> _Where | None:
        """None when it is in no answer."""
        whole = row.whole(self._kind)
        try:
            *equal, order = self._values(whole) if self._equal else (self._values(whole),)
        except AttributeError:  # a document, or a path that leads nowhere
            *equal, order = (value_at(whole, path) for path in (*self._equal, self._order or "key"))
        if order is None:
            return None
        return tuple(map(plain, equal)), (plain(order) if self._order else "", row.key)


@dataclass(slots=True)
class _Shelf:
    """The records of one kind: rows by key, the key of each unique value, and an index for each question that was asked."""

    kind: Kind[Any]
    rows: dict[str, _Row] = field(default_factory=dict)
    uniques: dict[tuple[str, str], str] = field(default_factory=dict)
    indexes: dict[Asked, _Index] = field(default_factory=dict)

    def find(self, question: Question) -> Iterator[_Row]:
        asked = tuple(path for path, _ in question.equal), question.order
        if asked not in self.indexes:
            self.indexes[asked] = _Index(self.kind, asked, iter(self.rows.values()))
        self.indexes[asked].catch_up(self.rows)
        return (self.rows[key] for key in self.indexes[asked].keys(question))

    def put(self, key: str, row: _Row | None) -> _Row | None:
        """What stood there before. Raises Exists when a unique value is another's; then nothing is changed."""
        before = self.rows.get(key)
        held = unique_values(self.kind, before.whole(self.kind)) if before else []
        taken = unique_values(self.kind, row.whole(self.kind)) if row else []
        if taken != held:
            for path, value in taken:
                if self.uniques.get((path, value), key) != key:
                    raise Exists(f"{self.kind.name} with the {path} {value!r} is there already")
            for pair in held:
                del self.uniques[pair]
            self.uniques.update(dict.fromkeys(taken, key))
        if row is not None:
            self.rows[key] = row
        elif before is not None:
            del self.rows[key]
        for index in self.indexes.values():
            index.moved[key] = None
            if len(index.moved) >= BEHIND:
                index.catch_up(self.rows)
        return before


class _FakeTx:
    """One try of one `work`. It writes in place; `undo` takes it back."""

    def __init__(self, shelves: Mapping[str, _Shelf], clock: Clock, sieve: Sieve, *, strict: bool) -> None:
        self._shelves = shelves
        self._clock = clock
        self._now: datetime | None = None
        self._sieve = sieve
        self._strict = strict
        self._before: list[tuple[_Shelf, str, _Row | None]] = []
        self.inserted: list[tuple[str, Record]] = []
        self.over = False

    @property
    def now(self) -> datetime:
        if self._now is None:
            self._now = self._clock.now()
        return self._now

    @property
    def written(self) -> set[str]:
        return {shelf.kind.name for shelf, _, _ in self._before}

    def undo(self) -> None:
        while self._before:
            shelf, key, row = self._before.pop()
            shelf.put(key, row)

    async def get(self, kind: Kind[R], key: str, *, by: str = "") -> R | None:
        shelf = self._shelf(kind)
        if by and by not in kind.unique:
            raise ValueError(f"{by!r} is not a unique key of {kind.name!r}")
        row = shelf.rows.get(shelf.uniques.get((by, key), "") if by else key)
        return row.read(kind) if row is not None else None

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
        return self._answer(kind, question, strict=strict)

    async def insert(self, kind: Kind[R], record: R) -> R:
        return self.restore(kind, revised(record, 1))

    def restore(self, kind: Kind[R], record: R) -> R:
        """As it is, with its version."""
        if record.key in self._shelf(kind).rows:
            raise Exists(f"{kind.name} {record.key!r} is there already")
        stored = self._put(kind, record)
        self.inserted.append((kind.name, stored))
        return stored

    async def replace(self, kind: Kind[R], record: R) -> R:
        row = self._shelf(kind).rows.get(record.key)
        if row is None or row.record.version != record.version:
            raise Stale(f"{kind.name} {record.key!r} changed since it was read")
        return self._put(kind, revised(record, record.version + 1))

    async def delete(self, kind: Kind[Any], key: str) -> bool:
        shelf = self._shelf(kind)
        if key not in shelf.rows:
            return False
        self._before.append((shelf, key, shelf.put(key, None)))
        return True

    async def claim(self, kind: Kind[L], where: Mapping[str, Scalar], *, owner: str, seconds: float) -> L | None:
        found = self._answer(kind, Question.due(kind, where, self.now))
        return await self.replace(kind, claimed(found[0], owner, self.now, seconds)) if found else None

    def page(self, kind: Kind[R], after: str | None, limit: int) -> list[R]:
        rows = self._shelf(kind).rows
        keys = sorted(key for key in rows if after is None or key > after)
        return self._sieve.first(kind, (rows[key] for key in keys[:limit]), limit, strict=True)

    def _answer(self, kind: Kind[R], question: Question, *, strict: bool = False) -> list[R]:
        return self._sieve.first(kind, self._shelf(kind).find(question), question.limit, strict=strict)

    def _put(self, kind: Kind[R], record: R) -> R:
        if self._strict:
            _, record = kind.dump_json(record)
        shelf = self._shelf(kind)
        self._before.append((shelf, record.key, shelf.put(record.key, _Row(kind, record))))
        return record

    def _shelf(self, kind: Kind[Any]) -> _Shelf:
        if self.over:
            raise RuntimeError("the transaction is over: `tx` is only good inside of its `work`")
        if kind.name not in self._shelves:
            raise ValueError(f"the store was not opened with kind {kind.name!r}")
        return self._shelves[kind.name]


class FakeStore:
    """`async with FakeStore(kinds, clock) as store`.

    It runs every `work` twice and throws the first away, so that what `work` leaves behind by mistake shows; what is written
    goes through JSON; and other tasks have a turn before and after each call, as with a real engine. strict: False for a
    benchmark, which wants none of that. trouble: raised by every call while it is set.
    """

    def __init__(self, kinds: Sequence[Kind[Any]], clock: Clock | None = None, *, strict: bool = True) -> None:
        self._clock = clock or SystemClock()
        self._kinds = {kind.name: kind for kind in kinds}
        self._shelves = {kind.name: _Shelf(kind) for kind in kinds}
        self._hints = Hints(self._clock)
        self._sieve = Sieve()
        self._strict = strict
        self._closed = False
        self.trouble: Exception | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True

    async def get(self, kind: Kind[R], key: str, *, by: str = "") -> R | None:
        return await (await self._turn()).get(kind, key, by=by)

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
        tx = await self._turn()
        return await tx.find(
            kind, where, order=order, since=since, until=until, descending=descending, limit=limit, strict=strict
        )

    async def atomically(self, work: Callable[[Tx], Awaitable[T]], *, soon: bool = False) -> T:
        tx = await self._turn()
        if self._strict:
            with suppress(Exception):  # the caller's `work` may throw anything; the second run says it aloud
                self._run(work, first := self._tx())
                first.undo()
        result = self._run(work, tx)
        if written := tx.written:
            self._hints.moved(written)
            self._hints.inserted(tx.inserted)
        if self._strict:
            await asyncio.sleep(0)
        return result

    async def page(self, kind: Kind[R], *, after: str | None = None, limit: int = 100) -> list[R]:
        return (await self._turn()).page(kind, after, limit)

    async def restore(self, records: Sequence[tuple[Kind[Any], Record]], work: Callable[[Tx], Awaitable[T]]) -> T:
        async def all_of_it(tx: Tx) -> T:
            mine = cast(_FakeTx, tx)
            for kind, record in records:
                mine.restore(kind, record)
            return await work(tx)

        return await self.atomically(all_of_it)

    async def strangers(self) -> list[str]:
        await self._turn()
        return []

    def changes(self, *kinds: Kind[Any], inserted: bool = False) -> Changes:
        return self._hints.watch(kinds, inserted=inserted)

    async def check(self) -> list[str]:
        await self._turn()
        return [error.fault for error in self._unreadable()]

    async def set_aside(self, keep: Callable[[Sequence[Unreadable]], Sequence[Unreadable]]) -> Sequence[Unreadable]:
        tx = await self._turn()
        found = self._unreadable()
        kept = keep(found) if found else []
        for error in kept:
            await tx.delete(self._kinds[error.kind], error.key)
        self._hints.moved(tx.written)
        return kept

    async def backup(self, target: str) -> None:
        await self._turn()
        documents = {
            name: [row.stored().document for row in shelf.rows.values()] for name, shelf in self._shelves.items()
        }
        _write_new(Path(target), json.dumps(documents))

    def _unreadable(self) -> list[Unreadable]:
        return [
            error
            for shelf in self._shelves.values()
            for error in unreadable(shelf.kind, (row.stored() for row in shelf.rows.values()))
        ]

    async def _turn(self) -> _FakeTx:
        if self._strict:
            await asyncio.sleep(0)
        if self._closed:
            raise Unavailable("the store is closed")
        if self.trouble is not None:
            raise self.trouble
        return self._tx()

    def _tx(self) -> _FakeTx:
        return _FakeTx(self._shelves, self._clock, self._sieve, strict=self._strict)

    def _run(self, work: Callable[[Tx], Awaitable[T]], tx: _FakeTx) -> T:
        """Raises what `work` raises; then nothing of it is left."""
        try:
            return drive(work(tx))
        except BaseException:
            tx.undo()
            raise
        finally:
            tx.over = True


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise OperatorMust(f"{path} is there already; choose another name for the copy") from None
