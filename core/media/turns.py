"""Turns at work that takes much memory or time: few at once, and not too many in the queue."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..errors import BadInput
from . import words

PATIENT = ""
"""Who asks for a turn in nobody's name."""


class NotNow(BadInput):
    """It may be done another time."""


class Busy(NotNow):
    """Too many wait already."""


class Turns:
    """places: at work at once. most: in the queue, those who are patient not counted. each: of one person, at work and in the queue."""

    def __init__(self, places: int, most: int, each: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._most = most
        self._each = each
        self._waiting = 0
        self._people: Counter[str] = Counter()

    @asynccontextmanager
    async def take(self, who: str) -> AsyncIterator[None]:
        """who: a person's key; or `PATIENT`, who waits however many do, since nobody looks on. Raises Busy."""
        if who == PATIENT:
            async with self._places:
                yield
            return
        if self._people[who] >= self._each:
            raise Busy(words.wait_for_yours(self._each))
        if self._waiting >= self._most:
            raise Busy(words.BUSY)
        self._people[who] += 1
        try:
            self._waiting += 1
            try:
                await self._places.acquire()
            finally:
                self._waiting -= 1
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._people[who] -= 1
            self._people += Counter()  # without those who have none
