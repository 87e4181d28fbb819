"""A machine that walks the table of jobs: orders, workers that die and come back, servers that lie; and what must hold."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Literal, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chatelier import Ended, Job, Output, Progress
from chatelier.core import keys
from chatelier.core.chat.outbox import MESSAGES
from chatelier.core.generation.jobs import ATTEMPTS, ORDERS, RESULTS, WORKLOADS
from chatelier.core.testing.clock import settle
from jobs_world import ATTEMPTS_AT_MOST, OPEN_ORDERS, Submission, World

T = TypeVar("T")
# What is drawn hangs on nothing that the tasks of an example did: which of two runs first may differ from run to run.
PLACES = st.integers(0, 59)
PEOPLE = ("ada", "bob")


def pick(data: st.DataObject, options: list[Any]) -> Any:
    return data.draw(st.sampled_from(options))


class JobsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        # Ties between jobs are broken by their keys, and an example must run the same way again.
        self.true_source, keys.source = keys.source, Random(0)  # noqa: S311 - no secret here
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

    @rule(place=PLACES)
    def cancel(self, place: int) -> None:
        if jobs := self.do(self.world.jobs()):
            self.do(self.world.cancel(jobs[place % len(jobs)].key))

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

    @rule(down=st.booleans(), cut_off=st.booleans(), deaf=st.booleans())
    def come_and_go(self, down: bool, cut_off: bool, deaf: bool) -> None:
        def change() -> None:
            self.world.server.down, self.world.server.cut_off = down, cut_off
            self.world.server.cancellable = not deaf
            self.world.server.wake()

        self.do(self._call(change))

    @rule(
        place=PLACES, how=st.sampled_from(["done", "done", "failed", "out of memory", "stopped", "lost", "text only"])
    )
    def end_an_attempt(self, place: int, how: str) -> None:
        server = self.world.server
        running = [key for key, run in server.runs.items() if run.ended is None]
        if not running:
            return
        attempt = running[place % len(running)]
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
        for job in self.runner.run(self.world.jobs()):
            if job.key in self.ended:
                assert job == self.ended[job.key], "nobody writes to a job that has ended"
            elif not job.open:
                self.ended[job.key] = job
            assert job.open == (job.state not in ("done", "failed", "expired", "cancelled"))

    @invariant()
    def an_ended_job_was_told_once_and_an_open_one_not_yet(self) -> None:
        messages = self.runner.run(self.world.store.find(MESSAGES, order="created", limit=1_000))
        for job in self.runner.run(self.world.jobs()):
            final = [message for message in messages if message.job == job.key]
            assert len(final) == (0 if job.open else 1)

    @invariant()
    def a_done_job_has_each_output_once_and_others_show_none(self) -> None:
        for job in self.runner.run(self.world.jobs()):
            results = self.runner.run(self.world.store.find(RESULTS, {"job": job.key}, order="n"))
            if job.state == "done":
                assert [result.n for result in results] == [output.n for output in job.outputs]
            elif job.state == "cancelled":
                assert results == []

    @invariant()
    def the_open_orders_of_a_person_are_those_counted(self) -> None:
        jobs = {job.key: job for job in self.runner.run(self.world.jobs())}
        for person in PEOPLE:
            load = self.runner.run(self.world.store.get(WORKLOADS, person))
            orders = self.runner.run(
                self.world.store.find(ORDERS, {"person": person, "state": "open"}, order="created")
            )
            assert sorted(load.orders if load else ()) == sorted(order.key for order in orders)
            assert len(orders) <= OPEN_ORDERS
            assert all(any(jobs[key].open for key in order.jobs) for order in orders)

    @invariant()
    def attempts_keep_to_the_limit(self) -> None:
        for job in self.runner.run(self.world.jobs()):
            assert job.attempts <= ATTEMPTS_AT_MOST
            attempts = self.runner.run(self.world.store.find(ATTEMPTS, {"job": job.key}, order="created"))
            alive = [row.key for row in attempts if row.state in ("submitting", "submitted")]
            assert alive == ([job.attempt] if job.open and job.attempt and job.state != "storing" else [])
        assert self.world.server.given_twice == []

    @invariant()
    def a_cancel_counts_until_the_outputs_are_there(self) -> None:
        for job in self.runner.run(self.world.jobs()):
            if not job.open:
                assert job.state != "done" or job.key not in self.world.cancelled_in_time
                assert job.state != "cancelled" or job.key not in self.world.too_late

    @invariant()
    def whatever_is_open_can_be_claimed_some_day(self) -> None:
        for job in self.runner.run(self.world.jobs()):
            assert (job.due is not None) == job.open

    def no_attempt_is_left_behind(self) -> None:
        """Once all is well again, each was told to stop or ended by itself."""
        self.do(self.world.clock.advance(20))
        for job in self.runner.run(self.world.jobs()):
            attempts = self.runner.run(self.world.store.find(ATTEMPTS, {"job": job.key}, order="created"))
            assert {row.state for row in attempts} <= {"ended"}

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.do(self.world.heal())
                self.no_attempt_is_left_behind()
                self.a_job_ends_once()
                self.an_ended_job_was_told_once_and_an_open_one_not_yet()
                self.the_open_orders_of_a_person_are_those_counted()
                self.a_cancel_counts_until_the_outputs_are_there()
                self.a_done_job_has_each_output_once_and_others_show_none()
                self.do(self.world.end())
        finally:
            keys.source = self.true_source
            self.runner.close()


JobsMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestJobs = JobsMachine.TestCase
