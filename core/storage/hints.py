"""Hints that something moved: how `Store.changes` wakes those who wait."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from ..clock import Clock
from ..errors import OperatorMust, Unavailable
from .records import Kind, Record

LOOK_SECONDS = 0.25
MOST_FRESH = 1_000
"""New records that are kept for who asks for them; of more there is only the hint."""


class Hints:
    """What moved in one open store, by the name of its kind.

    look: asks the engine whether another process wrote, and calls `moved_elsewhere`; it is asked every `LOOK_SECONDS` while
    somebody waits. Everything here belongs to the event loop's thread.
    """

    def __init__(self, clock: Clock, look: Callable[[], Awaitable[None]] | None = None) -> None:
        self.clock = clock
        self._look = look
        self._moves: dict[str, int] = {}
        self._waiting: dict[asyncio.Event, frozenset[str]] = {}
        self._watches: WeakSet[Watch] = WeakSet()
        self._looked_at = float("-inf")

    def moved(self, names: Collection[str]) -> None:
        """Records of these kinds are others now."""
        for name in names:
            self._moves[name] = self._moves.get(name, 0) + 1
        for woken, watched in self._waiting.items():
            if not (woken.is_set() or watched.isdisjoint(names)):
                woken.set()

    def inserted(self, records: Sequence[tuple[str, Record]]) -> None:
        """These are new, each with the name of its kind, in the order of their commits; and they are durable."""
        names = {name for name, _ in records}
        for watch in self._watches if names else ():
            watch.note(records)
        self.moved([_new(name) for name in names])

    def moved_elsewhere(self, names: Collection[str]) -> None:
        """Another process may have done anything with these kinds."""
        for watch in self._watches:
            watch.lose(names)
        self.moved({*names, *map(_new, names)})

    def watch(self, kinds: Iterable[Kind[Any]], *, inserted: bool) -> "Watch":
        watch = Watch(self, tuple(kind.name for kind in kinds), inserted=inserted)
        if inserted:
            self._watches.add(watch)
        return watch

    def count(self, names: Iterable[str]) -> int:
        return sum(self._moves.get(name, 0) for name in names)

    async def look(self) -> None:
        """Once in a while, however many wait. A store that cannot be asked has moved nothing; whoever uses it next hears why."""
        now = self.clock.monotonic()
        if self._look is not None and now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            with suppress(Unavailable, OperatorMust):
                await self._look()

    async def pause(self, names: frozenset[str], seconds: float) -> None:
        """Until something of these kinds moves, it is time to look again, or the seconds are over."""
        woken = asyncio.Event()
        timer = self.clock.call_later(seconds if self._look is None else min(seconds, LOOK_SECONDS), woken.set)
        self._waiting[woken] = names
        try:
            await woken.wait()
        finally:
            del self._waiting[woken]
            timer.cancel()


def _new(name: str) -> str:
    """What new records of a kind are hinted at by."""
    return f"{name} inserted"


class Watch:
    """The hints of some kinds, from when it was made."""

    def __init__(self, hints: Hints, kinds: tuple[str, ...], *, inserted: bool) -> None:
        self._hints = hints
        self._kinds = kinds
        self._names = frozenset(map(_new, kinds) if inserted else kinds)
        self._seen = hints.count(self._names)
        self._fresh: list[Record] = []
        self._inserted = self._is_all = inserted

    def note(self, records: Iterable[tuple[str, Record]]) -> None:
        mine = [record for name, record in records if name in self._kinds]
        if len(self._fresh) + len(mine) > MOST_FRESH:
            self._is_all = False
        else:
            self._fresh += mine

    def lose(self, names: Collection[str]) -> None:
        if any(name in names for name in self._kinds):
            self._is_all = False

    def fresh(self) -> tuple[Sequence[Record], bool]:
        answer = self._fresh, self._is_all
        self._fresh, self._is_all = [], self._inserted
        return answer

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
