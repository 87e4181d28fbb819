"""Workflows as commands, and orders made from their values."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..chat.buttons import Verb
from ..chat.messages import Option, Reply
from ..commands.call import Call, Work
from ..commands.command import Command
from ..errors import BadInput
from ..media.blob import Blob
from ..people.people import Person
from ..points import words as point_words
from ..points.prices import Quote
from ..points.service import group_of
from ..settings.points import TierSettings
from ..storage import Tx
from ..values import replace
from ..workflows.binding import bind, options_of
from ..workflows.catalogue import Catalogue
from ..workflows.workflow import Workflow
from . import words
from .jobs import RUNS, Job
from .orders import Bounds, Terms, Wanted, draft, take

if TYPE_CHECKING:
    from ..gateway import Runtime

SEEDS = 2**32
GROUP = "Make"
QUOTE = Option(
    name="quote",
    type="boolean",
    description="Only say what it would likely cost",
    advanced=True,
    aside=True,
)
UPSCALE = "upscale"
"""The workflow that enlarges what others made; where an operator has one of this name, it is theirs."""


def command_for(workflow: Workflow) -> Command:
    """The command that a workflow is offered as."""
    options = options_of(workflow)
    has_own = any(option.name == QUOTE.name for option in options)

    async def handler(call: Call) -> None:
        values = dict(call.values)
        if not has_own and values.pop(QUOTE.name, False):
            await say_quote(call, wanted_run(workflow, values))
        else:
            await order(call, workflow, values)

    return Command(
        name=workflow.name,
        aliases=workflow.aliases,
        summary=(workflow.description or workflow.title).splitlines()[0][:100],
        details=workflow.description,
        handler=handler,
        options=(*options, *([] if has_own else [QUOTE])),
        group=GROUP,
    )


async def say_quote(call: Call, wanted: Wanted) -> None:
    """What it would likely cost; nothing is ordered."""
    if not call.runtime.points.enabled:
        await call.commit(None, Reply(text=point_words.OFF, private=True))
        return
    (quote,) = await quotes_of(call, [wanted])
    await call.commit(None, Reply(text=point_words.quote(quote.likely, quote.hold), private=True))


async def order(call: Call, workflow: Workflow, values: Mapping[str, Any], work: Work | None = None) -> None:
    """Take the order and answer the event, in one transaction. Raises BadInput, in words, and keeps nothing."""
    await order_all(call, [wanted_run(workflow, values)], work)


async def order_all(call: Call, wanted: Sequence[Wanted], work: Work | None = None) -> None:
    """The same for several runs, which are one order."""
    terms = await terms_of(call, wanted)

    async def accept(tx: Tx) -> None:
        if work is not None:
            await work(tx)
        event, command, begin = call.arrival.key, call.command.name, call.runtime.begin
        await take(tx, call.person.key, call.address, event, wanted, terms, command=command, begin=begin)

    await call.commit(accept)


def draw_seed() -> int:
    return secrets.randbelow(SEEDS)


def wanted_run(workflow: Workflow, values: Mapping[str, Any], draw: Callable[[], int] = draw_seed) -> Wanted:
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
    bound = bind(workflow, plain, draw=draw)
    return Wanted(workflow=workflow, values=bound.values, graph=bound.graph, files=files)


async def terms_of(call: Call, wanted: Sequence[Wanted]) -> Terms:
    """The limits and the prices that these runs are ordered under, as they are now."""
    runtime, group = call.runtime, group_of(call.chat)
    limits, points = runtime.settings.limits, runtime.points
    terms = Terms(
        own=await own_bounds(runtime, call.person),
        all_orders=limits.all_orders,
        queue_seconds=limits.queue_seconds,
        group=group,
        shared=Bounds(open_orders=limits.group_open_orders, daily_orders=limits.group_daily_orders),
    )
    if not points.enabled:
        return terms
    quotes = await quotes_of(call, wanted)
    return replace(terms, charges=await points.charges(call.person, call.chat, quotes), quote_over=points.quote_over)


async def quotes_of(call: Call, wanted: Sequence[Wanted]) -> list[Quote]:
    """What each run will likely cost."""
    runs = {one.workflow.name: await call.runtime.store.get(RUNS, one.workflow.name) for one in wanted}
    quotes = []
    for one in wanted:
        known = runs[one.workflow.name]
        job = draft(one, call.person.key, call.address, call.runtime.clock.now())
        quotes.append(await call.runtime.points.quote(one.workflow, job, known))
    return quotes


async def own_bounds(runtime: "Runtime", person: Person) -> Bounds:
    """The person's limits: those of their tier, else everybody's."""
    limits = runtime.settings.limits
    name = await runtime.points.tier(person)
    tier = runtime.settings.tiers.get(name) or TierSettings()
    return Bounds(
        open_orders=limits.open_orders if tier.open_orders is None else tier.open_orders,
        daily_orders=limits.daily_orders if tier.daily_orders is None else tier.daily_orders,
    )


def again(runtime: "Runtime", job: Job, changes: Mapping[str, Any]) -> tuple[Workflow, dict[str, Any]]:
    """The workflow of a job as it is now, and the job's values with these changes. Raises BadInput when it is gone."""
    workflow = runtime.catalogue.get(job.workflow)
    if workflow is None:
        raise BadInput(words.workflow_gone(job.title))
    names = {one.name for one in workflow.inputs if not one.hidden}
    kept = {name: job.files.get(str(value), value) for name, value in job.values.items() if name in names}
    return workflow, {**kept, **changes}


def new_seed(workflow: Workflow) -> dict[str, int]:
    """Changes that draw each seed anew that people may set; a hidden one is drawn for every run, unless its author fixed it."""
    return {one.name: -1 for one in workflow.inputs if one.role == "seed" and not one.hidden}


def has_seed(workflow: Workflow) -> bool:
    """Whether two runs with the same words give different things."""
    return any(one.role == "seed" and (not one.hidden or one.default in (None, -1)) for one in workflow.inputs)


def picture_input(workflow: Workflow) -> str:
    """The name of the input that takes a picture; "" when nobody may give it one."""
    return next((one.name for one in workflow.inputs if one.role == "image" and not one.hidden), "")


def offers(catalogue: Catalogue, workflow: str) -> frozenset[Verb]:
    """What this catalogue can do with a result of the workflow, beyond what every result offers."""
    made_by, enlarger = catalogue.get(workflow), catalogue.get(UPSCALE)
    found: set[Verb] = set()
    if made_by is not None and has_seed(made_by):
        found.add("vary")
    if enlarger is not None and picture_input(enlarger):
        found.add("upscale")
    return frozenset(found)
