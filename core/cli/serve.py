"""`chatelier run`: the gateway itself."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import typer

from ..gateway import Runtime
from ..http.application import application
from ..http.server import serve as serve_http
from ..log import get_logger
from .context import Config, configure_log, open_gateway, run_command

log = get_logger(__name__)


def add_to(app: typer.Typer) -> None:
    @app.command("run")
    def run_gateway(config: Config = None) -> None:
        """Run the gateway until SIGINT or SIGTERM; a second one ends it at once."""
        configure_log("INFO")
        run_command(_run(config))


async def _run(config: Config) -> None:
    stop = asyncio.Event()
    with _signals(stop):
        async with open_gateway(config) as runtime, listening(runtime) as address:
            for problem in runtime.settings.problems:
                log.warning("problem", problem=problem)
            typer.echo(f"Chatelier is on {address}")
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
