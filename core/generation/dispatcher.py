"""Begins the jobs that wait, each on the backend that placing chose, and goes on with those whose holder is gone."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

from ..errors import ChatelierError, Exists, Lost, OperatorMust, Unavailable
from ..keys import unique
from ..leases import LEASE_SECONDS, Lease
from ..log import context, get_logger
from ..storage import Scalar, Tx, Unreadable
from ..supervise import guarded
from ..values import replace
from ..workflows.check import fitted
from ..workflows.choices import models_of
from ..workflows.graph import with_prefix
from . import words
from .jobs import ATTEMPTS, CLAIMS, JOBS, ORDERS, RUNS, AttemptRow, Job, Seen
from .leftovers import Leftovers
from .orders import end
from .placing import Candidate, Choice
from .run import JobRun, Workshop
from .waiting import Waiting

log = get_logger(__name__)

LOOK_SECONDS = 1.0
"""Besides the store's hints: when a lease lapses nobody is told."""
CANCEL_LOOK_SECONDS = 5.0
"""The same for cancels that another process wrote."""
CANCEL_PAUSE_SECONDS = 0.2
"""The least time between two looks for cancels: jobs move all the time."""
PUT_OFF_SECONDS = 5.0
"""Until a job is claimed again whose store or disk was away; that is no crash of the job's."""
ASIDE_SECONDS = 600.0
"""Until a job is claimed again that could not be taken up, because something that belongs to it cannot be read."""
RUNS_SECONDS = 30.0
"""How old the measured times of runs may be that another process wrote."""
HELD_A_PLACE = 4
"""Jobs of this process for each place: those that store their results need none."""


class Dispatcher:
    """account: only jobs of this account, "" for all jobs of the store."""

    def __init__(self, workshop: Workshop, account: str = "") -> None:
        self.shop = workshop
        self.waiting = Waiting(workshop.store, workshop.placing, workshop.clock, account)
        self.running: dict[str, JobRun] = {}
        self._holding: dict[str, asyncio.Task[None]] = {}
        self._stopping = False
        self._tasks: asyncio.TaskGroup
        self._runs_read_at: dict[str, float] = {}

    @property
    def account(self) -> str:
        return self.waiting.account

    @account.setter
    def account(self, account: str) -> None:
        self.waiting.account = account

    async def run(self) -> None:
        """Until cancelled; then every job that still runs is given back."""
        self.shop.fleet.forget_jobs()
        async with asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self.shop.fleet.run(), name="fleet")
            self._tasks.create_task(self._watch_cancels(), name="cancels")
            self._tasks.create_task(Leftovers(self.shop).run(), name="lost attempts")
            self._tasks.create_task(self._go_on(), name="lapsed jobs")
            await self._begin()

    def stop_intake(self) -> None:
        """Begin no more; what runs goes on."""
        self._stopping = True

    async def drained(self) -> None:
        """Returns when nothing runs any more."""
        while self.running:
            await self.shop.clock.sleep(0.05)

    # --- jobs that wait

    async def _begin(self) -> None:
        orders = self.shop.store.changes(ORDERS, inserted=True)
        moved = self.shop.fleet.moved
        while True:
            try:
                await self._begin_all()
            except (Unavailable, OperatorMust) as away:
                log.warning("store away", error=str(away))
                await self.shop.clock.sleep(LOOK_SECONDS)
            waits = {asyncio.ensure_future(orders.wait(LOOK_SECONDS)), asyncio.ensure_future(moved.wait())}
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            moved.clear()

    async def _begin_all(self) -> None:
        """As many as there is room for now."""
        fleet, waiting = self.shop.fleet, self.waiting
        while not self._stopping and self._may_hold_more and fleet.has_room:
            if waiting.is_stale or not waiting.candidates:
                await waiting.read(fleet.generation)
                while await self._put_off_hopeless():
                    await waiting.read(fleet.generation)
                await self._read_runs()
            # Jobs were taken over while the store was asked: who had room then may have none now.
            choice = self.shop.placing.next(waiting.candidates, fleet.roomy())
            if choice is not None:
                await self._readable(choice.candidate, self._take_up(choice))
            elif not await waiting.look_deeper():
                return

    async def _readable(self, candidate: Candidate, step: Awaitable[None]) -> None:
        """One job, order or attempt that cannot be read holds up no other one."""
        try:
            await step
        except Unreadable as bad:
            log.error("job passed over", job=candidate.job.key, reason=str(bad))
            self.waiting.put_off(candidate)

    @property
    def _may_hold_more(self) -> bool:
        held, members = len(self.running), self.shop.fleet.members
        if held < HELD_A_PLACE * len(members):
            return True
        return held < HELD_A_PLACE * sum(max(1, member.description.places) for member in members.values())

    async def _take_up(self, choice: Choice) -> None:
        """Claim it, with a place and an attempt, in one transaction; then run it."""
        candidate, member = choice.candidate, choice.member
        attempt_id, place = unique(), member.free_place(self.shop.clock.monotonic())
        assert place is not None  # noqa: S101 - it has room, so it has a place
        graph = fitted(candidate.job.graph, member.description.classes)
        models = models_of(graph)
        prefix = f"chatelier/{self.shop.clock.now():%Y-%m-%d}/{attempt_id}"
        row = AttemptRow(
            key=attempt_id,
            job=candidate.job.key,
            backend=member.name,
            place=f"{member.name}/{place}",
            graph=with_prefix(graph, prefix),
            created=self.shop.clock.now(),
        )

        async def work(tx: Tx) -> tuple[Job, AttemptRow] | None:
            job = await tx.get(JOBS, candidate.job.key)
            if job is None or not job.ready:
                return None
            if job.cancel:  # asked for while its last attempt came to nothing
                return await end(tx, job, "cancelled", ""), row
            if job.claims + 1 >= CLAIMS:
                return await end(tx, job, "failed", words.CRASHED), row
            stored = await tx.insert(ATTEMPTS, replace(row, created=tx.now))
            begun = replace(
                job,
                ready=False,
                state="submitting",
                owner=self.shop.owner,
                fence=job.fence + 1,
                due=tx.now + timedelta(seconds=LEASE_SECONDS),
                claims=job.claims + 1,
                attempt=attempt_id,
                attempts=job.attempts + 1,
                backend=member.name,
                seen=None,
            )
            return await tx.replace(JOBS, begun), stored

        try:
            taken = await self.shop.store.atomically(work)
        except Exists:  # another process has this place
            member.note_taken(place, self.shop.clock.monotonic())
            return
        self.waiting.remove(candidate)
        if taken is not None and taken[0].open:
            member.models = models or member.models
            self.shop.changed(taken[0], candidate.job)
            self._start(JobRun(self.shop, taken[0], taken[1], is_new=True))

    async def _put_off_hopeless(self) -> bool:
        """Of what waits, jobs that nobody can take: they fail if that is for ever; otherwise they make way. Whether there were any."""
        fleet, were_any = self.shop.fleet, False
        if not (fleet.is_known and fleet.answers):
            return False
        for candidate in list(self.waiting.candidates):
            able = self.shop.placing.able(candidate)
            if not able:
                were_any = True
                self.waiting.put_off(candidate)
            was_away = candidate.job.seen is not None and candidate.job.seen.away
            if was_away == bool(able) or (candidate.cannot and candidate.cannot.for_ever):
                await self._readable(candidate, self._tell(candidate))
        return were_any

    async def _tell(self, candidate: Candidate) -> None:
        """Its person sees that no backend for it answers, that one does again, or why none ever will."""
        cannot = candidate.cannot

        async def work(tx: Tx) -> Job | None:
            job = await tx.get(JOBS, candidate.job.key)
            if job is None or not job.ready:
                return None
            if job.cancel:
                return await end(tx, job, "cancelled", "")
            if cannot is not None and cannot.for_ever:
                return await end(tx, job, "failed", cannot.words)
            return await tx.replace(JOBS, replace(job, seen=Seen(phase="waiting", away=True) if cannot else None))

        job = await self.shop.store.atomically(work)
        if job is not None and not job.open:
            self.shop.changed(job, candidate.job)

    async def _read_runs(self) -> None:
        """How long the workflows that wait take, as it was measured."""
        now, placing = self.shop.clock.monotonic(), self.shop.placing
        for workflow in {candidate.job.workflow for candidate in self.waiting.candidates}:
            if now - self._runs_read_at.get(workflow, float("-inf")) >= RUNS_SECONDS:
                self._runs_read_at[workflow] = now
                placing.note_seconds(await self.shop.store.find(RUNS, {"workflow": workflow}, limit=10_000))

    # --- jobs whose holder is gone, or that are due for another reason

    async def _go_on(self) -> None:
        changes = self.shop.store.changes(JOBS)
        while True:
            try:
                while not self._stopping and (job := await self._claim()) is not None:
                    if job.open:
                        await self._take_over(job)
            except Unreadable as bad:
                log.error("job set aside", reason=str(bad), seconds=ASIDE_SECONDS)
                await self.shop.store.atomically(self._set_aside)
            except (Unavailable, OperatorMust) as away:
                log.warning("store away", error=str(away))
            await self.shop.clock.sleep(LOOK_SECONDS)
            await changes.wait(LOOK_SECONDS)

    async def _take_over(self, job: Job) -> None:
        """It may be one of this process's own, where the clock of the store went on while the machine slept."""
        if (task := self._holding.get(job.key)) is not None:
            task.cancel()
            await asyncio.wait({task})
        row = await self.shop.store.get(ATTEMPTS, job.attempt) if job.attempt else None
        self._start(JobRun(self.shop, job, row))

    @property
    def _mine(self) -> dict[str, Scalar]:
        return {"account": self.account, "open": True} if self.account else {"open": True}

    async def _set_aside(self, tx: Tx) -> None:
        """The one that is due the longest, because something that belongs to it cannot be read."""
        await tx.claim(JOBS, self._mine, owner=self.shop.owner, seconds=ASIDE_SECONDS)

    async def _claim(self) -> Job | None:
        """The one that is due the longest. One that waits in the line is due when it expires."""

        async def work(tx: Tx) -> tuple[Job, Job] | None:
            job = await tx.claim(JOBS, self._mine, owner=self.shop.owner, seconds=LEASE_SECONDS)
            if job is None:
                return None
            job = await tx.replace(JOBS, replace(job, ready=False, claims=job.claims + 1))
            if job.claims < CLAIMS or job.state == "queued":
                return job, job
            if attempt := await tx.get(ATTEMPTS, job.attempt):
                await tx.replace(ATTEMPTS, replace(attempt, state="lost", place=""))
            return await end(tx, job, "failed", words.CRASHED), job

        claimed = await self.shop.store.atomically(work)
        if claimed is None:
            return None
        job, before = claimed
        if not job.open:
            self.shop.changed(job, before)
        return job

    def _start(self, run: JobRun) -> None:
        key = run.job.key
        self.running[key] = run
        self._holding[key] = task = self._tasks.create_task(self._hold(run), name=f"job {key}")
        task.add_done_callback(lambda _: self._left(key, run))

    def _left(self, key: str, run: JobRun) -> None:
        """Also where its task was cancelled before it began."""
        if self.running.get(key) is run:
            del self.running[key], self._holding[key]
        self.shop.fleet.moved.set()

    async def _hold(self, run: JobRun) -> None:
        job = run.job
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

    async def _watch_cancels(self) -> None:
        changes = self.shop.store.changes(JOBS)
        while True:
            try:
                asked = await self.shop.store.find(JOBS, {"open": True, "cancel": True}, order="created", limit=1_000)
            except ChatelierError as away:
                log.warning("cancels not read", error=str(away))
            else:
                for run in [self.running[job.key] for job in asked if job.key in self.running]:
                    run.cancelled.set()
            await self.shop.clock.sleep(CANCEL_PAUSE_SECONDS)
            await changes.wait(CANCEL_LOOK_SECONDS)
