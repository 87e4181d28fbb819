"""Every command of the core: its name, its options, its help. What it does is imported when it is called."""

from pathlib import Path

import click

from .brought import Program
from .options import config_option

backend_argument = click.argument("name", metavar="NAME")
job_argument = click.argument("key", metavar="JOB")


@click.group(cls=Program)
def program() -> None:
    """A gateway between chat networks and ComfyUI."""


@program.command("run")
@config_option
def run_gateway(config: Path | None) -> None:
    """Run the gateway until SIGINT or SIGTERM. A second one ends it at once."""
    from . import serve

    serve.run_gateway(config)


@program.command("doctor")
@config_option
def doctor(config: Path | None) -> None:
    """Look at config, plugins, store, backends, workflows and disk. Ends with 1 when something is wrong."""
    from . import doctor

    doctor.look(config)


@program.command("plugins")
@config_option
def list_plugins(config: Path | None) -> None:
    """List the plugins: loaded, switched off, broken and why. Ends with 1 when one is broken."""
    from . import plugins

    plugins.list_plugins(config)


@program.command("drain")
@click.option("--off", is_flag=True, help="Take orders again.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until no order is open.")
@config_option
def drain(off: bool, wait: bool, config: Path | None) -> None:
    """Take no more orders, and wait until none is open. It lasts until --off."""
    from . import drain

    drain.drain(config, off=off, wait=wait)


# --- backends


@program.group("backends", invoke_without_command=True)
@config_option
@click.pass_context
def backends(context: click.Context, config: Path | None) -> None:
    """List the backends and ask each how it is. Ends with 1 when none answers.

    The commands below drain, enable, disable or set one while the gateway runs.
    """
    if context.invoked_subcommand is None:
        from . import backends

        backends.list_backends(config)


@backends.command("drain")
@backend_argument
@config_option
def drain_backend(name: str, config: Path | None) -> None:
    """Give it no new jobs; those that it has are finished."""
    from . import backends

    backends.drain(config, name)


@backends.command("disable")
@backend_argument
@config_option
def disable_backend(name: str, config: Path | None) -> None:
    """Drain one that will be away: that it does not answer is no fault."""
    from . import backends

    backends.disable(config, name)


@backends.command("enable")
@backend_argument
@config_option
def enable_backend(name: str, config: Path | None) -> None:
    """End drain and disable: it is given jobs again."""
    from . import backends

    backends.enable(config, name)


@backends.command("set")
@backend_argument
@click.option("--weight", type=float, help="Its speed beside the others, until that was measured: 2 is twice as fast.")
@click.option("--tags", help='What workflows can ask for, with commas: "gpu,fast". "" is none.')
@click.option("--default", is_flag=True, help="Weight and tags back to what is configured.")
@config_option
def set_backend(name: str, weight: float | None, tags: str | None, default: bool, config: Path | None) -> None:
    """Change weight and tags. That wins over the configuration, until --default."""
    from . import backends

    backends.change(config, name, weight, tags, default=default)


# --- jobs


@program.group("jobs")
def jobs() -> None:
    """Jobs: list, show, cancel."""


@jobs.command("list")
@click.option("--state", default="", help="Only jobs in this state, such as failed.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@config_option
def list_jobs(state: str, limit: int, config: Path | None) -> None:
    """List jobs, the newest first."""
    from . import jobs

    jobs.list_jobs(config, state, limit)


@jobs.command("show")
@job_argument
@config_option
def show_job(key: str, config: Path | None) -> None:
    """Everything about one job: values, attempts, results, errors."""
    from . import jobs

    jobs.show(config, key)


@jobs.command("cancel")
@job_argument
@config_option
def cancel_job(key: str, config: Path | None) -> None:
    """Cancel a job; its person is told and nothing is charged."""
    from . import jobs

    jobs.cancel(config, key)


# --- points


@program.group("points")
def points() -> None:
    """The ledger: what people have, and whether it agrees with itself.

    WHO is a handle such as telegram:42, a person's key, or group:NETWORK/CHAT.
    """


@points.command("show")
@click.argument("who", default="")
@config_option
def show_points(who: str, config: Path | None) -> None:
    """What WHO has; without WHO the sums of all."""
    from . import points

    points.show(config, who)


@points.command("history")
@click.argument("who")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
@config_option
def show_points_history(who: str, limit: int, config: Path | None) -> None:
    """The latest entries that touch WHO, the newest first."""
    from . import points

    points.show_history(config, who, limit)


@points.command("grant")
@click.argument("who")
@click.argument("amount")
@click.option("--reason", required=True, help="It stands in the ledger.")
@config_option
def grant_points(who: str, amount: str, reason: str, config: Path | None) -> None:
    """Give WHO purchased points out of nothing."""
    from . import points

    points.change(config, who, amount, reason, takes=False)


@points.command("revoke")
@click.argument("who")
@click.argument("amount")
@click.option("--reason", required=True, help="It stands in the ledger.")
@config_option
def revoke_points(who: str, amount: str, reason: str, config: Path | None) -> None:
    """Take purchased points from WHO, never below zero."""
    from . import points

    points.change(config, who, amount, reason, takes=True)


@points.command("voucher")
@click.argument("amount")
@click.option("--uses", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="By so many people.")
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="For so long.")
@config_option
def make_voucher(amount: str, uses: int, days: int, config: Path | None) -> None:
    """Print a new code that is worth AMOUNT points to whoever redeems it."""
    from . import points

    points.make_voucher(config, amount, uses, days)


@points.command("audit")
@click.option("--repair", is_flag=True, help="First make balances anew from the entries.")
@config_option
def audit_points(repair: bool, config: Path | None) -> None:
    """Add up every posting and name what does not agree. Exit code 1 when something does not."""
    from . import points

    points.check(config, mends=repair)


@points.command("export")
@config_option
def export_points(config: Path | None) -> None:
    """Print every posting as CSV, the oldest first."""
    from . import points

    points.export(config)


# --- the store


@program.group("store")
def store() -> None:
    """The database: check it, copy it."""


@store.command("check")
@click.option(
    "--set-aside", is_flag=True, help="First move records that cannot be read into a file in the data folder."
)
@config_option
def check_store(set_aside: bool, config: Path | None) -> None:
    """Read everything and say what is wrong. Exit code 1 when something is."""
    from . import store

    store.check(config, set_aside=set_aside)


@store.command("backup")
@click.argument("target")
@config_option
def back_store_up(target: str, config: Path | None) -> None:
    """Copy everything to TARGET, a file or database that is not there yet. The gateway may be running."""
    from . import store

    store.backup(config, target)


@store.command("copy")
@click.argument("source")
@click.argument("target")
@config_option
def copy_store(source: str, target: str, config: Path | None) -> None:
    """Copy all records from SOURCE to TARGET and compare them.

    Each is the URL of a database, or - for the configured one. TARGET holds nothing yet, or what an earlier try has
    copied: then it goes on. No gateway may be running on either of them.
    """
    from . import store

    store.copy(config, source, target)


# --- workflows


@program.group("workflows")
def workflows() -> None:
    """The workflows that are offered as commands."""


@workflows.command("list")
@config_option
def list_workflows(config: Path | None) -> None:
    """Every workflow with its source, and what could not be loaded."""
    from . import workflows

    workflows.list_workflows(config)


@workflows.command("show")
@click.argument("name")
@config_option
def show_workflow(name: str, config: Path | None) -> None:
    """One workflow: its inputs and its outputs."""
    from . import workflows

    workflows.show(config, name)


@workflows.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--object-info",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What a server answers to /object_info, to hold the graphs against.",
)
def check_workflows(files: tuple[Path, ...], object_info: Path | None) -> None:
    """What people could set in FILES, and what is wrong. Exit code 1 when something is.

    They are workflows in API format; a sidecar beside each is read too.
    """
    from . import workflows

    workflows.check(files, object_info)


NAMES = frozenset(program.commands)
"""Of the core's commands; those of plugins come to `program` when somebody asks for them."""
