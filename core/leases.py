"""Leases: to hold a record while it is worked on, to notice when it is lost, and to give it back."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Generic, Self

from .clock import Clock, Timer
from .errors import ChatelierError, Lost, StoreError
from .storage import Kind, L, Leased, Query, Store, Tx, claimed
from .supervise import OutOfTime
from .values import replace

LEASE_SECONDS = 30.0
"""Of events, jobs and accounts alike: so long after a kill somebody else goes on."""
BEATS_A_LEASE = 3
"""Two beats may fail before the lease lapses."""
LAST_BEAT = 0.9
"""The part of a lease after which a store that does not answer counts as the loss of it."""
SOON_LEASES = 2
"""A limit that is nearer than so many leases has a timer: the next beat may take a lease to come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLease(Leased):
    """Which process receives and sends for an account. The key is the platform's name, the owner the process."""


ACCOUNTS = Kind(name="accounts", record=AccountLease, queries=(Query(),))


async def held(tx: Tx, kind: Kind[L], key: str, owner: str, fence: int) -> L:
    """The record as it is now. Raises Lost unless this owner holds it with this fence and its time is not over."""
    record = await _owned(tx, kind, key, owner, fence)
    if record.due is not None and record.due <= tx.now:
        raise Lost(f"the lease on {kind.name} {key!r} ran out")
    return record


async def extend(store: Store, kind: Kind[L], record: L, seconds: float) -> L:
    """Hold it until `seconds` from now. A lease that ran out may be extended while nobody else took it; Lost once they did."""

    return await store.atomically(lambda tx: _extend(tx, kind, record, seconds))


async def give_back(store: Store, kind: Kind[L], record: L) -> bool:
    """Let anybody claim it at once. False when it was no longer ours, which does no harm."""

    async def work(tx: Tx) -> bool:
        try:
            mine = await _owned(tx, kind, record.key, record.owner, record.fence)
        except Lost:
            return False
        await tx.replace(kind, replace(mine, owner="", due=tx.now))
        return True

    return await store.atomically(work)


async def take(store: Store, kind: Kind[L], key: str, *, owner: str, seconds: float) -> L | None:
    """This one record, made if need be (its other fields have defaults) and taken over if it is free or lapsed; else None.

    A live lease of the same owner is not taken over either: two tasks of a process would both believe to hold it.
    """

    async def work(tx: Tx) -> L | None:
        found = await tx.get(kind, key)
        if found is None:
            return await tx.insert(kind, claimed(kind.record(key=key), owner, tx.now, seconds))
        return await tx.replace(kind, claimed(found, owner, tx.now, seconds)) if _is_free(found, tx.now) else None

    return await store.atomically(work)


class Lease(Generic[L]):
    """Keeps a claimed record while its body runs: `async with Lease(store, JOBS, job, clock=clock) as lease`.

    It is extended every third of its time. When it is lost, or could not be extended until its time was over, the body is
    cancelled and the `async with` raises Lost. The record is not given back at the end; a last transaction of the body that
    sets `owner` to "" is no loss.
    """

    def __init__(
        self,
        store: Store,
        kind: Kind[L],
        record: L,
        *,
        clock: Clock,
        seconds: float = LEASE_SECONDS,
    ) -> None:
        self._store = store
        self._kind = kind
        self._record = record
        self._clock = clock
        self._seconds = seconds
        self._beat_seconds = seconds / BEATS_A_LEASE
        self._since = clock.monotonic()
        self._alarm = asyncio.Timeout(None)
        self._error: BaseException | None = None
        self._next: Timer | None = None
        self._limit: Timer | None = None
        self._limit_at = float("inf")
        self._is_over = False
        self._beating: asyncio.Task[bool] | None = None

    async def __aenter__(self) -> Self:
        await self._alarm.__aenter__()
        self._wind()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True  # a beat that is done already may still have to say so
        for timer in filter(None, (self._next, self._limit)):
            timer.cancel()
        if self._beating is not None:
            self._beating.cancel()
        try:
            # asyncio's own timeout does the hard part: to tell the alarm's cancellation from one that comes from outside.
            await self._alarm.__aexit__(kind, error, trace)
        except TimeoutError:
            raise self._error or Lost("the lease is over") from error
        finally:
            if self._beating is not None:
                await asyncio.wait({self._beating})

    def limit(self, seconds: float) -> None:
        """From now on the body may take so long; then it is cancelled, and the `async with` raises OutOfTime."""
        self._limit_at = self._clock.monotonic() + seconds
        self._watch_limit(SOON_LEASES * self._seconds)

    def _watch_limit(self, within: float) -> None:
        """Set its timer if it comes so soon. Most bodies are over before their first beat and never need one."""
        left = self._limit_at - self._clock.monotonic()
        if self._limit is None and left <= within:
            late = OutOfTime("it takes too long")
            self._limit = self._clock.call_later(left, lambda: self._ring(late))

    async def held(self, tx: Tx) -> L:
        """The record as it is now; the first thing each transaction of the holder reads. Raises Lost."""
        return await held(tx, self._kind, self._record.key, self._record.owner, self._record.fence)

    def _wind(self) -> None:
        self._next = self._clock.call_later(self._beat_seconds, self._tick)

    def _tick(self) -> None:
        self._watch_limit(SOON_LEASES * self._seconds)
        self._beating = asyncio.create_task(self._beat(), name=f"lease of {self._kind.name} {self._record.key}")
        self._beating.add_done_callback(self._beaten)

    def _beaten(self, beat: asyncio.Task[bool]) -> None:
        self._beating = None
        if self._is_over:
            if not beat.cancelled():
                beat.exception()  # it was looked at
        elif beat.cancelled():
            self._ring(Lost("its heartbeat was cancelled"))
        elif (error := beat.exception()) is not None:
            self._ring(error)
        elif beat.result():
            self._wind()
        elif self._limit_at < float("inf"):
            self._watch_limit(float("inf"))  # nothing beats any more

    def _ring(self, error: BaseException) -> None:
        """The first reason counts; the body may be at its cleaning up when there is another."""
        if self._error is None and not self._is_over:
            self._error = error
            self._alarm.reschedule(asyncio.get_running_loop().time())

    async def _beat(self) -> bool:
        """False when the body let the record go; raises Lost when somebody else has it or the time is over."""
        asked = self._clock.monotonic()
        try:
            if not await self._store.atomically(self._extended):
                return False
        except StoreError:
            raise
        except ChatelierError as error:
            # The store may come back in time; until then the lease still stands.
            if asked - self._since > self._seconds * LAST_BEAT:
                raise Lost(
                    f"the lease on {self._kind.name} {self._record.key!r} could not be extended: {error}"
                ) from error
        else:
            self._since = asked
        return True

    async def _extended(self, tx: Tx) -> bool:
        found = await tx.get(self._kind, self._record.key)
        if found is not None and (found.owner, found.fence) == ("", self._record.fence):
            return False
        await _extend(tx, self._kind, self._record, self._seconds)
        return True


async def _extend(tx: Tx, kind: Kind[L], record: L, seconds: float) -> L:
    mine = await _owned(tx, kind, record.key, record.owner, record.fence)
    return await tx.replace(kind, replace(mine, due=tx.now + timedelta(seconds=seconds)))


def _is_free(record: Leased, now: datetime) -> bool:
    return not record.owner if record.due is None else record.due <= now


async def _owned(tx: Tx, kind: Kind[L], key: str, owner: str, fence: int) -> L:
    record = await tx.get(kind, key)
    if record is None:
        raise Lost(f"{kind.name} {key!r} is gone")
    if (record.owner, record.fence) != (owner, fence):
        raise Lost(f"{kind.name} {key!r} is held by {record.owner or 'nobody'} by now")
    return record
