"""`chatelier sketch`: the sketch as a server of its own, for tests and for authors of plugins."""

import socket
from collections.abc import Sequence
from pathlib import Path

import click
import platformdirs
import uvicorn

from .faults import WrongFault, parse
from .models import Models
from .registry import all_nodes
from .server import create_app


def listener(host: str, port: int) -> socket.socket:
    """With the protocol named, asyncio switches Nagle's algorithm off; without, each answer waits about 40 ms."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening


def list_nodes() -> None:
    width = max(len(name) for name in all_nodes())
    for name, node in sorted(all_nodes().items()):
        click.echo(f"{name:{width}}  {node.summary}")


def serve(host: str, port: int, models: str, fault: Sequence[str], folder: Path | None, seconds: float) -> None:
    """Until a signal. folder: None for one in the user's data folder."""
    folder = folder or platformdirs.user_data_path("chatelier") / "sketch-server"
    try:
        faults = parse(fault)
    except WrongFault as error:
        raise click.BadParameter(str(error)) from None
    try:
        listening = listener(host, port)
    except OSError as error:
        click.echo(f"Cannot listen on {host} port {port}: {error.strerror}. Choose another one with --port.", err=True)
        raise click.exceptions.Exit(1) from None
    named = [name.strip() for name in models.split(",") if name.strip()]
    app = create_app(folder, models=Models("any" if models == "any" else named), faults=faults, seconds=seconds)
    config = uvicorn.Config(
        app,
        log_level="warning",
        ws="websockets-sansio",
        ws_ping_interval=None,
        timeout_graceful_shutdown=2,
        lifespan="on",
    )
    click.echo(f"Sketch server on http://{host}:{listening.getsockname()[1]}, files in {folder}")
    with listening:
        uvicorn.Server(config).run(sockets=[listening])
