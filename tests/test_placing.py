"""Which job is begun next, and where: none is given to a server that cannot run it, is full, hangs or is left alone."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from chatelier import JOBS, Attempt, Description, Ended, Job, Retry, Unavailable
from chatelier.core.errors import BadInput
from chatelier.core.generation import words
from chatelier.core.generation.breaker import BREAKS, LONGEST_SECONDS, Breaker
from chatelier.core.generation.fleet import DESCRIBE_SECONDS, MISSES, MODEL_SECONDS, MODEL_STRIKES
from chatelier.core.generation.jobs import ATTEMPTS, CROWDS, WORKLOADS, Crowd
from chatelier.core.generation.placing import PASSED_SECONDS
from chatelier.core.generation.roster import set_draining, set_standing
from chatelier.core.generation.run import ANSWER_SECONDS, UNKNOWN_SECONDS
from chatelier.core.generation.waiting import DEEPER_SECONDS, PUT_OFF_SECONDS, WINDOW
from chatelier.core.testing.backend import CLASSES
from chatelier.core.testing.logs import sent_to
from chatelier.core.workflows.choices import needs_of
from jobs_world import FETCH_SECONDS, OPEN_ORDERS, QUEUE_SECONDS, Server, World

PLACES = Description(classes={}).places


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.end()


async def hang(*_: object) -> None:
    await asyncio.Event().wait()


def hanging() -> Server:
    """Takes connections and never says how it is."""
    server = Server("hangs")
    server.before_describe = hang
    return server


def other_one() -> Server:
    """Offers another node than the rest do."""
    server = Server("other")
    server.classes = {"OtherImage": CLASSES["FakeImage"]}
    return server


async def change(world: World, job: Job, **changes: object) -> Job:
    changed = replace(job, **changes)  # type: ignore[arg-type] # fields by name
    changed = replace(changed, needs=needs_of(changed.graph, changed.tags))
    return await world.store.atomically(lambda tx: tx.replace(JOBS, changed))


async def turn_to_other(world: World, job: Job) -> None:
    """Only the other one can run it now."""
    await change(world, job, graph={key: {**node, "class_type": "OtherImage"} for key, node in job.graph.items()})


async def with_model(world: World, job: Job, model: str, **changes: object) -> None:
    graph = {key: {**node, "inputs": {**node["inputs"], "model_name": model}} for key, node in job.graph.items()}
    await change(world, job, graph=graph, **changes)


async def states(world: World) -> list[str]:
    return [job.state for job in await world.jobs()]


async def at(world: World) -> list[str]:
    """The backends of the jobs, in the order that they were asked for."""
    return [job.backend for job in await world.jobs()]


def failing(*errors: Exception) -> Callable[[Attempt], Awaitable[None]]:
    """Raises each of these once, at one submission after the other."""
    left = list(errors)

    async def before(_: Attempt) -> None:
        if left:
            raise left.pop(0)

    return before


# --- servers that hang


async def test_a_server_that_hangs_is_passed_over(world: World) -> None:
    await world.order("ada")
    world.start(hanging(), Server("well"))
    await world.clock.advance(1)
    assert await at(world) == ["well"]


async def test_a_job_can_be_cancelled_while_a_server_hangs(world: World) -> None:
    await world.order("ada")
    world.start(hanging())
    await world.clock.advance(1)
    await world.cancel((await world.jobs())[0].key)
    assert await states(world) == ["cancelled"]


async def test_a_job_expires_while_a_server_hangs(world: World) -> None:
    await world.order("ada")
    world.start(hanging())
    await world.clock.advance(QUEUE_SECONDS + 5)
    assert await states(world) == ["expired"]


@pytest.mark.parametrize("find_hangs", [False, True])
async def test_a_job_can_be_cancelled_while_its_submission_hangs(world: World, find_hangs: bool) -> None:
    world.server.before_submit = hang  # it accepts the connection and says nothing
    if find_hangs:
        world.server.before_find = hang  # nor does it answer anything else
    await world.order("ada")
    world.start()
    await world.clock.advance(1)
    assert await states(world) == ["submitting"]
    await world.cancel((await world.jobs())[0].key)
    await world.clock.advance(UNKNOWN_SECONDS + 2 * ANSWER_SECONDS if find_hangs else 10)
    assert await states(world) == ["cancelled"]


async def test_a_submission_that_hangs_ends_when_the_job_expires(world: World) -> None:
    world.server.before_submit = hang  # it accepts the connection and says nothing
    await world.order("ada")
    world.start()
    await world.clock.advance(QUEUE_SECONDS + 10)
    assert await states(world) == ["expired"]


# --- who waits behind whom


async def test_a_job_whose_server_is_down_holds_up_nobody_elses(world: World) -> None:
    other = other_one()
    other.down = True
    await world.order("ada")
    await turn_to_other(world, (await world.jobs())[0])
    world.start(world.server, other)
    await world.clock.advance(0.5)
    await world.order("bob")
    await world.clock.advance(1.5)
    first, second = await world.jobs()
    assert (first.state, second.state) == ("queued", "running")
    assert first.seen is not None
    assert first.seen.away
    other.down = False
    await world.clock.advance(40)
    assert await at(world) == ["other", "fake"]


async def test_the_queue_of_one_server_does_not_starve_another_one(world: World) -> None:
    other = other_one()
    for n in range(WINDOW + 1):
        await world.order(f"person {n}")
    world.start(world.server, other)
    await world.clock.advance(2)
    assert len(world.server.runs) == PLACES
    await world.order("eve")
    (*_, last) = await world.jobs()
    await turn_to_other(world, last)
    await world.clock.advance(2 * DEEPER_SECONDS)
    assert len(other.runs) == 1
    assert len(world.server.runs) == PLACES
    assert {job.claims for job in await world.jobs() if job.state == "queued"} == {0}


async def test_nobodys_third_job_goes_before_somebodys_first(world: World) -> None:
    for _ in range(OPEN_ORDERS):
        await world.order("ada")
    await world.order("bob")
    world.start()
    await world.clock.advance(1)
    assert {job.person for job in await world.jobs() if job.state == "running"} == {"ada", "bob"}
    while any(job.open for job in await world.jobs()):
        world.server.finish()
        await world.clock.advance(1)
    begun = sorted(await world.jobs(), key=lambda job: str(job.started))
    assert [job.person for job in begun][2:] == ["ada", "ada"]


async def test_two_processes_share_the_places_of_a_server(world: World) -> None:
    for person in ("ada", "bob", "cleo", "dan"):
        await world.order(person)
    for _ in range(2):
        world.start()
    await world.clock.advance(2)
    assert len(world.server.runs) == PLACES
    first = next(iter(world.server.runs))
    world.server.finish(first)
    await world.clock.advance(2)
    assert len(world.server.runs) == PLACES + 1


async def test_the_place_of_a_dead_process_is_not_given_away_before_its_job_is_taken_over(world: World) -> None:
    for person in ("ada", "bob", "cleo"):
        await world.order(person)
    dead = world.start()
    await world.clock.advance(1)
    await dead.crash()
    world.start()
    await world.clock.advance(5)
    assert len(world.server.runs) == PLACES
    await world.clock.advance(40)
    world.server.finish()
    await world.clock.advance(3)
    assert await states(world) == ["done", "done", "running"]


# --- where


async def test_a_job_goes_where_it_is_expected_to_end_first(world: World) -> None:
    slow, fast = Server("a slow one"), Server("fast")
    world.start(slow, fast)
    for person in ("ada", "bob"):
        await world.order(person)
    await world.clock.advance(1)
    assert set(await at(world)) == {"a slow one", "fast"}, "nothing is known yet"
    fast.finish()
    await world.clock.advance(9)
    slow.finish()
    await world.clock.advance(1)
    before = len(fast.runs)
    for person in ("ada", "bob"):
        await world.order(person)
    await world.clock.advance(1)
    assert len(fast.runs) == before + 2


async def test_what_other_people_queued_on_a_server_counts(world: World) -> None:
    class Shared(Server):
        async def describe(self) -> Description:
            return replace(await super().describe(), waiting=5)

    world.start(Shared("a busy one"), Server("idle"))
    for person in ("ada", "bob"):
        await world.order(person)
    await world.clock.advance(1)
    assert await at(world) == ["idle", "idle"]


async def test_a_heavier_server_gets_the_first_job(world: World) -> None:
    class Strong(Server):
        async def describe(self) -> Description:
            return replace(await super().describe(), weight=4.0)

    world.start(Server("a common one"), Strong("strong"))
    for person in ("ada", "bob", "cleo"):
        await world.order(person)
    await world.clock.advance(1)
    assert await at(world) == ["strong", "strong", "a common one"]


async def test_a_server_goes_on_with_the_models_that_it_has_loaded_but_not_for_ever(world: World) -> None:
    world.server.classes = {
        "FakeImage": {**CLASSES["FakeImage"], "input": {"required": {"text": ["STRING", {}], "seed": ["INT", {}]}}}
    }
    for n in range(14):
        await world.order(f"person {n}")
    for n, job in enumerate(await world.jobs()):
        await with_model(world, job, "b.safetensors" if n == 2 else "a.safetensors")
    world.start()
    begun: list[str] = []
    for _ in range(14):
        await world.clock.advance(10)
        begun = [run.attempt.graph["1"]["inputs"]["model_name"][0] for run in world.server.runs.values()]
        world.server.finish(list(world.server.runs)[len(begun) - PLACES])
    turn = begun.index("b")
    assert begun[:turn] == ["a"] * turn
    assert 3 < turn <= 3 + PASSED_SECONDS / 10


async def test_nobody_behind_the_first_is_passed_over_for_ever_either(world: World) -> None:
    """Five that need models of their own, among many that need what both servers have loaded."""
    servers = Server("one"), Server("two")
    for n in range(60):
        await world.order(f"person {n}")
    for n, job in enumerate(await world.jobs()):
        await with_model(world, job, f"{n}.safetensors" if n in range(2, 7) else "a.safetensors")
    world.start(*servers)
    begun: list[str] = []
    begun_at: dict[str, float] = {}
    since = world.clock.monotonic()
    while len(begun) < 60:
        await world.clock.advance(5)
        for server in servers:
            for run in server.runs.values():
                name = run.attempt.graph["1"]["inputs"]["model_name"]
                if run.attempt.id not in begun:
                    begun.append(run.attempt.id)
                    begun_at.setdefault(name, world.clock.monotonic() - since)
            oldest = next((key for key, run in server.runs.items() if run.ended is None), None)
            if oldest:
                server.finish(oldest)
    own = [at for name, at in begun_at.items() if not name.startswith("a.")]
    assert len(own) == 5
    assert max(own) <= PASSED_SECONDS + 5 * len(own)


async def test_tags_that_a_workflow_asks_for_are_kept(world: World) -> None:
    class Tagged(Server):
        async def describe(self) -> Description:
            return replace(await super().describe(), tags=("big", "fast"))

    plain, tagged = Server("a plain one"), Tagged("tagged")
    await world.order("ada")
    await change(world, (await world.jobs())[0], tags=("big",))
    world.start(plain, tagged)
    await world.clock.advance(1)
    assert await at(world) == ["tagged"]
    await world.order("bob")
    (*_, last) = await world.jobs()
    world.server.finish()
    await world.clock.advance(1)
    assert last.tags == ()
    await world.order("cleo")
    (*_, odd) = await world.jobs()
    await world.store.atomically(lambda tx: set_standing(tx, "a plain one", tags=("odd",)))
    await world.clock.advance(1)
    assert (await world.store.get(JOBS, odd.key)) is not None


async def test_a_tag_that_nobody_has_is_told(world: World) -> None:
    await world.order("ada")
    await change(world, (await world.jobs())[0], tags=("huge",))
    world.start()
    await world.clock.advance(1)
    (job,) = await world.jobs()
    assert job.state == "failed"
    assert "huge" in job.words


# --- the operator


async def test_a_drained_server_finishes_what_it_has_and_gets_nothing_new(world: World) -> None:
    world.start()
    await world.order("ada")
    await world.clock.advance(1)
    await world.store.atomically(lambda tx: set_standing(tx, "fake", draining=True))
    await world.order("bob")
    await world.clock.advance(5)
    assert await states(world) == ["running", "queued"]
    world.server.finish()
    await world.clock.advance(5)
    assert await states(world) == ["done", "queued"]
    await world.store.atomically(lambda tx: set_standing(tx, "fake", draining=False))
    await world.clock.advance(PUT_OFF_SECONDS + 3)
    assert await states(world) == ["done", "running"]


async def test_while_the_gateway_is_drained_it_takes_no_orders_and_ends_what_it_has(world: World) -> None:
    world.start()
    await world.order("ada")
    await world.clock.advance(1)
    await world.store.atomically(lambda tx: set_draining(tx, draining=True))
    with pytest.raises(BadInput, match="Nothing new"):
        await world.take("bob")
    world.server.finish()
    await world.clock.advance(1)
    assert await states(world) == ["done"]
    await world.store.atomically(lambda tx: set_draining(tx, draining=False))
    await world.take("bob")


# --- limits


async def test_of_many_orders_at_once_exactly_as_many_are_taken_as_all_may_have(world: World) -> None:
    async def one(n: int) -> bool:
        try:
            await world.take(f"person {n}", all_orders=7)
        except BadInput:
            return False
        return True

    assert sum(await asyncio.gather(*(one(n) for n in range(20)))) == 7
    world.start()
    for _ in range(4):
        await world.clock.advance(1)
        world.server.finish()
    await world.clock.advance(1)
    assert await states(world) == ["done"] * 7
    crowd = await world.store.get(CROWDS, "all")
    assert crowd == Crowd(key="all", orders=0, version=crowd.version if crowd else 0)
    load = await world.store.get(WORKLOADS, "person 0")
    assert load is not None
    assert (load.orders, load.jobs) == ((), 0)


async def test_a_workflow_with_a_limit_of_its_own_is_stopped_by_it(world: World) -> None:
    await world.order("ada")
    await change(world, (await world.jobs())[0], run_seconds=20.0)
    world.start()
    await world.clock.advance(60)
    (job,) = await world.jobs()
    assert (job.state, job.words) == ("expired", words.RAN_TOO_LONG)


# --- what goes wrong there


async def test_a_server_that_does_not_take_a_job_is_left_for_another_one_at_once(world: World) -> None:
    gone, well = Server("a gone one"), Server("well")
    gone.before_submit = failing(*[Unavailable("no connection")] * 9)
    await world.order("ada")
    world.start(gone, well)
    await world.clock.advance(2)
    (job,) = await world.jobs()
    assert (job.backend, job.attempts) == ("well", 1)


async def test_a_server_that_says_later_is_left_alone_for_so_long(world: World) -> None:
    full, well = Server("a full one"), Server("well")
    full.before_submit = failing(Retry(60.0))
    await world.order("ada")
    world.start(full, well)
    await world.clock.advance(2)
    assert await at(world) == ["well"]
    for person in ("bob", "cleo"):
        await world.order(person)
    await world.clock.advance(30)
    assert len(full.runs) == 0
    await world.clock.advance(40)
    assert len(full.runs) == 1


async def test_a_job_that_was_lost_on_one_server_goes_to_another_one(world: World) -> None:
    first, second = Server("a first"), Server("second")
    await world.order("ada")
    world.start(first, second)
    await world.clock.advance(1)
    first.finish("", Ended(state="lost"))
    await world.clock.advance(1)
    (job,) = await world.jobs()
    assert (job.backend, job.attempts, job.tried) == ("second", 2, ("a first",))


class Sized(Server):
    """memory: bytes of its device."""

    def __init__(self, name: str, memory: int) -> None:
        super().__init__(name)
        self.memory = memory

    async def describe(self) -> Description:
        return replace(await super().describe(), memory=self.memory)


TOO_LITTLE = Ended(state="failed", words="It ran out of memory.", transient=True, out_of_memory=True)


async def failed_twice_on_a_small_one(world: World) -> Sized:
    """A job that waits for the larger server, which is away."""
    small, large = Sized("a small one", 8), Sized("b large", 24)
    await world.order("ada")
    world.start(small, large)
    await world.clock.advance(1)
    large.down = True
    for _ in range(2):
        small.finish("", TOO_LITTLE)
        await world.clock.advance(10)
    return large


async def test_the_last_attempt_waits_for_the_larger_server_that_is_away(world: World) -> None:
    large = await failed_twice_on_a_small_one(world)
    (job,) = await world.jobs()
    assert (job.state, job.attempts) == ("queued", 2)
    large.down = False
    await world.clock.advance(60)
    assert await at(world) == ["b large"]


async def test_and_says_that_memory_was_too_little_when_that_one_stays_away(world: World) -> None:
    await failed_twice_on_a_small_one(world)
    await world.clock.advance(QUEUE_SECONDS)
    (job,) = await world.jobs()
    assert (job.state, job.words) == ("expired", "It ran out of memory.")


async def test_what_is_too_large_for_one_server_goes_to_a_larger_one(world: World) -> None:
    small, middle, large = Sized("a small one", 8), Sized("b middle", 8), Sized("c large", 24)
    await world.order("ada")
    world.start(small, middle, large)
    await world.clock.advance(1)
    assert await at(world) == ["a small one"]
    small.finish("", TOO_LITTLE)
    await world.clock.advance(1)
    assert (await at(world), small.freed) == (["c large"], 1)
    large.finish("", TOO_LITTLE)
    await world.clock.advance(1)
    (job,) = await world.jobs()
    assert (job.state, job.attempts, large.freed) == ("running", 3, 1), "nobody is larger, so it is tried once more"
    next(server for server in (small, middle, large) if server.name == job.backend).finish("", TOO_LITTLE)
    await world.clock.advance(1)
    (job,) = await world.jobs()
    assert (job.state, job.words) == ("failed", "It ran out of memory.")


async def test_a_model_that_fails_again_and_again_on_one_server_is_used_on_another_one(world: World) -> None:
    broken, well = Server("a broken one"), Server("well")
    world.start(broken)
    for n in range(MODEL_STRIKES):
        await world.order(f"person {n}")
        (*_, job) = await world.jobs()
        await with_model(world, job, "bad.safetensors")
        await world.clock.advance(2)
        broken.finish("", Ended(state="failed", words="cannot read the file"))
        await world.clock.advance(1)
    assert await states(world) == ["failed"] * MODEL_STRIKES
    (worker,) = world.workers.values()
    fleet = worker.dispatcher.shop.fleet
    await world.order("bob")
    (*_, job) = await world.jobs()
    await with_model(world, job, "bad.safetensors")
    await world.clock.advance(2)
    assert (await at(world))[-1] == "a broken one", "where there is no other one"
    assert fleet.members["a broken one"].is_bad_for(["bad.safetensors"], world.clock.monotonic())
    await world.clock.advance(MODEL_SECONDS)
    assert not fleet.members["a broken one"].is_bad_for(["bad.safetensors"], world.clock.monotonic())
    assert well.runs == {}


async def test_a_server_that_loses_every_job_is_left_alone_then_tried_with_one(world: World) -> None:
    class Losing(Server):
        async def watch(self, attempt: Attempt) -> AsyncIterator[Ended]:
            yield Ended(state="lost")

    losing, well = Losing("a losing one"), Server("well")
    world.start(losing, well)
    for n in range(8):
        await world.order(f"person {n}")
    await world.clock.advance(8)
    tried = len(losing.runs)
    assert BREAKS <= tried <= BREAKS + PLACES
    await world.clock.advance(30)
    assert len(losing.runs) <= tried + 2
    while any(job.open for job in await world.jobs()):
        well.finish()
        await world.clock.advance(5)
    assert {job.state for job in await world.jobs()} == {"done"}


def test_a_breaker_opens_after_failures_in_a_row_and_closes_with_a_success() -> None:
    breaker, now = Breaker(lambda: 1.0), 0.0
    for _ in range(BREAKS - 1):
        breaker.failed(now)
    assert breaker.allowed(2, now) == 2
    breaker.failed(now)
    pauses = []
    for _ in range(8):
        assert breaker.allowed(2, now) == 0
        began = now
        while breaker.allowed(2, now) == 0:
            now += 1.0
        assert breaker.allowed(2, now) == 1
        pauses.append(now - began)
        breaker.failed(now)
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1] <= LONGEST_SECONDS
    breaker.succeeded()
    assert breaker.allowed(2, now) == 2


@pytest.mark.parametrize(
    "described",
    [
        None,
        Description(classes=5),  # type: ignore[arg-type] # that is what is tried
        Description(classes=CLASSES, places=0),
        Description(classes=CLASSES, weight=0.0),
    ],
    ids=["nothing", "no classes", "no places", "no weight"],
)
async def test_a_backend_that_describes_itself_badly_disturbs_no_other_one(world: World, described: Any) -> None:
    class Odd(Server):
        async def describe(self) -> Description:
            return described  # type: ignore[no-any-return] # that is what is tried

    world.start(Odd("an odd one"), Server("well"))
    await world.order("ada")
    await world.clock.advance(2)
    assert await at(world) == ["well"]


async def test_a_server_counts_as_down_after_several_misses_and_its_state_is_told(world: World) -> None:
    worker = world.start()
    fleet = worker.dispatcher.shop.fleet
    told: list[tuple[str, str, str]] = []
    fleet.listeners.append(lambda member, before: told.append((member.name, before, member.state)))
    await world.clock.advance(1)
    world.server.down = True
    await world.clock.advance(6)
    assert told == [("fake", "starting", "up")], "one miss is no loss"
    await world.clock.advance(MISSES * DESCRIBE_SECONDS)
    world.server.down = False
    await world.clock.advance(40)
    assert told == [("fake", "starting", "up"), ("fake", "up", "down"), ("fake", "down", "up")]


async def test_the_lines_about_a_job_name_its_attempt(world: World) -> None:
    async def cancel(attempt: Attempt) -> None:
        raise ZeroDivisionError("a bug")

    world.server.before_cancel = cancel  # so that a line is logged
    stream = io.StringIO()
    with sent_to(stream):
        await world.order("ada")
        world.start()
        await world.clock.advance(1)
        await world.cancel((await world.jobs())[0].key)
        await world.clock.advance(6)
    (job,) = await world.jobs()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {line.get("attempt") for line in lines if line["event"] == "cancel not delivered"} == {job.attempt}


async def test_no_two_attempts_have_the_same_place_at_a_time(world: World) -> None:
    for n in range(9):
        await world.order(f"person {n}")
    servers: Sequence[Server] = (Server("a"), Server("b"))
    for _ in range(3):
        world.start(*servers)
    for _ in range(12):
        await world.clock.advance(1)
        rows = [
            row
            for name in ("a", "b")
            for row in await world.store.find(ATTEMPTS, {"backend": name, "state": "submitting"}, order="created")
        ]
        rows += [
            row
            for name in ("a", "b")
            for row in await world.store.find(ATTEMPTS, {"backend": name, "state": "submitted"}, order="created")
        ]
        places = [row.place for row in rows if row.place]
        assert len(places) == len(set(places)) <= 2 * PLACES
        for server in servers:
            server.finish(next((key for key, run in server.runs.items() if run.ended is None), "none"))
    assert {job.state for job in await world.jobs()} == {"done"}


# --- odd moments


async def test_a_process_that_slept_takes_its_own_jobs_up_again_once(world: World) -> None:
    await world.order("ada")
    worker = world.start()
    await world.clock.advance(7)
    world.clock.oversleep(60)
    await world.clock.advance(12)
    (job,) = await world.jobs()
    await world.cancel(job.key)
    await world.clock.advance(8)
    assert await states(world) == ["cancelled"]
    assert not worker.task.done()
    assert worker.dispatcher.shop.fleet.members["fake"].given == set()


async def test_a_server_that_answers_but_takes_nothing_is_not_asked_all_the_time(world: World) -> None:
    async def no(_: Attempt) -> None:
        asked.append(world.clock.monotonic())
        raise Unavailable("502")

    asked: list[float] = []
    world.server.before_submit = no
    await world.order("ada")
    world.start()
    await world.clock.advance(60)
    assert 1 < len(asked) < 20
    assert len(await world.store.find(ATTEMPTS, {"backend": "fake", "state": "lost"}, order="created")) == 0


async def test_results_whose_fetch_hangs_are_given_up_in_time(world: World) -> None:
    world.server.before_fetch = hang
    await world.order("ada")
    world.start()
    await world.clock.advance(1)
    world.server.finish()
    await world.clock.advance(2)
    assert await states(world) == ["storing"]
    await world.clock.advance(2 * FETCH_SECONDS + 30)
    assert await states(world) == ["failed"]


async def test_a_cancel_that_came_as_the_attempt_was_lost_is_heard(world: World) -> None:
    await world.order("ada")
    world.start()
    await world.clock.advance(10)
    await world.order("bob")  # a hint, after which the next look for cancels takes a moment
    await world.clock.advance(0.01)
    (job, _) = await world.jobs()
    await world.cancel(job.key)
    world.server.finish(job.attempt, Ended(state="lost"))
    world.server.down = True
    await world.clock.advance(60)
    assert (await world.store.get(JOBS, job.key)) is not None
    assert (await states(world))[0] == "cancelled"


async def test_four_hundred_jobs_for_a_server_that_is_down_hold_up_nobody(world: World) -> None:
    other = other_one()
    other.down = True
    for n in range(400):
        await world.order(f"person {n}")
    for job in await world.jobs():
        await turn_to_other(world, job)
    await world.clock.advance(1)
    await world.order("eve")
    world.start(world.server, other)
    await world.clock.advance(3)
    assert [job.person for job in await world.jobs() if job.state == "running"] == ["eve"]
