"""`chatelier jobs list|show|cancel`."""

from pathlib import Path
from typing import get_args

import click
from rich.console import Console
from rich.markdown import Markdown

from ..errors import BadInput
from ..generation import results, words
from ..generation.jobs import ATTEMPTS, JOBS, Job, State, results_of
from ..generation.orders import cancel_job
from ..storage import Store, Tx
from .context import open_store, run_command
from .options import EXIT_FAILED
from .tables import write_table


def list_jobs(config: Path | None, state: str, limit: int) -> None:
    jobs = run_command(_list(config, state, limit))
    if not jobs:
        click.echo("There are no jobs" + (f" that are {state}." if state else " yet."))
        return
    write_table(("job", "state", "workflow", "asked (UTC)", "seconds", "backend", ""), map(_row, jobs))


def _row(job: Job) -> tuple[str, ...]:
    took = f"{job.run_ms / 1000:.1f}" if job.run_ms else ""
    asked = f"{job.created:%Y-%m-%d %H:%M:%S}"
    return job.key, job.state, job.workflow, asked, took, job.backend, " ".join(job.words.split())


def show(config: Path | None, key: str) -> None:
    text = run_command(_show(config, key))
    if not text:
        click.echo(words.NO_SUCH_JOB, err=True)
        raise click.exceptions.Exit(EXIT_FAILED)
    Console().print(Markdown(text))


def cancel(config: Path | None, key: str) -> None:
    said = run_command(_cancel(config, key))
    click.echo(said, err=said == words.NO_SUCH_JOB)
    if said not in (words.CANCELLED, words.CANCELLING):
        raise click.exceptions.Exit(EXIT_FAILED)


async def _list(config: Path | None, state: str, limit: int) -> list[Job]:
    if state and state not in get_args(State):
        raise BadInput(f"There is no state {state}. The states are {', '.join(get_args(State))}.")
    async with open_store(config) as store:
        where: dict[str, str] = {"state": state} if state else {}
        return await store.find(JOBS, where, order="created", descending=True, limit=limit)


async def _show(config: Path | None, key: str) -> str:
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


async def _cancel(config: Path | None, key: str) -> str:
    async def work(tx: Tx) -> str:
        return await cancel_job(tx, key)

    async with open_store(config) as store:
        return await store.atomically(work)
