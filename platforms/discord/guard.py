"""Counts what Discord refuses, so that it never bars the whole address: it does at 10,000 within ten minutes."""

import time
from collections import deque
from types import SimpleNamespace

import aiohttp

from .limits import INVALID_REQUESTS, INVALID_SECONDS

INVALID = {401, 403, 429}


class Guard:
    def __init__(self) -> None:
        self._at: deque[float] = deque()

    def trace(self) -> aiohttp.TraceConfig:
        """For the library's own session."""
        trace = aiohttp.TraceConfig()

        async def ended(_: aiohttp.ClientSession, __: SimpleNamespace, request: aiohttp.TraceRequestEndParams) -> None:
            is_shared = request.response.headers.get("X-RateLimit-Scope") == "shared"  # somebody else's doing
            if request.response.status in INVALID and not is_shared:
                self.note()

        trace.on_request_end.append(ended)
        return trace

    def note(self) -> None:
        self._at.append(time.monotonic())

    @property
    def count(self) -> int:
        """Within the last ten minutes."""
        while self._at and time.monotonic() - self._at[0] > INVALID_SECONDS:
            self._at.popleft()
        return len(self._at)

    @property
    def is_closed(self) -> bool:
        return self.count >= INVALID_REQUESTS
