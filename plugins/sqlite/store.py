"""The store: reads and transactions on the event loop's own thread, whatever waits for the disk on others."""

import asyncio
import random
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread, current_thread
from time import monotonic
from typing import Any, TypeVar, cast

import structlog

from chatelier import (
    Cache,
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
from .care import backup, check, set_aside, strangers
from .connection import PATIENCE_SECONDS, PAUSE_SECONDS, connect, path_of, patiently, said, target_of
from .layout import Table, open_layout, table_of
from .transaction import SqliteTx, find, get, page
from .wal import Wal

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R", bound=Record)
READERS = 2
"""Threads for answers that take long."""
SHORT = 100
"""Records of an answer that is read on the loop: one takes about 20 µs, less than a thread would cost."""
READS_A_TURN = 16
"""So many reads in a row, and the loop does something else: one that finds the writer free does not suspend."""
LATEST_SECONDS = 0.05
"""Until what nobody waits for is brought to the disk, unless something else is before."""
BATCH_SECONDS = 0.005
"""So long works are put into one commit before the loop does something else."""


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


@dataclass(slots=True, eq=False)
class Pending:
    """A `work` that waits for its transaction.

    told: what its caller waits for. until: on the machine's clock, for how long it waits for another process. soon: it is told before
    the disk has it.
    is_alone: a transaction that it shared failed as a whole.
    """

    work: Callable[[Tx], Awaitable[Any]]
    context: Context
    told: asyncio.Future[Any]
    until: float
    soon: bool = False
    is_alone: bool = False
    tx: SqliteTx = field(init=False)
    result: Any = None
    error: BaseException | None = None

    def run(self, tx: SqliteTx) -> None:
        self.result, self.error = None, None
        try:
            self.result = self.context.run(self._driven, tx)
        finally:
            tx.over = True

    def _driven(self, tx: SqliteTx) -> Any:
        return drive(self.work(tx))

    def tell(self) -> None:
        """Its caller may have been cancelled meanwhile."""
        if self.told.done():
            return
        if self.error is not None:
            self.told.set_exception(self.error)
        else:
            self.told.set_result(self.result)

    def fail(self, error: Exception) -> None:
        self.error = error
        self.tell()


class SqliteStore:
    """Works that wait at the same time share a transaction, each in a savepoint of its own.

    `work` never suspends, so it runs on the loop: a hop to a thread and back costs more than all its statements. Its caller
    is told once the commit is durable; one wait for the disk serves all commits before it, and meanwhile the next works run.
    So a read may see what is not durable yet. Whoever tells the world of it writes something first, and that comes later.
    """

    def __init__(self, path: Path, kinds: Sequence[Kind[Any]], clock: Clock, patience: float) -> None:
        self.path = path
        self._kinds = kinds
        self._clock = clock
        self._patience = patience
        self._waiting: deque[Pending] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._committed: list[Pending] = []
        self._syncing: asyncio.Task[None] | None = None
        self._sync_later: asyncio.TimerHandle | None = None
        self._has_writer = asyncio.Lock()
        self._disk = ThreadPoolExecutor(1, "sqlite-disk")
        self._slow_readers = ThreadPoolExecutor(READERS, "sqlite-reader")
        self._writer: sqlite3.Connection
        self._wal = Wal()
        self._readers: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._connections: list[sqlite3.Connection] = []
        self._tables: Mapping[str, Table] = {}
        self._hints = Hints(clock, self._look)
        self._sieve = Sieve()
        self._cache = Cache()
        self._data_version = 0
        self._reads = 0
        self._is_closed = False

    async def open(self) -> None:
        await self._hop(self._disk, self._open)

    async def close(self) -> None:
        """Waits for the transactions that are asked for. Harmless when it is closed already."""
        if self._is_closed:
            return
        self._is_closed = True
        self._slow_readers.shutdown(wait=False)
        self._sync()
        try:
            while tasks := {task for task in (self._writing, self._syncing) if task is not None}:
                await asyncio.wait(tasks)
                self._sync()
            thread = await asyncio.shield(asyncio.wrap_future(self._disk.submit(self._close)))
        finally:
            self._disk.shutdown(wait=False)
        while thread.is_alive():  # noqa: ASYNC110 - it has nothing left to do but to end; joining it would block the loop
            await asyncio.sleep(0)

    async def get(self, kind: Kind[R], key: str, *, by: str = "") -> R | None:
        table = table_of(self._tables, kind)
        return await self._read_quickly(lambda connection, cache: get(connection, table, kind, key, by, cache))

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
        read = self._read_quickly if limit <= SHORT else self._read
        return await read(
            lambda connection, cache: find(connection, table, kind, question, self._sieve, cache, strict=strict)
        )

    async def atomically(self, work: Callable[[Tx], Awaitable[T]], *, soon: bool = False) -> T:
        # Of a cancelled caller, a transaction under way completes, and one that still queues does not start.
        self._must_be_open()
        told: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(Pending(work, copy_context(), told, monotonic() + self._patience, soon))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="sqlite transactions", context=Context())
        return await told

    async def page(self, kind: Kind[R], *, after: str | None = None, limit: int = 100) -> list[R]:
        table = table_of(self._tables, kind)
        return await self._read(lambda connection, _: page(connection, table, kind, self._sieve, after, limit))

    async def restore(self, records: Sequence[tuple[Kind[Any], Record]], work: Callable[[Tx], Awaitable[T]]) -> T:
        async def all_of_it(tx: Tx) -> T:
            mine = cast(SqliteTx, tx)
            for kind, record in records:
                mine.restore(kind, record)
            return await work(tx)

        return await self.atomically(all_of_it)

    async def strangers(self) -> list[str]:
        return await self._read(lambda connection, _: strangers(connection, self._tables.values()))

    def changes(self, *kinds: Kind[Any], inserted: bool = False) -> Changes:
        return self._hints.watch(kinds, inserted=inserted)

    async def check(self) -> list[str]:
        return await self._read(lambda connection, _: check(connection, self._tables.values()))

    async def set_aside(self, keep: Callable[[Sequence[Unreadable]], Sequence[Unreadable]]) -> Sequence[Unreadable]:
        async with self._has_writer:
            kept = await self._hop(self._disk, partial(self._set_aside, keep))
            self._cache.clear()
        self._hints.moved({error.kind for error in kept})
        return kept

    async def backup(self, target: str) -> None:
        path = target_of(target)
        await self._read(lambda connection, _: backup(connection, path))

    # --- opening and closing, on the thread that waits for the disk

    def _open(self) -> None:
        with said(self.path):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OperatorMust(words.CANNOT_OPEN.format(path=self.path)) from error
            self._writer = self._connect()
            self._tables = patiently(partial(open_layout, self._writer, self.path, self._kinds), self._patience)
            self._writer.execute("PRAGMA busy_timeout=0")  # the loop must not stand still
            self._wal.open(self._writer, self.path)
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
        self._slow_readers.shutdown()
        self._wal.close()
        # The writer last: the last connection to close folds the log back into the database.
        for connection in reversed(self._connections):
            connection.close()
        return current_thread()

    # --- writing

    async def _write_all(self) -> None:
        """Until nothing waits any more."""
        try:
            while self._waiting:
                if self._syncing is not None:
                    # What comes meanwhile shares the next commit; its own wait for the disk could not begin sooner anyway.
                    await asyncio.wait({self._syncing})
                async with self._has_writer:
                    if is_free := self._begin():
                        self._write()
                    if self._wal.is_long:
                        await self._hop(self._disk, self._fold)
                # Another process may be writing; if not, the loop has its turn.
                await asyncio.sleep(0 if is_free else PAUSE_SECONDS * random.random())  # noqa: S311 - spreads several processes, guards nothing
        finally:
            self._writing = None

    def _begin(self) -> bool:
        """False while another process writes. When it took too long, or cannot be done, those who wait are told."""
        try:
            with said(self.path):
                self._writer.execute("BEGIN IMMEDIATE")
                self._note_version()
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody waits in vain
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            latest = monotonic() if isinstance(error, Unavailable) else float("inf")
            for pending in [pending for pending in self._waiting if pending.until <= latest]:
                self._waiting.remove(pending)
                pending.fail(error)
            return False
        return True

    def _write(self) -> None:
        """The first of those that wait, in one transaction. Where that fails as a whole, each gets one of its own."""
        until, begun = monotonic() + BATCH_SECONDS, list[Pending]()
        try:
            while self._waiting and (not begun or self._goes_with(begun, until)):
                pending = self._waiting.popleft()
                if not pending.told.done():
                    begun.append(pending)
                    self._run(pending)
            with said(self.path):
                self._commit(begun)
        except Exception as error:  # noqa: BLE001 - as above
            for pending in begun:
                pending.tx.forget()
            self._rollback()
            if len(begun) == 1:
                begun[0].fail(error)
            else:
                for pending in begun:
                    pending.is_alone = True
                self._waiting.extendleft(reversed(begun))
        else:
            self._tell(begun)

    def _tell(self, begun: Sequence[Pending]) -> None:
        """Their callers, once all that they saw and wrote is durable, or at once those who do not wait for that."""
        written = set[str]().union(*(pending.tx.written for pending in begun))
        if written or self._committed or self._syncing is not None:
            self._committed += begun
        for pending in begun:
            if pending.soon or not self._committed:
                pending.tell()
        if self._committed and not all(pending.soon for pending in begun):
            self._sync()
        elif self._committed and self._sync_later is None:
            self._sync_later = asyncio.get_running_loop().call_later(LATEST_SECONDS, self._sync)
        self._hints.moved(written)

    def _sync(self) -> None:
        if self._sync_later is not None:
            self._sync_later.cancel()
            self._sync_later = None
        if self._syncing is None and self._committed:
            self._syncing = asyncio.create_task(self._sync_all(), name="sqlite sync", context=Context())

    async def _sync_all(self) -> None:
        """Until all that is committed is durable."""
        try:
            while self._committed:
                batch, self._committed = self._committed, []
                try:
                    await self._hop(self._disk, self._wal.sync)
                except Exception as error:  # noqa: BLE001 - as above
                    log.error("a commit may not survive a power cut", path=str(self.path), error=str(error))
                    for pending in batch:
                        pending.fail(OperatorMust(words.DISK.format(path=self.path)))
                    self._hints.moved_elsewhere({name for pending in batch for name, _ in pending.tx.inserted})
                    batch = []
                for pending in batch:
                    pending.tell()
                self._hints.inserted([new for pending in batch for new in pending.tx.inserted])
        finally:
            self._syncing = None

    def _goes_with(self, begun: Sequence[Pending], until: float) -> bool:
        """Whether the next one shares their transaction."""
        return monotonic() < until and not begun[0].is_alone and not self._waiting[0].is_alone

    def _run(self, pending: Pending) -> None:
        """What it did is undone if it raises. Raises what ended the whole transaction."""
        tx = SqliteTx(self._writer, self._tables, self._clock.now(), self._sieve, self._cache)
        pending.tx = tx
        self._writer.execute("SAVEPOINT work")
        try:
            with said(self.path):
                pending.run(tx)
        except BaseException as error:
            if not self._writer.in_transaction:  # SQLite rolls back by itself after some errors, a full disk among them
                raise
            pending.error = error
            tx.forget()
            self._writer.execute("ROLLBACK TO work")
        self._writer.execute("RELEASE work")

    def _commit(self, begun: Iterable[Pending]) -> None:
        """Into the log, without a wait for the disk. Of those that wrote nothing there is nothing to keep."""
        if any(pending.tx.written for pending in begun):
            self._writer.execute("COMMIT")
            self._wal.note(sum(pending.tx.size for pending in begun))
        else:
            self._rollback()

    def _rollback(self) -> None:
        """Also after an error with which SQLite did it by itself. Where it cannot be done, the next one to begin is told."""
        with suppress(sqlite3.Error):
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")

    def _fold(self) -> None:
        with suppress(sqlite3.Error):  # another time, then
            self._wal.fold(self._writer)

    def _set_aside(self, keep: Callable[[Sequence[Unreadable]], Sequence[Unreadable]]) -> Sequence[Unreadable]:
        with said(self.path):
            return patiently(partial(set_aside, self._writer, self._tables, keep), self._patience)

    # --- what other processes write

    def _version(self) -> int:
        value: int = self._writer.execute("PRAGMA data_version").fetchone()[0]
        return value

    def _note_version(self) -> None:
        """This connection's own commits do not change its `data_version`."""
        seen, self._data_version = self._data_version, self._version()
        if self._data_version != seen:
            self._cache.clear()
            self._hints.moved_elsewhere(self._tables)

    async def _look(self) -> None:
        """Whether another process wrote. Who writes here looks, too."""
        if self._is_closed or self._has_writer.locked():
            return
        try:
            self._note_version()
        except sqlite3.Error as error:
            raise Unavailable(f"{self.path} does not answer: {error}") from error

    # --- reading

    async def _read_quickly(self, job: Callable[[sqlite3.Connection, Cache | None], T]) -> T:
        """On the loop, by the connection that writes: it alone need not read again what it wrote itself."""
        self._reads += 1
        if self._reads % READS_A_TURN == 0:
            await asyncio.sleep(0)
        async with self._has_writer:
            self._must_be_open()
            try:
                with said(self.path):
                    self._note_version()
                    return job(self._writer, self._cache)
            except Unavailable:  # a reader hardly ever meets it; a thread can wait
                return await self._read(job)

    async def _read(self, job: Callable[[sqlite3.Connection, None], T]) -> T:
        return await self._hop(self._slow_readers, partial(self._borrow, job))

    def _borrow(self, job: Callable[[sqlite3.Connection, None], T]) -> T:
        connection = self._readers.get()
        try:
            with said(self.path):
                return patiently(partial(job, connection, None), self._patience)
        finally:
            self._readers.put(connection)

    def _must_be_open(self) -> None:
        if self._is_closed:
            raise Unavailable(words.CLOSED)

    async def _hop(self, threads: ThreadPoolExecutor, job: Callable[[], T]) -> T:
        try:
            future = threads.submit(job)
        except RuntimeError:
            raise Unavailable(words.CLOSED) from None
        return await asyncio.wrap_future(future)
