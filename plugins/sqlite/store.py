"""The store: one thread that writes, two that read, and the hints between them and the loop."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import Any, TypeVar

from chatelier import (
    Changes,
    Clock,
    Hints,
    Kind,
    OperatorMust,
    Question,
    Record,
    Scalar,
    Sieve,
    Store,
    Tx,
    Unavailable,
    Unreadable,
    drive,
)

from . import words
from .care import backup, check, set_aside
from .connection import PATIENCE_SECONDS, connect, path_of, patiently, said, target_of, transaction
from .layout import Table, open_layout, table_of
from .transaction import SqliteTx, find, get

T = TypeVar("T")
R = TypeVar("R", bound=Record)
READERS = 2


@asynccontextmanager
async def open_sqlite(
    url: str, kinds: Sequence[Kind[Any]], clock: Clock, *, patience: float = PATIENCE_SECONDS
) -> AsyncIterator[Store]:
    """Open the database at a URL, making it and its folder if need be.

    patience: seconds that a busy database is waited for before Unavailable. No thread, file or lock is left at the end.
    """
    store = SqliteStore(path_of(url), kinds, clock, patience)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


class SqliteStore:
    """Transactions queue on one thread, each in one hop, because `work` never suspends; reads outside go to two others."""

    def __init__(self, path: Path, kinds: Sequence[Kind[Any]], clock: Clock, patience: float) -> None:
        self.path = path
        self._kinds = kinds
        self._clock = clock
        self._patience = patience
        self._writing = ThreadPoolExecutor(1, "sqlite-writer")
        self._reading = ThreadPoolExecutor(READERS, "sqlite-reader")
        self._writer: sqlite3.Connection
        self._readers: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._connections: list[sqlite3.Connection] = []
        self._tables: Mapping[str, Table] = {}
        self._hints = Hints(clock, self._look)
        self._sieve = Sieve()
        self._data_version = 0

    async def open(self) -> None:
        await self._hop(self._writing, self._open)

    async def close(self) -> None:
        """Waits for the transaction under way. Harmless when it is closed already."""
        self._reading.shutdown(wait=False)
        try:
            closing = self._writing.submit(self._close)
        except RuntimeError:
            return
        try:
            thread = await asyncio.shield(asyncio.wrap_future(closing))
        finally:
            self._writing.shutdown(wait=False)
        while thread.is_alive():  # noqa: ASYNC110 - it has nothing left to do but to end; joining it would block the loop
            await asyncio.sleep(0)

    async def get(self, kind: Kind[R], key: str, *, by: str = "") -> R | None:
        table = table_of(self._tables, kind)
        return await self._read(lambda connection: get(connection, table, kind, key, by))

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
        table = table_of(self._tables, kind)
        question = Question.of(kind, where, order=order, since=since, until=until, descending=descending, limit=limit)
        return await self._read(lambda connection: find(connection, table, kind, question, self._sieve, strict=strict))

    async def atomically(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        # Of a cancelled caller, a transaction under way completes, and one that still queues does not start.
        job = partial(copy_context().run, self._transact, work, asyncio.get_running_loop())
        return await self._hop(self._writing, job)

    def changes(self, *kinds: Kind[Any]) -> Changes:
        return self._hints.watch(kind.name for kind in kinds)

    async def check(self) -> list[str]:
        return await self._read(lambda connection: check(connection, self._tables.values()))

    async def set_aside(self, keep: Callable[[Sequence[Unreadable]], Sequence[Unreadable]]) -> Sequence[Unreadable]:
        kept = await self._hop(self._writing, partial(self._set_aside, keep))
        self._hints.moved({error.kind for error in kept})
        return kept

    async def backup(self, target: str) -> None:
        path = target_of(target)
        await self._read(lambda connection: backup(connection, path))

    def _open(self) -> None:
        with said(self.path):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OperatorMust(words.CANNOT_OPEN.format(path=self.path)) from error
            self._writer = self._connect()
            self._tables = patiently(partial(open_layout, self._writer, self.path, self._kinds), self._patience)
            for _ in range(READERS):
                reader = self._connect()
                reader.execute("PRAGMA query_only=ON")
                self._readers.put(reader)
            self._data_version = self._version()

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self.path, self._patience)
        self._connections.append(connection)
        return connection

    def _close(self) -> Thread:
        self._reading.shutdown()
        # The writer last: the last connection to close folds the log back into the database.
        for connection in reversed(self._connections):
            connection.close()
        return current_thread()

    def _transact(self, work: Callable[[Tx], Awaitable[T]], loop: asyncio.AbstractEventLoop) -> T:
        with said(self.path):
            result, written = patiently(partial(self._once, work), self._patience)
        if written:
            loop.call_soon_threadsafe(self._hints.moved, written)
        return result

    def _once(self, work: Callable[[Tx], Awaitable[T]]) -> tuple[T, set[str]]:
        with transaction(self._writer):
            tx = SqliteTx(self._writer, self._tables, self._clock.now(), self._sieve)
            try:
                return drive(work(tx)), tx.written
            finally:
                tx.over = True

    def _set_aside(self, keep: Callable[[Sequence[Unreadable]], Sequence[Unreadable]]) -> Sequence[Unreadable]:
        with said(self.path):
            return patiently(partial(set_aside, self._writer, self._tables, keep), self._patience)

    def _version(self) -> int:
        with said(self.path):
            value: int = self._writer.execute("PRAGMA data_version").fetchone()[0]
        return value

    async def _look(self) -> None:
        """Whether another process wrote: this connection's own commits do not change its `data_version`."""
        seen = self._data_version
        try:
            self._data_version = await self._hop(self._writing, self._version)
        except sqlite3.Error as error:
            raise Unavailable(f"{self.path} does not answer: {error}") from error
        if self._data_version != seen:
            self._hints.moved(self._tables)

    async def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        return await self._hop(self._reading, partial(self._borrow, job))

    def _borrow(self, job: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._readers.get()
        try:
            with said(self.path):
                return patiently(partial(job, connection), self._patience)
        finally:
            self._readers.put(connection)

    async def _hop(self, threads: ThreadPoolExecutor, job: Callable[[], T]) -> T:
        try:
            future = threads.submit(job)
        except RuntimeError:
            raise Unavailable(words.CLOSED) from None
        return await asyncio.wrap_future(future)
