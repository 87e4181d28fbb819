"""The backends of this project as the conformance suite wants them: in memory, in the process, and over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn

from chatelier import Attempt, Backend, Ended, Graph
from chatelier.plugins.comfyui.server import ComfyServer
from chatelier.plugins.comfyui.settings import ServerSettings
from chatelier.plugins.sketch.backend import SketchBackend
from chatelier.plugins.sketch.models import Models
from chatelier.plugins.sketch.server import create_app
from chatelier.plugins.sketch.serving import listener
from chatelier.plugins.sketch.settings import SketchSettings
from chatelier.testing import Bench, FakeBackend
from comfyui import FAST
from sketching import node, text_to_image, tiny

MANY = 4096
"""Pictures in a batch, which take longer than any check; a cancel is seen between any two of them."""


class Running:
    """`run` of a backend, which can be stopped and started again."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.start()

    def start(self) -> None:
        self._task = asyncio.create_task(self.backend.run())

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


class OnFake:
    outlives = True

    def __init__(self, backend: FakeBackend) -> None:
        self.backend = backend
        backend.before_submit = self._before_submit

    async def _before_submit(self, attempt: Attempt) -> None:
        self.backend.hold = attempt.graph["1"]["inputs"]["text"] != "quick"
        self.backend.after_submit = self._after_submit

    def _after_submit(self, attempt: Attempt) -> None:
        if attempt.graph["1"]["inputs"]["text"] == "failing":
            self.backend.finish(attempt.id, Ended(state="failed", words="FakeImage: it went wrong."))

    def quick(self) -> Graph:
        return {"1": {"class_type": "FakeImage", "inputs": {"text": "quick", "seed": 1}}}

    def slow(self) -> Graph:
        return {"1": {"class_type": "FakeImage", "inputs": {"text": "slow", "seed": 1}}}

    def with_file(self, file: str) -> Graph:
        return {"1": {"class_type": "FakeImage", "inputs": {"text": "quick", "seed": 1, "image": file}}}

    def failing(self) -> Graph:
        return {"1": {"class_type": "FakeImage", "inputs": {"text": "failing", "seed": 1}}}

    @asynccontextmanager
    async def elsewhere(self) -> AsyncIterator[Backend]:
        other = FakeBackend(self.backend.name)
        other.runs = self.backend.runs
        yield other

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        self.backend.down = True
        yield
        self.backend.down = False


class Sketching:
    """Graphs of a sketch, wherever it runs."""

    def quick(self) -> dict[str, Any]:
        return tiny()

    def slow(self) -> dict[str, Any]:
        return text_to_image(side=128, batch=MANY)

    def with_file(self, file: str) -> dict[str, Any]:
        return {
            "1": node("LoadImage", image=file),
            "2": node("SaveImage", images=["1", 0], filename_prefix="file"),
        }

    def failing(self) -> dict[str, Any]:
        broken = {"case_insensitive": True, "multiline": False, "dotall": False, "count": 0}
        return tiny() | {
            "4": node("RegexReplace", string="abc", regex_pattern="(", replace="x", **broken),
            "5": node("PreviewAny", source=["4", 0]),
        }


class OnSketch(Sketching):
    outlives = False

    def __init__(self, root: Path, settings: SketchSettings) -> None:
        self._root = root
        self._settings = settings
        self.backend = SketchBackend(root, settings)
        self.running = Running(self.backend)

    @asynccontextmanager
    async def elsewhere(self) -> AsyncIterator[Backend]:
        other = OnSketch(self._root, self._settings)
        try:
            yield other.backend
        finally:
            await other.running.stop()

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        await self.running.stop()
        yield
        self.running.start()


class OnComfy(Sketching):
    outlives = True

    def __init__(self, root: Path, models: Models | None) -> None:
        self._root = root
        self._models = models
        self.port = 0
        self.backend: ComfyServer

    async def serve(self) -> None:
        listening = listener("127.0.0.1", self.port)
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(
            create_app(self._root, models=self._models),
            log_level="critical",
            ws="websockets-sansio",
            lifespan="on",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))

    async def stop(self) -> None:
        self._server.should_exit = True
        await self._serving

    def known(self) -> ComfyServer:
        return ComfyServer(ServerSettings(url=f"http://127.0.0.1:{self.port}"), pace=FAST)

    @asynccontextmanager
    async def elsewhere(self) -> AsyncIterator[Backend]:
        running = Running(self.known())
        try:
            yield running.backend
        finally:
            await running.stop()

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        await self.stop()
        yield
        await self.serve()


@asynccontextmanager
async def on_fake(_: Path, backend: FakeBackend | None = None) -> AsyncIterator[Bench]:
    backend = backend or FakeBackend()
    running = Running(backend)
    try:
        yield OnFake(backend)
    finally:
        await running.stop()


@asynccontextmanager
async def on_sketch(root: Path, settings: SketchSettings | None = None) -> AsyncIterator[Bench]:
    bench = OnSketch(root, settings or SketchSettings())
    try:
        yield bench
    finally:
        await bench.running.stop()


@asynccontextmanager
async def on_comfy(root: Path, models: Models | None = None) -> AsyncIterator[Bench]:
    bench = OnComfy(root, models)
    await bench.serve()
    bench.backend = bench.known()
    running = Running(bench.backend)
    try:
        yield bench
    finally:
        await running.stop()
        await bench.stop()
