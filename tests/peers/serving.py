"""What every peer is served by: uvicorn in the test's own loop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn


class PeerServer(uvicorn.Server):
    """up: it listens. The signals of the process stay the test's."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
