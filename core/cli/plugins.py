"""`chatelier plugins`: what is loaded, off or broken."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from ..log import redact
from .brought import entries, loaded
from .commands import NAMES
from .context import begin
from .options import EXIT_FAILED
from .tables import write_table


@dataclass(frozen=True, slots=True)
class Brought:
    """A plugin's command. origin, version: of its distribution. problem: why it cannot be used, or ""."""

    name: str
    origin: str
    version: str
    problem: str


def list_plugins(config: Path | None) -> None:
    _, plugins = begin(config)
    commands = list(brought())
    rows = [(info.name, info.origin, info.version, ", ".join(info.hooks)) for info in plugins.loaded]
    rows += [(name, "", "", "off") for name in plugins.off]
    rows += [(one.name, one.origin, one.version, f"`chatelier {one.name}`") for one in commands if not one.problem]
    write_table(("plugin", "from", "version", "hooks"), rows)
    broken = dict(plugins.broken) | {f"`chatelier {one.name}`": one.problem for one in commands if one.problem}
    for name, reason in broken.items():
        # Once more: what broke before the configuration was read could not know its secrets.
        click.echo(redact(f"{name}: broken: {reason}"), err=True)
    if broken:
        raise click.exceptions.Exit(EXIT_FAILED)


def brought() -> Iterator[Brought]:
    """Every command that a plugin brings; each is loaded, to see whether it can be used."""
    taken = dict.fromkeys(NAMES, "the core")
    for entry in entries():
        origin, version = (entry.dist.name, entry.dist.version) if entry.dist else (entry.value, "")
        if entry.name in taken:
            problem = f"the name is taken by {taken[entry.name]}"
        else:
            taken[entry.name] = origin
            found = loaded(entry)
            problem = found if isinstance(found, str) else ""
        yield Brought(entry.name, origin, version, problem)
