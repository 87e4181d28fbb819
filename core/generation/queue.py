"""Who is before whom, and about how long it takes."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..clock import Clock
from ..storage import Reads, Store
from . import words
from .fleet import Fleet
from .jobs import JOBS, ORDERS, RUNS, WORKLOADS, Job

FRESH_SECONDS = 2.0
"""How old a place may be that is shown: to find it, all that waits is read."""
AT_BACKENDS = ("submitting", "submitted")


@dataclass(frozen=True, slots=True)
class Line:
    """All open jobs as they stood at one moment.

    turns: of the first thousand that wait here, with their keys. begun: jobs that a backend has and does not run yet, before these.
    running: how many jobs each backend runs. away: no backend answers.
    """

    turns: Sequence[tuple[str, str]] = ()
    begun: int = 0
    running: Mapping[str, int] = field(default_factory=dict)
    away: bool = False

    def place(self, job: Job) -> int:
        """How many begin before it, and itself: 1 is next; 0 when nothing is before it. Over `PLACES_TOLD` it is at least that."""
        if not job.ready:
            return job.seen.ahead if job.seen and job.seen.ahead else 0
        return self.begun + bisect_left(self.turns, (job.turn, job.key)) + 1

    def seconds_left(self, job: Job, usual: float | None) -> float | None:
        """About how long until it is done, None for unknown."""
        if usual is None:
            return None
        if job.state == "running":
            return usual * (1 - ((job.seen.fraction if job.seen else None) or 0.0))
        place = self.place(job)
        if place > words.PLACES_TOLD:
            return None
        before = max(0, place - 1) + sum(self.running.values())
        return usual * (1 + math.ceil(before / max(1, len(self.running))))


async def line_now(reads: Reads, *, away: bool = False) -> Line:
    """Read it."""
    most = words.PLACES_TOLD
    waiting = await reads.find(JOBS, {"ready": True}, order="turn", limit=most)
    begun = 0
    for state in AT_BACKENDS:
        begun += len(await reads.find(JOBS, {"state": state}, order="created", limit=most))
    running: dict[str, int] = {}
    for job in await reads.find(JOBS, {"state": "running"}, order="created", limit=most):
        running[job.backend] = running.get(job.backend, 0) + 1
    return Line([(job.turn, job.key) for job in waiting], begun, running, away)


class Queue:
    """The line of this store, read at most every two seconds however many look at it."""

    def __init__(self, store: Store, clock: Clock, fleet: Fleet) -> None:
        self._store = store
        self._clock = clock
        self._fleet = fleet
        self._line = Line()
        self._read_at = -FRESH_SECONDS

    async def now(self) -> Line:
        """Raises Unavailable."""
        now = self._clock.monotonic()
        if now - self._read_at >= FRESH_SECONDS:
            away = self._fleet.is_known and not self._fleet.answers
            self._line = await line_now(self._store, away=away)
            self._read_at = now
        return self._line


async def usual_seconds(reads: Reads, workflow: str) -> float | None:
    """The average of its last ten runs; None before the first."""
    runs = await reads.get(RUNS, workflow)
    return runs.seconds if runs else None


async def open_jobs(reads: Reads, person: str) -> list[Job]:
    """A person's jobs that have not ended, the oldest first."""
    load = await reads.get(WORKLOADS, person)
    orders = [await reads.get(ORDERS, key) for key in load.orders] if load else []
    jobs = [await reads.get(JOBS, key) for order in orders if order for key in order.jobs]
    return [job for job in jobs if job and job.open]


async def status_lines(reads: Reads, jobs: Sequence[Job]) -> list[str]:
    """Jobs as `/status` shows them."""
    line = await line_now(reads)
    return [await _status(reads, job, line) for job in jobs]


async def _status(reads: Reads, job: Job, line: Line) -> str:
    return words.status(job, line.place(job), line.seconds_left(job, await usual_seconds(reads, job.workflow)))
