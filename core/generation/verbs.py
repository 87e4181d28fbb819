"""What the buttons of a job do. Rights are checked against the job when one is pressed."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from ..chat import words as chat_words
from ..chat.buttons import OnJob, Verb
from ..chat.messages import FILE_TYPES, Ask, Button, Event, Form, Option, Pressed, Reply, Submitted
from ..chat.outbox import message_in, post
from ..commands.call import Call
from ..commands.forms import form_for
from ..commands.menus import show_menu
from ..commands.options import check_value
from ..commands.parse import typed
from ..errors import BadInput
from ..media.intake import stored
from ..storage import Tx
from ..values import replace
from . import results, words
from .jobs import JOBS, ORDERS, RESULTS, Job, results_of
from .orders import cancel_job
from .workflow_commands import (
    UPSCALE,
    again,
    command_for,
    draw_seed,
    has_seed,
    new_seed,
    offers,
    order,
    order_all,
    picture_input,
    wanted_run,
)

if TYPE_CHECKING:
    from ..gateway import Runtime

Values = Mapping[str, Any]
"""Of the form that a button has, or the options of a command that does the same; else none."""
EVERYBODY: frozenset[Verb] = frozenset({"again", "vary", "tweak", "upscale", "original", "info"})
"""Whoever sees a result may do these; what they make of it is an order of their own."""
MAKING: frozenset[Verb] = frozenset({"again", "vary", "tweak"})
"""These call the job's command anew, so plugins are asked as for any call of it."""
VARIED = Option(
    name="count",
    type="integer",
    label="How many",
    description="How many variations, each with a seed of its own",
    default=4,
    minimum=1,
    maximum=results.AT_ONCE,
)


async def press(call: Call, button: OnJob, values: Values) -> None:
    """Do what a button says. values: of its form, where it has one."""
    job = await call.runtime.store.get(JOBS, button.job)
    if job is None:
        is_button = isinstance(call.event.body, Pressed | Submitted)
        raise BadInput(chat_words.BUTTON_GONE if is_button else words.NO_SUCH_JOB)
    if button.verb not in EVERYBODY and not may(call, job):
        raise BadInput(chat_words.BUTTON_OTHERS)
    command = job.workflow if button.verb in MAKING else UPSCALE if button.verb == "upscale" else ""
    if command and (refusal := await call.runtime.refusal(call.event, command)):
        raise BadInput(refusal)
    await DEEDS[button.verb](call, job, values)


def may(call: Call, job: Job) -> bool:
    """Its person and operators may do all."""
    return job.person == call.person.key or call.operator


async def _again(call: Call, job: Job, _: Values) -> None:
    workflow, merged = again(call.runtime, job, {})
    await order(call, workflow, {**merged, **new_seed(workflow)})


async def _vary(call: Call, job: Job, values: Values) -> None:
    """Several at once, one order: the same but for the seed, of which no two are alike where its range allows."""
    workflow, merged = again(call.runtime, job, {})
    if not has_seed(workflow):
        raise BadInput(words.cannot_vary(job.title))
    wanted = int(check_value(VARIED, values.get(VARIED.name, VARIED.default)))
    seeds = count(draw_seed())
    changed = {**merged, **new_seed(workflow)}
    await order_all(call, [wanted_run(workflow, changed, lambda: next(seeds)) for _ in range(wanted)])


async def _upscale(call: Call, job: Job, _: Values) -> None:
    """Its pictures through the workflow of that name, all of them as one order."""
    workflow = call.runtime.catalogue.get(UPSCALE)
    name = picture_input(workflow) if workflow else ""
    if workflow is None or not name:
        raise BadInput(words.NO_UPSCALE)
    found = results.pictures(await results_of(call.runtime.store, job.key))[: results.AT_ONCE]
    if not found:
        raise BadInput(words.NO_PICTURE)
    command = command_for(workflow)
    # As if each were sent in: a picture that is too large to be taken is refused in the same words.
    files = [await call.runtime.read_files(command, {name: stored(blob)}) for blob in found]
    prompt = {
        one.name: job.values[one.name]
        for one in workflow.inputs
        if one.role == "prompt" and one.required and one.name in job.values
    }
    await order_all(call, [wanted_run(workflow, {**prompt, **values}) for values in files])


async def _original(call: Call, job: Job, _: Values) -> None:
    """As files, which no network scales or compresses."""
    files = results.originals(job, await results_of(call.runtime.store, job.key))
    if not files:
        raise BadInput(words.NO_ORIGINAL)
    await call.commit(None, Reply(text=words.originals(len(files)), media=files, private=True))


async def _info(call: Call, job: Job, _: Values) -> None:
    await call.commit(None, Reply(text=results.info(job), private=True))


async def _cancel(call: Call, job: Job, _: Values) -> None:
    """It alone. The card of an order with several jobs does not say what became of one of them."""
    found = await call.runtime.store.get(ORDERS, job.order)
    await _end(call, [job.key], on_card=found is None or len(found.jobs) == 1)


async def _stop(call: Call, job: Job, _: Values) -> None:
    """Every job of its order that has not ended."""
    found = await call.runtime.store.get(ORDERS, job.order)
    await _end(call, found.jobs if found else [job.key], on_card=True)


async def _end(call: Call, jobs: Sequence[str], *, on_card: bool) -> None:
    """Cancel them, or ask their holders to. on_card: where a button was pressed, the card says so itself."""
    is_told = on_card and isinstance(call.event.body, Pressed)

    async def work(tx: Tx) -> None:
        said = [await cancel_job(tx, key) for key in jobs]
        told = next((one for one in (words.CANCELLING, words.CANCELLED, words.TOO_LATE) if one in said), said[0])
        if not (is_told and told in (words.CANCELLING, words.CANCELLED)):
            reply = Reply(text=told, private=True)
            await post(tx, call.address, [reply], cause=f"cancel {call.arrival.key}", event=call.arrival.key)

    await call.commit(work)


async def _show(call: Call, job: Job, _: Values) -> None:
    """The result again, with live buttons, in this chat."""
    if job.open:
        await call.commit(None, Reply(text=words.still_open(job)))
        return
    if job.state != "done":
        await call.commit(None, Reply(text=results.info(job)))
        return
    found = await results_of(call.runtime.store, job.key)
    await call.commit(None, results.reply(job, found, offers(call.runtime.catalogue, job.workflow)))


async def _tweak(call: Call, job: Job, values: Values) -> None:
    workflow, _ = again(call.runtime, job, {})
    command = command_for(workflow)
    if not values:
        used = {name: job.files.get(str(value)) for name, value in job.values.items()}
        files = {name: stored(blob) for name, blob in used.items() if blob is not None}
        await show_menu(call, command, {**job.said, **files})
        return
    workflow, merged = again(call.runtime, job, await call.runtime.read_files(command, typed(values, command)))
    await order(call, workflow, merged)


def tweak_form(job: Job, event: Event, runtime: "Runtime") -> Ask | None:
    """All inputs with the values used; None when the workflow is gone."""
    workflow = runtime.catalogue.get(job.workflow)
    if workflow is None or not isinstance(event.body, Pressed):
        return None
    form = form_for(command_for(workflow), job.said, OnJob(job=job.key, verb="tweak").payload)
    # A file that was used stays when no other one is given.
    fields = tuple(replace(field, required=False) if field.type in FILE_TYPES else field for field in form.fields)
    return Ask(form=Form(key=form.key, title=words.tweak_title(job.title), fields=fields, values=form.values))


async def _hide(call: Call, job: Job, _: Values) -> None:
    """Take the result out of the message that carries the button; what it was stays on record, and can be shown again."""
    body = call.event.body
    message_id = body.message_id if isinstance(body, Pressed) else ""
    shown = await message_in(call.runtime.store, call.chat, message_id)
    if shown is None:
        raise BadInput(chat_words.BUTTON_GONE)
    back = Button(label=words.SHOW, payload=OnJob(job=job.key, verb="show").payload)

    async def work(tx: Tx) -> None:
        arrival = call.arrival.key
        reply = Reply(text=words.HIDDEN, buttons=((back,),))
        await post(tx, call.address, [reply], cause=f"hide {arrival}", event=arrival, job=job.key, replaces=shown.key)

    await call.commit(work)


async def _up(call: Call, job: Job, _: Values) -> None:
    await _rate(call, job, 1)


async def _down(call: Call, job: Job, _: Values) -> None:
    await _rate(call, job, -1)


async def _rate(call: Call, job: Job, rating: int) -> None:
    async def work(tx: Tx) -> None:
        for result in await results_of(tx, job.key):
            await tx.replace(RESULTS, replace(result, ratings={**result.ratings, call.person.key: rating}))

    await call.commit(work, Reply(text=words.RATED, private=True))


DEEDS: Mapping[Verb, Callable[[Call, Job, Values], Awaitable[None]]] = {
    "again": _again,
    "vary": _vary,
    "tweak": _tweak,
    "upscale": _upscale,
    "original": _original,
    "info": _info,
    "hide": _hide,
    "show": _show,
    "up": _up,
    "down": _down,
    "cancel": _cancel,
    "stop": _stop,
}
