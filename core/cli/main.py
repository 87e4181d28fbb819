"""`chatelier`: the commands of the core, and those of plugins beside them."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from ..errors import ChatelierError, Refused
from ..log import get_logger
from ..plugins import Plugins
from ..supervise import reason
from . import backends, doctor, drain, jobs, plugins, serve, store, workflows
from .context import EARLY, config_path, configure_log, fail, load_plugins

log = get_logger(__name__)


def build(installed: Plugins) -> typer.Typer:
    """The whole command line. What a plugin brings under a name that is taken is left out, with a line in the log.

    A plugin whose commands cannot be used at all is withdrawn.
    """
    app = typer.Typer(
        name="chatelier",
        help="A gateway between chat networks and ComfyUI.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    serve.add_to(app)
    doctor.add_to(app)
    plugins.add_to(app)
    drain.add_to(app)
    app.add_typer(backends.app, name="backends")
    app.add_typer(jobs.app, name="jobs")
    app.add_typer(store.app, name="store")
    app.add_typer(workflows.app, name="workflows")
    known = _names(app)
    for plugin, (name, group) in installed.collect("register_cli"):
        try:
            _try_out(name, group)
        except Exception as error:  # noqa: BLE001 - typer reads the signatures of a plugin's functions
            installed.withdraw(plugin, f"register_cli: {reason(error)}", error)
            continue
        names = {name} if name else _names(group)
        if taken := names & known:
            log.error("commands of a plugin left out", plugin=plugin, taken=sorted(taken))
            continue
        app.add_typer(group, name=name or None)
        known |= names
    return app


def _names(app: typer.Typer) -> set[str]:
    """Of commands and groups; a command without a name of its own is called as its function."""
    commands = {each.name or str(getattr(each.callback, "__name__", "")) for each in app.registered_commands}
    return commands | {str(each.name) for each in app.registered_groups}


def _try_out(name: object, group: object) -> None:
    """Raises Refused, or whatever typer has against it; otherwise it would end every command."""
    if not (isinstance(name, str) and isinstance(group, typer.Typer)):
        raise Refused(f"it takes a name and a typer.Typer, not {name!r} and {group!r}")
    whole = typer.Typer()
    whole.add_typer(group, name=name or None)
    typer.main.get_command(whole)


def main() -> None:
    """The console script."""
    try:
        configure_log("WARNING")
        with _early(sys.argv[1:]) as loaded:
            build(loaded)()
    except ChatelierError as error:
        fail(error)


@contextmanager
def _early(arguments: Sequence[str]) -> Iterator[Plugins]:
    """The plugins that may bring commands: those of the configuration that the command is going to read."""
    try:
        path = config_path(_config_in(arguments))
        loaded = load_plugins(path)
    except ChatelierError:
        installed = Plugins()  # the command itself says what is wrong with the configuration
        installed.load_entry_points()
        yield installed
        return
    before = EARLY.set({path: loaded})
    try:
        yield loaded
    finally:
        EARLY.reset(before)


def _config_in(arguments: Sequence[str]) -> Path | None:
    """What `--config` names; before the commands are known, nothing else of the line can be read."""
    named: str | None = None
    for argument, following in zip(arguments, [*arguments[1:], None], strict=True):
        if argument == "--":
            break
        if argument == "--config":
            named = following
        elif argument.startswith("--config="):
            named = argument.partition("=")[2]
    return Path(named) if named is not None else None
