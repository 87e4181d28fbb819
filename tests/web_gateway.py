"""A gateway in memory that says what a test tells it to, behind the real port and the real page."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from PIL import Image
from starlette.routing import BaseRoute

from chatelier import (
    BadInput,
    Blob,
    Button,
    ChatRef,
    Choice,
    Event,
    FirstAnswer,
    Gone,
    Media,
    Option,
    Outgoing,
    Platform,
    Published,
    Refused,
    Settings,
    Store,
)
from chatelier.core.chat.document import Document, Paragraph, Text
from chatelier.core.http.application import Health, application
from chatelier.core.http.server import Address, serve
from chatelier.core.keys import token
from chatelier.core.media.references import BLOB_REFS, BLOBS, keep
from chatelier.core.settings import Http
from chatelier.core.testing.store import FakeStore
from chatelier.platforms.web import Plugin
from chatelier.platforms.web.adapter import Web
from chatelier.platforms.web.records import CHATS, FILES, MESSAGES
from chatelier.platforms.web.settings import WebSettings


class MemoryBlobs:
    def __init__(self, store: Store) -> None:
        self._store = store
        self.kept: dict[str, bytes] = {}

    async def put(self, chunks: AsyncIterator[bytes], *, limit: int = 0) -> Blob:
        data = b"".join([chunk async for chunk in chunks])
        if not data:
            raise BadInput("This file is empty. Send another.")
        blob = describe(data)
        self.kept[blob.sha256] = data
        await self._store.atomically(partial(keep, blob, "memory", ""))
        return blob

    async def open(self, sha256: str) -> AsyncIterator[bytes]:
        if sha256 not in self.kept:
            raise Gone("it was swept")
        yield self.kept[sha256]


def describe(data: bytes) -> Blob:
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        with Image.open(io.BytesIO(data)) as image:
            mime = f"image/{(image.format or '').lower()}"
            return Blob(sha256=sha256, size=len(data), mime=mime, kind="image", width=image.width, height=image.height)
    except OSError:
        return Blob(sha256=sha256, size=len(data), mime="text/plain", kind="text")


@dataclass(frozen=True)
class Offer:
    name: str
    summary: str
    options: tuple[Option, ...] = ()


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

Answer = Callable[[Event], Awaitable[FirstAnswer]]


@dataclass
class ScriptedGateway:
    """`answer` is called with each event that is new; it may raise."""

    store: Store
    commands: Sequence[Published] = COMMANDS
    events: list[Event] = field(default_factory=list)
    online: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Answer | None = None
    arrived: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    blobs: MemoryBlobs = field(init=False)

    def __post_init__(self) -> None:
        self.blobs = MemoryBlobs(self.store)

    async def receive(self, event: Event) -> FirstAnswer:
        if any(set(event.keys) & set(known.keys) for known in self.events):
            return None
        first = await self.answer(event) if self.answer else None
        self.events.append(event)
        self.arrived.put_nowait(event)
        return first

    async def complete(self, chat: ChatRef, sender: str, command: str, option: str, typed: str) -> Sequence[Choice]:
        found = next(each for each in COMMANDS if each.name == command)
        known = next(each for each in found.options if each.name == option)
        return [choice for choice in known.choices if choice.value.startswith(typed)]

    async def approve(self, chat: ChatRef, sender: str, invoice: str, amount: int, currency: str) -> Refused | None:
        return None

    def connected(self, platform: str, detail: str = "") -> None:
        self.online.set()

    async def next_event(self) -> Event:
        async with asyncio.timeout(5):
            return await self.arrived.get()


@dataclass
class Running:
    """The page on a real port. `port` 0 of the settings became `address`."""

    address: Address
    gateway: ScriptedGateway
    web: Web

    @property
    def url(self) -> str:
        return self.address.url


def settings_with(http: Http | None = None, web: WebSettings | None = None) -> Settings:
    settings = Settings(http=http or Http(port=0))
    return settings.with_sections({"platforms.web": web or WebSettings()})


@asynccontextmanager
async def running(
    http: Http | None = None, web: WebSettings | None = None, gateway: ScriptedGateway | None = None
) -> AsyncIterator[Running]:
    settings = settings_with(http, web)
    plugin = Plugin()
    platforms: list[Platform] = []
    routes: list[BaseRoute] = []
    plugin.register_platforms(platforms.append, settings)
    plugin.register_routes(routes.append, settings)
    account = platforms[0]
    assert isinstance(account, Web)
    async with FakeStore([MESSAGES, CHATS, FILES, BLOBS, BLOB_REFS]) as store:
        scripted = gateway or ScriptedGateway(store)
        app = application(settings.http, routes, healthy)
        async with serve(app, settings.http.host, settings.http.port) as address:
            task = asyncio.create_task(account.run(scripted))
            await scripted.online.wait()
            try:
                yield Running(address, scripted, account)
            finally:
                task.cancel()
                await asyncio.wait([task])


async def healthy() -> Health:
    return Health(ready=True, store="fine", accounts={"web": "on line"})


def picture(colour: str = "tomato", size: tuple[int, int] = (320, 200)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def words(text: str) -> Document:
    return Document((Paragraph((Text(text),)),))


def outgoing(
    chat: ChatRef,
    text: str = "",
    *,
    media: Sequence[Media] = (),
    buttons: Sequence[Sequence[Button]] = (),
    key: str = "",
) -> Outgoing:
    return Outgoing(key=key or token(), chat=chat, text=words(text) if text else None, media=media, buttons=buttons)
