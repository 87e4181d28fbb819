"""What came of one event, for whoever waits for it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .chat.inbox import ARRIVALS, Arrival, conversation
from .chat.messages import ChatRef
from .chat.outbox import MESSAGES, Message
from .generation.jobs import JOBS, ORDERS, Order

if TYPE_CHECKING:
    from .gateway import Runtime

LOOK_SECONDS = 0.5
"""Besides the store's hints, which may be lost."""
RECENT = 100
"""Messages among which the latest one with files is looked for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """state: of its job, or "done", "refused", "set aside" for what made none. job: the first one, or "".

    ids: the native messages that answer it, in order, without the one that only showed progress.
    undelivered: why answers could not be shown, a sentence each.
    """

    state: str
    job: str = ""
    ids: tuple[str, ...] = ()
    undelivered: tuple[str, ...] = ()


async def outcome_of(runtime: "Runtime", account: str, event: str) -> Outcome:
    """Waits until the event was handled, its order closed and everything about it sent or failed."""
    changes = runtime.store.changes(ARRIVALS, ORDERS, MESSAGES)
    while True:
        if outcome := await _look(runtime, account, event):
            return outcome
        await changes.wait(LOOK_SECONDS)


async def job_of(runtime: "Runtime", account: str, event: str) -> str:
    """The first job that the event asked for, as soon as it is there; "" when it asked for none."""
    changes = runtime.store.changes(ARRIVALS, ORDERS)
    while True:
        arrival = await _arrival(runtime, account, event)
        if arrival is not None and arrival.state != "new":
            order = await runtime.store.get(ORDERS, arrival.key, by="event")
            return order.jobs[0] if order else ""
        await changes.wait(LOOK_SECONDS)


async def latest_media(runtime: "Runtime", chat: ChatRef) -> str:
    """The id of our latest message in this conversation that shows files, for `Said.reply_to`; "" when there is none."""
    where = conversation(chat)
    recent = await runtime.store.find(MESSAGES, {"conversation": where}, order="place", descending=True, limit=RECENT)
    return next((one.shown[0].removeprefix(f"{where}|") for one in recent if one.shown and one.reply.media), "")


async def _arrival(runtime: "Runtime", account: str, event: str) -> Arrival | None:
    return await runtime.store.get(ARRIVALS, f"{account}:{event}", by="keys")


async def _look(runtime: "Runtime", account: str, event: str) -> Outcome | None:
    arrival = await _arrival(runtime, account, event)
    if arrival is None or arrival.state == "new":
        return None
    order = await runtime.store.get(ORDERS, arrival.key, by="event")
    if order is not None and order.state == "open":
        return None
    messages = await runtime.store.find(MESSAGES, {"event": arrival.key}, order="place", limit=1_000)
    if any(message.state in ("pending", "sending") for message in messages):
        return None
    answers = [message for message in messages if order is None or message.key != order.card]
    return Outcome(
        await _state(runtime, arrival, order),
        order.jobs[0] if order else "",
        tuple(id_ for message in answers for receipt in message.receipts for id_ in receipt.ids),
        tuple(_why(message) for message in answers if message.state == "failed"),
    )


async def _state(runtime: "Runtime", arrival: Arrival, order: Order | None) -> str:
    if order is not None:
        job = await runtime.store.get(JOBS, order.jobs[0])
        return job.state if job else "done"
    if arrival.state == "aside":
        return "set aside"
    return "refused" if arrival.words else "done"


def _why(message: Message) -> str:
    return message.words or "It could not be sent."
