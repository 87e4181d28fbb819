"""`chatelier drain`: take no more orders, and finish those that there are."""

from pathlib import Path

import click

from ..generation.jobs import ALL, CROWDS
from ..generation.roster import set_draining
from ..storage import Reads, Store, Tx
from .context import open_store, run_command
from .options import EXIT_INTERRUPTED

LOOK_SECONDS = 1.0
STILL = "The gateway goes on draining; `chatelier drain --off` lets it take orders again."


def drain(config: Path | None, *, off: bool, wait: bool) -> None:
    try:
        run_command(_drain(config, off=off, wait=wait))
    except KeyboardInterrupt:
        click.echo(STILL, err=True)
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None


async def _drain(config: Path | None, *, off: bool, wait: bool) -> None:
    async def work(tx: Tx) -> None:
        await set_draining(tx, draining=not off)

    async with open_store(config) as store:
        await store.atomically(work)
        if off:
            click.echo("The gateway takes orders again.")
            return
        click.echo("The gateway takes no more orders. " + _told(await open_orders(store)))
        if wait:
            await _until_none(store)


async def _until_none(store: Store) -> None:
    changes = store.changes(CROWDS)
    said = await open_orders(store)
    while said:
        await changes.wait(LOOK_SECONDS)
        left = await open_orders(store)
        if left != said:
            click.echo(_told(left))
        said = left


async def open_orders(reads: Reads) -> int:
    """Orders of everybody that wait or run."""
    crowd = await reads.get(CROWDS, ALL)
    return crowd.orders if crowd else 0


def _told(left: int) -> str:
    if not left:
        return f"No order is open. {STILL}"
    return "1 order is still open." if left == 1 else f"{left} orders are still open."
