"""Care of the data: what is wrong with it, and a copy of it."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chatelier import OperatorMust, Unreadable, unique_values, unreadable

from . import words
from .connection import said, transaction
from .layout import LEAVE, Table, stored


def check(connection: sqlite3.Connection, tables: Iterable[Table]) -> list[str]:
    """A line for each thing that is wrong, from one moment's view. Tables of kinds that are not loaded are left alone."""
    with transaction(connection, "DEFERRED"):
        found = _file(connection)
        for table in tables:
            found += _records(connection, table)
    return found


def _file(connection: sqlite3.Connection) -> list[str]:
    return [line for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]


def _records(connection: sqlite3.Connection, table: Table) -> Iterator[str]:
    kind = table.kind
    rows = connection.execute("SELECT field, value, key FROM uniques WHERE kind = ?", (kind.name,))
    entered = {(field, value): key for field, value, key in rows if field in kind.unique}
    bad = set()
    for one in stored(connection, table.all):
        try:
            one.read(kind)
        except Unreadable as error:
            bad.add(one.key)
            yield error.fault
        else:
            yield from _uniques(table, one.key, one.values(kind), entered)
    for key in table.misfiled(connection):
        if key not in bad:
            yield f"{kind.name} {key!r} is filed under other values than its own, so questions miss it"
    for (field, value), key in entered.items():
        if key not in bad:
            yield f"uniques holds {field} {value!r} for {kind.name} {key!r}, which does not have it"


def _uniques(table: Table, key: str, document: Mapping[str, Any], entered: dict[tuple[str, str], str]) -> Iterator[str]:
    for pair in unique_values(table.kind, document):
        if entered.pop(pair, None) != key:
            yield f"{table.kind.name} {key!r} has the {pair[0]} {pair[1]!r}, which uniques does not hold for it"


def strangers(connection: sqlite3.Connection, tables: Iterable[Table]) -> list[str]:
    """The names of kinds that have records, but no table here."""
    known = {f"records_{table.kind.name}" for table in tables}
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'records\\_%' ESCAPE '\\'"
    )
    others = [name for (name,) in names if name not in known]
    full = [name for name in others if connection.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone()]  # noqa: S608 - its own names
    return sorted(name.removeprefix("records_") for name in full)


def set_aside(
    connection: sqlite3.Connection,
    tables: Mapping[str, Table],
    keep: Callable[[Sequence[Unreadable]], Sequence[Unreadable]],
) -> Sequence[Unreadable]:
    """Delete those of the unreadable records that `keep` answers with."""
    with transaction(connection):
        found = [bad for table in tables.values() for bad in unreadable(table.kind, stored(connection, table.all))]
        kept = keep(found) if found else []
        for error in kept:
            connection.execute(tables[error.kind].delete, (error.key,))
            connection.execute(LEAVE, (error.kind, error.key))
    return kept


def backup(connection: sqlite3.Connection, target: Path) -> None:
    """Copy to a file that is not there yet. It appears under its name only when it is whole."""
    if target.exists():
        raise OperatorMust(words.TARGET_EXISTS.format(path=target))
    part = target.with_name(target.name + ".part")
    with said(part):
        copy = sqlite3.connect(part)
        try:
            connection.backup(copy)
        finally:
            copy.close()
    part.rename(target)
