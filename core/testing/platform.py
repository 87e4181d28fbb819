"""A chat network in memory that can do everything, and whose faults a test decides."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from ..chat.capabilities import ButtonRules, Capabilities, RateRules
from ..chat.dialects import PlainDialect
from ..chat.messages import Body, ChatRef, Event, FileRef, FirstAnswer, Outgoing, Receipt
from ..chat.platform import Gateway
from ..errors import Gone

ROOMY = Capabilities(
    dialect=PlainDialect(),
    buttons=ButtonRules(per_row=5, total=25, label=80, payload=100),
    album=10,
    edit_text=True,
    edit_media=True,
    delete=True,
    private=True,
    busy=True,
    reactions=True,
    finds=True,
    rate=RateRules(edit_seconds=0.01),
    inline_types=frozenset({"image/png", "image/jpeg", "image/webp"}),
)
"""Can do all, except forms."""


@dataclass(slots=True)
class Shown:
    """A message that people see. edits: every look that it had before this one."""

    id: str
    message: Outgoing
    edits: list[Outgoing] = field(default_factory=list)

    @property
    def text(self) -> str:
        return PlainDialect().render(self.message.text) if self.message.text else ""

    def button(self, label: str) -> str:
        """The payload under a label that contains this."""
        return next(b.payload for row in self.message.buttons for b in row if label.lower() in b.label.lower())


async def _nothing(_: str) -> None:
    """What a hook does until a test sets it."""


class FakePlatform:
    """shown: what is visible, in order.

    before_send, before_edit, before_capabilities: called first; what they raise is what the method raises.
    after_send: called once the message is visible; raising there is a send whose answer was lost. answering: cleared, sends
    become visible but do not return. before_signal: awaited first, with the sign; one that never returns is a network that hangs.
    """

    def __init__(self, name: str = "fake", can: Capabilities = ROOMY) -> None:
        self.name = name
        self.can = can
        self.shown: dict[str, Shown] = {}
        self.files: dict[str, bytes] = {}
        self.signals: list[str] = []
        self.before_send: Callable[[Outgoing], None] = lambda _: None
        self.after_send: Callable[[Outgoing], None] = lambda _: None
        self.before_edit: Callable[[Outgoing], None] = lambda _: None
        self.before_capabilities: Callable[[], None] = lambda: None
        self.before_signal: Callable[[str], Awaitable[None]] = _nothing
        self.answering = asyncio.Event()
        self.answering.set()
        self.moved = asyncio.Event()
        self.gateway: Gateway | None = None
        self._ids = itertools.count(1)
        self._events = itertools.count(1)

    def capabilities(self, chat: ChatRef | None = None) -> Capabilities:
        self.before_capabilities()
        return self.can

    async def run(self, gateway: Gateway) -> None:
        self.gateway = gateway
        gateway.connected(self.name)
        self._move()
        await asyncio.Event().wait()

    async def send(self, message: Outgoing) -> Receipt:
        self.before_send(message)
        key = str(next(self._ids))
        self.shown[key] = Shown(key, message)
        self._move()
        await self.answering.wait()
        self.after_send(message)
        return Receipt(chat=message.chat, ids=(key,), editable=True, deletable=True)

    async def edit(self, receipt: Receipt, message: Outgoing) -> Receipt:
        self.before_edit(message)
        shown = self.shown.get(receipt.ids[0])
        if shown is None:
            raise Gone("that message was deleted")
        shown.edits.append(shown.message)
        shown.message = message
        self._move()
        return receipt

    async def delete(self, receipt: Receipt) -> None:
        self.shown.pop(receipt.ids[0], None)
        self._move()

    async def find(self, message: Outgoing) -> Receipt | Literal["absent", "unknown"]:
        for key, shown in self.shown.items():
            if shown.message.key == message.key or any(old.key == message.key for old in shown.edits):
                return Receipt(chat=message.chat, ids=(key,), editable=True, deletable=True)
        return "absent"

    async def signal(
        self, chat: ChatRef, what: Literal["busy", "seen", "done", "failed"], message_id: str = ""
    ) -> None:
        await self.before_signal(what)
        self.signals.append(what)
        self._move()

    async def read(self, file: FileRef) -> AsyncIterator[bytes]:
        if file.ref not in self.files:
            raise Gone("that file is gone")
        yield self.files[file.ref]

    # --- what a test does as a person

    def share(self, network: "FakePlatform") -> None:
        """Show what this one shows: one network, as two processes see it."""
        self.shown, self._ids = network.shown, network._ids

    def chat(self, chat: str = "room", *, direct: bool = True) -> ChatRef:
        return ChatRef(platform=self.name, chat=chat, direct=direct)

    def event(self, body: Body, *, sender: str = "ada", chat: str = "room", direct: bool = True) -> Event:
        """A new event, with keys of its own."""
        n = next(self._events)
        handle = f"{self.name.partition('.')[0]}:{sender}"
        where = self.chat(chat, direct=direct)
        return Event(keys=(f"event-{n}", f"said-{n}"), chat=where, sender=handle, name=sender, body=body)

    @property
    def handle(self) -> str:
        """Of the account itself."""
        return f"{self.name.partition('.')[0]}:chatelier"

    async def receive(self, event: Event) -> FirstAnswer:
        """Hand an event in, as soon as the account is on line; nothing where the account said it itself."""
        if event.sender == self.handle:
            return None
        await self.until(lambda: self.gateway is not None)
        assert self.gateway is not None  # noqa: S101 - just waited for
        return await self.gateway.receive(event)

    async def until(self, true: Callable[[], object], seconds: float = 10.0) -> None:
        """Waits until something that is visible is so. Raises TimeoutError with what is visible."""
        try:
            async with asyncio.timeout(seconds):
                while not true():
                    self.moved.clear()
                    await self.moved.wait()
        except TimeoutError:
            raise TimeoutError(f"visible is: {[shown.text for shown in self.shown.values()]}") from None

    @property
    def texts(self) -> list[str]:
        return [shown.text for shown in self.shown.values()]

    @property
    def last(self) -> Shown:
        return list(self.shown.values())[-1]

    def _move(self) -> None:
        self.moved.set()


def with_capabilities(**changes: object) -> Capabilities:
    """ROOMY with other values."""
    return replace(ROOMY, **changes)  # type: ignore[arg-type] # fields by name
