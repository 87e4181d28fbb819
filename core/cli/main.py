"""`chatelier`: the commands of the core, and those of plugins beside them."""

import os

import typer

from ..errors import ChatelierError
from ..log import get_logger
from ..plugins import Plugins
from ..settings import load_plugin_settings
from . import backends, doctor, jobs, plugins, serve, store, workflows
from .context import config_path, configure_log, fail

log = get_logger(__name__)


def build(installed: Plugins) -> typer.Typer:
    """The whole command line. What a plugin brings under a name that is taken is left out, with a line in the log."""
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
    backends.add_to(app)
    app.add_typer(jobs.app, name="jobs")
    app.add_typer(store.app, name="store")
    app.add_typer(workflows.app, name="workflows")
    known = _names(app)
    for plugin, (name, group) in installed.collect("register_cli"):
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


def main() -> None:
    """The console script."""
    try:
        configure_log("WARNING")
        build(_installed())()
    except ChatelierError as error:
        fail(error)


def _installed() -> Plugins:
    """The plugins that may bring commands."""
    try:
        installed = Plugins(load_plugin_settings(config_path(None), os.environ), os.environ)
    except ChatelierError:
        installed = Plugins()  # the command itself says what is wrong with the configuration
    installed.load_entry_points()
    return installed
