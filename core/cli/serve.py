"""`chatelier run`: the gateway itself."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import click

from .. import interpreter
from ..gateway import Runtime
from ..http.application import application
from ..http.server import serve as serve_http
from ..log import get_logger
from .context import open_gateway, run_command

log = get_logger(__name__)


def run_gateway(config: Path | None) -> None:
    run_command(_run(config))


async def _run(config: Path | None) -> None:
    stop = asyncio.Event()
    with _signals(stop):
        async with open_gateway(config, level="INFO") as runtime, listening(runtime) as address:
            for problem in runtime.settings.problems:
                log.warning("problem", problem=problem)
            click.echo(f"Chatelier is on {address}")
            interpreter.settle()
            await runtime.serve(stop)


@asynccontextmanager
async def listening(runtime: Runtime) -> AsyncIterator[str]:
    """Serve HTTP for as long as the body runs; gives the address that people open."""
    http = runtime.settings.http
    async with serve_http(application(http, runtime.routes(), runtime.condition), http.host, http.port) as address:
        yield http.public_url or address.url


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """The first signal stops in good order, the second at once."""
    loop = asyncio.get_running_loop()

    def asked(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, asked, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
