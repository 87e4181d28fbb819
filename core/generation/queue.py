"""Who is before whom, and about how long it takes."""

from collections.abc import Mapping

from ..storage import Reads
from . import words
from .jobs import JOBS, RUNS, Job

SHOWN = 1_000


async def places(reads: Reads) -> dict[str, int]:
    """The place of each waiting job; 1 is next."""
    waiting = await reads.find(JOBS, {"state": "queued"}, order="created", limit=SHOWN)
    return {job.key: n for n, job in enumerate(waiting, start=1)}


async def usual_seconds(reads: Reads, workflow: str) -> float | None:
    """The average of its last ten runs; None before the first."""
    runs = await reads.get(RUNS, workflow)
    return runs.seconds if runs else None


def seconds_left(job: Job, place: int, usual: float | None) -> float | None:
    """About how long until it is done, None for unknown. place: 0 when it does not wait here."""
    if usual is None:
        return None
    if job.state == "running" and job.seen:
        return usual * (1 - (job.seen.fraction or 0.0))
    return usual * max(1, place)


def place_of(job: Job, waiting: Mapping[str, int]) -> int:
    """Its place here, and before it at the backend when it was sent there; 0 when nothing is before it."""
    ahead = job.seen.ahead if job.seen and job.seen.ahead else 0
    return waiting.get(job.key, 0) + ahead


async def open_jobs(reads: Reads, person: str) -> list[Job]:
    """A person's jobs that have not ended, the oldest first."""
    recent = await reads.find(JOBS, {"person": person}, order="created", descending=True, limit=200)
    return [job for job in reversed(recent) if job.open]


async def status_line(reads: Reads, job: Job) -> str:
    """One job as `/status` shows it."""
    place = place_of(job, await places(reads))
    left = seconds_left(job, place, await usual_seconds(reads, job.workflow))
    return words.status(job, place, left)
