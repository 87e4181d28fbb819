"""`chatelier doctor`: is everything as it should be, and if not, what to do."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from ..chat.inbox import ARRIVALS
from ..chat.outbox import MESSAGES
from ..chat.platform import Checks, Platform
from ..errors import ChatelierError, OperatorMust, Unavailable
from ..gateway import Runtime, open_runtime, usable
from ..generation.roster import Standing, is_draining, standings
from ..http.tokens import closed
from ..log import redact
from ..plugins import Plugins
from ..settings import Settings
from ..supervise import guarded, reason
from .backends import Asked, ask_all, standing_word
from .context import begin, config_path, run_command
from .options import EXIT_FAILED
from .plugins import Brought, brought

CHECK_SECONDS = 20.0
"""For a network to answer about an account."""
FREE_BYTES = 1_000_000_000
"""Below this the disk is nearly full."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. grave: it keeps people from getting pictures."""

    what: str
    words: str
    well: bool = True
    grave: bool = True


def look(config: Path | None) -> None:
    settings, plugins = begin(config)  # a config that cannot be read ends here, with 2
    click.echo(f"✓ config: {config_path(config)}")
    if not run_command(_look(settings, plugins, list(brought()))):
        raise click.exceptions.Exit(EXIT_FAILED)


async def _look(settings: Settings, plugins: Plugins, commands: Sequence[Brought]) -> bool:
    well = True
    async for finding in findings(settings, plugins, commands):
        sign = "✓" if finding.well else ("✗" if finding.grave else "!")
        click.echo(redact(f"{sign} {finding.what}: {finding.words}"))
        well = well and (finding.well or not finding.grave)
    return well


async def findings(settings: Settings, plugins: Plugins, commands: Sequence[Brought]) -> AsyncIterator[Finding]:
    """Everything that is looked at, in the order in which it is needed."""
    for problem in settings.problems:
        yield Finding("config", problem, well=False, grave=False)
    yield Finding("plugins", f"{len(plugins.loaded)} loaded")
    for name, why in plugins.broken.items():
        yield Finding(f"plugin {name}", why, well=False)
    for command in commands:
        if command.problem:
            yield Finding(f"command {command.name} of {command.origin}", command.problem, well=False)
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
    if await is_draining(runtime.store):
        words = "draining, so no orders are taken; `chatelier drain --off` ends that"
        yield Finding("gateway", words, well=False, grave=False)
    for finding in await asyncio.gather(*(_account(platform) for platform in runtime.platforms.values())):
        yield finding
    async for finding in _backends(runtime):
        yield finding
    yield Finding("workflows", ", ".join(one.name for one in runtime.catalogue.workflows) or "none")
    for bad in runtime.catalogue.problems:
        where = f"{bad.source}, node {bad.node}" if bad.node else bad.source
        yield Finding("workflow", f"{where}: {bad.reason}", well=False, grave=False)


async def _account(platform: Platform) -> Finding:
    """What its network says of it, where the platform can ask. Away is not grave: it comes back by itself."""
    what = f"account {platform.name}"
    if not isinstance(platform, Checks):
        return Finding(what, "configured")
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            problems = await guarded(platform.check())
    except OperatorMust as error:
        return Finding(what, str(error), well=False)
    except (Unavailable, TimeoutError) as away:
        return Finding(what, f"its network does not answer: {reason(away)}", well=False, grave=False)
    except Exception as error:  # noqa: BLE001 - a plugin's code may raise anything, and the rest is looked at, too
        return Finding(what, f"it cannot be asked: {reason(error)}", well=False, grave=False)
    return Finding(what, "; ".join(problems) or "its network answers", well=not problems, grave=False)


async def _backends(runtime: Runtime) -> AsyncIterator[Finding]:
    """One that is down is grave only when it leaves none."""
    asked, found = await ask_all(list(runtime.backends.values())), await standings(runtime.store)
    for one in asked:
        yield _backend(one, found.get(one.name, Standing(key=one.name)))
    up = [one.name for one in asked if one.state == "up"]
    if not up:
        words = "none answers, so nothing can be made: start a server, or take `backends.sketch` back into the config"
        yield Finding("backends", words, well=False)
    elif not any(name not in found or found[name].is_open for name in up):
        words = "none of those that answer is given jobs: `chatelier backends enable NAME` takes one back"
        yield Finding("backends", words, well=False)


def _backend(asked: Asked, standing: Standing) -> Finding:
    """That one is away which was disabled is as it should be."""
    kept = "" if standing.is_open else standing_word(standing)
    words = ", ".join(part for part in (asked.state, kept, asked.detail) if part)
    return Finding(f"backend {asked.name}", words, asked.state == "up" or standing.disabled, grave=False)
