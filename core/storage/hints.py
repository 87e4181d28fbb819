"""Hints that something moved: how `Store.changes` wakes those who wait."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

from ..clock import Clock
from ..errors import OperatorMust, Unavailable
from .records import Kind

LOOK_SECONDS = 0.25


class Hints:
    """What moved in one open store, by the name of its kind.

    look: asks the engine whether another process wrote, and calls `moved`; it is asked every `LOOK_SECONDS` while somebody
    waits. Everything here belongs to the event loop's thread.
    """

    def __init__(self, clock: Clock, look: Callable[[], Awaitable[None]] | None = None) -> None:
        self.clock = clock
        self._look = look
        self._moves: dict[str, int] = {}
        self._waiting: dict[asyncio.Future[None], tuple[str, ...]] = {}
        self._looked_at = float("-inf")

    def moved(self, names: Iterable[str], inserted: Iterable[str]) -> None:
        """inserted: those of them that have new records."""
        moved = {*names, *map(_new, inserted)}
        for name in moved:
            self._moves[name] = self._moves.get(name, 0) + 1
        for waiter, watched in self._waiting.items():
            if not waiter.done() and not moved.isdisjoint(watched):
                waiter.set_result(None)

    def watch(self, kinds: Iterable[Kind[Any]], *, inserted: bool) -> "Watch":
        return Watch(self, tuple(_new(kind.name) if inserted else kind.name for kind in kinds))

    def count(self, names: Iterable[str]) -> int:
        return sum(self._moves.get(name, 0) for name in names)

    async def look(self) -> None:
        """Once in a while, however many wait. A store that cannot be asked has moved nothing; whoever uses it next hears why."""
        now = self.clock.monotonic()
        if self._look is not None and now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            with suppress(Unavailable, OperatorMust):
                await self._look()

    async def pause(self, names: tuple[str, ...], seconds: float) -> None:
        """Until something of these kinds moves, it is time to look again, or the seconds are over."""
        sleep = self.clock.sleep(seconds if self._look is None else min(seconds, LOOK_SECONDS))
        sleeper = asyncio.ensure_future(sleep)
        waiter = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = names
        try:
            await asyncio.wait({sleeper, waiter}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._waiting[waiter]
            sleeper.cancel()


def _new(name: str) -> str:
    """What new records of a kind are hinted at by."""
    return f"{name} inserted"


class Watch:
    """The hints of some kinds, from when it was made."""

    def __init__(self, hints: Hints, names: tuple[str, ...]) -> None:
        self._hints = hints
        self._names = names
        self._seen = hints.count(names)

    async def wait(self, seconds: float) -> bool:
        deadline = self._hints.clock.monotonic() + seconds
        while True:
            await self._hints.look()
            count = self._hints.count(self._names)
            if count != self._seen:
                self._seen = count
                return True
            rest = deadline - self._hints.clock.monotonic()
            if rest <= 0:
                return False
            await self._hints.pause(self._names, rest)
