"""Care of the data: what is wrong with it, and a copy of it."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from chatelier import OperatorMust, unique_values

from . import words
from .connection import said, transaction
from .layout import Table


def check(connection: sqlite3.Connection, tables: Iterable[Table]) -> list[str]:
    """A line for each thing that is wrong, from one moment's view. Tables of kinds that are not loaded are left alone."""
    with transaction(connection, "DEFERRED"):
        found = [line for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]
        for table in tables:
            found += _records(connection, table)
    return found


def _records(connection: sqlite3.Connection, table: Table) -> Iterator[str]:
    name = table.kind.name
    rows = connection.execute("SELECT field, value, key FROM uniques WHERE kind = ?", (name,))
    entered = {(field, value): key for field, value, key in rows if field in table.kind.unique}
    for key, version, doc in connection.execute(table.all):
        try:
            document = json.loads(doc)
            table.kind.load(document)
        except (OperatorMust, ValueError, TypeError, AttributeError) as error:
            yield f"{name} {key!r} cannot be read: {str(error.__cause__ or error).splitlines()[0]}"
            continue
        if (document.get("key"), document.get("version")) != (key, version):
            yield f"{name} {key!r} says of itself that it is {document.get('key')!r}, version {document.get('version')}"
        yield from _uniques(table, key, document, entered)
    for (field, value), key in entered.items():
        yield f"uniques holds {field} {value!r} for {name} {key!r}, which does not have it"


def _uniques(table: Table, key: str, document: dict[str, Any], entered: dict[tuple[str, str], str]) -> Iterator[str]:
    for pair in unique_values(table.kind, document):
        if entered.pop(pair, None) != key:
            yield f"{table.kind.name} {key!r} has the {pair[0]} {pair[1]!r}, which uniques does not hold for it"


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
