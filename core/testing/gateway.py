"""A whole gateway in this process, made of parts that a test hands in."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from ..chat.platform import Platform
from ..clock import Clock, SystemClock
from ..commands.command import Command
from ..gateway import Runtime, open_runtime
from ..generation.backend import Backend
from ..hookspecs import hookimpl
from ..plugins import Plugins
from ..settings import Settings
from ..storage import Kind, Store
from ..workflows.workflow import Input, Loaded, Workflow
from .store import FakeStore

PICTURE = Workflow(
    name="make",
    version="0" * 16,
    title="Make",
    description="A picture from words.",
    category="text to image",
    graph={"1": {"class_type": "FakeImage", "inputs": {"text": "", "seed": 0}}},
    inputs=(
        Input(name="prompt", type="text", targets=(("1", "text"),), role="prompt", required=True),
        Input(
            name="seed",
            type="integer",
            targets=(("1", "seed"),),
            role="seed",
            default=-1,
            minimum=-1,
            maximum=2**32 - 1,
        ),
    ),
    outputs=("1",),
)
"""A workflow for `FakeBackend`."""


class _Source:
    name = "test"

    def __init__(self, workflows: Sequence[Workflow]) -> None:
        self._workflows = tuple(workflows)

    async def load(self) -> Loaded:
        return Loaded(workflows=self._workflows)

    async def changes(self) -> AsyncIterator[None]:
        return
        yield


class Parts:
    """A plugin that registers what it is given."""

    def __init__(
        self,
        platforms: Sequence[Platform] = (),
        backends: Sequence[Backend] = (),
        workflows: Sequence[Workflow] = (PICTURE,),
        commands: Sequence[Command] = (),
        store: Store | None = None,
    ) -> None:
        self._platforms = platforms
        self._backends = backends
        self._workflows = workflows
        self._commands = commands
        self._store = store

    @hookimpl
    def register_stores(self, register: Callable[[str, Any], None]) -> None:
        register("memory", self._open)

    def _open(self, url: str, kinds: Sequence[Kind[Any]], clock: Clock) -> AbstractAsyncContextManager[Store]:
        @asynccontextmanager
        async def shared() -> AsyncIterator[Store]:
            assert self._store is not None  # noqa: S101 - see the next line
            yield self._store

        return FakeStore(kinds, clock) if self._store is None else shared()

    @hookimpl
    def register_platforms(self, register: Callable[[Platform], None], settings: Settings) -> None:
        for platform in self._platforms:
            register(platform)

    @hookimpl
    def register_backends(self, register: Callable[[Backend], None], settings: Settings) -> None:
        for backend in self._backends:
            register(backend)

    @hookimpl
    def register_workflow_sources(self, register: Callable[[Any], None], settings: Settings) -> None:
        register(_Source(self._workflows))

    @hookimpl
    def register_commands(self, register: Callable[[Command], None], settings: Settings) -> None:
        for command in self._commands:
            register(command)


@asynccontextmanager
async def running(
    folder: Path,
    parts: Parts,
    *others: object,
    clock: Clock | None = None,
    settings: Mapping[str, Any] | None = None,
) -> AsyncIterator[Runtime]:
    """A gateway that serves for as long as the body runs. others: more plugins. settings: over the defaults."""
    plugins = Plugins()
    plugins.add(parts, "parts")
    for n, other in enumerate(others):
        plugins.add(other, f"other{n}")
    chosen = Settings.model_validate({"data_dir": folder, "store": "memory:", **(settings or {})})
    async with open_runtime(chosen, plugins, clock=clock or SystemClock()) as runtime, serving(runtime):
        yield runtime


@asynccontextmanager
async def serving(runtime: Runtime) -> AsyncIterator[None]:
    """Lets an open gateway serve for as long as the body runs."""
    stop, ready = asyncio.Event(), asyncio.Event()

    async def begun() -> None:
        ready.set()

    life = asyncio.create_task(runtime.serve(stop, begun))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({life, waiting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield
    finally:
        waiting.cancel()
        stop.set()
        await life
