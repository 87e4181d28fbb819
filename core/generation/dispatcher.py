"""Claims jobs and runs each under its lease, two for every backend at once."""

import asyncio
from dataclasses import replace

from ..errors import Lost, OperatorMust, Unavailable
from ..leases import LEASE_SECONDS, Lease
from ..log import context, get_logger
from ..storage import Scalar, Tx
from ..supervise import guarded
from . import words
from .jobs import ATTEMPTS, CLAIMS, JOBS, Job
from .leftovers import Leftovers
from .orders import end
from .placing import PLACES_A_BACKEND
from .run import JobRun, Workshop

log = get_logger(__name__)

LOOK_SECONDS = 1.0
"""Besides the store's hints: when a lease lapses nobody is told."""
CANCEL_LOOK_SECONDS = 5.0
"""The same for cancels that another process wrote."""
PUT_OFF_SECONDS = 5.0
"""Until a job is claimed again whose store or disk was away; that is no crash of the job's."""


class Dispatcher:
    """account: only jobs of this account, "" for all jobs of the store."""

    def __init__(self, workshop: Workshop, account: str = "") -> None:
        self.shop = workshop
        self.account = account
        self.running: dict[str, JobRun] = {}
        self._stopping = False

    async def run(self) -> None:
        """Until cancelled; then every job that still runs is given back."""
        changes = self.shop.store.changes(JOBS)
        places = asyncio.Semaphore(PLACES_A_BACKEND * max(1, len(self.shop.backends)))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_cancels(), name="cancels")
            tasks.create_task(Leftovers(self.shop).run(), name="lost attempts")
            while True:
                await places.acquire()
                job = await self._claim()
                if job is None:
                    places.release()
                    await changes.wait(LOOK_SECONDS)
                    continue
                task = tasks.create_task(self._hold(job), name=f"job {job.key}")
                task.add_done_callback(lambda _: places.release())

    def stop_intake(self) -> None:
        """Claim no more; what runs goes on."""
        self._stopping = True

    async def drained(self) -> None:
        """Returns when nothing runs any more."""
        while self.running:
            await self.shop.clock.sleep(0.05)

    async def _claim(self) -> Job | None:
        async def work(tx: Tx) -> Job | None:
            where: dict[str, Scalar] = {"account": self.account, "open": True} if self.account else {"open": True}
            job = await tx.claim(JOBS, where, owner=self.shop.owner, seconds=LEASE_SECONDS)
            if job is None:
                return None
            job = await tx.replace(JOBS, replace(job, claims=job.claims + 1))
            if job.claims < CLAIMS:
                return job
            if attempt := await tx.get(ATTEMPTS, job.attempt):
                await tx.replace(ATTEMPTS, replace(attempt, state="lost"))
            return await end(tx, job, "failed", words.CRASHED)

        if self._stopping or self.shop.clock.monotonic() < self.shop.placing.resting_until:
            return None
        try:
            job = await self.shop.store.atomically(work)
        except (Unavailable, OperatorMust) as away:
            log.warning("store away", error=str(away))
            await self.shop.clock.sleep(LOOK_SECONDS)
            return None
        return job if job is not None and job.open else None

    async def _hold(self, job: Job) -> None:
        run = JobRun(self.shop, job)
        self.running[job.key] = run
        with context(order=job.order, job=job.key):
            try:
                async with Lease(self.shop.store, JOBS, job, clock=self.shop.clock, seconds=LEASE_SECONDS):
                    await guarded(run.live())
            except asyncio.CancelledError:
                await run.release()
                raise
            except Lost as lost:
                log.info("job taken over", job=job.key, reason=str(lost))
            except (Unavailable, OperatorMust) as away:
                log.warning("job put off", job=job.key, reason=str(away))
                await run.release(PUT_OFF_SECONDS)
            except Exception:  # a backend's code may raise anything; the lease lapses and the job is claimed again
                log.exception("job interrupted", job=job.key)
            finally:
                del self.running[job.key]

    async def _watch_cancels(self) -> None:
        changes = self.shop.store.changes(JOBS)
        while True:
            for run in [run for run in self.running.values() if not run.cancelled.is_set()]:
                try:
                    job = await self.shop.store.get(JOBS, run.job.key)
                except (Unavailable, OperatorMust):
                    break
                if job is not None and job.cancel:
                    run.cancelled.set()
            await changes.wait(CANCEL_LOOK_SECONDS)
