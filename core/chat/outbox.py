"""The outbox: what is to be said is a record before anybody says it.

pending → sending → sent, with a receipt for every native message, or failed with words. `line.py` does the sending.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ..keys import derived
from ..media.renditions import Copy
from ..storage import Kind, Query, Reads, Record, Time, Tx
from .inbox import conversation
from .messages import ChatRef, Event, Receipt, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Record):
    """One reply on its way to one conversation. key: 22 characters, the first native message's `Outgoing.key`.

    place: sorts the messages of a conversation as they were committed, whatever clocks do.
    part: the first native message without a receipt.
    shown: "conversation|id" of each native message, so that an answer to it finds it. replaces: the card whose place it takes.
    again: a part may have been sent before; that is said with it. repeated: which part. due: not before this moment.
    tries: sends that failed though the network was there.
    instead_of: the message that could not be sent, for words that tell so; nothing is sent in their stead.
    copies: what is shown in place of a file that the network could not show as it is, by the file's sha256.
    answers: the id of the message that asked; it gets `sign`, where the network has such, once this one is out.
    """

    account: str
    conversation: str
    chat: ChatRef
    reply: Reply
    place: str
    state: Literal["pending", "sending", "sent", "failed"] = "pending"
    part: int = 0
    receipts: tuple[Receipt, ...] = ()
    shown: tuple[str, ...] = ()
    tries: int = 0
    again: bool = False
    repeated: int | None = None
    due: Time
    reply_to: str = ""
    private_to: str = ""
    native: Mapping[str, str] = field(default_factory=dict)
    event: str = ""
    order: str = ""
    job: str = ""
    replaces: str = ""
    instead_of: str = ""
    words: str = ""
    copies: Mapping[str, Copy] = field(default_factory=dict)
    answers: str = ""
    sign: Literal["", "seen", "done", "failed"] = ""
    created: Time


MESSAGES = Kind(
    name="messages",
    record=Message,
    unique=("shown",),
    queries=(
        Query(("account", "state"), "place"),
        Query(("conversation",), "place"),
        Query(("state",), "place"),
        Query(("event",), "place"),
        Query(("order",), "place"),
        Query((), "created"),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where answers to an event go, and as what."""

    chat: ChatRef
    sender: str
    reply_to: str = ""
    native: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, event: Event) -> "Address":
        return cls(chat=event.chat, sender=event.sender, reply_to=event.keys[-1], native=event.native)


Begin = Callable[[Tx, Message, Message | None], Awaitable[Message]]
"""Whoever sends for the account may take a message over before it is stored: it is *sending* then, and needs no second write.

It is given the message and the one before it in its conversation.
"""


async def as_it_is(_: Tx, row: Message, __: Message | None) -> Message:
    """Nobody sends for the account here."""
    return row


async def post(
    tx: Tx,
    to: Address,
    replies: Sequence[Reply],
    *,
    cause: str,
    event: str = "",
    order: str = "",
    job: str = "",
    replaces: str = "",
    instead_of: str = "",
    sign: Literal["", "seen", "done", "failed"] = "",
    begin: Begin = as_it_is,
) -> tuple[Message, ...]:
    """Put replies into the outbox, in this order. Their keys follow from `cause`, so that doing it again is Exists, never twice.

    begin: `Line.begin` of the account, if it is held here.
    """
    if not replies:
        return ()
    where = conversation(to.chat)
    latest = await tx.find(MESSAGES, {"conversation": where}, order="place", descending=True, limit=1)
    place = latest[0].place if latest else ""
    rows = list(latest)
    for n, reply in enumerate(replies):
        place = _next_place(place, tx.now)
        row = Message(
            key=derived("message", cause, str(n)),
            account=to.chat.platform,
            conversation=where,
            chat=to.chat,
            reply=reply,
            place=place,
            due=tx.now,
            reply_to=to.reply_to if reply.quote else "",
            private_to=to.sender if reply.private and not to.chat.direct else "",
            native=to.native,
            event=event,
            order=order,
            job=job,
            replaces=replaces,
            instead_of=instead_of,
            answers=to.reply_to,
            sign=sign,
            created=tx.now,
        )
        rows.append(await tx.insert(MESSAGES, await begin(tx, row, rows[-1] if rows else None)))
    return tuple(rows[len(latest) :])


async def post_instead(tx: Tx, failed: Message, text: str) -> None:
    """Words to a conversation in the place of a message that cannot be sent there; they take its card's place too."""
    reply = Reply(text=text, private=bool(failed.private_to), quote=bool(failed.reply_to))
    to = Address(chat=failed.chat, sender=failed.private_to, reply_to=failed.answers, native=failed.native)
    await post(
        tx,
        to,
        [reply],
        cause=f"instead of {failed.key}",
        event=failed.event,
        order=failed.order,
        job=failed.job,
        replaces=failed.replaces,
        instead_of=failed.key,
        sign="failed",
    )


async def message_in(reads: Reads, chat: ChatRef, id_: str) -> Message | None:
    """The message of this conversation that shows the native message, or whose key this is: one on its way has no id yet."""
    where = conversation(chat)
    row = await reads.get(MESSAGES, f"{where}|{id_}", by="shown") or await reads.get(MESSAGES, id_)
    return row if row is not None and row.conversation == where else None


def _next_place(last: str, now: datetime) -> str:
    """The moment and a number among those of the same; after `last` also when the clock was turned back."""
    moment, number = moment_of(now), 0
    if last >= moment:
        moment, number = last.partition(".")[0], int(last.partition(".")[2]) + 1
    return f"{moment}.{number:06d}"


def moment_of(now: datetime) -> str:
    """What a place begins with: milliseconds since 1970."""
    return f"{int(now.timestamp() * 1000):013d}"
