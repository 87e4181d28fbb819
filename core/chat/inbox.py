"""The inbox: an event is a record before anybody acts on it, and is handled once.

It is claimed, tries + 1, before its handler runs. The third time it is set aside, and the next ones of its conversation pass.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from ..errors import Exists
from ..keys import token
from ..leases import LEASE_SECONDS, held
from ..storage import Kind, Leased, Query, Store, Time, Tx
from ..values import replace
from . import words
from .messages import ChatRef, Event, Said

TRIES = 3


def conversation(chat: ChatRef) -> str:
    """One line of talk: replies in it come in order."""
    return f"{chat.platform}|{chat.chat}|{chat.thread}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival(Leased):
    """An event and what became of it. keys: the event's, each with its account before it.

    words: why it was refused or set aside, or what was asked about it; "" where it was done.
    """

    keys: tuple[str, ...]
    account: str
    event: Event
    state: Literal["new", "handled", "aside"] = "new"
    tries: int = 0
    received: Time
    words: str = ""


ARRIVALS = Kind(
    name="events",
    record=Arrival,
    unique=("keys",),
    queries=(Query(("account", "state"), "due"), Query(("state",), "received"), Query((), "received")),
)


class Inbox:
    """Events of the accounts that this process serves.

    owner: this process, in leases.
    """

    def __init__(self, store: Store, owner: str) -> None:
        self.store = store
        self.owner = owner

    async def accept(self, event: Event, work: Callable[[Tx], Awaitable[object]] | None = None) -> Arrival:
        """Store a new event, claimed by this process at once. Raises Exists for a repeat, and for an edit that comes too late.

        work: what answers it right away, in the same transaction; then nobody handles it any more.
        """
        key = token()
        keys = tuple(f"{event.chat.platform}:{name}" for name in event.keys)

        async def everything(tx: Tx) -> Arrival:
            if isinstance(event.body, Said) and event.body.edited:
                await _give_way(tx, keys[-1], event.body)
            if work is not None:
                await work(tx)
            return await tx.insert(
                ARRIVALS,
                Arrival(
                    key=key,
                    keys=keys,
                    account=event.chat.platform,
                    event=event,
                    state="new" if work is None else "handled",
                    received=tx.now,
                    tries=1,
                    owner=self.owner,
                    fence=1,
                    due=tx.now + timedelta(seconds=LEASE_SECONDS) if work is None else None,
                ),
            )

        return await self.store.atomically(everything)

    async def join(self, whole: Arrival, others: Sequence[Arrival]) -> Arrival:
        """Keep what several events became under one of them; the others are handled. Raises Lost when one is not ours any more."""

        async def work(tx: Tx) -> Arrival:
            for other in others:
                await finish(tx, other, self.owner, words=words.JOINED)
            current = await held(tx, ARRIVALS, whole.key, self.owner, whole.fence)
            return await tx.replace(ARRIVALS, replace(current, event=whole.event))

        return await self.store.atomically(work)

    async def by_message(self, account: str, message_id: str) -> Arrival | None:
        """The event of a person's message, by the message's own id."""
        return await self.store.get(ARRIVALS, f"{account}:{message_id}", by="keys")

    async def claim(self, accounts: Sequence[str]) -> Arrival | None:
        """The first event of these accounts that nobody works on: its handler died, or asked for another try."""

        async def work(tx: Tx) -> Arrival | None:
            for account in accounts:
                where = {"account": account, "state": "new"}
                if arrival := await tx.claim(ARRIVALS, where, owner=self.owner, seconds=LEASE_SECONDS):
                    return await tx.replace(ARRIVALS, replace(arrival, tries=arrival.tries + 1))
            return None

        return await self.store.atomically(work)

    async def again(self, arrival: Arrival, seconds: float, *, counts: bool = True) -> None:
        """Let it be claimed once more, `seconds` from now. counts: this was a try. Raises Lost when it is not ours any more."""

        async def work(tx: Tx) -> None:
            current = await held(tx, ARRIVALS, arrival.key, self.owner, arrival.fence)
            due, tries = tx.now + timedelta(seconds=seconds), current.tries if counts else current.tries - 1
            await tx.replace(ARRIVALS, replace(current, owner="", due=due, tries=tries))

        await self.store.atomically(work)


async def _give_way(tx: Tx, key: str, said: Said) -> None:
    """The first version of an edited message leaves its id to the next one, unless something came of it. Raises Exists then."""
    first = await tx.get(ARRIVALS, key, by="keys")
    body = first.event.body if first else None
    if first is None or not isinstance(body, Said) or first.state != "handled":
        raise Exists("it is being handled, or is not known any more")
    if not first.words or first.words == words.JOINED or body.text == said.text:
        raise Exists("it was done already")
    await tx.replace(ARRIVALS, replace(first, keys=tuple(one for one in first.keys if one != key)))


async def finish(
    tx: Tx, arrival: Arrival, owner: str, state: Literal["handled", "aside"] = "handled", words: str = ""
) -> None:
    """Mark it within the transaction that answers it. Raises Lost when somebody else took it over."""
    current = await held(tx, ARRIVALS, arrival.key, owner, arrival.fence)
    await tx.replace(ARRIVALS, replace(current, state=state, words=words, owner="", due=None))
