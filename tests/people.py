"""Somebody on each network, with a whole gateway behind it: what they do and what they see. A platform joins with a class."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from chatelier import Ask, FirstAnswer, Form, Input, Runtime
from chatelier.core.cli.serve import listening
from chatelier.core.testing.gateway import PICTURE
from chatelier.platforms.telegram import Plugin as TelegramPlugin
from chatelier.platforms.telegram.adapter import Telegram
from chatelier.platforms.terminal.adapter import Terminal, terminal
from chatelier.platforms.terminal.conversation import Talk, attachment
from chatelier.platforms.terminal.screen import Screen
from chatelier.platforms.web import Plugin as WebPlugin
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.plugins.sqlite import Plugin as Sqlite
from chatelier.testing import FakeBackend, Parts, running
from gateways import PATIENCE, Guest, Message, guest
from networks import telegram_settings
from peers.telegram import TelegramPeer


def _picture(name: str) -> Input:
    return Input(name=name, type="image", targets=(("1", name),), role="image", required=True)


GRAPH = {"1": {"class_type": "FakeImage", "inputs": {"text": "", "seed": 0, "photo": "", "other": ""}}}
SEED = PICTURE.inputs[1]
EFFECT = replace(PICTURE, name="effect", title="Effect", graph=GRAPH, inputs=(_picture("photo"), SEED))
BLEND = replace(PICTURE, name="blend", title="Blend", graph=GRAPH, inputs=(_picture("photo"), _picture("other"), SEED))
WORKFLOWS = (PICTURE, EFFECT, BLEND)


@dataclass(frozen=True, slots=True)
class Seen:
    """A message of the gateway as it looks now. native: as the network has it."""

    text: str
    labels: tuple[str, ...]
    native: Any


class Person(Protocol):
    """In one chat."""

    async def says(self, text: str, *pictures: bytes) -> None:
        """One message, with so many pictures."""
        ...

    async def presses(self, seen: Seen, label: str) -> None: ...

    async def fills(self, option: str, value: str) -> None:
        """Answers what is asked for: on a form, or in words."""
        ...

    async def changes(self, option: str, value: str) -> None:
        """On what a press of Tweak opened, and has it made."""
        ...

    def seen(self) -> Sequence[Seen]:
        """The oldest first."""
        ...

    async def bytes_of(self, seen: Seen) -> Sequence[bytes]: ...

    async def until(self, true: Callable[[], object]) -> None:
        """Raises AssertionError or TimeoutError."""
        ...

    def elsewhere(self) -> AbstractAsyncContextManager["Person"]:
        """The same person in another chat, or in another window where the network knows one chat a person."""
        ...


class Network(Protocol):
    """What outlives the gateway: people, what they saw, and the server that they are on."""

    def life(self, folder: Path, backend: FakeBackend) -> AbstractAsyncContextManager[Person]:
        """A gateway from its start to its stop. The same folder again is a restart."""
        ...


def gateway(folder: Path, parts: Parts, *plugins: object) -> AbstractAsyncContextManager[Runtime]:
    settings = {"store": f"sqlite:{folder / 'chatelier.db'}", "http": {"port": 0}}
    return running(folder, parts, Essentials(), Sqlite(), *plugins, settings=settings)


# --- the chat page


class OnWeb:
    def __init__(self, me: Guest) -> None:
        self._me = me
        self._forms = 0

    async def says(self, text: str, *pictures: bytes) -> None:
        await self._me.say(text, *[await self._me.upload(data) for data in pictures])

    async def presses(self, seen: Seen, label: str) -> None:
        await self._me.press(seen.native, label)

    async def fills(self, option: str, value: str) -> None:
        form = await self._me.until(lambda: self._me.asked[self._forms :])
        self._forms += 1
        await self._me.submit(form[0], **{option: value})

    changes = fills

    def seen(self) -> Sequence[Seen]:
        return [Seen(each.text, tuple(each.buttons), each) for each in self._me.heard]

    async def bytes_of(self, seen: Seen) -> Sequence[bytes]:
        message: Message = seen.native
        return [await self._me.bytes_of(each) for each in message.media]

    async def until(self, true: Callable[[], object]) -> None:
        await self._me.until(true)

    @asynccontextmanager
    async def elsewhere(self) -> AsyncIterator[Person]:
        async with guest(self._me.url, self._me.cookie) as tab:
            yield OnWeb(tab)


class Web:
    def __init__(self) -> None:
        self._cookie = ""

    @asynccontextmanager
    async def life(self, folder: Path, backend: FakeBackend) -> AsyncIterator[Person]:
        parts = Parts([], [backend], WORKFLOWS)
        async with (
            gateway(folder, parts, WebPlugin()) as runtime,
            listening(runtime) as url,
            guest(url, self._cookie) as me,
        ):
            self._cookie = me.cookie
            yield OnWeb(me)


# --- the terminal


class Watched(Screen):
    """A screen that somebody looks at."""

    def __init__(self) -> None:
        super().__init__(None, redraws=True)
        self.moved = asyncio.Event()

    def print(self, text: str) -> None:
        self.moved.set()

    def progress(self, text: str) -> None:
        self.moved.set()


class OnTerminal:
    def __init__(self, runtime: Runtime, accounts: Sequence[Terminal], screen: Watched, folder: Path) -> None:
        self._runtime = runtime
        self._account, *self._others = accounts
        self._screen = screen
        self._folder = folder
        self._talk = Talk(runtime, self._account, "terminal:ada")
        self._form: Form | None = None
        self._files = itertools.count()

    def _heard(self, first: FirstAnswer) -> None:
        self._form = first.form if isinstance(first, Ask) else None

    async def says(self, text: str, *pictures: bytes) -> None:
        files = []
        for data in pictures:
            path = self._folder / f"{self._account.name}-{next(self._files)}.png"
            await asyncio.to_thread(path.write_bytes, data)
            files.append(attachment(self._account.name, path))
        self._heard((await self._talk.say(text, files))[0])

    async def presses(self, seen: Seen, label: str) -> None:
        """By its number."""
        number = next(n for n, each in enumerate(seen.labels, 1) if label in each)
        await self.says(str(number))

    async def fills(self, option: str, value: str) -> None:
        assert self._form is not None, "no form was opened"
        self._heard((await self._talk.submit(self._form.key, {**self._form.values, option: value}))[0])

    changes = fills

    def seen(self) -> Sequence[Seen]:
        return [
            Seen(each.text, tuple(re.findall(r"^\d+\. (.*)$", each.text, re.MULTILINE)), each)
            for each in self._account.printed.values()
        ]

    async def bytes_of(self, seen: Seen) -> Sequence[bytes]:
        return [await asyncio.to_thread(path.read_bytes) for path in seen.native.files]

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not true():
                self._screen.moved.clear()
                await self._screen.moved.wait()

    @asynccontextmanager
    async def elsewhere(self) -> AsyncIterator[Person]:
        yield OnTerminal(self._runtime, self._others, self._screen, self._folder)


class AtTerminals:
    """Two windows of one person."""

    @asynccontextmanager
    async def life(self, folder: Path, backend: FakeBackend) -> AsyncIterator[Person]:
        screen = Watched()
        accounts = [
            terminal(name, folder / "out", screen, interactive=True) for name in ("terminal.ada", "terminal.ada.2")
        ]
        async with gateway(folder, Parts(accounts, [backend], WORKFLOWS)) as runtime:
            yield OnTerminal(runtime, accounts, screen, folder)


# --- Telegram


ADA, GROUP = 42, -1001


class OnTelegram:
    def __init__(self, peer: TelegramPeer, chat: int = ADA) -> None:
        self._peer = peer
        self._chat = chat
        self._albums = itertools.count(1)

    async def says(self, text: str, *pictures: bytes) -> None:
        """Several pictures are as many messages, and the first has the words."""
        if not pictures:
            self._peer.says(text, chat=self._chat)
        album = {"media_group_id": str(next(self._albums))} if len(pictures) > 1 else {}
        for n, data in enumerate(pictures):
            photo = {"file_id": self._peer.keeps(data), "file_unique_id": f"u{n}", "width": 1, "height": 1}
            more: dict[str, Any] = {**album, **({} if n else {"caption": text})}
            self._peer.says(chat=self._chat, photo=[photo], **more)

    async def presses(self, seen: Seen, label: str) -> None:
        buttons = itertools.chain.from_iterable(seen.native["reply_markup"]["inline_keyboard"])
        self._peer.presses(seen.native, next(each["callback_data"] for each in buttons if label in each["text"]))

    async def fills(self, option: str, value: str) -> None:
        """It is asked for by its name, and the next words are the answer."""
        await self.until(lambda: self.seen() and re.search(option, self.seen()[-1].text, re.IGNORECASE))
        await self.says(value)

    async def changes(self, option: str, value: str) -> None:
        await self.until(lambda: self._menus(option))
        asked = len(self.seen())
        await self.presses(self._menus(option)[-1], option)
        await self.until(lambda: len(self.seen()) > asked)
        await self.says(value)
        await self.until(lambda: any(value in label for seen in self._menus(option) for label in seen.labels))
        await self.presses(self._menus(option)[-1], "Run")

    def _menus(self, option: str) -> list[Seen]:
        return [
            seen
            for seen in self.seen()
            if any("Run" in label for label in seen.labels) and any(option in label for label in seen.labels)
        ]

    def seen(self) -> Sequence[Seen]:
        return [
            Seen(
                each.get("text") or each.get("caption", ""),
                tuple(
                    button["text"] for row in each.get("reply_markup", {}).get("inline_keyboard", ()) for button in row
                ),
                each,
            )
            for each in self._peer.sent(self._chat)
        ]

    async def bytes_of(self, seen: Seen) -> Sequence[bytes]:
        return self._peer.bytes_of(seen.native)

    async def until(self, true: Callable[[], object]) -> None:
        await self._peer.until(true, PATIENCE)

    @asynccontextmanager
    async def elsewhere(self) -> AsyncIterator[Person]:
        yield OnTelegram(self._peer, GROUP)


class OnTelegramServer:
    def __init__(self, peer: TelegramPeer) -> None:
        peer.chat(ADA)
        peer.chat(GROUP)
        self._peer = peer

    @asynccontextmanager
    async def life(self, folder: Path, backend: FakeBackend) -> AsyncIterator[Person]:
        parts = Parts([Telegram("telegram", telegram_settings(self._peer))], [backend], WORKFLOWS)
        async with gateway(folder, parts, TelegramPlugin()):
            yield OnTelegram(self._peer)


@asynccontextmanager
async def on_web() -> AsyncIterator[Network]:
    yield Web()


@asynccontextmanager
async def at_terminals() -> AsyncIterator[Network]:
    yield AtTerminals()


@asynccontextmanager
async def on_telegram() -> AsyncIterator[Network]:
    async with TelegramPeer().live() as peer:
        yield OnTelegramServer(peer)


NETWORKS: dict[str, Callable[[], AbstractAsyncContextManager[Network]]] = {
    "web": on_web,
    "terminal": at_terminals,
    "telegram": on_telegram,
}
