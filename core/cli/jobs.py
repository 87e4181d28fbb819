"""`chatelier jobs list|show|cancel`."""

from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.markdown import Markdown

from ..errors import BadInput
from ..generation import results, words
from ..generation.jobs import ATTEMPTS, JOBS, Job, State, results_of
from ..generation.orders import cancel_job
from ..storage import Store, Tx
from .context import EXIT_FAILED, Config, open_store, run_command
from .tables import write_table

app = typer.Typer(help="Jobs: list, show, cancel.", no_args_is_help=True)
Key = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]


@app.command("list")
def list_jobs(
    config: Config = None,
    state: Annotated[str, typer.Option(help="Only jobs in this state, such as failed.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 20,
) -> None:
    """List jobs, the newest first."""
    jobs = run_command(_list(config, state, limit))
    if not jobs:
        typer.echo("There are no jobs" + (f" that are {state}." if state else " yet."))
        return
    write_table(("job", "state", "workflow", "asked (UTC)", "seconds", "backend", ""), map(_row, jobs))


def _row(job: Job) -> tuple[str, ...]:
    took = f"{job.run_ms / 1000:.1f}" if job.run_ms else ""
    asked = f"{job.created:%Y-%m-%d %H:%M:%S}"
    return job.key, job.state, job.workflow, asked, took, job.backend, " ".join(job.words.split())


@app.command("show")
def show_job(key: Key, config: Config = None) -> None:
    """Everything about one job: values, attempts, results, what went wrong."""
    text = run_command(_show(config, key))
    if not text:
        typer.echo(words.NO_SUCH_JOB, err=True)
        raise typer.Exit(EXIT_FAILED)
    Console().print(Markdown(text))


@app.command("cancel")
def cancel(key: Key, config: Config = None) -> None:
    """Cancel a job; its person is told and nothing is charged."""
    said = run_command(_cancel(config, key))
    typer.echo(said, err=said == words.NO_SUCH_JOB)
    if said not in (words.CANCELLED, words.CANCELLING):
        raise typer.Exit(EXIT_FAILED)


async def _list(config: Config, state: str, limit: int) -> list[Job]:
    if state and state not in get_args(State):
        raise BadInput(f"There is no state {state}. The states are {', '.join(get_args(State))}.")
    async with open_store(config) as store:
        where: dict[str, str] = {"state": state} if state else {}
        return await store.find(JOBS, where, order="created", descending=True, limit=limit)


async def _show(config: Config, key: str) -> str:
    async with open_store(config) as store:
        job = await store.get(JOBS, key)
        return await _described(store, job) if job else ""


async def _described(store: Store, job: Job) -> str:
    lines = [results.info(job), "", "Attempts:"]
    attempts = await store.find(ATTEMPTS, {"job": job.key}, order="created")
    lines += [f"- `{attempt.key}` on {attempt.backend}: {attempt.state}" for attempt in attempts]
    lines += ["", "Results:"]
    for result in await results_of(store, job.key):
        what = f"{result.blob.mime}, {result.blob.size} bytes" if result.blob else "text"
        lines.append(f"- {result.name}: {what}")
    return "\n".join(lines)


async def _cancel(config: Config, key: str) -> str:
    async def work(tx: Tx) -> str:
        return await cancel_job(tx, key)

    async with open_store(config) as store:
        return await store.atomically(work)
