"""A gateway in memory that does what a test tells it to: the other side of a platform under test."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image

from ..chat.messages import ChatRef, Choice, Event, FirstAnswer, Option
from ..chat.platform import Platform, Published
from ..errors import BadInput, Gone, Refused
from ..media.blob import Blob
from ..media.references import BLOB_REFS, BLOBS, keep
from ..storage import Kind, Store
from .store import FakeStore

EVENT_SECONDS = 10.0
Answer = Callable[[Event], Awaitable[FirstAnswer]]


def describe(data: bytes) -> Blob:
    """What the bytes are: a picture, or else text."""
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        with Image.open(io.BytesIO(data)) as image:
            mime = f"image/{(image.format or '').lower()}"
            return Blob(sha256=sha256, size=len(data), mime=mime, kind="image", width=image.width, height=image.height)
    except OSError:
        return Blob(sha256=sha256, size=len(data), mime="text/plain", kind="text")


class MemoryBlobs:
    """kept: the bytes by their sha256. store: where their records are, so that they can be referred to."""

    def __init__(self, store: Store) -> None:
        self.kept: dict[str, bytes] = {}
        self.store = store

    async def put(self, chunks: AsyncIterator[bytes], *, limit: int = 0) -> Blob:
        return await self.keep(b"".join([chunk async for chunk in chunks]))

    async def keep(self, data: bytes) -> Blob:
        """Raises BadInput when there are none."""
        if not data:
            raise BadInput("This file is empty. Send another.")
        blob = describe(data)
        self.kept[blob.sha256] = data
        await self.store.atomically(partial(keep, blob, "memory", ""))
        return blob

    async def open(self, sha256: str) -> AsyncIterator[bytes]:
        if sha256 not in self.kept:
            raise Gone("it was swept")
        yield self.kept[sha256]


@dataclass(frozen=True, slots=True)
class Offer:
    """A command as a network may show it."""

    name: str
    summary: str
    options: tuple[Option, ...] = ()
    operators: bool = False


COMMANDS: tuple[Offer, ...] = (
    Offer(
        "effect", "Change a picture: paint it, age it, bend it", (Option(name="image", type="image", required=True),)
    ),
    Offer("help", "What there is and how to ask for it"),
    Offer(
        "make",
        "A picture from words",
        (
            Option(name="prompt", rest=True, required=True, description="What to paint"),
            Option(name="width", type="integer", minimum=64, maximum=2048, step=8, default=512),
            Option(name="height", type="integer", minimum=64, maximum=2048, step=8, default=512),
            Option(name="style", type="choice", choices=(Choice(value="ink"), Choice(value="oil on canvas"))),
            Option(name="tile", type="boolean", description="Let the edges meet"),
            Option(name="seed", type="integer", minimum=0, maximum=2**32, advanced=True),
        ),
    ),
    Offer("status", "Your jobs and their place in the queue"),
)


class ScriptedAccounts:
    """Remembers who was added and who was removed, with why; it runs nobody."""

    def __init__(self) -> None:
        self.added: dict[str, Platform] = {}
        self.removed: dict[str, str] = {}

    async def add(self, platform: Platform) -> bool:
        if platform.name in self.added:
            raise Refused(f"the name {platform.name} is taken")
        self.added[platform.name] = platform
        self.removed.pop(platform.name, None)
        return True

    async def remove(self, name: str, why: str = "") -> None:
        self.added.pop(name, None)
        self.removed[name] = why


class ScriptedGateway:
    """answer: called with each event that is new; it may raise. events: those that were taken, each once. repeats: the others.

    operators: handles.
    """

    def __init__(self, kinds: Sequence[Kind[Any]] = (), *, commands: Sequence[Published] = COMMANDS) -> None:
        self.commands = commands
        self.operators: Sequence[str] = ()
        self.accounts = ScriptedAccounts()
        self.answer: Answer | None = None
        self.events: list[Event] = []
        self.repeats = 0
        self.online = asyncio.Event()
        self.arrived: asyncio.Queue[Event] = asyncio.Queue()
        self.declare(kinds)

    def declare(self, kinds: Sequence[Kind[Any]]) -> None:
        """Begin with an empty store of these kinds: for a platform with records of its own, before it runs."""
        self.store: Store = FakeStore([*kinds, BLOBS, BLOB_REFS])
        self.blobs = MemoryBlobs(self.store)

    async def receive(self, event: Event) -> FirstAnswer:
        """One key that is known makes the event a repeat."""
        if any(set(event.keys) & set(known.keys) for known in self.events):
            self.repeats += 1
            return None
        first = await self.answer(event) if self.answer else None
        self.events.append(event)
        self.arrived.put_nowait(event)
        return first

    async def complete(self, chat: ChatRef, sender: str, command: str, option: str, typed: str) -> Sequence[Choice]:
        if not option:
            names = [each.name for each in self.commands]
            return [Choice(value=name) for name in names if name.startswith(typed.removeprefix("/"))]
        options = (each for one in self.commands if one.name == command for each in one.options)
        known = [choice for each in options if each.name == option for choice in each.choices]
        return [choice for choice in known if choice.value.startswith(typed)]

    async def approve(self, chat: ChatRef, sender: str, invoice: str, amount: int, currency: str) -> Refused | None:
        return None

    def connected(self, platform: str, detail: str = "") -> None:
        self.online.set()

    async def next_event(self) -> Event:
        """The next one that was not given out yet. Raises TimeoutError after ten seconds."""
        async with asyncio.timeout(EVENT_SECONDS):
            return await self.arrived.get()
