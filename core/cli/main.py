"""`chatelier`: the commands of the core, and those of plugins beside them."""

import os

import typer

from .. import log
from ..errors import ChatelierError
from ..plugins import Plugins
from ..settings import load_plugin_settings
from . import backends, doctor, jobs, plugins, serve, store, workflows
from .context import config_path, fail


def build(installed: Plugins) -> typer.Typer:
    """The whole command line. A group of a plugin whose name is taken is left out, as `chatelier plugins` says."""
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
    for _, (name, group) in installed.collect("register_cli"):
        app.add_typer(group, name=name or None)
    return app


def main() -> None:
    """The console script."""
    log.configure(os.environ.get("CHATELIER_LOG_LEVEL", "WARNING"))
    try:
        installed = Plugins(load_plugin_settings(config_path(None), os.environ), os.environ)
    except ChatelierError:
        installed = Plugins()  # the command itself says what is wrong with the configuration
    installed.load_entry_points()
    try:
        build(installed)()
    except ChatelierError as error:
        fail(error)
