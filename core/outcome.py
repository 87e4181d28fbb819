"""What came of one event, for whoever waits for it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .chat.inbox import ARRIVALS
from .chat.outbox import MESSAGES
from .generation.jobs import JOBS, ORDERS

if TYPE_CHECKING:
    from .gateway import Runtime

LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """state: of its job, or "done", "refused", "set aside" for what made none. job: the first one, or "".

    card: the key of the message that showed its progress, or "".
    """

    state: str
    job: str = ""
    card: str = ""


async def outcome_of(runtime: "Runtime", account: str, event: str) -> Outcome:
    """Waits until the event was handled, its order closed and everything about it sent or failed."""
    changes = runtime.store.changes(ARRIVALS, ORDERS, MESSAGES)
    while True:
        if outcome := await _look(runtime, account, event):
            return outcome
        await changes.wait(LOOK_SECONDS)


async def _look(runtime: "Runtime", account: str, event: str) -> Outcome | None:
    arrival = await runtime.store.get(ARRIVALS, f"{account}:{event}", by="keys")
    if arrival is None or arrival.state == "new":
        return None
    order = await runtime.store.get(ORDERS, arrival.key, by="event")
    if order is not None and order.state == "open":
        return None
    messages = await runtime.store.find(MESSAGES, {"event": arrival.key}, order="place", limit=1_000)
    if any(message.state in ("pending", "sending") for message in messages):
        return None
    if order is not None:
        job = await runtime.store.get(JOBS, order.jobs[0])
        return Outcome(job.state if job else "done", order.jobs[0], order.card)
    if arrival.state == "aside":
        return Outcome("set aside")
    return Outcome("refused" if arrival.words else "done")
