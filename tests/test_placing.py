"""Which server a job is given to: none that hangs, none that is full, and nobody waits for the queue of another one."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from chatelier import JOBS, Attempt, Job
from chatelier.core.generation.placing import FULL_SECONDS, PLACES_A_BACKEND, Nowhere, Placing
from chatelier.core.generation.run import ANSWER_SECONDS, UNKNOWN_SECONDS
from chatelier.core.testing.backend import CLASSES
from chatelier.core.testing.logs import sent_to
from jobs_world import QUEUE_SECONDS, Server, World


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


async def turn_to_other(world: World, job: Job) -> None:
    """Only the other one can run it now."""
    graph = {key: {**node, "class_type": "OtherImage"} for key, node in job.graph.items()}
    await world.store.atomically(lambda tx: tx.replace(JOBS, replace(job, graph=graph)))


async def states(world: World) -> list[str]:
    return [job.state for job in await world.jobs()]


async def test_a_server_that_hangs_is_passed_over_and_not_asked_for_a_while(world: World) -> None:
    await world.order("ada")
    (job,) = await world.jobs()
    placing = Placing({"hangs": hanging(), "well": Server("well")}, describe_seconds=0.05)
    assert [one.name for one in await placing.able(job)] == ["well"]
    async with asyncio.timeout(0.04):
        assert [one.name for one in await placing.able(job)] == ["well"]


async def test_a_process_whose_servers_all_hang_has_none_that_answers(world: World) -> None:
    await world.order("ada")
    (job,) = await world.jobs()
    with pytest.raises(Nowhere) as nowhere:
        await Placing({"hangs": hanging()}, describe_seconds=0.05).able(job)
    assert nowhere.value.is_everywhere


async def test_a_job_can_be_cancelled_while_a_server_hangs(world: World) -> None:
    await world.order("ada")
    world.start(hanging())
    await world.clock.advance(1)
    await world.cancel((await world.jobs())[0].key)
    await world.clock.advance(6)
    assert await states(world) == ["cancelled"]


async def test_a_job_expires_while_a_server_hangs(world: World) -> None:
    await world.order("ada")
    world.start(hanging())
    await world.clock.advance(QUEUE_SECONDS + 1)
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


async def test_a_job_whose_server_is_down_holds_up_nobody_elses(world: World) -> None:
    other = other_one()
    other.down = True
    await world.order("ada")
    await turn_to_other(world, (await world.jobs())[0])
    world.start(world.server, other)
    await world.clock.advance(0.5)
    await world.order("bob")
    await world.clock.advance(1.5)
    assert await states(world) == ["queued", "running"]


async def test_the_queue_of_one_server_does_not_starve_another_one(world: World) -> None:
    other = other_one()
    for person in ("ada", "bob", "cleo", "dan"):
        for _ in range(2):
            await world.order(person)
    world.start(world.server, other)
    await world.clock.advance(2)
    assert len(world.server.runs) == PLACES_A_BACKEND
    await world.order("eve")
    (*_, last) = await world.jobs()
    await turn_to_other(world, last)
    await world.clock.advance(4 * FULL_SECONDS)
    assert len(other.runs) == 1
    assert len(world.server.runs) == PLACES_A_BACKEND
    assert {job.claims for job in await world.jobs() if job.state == "queued" and not job.owner} == {0}


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
