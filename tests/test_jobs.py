"""Single walks through the table of jobs: every way a job can end, and what is made of a server's answers."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from chatelier import (
    JOBS,
    Attempt,
    BadInput,
    Ended,
    Gone,
    Job,
    OperatorMust,
    Output,
    Progress,
    Refused,
    Tx,
    Unavailable,
    Uncertain,
    escape,
    results_of,
)
from chatelier.core.chat.outbox import MESSAGES, Address
from chatelier.core.errors import Lost
from chatelier.core.generation import words
from chatelier.core.generation.jobs import ATTEMPTS, ORDERS
from chatelier.core.generation.orders import Bounds, Terms, cancel_job, end, take
from chatelier.core.generation.queue import status_lines
from chatelier.core.generation.results import info
from chatelier.core.generation.workflow_commands import wanted_run
from chatelier.core.leases import held
from chatelier.core.testing.gateway import PICTURE
from jobs_world import ATTEMPTS_AT_MOST, CHAT, FETCH_SECONDS, QUEUE_SECONDS, RUN_SECONDS, Server, Worker, World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.end()


async def ordered(world: World) -> Worker:
    """One order, taken by one worker."""
    await world.order("ada")
    worker = world.start()
    await world.clock.advance(0.5)
    return worker


def waits(world: World, attempt: Attempt) -> None:
    """The server queues it."""
    world.server.runs[attempt.id].progress = Progress(phase="waiting", ahead=2)


async def the_job(world: World) -> Job:
    (job,) = await world.jobs()
    return job


async def told(world: World) -> str:
    """What its person is told at the end."""
    job = await the_job(world)
    (message,) = [row for row in await world.store.find(MESSAGES, order="created") if row.job == job.key]
    return message.reply.text


async def test_a_job_that_is_done_shows_its_picture_and_how_long_it_took(world: World) -> None:
    await ordered(world)
    await world.clock.advance(10)
    world.server.finish()
    await world.clock.advance(1)
    job = await the_job(world)
    assert (job.state, job.attempts, job.claims) == ("done", 1, 0)
    assert job.run_ms == 10_500
    assert "ran: 10.5 s" in info(job)
    assert "server: fake" in info(job)
    await world.order("ada")
    (_, waiting) = await world.jobs()
    assert "place 1, about 10 s" in (await status_lines(world.store, [waiting]))[0]


async def test_words_and_notes_are_results_too(world: World) -> None:
    await ordered(world)
    outputs = (Output(n=0, node="1", name="words", text="a *caption*"), Output(n=1, node="7", name="not shown.png"))
    world.server.finish("", Ended(state="done", outputs=outputs, notes=("one part did not run",)))
    await world.clock.advance(1)
    job = await the_job(world)
    assert [result.text for result in await results_of(world.store, job.key)] == ["a *caption*"]
    assert "one part did not run" in await told(world)


@pytest.mark.parametrize(
    ("ended", "sentence"),
    [
        (Ended(state="done"), words.NO_OUTPUT),
        (Ended(state="done", notes=("nothing ran",)), "nothing ran"),
        (Ended(state="failed", words="no such model"), "no such model"),
        (Ended(state="cancelled"), words.STOPPED_THERE),
    ],
)
async def test_an_attempt_that_ends_for_good_ends_the_job(world: World, ended: Ended, sentence: str) -> None:
    await ordered(world)
    world.server.finish("", ended)
    await world.clock.advance(1)
    job = await the_job(world)
    assert (job.state, job.words, job.attempts) == ("failed", sentence, 1)
    assert escape(sentence) in info(job)


@pytest.mark.parametrize(
    ("ended", "sentence"),
    [
        (Ended(state="lost"), words.LOST),
        (Ended(state="failed", words="out of memory", transient=True), "out of memory"),
    ],
)
async def test_what_may_pass_is_tried_three_times(world: World, ended: Ended, sentence: str) -> None:
    await ordered(world)
    for _ in range(3):
        world.server.finish("", ended)
        await world.clock.advance(3)
    job = await the_job(world)
    assert (job.state, job.words, job.attempts) == ("failed", sentence, 3)
    assert len(world.server.runs) == 3


async def test_a_backend_that_comes_and_goes_costs_no_attempt(world: World) -> None:
    world.server.down = True
    await ordered(world)
    await world.clock.advance(60)
    assert (await the_job(world)).state == "queued"
    world.server.down = False
    await world.clock.advance(6)
    world.server.down = True
    world.server.wake()
    await world.clock.advance(60)
    world.server.down = False
    world.server.finish()
    await world.clock.advance(6)
    job = await the_job(world)
    assert (job.state, job.attempts) == ("done", 1)


async def test_a_server_that_loses_every_order_on_the_way_is_given_three_attempts(world: World) -> None:
    world.submissions_are("lost on the way")
    await ordered(world)
    await world.clock.advance(300)
    job = await the_job(world)
    assert (job.state, job.words, job.attempts) == ("failed", words.LOST, 3)
    assert world.server.submissions == 0


async def test_a_job_waits_for_a_server_only_so_long(world: World) -> None:
    world.server.down = True
    await ordered(world)
    await world.clock.advance(QUEUE_SECONDS + 10)
    assert (await the_job(world)).words == words.QUEUED_TOO_LONG
    assert (await the_job(world)).state == "expired"


async def test_a_run_that_takes_too_long_is_stopped_and_the_wait_before_it_does_not_count(world: World) -> None:
    world.server.after_submit = lambda attempt: waits(world, attempt)
    await ordered(world)
    await world.clock.advance(RUN_SECONDS - 60)
    for run in world.server.runs.values():
        run.progress = Progress(phase="running", fraction=0.1)
    world.server.wake()
    await world.clock.advance(RUN_SECONDS - 60)
    assert (await the_job(world)).state == "running"
    await world.clock.advance(100)
    job = await the_job(world)
    assert (job.state, job.words) == ("expired", words.RAN_TOO_LONG)
    assert [run.ended for run in world.server.runs.values()] == [Ended(state="cancelled")]


async def test_an_attempt_that_never_begins_is_stopped(world: World) -> None:
    world.server.after_submit = lambda attempt: waits(world, attempt)
    await ordered(world)
    await world.clock.advance(QUEUE_SECONDS + 60)
    job = await the_job(world)
    assert (job.state, job.words) == ("expired", words.QUEUED_TOO_LONG)


async def test_progress_counts_against_a_crash_loop_and_standing_still_does_not(world: World) -> None:
    await ordered(world)
    for n in range(6):
        for run in world.server.runs.values():
            run.progress = Progress(phase="running", fraction=0.5 + n / 20)
        await world.workers.popitem()[1].crash()
        await world.clock.advance(31)
        world.start()
        await world.clock.advance(2)
    assert (await the_job(world)).state == "running"
    for _ in range(4):
        await world.workers.popitem()[1].crash()
        await world.clock.advance(31)
        world.start()
        await world.clock.advance(2)
    job = await the_job(world)
    assert (job.state, job.words) == ("failed", words.CRASHED)


async def test_a_stop_gives_the_job_back_at_once_and_is_no_crash(world: World) -> None:
    worker = await ordered(world)
    for _ in range(6):
        await worker.stop()
        job = await the_job(world)
        assert (job.owner, job.claims) == ("", 0)
        worker = world.start()
        await world.clock.advance(0.1)
        assert (await the_job(world)).owner
    world.server.finish()
    await world.clock.advance(1)
    assert (await the_job(world)).state == "done"


async def test_at_a_stop_nothing_new_is_begun_and_what_runs_ends(world: World) -> None:
    worker = await ordered(world)
    for _ in range(2):
        await world.order("ada")
    await world.clock.advance(2)
    assert len(worker.dispatcher.running) == 2, "two places for a backend"
    worker.dispatcher.stop_intake()
    draining = asyncio.create_task(worker.dispatcher.drained())
    world.server.finish()
    await world.clock.advance(2)
    await draining
    assert sorted(job.state for job in await world.jobs()) == ["done", "done", "queued"]


async def test_a_process_for_one_account_takes_no_other_jobs(world: World) -> None:
    await world.order("ada")
    world.start(account="terminal.ada")
    await world.clock.advance(5)
    assert (await the_job(world)).state == "queued"
    world.start(account="fake")
    await world.clock.advance(5)
    assert (await the_job(world)).state == "running"


# --- fetching


async def nothing_more(*_: object) -> None:
    """It is well again."""


async def gone(*_: object) -> None:
    raise Gone("cleaned up")


async def test_a_result_that_the_server_no_longer_has_is_made_again(world: World) -> None:
    world.server.before_fetch = gone
    await ordered(world)
    world.server.finish()
    await world.clock.advance(2)
    again = await the_job(world)
    assert (again.state, again.attempts, again.outputs) == ("running", 2, ())
    assert world.server.freed == 1, "or its cache would name the same file again"
    world.server.before_fetch = nothing_more
    world.server.finish()
    await world.clock.advance(2)
    job = await the_job(world)
    assert (job.state, len(await results_of(world.store, job.key))) == ("done", 1)


async def test_but_not_again_and_again(world: World) -> None:
    world.server.before_fetch = gone
    world.server.hold = False
    await ordered(world)
    await world.clock.advance(10)
    job = await the_job(world)
    assert (job.state, job.words, job.attempts) == ("failed", words.OUTPUT_GONE, ATTEMPTS_AT_MOST)


THREE = tuple(Output(n=n, node="1", name=f"{n}.png") for n in range(3))


@pytest.mark.parametrize("error", [Gone("cleaned up"), Refused("too large"), BadInput("no picture")])
async def test_one_result_that_cannot_be_had_does_not_cost_the_others(world: World, error: Exception) -> None:
    async def second_is_bad(_: Attempt, output: Output) -> None:
        if output.n == 1:
            raise error

    world.server.before_fetch = second_is_bad
    await ordered(world)
    world.server.finish("", Ended(state="done", outputs=THREE))
    await world.clock.advance(5)
    job = await the_job(world)
    assert (job.state, [one.n for one in await results_of(world.store, job.key)]) == ("done", [0, 2])
    assert "1 of 3 results is missing" in await told(world)


async def test_nor_does_one_that_never_comes(world: World) -> None:
    async def first_hangs(_: Attempt, output: Output) -> None:
        if output.n == 0:
            await asyncio.Event().wait()

    world.server.before_fetch = first_hangs
    await ordered(world)
    world.server.finish("", Ended(state="done", outputs=THREE))
    await world.clock.advance(FETCH_SECONDS + 5)
    assert (await the_job(world)).state == "storing"
    await world.clock.advance(FETCH_SECONDS + 15)
    job = await the_job(world)
    assert (job.state, [one.n for one in await results_of(world.store, job.key)]) == ("done", [1, 2])
    assert "1 of 3 results is missing" in await told(world)


async def test_text_without_a_word_is_no_result(world: World) -> None:
    await ordered(world)
    world.server.finish("", Ended(state="done", outputs=(Output(n=0, node="1", name="words", text=" \n"),)))
    await world.clock.advance(2)
    job = await the_job(world)
    assert (job.state, job.words) == ("failed", words.NO_OUTPUT)


async def test_a_text_that_nobody_reads_in_a_chat_is_a_file(world: World) -> None:
    await ordered(world)
    long, short = "word " * 3_000, "a caption"
    texts = tuple(Output(n=n, node="1", name="words", text=text) for n, text in enumerate((long, short)))
    world.server.finish("", Ended(state="done", outputs=texts))
    await world.clock.advance(2)
    job = await the_job(world)
    file, caption = await results_of(world.store, job.key)
    assert (file.text, caption.text, caption.blob) == ("", short, None)
    assert file.blob is not None
    assert file.blob.size == len(long)
    assert short in await told(world)


async def test_what_was_left_out_is_told_by_the_next_process_too(world: World) -> None:
    worker = await ordered(world)
    (run,) = world.server.runs.values()
    run.progress = Progress(phase="running", fraction=0.6, notes=("one part did not run",))
    world.server.wake()
    await world.clock.advance(2)
    await worker.crash()
    await world.clock.advance(31)
    world.start()
    await world.clock.advance(1)
    world.server.finish()
    await world.clock.advance(2)
    assert (await told(world)).count("one part did not run") == 1


async def test_bytes_that_are_no_picture_are_told(world: World) -> None:
    world.server.pixels = b""
    await ordered(world)
    world.server.finish()
    await world.clock.advance(5)
    job = await the_job(world)
    assert job.state == "failed"
    assert job.words.startswith(words.output_unusable(""))


@pytest.mark.parametrize("error", [OperatorMust("the disk is full"), Unavailable("the server does not answer")])
async def test_what_was_made_is_not_thrown_away_because_it_cannot_be_stored_now(world: World, error: Exception) -> None:
    worker = await ordered(world)
    worker.blobs.trouble = error
    world.server.finish()
    await world.clock.advance(60)
    assert (await the_job(world)).state == "storing"
    worker.blobs.trouble = None
    await world.clock.advance(11)
    job = await the_job(world)
    assert (job.state, job.claims, job.attempts) == ("done", 1, 1)


async def test_but_not_for_ever(world: World) -> None:
    worker = await ordered(world)
    worker.blobs.trouble = OperatorMust("the disk is full")
    world.server.finish()
    await world.clock.advance(FETCH_SECONDS + 30)
    job = await the_job(world)
    assert (job.state, job.words) == ("failed", words.DISK_FULL)


async def test_outputs_that_are_stored_are_not_fetched_again(world: World) -> None:
    await ordered(world)
    outputs = tuple(Output(n=n, node="1", name=f"{n}.png") for n in range(3))
    fetched: list[int] = []

    async def counted(_: Attempt, output: Output) -> None:
        fetched.append(output.n)
        if fetched == [0, 1]:
            raise Unavailable("cut off")

    world.server.before_fetch = counted
    world.server.finish("", Ended(state="done", outputs=outputs))
    await world.clock.advance(30)
    assert (await the_job(world)).state == "done"
    assert fetched == [0, 1, 1, 2]


# --- time


async def test_what_a_job_ran_is_not_counted_as_waiting(world: World) -> None:
    await world.order("ada")
    await world.clock.advance(QUEUE_SECONDS - 10)
    world.start()
    await world.clock.advance(5)
    assert (await the_job(world)).state == "running"
    await world.clock.advance(60)
    world.server.finish("", Ended(state="lost"))
    await world.clock.advance(2)
    job = await the_job(world)
    assert (job.state, job.attempts) == ("running", 2)
    world.server.finish()
    await world.clock.advance(2)
    assert (await the_job(world)).state == "done"


async def test_a_run_whose_start_nobody_told_says_nothing_of_how_long_it_takes(world: World) -> None:
    world.server.after_submit = lambda attempt: waits(world, attempt)
    await ordered(world)
    await world.clock.advance(20)
    world.server.finish()
    await world.clock.advance(2)
    await world.order("ada")
    (done, waiting) = await world.jobs()
    assert done.state == "done"
    assert "about" not in (await status_lines(world.store, [waiting]))[0]


async def test_a_place_is_told_of_all_that_wait_and_behind_a_thousand_no_number(world: World) -> None:
    for n in range(words.PLACES_TOLD + 2):
        await world.take(f"person {n}", all_orders=2_000)
    jobs = sorted(await world.store.find(JOBS, order="created", limit=2_000), key=lambda job: (job.turn, job.key))
    lines = await status_lines(world.store, [jobs[0], jobs[-3], jobs[-1]])
    assert ["place 1 " in lines[0], "place 1000 " in lines[1]] == [True, True]
    assert f"behind {words.PLACES_TOLD} others" in lines[2]


# --- which server


async def test_a_server_that_went_from_the_config_is_lost(world: World) -> None:
    worker = await ordered(world)
    await worker.crash()
    await world.clock.advance(31)
    other = Server("other")
    other.hold = False
    world.start(other)
    await world.clock.advance(5)
    job = await the_job(world)
    assert (job.state, job.backend, job.attempts) == ("done", "other", 2)


async def test_a_result_on_a_server_that_went_from_the_config_is_given_up(world: World) -> None:
    worker = await ordered(world)
    worker.blobs.trouble = OperatorMust("full")
    world.server.finish()
    await world.clock.advance(1)
    await worker.crash()
    await world.clock.advance(31)
    world.start(Server("other"))
    await world.clock.advance(FETCH_SECONDS + 30)
    job = await the_job(world)
    assert (job.state, job.words) == ("failed", words.OUTPUT_GONE)


async def test_jobs_are_spread_over_servers(world: World) -> None:
    servers = [Server("a"), Server("b")]
    for person in ("ada", "bob", "eve", "joe"):
        await world.order(person)
    world.start(*servers)
    await world.clock.advance(5)
    assert [len(server.runs) for server in servers] == [2, 2]


async def went_away_in_mid_job(world: World, *others: Server) -> Job:
    """The first server dies while it paints, and stays away for two minutes."""
    await world.order("ada")
    world.start(Server("first"), *others)
    await world.clock.advance(1)
    job = await the_job(world)
    (first,) = [server for server in world.workers["worker 1"].servers if server.name == job.backend]
    assert isinstance(first, Server)
    first.down = True
    first.wake()
    await world.clock.advance(20)
    assert words.AWAY in (await status_lines(world.store, [await the_job(world)]))[0]
    await world.clock.advance(100)
    return await the_job(world)


async def test_a_job_whose_server_stays_away_goes_to_one_that_is_idle(world: World) -> None:
    others = [Server("second"), Server("third")]
    job = await went_away_in_mid_job(world, *others)
    assert (job.state, job.attempts) == ("running", 2)


async def test_a_job_waits_for_the_only_server_that_can_run_it_and_says_so_when_that_stays_away(world: World) -> None:
    small = Server("small")
    small.classes = {}
    job = await went_away_in_mid_job(world, small)
    assert (job.state, job.attempts) == ("running", 1)
    await world.clock.advance(RUN_SECONDS)
    job = await the_job(world)
    assert (job.state, job.words) == ("expired", words.AWAY_TOO_LONG)


async def bug(*_: object) -> None:
    raise ZeroDivisionError("a bug in a plugin")


async def test_a_server_whose_code_is_broken_is_passed_over(world: World) -> None:
    broken = Server("a broken one")
    broken.before_describe = bug
    await world.order("ada")
    world.start(broken, world.server)
    await world.clock.advance(5)
    assert len(world.server.runs) == 1


async def test_when_no_server_can_run_it_that_is_said(world: World) -> None:
    unable = Server("small")
    unable.classes = {}
    await world.order("ada")
    world.start(unable)
    await world.clock.advance(5)
    job = await the_job(world)
    assert job.state == "failed"
    assert "small" in job.words
    assert "FakeImage" in job.words


async def test_a_server_whose_code_fails_in_the_middle_is_asked_again_until_that_is_a_crash_loop(world: World) -> None:
    world.server.before_find = bug
    world.submissions_are("answer lost")
    await ordered(world)
    await world.clock.advance(200)
    job = await the_job(world)
    assert (job.state, job.words, job.attempts) == ("failed", words.CRASHED, 1)
    (run,) = world.server.runs.values()
    assert run.ended == Ended(state="cancelled"), "nobody wants what it makes"


async def test_an_attempt_that_ran_too_long_is_stopped_when_its_server_is_back(world: World) -> None:
    await ordered(world)
    world.server.down = True
    await world.clock.advance(RUN_SECONDS + 60)
    assert (await the_job(world)).state == "expired"
    (run,) = world.server.runs.values()
    assert run.ended is None
    world.server.down = False
    await world.clock.advance(30)
    assert run.ended == Ended(state="cancelled")


# --- cancelling


async def test_a_cancel_reaches_a_server_that_was_away(world: World) -> None:
    await ordered(world)
    world.server.down = True
    await world.cancel((await the_job(world)).key)
    await world.clock.advance(20)
    assert (await the_job(world)).state == "running"
    world.server.down = False
    await world.clock.advance(20)
    assert (await the_job(world)).state == "cancelled"
    assert "cost nothing" in await told(world)


async def test_a_cancel_does_not_wait_for_a_server_that_stays_away(world: World) -> None:
    await ordered(world)
    world.server.down = True
    await world.cancel((await the_job(world)).key)
    await world.clock.advance(60)
    assert (await the_job(world)).state == "cancelled"
    (run,) = world.server.runs.values()
    assert run.ended is None
    world.server.down = False
    await world.clock.advance(20)
    assert run.ended == Ended(state="cancelled"), "it is stopped when it is back"


async def test_a_server_that_does_not_stop_gives_nothing_to_who_cancelled(world: World) -> None:
    world.server.cancellable = False
    await ordered(world)
    await world.cancel((await the_job(world)).key)
    await world.clock.advance(5)
    world.server.finish()
    await world.clock.advance(5)
    job = await the_job(world)
    assert job.state == "cancelled"
    assert await results_of(world.store, job.key) == []


async def test_a_job_that_is_cancelled_while_nobody_knows_where_it_is_is_not_sent_again(world: World) -> None:
    world.submissions_are("lost on the way")
    await ordered(world)
    world.submissions_are("taken")
    await world.cancel((await the_job(world)).key)
    await world.clock.advance(10)
    assert (await the_job(world)).state == "cancelled"
    assert world.server.runs == {}


async def test_a_cancel_between_claim_and_submission_counts(world: World) -> None:
    async def cancel_first() -> None:
        (job,) = await world.jobs()
        await world.store.atomically(lambda tx: cancel_job(tx, job.key))

    world.server.before_describe = cancel_first
    await ordered(world)
    await world.clock.advance(1)
    assert (await the_job(world)).state == "cancelled"
    assert world.server.runs == {}


async def test_what_is_said_about_a_cancel_that_comes_too_late(world: World) -> None:
    worker = await ordered(world)
    worker.blobs.trouble = Unavailable("later")
    world.server.finish()
    await world.clock.advance(1)
    job = await the_job(world)
    assert await world.store.atomically(lambda tx: cancel_job(tx, job.key)) == words.TOO_LATE
    assert await world.store.atomically(lambda tx: cancel_job(tx, "nonsense")) == words.NO_SUCH_JOB


# --- orders


async def test_an_order_of_several_jobs_closes_with_the_last_one(world: World) -> None:
    to = Address(chat=CHAT, sender="fake:ada")
    wanted = [wanted_run(PICTURE, {"prompt": str(n)}) for n in range(2)]
    terms = Terms(own=Bounds(open_orders=1), all_orders=1_000, queue_seconds=60)
    order = await world.store.atomically(lambda tx: take(tx, "ada", to, "e", wanted, terms, command="make"))
    first, second = order.jobs

    async def drop(tx: Tx, key: str) -> None:
        job = await tx.get(JOBS, key)
        assert job is not None
        await end(tx, job, "cancelled", "")

    await world.store.atomically(lambda tx: drop(tx, second))
    (row,) = await world.store.find(ORDERS, order="created")
    assert row.state == "open"
    await world.store.atomically(lambda tx: drop(tx, first))
    (row,) = await world.store.find(ORDERS, order="created")
    assert row.state == "closed"
    finals = [row for row in await world.store.find(MESSAGES, order="created") if row.job]
    assert {row.job: row.replaces for row in finals} == {first: order.card}, "it says it for both"


async def test_a_job_without_its_order_ends_all_the_same(world: World) -> None:
    await ordered(world)
    job = await the_job(world)
    await world.store.atomically(lambda tx: tx.delete(ORDERS, job.order))
    world.server.finish()
    await world.clock.advance(2)
    assert (await the_job(world)).state == "done"


# --- trouble of the store


async def test_a_store_that_is_away_for_a_while_is_no_crash_of_the_job(world: World) -> None:
    worker = await ordered(world)
    world.server.finish()
    worker.view.trouble = OperatorMust("the disk is full")
    await world.clock.advance(20)
    worker.view.trouble = None
    await world.clock.advance(40)
    job = await the_job(world)
    assert (job.state, job.attempts) == ("done", 1)


async def test_places_that_fill_while_the_line_is_read_stop_nothing(world: World) -> None:
    for person in ("ada", "bea", "cid"):
        await world.order(person)
    first = world.start()
    await world.clock.advance(2)
    assert len(first.dispatcher.running) == 2
    await first.crash()
    second = world.start()
    await world.clock.advance(20)
    second.view.finds.clear()
    await world.clock.advance(15)
    assert len(second.dispatcher.running) == 2, "it went on with those of the first one, whose leases lapsed"
    second.view.finds.set()
    await world.clock.advance(2)
    assert not second.task.done()
    for _ in range(2):
        world.server.finish()
        await world.clock.advance(5)
    assert [job.state for job in await world.jobs()] == ["done"] * 3


async def test_a_worker_that_lost_its_lease_writes_nothing(world: World) -> None:
    frozen = await ordered(world)
    job = await the_job(world)
    run = frozen.dispatcher.running[job.key]
    frozen.view.thawed.clear()
    await world.clock.advance(31)
    world.start()
    world.server.finish()
    await world.clock.advance(31)
    job = await the_job(world)
    assert job.state == "done"
    frozen.view.thawed.set()
    await world.clock.advance(1)
    assert await the_job(world) == job
    assert frozen.dispatcher.running == {}
    with pytest.raises(Lost):
        await world.store.atomically(lambda tx: held(tx, JOBS, job.key, "worker 1", run.fence))


async def test_an_attempt_on_a_server_that_was_cut_off_is_stopped_when_another_one_was_made(world: World) -> None:
    world.server.after_submit = answer_lost_once(world)
    await ordered(world)
    (first,) = world.server.runs
    await world.clock.advance(100)
    world.server.cut_off = False
    await world.clock.advance(5)
    (second,) = set(world.server.runs) - {first}
    world.server.finish(second)
    await world.clock.advance(5)
    assert (await the_job(world)).state == "done"
    assert world.server.runs[first].ended == Ended(state="cancelled")
    attempts = await world.store.find(ATTEMPTS, {"job": (await the_job(world)).key}, order="created")
    assert [row.state for row in attempts] == ["ended", "ended"]


def answer_lost_once(world: World) -> Callable[[Attempt], None]:
    """The first submission arrives, but its answer does not, and the server is cut off from then on."""

    def after(_: Attempt) -> None:
        if len(world.server.runs) == 1:
            world.server.cut_off = True
            raise Uncertain("no answer")

    return after


async def test_a_graph_that_the_server_refuses_is_told_in_its_words(world: World) -> None:
    async def refuse(_: Attempt) -> None:
        raise Refused("Value not in list: ckpt_name")

    world.server.before_submit = refuse
    await ordered(world)
    assert "Value not in list" in await told(world)
