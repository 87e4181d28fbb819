"""Commands that plugins bring to the command line: entry points of a group of their own, loaded when somebody asks for them."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from .options import EXIT_FAILED, EXIT_INTERRUPTED

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "chatelier.cli"


class Program(click.Group):
    """The core's commands and, after them, those that plugins bring under other names.

    A command that cannot be used says so in the help and when it is called; it keeps nobody from the others.
    """

    @cached_property
    def brought(self) -> "Mapping[str, EntryPoint]":
        """By name. Of two with one name the first counts."""
        found: dict[str, EntryPoint] = {}
        for entry in entries():
            if entry.name not in self.commands:
                found.setdefault(entry.name, entry)
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*(name for name in self.commands if name not in self.brought), *sorted(self.brought)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands:
            # For a word that is no command, click looks among these for one that was meant.
            for name in [cmd_name] if cmd_name in self.brought else self.brought:
                self.commands[name] = _usable(self.brought[name])
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(EXIT_INTERRUPTED) from None


def entries() -> "Iterator[EntryPoint]":
    from importlib.metadata import entry_points

    yield from entry_points(group=GROUP)


def _usable(entry: "EntryPoint") -> click.Command:
    """The command, or one in its place that says what is wrong with it."""
    found = loaded(entry)
    if isinstance(found, click.Command):
        return found

    def complain() -> None:
        click.echo(f"`chatelier {entry.name}` cannot be used: {found}", err=True)
        raise click.exceptions.Exit(EXIT_FAILED)

    anything = {"allow_extra_args": True, "ignore_unknown_options": True}
    return click.Command(entry.name, anything, complain, help=f"Cannot be used: {found}")


def loaded(entry: "EntryPoint") -> click.Command | str:
    """The command, or what is wrong with it, in one line."""
    try:
        found = entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a plugin does while it is imported
        from ..supervise import reason

        return reason(error)
    return found if isinstance(found, click.Command) else f"{entry.value} is no click command"
