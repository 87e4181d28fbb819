"""`chatelier backends`: what can run workflows now."""

import typer
from rich.console import Console
from rich.table import Table

from ..errors import Unavailable
from ..generation.backend import Backend
from .context import EXIT_FAILED, Config, load_config, run


def add_to(app: typer.Typer) -> None:
    @app.command("backends")
    def list_backends(config: Config = None) -> None:
        """List the backends and ask each how it is. Ends with 1 when none answers."""
        settings, plugins = load_config(config)
        backends = [backend for _, backend in plugins.collect("register_backends", settings=settings)]
        rows = run(_ask_all(backends))
        table = Table("backend", "state", "waiting", "running", "nodes", "detail", box=None)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
        if not any(row[1] == "up" for row in rows):
            raise typer.Exit(EXIT_FAILED)


async def _ask_all(backends: list[Backend]) -> list[tuple[str, str, str, str, str, str]]:
    return [await ask(backend) for backend in backends]


async def ask(backend: Backend) -> tuple[str, str, str, str, str, str]:
    """Name, state, jobs waiting and running there, node classes, detail."""
    try:
        found = await backend.describe()
    except Unavailable as away:
        return backend.name, "down", "", "", "", str(away)
    counts = (str(found.waiting), str(found.running), str(len(found.classes)))
    return backend.name, "up", *counts, found.detail
