"""SQLite's write-ahead log, where a commit is durable as soon as the file is: one wait for the disk serves all before it."""

import os
import sqlite3
from pathlib import Path

CHECKPOINT_COMMITS = 250
CHECKPOINT_BYTES = 4 << 20
"""After so many commits, or so much JSON text in them, the log is folded into the database. About SQLite's own 1,000 pages."""
_sync = getattr(os, "fdatasync", os.fsync)


class Wal:
    """The log of one database. Commits are written to it without waiting (`synchronous=NORMAL`); `sync` waits.

    Only `note` and `is_long` belong to the event loop's thread.
    """

    def __init__(self) -> None:
        self._file = -1
        self._commits = 0
        self._bytes = 0

    def open(self, connection: sqlite3.Connection, path: Path) -> None:
        """connection: the one that writes. Its database is in use, so the log's file stays the same one until `close`."""
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("SELECT 1 FROM sqlite_master").close()
        self._file = os.open(f"{os.path.realpath(path)}-wal", os.O_RDWR)

    def sync(self) -> None:
        """All commits before this are durable when it returns. Raises OSError."""
        _sync(self._file)

    def note(self, size: int) -> None:
        """A commit. size: bytes of its JSON text."""
        self._commits += 1
        self._bytes += size

    @property
    def is_long(self) -> bool:
        return self._commits >= CHECKPOINT_COMMITS or self._bytes >= CHECKPOINT_BYTES

    def fold(self, connection: sqlite3.Connection) -> None:
        """Into the database, as far as no reader needs the log. While nobody writes it can begin anew then."""
        self._commits = self._bytes = 0
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
