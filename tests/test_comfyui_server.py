"""The life of an attempt on a ComfyUI server, with the recorded server's ways and its traps."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from starlette.requests import Request
from starlette.responses import Response

from chatelier import Attempt, Backend, Ended, Frees, Gone, Progress, Unavailable, Uncertain
from chatelier.plugins.comfyui.server import ComfyServer, Pace
from chatelier.plugins.comfyui.settings import ServerSettings
from chatelier.testing import FakeClock
from comfyui import FAST, TRANSCRIPTS, attempt, fetched, saving, server, serving, submitted, watched
from peers.comfyui import (
    PNG,
    ComfyPeer,
    Job,
    answer,
    endless,
    happy,
    node_text,
    preview,
    preview_with_metadata,
    recorded_runs,
    replay,
)

HAPPY = recorded_runs(TRANSCRIPTS / "A_happy_cached.jsonl")
FAILING = recorded_runs(TRANSCRIPTS / "C_execution_errors.jsonl")
EDGES = recorded_runs(TRANSCRIPTS / "M_edge_cases.jsonl")
NEVER = 3600.0
PATIENT = Pace(
    first_seconds=NEVER,
    update_seconds=0,
    silence_seconds=NEVER,
    poll_seconds=NEVER,
    settle_seconds=0.01,
    give_up_seconds=NEVER,
    first_reconnect_seconds=0.01,
    longest_reconnect_seconds=0.05,
)
"""Looks at nothing of its own accord: what is seen was heard."""


async def test_a_job_is_followed_by_its_events_alone() -> None:
    run = HAPPY[0]
    async with ComfyPeer(replay(run)).live() as peer, serving(peer, PATIENT) as comfy:
        assert isinstance(comfy, Backend)
        made = attempt(run.graph)
        progress, ended = await submitted(comfy, made)
    assert ended.state == "done"
    assert [(o.n, o.node, o.name) for o in ended.outputs] == [(0, "3", "one_00002_.png")]
    assert {item.phase for item in progress} == {"running"}
    assert ended.started_at is not None
    assert ended.ended_at is not None
    assert round(ended.started_at.timestamp() * 1000) == 1795351027380
    assert round(ended.ended_at.timestamp() * 1000) == 1795351027511
    assert "GET /queue" not in peer.requests


async def test_a_cached_job_ends_with_the_old_file_names() -> None:
    run = HAPPY[1]
    async with ComfyPeer(replay(run)).live() as peer, serving(peer, PATIENT) as comfy:
        progress, ended = await submitted(comfy, attempt(run.graph))
    assert ended.state == "done"
    assert ended.outputs[0].name == "one_00002_.png"
    assert all(item.fraction in {None, 1.0} for item in progress)


async def test_several_nodes_leave_files_previews_and_text() -> None:
    run = HAPPY[2]
    async with ComfyPeer(replay(run)).live() as peer, serving(peer, PATIENT) as comfy:
        made = attempt(run.graph)
        _, ended = await submitted(comfy, made)
        text = next(output for output in ended.outputs if output.text is not None)
        assert await fetched(comfy, made, text.n, ended) == b"7"
    shown = [
        (output.n, output.node) for output in ended.outputs if run.graph[output.node]["class_type"] != "PreviewImage"
    ]
    assert shown == [(0, "3"), (1, "3"), (2, "7")], "in the order of the graph, though the text was there first"
    assert {output.node for output in ended.outputs[3:]} == {"5"}, "what is shown counts from 0, previews come after it"
    assert {output.remote["type"] for output in ended.outputs if output.text is None} == {"output", "temp"}


@pytest.mark.parametrize("run", FAILING, ids=["regex", "corrupt picture", "test pack"])
async def test_a_failure_names_the_node_and_what_it_said(run) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - a recorded run
    error = next(message["data"] for message in run.messages if message["type"] == "execution_error")
    async with ComfyPeer(replay(run)).live() as peer, serving(peer, PATIENT) as comfy:
        _, ended = await submitted(comfy, attempt(run.graph))
    assert ended.state == "failed"
    assert ended.words.startswith(error["node_type"])
    assert "Traceback" not in ended.words
    assert not ended.transient


async def test_a_blocked_node_is_a_note_beside_the_success() -> None:
    run = next(run for run in EDGES if any(m["type"] == "execution_error" for m in run.messages))
    async with ComfyPeer(replay(run)).live() as peer, serving(peer, PATIENT) as comfy:
        seen, ended = await submitted(comfy, attempt(run.graph))
    assert ended.state == "done"
    assert [output.node for output in ended.outputs] == ["4"]
    assert len(ended.notes) == 1
    assert "PreviewImage" in ended.notes[0]
    assert seen[-1].notes == ended.notes, "told while it runs too: who asks the server later is not told by it"


async def test_a_file_deleted_on_the_server_is_gone_when_it_is_fetched() -> None:
    run = HAPPY[1]
    async with ComfyPeer(replay(run)).live() as peer, serving(peer) as comfy:
        made = attempt(run.graph)
        _, ended = await submitted(comfy, made)
        with pytest.raises(Gone, match=r"one_00002_\.png"):
            await fetched(comfy, made, 0, ended)


async def test_the_progress_shows_titles_previews_and_never_goes_back() -> None:
    async def script(peer: ComfyPeer, job: Job) -> None:
        stranger = Job(0, "a stranger", {}, None)
        await peer.begin(job)
        for step in (1, 7, 3, 10):
            await peer.send(job, "executing", node="1", display_node="1")
            await peer.send(job, "progress", node="1", value=step, max=10)
            await peer.send_raw(job, node_text("1", "step of\nmany"))
            await peer.send_raw(job, preview(b"\x89PNG" + bytes([step])))
            await peer.send(stranger, "executing", node="1")
            await peer.send_raw(stranger, preview(b"not ours"))
            await seen.wait()
        await peer.send_raw(job, preview_with_metadata(b"\xff\xd8big" + bytes(3_000_000), prompt_id=job.id))
        await peer.send_raw(stranger, preview_with_metadata(b"not ours", prompt_id="a stranger"))
        await peer.save(job, "2", ("a.png", "", "output"))
        await done.wait()
        await peer.succeed(job)

    seen, done = asyncio.Event(), asyncio.Event()
    items: list[Progress | Ended] = []
    async with ComfyPeer(script).live() as peer, serving(peer, PATIENT) as comfy:
        made = attempt()
        await comfy.submit(made)
        async with asyncio.timeout(10):
            async for item in comfy.watch(made):
                items.append(item)
                seen.set()
                if isinstance(item, Progress) and len(item.preview) > 3_000_000:
                    done.set()
    shown = [item for item in items if isinstance(item, Progress)]
    fractions = [item.fraction for item in shown if item.fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] <= 1
    assert "Canvas: step of many" in {item.title for item in shown}
    assert not any(b"not ours" in item.preview for item in shown)
    assert isinstance(items[-1], Ended)


async def test_of_a_flood_of_events_the_latest_is_told_four_times_a_second() -> None:
    async def script(peer: ComfyPeer, job: Job) -> None:
        await peer.begin(job)
        for step in range(1, 401):
            await peer.send(job, "progress", node="1", value=step, max=400)
            await peer.send_raw(job, preview_with_metadata(b"\xff\xd8" + str(step).encode(), prompt_id=job.id))
        flooded.set()
        await over.wait()
        await peer.save(job, "2", ("a.png", "", "output"))
        await peer.succeed(job)

    clock, flooded, over = FakeClock(), asyncio.Event(), asyncio.Event()
    shown: list[Progress | Ended] = []
    async with ComfyPeer(script).live() as peer, serving(peer, Pace(), clock) as comfy:
        made = attempt()
        await comfy.submit(made)

        async def watch() -> None:
            async for item in comfy.watch(made):
                shown.append(item)  # noqa: PERF401 - each is looked at as it comes

        watching = asyncio.create_task(watch())
        async with asyncio.timeout(10):
            await flooded.wait()
            while not shown:
                await clock.advance(0.25)
            assert len(shown) == 1
            while not isinstance(latest := shown[-1], Progress) or latest.preview != b"\xff\xd8400":
                told = len(shown)
                await clock.advance(0.24)
                assert len(shown) == told
                await clock.advance(0.01)
            assert len(shown) < 20
            over.set()
            await watching  # the clock stands still: nothing holds the end up
    assert isinstance(shown[-1], Ended)
    assert latest.fraction == 0.5


async def test_a_waiting_job_says_how_many_are_ahead() -> None:
    async with ComfyPeer(endless).live() as peer, serving(peer) as comfy:
        before = [attempt(), attempt()]
        for made in before:
            await comfy.submit(made)
        made = attempt()
        await comfy.submit(made)
        assert await comfy.find(made) == "waiting"
        watching = comfy.watch(made)
        async with asyncio.timeout(5):
            async for item in watching:
                assert isinstance(item, Progress)
                if item.ahead is not None:
                    break
        assert item == Progress(phase="waiting", ahead=2)
        assert await comfy.find(before[0]) == "running"
        assert (await comfy.describe()).waiting == 2
        await watching.aclose()  # type: ignore[attr-defined] # an async generator


async def test_the_history_is_asked_again_when_it_is_behind_the_event() -> None:
    async def script(peer: ComfyPeer, job: Job) -> None:
        await peer.save(job, "2", ("a.png", "", "output"))  # the socket came too late to hear it begin
        await peer.send(job, "execution_success")
        await peer.send(job, "executing", node=None)
        await asked.wait()
        peer.file(job)

    async def behind(_: object) -> None:
        if peer.requests.count("GET /history") > 1:
            asked.set()

    asked = asyncio.Event()
    async with ComfyPeer(script).live() as peer, serving(peer, PATIENT) as comfy:
        peer.faults["GET /history"] = behind
        _, ended = await submitted(comfy, attempt())
    assert ended.state == "done"
    assert [output.name for output in ended.outputs] == ["a.png"]


async def test_without_a_history_the_events_are_enough() -> None:
    async def script(peer: ComfyPeer, job: Job) -> None:
        await peer.save(job, "2", ("a.png", "", "output"))
        await peer.send(job, "execution_success")
        await peer.send(job, "executing", node=None)

    async with ComfyPeer(script).live() as peer, serving(peer, PATIENT) as comfy:
        _, ended = await submitted(comfy, attempt())
    assert ended.state == "done"
    assert ended.ended_at is not None
    assert [output.name for output in ended.outputs] == ["a.png"]


async def test_a_job_whose_events_all_came_costs_two_calls() -> None:
    async with ComfyPeer().live() as peer, serving(peer, PATIENT) as comfy:
        made = attempt()
        before = len(peer.requests)
        _, ended = await submitted(comfy, made)
        assert await fetched(comfy, made, 0, ended) == PNG
    assert peer.requests[before:] == ["POST /prompt", "GET /view"]
    assert ended.started_at is not None
    assert ended.ended_at is not None


async def test_without_a_result_in_the_events_the_history_is_asked() -> None:
    async def script(peer: ComfyPeer, job: Job) -> None:
        await peer.begin(job)
        job.outputs["2"] = {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}
        await peer.succeed(job)

    async with ComfyPeer(script).live() as peer, serving(peer, PATIENT) as comfy:
        _, ended = await submitted(comfy, attempt())
    assert [output.name for output in ended.outputs] == ["a.png"]


@pytest.mark.parametrize(
    ("kind", "data", "state"),
    [
        (
            "execution_error",
            {"exception_type": "torch.OutOfMemoryError", "exception_message": "Allocation on device"},
            "failed",
        ),
        ("execution_interrupted", {}, "cancelled"),
    ],
)
@pytest.mark.parametrize("filed", [True, False])
async def test_bad_ends_are_told_with_and_without_a_history(
    kind: str, data: dict[str, str], state: str, filed: bool
) -> None:
    async def script(peer: ComfyPeer, job: Job) -> None:
        await peer.begin(job)
        await peer.send(job, kind, node_id="1", node_type="EmptyImage", **data)
        if filed:
            peer.file(job, "error")
        await peer.send(job, "executing", node=None)

    async with ComfyPeer(script).live() as peer, serving(peer, PATIENT) as comfy:
        _, ended = await submitted(comfy, attempt())
    assert ended.state == state
    assert ended.transient == ended.out_of_memory == (state == "failed")
    assert ended.ended_at is not None


async def test_an_end_that_the_server_does_not_explain_has_words() -> None:
    async def script(peer: ComfyPeer, job: Job) -> None:
        peer.file(job, "error")

    async with ComfyPeer(script).live() as peer, serving(peer) as comfy:
        _, ended = await submitted(comfy, attempt())
    assert (ended.state, bool(ended.words)) == ("failed", True)


async def test_a_socket_that_is_silent_is_not_relied_on_and_is_replaced() -> None:
    async with ComfyPeer().live() as peer, serving(peer) as comfy:
        peer.mute = True
        deaf = set(peer.sockets)
        peer.connected.clear()
        slow = asyncio.Event()

        async def script(peer: ComfyPeer, job: Job) -> None:
            await slow.wait()
            await happy(peer, job)

        peer.script = script
        made = attempt()
        await comfy.submit(made)
        watching = asyncio.create_task(watched(comfy, made))
        await peer.until(lambda: peer.requests.count("GET /queue") > 2)
        slow.set()
        _, ended = await watching
        assert ended.state == "done"
        async with asyncio.timeout(5):
            await peer.connected.wait()
        peer.mute, peer.script = False, happy
        assert not deaf & set(peer.sockets)
        _, ended = await submitted(comfy, attempt())
    assert ended.state == "done"


async def test_each_connection_has_its_own_client_id_and_says_its_features_first() -> None:
    async with ComfyPeer().live() as peer, serving(peer, headers={"Authorization": "Bearer s3cret"}):
        ids = set(peer.sockets)
        await peer.kill()
        await peer.start()
        async with asyncio.timeout(5):
            await peer.connected.wait()
            await peer.until(lambda: len(peer.flags) == 2)
        assert not ids & set(peer.sockets)
    assert peer.flags == [{"type": "feature_flags", "data": {"supports_preview_metadata": True}}] * 2
    assert peer.headers
    assert all(headers["authorization"] == "Bearer s3cret" for headers in peer.headers)


async def test_the_pause_between_two_connections_goes_by_the_clock_and_grows() -> None:
    clock = FakeClock()
    pace = Pace(first_reconnect_seconds=10, longest_reconnect_seconds=15)

    def connections(n: int) -> Callable[[], bool]:
        return lambda: peer.requests.count("GET /ws") == n and clock.sleepers == 2

    async with ComfyPeer().live() as peer:
        peer.refuses_sockets = True
        comfy = ComfyServer(ServerSettings(url=peer.url), pace=pace, clock=clock)
        running = asyncio.create_task(comfy.run())
        try:
            async with asyncio.timeout(5):
                for n, pause in enumerate((10, 15, 15), start=1):
                    while not connections(n)():  # noqa: ASYNC110 - nothing tells when somebody begins to sleep
                        await asyncio.sleep(0.01)
                    await clock.advance(pause - 0.1)
                    assert connections(n)()
                    await clock.advance(0.1)
        finally:
            running.cancel()
            await asyncio.wait({running})


async def test_a_job_in_flight_is_followed_after_the_socket_broke() -> None:
    go = asyncio.Event()

    async def script(peer: ComfyPeer, job: Job) -> None:
        await peer.begin(job)
        await go.wait()
        await happy(peer, job)

    async with ComfyPeer(script).live() as peer, serving(peer) as comfy:
        made = attempt()
        await comfy.submit(made)
        watching = asyncio.create_task(watched(comfy, made))
        for ws in list(peer.sockets.values()):
            peer.connected.clear()
            await ws.close()
        async with asyncio.timeout(5):
            await peer.connected.wait()
            go.set()
            _, ended = await watching
    assert ended.state == "done"
    assert peer.requests.count("POST /prompt") == 1


async def test_another_process_follows_a_job_by_looking() -> None:
    go = asyncio.Event()

    async def script(peer: ComfyPeer, job: Job) -> None:
        await peer.begin(job)
        await go.wait()
        await happy(peer, job)

    async with ComfyPeer(script).live() as peer, serving(peer) as first, serving(peer) as second:
        made = attempt()
        made = attempt(made.graph, key=made.id, remote=await first.submit(made))
        phases = []
        async with asyncio.timeout(5):
            async for item in second.watch(made):
                if isinstance(item, Progress):
                    phases.append(item.phase)
                    go.set()
        assert isinstance(item, Ended)
        assert item.state == "done"
        assert "running" in phases
        assert await second.find(made) == "ended"
        assert await fetched(second, made, 0, item) == PNG


async def test_what_a_restarted_server_finished_is_found_by_name() -> None:
    async with ComfyPeer().live() as peer, serving(peer) as comfy:
        made = attempt()
        _, ended = await submitted(comfy, made)
        await peer.kill()
        await peer.start()
        assert await comfy.find(made) == "ended"
        _, again = await watched(comfy, made)
        assert (again.state, again.outputs) == ("done", ended.outputs)
        assert await fetched(comfy, made, 0, again) == PNG


async def test_a_job_that_died_with_the_server_is_lost() -> None:
    async with ComfyPeer(endless).live() as peer, serving(peer) as comfy:
        made = attempt()
        await comfy.submit(made)
        watching = asyncio.create_task(watched(comfy, made))
        await peer.kill()
        await peer.start()
        async with asyncio.timeout(5):
            _, ended = await watching
        assert ended.state == "lost"
        assert await comfy.find(made) == "absent"


def saved(made: Attempt, *names: str) -> dict[tuple[str, str, str], bytes]:
    return {(f"{made.id}_{name}", "chatelier/2026-11-22", "output"): PNG for name in names}


async def test_half_of_the_files_are_not_taken_for_all() -> None:
    made = attempt(key="11111111-2222-4333-8444-555555555555")
    graph = {**made.graph, "3": {"class_type": "SaveAnimatedWEBP", "inputs": dict(made.graph["2"]["inputs"])}}
    both = attempt(graph, key=made.id)
    async with ComfyPeer().live() as peer:
        peer.object_info["SaveAnimatedWEBP"] = {"output_node": True, "output_is_list": []}
        peer.files |= saved(made, "00001_.png")
        comfy = server(peer)
        assert await comfy.find(made) == "ended"
        assert await comfy.find(both) == "absent"
        peer.files |= saved(made, "00001_.webp")
        assert await comfy.find(both) == "ended"


@pytest.mark.parametrize(
    ("left", "state"),
    [
        (["00001_.png", "00002_.png", "00003_.png"], "done"),
        (["00001_.png", "00002_.png"], "lost"),
        (["00001_.png", "00003_.png"], "lost"),
        (["00001_.png", "00002_.png", "00003_.png", "00004_.png"], "lost"),
    ],
)
async def test_a_server_that_was_killed_in_a_batch_has_all_of_it_or_lost_it(left: list[str], state: str) -> None:
    async def script(peer: ComfyPeer, job: Job) -> None:
        await peer.begin(job)
        await peer.save(job, "2", *saved(made, *left))
        saving.set()
        await asyncio.Event().wait()

    saving = asyncio.Event()
    made = attempt()
    made.graph["1"]["inputs"]["batch_size"] = 3
    async with ComfyPeer(script).live() as peer, serving(peer) as comfy:
        await comfy.submit(made)
        await saving.wait()
        watching = asyncio.create_task(watched(comfy, made))
        await peer.kill()
        await peer.start()
        async with asyncio.timeout(5):
            _, ended = await watching
        assert ended.state == state
        assert [output.name for output in ended.outputs] == [f"{made.id}_{name}" for name in left if state == "done"]
        assert await comfy.find(made) == ("ended" if state == "done" else "absent")


async def test_a_restarted_server_lost_what_nobody_can_count() -> None:
    made = attempt()
    graph = {
        **made.graph,
        "2": {**made.graph["2"], "inputs": {**made.graph["2"]["inputs"], "images": ["3", 0]}},
        "3": {"class_type": "RepeatImageBatch", "inputs": {"image": ["1", 0], "amount": 2}},
    }
    async with ComfyPeer().live() as peer:
        peer.files |= saved(made, "00001_.png", "00002_.png")
        assert await server(peer).find(attempt(graph, key=made.id)) == "absent"


async def test_watch_says_so_when_the_server_stays_away_and_goes_on_when_it_is_back() -> None:
    async with ComfyPeer(endless).live() as peer, serving(peer) as comfy:
        made = attempt()
        await comfy.submit(made)
        peer.thawed.clear()
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable):
                await watched(comfy, made)
        peer.thawed.set()
        watching = asyncio.create_task(watched(comfy, made))
        await comfy.cancel(made)
        async with asyncio.timeout(5):
            _, ended = await watching
    assert ended.state == "cancelled"


async def test_who_watches_a_server_that_is_away_hears_nothing_of_a_job_that_ran_before() -> None:
    """Whoever hears something believes that the server answers, and waits for it instead of going elsewhere."""
    heard: list[Progress | Ended] = []
    async with ComfyPeer(endless).live() as peer:
        gone = server(peer)

    async def listen() -> None:
        async for item in gone.watch(replace(attempt(), started_at=datetime(2026, 11, 22, tzinfo=UTC))):
            heard.append(item)  # noqa: PERF401 - what was heard before it raised counts

    async with asyncio.timeout(10):
        with pytest.raises(Unavailable):
            await listen()
    assert heard == []


@pytest.mark.parametrize("running", [True, False])
async def test_a_cancel_ends_a_running_and_a_waiting_job(running: bool) -> None:
    async with ComfyPeer(endless).live() as peer, serving(peer) as comfy:
        first, made = attempt(), attempt()
        if not running:
            await comfy.submit(first)
        await comfy.submit(made)
        watching = asyncio.create_task(watched(comfy, made))
        async with asyncio.timeout(5):
            await comfy.cancel(made)
            _, ended = await watching
        assert ended.state == "cancelled"
        if not running:
            assert await comfy.find(first) == "running"


async def test_a_lost_cancel_is_sent_again() -> None:
    async with ComfyPeer(endless).live() as peer, serving(peer) as comfy:
        peer.faults["POST /interrupt"] = lose_first(peer)
        made = attempt()
        await comfy.submit(made)
        async with asyncio.timeout(5):
            await comfy.cancel(made)
        assert await comfy.find(made) == "ended"
    assert peer.requests.count("POST /interrupt") == 2


def lose_first(peer: ComfyPeer):  # type: ignore[no-untyped-def] # noqa: ANN201 - a fault
    async def fault(request: object) -> object:
        return await answer(200)(request) if peer.requests.count("POST /interrupt") == 1 else None  # type: ignore[arg-type]

    return fault


@pytest.mark.parametrize("status", [500, 502])
async def test_a_prompt_that_failed_and_is_queued_all_the_same_is_found(status: int) -> None:
    async def queued_yet(request):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - a fault
        peer.enqueue(await request.json())
        return await answer(status, "trouble", kind="text/plain")(request)

    async with ComfyPeer().live() as peer, serving(peer) as comfy:
        peer.faults["POST /prompt"] = queued_yet
        made = attempt()
        with pytest.raises(Uncertain):
            await comfy.submit(made)
        assert await comfy.find(made) != "absent"
        _, ended = await watched(comfy, made)
    assert ended.state == "done"


async def test_a_prompt_that_is_still_on_its_way_is_not_called_absent_at_the_first_look() -> None:
    async def late(request):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - a fault
        body = await request.json()
        asyncio.get_running_loop().call_later(FAST.settle_seconds / 2, peer.enqueue, body)
        return await answer(500)(request)

    async with ComfyPeer(endless).live() as peer, serving(peer) as comfy:
        peer.faults["POST /prompt"] = late
        made = attempt()
        with pytest.raises(Uncertain):
            await comfy.submit(made)
        assert await comfy.find(made) in {"waiting", "running"}
        del peer.faults["POST /prompt"]
        assert await comfy.find(attempt()) == "absent"


async def test_an_old_server_with_ids_of_its_own_is_followed_by_those() -> None:
    async def own_ids(request):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - a fault
        job = peer.enqueue({**await request.json(), "prompt_id": "its own"})
        return await answer(200, {"prompt_id": job.id, "number": 1, "node_errors": {}})(request)

    async with ComfyPeer().live() as peer, serving(peer) as comfy:
        peer.faults["POST /prompt"] = own_ids
        made = attempt()
        made = attempt(made.graph, key=made.id, remote=await comfy.submit(made))
        _, ended = await watched(comfy, made)
        assert made.remote == "its own"
    assert ended.state == "done"


async def test_it_works_without_a_socket() -> None:
    async with ComfyPeer().live() as peer:
        comfy = server(peer)
        made = attempt()
        _, ended = await submitted(comfy, made)
        assert await fetched(comfy, made, 0, ended) == PNG
    assert not peer.sockets


async def test_stop_and_start_leave_nothing_behind() -> None:
    tasks = asyncio.all_tasks()
    async with ComfyPeer().live() as peer:
        for _ in range(3):
            async with serving(peer) as comfy:
                assert (await submitted(comfy, attempt()))[1].state == "done"
            peer.connected.clear()
            async with asyncio.timeout(5):
                await peer.until(lambda: not peer.sockets)
    assert asyncio.all_tasks() == tasks


async def test_jobs_that_nobody_watches_are_not_kept_for_ever() -> None:
    async with ComfyPeer().live() as peer, serving(peer) as comfy:
        first = attempt(saving("x"))
        await comfy.submit(first)
        for _ in range(520):
            await comfy.submit(attempt(saving("x")))
        _, ended = await watched(comfy, first)
    assert ended.state == "done"


async def test_a_newer_server_is_asked_about_one_job_and_not_for_its_whole_queue() -> None:
    async with ComfyPeer(endless).live() as peer, serving(peer) as first, serving(peer) as second:
        peer.has_jobs = True
        made, behind = attempt(), attempt()
        for one in (made, behind):
            await first.submit(one)
        assert await second.find(made) == "running"
        assert "GET /queue" not in peer.requests
        assert await second.find(behind) == "waiting"
        assert await second.find(attempt()) == "absent"
        for one in (behind, made):
            await second.cancel(one)
        _, ended = await watched(second, made)
        assert await second.find(made) == "ended"
        assert await second.find(behind) == "absent"
    assert ended.state == "cancelled"
    assert ended.ended_at is not None
    assert {"POST /queue", "POST /interrupt"}.isdisjoint(peer.requests)


async def test_an_older_server_is_asked_once_whether_it_is_newer_and_again_after_a_restart() -> None:
    async with ComfyPeer(endless).live() as peer, serving(peer) as comfy:
        made = attempt()
        await comfy.submit(made)
        for _ in range(3):
            assert await comfy.find(made) == "running"
        await comfy.cancel(made)
        await comfy.cancel(made)
        assert peer.requests.count("GET /api/jobs") == 1
        assert peer.requests.count("POST /api/jobs/cancel") == 1
        await peer.kill()
        peer.has_jobs = True
        await peer.start()
        async with asyncio.timeout(5):
            await peer.connected.wait()
        again = attempt()
        await comfy.submit(again)
        assert await comfy.find(again) == "running"
    assert peer.requests.count("GET /api/jobs") == 2


async def test_a_lost_cancel_is_sent_again_to_a_newer_server_too() -> None:
    async def deaf_once(request: Request) -> Response | None:
        return await answer(200, {"cancelled": True})(request) if cancels() == 1 else None

    def cancels() -> int:
        return peer.requests.count("POST /api/jobs/cancel")

    async with ComfyPeer(endless).live() as peer, serving(peer) as comfy:
        peer.has_jobs = True
        peer.faults["POST /api/jobs/cancel"] = deaf_once
        made = attempt()
        await comfy.submit(made)
        async with asyncio.timeout(5):
            await comfy.cancel(made)
        assert await comfy.find(made) == "ended"
    assert cancels() == 2


@pytest.mark.parametrize("status", [200, 502])
async def test_a_page_in_place_of_the_newer_route_is_no_answer_about_a_job(status: int) -> None:
    async with ComfyPeer(endless).live() as peer, serving(peer) as comfy:
        peer.faults["GET /api/jobs"] = answer(status, "<html>", kind="text/html")
        made = attempt()
        await comfy.submit(made)
        assert await comfy.find(made) == "running"


async def test_many_who_watch_share_their_looks_at_the_queue() -> None:
    async with ComfyPeer(endless).live() as peer, serving(peer) as comfy:
        jobs = [attempt() for _ in range(12)]
        for made in jobs:
            await comfy.submit(made)
        before = peer.requests.count("GET /queue")
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            for made in jobs[1:]:
                tasks.create_task(place(comfy, made))
    assert peer.requests.count("GET /queue") - before < 6


async def place(comfy: ComfyServer, made: Attempt) -> int:
    async with aclosing(comfy.watch(made)) as items:  # type: ignore[type-var] # an async generator
        async for item in items:
            if isinstance(item, Progress) and item.ahead is not None:
                return item.ahead
    raise AssertionError


async def test_it_is_asked_to_let_go_of_its_memory() -> None:
    async with ComfyPeer().live() as peer, serving(peer) as comfy:
        assert isinstance(comfy, Frees)
        await comfy.free()
    assert peer.bodies == [{"unload_models": True, "free_memory": True}]
