"""Time is passed in, so that tests turn it by hand."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


def to_millisecond(moment: datetime) -> datetime:
    """The same moment cut to the millisecond, which is what every store keeps."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class Timer(Protocol):
    """Something that will be called."""

    def cancel(self) -> None:
        """Harmless when it was called already."""
        ...


class Clock(Protocol):
    """Wall time, elapsed time, sleep and timers, all of one source."""

    def now(self) -> datetime:
        """Aware UTC, to the millisecond."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow; the zero means nothing."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Call it then, on the event loop. A tenth of what a task costs that sleeps."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, call)
