"""`chatelier drain`: take no more orders, and finish those that there are."""

from typing import Annotated

import typer

from ..generation.jobs import ALL, CROWDS
from ..generation.roster import set_draining
from ..storage import Reads, Store, Tx
from .context import Config, open_store, run_command

LOOK_SECONDS = 1.0
EXIT_INTERRUPTED = 130
"""As shells say it for Ctrl-C."""
STILL = "The gateway goes on draining; `chatelier drain --off` lets it take orders again."


def add_to(app: typer.Typer) -> None:
    @app.command("drain")
    def drain(
        off: Annotated[bool, typer.Option("--off", help="Take orders again.")] = False,
        wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until no order is open.")] = True,
        config: Config = None,
    ) -> None:
        """Take no more orders, and wait until those that were taken are finished. It lasts until --off."""
        try:
            run_command(_drain(config, off=off, wait=wait))
        except KeyboardInterrupt:
            typer.echo(STILL, err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from None


async def _drain(config: Config, *, off: bool, wait: bool) -> None:
    async def work(tx: Tx) -> None:
        await set_draining(tx, draining=not off)

    async with open_store(config) as store:
        await store.atomically(work)
        if off:
            typer.echo("The gateway takes orders again.")
            return
        typer.echo("The gateway takes no more orders. " + _told(await open_orders(store)))
        if wait:
            await _until_none(store)


async def _until_none(store: Store) -> None:
    changes = store.changes(CROWDS)
    said = await open_orders(store)
    while said:
        await changes.wait(LOOK_SECONDS)
        left = await open_orders(store)
        if left != said:
            typer.echo(_told(left))
        said = left


async def open_orders(reads: Reads) -> int:
    """Orders of everybody that wait or run."""
    crowd = await reads.get(CROWDS, ALL)
    return crowd.orders if crowd else 0


def _told(left: int) -> str:
    if not left:
        return f"No order is open. {STILL}"
    return "1 order is still open." if left == 1 else f"{left} orders are still open."
