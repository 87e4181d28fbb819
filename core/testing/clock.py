"""A clock that tests turn by hand."""

import asyncio
import heapq
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from ..clock import Timer, to_millisecond

START = datetime(2026, 1, 1, tzinfo=UTC)
SETTLING_TURNS = 50


@dataclass(slots=True, order=True)
class _Timer:
    at_us: int
    number: int
    call: Callable[[], object] = field(compare=False)
    context: Context = field(compare=False)
    is_over: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.is_over = True


class FakeClock:
    """Stands still until `advance`. Counts whole microseconds, so that three times 0.1 s is 0.3 s."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed_us = 0
        self._order = count()
        self._timers: list[_Timer] = []

    def now(self) -> datetime:
        return to_millisecond(self._start + timedelta(microseconds=self._elapsed_us))

    def monotonic(self) -> float:
        return self._elapsed_us / 1_000_000

    @property
    def sleepers(self) -> int:
        """How many tasks sleep on this clock, and how many calls wait for their moment."""
        return sum(not timer.is_over for timer in self._timers)

    def oversleep(self, seconds: float) -> None:
        """The machine was suspended: the time of day went on, and nothing else."""
        self._start += timedelta(seconds=seconds)

    def set_back(self, seconds: float) -> None:
        """The time of day was wrong and is set; nothing else notices."""
        self._start -= timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.Event()
        timer = self.call_later(seconds, woken.set)
        try:
            await woken.wait()
        finally:
            timer.cancel()

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        timer = _Timer(self._elapsed_us + _microseconds(seconds), next(self._order), call, copy_context())
        heapq.heappush(self._timers, timer)
        return timer

    async def advance(self, seconds: float) -> None:
        """Turn the clock; each sleeper wakes at its own moment, and tasks run before the next one wakes.

        Tasks that wait for a thread or a socket are not waited for.
        """
        end = self._elapsed_us + _microseconds(seconds)
        await settle()
        while self._timers and self._timers[0].at_us <= end:
            timer = heapq.heappop(self._timers)
            if timer.is_over:
                continue
            timer.cancel()
            self._elapsed_us = max(self._elapsed_us, timer.at_us)
            timer.context.run(timer.call)
            await settle()
        self._elapsed_us = end
        await settle()


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(SETTLING_TURNS):
        await asyncio.sleep(0)


def _microseconds(seconds: float) -> int:
    return max(1, round(seconds * 1_000_000)) if seconds > 0 else 0
