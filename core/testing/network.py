"""A person's side of a network, which the conformance suite needs, and what a check does with it."""

import asyncio
import io
import os
import re
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from ..chat.capabilities import Capabilities
from ..chat.document import Document, Paragraph, Text
from ..chat.fit import fit
from ..chat.messages import ChatRef, Event, Media, Outgoing, Receipt, Reply
from ..chat.platform import Platform
from ..keys import token
from .scripted import ScriptedGateway

PROVED = ""
"""What a check returns that asked everything."""
NOT_DECLARED = "not declared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visible:
    """A message of the account as the person sees it now.

    id: the network's own, as in `Receipt.ids`. text: without markup. media: bytes of each file shown. buttons: their labels.
    """

    id: str
    text: str = ""
    media: tuple[bytes, ...] = ()
    buttons: tuple[str, ...] = ()


class Network(Protocol):
    """A person in one conversation with the account. What the platform does not declare may raise NotImplementedError."""

    @property
    def platform(self) -> Platform: ...

    async def say(self, text: str) -> None:
        """Returns when the network took it; the event may still be on its way."""
        ...

    async def repeat(self, *, as_other: bool = False) -> None:
        """The network delivers the last message again. Nothing, where it never does.

        as_other: under another event id, where events have ids beside their messages'.
        """
        ...

    async def visible(self) -> Sequence[Visible]:
        """What the account said, the oldest first."""
        ...

    async def press(self, message_id: str, label: str) -> None:
        """The first button of this message with this label."""
        ...

    async def submit(self, values: Mapping[str, str]) -> None:
        """Fill in the form that is shown, waiting for it first."""
        ...

    async def call(self, command: str, options: Mapping[str, str]) -> None:
        """A command with typed options."""
        ...

    async def attach(self, data: bytes, name: str) -> None:
        """A message that is one file."""
        ...

    async def complete(self, command: str, option: str, typed: str) -> Sequence[str]:
        """What the network proposes; `option` "" for the command's name."""
        ...


@runtime_checkable
class Echoes(Protocol):
    """A network that tells an account what it said itself."""

    async def echo(self) -> None:
        """The account's last message, as an event of its own."""
        ...


@runtime_checkable
class HoldsBack(Protocol):
    """A network that can be made to want a pause."""

    async def hold_back(self, seconds: int) -> None:
        """The next message is refused, with so long to wait."""
        ...


@runtime_checkable
class Cuts(Protocol):
    """A network that can be cut off from the account."""

    async def cut(self) -> None:
        """Every connection breaks; the network is there again when this returns."""
        ...


@runtime_checkable
class Garbles(Protocol):
    """A network that can be made to deliver nonsense."""

    async def garble(self) -> None:
        """An event that nobody can read."""
        ...


@runtime_checkable
class Threads(Protocol):
    """A network that has threads, or topics."""

    def in_thread(self) -> Network:
        """The same person in a thread of a group; `visible` is what stands in the thread."""
        ...


@runtime_checkable
class Groups(Protocol):
    """A network on which several people read the same."""

    def in_group(self) -> Network:
        """The same person in a group; `visible` is what everybody there sees."""
        ...


@runtime_checkable
class Waits(Protocol):
    """A network that waits for an answer to each press, and not for long.

    acknowledge_seconds: so long, as the vendor says.
    """

    acknowledge_seconds: float

    async def acknowledged(self) -> None:
        """Returns once the account answered the last press."""
        ...


MakeNetwork = Callable[[ScriptedGateway], AbstractAsyncContextManager[Network]]
"""Runs a new account on this gateway until its end, and gives a person on it, as soon as the account is on line."""

Check = Callable[[MakeNetwork], Coroutine[Any, Any, str]]
"""Raises AssertionError. Returns `PROVED`, or why it did not ask: `NOT_DECLARED`, or what the test's network cannot do."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """A person, the account, and the chat that they are in."""

    network: Network
    gateway: ScriptedGateway
    hello: Event

    @property
    def chat(self) -> ChatRef:
        return self.hello.chat

    @property
    def can(self) -> Capabilities:
        return self.network.platform.capabilities(self.chat)

    async def show(self, reply: Reply) -> list[Receipt]:
        """Fitted and sent, as the core does."""
        native = self.hello.native
        parts = fit(reply, token(), self.chat, self.can, native=native, private_to=self.hello.sender)
        return [await self.network.platform.send(part) for part in parts]

    async def send(self, text: Document, *media: Media) -> Receipt:
        return await self.network.platform.send(self.message(text, *media))

    def message(self, text: Document, *media: Media) -> Outgoing:
        return Outgoing(key=token(), chat=self.chat, text=text, media=media, native=self.hello.native)

    async def picture(self, colour: str, *, as_file: bool = False) -> Media:
        out = io.BytesIO()
        Image.new("RGB", (48, 32), colour).save(out, "PNG")
        blob = await self.gateway.blobs.keep(out.getvalue())
        inline = blob.mime in self.can.inline_types
        return Media(blob=blob, name=f"{colour}.png", alt=colour, document=as_file or not inline)

    async def seen(self, receipt: Receipt) -> Visible:
        """The one native message of a receipt."""
        (id_,) = receipt.ids
        return next(each for each in await self.network.visible() if each.id == id_)


@asynccontextmanager
async def met(make: MakeNetwork) -> AsyncIterator[Meeting]:
    gateway = ScriptedGateway()
    async with make(gateway) as network:
        await network.say("hello")
        yield Meeting(network, gateway, await gateway.next_event())


def ids_of(receipts: Sequence[Receipt]) -> list[str]:
    return [id_ for receipt in receipts for id_ in receipt.ids]


def plain(text: str) -> Document:
    return Document((Paragraph((Text(text),)),))


def squeezed(text: str) -> str:
    """Without the blanks and breaks that a network may set as it likes."""
    return re.sub(r"\s", "", text)


def leftovers() -> dict[str, int]:
    """What is alive now. Threads of the loop's own pool come and stay, and belong to nobody."""
    descriptors = Path("/proc/self/fd")
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": sum(not thread.name.startswith("asyncio_") for thread in threading.enumerate()),
        "open files": len(os.listdir(descriptors)) if descriptors.is_dir() else 0,
    }
