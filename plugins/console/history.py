"""What became of the jobs of the last day, as their records tell it: for the charts, so that a restart loses nothing of them."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chatelier import JOBS, Clock, Job, Store

DAY = timedelta(hours=24)
FRESH_SECONDS = 10.0
"""How old the charts may be, however many look at them."""
PAGE = 500
MOST_AT_ONCE = 5_000
"""Jobs that are read at a time, the newest: about a second's work. Where more ended, the charts begin with these, and say so."""
MOST = 50_000
"""Jobs that are remembered."""
OPEN = 500
"""Jobs that wait or run and are counted, the oldest."""
MOMENT = timedelta(milliseconds=1)
"""Stores keep no less."""


@dataclass(frozen=True, slots=True)
class Past:
    """What the charts need of a job. began, ended: None for not yet, or never. seconds: that it ran, 0 for unknown."""

    key: str
    workflow: str
    backend: str
    is_done: bool
    created: datetime
    began: datetime | None
    ended: datetime | None
    seconds: float

    @classmethod
    def of(cls, job: Job) -> "Past":
        seconds, ended = job.run_ms / 1000, None if job.open else job.ended
        began = job.started
        if began is None and ended is not None and seconds:  # so quick that nobody saw it begin
            began = ended - timedelta(seconds=seconds)
        is_done = job.state == "done"
        return cls(job.key, job.workflow, job.backend, is_done, job.created, began, ended, seconds)


@dataclass(frozen=True, slots=True)
class Look:
    """The jobs that ended since `since`, the oldest first, and those that are open, as it was at `at`.

    is_whole: since then is a whole day ago; otherwise more jobs ended in that day than are counted.
    """

    at: datetime
    since: datetime
    ended: Sequence[Past] = ()
    open: Sequence[Past] = ()
    is_whole: bool = True


@dataclass(slots=True)
class History:
    """Reads what is new, and remembers the rest."""

    store: Store
    clock: Clock
    _jobs: list[Past] = field(default_factory=list)
    _since: datetime | None = None
    _look: Look | None = None
    _read_at: float = float("-inf")
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self) -> Look:
        """At most ten seconds old. Raises Unavailable."""
        async with self._reading:
            if self._look is None or self.clock.monotonic() - self._read_at >= FRESH_SECONDS:
                self._look = await self._read()
                self._read_at = self.clock.monotonic()
            return self._look

    async def _read(self) -> Look:
        at = self.clock.now()
        begin = at - DAY
        known_until = self._jobs[-1].ended if self._jobs else None
        fresh, is_complete = await self._ended_since(known_until or begin)
        if is_complete:
            known = {job.key for job in self._jobs[-PAGE:]}
            self._jobs += [job for job in fresh if job.key not in known]
        else:  # a gap would look like an hour without work
            self._jobs, self._since = fresh, fresh[0].ended
        if len(self._jobs) > MOST:
            self._jobs = self._jobs[-MOST:]
            self._since = self._jobs[0].ended
        self._jobs = [job for job in self._jobs if job.ended and job.ended >= begin]
        since = max(begin, self._since or begin)
        waiting = await self.store.find(JOBS, {"open": True}, order="created", limit=OPEN)
        return Look(at, since, tuple(self._jobs), tuple(map(Past.of, waiting)), since == begin)

    async def _ended_since(self, since: datetime) -> tuple[list[Past], bool]:
        """The oldest first, and whether these are all."""
        found: dict[str, Past] = {}
        until: datetime | None = None
        while len(found) < MOST_AT_ONCE:
            page = await self.store.find(
                JOBS, {"open": False}, order="ended", since=since, until=until, descending=True, limit=PAGE
            )
            fresh = [Past.of(job) for job in page if job.key not in found]
            found |= {job.key: job for job in fresh}
            if len(page) < PAGE or not fresh or page[-1].ended is None:
                return list(reversed(found.values())), True
            until = page[-1].ended + MOMENT
        return list(reversed(found.values())), False


def busy_seconds(spans: Iterable[tuple[datetime, datetime]], since: datetime, until: datetime) -> float:
    """How much of since to until any of the spans covers; where they overlap it counts once."""
    busy, reached = 0.0, since
    for begin, end in sorted(spans):
        start, stop = max(begin, reached), min(end, until)
        if stop > start:
            busy += (stop - start).total_seconds()
            reached = stop
    return busy
