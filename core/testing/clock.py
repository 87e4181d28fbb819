"""A clock that tests turn by hand."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count

from ..clock import to_millisecond

START = datetime(2026, 1, 1, tzinfo=UTC)
SETTLING_TURNS = 50


class FakeClock:
    """Stands still until `advance`. Counts whole microseconds, so that three times 0.1 s is 0.3 s."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed_us = 0
        self._order = count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return to_millisecond(self._start + timedelta(microseconds=self._elapsed_us))

    def monotonic(self) -> float:
        return self._elapsed_us / 1_000_000

    @property
    def sleepers(self) -> int:
        """How many tasks sleep on this clock."""
        return sum(not future.done() for _, _, future in self._sleepers)

    def oversleep(self, seconds: float) -> None:
        """The machine was suspended: the time of day went on, and nothing else."""
        self._start += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_us + _microseconds(seconds), next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Turn the clock; each sleeper wakes at its own moment, and tasks run before the next one wakes.

        Tasks that wait for a thread or a socket are not waited for.
        """
        end = self._elapsed_us + _microseconds(seconds)
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self._elapsed_us = max(self._elapsed_us, at)
            future.set_result(None)
            await settle()
        self._elapsed_us = end
        await settle()


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(SETTLING_TURNS):
        await asyncio.sleep(0)


def _microseconds(seconds: float) -> int:
    return max(1, round(seconds * 1_000_000)) if seconds > 0 else 0
