"""Buttons under a result: again, tweak, info, hide, rate, cancel, show. Rights are checked against the job when pressed."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..chat import words as chat_words
from ..chat.buttons import OnJob, Verb
from ..chat.messages import FILE_TYPES, Ask, Button, Event, Form, Pressed, Reply, Submitted
from ..chat.outbox import message_in, post
from ..commands.call import Call
from ..commands.forms import form_for
from ..commands.parse import typed
from ..commands.spell import line_of
from ..errors import BadInput
from ..storage import Tx
from . import results, words
from .jobs import JOBS, RESULTS, Job, results_of
from .orders import ask_to_cancel
from .workflow_commands import again, command_for, new_seed, order

if TYPE_CHECKING:
    from ..gateway import Runtime

Values = Mapping[str, Any]
"""Of the form that a button has, else none."""
EVERYBODY: frozenset[Verb] = frozenset({"again", "tweak", "info"})
MAKING: frozenset[Verb] = frozenset({"again", "tweak"})
"""These call the job's command anew, so plugins are asked as for any call of it."""


async def press(call: Call, button: OnJob, values: Values) -> None:
    """Do what a button says. values: of its form, where it has one."""
    job = await call.runtime.store.get(JOBS, button.job)
    if job is None:
        is_button = isinstance(call.event.body, Pressed | Submitted)
        raise BadInput(chat_words.BUTTON_GONE if is_button else words.NO_SUCH_JOB)
    if button.verb not in EVERYBODY and not may(call, job):
        raise BadInput(chat_words.BUTTON_OTHERS)
    if button.verb in MAKING and (refusal := await call.runtime.refusal(call.event, job.workflow)):
        raise BadInput(refusal)
    await DEEDS[button.verb](call, job, values)


def may(call: Call, job: Job) -> bool:
    """Its person and operators may do all."""
    return job.person == call.person.key or call.operator


async def _again(call: Call, job: Job, _: Values) -> None:
    workflow, merged = again(call.runtime, job, {})
    await order(call, workflow, {**merged, **new_seed(workflow)})


async def _info(call: Call, job: Job, _: Values) -> None:
    await call.commit(None, Reply(text=results.info(job), private=True))


async def _cancel(call: Call, job: Job, _: Values) -> None:
    """Cancel it, or ask its holder to. Where its own button was pressed the card says so itself."""
    on_card = isinstance(call.event.body, Pressed)

    async def work(tx: Tx) -> None:
        said = await ask_to_cancel(tx, job.key)
        if not (on_card and said in (words.CANCELLING, words.CANCELLED)):
            reply = Reply(text=said, private=True)
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
    await call.commit(None, results.reply(job, await results_of(call.runtime.store, job.key)))


async def _tweak(call: Call, job: Job, values: Values) -> None:
    workflow, _ = again(call.runtime, job, {})
    command = command_for(workflow)
    if not values:
        line = words.tweak_by_hand(line_of(command, job.said), with_files=bool(job.files))
        await call.commit(None, Reply(text=line, private=True))
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
    "tweak": _tweak,
    "info": _info,
    "hide": _hide,
    "show": _show,
    "up": _up,
    "down": _down,
    "cancel": _cancel,
}
