"""A machine that walks the table of jobs: orders, workers that die and come back, servers that lie; and what must hold."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chatelier import JOBS, Attempt, BadInput, ChatRef, Ended, Job, Lost, Refused, Retry, Tx, Unavailable, Uncertain
from chatelier.core.chat.outbox import MESSAGES, Address
from chatelier.core.gateway import KINDS
from chatelier.core.generation import words
from chatelier.core.generation.backend import Output, Progress
from chatelier.core.generation.dispatcher import Dispatcher
from chatelier.core.generation.jobs import ATTEMPTS, ORDERS, RESULTS, WORKLOADS
from chatelier.core.generation.ordering import wanted_run
from chatelier.core.generation.orders import Terms, ask_to_cancel, take
from chatelier.core.generation.placing import Placing
from chatelier.core.generation.run import JobRun, Workshop
from chatelier.core.leases import held
from chatelier.core.storage import Changes, Kind, Store
from chatelier.core.testing.backend import FakeBackend
from chatelier.core.testing.blobs import MemoryBlobs
from chatelier.core.testing.clock import FakeClock, settle
from chatelier.core.testing.gateway import PICTURE
from chatelier.core.testing.store import FakeStore

T = TypeVar("T")
ATTEMPTS_AT_MOST = 3
OPEN_ORDERS = 3
PEOPLE = ("ada", "bob")
CHAT = ChatRef(platform="fake", chat="room", direct=True)
Submission = Literal["taken", "refused", "later", "lost on the way", "answer lost"]


class View:
    """A process's view of the store: it can die with its process, or stop in the middle of everything."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.is_dead = False
        self.thawed = asyncio.Event()
        self.thawed.set()

    async def _pass(self) -> None:
        await self.thawed.wait()
        if self.is_dead:
            raise Unavailable("this process is dead")

    async def get(self, kind: Kind[Any], key: str, *, by: str = "") -> Any:
        await self._pass()
        return await self._store.get(kind, key, by=by)

    async def find(self, kind: Kind[Any], where: Mapping[str, Any] | None = None, **options: Any) -> list[Any]:
        await self._pass()
        return await self._store.find(kind, where, **options)

    async def atomically(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        await self._pass()
        return await self._store.atomically(work)

    def changes(self, *kinds: Kind[Any]) -> Changes:
        return self._store.changes(*kinds)

    async def check(self) -> list[str]:
        return await self._store.check()

    async def backup(self, target: str) -> None:
        await self._store.backup(target)


class Server(FakeBackend):
    """Notes an attempt that it is given twice."""

    def __init__(self) -> None:
        super().__init__(hold=True)
        self.given_twice: list[str] = []
        self.knew: set[str] = set()

    async def submit(self, attempt: Attempt) -> str:
        if attempt.id in self.knew:
            self.given_twice.append(attempt.id)
        try:
            return await super().submit(attempt)
        finally:
            self.knew |= set(self.runs)


class Worker:
    """A process that takes jobs."""

    def __init__(self, name: str, store: Store, server: Server, clock: FakeClock) -> None:
        self.view = View(store)
        shop = Workshop(
            store=self.view,
            blobs=MemoryBlobs(self.view),
            backends={server.name: server},
            placing=Placing({server.name: server}),
            clock=clock,
            owner=name,
            attempts=ATTEMPTS_AT_MOST,
            run_seconds=600.0,
            fetch_seconds=120.0,
        )
        self.dispatcher = Dispatcher(shop)
        self.task = asyncio.create_task(self.dispatcher.run())

    @property
    def is_frozen(self) -> bool:
        return not self.view.thawed.is_set()

    async def stop(self) -> None:
        self.view.thawed.set()
        self.task.cancel()
        await asyncio.wait({self.task})

    async def crash(self) -> None:
        self.view.is_dead = True
        await self.stop()


class World:
    """The store, the server and the clock of one example, and what was asked of them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(KINDS, self.clock)
        self.server = Server()
        self.workers: dict[str, Worker] = {}
        self.events = 0
        self.started = 0
        self.cancelled_in_time: set[str] = set()
        self.too_late: set[str] = set()

    async def order(self, person: str) -> None:
        self.events += 1
        event = f"event {self.events}"
        terms = Terms(open_orders=OPEN_ORDERS, queue_seconds=900.0)
        to = Address(chat=CHAT, sender=f"fake:{person}", reply_to="1")
        wanted = wanted_run(PICTURE, {"prompt": event})
        open_before = await self.store.find(ORDERS, {"person": person, "state": "open"}, order="created")

        async def work(tx: Tx) -> None:
            await take(tx, person, to, event, [wanted], terms, command="make")

        try:
            await self.store.atomically(work)
        except BadInput:
            assert len(open_before) == OPEN_ORDERS
        else:
            assert len(open_before) < OPEN_ORDERS

    async def cancel(self, job: str) -> None:
        said = await self.store.atomically(lambda tx: ask_to_cancel(tx, job))
        if said in (words.CANCELLED, words.CANCELLING):
            self.cancelled_in_time.add(job)
        elif said == words.TOO_LATE:
            self.too_late.add(job)

    def start(self) -> None:
        self.started += 1
        name = f"worker {self.started}"
        self.workers[name] = Worker(name, self.store, self.server, self.clock)

    def submissions_are(self, how: Submission) -> None:
        errors = {"refused": Refused("bad graph"), "later": Retry(3.0), "lost on the way": Uncertain("sent?")}

        def before(_: Attempt) -> None:
            if how in errors:
                raise errors[how]

        def after(_: Attempt) -> None:
            if how == "answer lost":
                raise Uncertain("no answer")

        self.server.refuse, self.server.after_submit = before, after

    async def jobs(self) -> list[Job]:
        return await self.store.find(JOBS, order="created", limit=1_000)

    async def heal(self) -> None:
        """All is well again, for as long as it takes."""
        self.server.down = self.server.cut_off = False
        self.submissions_are("taken")
        for worker in self.workers.values():
            worker.view.thawed.set()
        self.start()
        for _ in range(40):
            self.server.wake()
            self.server.finish()
            await self.clock.advance(20)
            if not any(job.open for job in await self.jobs()):
                return
        raise AssertionError(f"still open: {[job for job in await self.jobs() if job.open]}")

    async def end(self) -> None:
        for worker in self.workers.values():
            await worker.crash()


def pick(data: st.DataObject, options: list[Any]) -> Any:
    return data.draw(st.sampled_from(options))


class JobsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.ended: dict[str, Job] = {}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        async def and_settle() -> T:
            result = await work
            for _ in range(4):
                await settle()
            return result

        return self.runner.run(and_settle())

    async def _call(self, action: Callable[[], object]) -> None:
        action()

    @initialize()
    def begin(self) -> None:
        async def make() -> World:
            return World()

        self.world = self.do(make())
        self.do(self._call(self.world.start))

    # --- what people do

    @rule(person=st.sampled_from(PEOPLE))
    def order(self, person: str) -> None:
        self.do(self.world.order(person))

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if jobs := self.do(self.world.jobs()):
            self.do(self.world.cancel(pick(data, [job.key for job in jobs])))

    # --- what processes do

    @precondition(lambda self: len(self.world.workers) < 3)
    @rule()
    def start_a_worker(self) -> None:
        self.do(self._call(self.world.start))

    @precondition(lambda self: self.world.workers)
    @rule(data=st.data(), how=st.sampled_from(["crash", "stop"]))
    def end_a_worker(self, data: st.DataObject, how: str) -> None:
        worker = self.world.workers.pop(pick(data, list(self.world.workers)))
        self.do(worker.crash() if how == "crash" else worker.stop())

    @precondition(lambda self: self.world.workers)
    @rule(data=st.data())
    def freeze_or_thaw_a_worker(self, data: st.DataObject) -> None:
        worker = pick(data, list(self.world.workers.values()))
        self.do(self._call(worker.view.thawed.set if worker.is_frozen else worker.view.thawed.clear))

    # --- what the server does

    @rule(how=st.sampled_from(["taken", "taken", "refused", "later", "lost on the way", "answer lost"]))
    def submit_so(self, how: Submission) -> None:
        self.do(self._call(lambda: self.world.submissions_are(how)))

    @rule(down=st.booleans(), cut_off=st.booleans())
    def come_and_go(self, down: bool, cut_off: bool) -> None:
        def change() -> None:
            self.world.server.down, self.world.server.cut_off = down, cut_off
            self.world.server.wake()

        self.do(self._call(change))

    @precondition(lambda self: any(run.ended is None for run in self.world.server.runs.values()))
    @rule(
        data=st.data(), how=st.sampled_from(["done", "done", "failed", "out of memory", "stopped", "lost", "text only"])
    )
    def end_an_attempt(self, data: st.DataObject, how: str) -> None:
        server = self.world.server
        attempt = pick(data, [key for key, run in server.runs.items() if run.ended is None])
        pictures = tuple(Output(n=n, node="1", name=f"{n}.png") for n in range(3))
        endings = {
            "done": Ended(state="done", outputs=pictures),
            "failed": Ended(state="failed", words="a node failed"),
            "out of memory": Ended(state="failed", words="out of memory", transient=True),
            "stopped": Ended(state="cancelled"),
            "lost": Ended(state="lost"),
            "text only": Ended(state="done", outputs=(Output(n=0, node="1", name="words", text="a text"),)),
        }

        def change() -> None:
            server.finish(attempt, endings[how])
            if how == "lost":
                del server.runs[attempt]

        self.do(self._call(change))

    @rule(fraction=st.floats(0, 1), phase=st.sampled_from(["waiting", "running"]))
    def make_progress(self, fraction: float, phase: Literal["waiting", "running"]) -> None:
        def change() -> None:
            for run in self.world.server.runs.values():
                run.progress = Progress(phase=phase, fraction=fraction, title="Painting")
            self.world.server.wake()

        self.do(self._call(change))

    @rule(seconds=st.sampled_from([0.5, 3.0, 12.0, 31.0, 70.0, 400.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.do(self.world.clock.advance(seconds))

    # --- what always holds

    @invariant()
    def a_job_ends_once(self) -> None:
        for job in self.do(self.world.jobs()):
            if job.key in self.ended:
                assert job == self.ended[job.key], "nobody writes to a job that has ended"
            elif not job.open:
                self.ended[job.key] = job
            assert job.open == (job.state not in ("done", "failed", "expired", "cancelled"))

    @invariant()
    def an_ended_job_was_told_once_and_an_open_one_not_yet(self) -> None:
        messages = self.do(self.world.store.find(MESSAGES, order="created", limit=1_000))
        for job in self.do(self.world.jobs()):
            final = [message for message in messages if message.job == job.key]
            assert len(final) == (0 if job.open else 1)

    @invariant()
    def a_done_job_has_each_output_once_and_others_show_none(self) -> None:
        for job in self.do(self.world.jobs()):
            results = self.do(self.world.store.find(RESULTS, {"job": job.key}, order="n"))
            if job.state == "done":
                assert [result.n for result in results] == [output.n for output in job.outputs]
            elif job.state == "cancelled":
                assert results == []

    @invariant()
    def the_open_orders_of_a_person_are_those_counted(self) -> None:
        jobs = {job.key: job for job in self.do(self.world.jobs())}
        for person in PEOPLE:
            load = self.do(self.world.store.get(WORKLOADS, person))
            orders = self.do(self.world.store.find(ORDERS, {"person": person, "state": "open"}, order="created"))
            assert sorted(load.orders if load else ()) == sorted(order.key for order in orders)
            assert len(orders) <= OPEN_ORDERS
            assert all(any(jobs[key].open for key in order.jobs) for order in orders)

    @invariant()
    def attempts_keep_to_the_limit(self) -> None:
        for job in self.do(self.world.jobs()):
            assert job.attempts <= ATTEMPTS_AT_MOST
            attempts = self.do(self.world.store.find(ATTEMPTS, {"job": job.key}, order="created"))
            alive = [row.key for row in attempts if row.state in ("submitting", "submitted")]
            assert alive == ([job.attempt] if job.open and job.attempt and job.state != "storing" else [])
        assert self.world.server.given_twice == []

    @invariant()
    def a_cancel_counts_until_the_outputs_are_there(self) -> None:
        for job in self.do(self.world.jobs()):
            if not job.open:
                assert job.state != "done" or job.key not in self.world.cancelled_in_time
                assert job.state != "cancelled" or job.key not in self.world.too_late

    @invariant()
    def whatever_is_open_can_be_claimed_some_day(self) -> None:
        for job in self.do(self.world.jobs()):
            assert (job.due is not None) == job.open

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.do(self.world.heal())
                self.a_job_ends_once()
                self.an_ended_job_was_told_once_and_an_open_one_not_yet()
                self.the_open_orders_of_a_person_are_those_counted()
                self.a_cancel_counts_until_the_outputs_are_there()
                self.a_done_job_has_each_output_once_and_others_show_none()
                self.do(self.world.end())
        finally:
            self.runner.close()


JobsMachine.TestCase.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestJobs = JobsMachine.TestCase


async def test_a_worker_that_lost_its_lease_writes_nothing() -> None:
    world = World()
    world.server.hold = False
    await world.order("ada")
    world.start()
    frozen = world.workers["worker 1"]
    world.submissions_are("answer lost")
    await settle()
    (job,) = await world.jobs()
    run = frozen.dispatcher.running[job.key]
    frozen.view.thawed.clear()
    await world.clock.advance(31)
    world.start()
    await world.clock.advance(31)
    (job,) = await world.jobs()
    assert job.state == "done"
    frozen.view.thawed.set()
    await world.clock.advance(1)
    assert await world.jobs() == [job]
    assert frozen.dispatcher.running == {}
    with pytest.raises(Lost):
        await world.store.atomically(lambda tx: held(tx, JOBS, job.key, "worker 1", run.fence))
    await world.end()


async def test_a_job_that_crashes_whoever_takes_it_is_given_up() -> None:
    world = World()
    world.server.down = True
    await world.order("ada")
    for _ in range(4):
        job = await world.store.atomically(lambda tx: tx.claim(JOBS, {"open": True}, owner="x", seconds=30))
        assert job is not None
        await world.store.atomically(lambda tx, job=job: tx.replace(JOBS, _claimed_once_more(job)))
        await world.clock.advance(31)
    world.start()
    await world.clock.advance(1)
    (job,) = await world.jobs()
    assert (job.state, job.words) == ("failed", words.CRASHED)
    await world.end()


def _claimed_once_more(job: Job) -> Job:
    return replace(job, claims=job.claims + 1)


async def test_an_attempt_on_a_server_that_was_cut_off_is_stopped_when_another_one_was_made() -> None:
    world = World()
    world.start()
    await world.order("ada")
    await world.clock.advance(1)
    (first,) = world.server.runs
    job_run: JobRun = next(iter(world.workers["worker 1"].dispatcher.running.values()))
    assert job_run.job.attempt == first
    await world.workers.pop("worker 1").crash()
    async with asyncio.timeout(10):
        await world.store.atomically(_back_to_submitting)
    world.server.cut_off = True
    world.start()
    await world.clock.advance(100)
    world.server.cut_off = False
    await world.clock.advance(5)
    (second,) = set(world.server.runs) - {first}
    world.server.finish(second)
    await world.clock.advance(5)
    (job,) = await world.jobs()
    assert job.state == "done"
    assert world.server.runs[first].ended == Ended(state="cancelled")
    await world.end()


async def _back_to_submitting(tx: Tx) -> None:
    """As if the process had died before it heard the server's answer."""
    (job,) = await tx.find(JOBS, {"open": True}, order="created")
    await tx.replace(JOBS, replace(job, state="submitting"))
