"""The backend "sketch" as the core uses it: submit, find, watch, fetch, cancel; and what is left after a restart."""

import asyncio
import hashlib
import os
import threading
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chatelier import Attempt, Backend, Blob, Ended, Frees, Gone, OperatorMust, Output, Progress, Refused
from chatelier.plugins.sketch.backend import SketchBackend
from chatelier.plugins.sketch.folders import Folders
from chatelier.plugins.sketch.settings import SketchSettings
from sketching import PATIENCE, node, text_to_image, tiny, workflow

PATIENT = 300


@asynccontextmanager
async def running(root: Path, **settings: Any) -> AsyncIterator[SketchBackend]:
    backend = SketchBackend(root, SketchSettings(**settings))
    task = asyncio.create_task(backend.run())
    try:
        yield backend
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def attempt(graph: Mapping[str, Any] | None = None, *, files: Mapping[str, bytes] | None = None) -> Attempt:
    """One whose pictures are saved under its own id, as the core asks for it."""
    key = str(uuid.uuid4())
    filled = {name: {**declared, "inputs": dict(declared["inputs"])} for name, declared in (graph or tiny()).items()}
    for declared in filled.values():
        if "filename_prefix" in declared["inputs"]:
            declared["inputs"]["filename_prefix"] = f"chatelier/2031-02-03/{key}"
    blobs = {
        name: Blob(sha256=hashlib.sha256(data).hexdigest(), size=len(data), mime="image/png", kind="image")
        for name, data in (files or {}).items()
    }
    contents = {blobs[name].sha256: data for name, data in (files or {}).items()}

    async def read(blob: Blob) -> AsyncIterator[bytes]:
        yield contents[blob.sha256][:10]
        yield contents[blob.sha256][10:]

    return Attempt(id=key, graph=filled, files=blobs, read=read)


async def watched(backend: SketchBackend, one: Attempt) -> tuple[list[Progress], Ended]:
    seen: list[Progress] = []
    async with asyncio.timeout(PATIENCE):
        async for item in backend.watch(one):
            if isinstance(item, Ended):
                return seen, item
            seen.append(item)
    raise AssertionError


async def fetched(backend: SketchBackend, one: Attempt, output: Output) -> bytes:
    return b"".join([piece async for piece in backend.fetch(one, output)])


async def until_running(backend: SketchBackend, one: Attempt) -> None:
    async for item in backend.watch(one):
        if isinstance(item, Progress) and item.phase == "running":
            return


async def test_a_picture_from_submit_to_bytes(tmp_path: Path) -> None:
    async with running(tmp_path) as backend:
        assert isinstance(backend, Backend)
        one = attempt(text_to_image(steps=6, batch=2))
        assert await backend.find(one) == "absent"
        assert await backend.submit(one) == one.id
        seen, ended = await watched(backend, one)
        assert ended.state == "done"
        assert [output.n for output in ended.outputs] == [0, 1]
        assert all(output.node == "9" and output.name.startswith(one.id) for output in ended.outputs)
        first, second = [await fetched(backend, one, output) for output in ended.outputs]
        assert first != second
        with Image.open(BytesIO(first)) as picture:
            assert picture.size == (64, 64)
        assert ended.started_at is not None
        assert ended.ended_at is not None
        assert ended.started_at <= ended.ended_at
        assert await backend.find(one) == "ended"
        assert (await watched(backend, one))[1] == ended
        assert seen[0].phase == "waiting"


async def test_progress_grows_and_shows_the_picture(tmp_path: Path) -> None:
    async with running(tmp_path, seconds=0.5) as backend:
        one = attempt(text_to_image(steps=10))
        await backend.submit(one)
        seen, _ = await watched(backend, one)
        fractions = [item.fraction for item in seen if item.fraction is not None]
        assert fractions == sorted(fractions)
        assert 0 <= fractions[0] < fractions[-1] <= 1
        assert any(item.preview.startswith(b"\xff\xd8") for item in seen)
        assert "KSampler" in {item.title for item in seen}
        assert seen[-1].started_at is not None


async def test_places_in_the_queue_move_up(tmp_path: Path) -> None:
    async with running(tmp_path, seconds=PATIENT) as backend:
        first, second, third = attempt(), attempt(), attempt()
        for one in (first, second, third):
            await backend.submit(one)
        await until_running(backend, first)
        assert [await backend.find(one) for one in (first, second, third)] == ["running", "waiting", "waiting"]
        described = await backend.describe()
        assert (described.running, described.waiting) == (1, 2)
        assert "KSampler" in described.classes
        places = []
        async with asyncio.timeout(PATIENCE):
            async for item in backend.watch(third):
                assert isinstance(item, Progress)
                places.append(item.ahead)
                if item.ahead == 2:
                    await backend.cancel(second)
                if item.ahead == 1:
                    break
        assert places == [2, 1]
        assert (await watched(backend, second))[1].state == "cancelled"
        assert await backend.find(second) == "ended"


async def test_a_running_one_is_cancelled(tmp_path: Path) -> None:
    async with running(tmp_path, seconds=PATIENT) as backend:
        one = attempt(text_to_image())
        await backend.submit(one)
        await until_running(backend, one)
        await backend.cancel(one)
        assert (await watched(backend, one))[1].state == "cancelled"
        await backend.cancel(one)


async def test_files_of_a_person_are_inputs(tmp_path: Path) -> None:
    buffer = BytesIO()
    Image.new("RGB", (30, 20), (200, 10, 10)).save(buffer, "PNG")
    graph = workflow("img2img_upload")
    graph["1"]["inputs"]["image"] = "the picture"
    async with running(tmp_path) as backend:
        one = attempt(graph, files={"the picture": buffer.getvalue()})
        await backend.submit(one)
        _, ended = await watched(backend, one)
        assert ended.state == "done"
        with Image.open(BytesIO(await fetched(backend, one, ended.outputs[0]))) as made:
            assert made.size == (512, 512)
            assert made.getpixel((5, 5)) in {(54, 245, 245), (55, 245, 245)}
        again = attempt(graph, files={"the picture": buffer.getvalue()})
        await backend.submit(again)
        assert (await watched(backend, again))[1].state == "done"
    assert len(list((tmp_path / "input").iterdir())) == 1


async def test_text_and_websocket_pictures_are_results_too(tmp_path: Path) -> None:
    graph = workflow("text") | {
        "9": node("EmptyImage", width=8, height=8, batch_size=1, color=1),
        "10": node("SaveImageWebsocket", images=["9", 0]),
    }
    async with running(tmp_path) as backend:
        one = attempt(graph)
        await backend.submit(one)
        _, ended = await watched(backend, one)
        by_node = {output.node: output for output in ended.outputs}
        assert by_node["3"].text == "a red fox in the snow"
        assert await fetched(backend, one, by_node["3"]) == b"a red fox in the snow"
        assert (await fetched(backend, one, by_node["10"])).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("invalid_values", "EmptyImage (Canvas): width must be at least 1, not 0."),
        ("invalid_unknown_node", "no node NoSuchNode"),
        ("invalid_no_outputs", "no output"),
        ("invalid_model_missing", "v1-5-pruned-emaonly.safetensors"),
    ],
)
async def test_what_cannot_run_is_refused_in_words(name: str, words: str, tmp_path: Path) -> None:
    async with running(tmp_path, models=[]) as backend:
        one = attempt(workflow(name))
        with pytest.raises(Refused) as refused:
            await backend.submit(one)
        assert words in str(refused.value)
        assert await backend.find(one) == "absent"


async def test_an_editor_file_is_refused_in_words(tmp_path: Path) -> None:
    async with running(tmp_path) as backend:

        async def read(blob: Blob) -> AsyncIterator[bytes]:
            yield b""

        odd: Any = {
            "1": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
            "2": {"class_type": ["a"], "inputs": {}},
        }
        with pytest.raises(Refused, match="API format"):
            await backend.submit(Attempt(id="x", graph=odd, read=read))


async def test_a_failure_is_told_in_words_and_others_go_on(tmp_path: Path) -> None:
    async with running(tmp_path) as backend:
        bad, good = attempt(workflow("fail_exec")), attempt()
        await backend.submit(bad)
        await backend.submit(good)
        ended = (await watched(backend, bad))[1]
        assert ended.state == "failed"
        assert ended.words == "RegexReplace (Bad regex): missing ), unterminated subpattern at position 0."
        assert (await watched(backend, good))[1].state == "done"


async def test_a_part_that_did_not_run_is_noted(tmp_path: Path) -> None:
    graph = tiny() | {
        "4": node("LoadImage", image="nope.png"),
        "5": node("SaveImage", images=["4", 0], filename_prefix="x"),
    }
    async with running(tmp_path) as backend:
        one = attempt(graph)
        await backend.submit(one)
        ended = (await watched(backend, one))[1]
        assert ended.state == "done"
        assert len(ended.notes) == 1
        assert "nope.png" in ended.notes[0]


async def test_when_it_stops_its_jobs_are_lost_and_nothing_is_left(tmp_path: Path) -> None:
    threads = {thread.name for thread in threading.enumerate()}
    async with running(tmp_path, seconds=PATIENT) as backend:
        runs, waits = attempt(text_to_image(steps=30)), attempt()
        await backend.submit(runs)
        await backend.submit(waits)
        await until_running(backend, runs)
        assert "sketch" in {thread.name for thread in threading.enumerate()}
        watchers = [asyncio.create_task(watched(backend, one)) for one in (runs, waits)]
        await asyncio.sleep(0)
    for watcher in watchers:
        assert (await watcher)[1].state == "lost"
    assert "sketch" not in {thread.name for thread in threading.enumerate()} - threads
    assert await backend.find(waits) == "absent"
    assert (await watched(backend, waits))[1].state == "lost"


async def test_finished_files_are_found_after_a_restart(tmp_path: Path) -> None:
    done, unfinished, text = attempt(text_to_image(batch=2)), attempt(), attempt(workflow("text"))
    async with running(tmp_path) as backend:
        await backend.submit(done)
        await backend.submit(text)
        before = (await watched(backend, done))[1]
        await watched(backend, text)
    async with running(tmp_path) as backend:
        assert await backend.find(done) == "ended"
        _, ended = await watched(backend, done)
        assert ended.state == "done"
        assert [output.name for output in ended.outputs] == [output.name for output in before.outputs]
        assert (await fetched(backend, done, ended.outputs[1])).startswith(b"\x89PNG")
        assert await backend.find(unfinished) == "absent"
        assert await backend.find(text) == "absent", "a text leaves no file, so the job runs again"


async def test_a_file_that_went_is_gone(tmp_path: Path) -> None:
    async with running(tmp_path) as backend:
        one = attempt()
        await backend.submit(one)
        output = (await watched(backend, one))[1].outputs[0]
        (tmp_path / "output" / output.remote["subfolder"] / output.name).unlink()
        with pytest.raises(Gone):
            await fetched(backend, one, output)
        outside = Output(n=0, node="1", name="x", remote={"type": "output", "subfolder": "../..", "filename": "passwd"})
        with pytest.raises(Gone):
            await fetched(backend, one, outside)


async def test_a_folder_that_cannot_be_made_is_the_operators_business(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OperatorMust, match="cannot write its folder"):
        await SketchBackend(tmp_path / "file", SketchSettings()).run()


def test_a_second_process_on_the_same_folders_leaves_fresh_temporary_files_alone(tmp_path: Path) -> None:
    first = Folders(tmp_path, shared=True)
    first.prepare()
    fresh, old = first["temp"] / "fresh.png", first["temp"] / "old.png"
    for path in (fresh, old):
        path.write_bytes(b"x")
    os.utime(old, (1, 1))
    Folders(tmp_path, shared=True).prepare()
    assert fresh.exists()
    assert not old.exists()


async def test_what_the_operator_said_of_it_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, tags=["draft"], weight=0.5, places=3) as backend:
        described = await backend.describe()
        again = await backend.describe()
    assert (described.tags, described.weight, described.places, described.memory) == (("draft",), 0.5, 3, 0)
    assert again.classes is described.classes


async def test_what_it_made_is_made_anew_when_it_let_go(tmp_path: Path) -> None:
    async def made(one: Attempt) -> str:
        await backend.submit(one)
        _, ended = await watched(backend, one)
        return ended.outputs[0].name

    async with running(tmp_path) as backend:
        assert isinstance(backend, Frees)
        first = attempt()
        name = await made(first)
        assert await made(replace(first, id="again")) == name
        await backend.free()
        assert await made(replace(first, id="anew")) != name
