"""Hints that something moved: how `Store.changes` wakes those who wait."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from ..clock import Clock, Timer
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
        self._waiting: dict[asyncio.Future[None], frozenset[str]] = {}
        self._watches: dict[str, WeakSet[Watch]] = {}
        self._looked_at = float("-inf")
        self._alarm: Timer | None = None
        self._alarm_at = float("inf")

    def moved(self, names: Collection[str]) -> None:
        """Records of these kinds are others now."""
        for name in names:
            self._moves[name] = self._moves.get(name, 0) + 1
        for woken, watched in self._waiting.items():
            if not (woken.done() or watched.isdisjoint(names)):
                woken.set_result(None)

    def inserted(self, records: Sequence[tuple[str, Record]]) -> None:
        """These are new, each with the name of its kind, in the order of their commits; and they are durable."""
        names = {name for name, _ in records}
        for watch in {watch for name in names & self._watches.keys() for watch in self._watches[name]}:
            watch.note(records)
        self.moved([_new(name) for name in names])

    def moved_elsewhere(self, names: Collection[str]) -> None:
        """Another process may have done anything with these kinds."""
        for name in self._watches.keys() & names:
            for watch in self._watches[name]:
                watch.lose()
        self.moved({*names, *map(_new, names)})

    def watch(self, kinds: Iterable[Kind[Any]], *, inserted: bool) -> "Watch":
        names = tuple(kind.name for kind in kinds)
        watch = Watch(self, names, inserted=inserted)
        for name in names if inserted else ():
            self._watches.setdefault(name, WeakSet()).add(watch)
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
        woken = asyncio.get_running_loop().create_future()
        self._waiting[woken] = names
        self._set_alarm(seconds if self._look is None else min(seconds, LOOK_SECONDS))
        try:
            await woken
        finally:
            del self._waiting[woken]
            if not self._waiting:
                self._stop_alarm()

    def _set_alarm(self, seconds: float) -> None:
        """One timer for all: it wakes whoever waits, and who came for a later moment waits on."""
        at = self.clock.monotonic() + seconds
        if at < self._alarm_at:
            self._stop_alarm()
            self._alarm, self._alarm_at = self.clock.call_later(seconds, self._ring), at

    def _ring(self) -> None:
        self._stop_alarm()
        for woken in self._waiting:
            if not woken.done():
                woken.set_result(None)

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_at = None, float("inf")


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

    def lose(self) -> None:
        """Others may be new that nobody here knows of."""
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
