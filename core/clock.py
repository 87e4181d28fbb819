"""Time is passed in, so that tests turn it by hand."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


def to_millisecond(moment: datetime) -> datetime:
    """The same moment cut to the millisecond, which is what every store keeps."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class Clock(Protocol):
    """Wall time, elapsed time and sleep, all of one source."""

    def now(self) -> datetime:
        """Aware UTC, to the millisecond."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow; the zero means nothing."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return to_millisecond(datetime.now(UTC))

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
