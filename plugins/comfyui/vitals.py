"""How a server is: what it can run, how long its queue is, whether it answers."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from chatelier import Clock, Description, Unavailable, in_time

from .api import Api, Classes
from .settings import ServerSettings

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

CLASSES_SECONDS = 60.0
"""How long what `/object_info` said is used again: it is 350 KB for a fresh server, and changes when somebody installs something."""

ASK_SECONDS = 3.0
"""How long an answer shows that the server is well. In between its events tell how long the queue is; a frozen one tells nothing,
and keeps its socket open."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What changes rarely."""

    classes: Classes
    memory: int
    detail: str


class Vitals:
    """live: whether the server's events come in now."""

    def __init__(self, api: Api, settings: ServerSettings, clock: Clock, live: Callable[[], bool]) -> None:
        self._api = api
        self._settings = settings
        self._clock = clock
        self._live = live
        self._load = 0
        self._answered = float("-inf")
        self._known: _Known | None = None
        self._learning = asyncio.Lock()
        self._doubted = asyncio.Event()

    def hear(self, data: Mapping[str, Any]) -> None:
        """A `status` event: the queue became longer or shorter, by whomever."""
        match data:
            case {"status": {"exec_info": {"queue_remaining": int(remaining)}}}:
                self._load = remaining

    def doubt(self) -> None:
        """It may be another server than before: ask for everything anew."""
        self._answered = float("-inf")
        self._doubted.set()

    async def keep(self) -> None:
        """Learn anew what changes rarely, until cancelled. What was known stays known when that fails."""
        while True:
            with suppress(TimeoutError):
                await in_time(self._doubted.wait(), self._clock.sleep(CLASSES_SECONDS))
            self._doubted.clear()
            try:
                if self._known is not None:
                    await self._learn()
            except Unavailable as away:
                log.debug("node classes not read anew", server=self._settings.called, reason=str(away))

    async def describe(self) -> Description:
        """Cheap enough to be asked for every second. Raises Unavailable."""
        if not self._live() or self._clock.monotonic() - self._answered >= ASK_SECONDS:
            self._load = await self._api.load()
            self._answered = self._clock.monotonic()
        known, running = await self._what_it_can(), min(self._load, 1)
        return Description(
            classes=known.classes,
            waiting=self._load - running,
            running=running,
            places=self._settings.places,
            memory=known.memory,
            tags=self._settings.tags,
            weight=self._settings.weight,
            detail=known.detail,
        )

    async def classes(self) -> Classes:
        """Raises Unavailable when they are not known yet, and it does not answer."""
        return (await self._what_it_can()).classes

    async def _what_it_can(self) -> _Known:
        async with self._learning:
            return self._known or await self._learn()

    async def _learn(self) -> _Known:
        classes, stats = await self._api.classes(), await self._api.stats()
        self._known = _Known(classes, stats.memory, stats.line)
        return self._known
