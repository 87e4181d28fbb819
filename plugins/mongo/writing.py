"""Transactions: works that wait at the same time share one, and all of them, of every process, come one after the other.

MongoDB isolates by snapshots: two transactions that read the same and write different documents both commit. So each that
writes replaces one document of the database as well, the *writer*. Of two that overlap the later one conflicts there and runs again
on what the first one left, whatever either of them read: what `get` found, what it did not find, what `find` answered. The
document counts the transactions, so a process sees at the start of its next one whether another process has written, and what
it knows of records stays good as long as none has.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from datetime import UTC
from time import monotonic
from typing import Any, TypeVar

import structlog
from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import DeleteOne, InsertOne, ReadPreference, ReplaceOne, ReturnDocument, UpdateMany
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern

from chatelier import Cache, Hints, OperatorMust, Record, Sieve, Tx, Unavailable, token

from . import words
from .connection import MAJORITY, Address, Client, Database, is_away, is_conflict, ours
from .draft import NO_VERSION, Draft, Entry
from .layout import META, WRITER, Shelf
from .reading import View
from .transaction import Ask, Batch, MongoTx, steered

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")
Operation = DeleteOne | UpdateMany | ReplaceOne[dict[str, Any]] | InsertOne[dict[str, Any]]
BATCH_SECONDS = 0.02
"""So long works are put into one transaction before it is committed."""
BUSY_SECONDS = 60.0
"""That a work waits at most for other processes, and that a commit without an answer is asked after."""
PAUSE_SECONDS = 0.02
"""At most, before the next try where another process writes; it is drawn, so that several do not keep in step."""
AWAY_SECONDS = 0.2
"""Before the next try where the server does not answer."""
CONTENDED_SECONDS = 1.0
"""After a conflict the writer is taken at the start of a transaction for so long, which makes another conflict unlikely."""
ABANDONED_SECONDS = 2.0
"""A transaction that did nothing for so long has no process any more, or one that stands still."""
DUPLICATE_KEY = 11000


class Again(Exception):
    """The transaction has to run again. careful: because something that was believed is not so."""

    def __init__(self, *, careful: bool) -> None:
        super().__init__()
        self.careful = careful


@dataclass(slots=True, eq=False)
class Pending:
    """A `work` that waits for its transaction.

    told: what its caller waits for. since: on this machine's clock. is_alone: a transaction that it shared failed as a whole.
    """

    work: Callable[[Tx], Awaitable[Any]]
    context: Context
    told: asyncio.Future[Any]
    since: float
    is_alone: bool = False
    is_careful: bool = False
    inserted: Sequence[tuple[str, Record]] = ()
    result: Any = None
    error: BaseException | None = None

    async def run(self, batch: Batch) -> None:
        """What it did is undone if it raises. Raises what the server says."""
        if not await self._try(batch, careful=self.is_careful):
            await self._try(batch, careful=True)

    async def _try(self, batch: Batch, *, careful: bool) -> bool:
        """False where it failed after it believed something: that may be why, so it is no answer."""
        tx = MongoTx(batch, careful=careful)
        self.result = self.error = None
        try:
            self.result = await steered(self.context.run(self.work, tx), self.context)
        except (PyMongoError, asyncio.CancelledError):
            raise
        except BaseException as error:  # noqa: BLE001 - the caller's `work` may raise anything, and is told it
            tx.undo()
            self.error = error
            return not tx.believes
        finally:
            tx.over = True
            self.inserted = tx.inserted
        return True

    def tell(self) -> None:
        """Its caller may have been cancelled meanwhile."""
        if self.told.done():
            return
        if self.error is not None:
            self.told.set_exception(self.error)
        else:
            self.told.set_result(self.result)

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.tell()


@dataclass(slots=True)
class Writing:
    """Of one open store. name: of this process among those that write."""

    client: Client
    database: Database
    address: Address
    shelves: dict[str, Shelf]
    sieve: Sieve
    hints: Hints
    patience: float
    name: str = field(default_factory=token)
    cache: Cache = field(default_factory=Cache)
    _waiting: deque[Pending] = field(default_factory=deque)
    _task: asyncio.Task[None] | None = None
    _has_turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _session: AsyncIOMotorClientSession | None = None
    _seen: int = -1
    _contended_until: float = 0.0
    _blocked_since: float | None = None

    async def run(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        # Of a cancelled caller, a transaction under way completes, and one that still queues does not start.
        told: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(Pending(work, copy_context(), told, monotonic()))
        if self._task is None:
            self._task = asyncio.create_task(self._run_all(), name="mongo transactions", context=Context())
        return await told

    async def close(self) -> None:
        """Waits for the transactions that are asked for."""
        while self._task is not None:
            await asyncio.wait({self._task})
        await self._end_session()

    # --- one after the other

    async def _run_all(self) -> None:
        """Until nothing waits any more."""
        try:
            while self._waiting:
                async with self._has_turn:
                    await self._run_some()
                if self._is_contended:
                    await self._pause(PAUSE_SECONDS)
        finally:
            self._task = None

    async def _run_some(self) -> None:
        """The first of those that wait, in one transaction; it is committed when this returns, or they wait again."""
        begun: list[Pending] = []
        try:
            batch, number = await self._begin()
            await self._work(batch, begun)
            await self._commit(batch, number)
        except Again as again:
            await self._abort()
            for pending in begun:
                pending.is_careful |= again.careful
            self._wait_again(begun)
            self._fail_late(BUSY_SECONDS, self._busy)
        except PyMongoError as error:
            await self._abort()
            if is_conflict(error) or is_away(error):
                self._wait_again(begun)
                await self._put_off(error)
            else:
                self._fail_apart(begun, ours(error, self.address))
        except Unavailable as unsure:
            self._seen = -1
            for pending in begun:
                pending.fail(unsure)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody waits in vain
            await self._abort()
            self._fail_apart(begun, error)
        else:
            self._note_commit(batch, number, begun)

    async def _work(self, batch: Batch, begun: list[Pending]) -> None:
        until = monotonic() + BATCH_SECONDS
        while self._waiting and (not begun or self._goes_with(begun, until)):
            pending = self._waiting.popleft()
            if not pending.told.done():
                begun.append(pending)
                await pending.run(batch)

    def _goes_with(self, begun: Sequence[Pending], until: float) -> bool:
        """Whether the next one shares their transaction."""
        return monotonic() < until and not begun[0].is_alone and not self._waiting[0].is_alone

    def _note_commit(self, batch: Batch, number: int, begun: Sequence[Pending]) -> None:
        self._blocked_since = None
        written = set[str]()
        for name, entries in batch.draft.kinds():
            written.add(name)
            for key, entry in entries.items():
                if entry.record is None:
                    self.cache.drop(name, key)
                else:
                    self.cache.put(entry.kind, entry.record, len(entry.row["doc"]))
        self._seen = number + bool(written)
        for pending in begun:
            pending.tell()
        self.hints.moved(written)
        self.hints.inserted([new for pending in begun for new in pending.inserted])

    # --- when it did not work

    def _wait_again(self, begun: Sequence[Pending]) -> None:
        self._waiting.extendleft(reversed(begun))

    def _fail_apart(self, begun: Sequence[Pending], error: Exception) -> None:
        """The one that was alone; of several each gets a transaction of its own. All, where none could be begun."""
        for pending in begun:
            pending.is_alone = True
        if len(begun) > 1:
            self._wait_again(begun)
            return
        for pending in begun or list(self._waiting):
            pending.fail(error)
        if not begun:
            self._waiting.clear()

    async def _put_off(self, error: PyMongoError) -> None:
        """Wait a little for who holds what is needed, or for the server; who waits for too long already is told."""
        if is_conflict(error):
            self._contended_until = monotonic() + CONTENDED_SECONDS
            self._fail_late(BUSY_SECONDS, self._busy)
            await self._free()
            await self._pause(PAUSE_SECONDS)
        else:
            away = ours(error, self.address)
            away.__cause__ = error
            self._seen = -1
            self._fail_late(self.patience, away)
            await self._end_session()
            await self._pause(AWAY_SECONDS)

    def _fail_late(self, seconds: float, error: Exception) -> None:
        latest = monotonic() - seconds
        for pending in [pending for pending in self._waiting if pending.since <= latest]:
            self._waiting.remove(pending)
            pending.fail(error)

    @property
    def _busy(self) -> Unavailable:
        return Unavailable(words.BUSY.format(place=self.address.place))

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds * random.random())  # noqa: S311 - spreads several processes, guards nothing

    @property
    def _is_contended(self) -> bool:
        return monotonic() < self._contended_until

    async def _free(self) -> None:
        """End transactions that have no process any more: the server would keep what they hold for a minute."""
        now = monotonic()
        self._blocked_since = self._blocked_since or now
        if now - self._blocked_since < ABANDONED_SECONDS:
            return
        self._blocked_since = now
        idle = {
            "type": "idleSession",
            "appName": self.address.app_name,
            "transaction.timeInactiveMicros": {"$gte": int(ABANDONED_SECONDS * 1_000_000)},
        }
        with suppress(PyMongoError):  # some hosts forbid it; the server ends them by itself after a minute
            found = self.client.admin.aggregate([{"$currentOp": {"idleSessions": True}}, {"$match": idle}])
            if left := [operation["lsid"]["id"] for operation in await found.to_list(100)]:
                log.warning(
                    "transactions of a process that is gone are ended", place=self.address.place, count=len(left)
                )
                await self.client.admin.command("killSessions", [{"id": one} for one in left])

    # --- the server's transaction

    async def _begin(self) -> tuple[Batch, int]:
        """A transaction, and the number of the one that wrote before it. It holds the writer where conflicts are likely."""
        if self._session is None:
            self._session = await self.client.start_session()
        self._session.start_transaction(
            read_concern=ReadConcern("snapshot"), write_concern=MAJORITY, read_preference=ReadPreference.PRIMARY
        )
        meta, fields = self.database[META], {"number": 1, "now": "$$NOW"}
        found: dict[str, Any] | None
        if self._is_contended:
            found = await meta.find_one_and_update(
                {"_id": WRITER},
                {"$inc": {"taken": 1}},
                projection=fields,
                return_document=ReturnDocument.AFTER,
                session=self._session,
            )
        else:
            found = await meta.find_one({"_id": WRITER}, fields, session=self._session)
        if found is None:
            raise OperatorMust(words.NO_WRITER.format(place=self.address.place, database=self.address.database))
        number: int = found["number"]
        if number != self._seen:
            self.cache.clear()
            self._seen = number
        draft = Draft()
        view = View(self.database, self.sieve, Ask, self._session, self.cache, draft.of)
        return Batch(view, self.shelves, self.cache, draft, found["now"].replace(tzinfo=UTC)), number

    async def _commit(self, batch: Batch, number: int) -> None:
        if batch.draft.is_in_doubt:
            raise Again(careful=True)
        kinds = [name for name, _ in batch.draft.kinds()]
        for name, entries in batch.draft.kinds():
            await self._send(self.shelves[name], entries)
        session = self._session
        assert session is not None  # noqa: S101 - of the transaction that `_begin` began
        if kinds:
            said = {"number": number + 1, "by": self.name, "kinds": kinds, "at": batch.now}
            done = await self.database[META].replace_one({"_id": WRITER, "number": number}, said, session=session)
            if not done.matched_count:
                raise Again(careful=False)
        await self._commit_surely(session)

    async def _commit_surely(self, session: AsyncIOMotorClientSession) -> None:
        """Until it is known whether it was. The server remembers, also another one that took over."""
        until = monotonic() + BUSY_SECONDS
        while True:
            try:
                await session.commit_transaction()
            except PyMongoError as error:
                if not error.has_error_label("UnknownTransactionCommitResult"):
                    raise
                if monotonic() >= until:
                    raise Unavailable(words.MAYBE.format(place=self.address.place)) from error
                await self._pause(AWAY_SECONDS)
            else:
                return

    async def _send(self, shelf: Shelf, entries: dict[str, Entry]) -> None:
        """All of a kind. Unique values are let go of before others take them."""
        deletes = [DeleteOne(_as_it_was(key, one)) for key, one in entries.items() if one.record is None and one.base]
        live = [(key, one) for key, one in entries.items() if one.record is not None]
        losing = [key for key, one in live if one.base and one.base_pairs - one.pairs]
        freed = [UpdateMany({"_id": {"$in": losing}}, {"$unset": {"u": 1}})] if losing else []
        replaces = [ReplaceOne(_as_it_was(key, one), one.row) for key, one in live if one.base]
        inserts = [InsertOne(one.row) for _, one in live if not one.base]
        operations: list[Operation] = [*deletes, *freed, *replaces, *inserts]
        if not operations:
            return
        try:
            done = await self.database[shelf.name].bulk_write(operations, session=self._session)
        except BulkWriteError as error:
            if any(one.get("code") == DUPLICATE_KEY for one in error.details.get("writeErrors", ())):
                raise Again(careful=True) from error
            raise
        if (done.deleted_count, done.matched_count) != (len(deletes), len(losing) + len(replaces)):
            self._seen = -1  # somebody else than a gateway wrote to it
            raise Again(careful=False)

    async def _abort(self) -> None:
        """Whatever is left of a transaction, though the server may have ended it already."""
        if self._session is not None and self._session.delegate.in_transaction:
            with suppress(PyMongoError):
                await self._session.abort_transaction()

    async def _end_session(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            with suppress(PyMongoError):
                await session.end_session()


def _as_it_was(key: str, entry: Entry) -> dict[str, Any]:
    """The document that the entry takes the place of; of a damaged one the version is not compared."""
    return {"_id": key, "v": entry.base} if entry.base != NO_VERSION else {"_id": key}
