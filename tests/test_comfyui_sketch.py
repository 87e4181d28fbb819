"""The backend `comfyui` against a faithful server: the sketch server of this project, and its faults."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image

from chatelier import Gone, Progress, Refused, Unavailable
from chatelier.plugins.comfyui.server import ComfyServer
from chatelier.plugins.comfyui.settings import ServerSettings
from chatelier.plugins.sketch.faults import parse
from chatelier.plugins.sketch.models import Models
from chatelier.plugins.sketch.server import create_app
from comfyui import FAST, attempt, fetched, submitted, watched
from peers.serving import PeerServer


@asynccontextmanager
async def sketch(root: Path, *faults: str, seconds: float = 0) -> AsyncIterator[ComfyServer]:
    """A backend whose server is a sketch server, with its socket open if the server has one."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    app = create_app(root, models=Models(), faults=parse(faults), seconds=seconds)
    config = uvicorn.Config(app, log_config=None, ws="websockets-sansio", timeout_graceful_shutdown=1)
    served = PeerServer(config)
    serving = asyncio.create_task(served.serve(sockets=[listening]))
    await served.up.wait()
    comfy = ComfyServer(ServerSettings(url=f"http://127.0.0.1:{listening.getsockname()[1]}"), pace=FAST)
    running = asyncio.create_task(comfy.run())
    try:
        yield comfy
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        served.should_exit = True
        await serving


def noise(name: str = "x", width: int = 64) -> dict[str, dict[str, Any]]:
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": width, "height": 48, "batch_size": 2, "color": 255}},
        "2": {"class_type": "ImageAddNoise", "inputs": {"image": ["1", 0], "seed": 7, "strength": 0.5}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": f"chatelier/d/{name}"}},
    }


async def test_a_picture_is_made_and_fetched(tmp_path: Path) -> None:
    async with sketch(tmp_path) as comfy:
        made = attempt(noise())
        _, ended = await submitted(comfy, made)
        assert ended.state == "done"
        sizes = [Image.open(BytesIO(await fetched(comfy, made, n, ended))).size for n in (0, 1)]
        assert len((await comfy.describe()).classes) > 10
        assert await comfy.find(made) == "ended"
    assert sizes == [(64, 48), (64, 48)]
    assert ended.started_at is not None
    assert ended.ended_at is not None
    assert ended.started_at <= ended.ended_at


def clean_away(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            file.unlink()


async def test_a_cached_file_that_was_cleaned_away_is_made_anew_once_the_cache_is_freed(tmp_path: Path) -> None:
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 255}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    async with sketch(tmp_path) as comfy:
        await submitted(comfy, attempt(graph))
        clean_away(tmp_path / "temp")
        cached = attempt(graph)
        _, ended = await submitted(comfy, cached)
        with pytest.raises(Gone):
            await fetched(comfy, cached, 0, ended)
        await comfy.free()
        anew = attempt(graph)
        _, ended = await submitted(comfy, anew)
        assert await fetched(comfy, anew, 0, ended)


async def test_a_picture_of_ours_is_sent_and_worked_on(tmp_path: Path) -> None:
    file = BytesIO()
    Image.new("RGB", (20, 10), (255, 0, 0)).save(file, "PNG")
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "file:red"}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "chatelier/d/y"}},
    }
    async with sketch(tmp_path) as comfy:
        made = attempt(graph, files={"file:red": file.getvalue()})
        _, ended = await submitted(comfy, made)
        picture = Image.open(BytesIO(await fetched(comfy, made, 0, ended)))
    assert picture.convert("RGB").getpixel((3, 3)) == (0, 255, 255)


async def test_a_graph_with_faults_is_refused_in_words(tmp_path: Path) -> None:
    graph = {**noise(width=0), "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "z"}}}
    async with sketch(tmp_path) as comfy:
        with pytest.raises(Refused, match="at least"):
            await comfy.submit(attempt(graph))
        with pytest.raises(Refused, match="NoSuchNode"):
            await comfy.submit(attempt({"1": {"class_type": "NoSuchNode", "inputs": {}}}))


async def test_a_failing_node_ends_the_job_in_words(tmp_path: Path) -> None:
    async with sketch(tmp_path, "error:ImageAddNoise") as comfy:
        _, ended = await submitted(comfy, attempt(noise()))
    assert ended.state == "failed"
    assert ended.words.startswith("ImageAddNoise")


@pytest.mark.parametrize("fault", ["drop-socket", "late-history:0.2"])
async def test_faults_on_the_way_cost_nothing(tmp_path: Path, fault: str) -> None:
    async with sketch(tmp_path, fault) as comfy:
        for number in range(3):
            made = attempt(noise(str(number)))
            _, ended = await submitted(comfy, made)
            assert ended.state == "done"
            assert await fetched(comfy, made, 1, ended)


@pytest.mark.parametrize("fault", ["lost-cancel", "slow:0.05"])
async def test_a_cancel_comes_through(tmp_path: Path, fault: str) -> None:
    async with sketch(tmp_path, fault, seconds=30) as comfy:
        graph = {
            "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sketch.safetensors"}},
            "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "a red fox"}},
            "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
            "4": {
                "class_type": "KSampler",
                "inputs": {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["3", 0], "seed": 1,
                           "steps": 20, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0},
            },
            "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
            "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "c"}},
        }  # fmt: skip
        made = attempt(graph)
        async with asyncio.timeout(20):
            await comfy.submit(made)
            watching = comfy.watch(made)
            async for item in watching:
                if isinstance(item, Progress) and item.phase == "running":
                    break
            await comfy.cancel(made)
            _, ended = await watched(comfy, made)
        await watching.aclose()  # type: ignore[attr-defined] # an async generator
    assert ended.state == "cancelled"


async def test_a_server_that_answers_garbage_is_unavailable(tmp_path: Path) -> None:
    async with sketch(tmp_path, "garbage") as comfy:
        with pytest.raises(Unavailable):
            await comfy.describe()


SMALL = {"1": {"class_type": "EmptyImage", "inputs": {"width": 900, "height": 1000, "batch_size": 1, "color": 255}}}
BIG = {"1": {"class_type": "EmptyImage", "inputs": {"width": 900, "height": 1000, "batch_size": 2, "color": 255}}}
SAVED = {"2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "chatelier/d/m"}}}


async def test_what_is_too_large_for_its_memory_may_fit_another_server(tmp_path: Path) -> None:
    async with sketch(tmp_path / "one", "memory:1") as one, sketch(tmp_path / "two", "memory:2") as two:
        assert [(await each.describe()).memory for each in (one, two)] == [10**9, 2 * 10**9]
        _, small = await submitted(one, attempt(SMALL | SAVED))
        _, big = await submitted(one, attempt(BIG | SAVED))
        _, there = await submitted(two, attempt(BIG | SAVED))
    assert (small.state, there.state) == ("done", "done")
    assert (big.state, big.transient, big.out_of_memory) == ("failed", True, True)
    assert "out of memory" in big.words


async def test_a_server_whose_memory_is_full_works_again_when_it_let_go(tmp_path: Path) -> None:
    async with sketch(tmp_path, "full-memory") as comfy:
        for _ in range(2):
            _, full = await submitted(comfy, attempt(noise()))
            assert (full.state, full.out_of_memory) == ("failed", True)
        await comfy.free()
        _, ended = await submitted(comfy, attempt(noise()))
        assert ended.state == "done"
        assert (await comfy.describe()).memory == 0
