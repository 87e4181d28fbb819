"""From what somebody writes at the chat page to the bytes that they get, on the built-in sketch and over ComfyUI's protocol."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import av
import numpy as np
import pytest
import pytest_asyncio
from PIL import Image, ImageChops

from chatelier.core.generation.jobs import JOBS
from chatelier.core.sessions.session import session_of
from files import encoded, gradient
from gateways import Guest, Here, Message, configured, gateway, guest, names, on_server, sentences, sketch_process

WORKFLOWS = Path(__file__).parent / "data" / "workflows"
TRANSCRIPTS = Path(__file__).parent / "data" / "comfyui"
GRAPHS = names(list(WORKFLOWS.glob("*.json")))
GOOD = [name for name in GRAPHS if not name.startswith(("invalid_", "fail_"))]
BAD = [name for name in GRAPHS if name.startswith("invalid_")]
OPERATORS = "open the console"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sketch", "comfyui"])
async def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    """A gateway with all graphs of tests/data/workflows dropped in, on each of the two backends."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sketch":
        async with gateway(_with_graphs(folder, {"sketch": {"seconds": 0}})) as running:
            yield running
        return
    with sketch_process(folder / "server") as server:
        async with gateway(_with_graphs(folder, on_server(server.url))) as running:
            yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sketch", "comfyui"])
async def bare(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    """The same without a single model."""
    folder = tmp_path_factory.mktemp(f"bare-{request.param}")
    if request.param == "sketch":
        async with gateway(_with_graphs(folder, {"sketch": {"models": []}})) as running:
            yield running
        return
    with sketch_process(folder / "server", "--models", "") as server:
        async with gateway(_with_graphs(folder, on_server(server.url))) as running:
            yield running


def _with_graphs(folder: Path, backends: dict[str, object]) -> Path:
    config = configured(folder, backends=backends, http={"port": 0, "console_token": OPERATORS})
    for graph in WORKFLOWS.glob("*.json"):
        (folder / "workflows" / graph.name).write_bytes(graph.read_bytes())
    (folder / "workflows" / "endless.json").write_text(json.dumps(_endless()))
    return config


def _endless(rows: int = 20, blurs: int = 50) -> dict[str, object]:
    """A thousand blurs, none like another: on no machine are they done before their test has cancelled them."""
    graph: dict[str, object] = {}

    def node(key: str, kind: str, **inputs: object) -> str:
        graph[key] = {"class_type": kind, "inputs": inputs}
        return key

    canvas = node("canvas", "EmptyImage", width=1024, height=1024, batch_size=1, color=3368601)
    noise = node("noise", "ImageAddNoise", image=[canvas, 0], seed=1, strength=0.5)
    for row in range(rows):
        last = noise
        for n in range(blurs):
            last = node(f"blur_{row}_{n}", "ImageBlur", image=[last, 0], blur_radius=10, sigma=3 + row / rows)
        node(f"save_{row}", "SaveImage", images=[last, 0], filename_prefix="endless")
    return graph


async def picture(me: Guest, message: Message, n: int = 0) -> Image.Image:
    image = Image.open(io.BytesIO(await me.bytes_of(message.media[n])))
    image.load()
    return image


def png(width: int = 96, height: int = 64) -> bytes:
    return encoded(gradient(width, height), "PNG")


# --- the commands that ship


async def test_words_become_a_picture_of_the_size_that_was_asked_for(here: Here) -> None:
    async with guest(here.url) as me:
        done = await me.ask("/make a red fox in the snow --width 192 height:128 --steps 3")
        made = await picture(me, done)
        assert (made.format, made.size) == ("PNG", (192, 128))
        assert "a red fox in the snow" in done.text
        assert done.media[0]["alt"] == "a red fox in the snow"
        assert {"Again", "Tweak", "Info", "Hide", "👍", "👎"} <= set(done.buttons)


async def test_the_same_words_and_seed_give_the_same_picture_and_another_seed_another(here: Here) -> None:
    async with guest(here.url) as me:
        asked = "/make a fox --width 64 --height 64 --steps 2 --seed "
        one, same, other = [await picture(me, await me.ask(asked + seed)) for seed in ("7", "7", "8")]
        assert ImageChops.difference(one, same).getbbox() is None
        assert ImageChops.difference(one, other).getbbox() is not None


async def test_a_picture_that_was_uploaded_is_changed_by_words(here: Here) -> None:
    async with guest(here.url) as me:
        done = await me.ask("/effect an old oil painting --steps 2", await me.upload(png()))
        made = await picture(me, done)
        assert made.format == "PNG"
        assert made.width / made.height == pytest.approx(96 / 64, rel=0.05)


async def test_upscale_gives_the_same_picture_with_more_pixels(here: Here) -> None:
    async with guest(here.url) as me:
        done = await me.ask("/upscale --factor 3", await me.upload(png(40, 30)))
        made = await picture(me, done)
        assert made.size == (120, 90)
        back = made.convert("RGB").resize((40, 30), Image.Resampling.BOX)
        off = np.abs(np.asarray(back, float) - np.asarray(gradient(40, 30), float))
        assert off.max() < 40


async def test_a_picture_made_before_is_the_input_when_it_is_answered_with_again(here: Here) -> None:
    """The picture stays the one that was uploaded, although the message with it is long gone."""
    async with guest(here.url) as me:
        first = await me.ask("/upscale", await me.upload(png(20, 10)))
        before = set(me.messages)
        await me.press(first, "Again")
        second = await me.answer(before)
        assert (await picture(me, second)).size == (await picture(me, first)).size == (40, 20)


# --- files dropped into the folder


# The file is what it is, and all of its nodes run; of its own size they take seconds.
SMALLER = {"slow_core": {"width": 64, "height": 64}}


@pytest.mark.parametrize("name", GOOD)
async def test_a_graph_that_is_dropped_in_runs_unchanged(here: Here, name: str) -> None:
    graph = json.loads((WORKFLOWS / f"{name}.json").read_text())
    async with guest(here.url) as me:
        files = [await me.upload(png())] if any(node["class_type"] == "LoadImage" for node in graph.values()) else []
        smaller = SMALLER.get(name, {})
        done = await me.ask(
            " ".join((f"/{name}", *(f"--{option} {value}" for option, value in smaller.items()))), *files
        )
        assert "did not work" not in done.text
        await _check(me, done, graph, smaller)


async def _check(me: Guest, done: Message, graph: dict[str, dict[str, object]], asked: dict[str, int]) -> None:
    """Kind, number and size of the results, as the graph or who asked said them."""
    inputs = {str(node["class_type"]): node["inputs"] for node in graph.values()}
    if "PreviewAny" in inputs:
        assert "a red fox in the snow" in done.text
        return
    canvas = inputs.get("ImageScale") or inputs["EmptyImage"]
    assert isinstance(canvas, dict)
    canvas = {**canvas, **asked}
    size, batch = (canvas["width"], canvas["height"]), canvas.get("batch_size", 1)
    data = [await me.bytes_of(media) for media in done.media]
    if "SaveVideo" in inputs:
        assert done.media[0]["kind"] == "video"
        with av.open(io.BytesIO(data[0]), "r") as film:
            frames = [(frame.width, frame.height) for frame in film.decode(video=0)]
        assert frames == [size] * batch
    elif "SaveAnimatedWEBP" in inputs:
        with Image.open(io.BytesIO(data[0])) as film:
            assert (film.format, film.size, getattr(film, "n_frames", 1)) == ("WEBP", size, batch)
    else:
        pictures = [Image.open(io.BytesIO(one)) for one in data]
        assert [(one.format, one.size) for one in pictures] == [("PNG", size)] * batch


async def test_a_file_that_is_dropped_in_while_it_runs_is_a_command_at_once(here: Here, tmp_path: Path) -> None:
    folder = here.runtime.settings.workflows.folder
    async with guest(here.url) as me:
        assert "no command" in (await me.ask("/latecomer")).text
        (folder / "latecomer.json").write_bytes((WORKFLOWS / "text.json").read_bytes())
        await here.refresh()
        assert "a red fox" in (await me.ask("/latecomer")).text


# --- graphs that cannot run


def _recorded(name: str) -> list[str]:
    """What a real server's answer to this graph names: classes, inputs, limits."""
    entries = [json.loads(line) for line in (TRANSCRIPTS / "B_validation_errors.jsonl").read_text().splitlines()]
    at = next(n for n, entry in enumerate(entries) if entry.get("note") == f"{name}.json")
    answer = entries[at + 1]["response"]
    told = [word for word in ("NoSuchNode", "no output") if word in answer["error"]["message"]]
    for report in answer["node_errors"].values():
        told.append(report["class_type"])
        told += [error["extra_info"]["input_name"] for error in report["errors"]]
        told += [str(error["extra_info"].get("received_value", "")) for error in report["errors"]]
    return told


@pytest.mark.parametrize("name", BAD)
async def test_an_invalid_graph_fails_with_what_a_real_server_says_about_it(bare: Here, name: str) -> None:
    async with guest(bare.url) as me:
        failed = await me.ask(f"/{name}")
        text = sentences(failed)
        assert "It did not work" in text
        assert "Nothing was charged" in text
        for word in _recorded(name):
            # That a checkpoint is missing is said in people's words.
            assert word in text or word in ("CheckpointLoaderSimple", "ckpt_name")
        assert await _open_orders(me) == 0
        assert (await me.ask("/png_one_tiny")).media


async def test_a_node_that_raises_fails_with_its_title_and_its_own_words(bare: Here) -> None:
    entries = [json.loads(line) for line in (TRANSCRIPTS / "C_execution_errors.jsonl").read_text().splitlines()]
    error = next(e["msg"]["data"] for e in entries if e.get("msg", {}).get("type") == "execution_error")
    async with guest(bare.url) as me:
        text = sentences(await me.ask("/fail_exec"))
        assert f"{error['node_type']} (Bad regex): {error['exception_message'].strip()}" in text
        assert "Nothing was charged" in text
        assert await _open_orders(me) == 0


async def _open_orders(me: Guest) -> int:
    payloads = (await me.ask("/status")).buttons.values()
    return sum(payload.endswith(".cancel") for payload in payloads)


# --- while it runs


async def test_progress_and_previews_arrive_and_the_card_becomes_the_result(here: Here) -> None:
    for _ in range(5):  # the picture takes two looks at the card, and the first may come before its first preview
        async with guest(here.url) as me:
            done = await me.ask("/make a lighthouse at dusk --steps 48 --width 1536 --height 1536")
            assert len(done.looks) > 2
            assert [plain for plain in map(str, (look["html"] for look in done.looks)) if "%" in plain]
            assert [each.key for each in me.heard] == [done.key], "one message from first to last"
        if done.previews:
            break
    assert done.previews, "a preview was shown"
    assert all(each["src"].startswith("data:image/") for each in done.previews)


async def test_a_running_job_is_cancelled_by_its_button(here: Here) -> None:
    async with guest(here.url) as me:
        card = await me.card("/endless")
        await me.until(lambda: "%" in card.text)
        await me.press(card, "Cancel")
        await me.until(lambda: "Cancelled" in card.text)
        assert not card.is_open
        assert "cost nothing" in card.text
        assert not card.media
        assert await _open_orders(me) == 0


async def test_a_waiting_job_is_cancelled_before_it_begins(here: Here) -> None:
    async with guest(here.url) as busy, guest(here.url) as me:
        long = await busy.card("/endless")
        await busy.until(lambda: "%" in long.text)
        cards = [await me.card(f"/endless --seed {n}") for n in (5, 6, 7)]
        await me.until(lambda: all("place" in card.text for card in cards))
        for card in cards:
            await me.press(card, "Cancel")
        await me.until(lambda: all("Cancelled" in card.text for card in cards))
        assert not any("%" in str(look["html"]) for card in cards for look in card.looks), "none of them ever ran"
        assert long.is_open
        await busy.press(long, "Cancel")
        await busy.until(lambda: not long.is_open)


async def test_a_person_may_have_three_orders_open_and_each_that_ends_makes_room(here: Here) -> None:
    async with guest(here.url) as me:
        cards = [await me.card(f"/endless --seed {n}") for n in range(3)]
        text = sentences(await me.ask("/endless"))
        assert "3 orders open" in text
        assert await _open_orders(me) == 3
        for card in cards[1:]:
            await me.press(card, "Cancel")
        await me.until(lambda: not any(card.is_open for card in cards[1:]))
        another = await me.card("/png_one_tiny")
        await me.press(cards[0], "Cancel")
        await me.until(lambda: not cards[0].is_open and another.media)
        assert await _open_orders(me) == 0


# --- afterwards


async def test_the_last_five_runs_are_kept_and_again_repeats_the_last(here: Here) -> None:
    async with guest(here.url) as me:
        jobs = [(await me.ask(f"/png_one_tiny --seed {n}")).job for n in range(6)]
        assert await _last_runs(here, jobs[-1]) == jobs[:0:-1], "five, the latest first"
        before = set(me.messages)
        await me.say("/again")
        repeated = await me.answer(before)
        assert repeated.media
        assert repeated.job not in jobs
        info = set(me.messages)
        await me.press(repeated, "Info")
        assert f"job {repeated.job}" in (await me.answer(info)).text


async def _last_runs(here: Here, job: str) -> list[str]:
    """Of the person whose job this is."""
    record = await here.runtime.store.get(JOBS, job)
    assert record is not None
    return list((await session_of(here.runtime.store, record.person)).runs)


async def test_a_result_is_shown_with_live_buttons_in_another_chat(here: Here) -> None:
    async with guest(here.url) as me, guest(here.url, token=OPERATORS) as operator:
        mine = await me.ask("/png_one_tiny")
        shown = await operator.ask(f"/show {mine.job}")
        assert await operator.bytes_of(shown.media[0]) == await me.bytes_of(mine.media[0])
        before = set(operator.messages)
        await operator.press(shown, "Again")
        assert (await operator.answer(before)).media


async def test_who_is_not_its_person_may_repeat_a_job_but_neither_see_nor_hide_it(here: Here) -> None:
    async with guest(here.url) as me, guest(here.url) as other:
        mine = await me.ask("/png_one_tiny")
        assert "Only the person who asked" in sentences(await other.ask(f"/show {mine.job}"))
        for label, word in (("Hide", "Only the person who asked"), ("Info", mine.job), ("Again", "Png one tiny")):
            before = set(other.messages)
            await other.press(mine, label)
            assert word in (await other.answer(before)).text
        assert mine.media


async def test_everything_is_there_for_who_comes_back(here: Here) -> None:
    async with guest(here.url) as me:
        done = await me.ask("/png_one_tiny")
        waiting = await me.card("/png_one")
    await asyncio.sleep(0)
    async with guest(here.url, me.cookie) as me:
        assert me.messages[done.key].media == done.media
        assert await me.until(lambda: me.messages[waiting.key].media)
