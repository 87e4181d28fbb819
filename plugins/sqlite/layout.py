"""The layout of the database: numbered migrations, then a table and its indexes for each kind."""

import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from importlib.resources import files
from operator import attrgetter
from pathlib import Path
from typing import Any

from chatelier import (
    Kind,
    OperatorMust,
    Question,
    Record,
    Stored,
    StoreTooNew,
    Unreadable,
    plain,
    unique_values,
    value_at,
)

from . import words
from .connection import transaction

APPLICATION_ID = 0x43686174
"""Marks the file as ours; "Chat" in ASCII."""

STORED = "key, version, CAST(doc AS BLOB)"
"""The columns of a `Stored`. As bytes, because text that is not UTF-8 would end the whole answer."""
ENTER = "INSERT INTO uniques (kind, field, value, key) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
HOLDER = "SELECT key FROM uniques WHERE kind = ? AND field = ? AND value = ?"
HELD = "SELECT field, value FROM uniques WHERE kind = ? AND key = ?"
LEAVE = "DELETE FROM uniques WHERE kind = ? AND key = ?"
LEAVE_ONE = "DELETE FROM uniques WHERE kind = ? AND field = ? AND value = ?"
_AS_THEY_ARE = {str, int, float, bool, type(None)}


class Table:
    """The SQL of one kind. Each field that it is asked by has a column, so that an index is written without reading JSON."""

    def __init__(self, kind: Kind[Any]) -> None:
        self.kind = kind
        self.name = f'"records_{kind.name}"'
        self.paths = tuple(dict.fromkeys(path for query in kind.queries for path in _columns(query.equal, query.order)))
        self._values = _getter(self.paths)
        self._questions: dict[Any, str] = {}
        self._updates: dict[tuple[int, ...], str] = {}
        # The names come from declared kinds, never from people.
        columns = "".join(f", {_column(path)}" for path in self.paths)
        marks = ", ?" * len(self.paths)
        self.get = f"SELECT {STORED} FROM {self.name} WHERE key = ?"  # noqa: S608 - as said above
        self.before = f"SELECT version{columns} FROM {self.name} WHERE key = ?"  # noqa: S608 - as said above
        self.insert = (
            f"INSERT INTO {self.name} (doc{columns}, key, version) VALUES (?{marks}, ?, ?) ON CONFLICT DO NOTHING"  # noqa: S608 - as above
        )
        self.delete = f"DELETE FROM {self.name} WHERE key = ?"  # noqa: S608 - as said above
        self.all = f"SELECT {STORED} FROM {self.name} ORDER BY key"  # noqa: S608 - as said above
        self.first = f"SELECT {STORED} FROM {self.name} ORDER BY key LIMIT ?"  # noqa: S608 - as said above
        self.next = f"SELECT {STORED} FROM {self.name} WHERE key > ? ORDER BY key LIMIT ?"  # noqa: S608 - as said above

    def values(self, record: Record) -> list[Any]:
        """Of its columns, in their order. What cannot be compared stands nowhere."""
        try:
            found = self._values(record)
        except AttributeError:  # a path goes through a mapping, or through nothing
            found = tuple(value_at(record, path) for path in self.paths)
        return [value if type(value) in _AS_THEY_ARE else _comparable(value) for value in found]

    def update(self, changed: tuple[int, ...]) -> str:
        """Of the document and these columns, by number: SQLite writes each index anew that has a column which is set."""
        if changed not in self._updates:
            sets = "".join(f", {_column(self.paths[n])} = ?" for n in changed)
            self._updates[changed] = f"UPDATE {self.name} SET doc = ?{sets}, version = version + 1 WHERE key = ?"  # noqa: S608 - as above
        return self._updates[changed]

    def open(self, connection: sqlite3.Connection) -> None:
        """Make what is missing, and drop the indexes that an older version kept in place of columns."""
        indexes = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql LIKE '%json_extract%'",
            (f"records_{self.kind.name}",),
        ).fetchall()
        for (name,) in indexes:
            connection.execute(f'DROP INDEX "{name}"')
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {self.name} (key TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL, doc TEXT NOT NULL)"
        )
        there = {name for _, name, *_ in connection.execute(f"PRAGMA table_info({self.name})")}
        if missing := [path for path in self.paths if f"={path}" not in there]:
            for path in missing:
                connection.execute(f"ALTER TABLE {self.name} ADD COLUMN {_column(path)}")
            sets = ", ".join(f"{_column(path)} = {_extracted(path)}" for path in missing)
            connection.execute(f"UPDATE {self.name} SET {sets} WHERE json_valid(doc)")  # noqa: S608 - declared names
        for query in self.kind.queries:
            if columns := _columns(query.equal, query.order):
                names = ", ".join(map(_column, columns))
                connection.execute(f"CREATE INDEX IF NOT EXISTS {self._index(columns)} ON {self.name} ({names}, key)")

    def misfiled(self, connection: sqlite3.Connection) -> list[str]:
        """The keys of records whose columns say something else than they do: questions miss them."""
        if not self.paths:
            return []
        differs = " OR ".join(f"{_column(path)} IS NOT {_extracted(path)}" for path in self.paths)
        rows = connection.execute(f"SELECT key FROM {self.name} WHERE json_valid(doc) AND ({differs}) ORDER BY key")  # noqa: S608 - as said above
        return [key for (key,) in rows]

    def find(self, question: Question) -> tuple[str, list[Any]]:
        """The statement, held to the index of its question, and its parameters. Who runs it stops at the limit."""
        bounds = [bound for bound in (question.since, question.until) if bound is not None]
        parameters = [value for _, value in question.equal if value is not None] + bounds
        shape = (
            tuple((path, value is None) for path, value in question.equal),
            question.order,
            question.since is None,
            question.until is None,
            question.descending,
        )
        if shape not in self._questions:
            self._questions[shape] = self._question(question)
        return self._questions[shape], parameters

    def _question(self, question: Question) -> str:
        conditions = [f"{_column(path)} {'IS NULL' if value is None else '= ?'}" for path, value in question.equal]
        if question.order:
            place = _column(question.order)
            conditions.append(f"{place} IS NOT NULL")
            for bound, sign in ((question.since, ">="), (question.until, "<")):
                conditions += [] if bound is None else [f"{place} {sign} ?"]
        columns = _columns(tuple(path for path, _ in question.equal), question.order)
        turn = " DESC" if question.descending else ""
        order = (f"{_column(question.order)}{turn}, " if question.order else "") + f"key{turn}"
        source = f"{self.name} INDEXED BY {self._index(columns)}" if columns else self.name
        where = " AND ".join(conditions) or "1"
        return f"SELECT {STORED} FROM {source} WHERE {where} ORDER BY {order}"  # noqa: S608 - names are declared, values bound

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
            table.open(connection)
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
    taken = connection.execute(HOLDER, (kind, field, value)).fetchone()
    if taken and taken[0] != key:
        raise OperatorMust(words.TWINS.format(kind=kind, first=taken[0], second=key, field=field, value=value))
    connection.execute(
        "INSERT OR IGNORE INTO uniques (kind, field, value, key) VALUES (?, ?, ?, ?)", (kind, field, value, key)
    )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _getter(paths: tuple[str, ...]) -> Callable[[Record], tuple[Any, ...]]:
    if len(paths) > 1:
        return attrgetter(*paths)
    return lambda record: tuple(value_at(record, path) for path in paths)


def _comparable(value: Any) -> Any:
    return plain(value) if isinstance(value, str | int | float | datetime) else None


def _columns(equal: tuple[str, ...], order: str) -> tuple[str, ...]:
    return (*equal, order) if order else equal


def _column(path: str) -> str:
    return f'"={path}"'


def _extracted(path: str) -> str:
    """What a column holds, from the document."""
    return (
        f"CASE WHEN json_type(doc, '$.{path}') IN ('object', 'array') THEN NULL ELSE json_extract(doc, '$.{path}') END"
    )


def table_of(tables: Mapping[str, Table], kind: Kind[Any]) -> Table:
    """Raises ValueError for a kind that the store was not opened with."""
    if kind.name not in tables:
        raise ValueError(f"the store was not opened with kind {kind.name!r}")
    return tables[kind.name]
