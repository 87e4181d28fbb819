"""Connections: how they are set, what their errors mean, and how long a busy database is waited for."""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import unquote

from chatelier import OperatorMust, Unavailable

from . import words

T = TypeVar("T")
BUSY_TIMEOUT_SECONDS = 5.0
PATIENCE_SECONDS = 10.0
PAUSE_SECONDS = 0.02

_OPERATOR = {
    sqlite3.SQLITE_FULL: words.FULL,
    sqlite3.SQLITE_READONLY: words.READ_ONLY,
    sqlite3.SQLITE_PERM: words.READ_ONLY,
    sqlite3.SQLITE_CORRUPT: words.DAMAGED,
    sqlite3.SQLITE_NOTADB: words.DAMAGED,
    sqlite3.SQLITE_CANTOPEN: words.CANNOT_OPEN,
    sqlite3.SQLITE_IOERR: words.DISK,
}
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def path_of(url: str) -> Path:
    """The absolute path in `sqlite:///abs/path` or `sqlite:relative.db`. Raises OperatorMust."""
    rest = unquote(url.removeprefix("sqlite:"))
    if rest.startswith("///"):
        rest = rest[2:]
    if not rest or rest.startswith("//") or rest.endswith("/"):
        raise OperatorMust(words.NO_PATH.format(url=url))
    if rest.removeprefix("/") == ":memory:":
        raise OperatorMust(words.NO_MEMORY)
    return Path(rest).expanduser().absolute()


def target_of(target: str) -> Path:
    """Where a copy goes: a path, or a URL of this engine."""
    return path_of(target) if target.startswith("sqlite:") else Path(target).expanduser().absolute()


def connect(path: Path, patience: float = PATIENCE_SECONDS) -> sqlite3.Connection:
    """A connection that leaves transactions to us; it may move between threads, but serves one at a time."""
    connection = sqlite3.connect(
        path,
        timeout=min(patience, BUSY_TIMEOUT_SECONDS),
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
    )
    try:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-65536")
    except BaseException:
        connection.close()
        raise
    return connection


def patiently(action: Callable[[], T], patience: float) -> T:
    """Do it again while the database is busy, for at most about `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
        time.sleep(PAUSE_SECONDS * random.random())  # noqa: S311 - spreads the tries of several processes, guards nothing


@contextmanager
def transaction(connection: sqlite3.Connection, mode: Literal["IMMEDIATE", "DEFERRED"] = "IMMEDIATE") -> Iterator[None]:
    """Commits at the end, rolls back on any exception. Deferred is for reading alone: it would fail at its first write."""
    connection.execute(f"BEGIN {mode}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors, a full disk among them.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def said(path: Path) -> Iterator[None]:
    """Turn SQLite's and the file system's errors into ours; what is our own bug stays as it is."""
    try:
        yield
    except sqlite3.Error as error:
        code = _code(error)
        if is_busy(error):
            raise Unavailable(words.BUSY.format(path=path)) from error
        if code in _OPERATOR:
            raise OperatorMust(_OPERATOR[code].format(path=path)) from error
        raise


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection holds what this one needs."""
    return _code(error) in _BUSY


def _code(error: sqlite3.Error) -> int:
    """The primary result code; 0 for an error that Python's module made itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
