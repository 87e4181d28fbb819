"""The layout of the database: numbered migrations, then a table and its indexes for each kind."""

import sqlite3
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from chatelier import Kind, OperatorMust, Question, Stored, StoreTooNew, Unreadable, unique_values

from . import words
from .connection import transaction

APPLICATION_ID = 0x43686174
"""Marks the file as ours; "Chat" in ASCII."""

STORED = "key, version, CAST(doc AS BLOB)"
"""The columns of a `Stored`. As bytes, because text that is not UTF-8 would end the whole answer."""
LEAVE = "DELETE FROM uniques WHERE kind = ? AND key = ?"


class Table:
    """The SQL of one kind."""

    def __init__(self, kind: Kind[Any]) -> None:
        self.kind = kind
        self.name = f'"records_{kind.name}"'
        # The names come from declared kinds, never from people.
        self.get = f"SELECT {STORED} FROM {self.name} WHERE key = ?"  # noqa: S608 - as said above
        self.get_by = (
            f"SELECT {STORED} FROM {self.name} WHERE key = "  # noqa: S608 - as said above
            "(SELECT key FROM uniques WHERE kind = ? AND field = ? AND value = ?)"
        )
        self.version = f"SELECT version FROM {self.name} WHERE key = ?"  # noqa: S608 - as said above
        self.insert = f"INSERT INTO {self.name} (doc, key, version) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"  # noqa: S608 - as above
        self.update = f"UPDATE {self.name} SET doc = ?, version = version + 1 WHERE key = ? AND version = ?"  # noqa: S608 - as above
        self.delete = f"DELETE FROM {self.name} WHERE key = ?"  # noqa: S608 - as said above
        self.all = f"SELECT {STORED} FROM {self.name} ORDER BY key"  # noqa: S608 - as said above

    def schema(self) -> Iterator[str]:
        yield f"CREATE TABLE IF NOT EXISTS {self.name} (key TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL, doc TEXT NOT NULL)"
        for query in self.kind.queries:
            if columns := _columns(query.equal, query.order):
                expressions = ", ".join(map(_value, columns))
                yield f"CREATE INDEX IF NOT EXISTS {self._index(columns)} ON {self.name} ({expressions}, key)"

    def find(self, question: Question) -> tuple[str, list[Any]]:
        """The statement, held to the index of its question, and its parameters. Who runs it stops at the limit."""
        conditions, parameters = [], []
        for path, value in question.equal:
            conditions.append(f"{_value(path)} IS NULL" if value is None else f"{_value(path)} = ?")
            parameters += [] if value is None else [value]
        if question.order:
            place = _value(question.order)
            conditions.append(f"{place} IS NOT NULL")
            for bound, sign in ((question.since, ">="), (question.until, "<")):
                conditions += [] if bound is None else [f"{place} {sign} ?"]
                parameters += [] if bound is None else [bound]
        columns = _columns(tuple(path for path, _ in question.equal), question.order)
        turn = " DESC" if question.descending else ""
        order = (f"{_value(question.order)}{turn}, " if question.order else "") + f"key{turn}"
        source = f"{self.name} INDEXED BY {self._index(columns)}" if columns else self.name
        where = " AND ".join(conditions) or "1"
        statement = f"SELECT {STORED} FROM {source} WHERE {where} ORDER BY {order}"  # noqa: S608 - names are declared, values bound
        return statement, parameters

    def _index(self, columns: Sequence[str]) -> str:
        return f'"{self.kind.name}:{",".join(columns)}"'


def open_layout(connection: sqlite3.Connection, path: Path, kinds: Sequence[Kind[Any]]) -> dict[str, Table]:
    """Bring the file to this version's layout. Safe when several processes do it at once."""
    if len({kind.name for kind in kinds}) < len(kinds):
        raise ValueError("two kinds have one name")
    with transaction(connection, "DEFERRED"):
        _refuse_strangers(connection, path)
    connection.execute("PRAGMA journal_mode=WAL")
    tables = {kind.name: Table(kind) for kind in kinds}
    with transaction(connection):
        _refuse_strangers(connection, path)
        _migrate(connection)
        for table in tables.values():
            for statement in table.schema():
                connection.execute(statement)
            _fill_uniques(connection, table)
    return tables


def migrations() -> list[tuple[int, str]]:
    """Number and text of each migration, in order."""
    folder = files(__package__) / "migrations"
    named = sorted((file.name, file) for file in folder.iterdir() if file.name.endswith(".sql"))
    return [(int(name[:4]), file.read_text("utf-8")) for name, file in named]


def _refuse_strangers(connection: sqlite3.Connection, path: Path) -> None:
    owner, found = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    is_fresh = owner == found == 0 and not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    if not is_fresh and owner != APPLICATION_ID:
        raise OperatorMust(words.NOT_OURS.format(path=path))
    known = migrations()[-1][0]
    if found > known:
        raise StoreTooNew(words.TOO_NEW.format(path=path, found=found, known=known))


def _migrate(connection: sqlite3.Connection) -> None:
    at = _pragma(connection, "user_version")
    for number, text in migrations():
        if number > at:
            for statement in _statements(text):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={number}")
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")


def _statements(text: str) -> Iterator[str]:
    """One at a time: `executescript` would end the transaction."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _fill_uniques(connection: sqlite3.Connection, table: Table) -> None:
    """Enter the unique keys of records that are older than the declaration of a field."""
    kind = table.kind
    known = {field for (field,) in connection.execute("SELECT field FROM unique_fields WHERE kind = ?", (kind.name,))}
    if fresh := set(kind.unique) - known:
        for one in list(stored(connection, table.all)):
            with suppress(Unreadable):
                pairs = [pair for pair in unique_values(kind, one.values(kind)) if pair[0] in fresh]
                for field, value in pairs:
                    _enter(connection, kind.name, field, value, one.key)
        connection.executemany(
            "INSERT INTO unique_fields (kind, field) VALUES (?, ?)", [(kind.name, field) for field in fresh]
        )


def stored(
    connection: sqlite3.Connection, statement: str, parameters: Sequence[Any] = ()
) -> Generator[Stored, None, None]:
    """The rows of a statement, each read from the file when it is asked for."""
    with closing(connection.execute(statement, parameters)) as rows:
        for key, version, doc in rows:
            yield Stored(key, version, doc)


def _enter(connection: sqlite3.Connection, kind: str, field: str, value: str, key: str) -> None:
    taken = connection.execute(
        "SELECT key FROM uniques WHERE kind = ? AND field = ? AND value = ?", (kind, field, value)
    ).fetchone()
    if taken and taken[0] != key:
        raise OperatorMust(words.TWINS.format(kind=kind, first=taken[0], second=key, field=field, value=value))
    connection.execute(
        "INSERT OR IGNORE INTO uniques (kind, field, value, key) VALUES (?, ?, ?, ?)", (kind, field, value, key)
    )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _columns(equal: tuple[str, ...], order: str) -> tuple[str, ...]:
    return (*equal, order) if order else equal


def _value(path: str) -> str:
    return f"json_extract(doc, '$.{path}')"


def table_of(tables: Mapping[str, Table], kind: Kind[Any]) -> Table:
    """Raises ValueError for a kind that the store was not opened with."""
    if kind.name not in tables:
        raise ValueError(f"the store was not opened with kind {kind.name!r}")
    return tables[kind.name]
