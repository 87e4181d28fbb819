"""The files that a command works on when none came with it: the newest that the person has."""

from datetime import datetime

from ..chat.messages import FileRef
from ..media.blob import Blob
from ..media.intake import stored
from ..media.made import newest_made
from ..sessions.session import Session
from ..storage import Reads
from .jobs import JOBS, ORDERS, Job, results_of
from .results import SEEN


async def newest_files(reads: Reads, session: Session) -> tuple[FileRef, ...]:
    """Of the newest answer or order that has any pictures or videos, all of them in order; none when there is none."""
    made = await newest_made(reads, session.key)
    job = await _newest_of_jobs(reads, session)
    if made is not None and (job is None or made.created >= job[0]):
        return tuple(map(stored, made.blobs))
    return tuple(map(stored, job[1])) if job else ()


async def _newest_of_jobs(reads: Reads, session: Session) -> tuple[datetime, tuple[Blob, ...]] | None:
    """When the newest one was done, and what the jobs of its order gave, in order."""
    for key in session.runs:
        job = await reads.get(JOBS, key)
        if job is not None and (blobs := await _of_order(reads, job)):
            return job.ended or job.created, blobs
    return None


async def _of_order(reads: Reads, job: Job) -> tuple[Blob, ...]:
    order = await reads.get(ORDERS, job.order)
    found = [await results_of(reads, key) for key in (order.jobs if order else (job.key,))]
    return tuple(one.blob for results in found for one in results if one.blob is not None and one.blob.kind in SEEN)
