"""Reads and one transaction, on whatever thread holds the connection. Nothing here suspends."""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from chatelier import Exists, Kind, Leased, Question, Record, Scalar, Sieve, Stale, claimed, unique_values

from .layout import ENTER, LEAVE, LEAVE_ONE, Table, stored, table_of

R = TypeVar("R", bound=Record)
L = TypeVar("L", bound=Leased)


def get(connection: sqlite3.Connection, table: Table, kind: Kind[R], key: str, by: str) -> R | None:
    if by and by not in kind.unique:
        raise ValueError(f"{by!r} is not a unique key of {kind.name!r}")
    found = stored(connection, table.get_by, (kind.name, by, key)) if by else stored(connection, table.get, (key,))
    with closing(found):
        one = next(found, None)
    return one.read(kind) if one else None


def find(
    connection: sqlite3.Connection, table: Table, kind: Kind[R], question: Question, sieve: Sieve, *, strict: bool
) -> list[R]:
    with closing(stored(connection, *table.find(question))) as found:
        return sieve.first(kind, found, question.limit, strict=strict)


class SqliteTx:
    """One transaction of the writer. written: the names of the kinds that it changed; inserted: of those with new records."""

    def __init__(
        self, connection: sqlite3.Connection, tables: Mapping[str, Table], now: datetime, sieve: Sieve
    ) -> None:
        self._connection = connection
        self._tables = tables
        self._now = now
        self._sieve = sieve
        self.written: set[str] = set()
        self.inserted: set[str] = set()
        self.over = False

    @property
    def now(self) -> datetime:
        return self._now

    async def get(self, kind: Kind[R], key: str, *, by: str = "") -> R | None:
        return get(self._connection, self._table(kind), kind, key, by)

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
        return find(self._connection, self._table(kind), kind, question, self._sieve, strict=strict)

    async def insert(self, kind: Kind[R], record: R) -> R:
        table = self._table(kind)
        text, stored = kind.dump_json(replace(record, version=1))
        pairs = unique_values(kind, stored)
        self._must_be_free(kind, record.key, pairs)
        row = (text, *table.values(stored), record.key, 1)
        if not self._connection.execute(table.insert, row).rowcount:
            raise Exists(f"{kind.name} {record.key!r} is there already")
        self._enter(kind, record.key, pairs)
        self.written.add(kind.name)
        self.inserted.add(kind.name)
        return stored

    async def replace(self, kind: Kind[R], record: R) -> R:
        table = self._table(kind)
        text, stored = kind.dump_json(replace(record, version=record.version + 1))
        before = self._connection.execute(table.before, (record.key,)).fetchone()
        if before is None or before[0] != record.version:
            raise Stale(f"{kind.name} {record.key!r} changed since it was read")
        if kind.unique:
            self._rename(kind, record.key, unique_values(kind, stored))
        values = table.values(stored)
        changed = tuple(n for n, value in enumerate(values) if value != before[n + 1])
        self._connection.execute(table.update(changed), (text, *(values[n] for n in changed), record.key))
        self.written.add(kind.name)
        return stored

    async def delete(self, kind: Kind[Any], key: str) -> bool:
        if not self._connection.execute(self._table(kind).delete, (key,)).rowcount:
            return False
        if kind.unique:
            self._connection.execute(LEAVE, (kind.name, key))
        self.written.add(kind.name)
        return True

    async def claim(self, kind: Kind[L], where: Mapping[str, Scalar], *, owner: str, seconds: float) -> L | None:
        question = Question.due(kind, where, self._now)
        found = find(self._connection, self._table(kind), kind, question, self._sieve, strict=False)
        return await self.replace(kind, claimed(found[0], owner, self._now, seconds)) if found else None

    def _rename(self, kind: Kind[Any], key: str, pairs: list[tuple[str, str]]) -> None:
        """Its unique keys are these now. Raises Exists, and then nothing is changed."""
        held = self._connection.execute(
            "SELECT field, value FROM uniques WHERE kind = ? AND key = ?", (kind.name, key)
        ).fetchall()
        fresh = [pair for pair in pairs if pair not in held]
        self._must_be_free(kind, key, fresh)
        self._enter(kind, key, fresh)
        for pair in held:
            if pair not in pairs:
                self._connection.execute(LEAVE_ONE, (kind.name, *pair))

    def _must_be_free(self, kind: Kind[Any], key: str, pairs: Iterable[tuple[str, str]]) -> None:
        for field, value in pairs:
            row = self._connection.execute(
                "SELECT key FROM uniques WHERE kind = ? AND field = ? AND value = ?", (kind.name, field, value)
            ).fetchone()
            if row and row[0] != key:
                raise Exists(f"{kind.name} with the {field} {value!r} is there already")

    def _enter(self, kind: Kind[Any], key: str, pairs: Iterable[tuple[str, str]]) -> None:
        for field, value in pairs:
            self._connection.execute(ENTER, (kind.name, field, value, key))

    def _table(self, kind: Kind[Any]) -> Table:
        if self.over:
            raise RuntimeError("the transaction is over: `tx` is only good inside of its `work`")
        return table_of(self._tables, kind)
