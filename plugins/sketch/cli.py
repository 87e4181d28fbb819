"""`chatelier sketch`: the sketch as a server of its own, for tests and for authors of plugins."""

import socket
from pathlib import Path
from typing import Annotated

import platformdirs
import typer

app = typer.Typer()


@app.command("sketch")
def sketch(
    port: Annotated[int, typer.Option(help="0 takes a free one, which is printed.")] = 8188,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    models: Annotated[str, typer.Option(help='Model names it has: any, a list with commas, or "" for none.')] = "any",
    fault: Annotated[
        list[str] | None, typer.Option(help="A fault to have, NAME or NAME:ARGUMENT; may be given again.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Where its input, output and temp folders lie.")] = None,
    seconds: Annotated[float, typer.Option(min=0, help="Seconds that each job takes longer than it needs.")] = 0,
    nodes: Annotated[bool, typer.Option("--nodes", help="List the nodes it has, and stop.")] = False,
) -> None:
    """Serve ComfyUI's protocol without a GPU: pictures are computed or painted, never dreamed up by a model."""
    if nodes:
        _list_nodes()
        return
    _serve(
        host, port, models, fault or [], folder or platformdirs.user_data_path("chatelier") / "sketch-server", seconds
    )


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


def _list_nodes() -> None:
    from .registry import all_nodes  # noqa: PLC0415 - numpy loads only when it is needed

    width = max(len(name) for name in all_nodes())
    for name, node in sorted(all_nodes().items()):
        typer.echo(f"{name:{width}}  {node.summary}")


def _serve(host: str, port: int, models: str, fault: list[str], folder: Path, seconds: float) -> None:
    import uvicorn  # noqa: PLC0415 - loads only when it is needed

    from .faults import WrongFault, parse  # noqa: PLC0415 - as above
    from .models import Models  # noqa: PLC0415 - as above
    from .server import create_app  # noqa: PLC0415 - as above

    try:
        faults = parse(fault)
    except WrongFault as error:
        raise typer.BadParameter(str(error)) from None
    try:
        listening = listener(host, port)
    except OSError as error:
        typer.echo(f"Cannot listen on {host} port {port}: {error.strerror}. Choose another one with --port.", err=True)
        raise typer.Exit(1) from None
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
    typer.echo(f"Sketch server on http://{host}:{listening.getsockname()[1]}, files in {folder}")
    with listening:
        uvicorn.Server(config).run(sockets=[listening])
