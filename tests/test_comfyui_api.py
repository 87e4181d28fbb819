"""What a ComfyUI server, or whatever stands in its place, answers, and what is made of it."""

import asyncio
from typing import Any

import pytest

from chatelier import ChatelierError, Gone, Output, Refused, Retry, Unavailable, Uncertain
from chatelier.plugins.comfyui.server import ComfyServer
from comfyui import TRANSCRIPTS, attempt, saving, server, serving, submitted
from peers.comfyui import PNG, ComfyPeer, Fault, answer, recorded_rejections, silence

REJECTIONS = list(recorded_rejections(TRANSCRIPTS / "B_validation_errors.jsonl"))
PAGE = "<html><title>502 Bad Gateway</title></html>"
GARBAGE = {
    "a page": answer(200, PAGE, kind="text/html"),
    "no JSON": answer(200, "{", kind="application/json; cut"),
    "a list": answer(200, []),
    "null": answer(200, None),
    "nothing of it": answer(200, {"prompt_id": None, "exec_info": 7, "queue_running": "?"}),
    "a proxy in trouble": answer(502, PAGE, kind="text/html"),
    "not found": answer(404, "", kind="text/plain"),
    "a redirect": answer(302, "", location="/login"),
    "no entry": answer(401, ""),
}


def words_are_plain(error: ChatelierError) -> bool:
    said = str(error)
    return said.endswith((".", "!")) and len(said) < 400 and "Error" not in said and "<" not in said


# --- describing


async def test_describe_tells_classes_load_and_machine() -> None:
    async with ComfyPeer().live() as peer:
        description = await server(peer).describe()
    assert description.classes["SaveImage"]["output_node"] is True
    assert (description.waiting, description.running) == (0, 0)
    assert "0.3.64" in description.detail
    assert "20.1 of 24.0 GB" in description.detail


@pytest.mark.parametrize(
    ("route", "what"),
    [("GET /prompt", what) for what in GARBAGE]
    + [
        (route, what)
        for route in ("GET /object_info", "GET /system_stats")
        for what in GARBAGE
        if what != "nothing of it"
    ],
)
async def test_what_is_not_comfyui_is_unavailable_in_words(route: str, what: str) -> None:
    async with ComfyPeer().live() as peer:
        peer.faults[route] = GARBAGE[what]
        with pytest.raises(Unavailable) as raised:
            await server(peer).describe()
    assert words_are_plain(raised.value)
    assert str(peer.port) in str(raised.value)


async def test_a_server_that_is_not_there_is_unavailable_at_once() -> None:
    peer = ComfyPeer()
    async with peer.live():
        pass
    comfy = server(peer)
    for call in (comfy.describe(), comfy.submit(attempt()), comfy.find(attempt()), comfy.cancel(attempt())):
        with pytest.raises(Unavailable) as raised:
            await call
        assert words_are_plain(raised.value)


# --- submitting


@pytest.mark.parametrize(
    ("note", "graph", "status", "body"),
    [case for case in REJECTIONS if case[2] == 400],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_each_recorded_rejection_is_refused_with_words(note: str, graph: Any, status: int, body: Any) -> None:
    async with ComfyPeer().live() as peer:
        peer.faults["POST /prompt"] = answer(status, body)
        with pytest.raises(Refused) as raised:
            await server(peer).submit(attempt(graph or saving("x")))
    assert note
    assert str(raised.value).strip()
    assert "Traceback" not in str(raised.value)
    assert ".py" not in str(raised.value)


async def test_a_part_that_was_left_out_is_a_note_beside_the_success() -> None:
    _, graph, _, body = next(case for case in REJECTIONS if case[2] == 200)

    async def partly(request: Any) -> Any:
        job = peer.enqueue(await request.json())
        return await answer(200, {**body, "prompt_id": job.id})(request)

    async with ComfyPeer().live() as peer, serving(peer) as comfy:
        peer.faults["POST /prompt"] = partly
        _, ended = await submitted(comfy, attempt(graph))
    assert ended.state == "done"
    assert len(ended.notes) == 1
    assert "nope.png" in ended.notes[0]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (answer(500, "500 Internal Server Error", kind="text/plain"), Uncertain),
        (GARBAGE["a proxy in trouble"], Uncertain),
        (GARBAGE["a page"], Uncertain),
        (GARBAGE["no JSON"], Uncertain),
        (answer(400, PAGE, kind="text/html"), Unavailable),
        (answer(400, ["?"]), Unavailable),
        (answer(404, ""), Unavailable),
        (answer(403, ""), Unavailable),
        (answer(413, "Maximum request body size exceeded."), Refused),
    ],
)
async def test_a_prompt_is_uncertain_only_when_it_may_be_queued(fault: Fault, error: type[ChatelierError]) -> None:
    async with ComfyPeer().live() as peer:
        peer.faults["POST /prompt"] = fault
        with pytest.raises(error) as raised:
            await server(peer).submit(attempt())
    assert type(raised.value) is error
    assert words_are_plain(raised.value)


@pytest.mark.parametrize(
    ("header", "after"), [({"retry-after": "17"}, 17.0), ({}, 5.0), ({"retry-after": "soon"}, 5.0)]
)
async def test_a_busy_proxy_says_when_to_come_again(header: dict[str, str], after: float) -> None:
    async with ComfyPeer().live() as peer:
        peer.faults["POST /prompt"] = answer(429, "", **header)
        with pytest.raises(Retry) as raised:
            await server(peer).submit(attempt())
    assert raised.value.after == after


async def test_a_connection_that_breaks_after_the_prompt_leaves_it_uncertain() -> None:
    arrived = asyncio.Event()

    async def hang(request: Any) -> Any:
        await request.body()
        arrived.set()
        return await silence(request)

    async with ComfyPeer().live() as peer, serving(peer) as comfy:
        peer.faults["POST /prompt"] = hang
        submitting = asyncio.create_task(comfy.submit(attempt()))
        await arrived.wait()
        await peer.kill()
        with pytest.raises(Uncertain) as raised:
            await submitting
    assert words_are_plain(raised.value)


# --- files


def picture_graph() -> dict[str, dict[str, Any]]:
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "file:cat", "others": ["file:cat", 0], "n": 3}},
        "2": saving("x")["2"],
    }


async def test_a_file_is_sent_once_and_named_as_the_server_named_it() -> None:
    files = {"file:cat": b"the bytes of a cat"}
    async with ComfyPeer().live() as peer, serving(peer) as comfy:
        made = attempt(picture_graph(), files=files)
        taken = made.files["file:cat"].sha256[:32] + ".png"
        peer.files[taken, "chatelier", "input"] = b"somebody else's"
        await comfy.submit(made)
        await comfy.submit(attempt(picture_graph(), files=files))
    sent = [body["prompt"]["1"]["inputs"] for body in peer.bodies]
    name = taken.replace(".png", " (1).png")
    assert sent == [{"image": f"chatelier/{name}", "others": ["file:cat", 0], "n": 3}] * 2
    assert peer.files[name, "chatelier", "input"] == files["file:cat"]
    assert peer.requests.count("POST /upload/image") == 1
    assert made.graph["1"]["inputs"]["image"] == "file:cat"


async def test_files_are_sent_again_to_a_server_that_lost_them() -> None:
    files = {"file:cat": b"the bytes of a cat"}

    async def checks_files(request: Any) -> Any:
        name = (await request.json())["prompt"]["1"]["inputs"]["image"].rpartition("/")[2]
        if (name, "chatelier", "input") in peer.files:
            return None
        _, _, status, body = next(case for case in REJECTIONS if case[0] == "invalid_missing_image.json")
        return await answer(status, body)(request)

    async with ComfyPeer().live() as peer:
        peer.faults["POST /prompt"] = checks_files
        comfy = server(peer)
        await comfy.submit(attempt(picture_graph(), files=files))
        peer.files.clear()
        await comfy.submit(attempt(picture_graph(), files=files))
        assert peer.requests.count("POST /upload/image") == 2
        peer.faults["POST /prompt"] = answer(*next(case[2:] for case in REJECTIONS if case[2] == 400))
        with pytest.raises(Refused):
            await comfy.submit(attempt(picture_graph(), files=files))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (answer(413, "Maximum request body size 104857600 exceeded."), Refused),
        (answer(400, ""), Refused),
        (answer(500, ""), Unavailable),
        (GARBAGE["a page"], Unavailable),
        (answer(200, {"name": ""}), Unavailable),
    ],
)
async def test_a_file_that_is_not_taken_stops_the_job_before_it_is_queued(
    fault: Fault, error: type[ChatelierError]
) -> None:
    async with ComfyPeer().live() as peer:
        peer.faults["POST /upload/image"] = fault
        with pytest.raises(error) as raised:
            await server(peer).submit(attempt(picture_graph(), files={"file:cat": b"cat"}))
    assert words_are_plain(raised.value)
    assert "POST /prompt" not in peer.requests


async def view(comfy: ComfyServer, **remote: str) -> bytes:
    output = Output(n=0, node="1", name="x", remote=remote)
    return b"".join([chunk async for chunk in comfy.fetch(attempt(), output)])


async def test_any_file_name_is_fetched_again_and_again() -> None:
    place = ("a b&c=d/é%20+#;.png", "x y/ü", "temp")
    async with ComfyPeer().live() as peer, serving(peer) as comfy:
        peer.files[place] = bytes(range(256)) * 4000
        for _ in range(2):
            got = await view(comfy, filename=place[0], subfolder=place[1], type=place[2])
            assert got == peer.files[place]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (answer(404, ""), Gone),
        (answer(500, ""), Unavailable),
        (answer(403, ""), Unavailable),
        (GARBAGE["a page"], Unavailable),
        (answer(200, "short", kind="image/png", **{"content-length": "5000"}), Unavailable),
    ],
)
async def test_a_file_that_does_not_come_whole_is_an_error(fault: Fault, error: type[ChatelierError]) -> None:
    async with ComfyPeer().live() as peer:
        peer.faults["GET /view"] = fault
        with pytest.raises(error) as raised:
            await view(server(peer), filename="a.png", subfolder="", type="output")
    assert words_are_plain(raised.value)


async def test_finding_files_by_name_is_not_fooled_by_a_page_or_an_empty_file() -> None:
    made = attempt()
    async with ComfyPeer().live() as peer:
        comfy = server(peer)
        peer.faults["GET /view"] = GARBAGE["a page"]
        assert await comfy.find(made) == "absent"
        peer.faults["GET /view"] = answer(500, "")
        with pytest.raises(Unavailable):
            await comfy.find(made)
        del peer.faults["GET /view"]
        peer.files[f"{made.id}_00001_.png", "chatelier/2026-11-22", "output"] = b""
        assert await comfy.find(made) == "absent"
        peer.files[f"{made.id}_00001_.png", "chatelier/2026-11-22", "output"] = PNG
        assert await comfy.find(made) == "ended"


@pytest.mark.parametrize("what", GARBAGE)
async def test_garbage_in_the_queue_is_unavailable_and_nothing_is_lost(what: str) -> None:
    async with ComfyPeer().live() as peer, serving(peer) as comfy:
        peer.faults["GET /queue"] = GARBAGE[what]
        with pytest.raises(Unavailable) as raised:
            await comfy.find(attempt())
    assert words_are_plain(raised.value)


async def test_a_proxy_that_lets_no_socket_through_leaves_polling() -> None:
    async with ComfyPeer().live() as peer:
        peer.refuses_sockets = True
        comfy = server(peer)
        running = asyncio.create_task(comfy.run())
        await peer.until(lambda: peer.requests.count("GET /ws") > 2)
        _, ended = await submitted(comfy, attempt())
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert ended.state == "done"
