"""Reads and one transaction, on whatever thread holds the connection. Nothing here suspends."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
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
    Sieve,
    Stale,
    Stored,
    claimed,
    revised,
    unique_values,
)

from .layout import ENTER, HELD, HOLDER, LEAVE, LEAVE_ONE, Table, stored, table_of

R = TypeVar("R", bound=Record)
L = TypeVar("L", bound=Leased)


def get(
    connection: sqlite3.Connection, table: Table, kind: Kind[R], key: str, by: str, cache: Cache | None
) -> R | None:
    """cache: of this connection; None on any other."""
    if by:
        if by not in kind.unique:
            raise ValueError(f"{by!r} is not a unique key of {kind.name!r}")
        row = connection.execute(HOLDER, (kind.name, by, key)).fetchone()
        if row is None:
            return None
        (key,) = row
    known: R | None = cache.get(kind, key) if cache is not None else None
    if known is not None:
        return known
    with closing(stored(connection, table.get, (key,))) as found:
        one = next(found, None)
    return _read(one, kind, cache) if one else None


def find(
    connection: sqlite3.Connection,
    table: Table,
    kind: Kind[R],
    question: Question,
    sieve: Sieve,
    cache: Cache | None,
    *,
    strict: bool,
) -> list[R]:
    with closing(stored(connection, *table.find(question))) as found:
        rows = found if cache is None else (_Remembered(one, cache) for one in found)
        return sieve.first(kind, rows, question.limit, strict=strict)


def _read(one: Stored, kind: Kind[R], cache: Cache | None) -> R:
    record = one.read(kind)
    if cache is not None:
        cache.put(kind, record, len(one.document))
    return record


def page(
    connection: sqlite3.Connection, table: Table, kind: Kind[R], sieve: Sieve, after: str | None, limit: int
) -> list[R]:
    statement, parameters = (table.first, (limit,)) if after is None else (table.next, (after, limit))
    with closing(stored(connection, statement, parameters)) as found:
        return sieve.first(kind, found, limit, strict=True)


class _Remembered:
    """A row of an answer; it is read only where the record is not known as it stands there."""

    def __init__(self, one: Stored, cache: Cache) -> None:
        self._one = one
        self._cache = cache

    def read(self, kind: Kind[R]) -> R:
        known: R | None = self._cache.get(kind, self._one.key)
        if known is not None and known.version == self._one.version:
            return known
        return _read(self._one, kind, self._cache)


class SqliteTx:
    """One transaction of the writer.

    written: the names of the kinds that it changed. inserted: new records, each with the name of its kind. size: bytes of JSON
    that it wrote.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        tables: Mapping[str, Table],
        now: datetime,
        sieve: Sieve,
        cache: Cache,
    ) -> None:
        self._connection = connection
        self._tables = tables
        self._now = now
        self._sieve = sieve
        self._cache = cache
        self.written: set[str] = set()
        self.inserted: list[tuple[str, Record]] = []
        self.size = 0
        self._touched: list[tuple[str, str]] = []
        self.over = False

    @property
    def now(self) -> datetime:
        return self._now

    async def get(self, kind: Kind[R], key: str, *, by: str = "") -> R | None:
        return get(self._connection, self._table(kind), kind, key, by, self._cache)

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
        return find(self._connection, self._table(kind), kind, question, self._sieve, self._cache, strict=strict)

    async def insert(self, kind: Kind[R], record: R) -> R:
        return self.restore(kind, revised(record, 1))

    def restore(self, kind: Kind[R], record: R) -> R:
        """As it is, with its version."""
        table = self._table(kind)
        text, stored = kind.dump_json(record)
        entered = self._enter(kind, record.key, unique_values(kind, stored))
        row = (text, *table.values(stored), record.key, record.version)
        try:
            if not self._connection.execute(table.insert, row).rowcount:
                raise Exists(f"{kind.name} {record.key!r} is there already")
        except Exception:  # the transaction stays usable
            self._leave(kind, entered)
            raise
        self.inserted.append((kind.name, stored))
        self._keep(kind, stored, text)
        return stored

    async def replace(self, kind: Kind[R], record: R) -> R:
        table = self._table(kind)
        text, stored = kind.dump_json(revised(record, record.version + 1))
        version, before, held = self._before(table, record.key)
        if version != record.version:
            raise Stale(f"{kind.name} {record.key!r} changed since it was read")
        if kind.unique:
            self._rename(kind, record.key, held, unique_values(kind, stored))
        values = table.values(stored)
        changed = tuple(n for n, value in enumerate(values) if value != before[n])
        self._connection.execute(table.update(changed), (text, *(values[n] for n in changed), record.key))
        self._keep(kind, stored, text)
        return stored

    async def delete(self, kind: Kind[Any], key: str) -> bool:
        if not self._connection.execute(self._table(kind).delete, (key,)).rowcount:
            return False
        if kind.unique:
            self._connection.execute(LEAVE, (kind.name, key))
        self.written.add(kind.name)
        self._touched.append((kind.name, key))
        self._cache.drop(kind.name, key)
        return True

    async def claim(self, kind: Kind[L], where: Mapping[str, Scalar], *, owner: str, seconds: float) -> L | None:
        question = Question.due(kind, where, self._now)
        found = find(self._connection, self._table(kind), kind, question, self._sieve, self._cache, strict=False)
        return await self.replace(kind, claimed(found[0], owner, self._now, seconds)) if found else None

    def forget(self) -> None:
        """What it wrote is rolled back."""
        for kind, key in self._touched:
            self._cache.drop(kind, key)
        self.written.clear()
        self.inserted.clear()

    def _keep(self, kind: Kind[Any], record: Record, text: str) -> None:
        self.written.add(kind.name)
        self._touched.append((kind.name, record.key))
        self.size += len(text)
        self._cache.put(kind, record, len(text))

    def _before(self, table: Table, key: str) -> tuple[int, Sequence[Any], list[tuple[str, str]]]:
        """The version, columns and unique keys of what stands there; version 0 for nothing."""
        kind = table.kind
        if (known := self._cache.get(kind, key)) is not None:
            return known.version, table.values(known), unique_values(kind, known)
        row = self._connection.execute(table.before, (key,)).fetchone()
        if row is None:
            return 0, (), []
        held = self._connection.execute(HELD, (kind.name, key)).fetchall() if kind.unique else []
        return row[0], row[1:], held

    def _rename(
        self, kind: Kind[Any], key: str, held: Sequence[tuple[str, str]], pairs: Sequence[tuple[str, str]]
    ) -> None:
        """Its unique keys are these now. Raises Exists, and then nothing is changed."""
        self._enter(kind, key, [pair for pair in pairs if pair not in held])
        self._leave(kind, [pair for pair in held if pair not in pairs])

    def _enter(self, kind: Kind[Any], key: str, pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Those that were not the record's own before. Raises Exists, and then nothing is changed."""
        entered = []
        for pair in pairs:
            if self._connection.execute(ENTER, (kind.name, *pair, key)).rowcount:
                entered.append(pair)
            elif self._connection.execute(HOLDER, (kind.name, *pair)).fetchone()[0] != key:
                self._leave(kind, entered)
                raise Exists(f"{kind.name} with the {pair[0]} {pair[1]!r} is there already")
        return entered

    def _leave(self, kind: Kind[Any], pairs: Iterable[tuple[str, str]]) -> None:
        for pair in pairs:
            self._connection.execute(LEAVE_ONE, (kind.name, *pair))

    def _table(self, kind: Kind[Any]) -> Table:
        if self.over:
            raise RuntimeError("the transaction is over: `tx` is only good inside of its `work`")
        return table_of(self._tables, kind)
