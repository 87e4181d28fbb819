"""`chatelier plugins`: what is loaded, off or broken."""

import typer

from ..log import redact
from .context import EXIT_FAILED, Config, load_config
from .tables import write_table


def add_to(app: typer.Typer) -> None:
    @app.command("plugins")
    def list_plugins(config: Config = None) -> None:
        """List the plugins: loaded, switched off, broken and why. Ends with 1 when one is broken."""
        _, plugins = load_config(config)
        rows = [(info.name, info.origin, info.version, ", ".join(info.hooks)) for info in plugins.loaded]
        rows += [(name, "", "", "off") for name in plugins.off]
        write_table(("plugin", "from", "version", "hooks"), rows)
        for name, reason in plugins.broken.items():
            # Once more: what broke before the configuration was read could not know its secrets.
            typer.echo(redact(f"{name}: broken: {reason}"), err=True)
        if plugins.broken:
            raise typer.Exit(EXIT_FAILED)
