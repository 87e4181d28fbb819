"""`chatelier backends`: what can run workflows now."""

import asyncio
from collections.abc import Sequence

import typer

from ..errors import ChatelierError
from ..generation.backend import Backend
from ..log import redact
from ..registered import backends_of
from ..supervise import guarded, reason
from .context import EXIT_FAILED, Config, load_config, run
from .tables import write_table

ANSWER_SECONDS = 10.0
Row = tuple[str, str, str, str, str, str]
HEAD = ("backend", "state", "waiting", "running", "nodes", "detail")


def add_to(app: typer.Typer) -> None:
    @app.command("backends")
    def list_backends(config: Config = None) -> None:
        """List the backends and ask each how it is. Ends with 1 when none answers."""
        settings, plugins = load_config(config)
        rows = run(ask_all(list(backends_of(settings, plugins, _say).values())))
        write_table(HEAD, rows)
        if not any(row[1] == "up" for row in rows):
            raise typer.Exit(EXIT_FAILED)


def _say(problem: str) -> None:
    typer.echo(redact(problem), err=True)


async def ask_all(backends: Sequence[Backend]) -> list[Row]:
    """All at once, so that one that is down keeps nobody waiting."""
    return await asyncio.gather(*map(ask, backends))


async def ask(backend: Backend) -> Row:
    """Name, state, jobs waiting and running there, node classes, detail."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            found = await guarded(backend.describe())
    except TimeoutError:
        return backend.name, "down", "", "", "", f"no answer within {ANSWER_SECONDS:g} s"
    except ChatelierError as away:
        return backend.name, "down", "", "", "", redact(str(away))
    except Exception as error:  # noqa: BLE001 - a plugin's code; its bug must not hide how the others are
        return backend.name, "broken", "", "", "", reason(error)
    counts = (str(found.waiting), str(found.running), str(len(found.classes)))
    return backend.name, "up", *counts, redact(found.detail)
