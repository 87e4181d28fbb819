"""What the terminal gives to the gateway: two commands of the command line. Its accounts are made by them, not by the config."""

from collections.abc import Callable

import typer

from chatelier import hookimpl

from .commands import app


class Plugin:
    @hookimpl
    def register_cli(self, register: Callable[[str, typer.Typer], None]) -> None:
        register("", app)
