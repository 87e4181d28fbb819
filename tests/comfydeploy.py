"""Attempts for a ComfyDeploy account, and accounts that do not make tests wait."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette

from chatelier import Attempt, Blob, Clock, Ended, Graph, Progress
from chatelier.core.http.server import serve
from chatelier.plugins.comfydeploy.account import Account, Pace
from chatelier.plugins.comfydeploy.hooks import route
from chatelier.plugins.comfydeploy.settings import ComfyDeploySettings
from peers.comfydeploy import KEY, DeployPeer

CLASS = "ComfyDeploy:wf-portrait"
FAST = Pace(describe_seconds=0.0, settle_seconds=0.02, doubt_seconds=0.1, give_up_seconds=0.3, look_seconds=1.0)
POLL_SECONDS = 0.05
NEVER_SECONDS = 300.0
"""Between two polls where only a webhook may tell."""


def portrait(prompt: str = "quick", **inputs: Any) -> dict[str, Any]:
    return {"1": {"class_type": CLASS, "inputs": {"prompt": prompt, **inputs}, "_meta": {"title": "Portrait Studio"}}}


def attempt(graph: Graph | None = None, *, files: Mapping[str, bytes] | None = None, remote: str = "") -> Attempt:
    contents = {hashlib.sha256(data).hexdigest(): data for data in (files or {}).values()}
    blobs = {name: _blob(data) for name, data in (files or {}).items()}

    async def read(blob: Blob) -> AsyncIterator[bytes]:
        yield contents[blob.sha256][:4]
        yield contents[blob.sha256][4:]

    return Attempt(id=str(uuid.uuid4()), graph=graph or portrait(), files=blobs, read=read, remote=remote)


def _blob(data: bytes) -> Blob:
    return Blob(sha256=hashlib.sha256(data).hexdigest(), size=len(data), mime="image/png", kind="image")


def again(one: Attempt, remote: str) -> Attempt:
    """As the core hands it back."""
    return Attempt(id=one.id, graph=one.graph, files=one.files, read=one.read, remote=remote)


def account(
    peer: DeployPeer, *, pace: Pace = FAST, public_url: str = "", clock: Clock | None = None, **settings: Any
) -> Account:
    declared = {"api_key": KEY, "base_url": peer.url, "poll_seconds": POLL_SECONDS, **settings}
    return Account(ComfyDeploySettings.model_validate(declared), pace=pace, public_url=public_url, clock=clock)


@asynccontextmanager
async def serving(
    peer: DeployPeer, *, pace: Pace = FAST, public_url: str = "", **settings: Any
) -> AsyncIterator[Account]:
    """An account whose `run` is under way."""
    one = account(peer, pace=pace, public_url=public_url, **settings)
    running = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def hooked(peer: DeployPeer, **settings: Any) -> AsyncIterator[Account]:
    """An account that webhooks reach, on a port of its own."""
    app = Starlette()
    async with serve(app, "127.0.0.1", 0) as address, serving(peer, public_url=address.url, **settings) as one:
        app.router.routes.append(route(one.hooks, one.heard))
        yield one


async def watched(one: Account, made: Attempt) -> tuple[list[Progress], Ended]:
    """All that `watch` tells; the end is the last of it."""
    async with asyncio.timeout(10):
        items = [item async for item in one.watch(made)]
    assert isinstance(items[-1], Ended)
    return [item for item in items if isinstance(item, Progress)], items[-1]


async def submitted(one: Account, made: Attempt) -> tuple[Attempt, Ended]:
    remote = await one.submit(made)
    _, ended = await watched(one, again(made, remote))
    return again(made, remote), ended


async def fetched(one: Account, made: Attempt, ended: Ended, n: int = 0) -> bytes:
    return b"".join([piece async for piece in one.fetch(made, ended.outputs[n])])
