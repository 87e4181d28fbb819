"""`chatelier doctor`: is everything as it should be, and if not, what to do."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass

import typer

from ..chat.inbox import ARRIVALS
from ..chat.outbox import MESSAGES
from ..errors import ChatelierError, OperatorMust
from ..gateway import Runtime, open_runtime, usable
from ..http.tokens import closed
from ..log import redact
from ..plugins import Plugins
from ..settings import Settings
from .backends import ask_all
from .context import EXIT_FAILED, Config, config_path, load_config, run

FREE_BYTES = 1_000_000_000
"""Below this the disk is nearly full."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. grave: it keeps people from getting pictures."""

    what: str
    words: str
    well: bool = True
    grave: bool = True


def add_to(app: typer.Typer) -> None:
    @app.command("doctor")
    def doctor(config: Config = None) -> None:
        """Look at config, plugins, store, backends, workflows and disk. Ends with 1 when something is wrong."""
        settings, plugins = load_config(config)  # a config that cannot be read ends here, with 2
        typer.echo(f"✓ config: {config_path(config)}")
        if not run(_look(settings, plugins)):
            raise typer.Exit(EXIT_FAILED)


async def _look(settings: Settings, plugins: Plugins) -> bool:
    well = True
    async for finding in findings(settings, plugins):
        sign = "✓" if finding.well else ("✗" if finding.grave else "!")
        typer.echo(redact(f"{sign} {finding.what}: {finding.words}"))
        well = well and (finding.well or not finding.grave)
    return well


async def findings(settings: Settings, plugins: Plugins) -> AsyncIterator[Finding]:
    """Everything that is looked at, in the order in which it is needed."""
    for problem in settings.problems:
        yield Finding("config", problem, well=False, grave=False)
    yield Finding("plugins", f"{len(plugins.loaded)} loaded")
    for name, reason in plugins.broken.items():
        yield Finding(f"plugin {name}", reason, well=False)
    yield disk(settings)
    for setting in closed(settings.http):
        words = "not set, so the page that it opens is closed to everybody while http.public_url is set; set it"
        yield Finding(setting, words, well=False, grave=False)
    try:
        async with open_runtime(settings, plugins) as runtime:
            async for finding in _inside(runtime):
                yield finding
    except ChatelierError as error:
        yield Finding("store", str(error), well=False)


def disk(settings: Settings) -> Finding:
    """Room where the data are."""
    try:
        with usable(settings.data_dir):
            settings.data_dir.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(settings.data_dir).free
    except OperatorMust as error:
        return Finding("disk", str(error), well=False)
    words = f"{free / 1e9:.1f} GB free in {settings.data_dir}"
    if free < FREE_BYTES:
        return Finding("disk", f"{words}; make room, or results cannot be stored", well=False)
    return Finding("disk", words)


async def _inside(runtime: Runtime) -> AsyncIterator[Finding]:
    faults = await runtime.store.check()
    for fault in faults:
        yield Finding("store", fault, well=False)
    if not faults:
        yield Finding("store", runtime.settings.store.partition(":")[0])
    if aside := await runtime.store.find(ARRIVALS, {"state": "aside"}, order="received", limit=1_000):
        yield Finding("events set aside", f"{len(aside)}, the last: {aside[-1].words}", well=False, grave=False)
    if failed := await runtime.store.find(MESSAGES, {"state": "failed"}, order="place", limit=1_000):
        yield Finding("messages failed", f"{len(failed)}, the last: {failed[-1].words}", well=False, grave=False)
    for problem in runtime.problems:
        yield Finding("plugins", problem, well=False)
    async for finding in _backends(runtime):
        yield finding
    yield Finding("workflows", ", ".join(one.name for one in runtime.catalogue.workflows) or "none")
    for bad in runtime.catalogue.problems:
        where = f"{bad.source}, node {bad.node}" if bad.node else bad.source
        yield Finding("workflow", f"{where}: {bad.reason}", well=False, grave=False)


async def _backends(runtime: Runtime) -> AsyncIterator[Finding]:
    """One that is down is grave only when it leaves none."""
    rows = await ask_all(list(runtime.backends.values()))
    for name, state, _, _, _, detail in rows:
        yield Finding(f"backend {name}", f"{state}, {detail}" if detail else state, state == "up", grave=False)
    if not any(row[1] == "up" for row in rows):
        words = "none answers, so nothing can be made: start a server, or take `backends.sketch` back into the config"
        yield Finding("backends", words, well=False)
