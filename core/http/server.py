"""The listening socket and uvicorn on it, inside the gateway's own loop."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from ..errors import OperatorMust
from . import words
from .hosts import WILDCARDS

LARGEST_WEBSOCKET_MESSAGE = 1_000_000
GRACE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Address:
    """Where the port really is; port 0 was replaced by what the system gave. url: opens it from this machine."""

    host: str
    port: int

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self.host in WILDCARDS else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


class _Server(uvicorn.Server):
    """Signals are the gateway's own business."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.listening.set()


@contextlib.asynccontextmanager
async def serve(app: ASGIApp, host: str, port: int) -> AsyncIterator[Address]:
    """Answers while the block runs. Raises OperatorMust when the port cannot be opened."""
    listeners = await _listen(host, port)
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_max_size=LARGEST_WEBSOCKET_MESSAGE,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(listeners), name="http")
    try:
        await server.listening.wait()
        yield Address(host, listeners[0].getsockname()[1])
    finally:
        server.should_exit = True
        await serving


async def _listen(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of the name; "localhost" has two. All are of one port."""
    loop = asyncio.get_running_loop()
    listeners: list[socket.socket] = []
    try:
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                listeners.append(_open(family, (address[0], port, *address[2:])))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) or not listeners:
                    raise
            port = listeners[0].getsockname()[1]
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise OperatorMust(_words(error, host, port)) from error
    return listeners


def _open(family: int, address: tuple[object, ...]) -> socket.socket:
    # With the protocol named, asyncio switches Nagle's algorithm off; without, each answer waits about 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _words(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return words.PORT_TAKEN.format(host=host, port=port)
    if error.errno == errno.EACCES:
        return words.PORT_DENIED.format(host=host, port=port)
    return words.NO_SUCH_HOST.format(host=host)
