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
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

from pymongo.errors import PyMongoError

from chatelier import Cache, Hints, Sieve, Tx, Unavailable

from . import words
from .commits import ABANDONED_SECONDS, Again, Commits
from .connection import Address, Database, is_away, is_conflict, ours
from .draft import Draft
from .layout import Shelf
from .pending import Pending
from .reading import View
from .transaction import Ask, Batch

T = TypeVar("T")
BATCH_SECONDS = 0.02
"""So long works are put into one transaction before it is committed."""
BUSY_SECONDS = 60.0
"""That a work waits at most for other processes."""
PAUSE_SECONDS = 0.02
"""At most, before the next try where another process writes; it is drawn, so that several do not keep in step."""
AWAY_SECONDS = 0.2
"""Before the next try where the server does not answer."""
CONTENDED_SECONDS = 1.0
"""After a conflict the writer is taken at the start of a transaction for so long, which makes another conflict unlikely."""


@dataclass(slots=True)
class Writing:
    """Of one open store."""

    commits: Commits
    database: Database
    address: Address
    shelves: dict[str, Shelf]
    sieve: Sieve
    hints: Hints
    patience: float
    cache: Cache = field(default_factory=Cache)
    _waiting: deque[Pending] = field(default_factory=deque)
    _task: asyncio.Task[None] | None = None
    _seen: int = -1
    _contended_until: float = 0.0
    _look_at: float | None = None

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
        await self.commits.end()

    # --- one after the other

    async def _run_all(self) -> None:
        """Until nothing waits any more."""
        try:
            while self._waiting:
                await self._run_some()
                if self._is_contended:
                    await self._pause(PAUSE_SECONDS)
        finally:
            self._task = None
            while self._waiting:  # it was cancelled
                self._waiting.popleft().fail(Unavailable(words.CLOSED))

    async def _run_some(self) -> None:
        """The first of those that wait, in one transaction; it is committed when this returns, or they wait again."""
        begun: list[Pending] = []
        try:
            batch = await self._begin()
            await self._work(batch, begun)
            await self.commits.commit(batch)
        except Again as again:
            await self.commits.abort()
            await self._go_again(begun, careful=again.careful)
        except PyMongoError as error:
            await self.commits.abort()
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
            await self.commits.abort()
            self._fail_apart(begun, error)
        except asyncio.CancelledError:
            self._wait_again(begun)
            raise
        else:
            self._note_commit(batch, begun)

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

    def _note_commit(self, batch: Batch, begun: Sequence[Pending]) -> None:
        self._look_at = None
        written = set[str]()
        for name, entries in batch.draft.kinds():
            written.add(name)
            for key, entry in entries.items():
                if entry.record is None:
                    self.cache.drop(name, key)
                else:
                    self.cache.put(entry.kind, entry.record, len(entry.row["doc"]))
        self._seen = batch.number + bool(written)
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

    async def _go_again(self, begun: Sequence[Pending], *, careful: bool) -> None:
        for pending in begun:
            pending.is_careful |= careful
        self._wait_again(begun)
        self._fail_late(BUSY_SECONDS, self._busy)
        if not careful:  # somebody else than a gateway wrote
            self._seen = -1
            await self._pause(PAUSE_SECONDS)

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
            await self.commits.end()
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

    # --- the server's transaction

    async def _begin(self) -> Batch:
        """It holds the writer from the start where conflicts are likely."""
        session, number, now = await self.commits.begin(take=self._is_contended)
        if number != self._seen:
            self.cache.clear()
            self._seen = number
        draft = Draft()
        view = View(self.database, self.sieve, Ask, session, self.cache, draft.of)
        return Batch(view, self.shelves, self.cache, draft, now, number)

    async def _free(self) -> None:
        """Those who hold others up though they have no process any more: found by two looks, the first one not at once."""
        now = monotonic()
        self._look_at = self._look_at or now + ABANDONED_SECONDS / 2
        if now >= self._look_at:
            self._look_at = now + ABANDONED_SECONDS
            await self.commits.end_abandoned()
