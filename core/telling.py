"""What plugins are told after the fact: at most once, through a bounded queue for each, so that none holds up the gateway or another."""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .log import get_logger
from .plugins import Plugins

log = get_logger(__name__)

SECONDS = 5.0
"""Until a plugin that is told something counts as failed; the next thing is told then."""
MOST = 1_000
"""Things that wait for one plugin. The oldest is dropped for one more."""


@dataclass(slots=True)
class Ear:
    """What one plugin is still to be told: hooks with their arguments."""

    waiting: deque[tuple[str, Mapping[str, Any]]] = field(default_factory=deque)
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class Telling:
    """lost: how many things each plugin was never told, because it was too slow."""

    def __init__(self, plugins: Plugins, *, seconds: float = SECONDS, most: int = MOST) -> None:
        self._plugins = plugins
        self._seconds = seconds
        self._most = most
        self._ears = {info.name: Ear() for info in plugins.loaded}
        self._lost: Counter[str] = Counter()

    @property
    def lost(self) -> Mapping[str, int]:
        return MappingProxyType(self._lost)

    def tell(self, hook: str, **arguments: Any) -> None:
        """Returns at once, and never raises."""
        for plugin in self._plugins.implementers(hook):
            ear = self._ears[plugin]
            if len(ear.waiting) >= self._most:
                ear.waiting.popleft()
                self._lost[plugin] += 1
                if self._lost[plugin] == 1:
                    log.warning("plugin is told less: it is too slow", plugin=plugin, hook=hook)
            ear.waiting.append((hook, arguments))
            ear.woken.set()

    async def run(self) -> None:
        """Tell each plugin what waits for it, in order, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for plugin, ear in self._ears.items():
                tasks.create_task(self._serve(plugin, ear), name=f"telling {plugin}")

    async def _serve(self, plugin: str, ear: Ear) -> None:
        while True:
            while ear.waiting:
                hook, arguments = ear.waiting.popleft()
                await self._plugins.ask(plugin, hook, seconds=self._seconds, **arguments)
            ear.woken.clear()
            await ear.woken.wait()
