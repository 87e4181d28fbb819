"""A store in memory that is as strict as the real ones, and stricter about `work`."""

import asyncio
import copy
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from ..clock import Clock, SystemClock, to_millisecond
from ..errors import Exists, OperatorMust, Stale, Unavailable
from ..storage import (
    Changes,
    Hints,
    Kind,
    L,
    Question,
    R,
    Scalar,
    Sieve,
    Stored,
    Tx,
    Unreadable,
    claimed,
    drive,
    unique_values,
    unreadable,
)

T = TypeVar("T")
Document = dict[str, Any]


@dataclass(slots=True)
class _Shelf:
    """The records of one kind: documents by key, and the key of each unique value."""

    documents: dict[str, Document] = field(default_factory=dict)
    uniques: dict[tuple[str, str], str] = field(default_factory=dict)

    def stored(self, key: str) -> Stored:
        document = copy.deepcopy(self.documents[key])
        return Stored(key, document["version"], document)

    def copied(self) -> "_Shelf":
        return _Shelf(dict(self.documents), dict(self.uniques))


class _FakeTx:
    """One try of one `work`, on copies of the shelves it writes to."""

    def __init__(self, shelves: Mapping[str, _Shelf], now: datetime, sieve: Sieve) -> None:
        self._shelves = shelves
        self._sieve = sieve
        self.written: dict[str, _Shelf] = {}
        self.inserted: set[str] = set()
        self.over = False
        self._now = now

    @property
    def now(self) -> datetime:
        return self._now

    async def get(self, kind: Kind[R], key: str, *, by: str = "") -> R | None:
        shelf = self._shelf(kind)
        if by and by not in kind.unique:
            raise ValueError(f"{by!r} is not a unique key of {kind.name!r}")
        place = shelf.uniques.get((by, key)) if by else key
        return shelf.stored(place).read(kind) if place in shelf.documents else None

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
        if record.key in self._shelf(kind).documents:
            raise Exists(f"{kind.name} {record.key!r} is there already")
        stored = self._put(kind, replace(record, version=1))
        self.inserted.add(kind.name)
        return stored

    async def replace(self, kind: Kind[R], record: R) -> R:
        stored = self._shelf(kind).documents.get(record.key)
        if stored is None or stored["version"] != record.version:
            raise Stale(f"{kind.name} {record.key!r} changed since it was read")
        return self._put(kind, replace(record, version=record.version + 1))

    async def delete(self, kind: Kind[Any], key: str) -> bool:
        if key not in self._shelf(kind).documents:
            return False
        shelf = self._writable(kind)
        for pair in unique_values(kind, shelf.documents.pop(key)):
            del shelf.uniques[pair]
        return True

    async def claim(self, kind: Kind[L], where: Mapping[str, Scalar], *, owner: str, seconds: float) -> L | None:
        found = self._answer(kind, Question.due(kind, where, self._now))
        return await self.replace(kind, claimed(found[0], owner, self._now, seconds)) if found else None

    def _answer(self, kind: Kind[R], question: Question, *, strict: bool = False) -> list[R]:
        shelf = self._shelf(kind)
        fitting = [document for document in shelf.documents.values() if question.fits(document)]
        fitting.sort(key=question.place, reverse=question.descending)
        found = (shelf.stored(document["key"]) for document in fitting)
        return self._sieve.first(kind, found, question.limit, strict=strict)

    def _put(self, kind: Kind[R], record: R) -> R:
        document = json.loads(json.dumps(kind.dump(record)))
        taken = unique_values(kind, document)
        for path, value in taken:
            if self._shelf(kind).uniques.get((path, value), record.key) != record.key:
                raise Exists(f"{kind.name} with the {path} {value!r} is there already")
        shelf = self._writable(kind)
        for pair in unique_values(kind, shelf.documents.get(record.key, {})):
            del shelf.uniques[pair]
        shelf.documents[record.key] = document
        shelf.uniques.update(dict.fromkeys(taken, record.key))
        return kind.load(copy.deepcopy(document))

    def _shelf(self, kind: Kind[Any]) -> _Shelf:
        if self.over:
            raise RuntimeError("the transaction is over: `tx` is only good inside of its `work`")
        if kind.name not in self._shelves:
            raise ValueError(f"the store was not opened with kind {kind.name!r}")
        return self.written.get(kind.name) or self._shelves[kind.name]

    def _writable(self, kind: Kind[Any]) -> _Shelf:
        if kind.name not in self.written:
            self.written[kind.name] = self._shelf(kind).copied()
        return self.written[kind.name]


class FakeStore:
    """`async with FakeStore(kinds, clock) as store`.

    It runs every `work` twice and throws the first away, so that what `work` leaves behind by mistake shows; and it gives
    other tasks a turn before and after each call, as a real engine does. trouble: raised by every call while it is set.
    """

    def __init__(self, kinds: Sequence[Kind[Any]], clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._kinds = {kind.name: kind for kind in kinds}
        self._shelves = {kind.name: _Shelf() for kind in kinds}
        self._hints = Hints(self._clock)
        self._sieve = Sieve()
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

    async def atomically(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        await self._turn()
        with suppress(Exception):  # the caller's `work` may throw anything; the second run says it aloud
            self._run(work)
        result, tx = self._run(work)
        self._shelves.update(tx.written)
        self._hints.moved(tx.written, tx.inserted)
        await asyncio.sleep(0)
        return result

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
        self._shelves.update(tx.written)
        self._hints.moved(tx.written, tx.inserted)
        return kept

    async def backup(self, target: str) -> None:
        await self._turn()
        documents = {name: list(shelf.documents.values()) for name, shelf in self._shelves.items()}
        _write_new(Path(target), json.dumps(documents))

    def _unreadable(self) -> list[Unreadable]:
        pairs = [(self._kinds[name], shelf) for name, shelf in self._shelves.items()]
        return [error for kind, shelf in pairs for error in unreadable(kind, map(shelf.stored, shelf.documents))]

    async def _turn(self) -> _FakeTx:
        await asyncio.sleep(0)
        if self._closed:
            raise Unavailable("the store is closed")
        if self.trouble is not None:
            raise self.trouble
        return self._tx()

    def _tx(self) -> _FakeTx:
        return _FakeTx(self._shelves, to_millisecond(self._clock.now()), self._sieve)

    def _run(self, work: Callable[[Tx], Awaitable[T]]) -> tuple[T, _FakeTx]:
        tx = self._tx()
        try:
            return drive(work(tx)), tx
        finally:
            tx.over = True


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise OperatorMust(f"{path} is there already; choose another name for the copy") from None
