"""`chatelier store check|backup`."""

from typing import Annotated

import typer

from ..storage import Store
from .context import EXIT_FAILED, Config, open_store, run

app = typer.Typer(help="The database: check it, copy it.", no_args_is_help=True)
Target = Annotated[str, typer.Argument(help="A file that is not there yet.")]


@app.command()
def check(config: Config = None) -> None:
    """Read everything and say what is wrong. Exit code 1 when something is."""
    if not run(_check(config)):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def backup(target: Target, config: Config = None) -> None:
    """Copy everything to TARGET. The gateway may be running."""
    run(_backup(config, target))


async def check_store(store: Store) -> bool:
    """Print what is wrong, a line each. True when nothing is."""
    problems = await store.check()
    for problem in problems:
        typer.echo(problem)
    typer.echo(
        f"{len(problems)} problems. Put the last backup in its place if you cannot mend them."
        if problems
        else "All is well."
    )
    return not problems


async def backup_store(store: Store, target: str) -> None:
    await store.backup(target)
    typer.echo(f"Copied to {target}.")


async def _check(config: Config) -> bool:
    async with open_store(config) as store:
        return await check_store(store)


async def _backup(config: Config, target: str) -> None:
    async with open_store(config) as store:
        await backup_store(store, target)
