"""Attempts for ComfyUI servers, and servers that do not make tests wait."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chatelier import Attempt, Blob, Clock, Ended, Graph, Progress
from chatelier.plugins.comfyui.server import ComfyServer, Pace
from chatelier.plugins.comfyui.settings import ServerSettings
from peers.comfyui import ComfyPeer

TRANSCRIPTS = Path(__file__).parent / "data" / "comfyui"
FAST = Pace(
    first_seconds=0.05,
    update_seconds=0.001,
    silence_seconds=0.15,
    poll_seconds=0.05,
    settle_seconds=0.02,
    give_up_seconds=0.3,
    first_reconnect_seconds=0.01,
    longest_reconnect_seconds=0.05,
    look_seconds=1.5,
)


def attempt(
    graph: Graph | None = None, *, files: Mapping[str, bytes] | None = None, remote: str = "", key: str = ""
) -> Attempt:
    key = key or str(uuid.uuid4())
    contents = {hashlib.sha256(data).hexdigest(): data for data in (files or {}).values()}
    blobs = {name: _blob(data) for name, data in (files or {}).items()}

    async def read(blob: Blob) -> AsyncIterator[bytes]:
        yield contents[blob.sha256][:4]
        yield contents[blob.sha256][4:]

    return Attempt(id=key, remote=remote, graph=graph or saving(key), files=blobs, read=read)


def _blob(data: bytes) -> Blob:
    return Blob(sha256=hashlib.sha256(data).hexdigest(), size=len(data), mime="image/png", kind="image")


def saving(key: str) -> dict[str, dict[str, Any]]:
    """Two nodes; the second saves under the attempt's own name."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "batch_size": 1}, "_meta": {"title": "Canvas"}},
        "2": {
            "class_type": "SaveImage",
            "inputs": {"images": ["1", 0], "filename_prefix": f"chatelier/2026-11-22/{key}"},
        },
    }


def server(peer: ComfyPeer, pace: Pace = FAST, clock: Clock | None = None, **settings: Any) -> ComfyServer:
    return ComfyServer(ServerSettings(url=peer.url, **settings), pace=pace, clock=clock)


@asynccontextmanager
async def serving(
    peer: ComfyPeer, pace: Pace = FAST, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[ComfyServer]:
    """A server that runs, with its socket open."""
    comfy = server(peer, pace, clock, **settings)
    running = asyncio.create_task(comfy.run())
    try:
        await peer.connected.wait()
        yield comfy
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def watched(comfy: ComfyServer, made: Attempt) -> tuple[list[Progress], Ended]:
    """All that `watch` tells; the end is the last of it."""
    items = [item async for item in comfy.watch(made)]
    assert isinstance(items[-1], Ended)
    return [item for item in items if isinstance(item, Progress)], items[-1]


async def submitted(comfy: ComfyServer, made: Attempt) -> tuple[list[Progress], Ended]:
    async with asyncio.timeout(10):
        await comfy.submit(made)
        return await watched(comfy, made)


async def fetched(comfy: ComfyServer, made: Attempt, n: int, ended: Ended) -> bytes:
    return b"".join([chunk async for chunk in comfy.fetch(made, ended.outputs[n])])
