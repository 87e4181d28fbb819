"""Reading records: from the server, and within a transaction from what it has written as well."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from motor.motor_asyncio import AsyncIOMotorClientSession

from chatelier import Cache, Kind, Question, Record, Sieve

from .connection import Database
from .draft import Entry
from .layout import Place, Shelf, stored

R = TypeVar("R", bound=Record)
Row = dict[str, Any]
Asked = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""How the server is asked: at once, or through whoever runs a `work`."""

SHORT = 100
"""Records of an answer that is read from its JSON on the loop: one takes about 20 µs, less than a thread would cost."""
FIELDS = ("v", "doc")


class Candidate(Protocol):
    """What may stand in an answer."""

    @property
    def place(self) -> Place: ...
    def read(self, kind: Kind[R]) -> R: ...


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A document of the server. It is read only where the record is not known as it stands there."""

    row: Row
    place: Place
    cache: Cache | None

    def read(self, kind: Kind[R]) -> R:
        return read(self.row, kind, self.cache)


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """What the transaction has written."""

    entry: Entry
    place: Place

    def read(self, kind: Kind[R]) -> R:
        record: R = self.entry.read(kind)
        return record


def read(row: Row, kind: Kind[R], cache: Cache | None) -> R:
    """Raises Unreadable."""
    known: R | None = cache.get(kind, row["_id"]) if cache is not None else None
    if known is not None and known.version == row.get("v"):
        return known
    record = stored(row).read(kind)
    if cache is not None:
        cache.put(kind, record, len(row["doc"]))
    return record


@dataclass(frozen=True, slots=True)
class View:
    """Through which the server is read.

    session: None outside of a transaction. entries: what it has written of a kind so far. apart: runs what takes long on a
    thread; None where that must not suspend.
    """

    database: Database
    sieve: Sieve
    asked: Asked
    session: AsyncIOMotorClientSession | None = None
    cache: Cache | None = None
    entries: Callable[[str], Mapping[str, Entry]] = field(default=lambda _: {})
    apart: Callable[[Callable[[], Any]], Awaitable[Any]] | None = None

    async def row(self, shelf: Shelf, wanted: Row, fields: Sequence[str] = FIELDS) -> Row | None:
        find_one = partial(self.database[shelf.name].find_one, wanted, fields, session=self.session)
        found: Row | None = await self.asked(find_one)
        return found

    async def find(self, shelf: Shelf, kind: Kind[R], question: Question, *, strict: bool) -> list[R]:
        """By pages as long as what is still wanted: another one is asked for only where something could not be read."""
        written = self.entries(kind.name)
        mine = list(_fitting(shelf, question, written))
        found: list[R] = []
        skip = 0
        while True:
            wanted = question.limit - len(found)
            rows = await self.asked(partial(self._page, shelf, question, skip, wanted, list(written)))
            theirs = [Found(row, shelf.place(question, row, row["_id"]), self.cache) for row in rows]
            line: list[Candidate] = sorted([*theirs, *mine], key=_place, reverse=question.descending)
            if is_more := len(rows) == wanted:
                line = line[: line.index(theirs[-1]) + 1]
                mine = [one for one in mine if one not in line]
            found += await self._first(kind, line, wanted, strict=strict)
            if not is_more or len(found) == question.limit:
                return found
            skip += len(rows)

    async def page(self, shelf: Shelf, kind: Kind[R], after: str | None, limit: int) -> list[R]:
        """In the order of the keys. Raises Unreadable."""
        wanted: Row = {} if after is None else {"_id": {"$gt": after}}
        cursor = self.database[shelf.name].find(wanted, FIELDS, limit=limit, batch_size=limit + 1, sort=[("_id", 1)])
        rows: list[Row] = await self.asked(partial(cursor.to_list, limit))
        return await self._first(kind, [Found(row, ("", row["_id"]), None) for row in rows], limit, strict=True)

    async def _first(self, kind: Kind[R], line: Sequence[Candidate], wanted: int, *, strict: bool) -> list[R]:
        first = partial(self.sieve.first, kind, line, wanted, strict=strict)
        if self.apart is None or len(line) <= SHORT:
            return first()
        records: list[R] = await self.apart(first)
        return records

    async def _page(self, shelf: Shelf, question: Question, skip: int, limit: int, without: list[str]) -> list[Row]:
        wanted = shelf.filter(question)
        if without:
            wanted["_id"] = {"$nin": without}
        fields = (*FIELDS, shelf.order_field(question)) if question.order else FIELDS
        cursor = self.database[shelf.name].find(
            wanted,
            fields,
            skip=skip,
            limit=limit,
            batch_size=limit + 1,
            sort=shelf.sort(question),
            session=self.session,
        )
        rows: list[Row] = await cursor.hint(shelf.index(question)).to_list(limit)
        return rows


def _fitting(shelf: Shelf, question: Question, written: Mapping[str, Entry]) -> "list[Written]":
    found = []
    for key, entry in written.items():
        if entry.record is not None and shelf.fits(question, entry.row):
            found.append(Written(entry, shelf.place(question, entry.row, key)))
    return found


def _place(one: Candidate) -> Place:
    return one.place
