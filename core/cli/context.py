"""What every command starts from: its logs, the configuration, the plugins, the store."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from .. import log
from ..clock import SystemClock
from ..errors import ChatelierError, OperatorMust, SettingsError
from ..gateway import Runtime, open_runtime
from ..plugins import Plugins
from ..registered import catalogue_of, commands_of, open_store_of
from ..settings import Settings, load, load_plugin_settings
from ..settings.environment import LOG_LEVEL
from ..storage import Store
from ..workflows.catalogue import Catalogue
from .options import EXIT_CONFIG, EXIT_FAILED

T = TypeVar("T")

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def config_path(given: Path | None) -> Path:
    """The file that counts: the given one, ./config.yaml, or the annotated default that ships. Raises SettingsError."""
    if given is not None and not given.is_file():
        raise SettingsError(f"{given}: there is no such file; name another one with --config, or leave that out")
    here = Path("config.yaml")
    return given or (here if here.exists() else Path(__file__).parents[2] / "config.yaml")


def load_config(given: Path | None) -> tuple[Settings, Plugins]:
    """Plugins loaded, settings checked against their models, their secrets hidden from now on. Raises SettingsError."""
    path = config_path(given)
    plugins = Plugins(load_plugin_settings(path, os.environ), os.environ)
    plugins.load()
    models = plugins.settings_models()
    settings = load(path, models, os.environ, broken=plugins.broken, plugins=plugins.found)
    log.hide(settings.secrets())
    return settings, plugins


def begin(given: Path | None, *, level: str = "WARNING") -> tuple[Settings, Plugins]:
    """Logs to stderr from this level on, and the configuration. Raises SettingsError."""
    configure_log(level)
    return load_config(given)


@asynccontextmanager
async def open_gateway(given: Path | None, *, alone: bool = False, level: str = "WARNING") -> AsyncIterator[Runtime]:
    """A gateway on this configuration, not yet serving. level: from which on logs go to stderr."""
    settings, plugins = begin(given, level=level)
    async with open_runtime(settings, plugins, alone=alone) as runtime:
        yield runtime


@asynccontextmanager
async def open_store(given: Path | None) -> AsyncIterator[Store]:
    """The configured store alone."""
    settings, plugins = begin(given)
    async with open_store_of(settings, plugins, SystemClock()) as store:
        yield store


@asynccontextmanager
async def open_catalogue(given: Path | None) -> AsyncIterator[Catalogue]:
    """The workflows on offer, without a store."""
    settings, plugins = begin(given)
    catalogue = catalogue_of(settings, plugins, SystemClock(), commands_of(settings, plugins))
    await catalogue.refresh()
    yield catalogue


def run_command(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine. An error of ours ends it with its words and no traceback."""
    try:
        return asyncio.run(work)
    except ChatelierError as error:
        fail(error)


def fail(error: ChatelierError) -> NoReturn:
    """Say it and end: 2 for what the operator must mend in the configuration, 1 for the rest."""
    click.echo(log.redact(str(error)), err=True)
    sys.exit(EXIT_CONFIG if isinstance(error, OperatorMust) else EXIT_FAILED)


def configure_log(level: str) -> None:
    """Logs from this level on, unless the environment names another. Raises SettingsError."""
    wanted = os.environ.get(LOG_LEVEL, level).upper()
    if wanted not in LEVELS:
        raise SettingsError(f"{LOG_LEVEL}: there is no level {wanted}; the levels are {', '.join(LEVELS)}")
    log.configure(wanted)
