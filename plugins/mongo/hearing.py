"""Hints of what other processes wrote: a change stream of the one document that each transaction replaces."""

import asyncio
import random
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import structlog
from bson.timestamp import Timestamp
from pymongo.errors import PyMongoError

from chatelier import Hints

from .connection import Database
from .layout import META, WRITER

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

LISTEN_SECONDS = 0.25
"""That the server holds a question for news back; an answer comes at once. Closing waits for it."""
PAUSE_SECONDS = 0.5
"""At most, before the next try where the server does not answer."""


@dataclass(slots=True)
class Hearing:
    """Begins when somebody wants to know. since: from when on; None for now. name: of this process, whose own writes it hears of sooner."""

    database: Database
    hints: Hints
    kinds: Collection[str]
    name: str
    since: Timestamp | None
    _task: asyncio.Task[None] | None = None
    _is_over: bool = field(default=False)

    def begin(self) -> None:
        if self._task is None and not self._is_over:
            self._task = asyncio.create_task(self._listen(), name="mongo changes")

    async def close(self) -> None:
        self._is_over = True
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _listen(self) -> None:
        while not self._is_over:
            try:
                await self._hear()
            except PyMongoError as error:
                log.info("changes of other processes are not heard", error=str(error))
                self.since = None
                self.hints.moved_elsewhere(self.kinds)
                await asyncio.sleep(PAUSE_SECONDS * random.random())  # noqa: S311 - spreads several processes, guards nothing

    async def _hear(self) -> None:
        wanted: dict[str, Any] = {
            "operationType": "replace",
            "documentKey._id": WRITER,
            "fullDocument.by": {"$ne": self.name},
        }
        has_gap = self.since is None
        async with self.database[META].watch(
            [{"$match": wanted}], start_at_operation_time=self.since, max_await_time_ms=int(LISTEN_SECONDS * 1000)
        ) as stream:
            while not self._is_over:
                change = await stream.try_next()
                if has_gap:
                    self.hints.moved_elsewhere(self.kinds)
                    has_gap = False
                if change is not None:
                    self.hints.moved_elsewhere([name for name in change["fullDocument"]["kinds"] if name in self.kinds])
