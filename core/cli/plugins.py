"""`chatelier plugins`: what is loaded, off or broken."""

import typer
from rich.console import Console
from rich.table import Table

from .context import EXIT_FAILED, Config, load_config


def add_to(app: typer.Typer) -> None:
    @app.command("plugins")
    def list_plugins(config: Config = None) -> None:
        """List the plugins: loaded, switched off, broken and why. Ends with 1 when one is broken."""
        _, plugins = load_config(config)
        table = Table("plugin", "from", "version", "hooks", box=None)
        for info in plugins.loaded:
            table.add_row(info.name, info.origin, info.version, ", ".join(info.hooks))
        for name in plugins.off:
            table.add_row(name, "", "", "off")
        Console().print(table)
        for name, reason in plugins.broken.items():
            typer.echo(f"{name}: broken: {reason}", err=True)
        if plugins.broken:
            raise typer.Exit(EXIT_FAILED)
