from pathlib import Path

import click

from chatelier import config_option, open_gateway, run_command

MOTTO = "Good day."


@click.command("greet")
@config_option
def greet(config: Path | None) -> None:
    """Greet from a gateway on its own data."""

    async def work() -> None:
        async with open_gateway(config) as gateway:
            click.echo(f"Hello from {gateway.settings.data_dir.name}.")

    run_command(work())


@click.group("pigeons")
def pigeons() -> None:
    """About pigeons."""


@pigeons.command("count")
def count() -> None:
    """Count them."""
    click.echo("three pigeons")
