"""Workflows as commands, and orders made from their values."""

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..commands.call import Call, Work
from ..commands.command import Command
from ..errors import BadInput
from ..media.blob import Blob
from ..storage import Tx
from ..workflows.binding import bind, options_of
from ..workflows.workflow import Workflow
from . import words
from .jobs import Job
from .orders import Terms, Wanted, take

if TYPE_CHECKING:
    from ..gateway import Runtime

SEEDS = 2**32
GROUP = "Make"


def command_for(workflow: Workflow) -> Command:
    """The command that a workflow is offered as."""

    async def handler(call: Call) -> None:
        await order(call, workflow, call.values)

    return Command(
        name=workflow.name,
        aliases=workflow.aliases,
        summary=(workflow.description or workflow.title).splitlines()[0][:100],
        details=workflow.description,
        handler=handler,
        options=options_of(workflow),
        group=GROUP,
    )


async def order(call: Call, workflow: Workflow, values: Mapping[str, Any], work: Work | None = None) -> None:
    """Take the order and answer the event, in one transaction. Raises BadInput, in words, and keeps nothing."""
    wanted = wanted_run(workflow, values)
    terms = terms_of(call.runtime)

    async def accept(tx: Tx) -> None:
        if work is not None:
            await work(tx)
        await take(tx, call.person.key, call.address, call.arrival.key, [wanted], terms, command=call.command.name)

    await call.commit(accept)


def wanted_run(workflow: Workflow, values: Mapping[str, Any]) -> Wanted:
    """Values checked, the seed drawn, the graph bound; files get names that no graph has by chance."""
    files: dict[str, Blob] = {}
    plain: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Blob):
            key = f"chatelier-{value.sha256[:24]}{value.suffix}"
            files[key] = value
            plain[name] = key
        else:
            plain[name] = value
    bound = bind(workflow, plain, draw=lambda: secrets.randbelow(SEEDS))
    return Wanted(workflow=workflow, values=bound.values, graph=bound.graph, files=files)


def terms_of(runtime: "Runtime") -> Terms:
    limits = runtime.settings.limits
    return Terms(open_orders=limits.open_orders, queue_seconds=limits.queue_seconds)


def again(runtime: "Runtime", job: Job, changes: Mapping[str, Any]) -> tuple[Workflow, dict[str, Any]]:
    """The workflow of a job as it is now, and the job's values with these changes. Raises BadInput when it is gone."""
    workflow = runtime.catalogue.get(job.workflow)
    if workflow is None:
        raise BadInput(words.workflow_gone(job.title))
    names = {one.name for one in workflow.inputs}
    kept = {name: job.files.get(str(value), value) for name, value in job.values.items() if name in names}
    return workflow, {**kept, **changes}


def new_seed(workflow: Workflow) -> dict[str, int]:
    """Changes that draw each seed anew."""
    return {one.name: -1 for one in workflow.inputs if one.role == "seed"}
