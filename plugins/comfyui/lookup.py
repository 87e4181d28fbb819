"""Where a job is, by what the server has: its queue and its history, or `/api/jobs` where the server has that."""

import asyncio

from chatelier import Clock, Progress, Unavailable

from .api import Api, NoRoute
from .wire import Finished, Queue

GLANCE_SECONDS = 0.5
"""How old a look at the queue may be that tells a place in it: each carries the graphs of all that wait, and many watch at once."""


class Lookup:
    """Newer servers are known by what they answer: each route is tried once, and again after a new connection."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._queue = Queue()
        self._away: Unavailable | None = None
        self._asking = asyncio.Lock()
        self.doubt()

    def doubt(self) -> None:
        """It may be another server than before."""
        self._tells = self._stops = True
        self._asked = float("-inf")

    async def look(self, key: str, *, since: float | None = None) -> Progress | Finished | None:
        """None when it is nowhere. since: by the clock; a queue that was asked for then or later is new enough. Raises Unavailable.

        The queue first: a job goes from there into the history, so that it cannot slip through between the two.
        """
        if self._tells:
            try:
                return await self._told(key)
            except NoRoute:
                self._tells = False
        if (place := await self._place(key, self._clock.monotonic() if since is None else since)) is not None:
            return place
        return await self._api.history(key)

    async def stop(self, key: str) -> Progress | Finished | None:
        """Ask once that it ends, and look what came of it: a stop that comes while a job starts may be lost."""
        if self._stops:
            try:
                await self._api.stop(key)
                return await self.look(key)
            except NoRoute:
                self._stops = False
        await self._api.delete(key)
        sight = await self.look(key)
        if isinstance(sight, Progress) and sight.phase == "running":
            await self._api.interrupt(key)
        return sight

    async def _told(self, key: str) -> Progress | Finished | None:
        job = await self._api.job(key)
        if job is None:
            return await self._place(key, self._clock.monotonic()) or await self._api.history(key)
        if job.runs:
            return Progress(phase="running")
        if job.waits:
            place = await self._place(key, self._clock.monotonic() - GLANCE_SECONDS)
            return place or Progress(phase="waiting")
        return job.finished

    async def _place(self, key: str, since: float) -> Progress | None:
        """In the queue; None when it is not there."""
        queue = await self._seen(since)
        if queue.runs(key):
            return Progress(phase="running")
        ahead = queue.ahead(key)
        return None if ahead is None else Progress(phase="waiting", ahead=ahead)

    async def _seen(self, since: float) -> Queue:
        """Whoever comes while an answer is under way waits for it, and has it if it was asked for late enough."""
        async with self._asking:
            if self._asked <= since:
                asked, self._away = self._clock.monotonic(), None
                try:
                    self._queue = await self._api.queue()
                except (
                    Unavailable
                ) as away:  # for those who wait, too: a server that froze is not waited for by one after the other
                    self._away = away
                self._asked = asked
            if self._away is not None:
                raise Unavailable(str(self._away)) from self._away
            return self._queue
