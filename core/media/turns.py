"""Turns at work that takes much memory or time: few at once, and not too many in the queue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..errors import BadInput
from . import words


class NotNow(BadInput):
    """It may be done another time."""


class Busy(NotNow):
    """Too many wait already."""


class Turns:
    """places: at work at once. most: in the queue, those who are patient not counted."""

    def __init__(self, places: int, most: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._most = most
        self._waiting = 0

    @asynccontextmanager
    async def take(self, *, patient: bool = False) -> AsyncIterator[None]:
        """patient: nobody looks on, so it waits however many do. Raises Busy."""
        if not patient and self._waiting >= self._most:
            raise Busy(words.BUSY)
        self._waiting += not patient
        try:
            await self._places.acquire()
        finally:
            self._waiting -= not patient
        try:
            yield
        finally:
            self._places.release()
