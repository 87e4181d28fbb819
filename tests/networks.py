"""A person's side of each platform that a conformance test needs."""

import asyncio
import io
import itertools
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from starlette.routing import BaseRoute
from websockets.asyncio.client import ClientConnection, connect

from chatelier import (
    Ask,
    BadInput,
    Event,
    FirstAnswer,
    Form,
    Kind,
    Outgoing,
    Platform,
    Pressed,
    Retry,
    Said,
    Settings,
)
from chatelier.core.http.application import Health, application
from chatelier.core.http.server import serve
from chatelier.core.settings import Http
from chatelier.platforms.telegram.adapter import Telegram
from chatelier.platforms.telegram.records import FILES, MENUS
from chatelier.platforms.telegram.settings import AccountSettings
from chatelier.platforms.terminal.adapter import Terminal, terminal
from chatelier.platforms.terminal.conversation import Talk, attachment
from chatelier.platforms.terminal.line import Completion
from chatelier.platforms.terminal.screen import Screen
from chatelier.platforms.web import Plugin as WebPlugin
from chatelier.testing import FakePlatform, Network, ScriptedGateway, Visible
from peers.telegram import TelegramPeer, too_many


@asynccontextmanager
async def on_line(platform: Platform, gateway: ScriptedGateway) -> AsyncIterator[None]:
    running = asyncio.create_task(platform.run(gateway))
    await gateway.online.wait()
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])


# --- the network in memory


class OnFake:
    def __init__(self, platform: FakePlatform, gateway: ScriptedGateway) -> None:
        self.platform = platform
        self._gateway = gateway
        self._last: Event | None = None
        self._others = itertools.count()

    async def say(self, text: str) -> None:
        self._last = self.platform.event(Said(text=text))
        await self.platform.receive(self._last)

    async def repeat(self, *, as_other: bool = False) -> None:
        assert self._last is not None
        keys = (f"other-{next(self._others)}", *self._last.keys[1:]) if as_other else self._last.keys
        await self.platform.receive(replace(self._last, keys=keys))

    async def echo(self) -> None:
        event = self.platform.event(Said(text=self.platform.last.text))
        await self.platform.receive(replace(event, sender=self.platform.handle))

    async def hold_back(self, seconds: int) -> None:
        left = [Retry(seconds)]

        def once(_: Outgoing) -> None:
            if left:
                raise left.pop()

        self.platform.before_send = once

    async def visible(self) -> Sequence[Visible]:
        return [
            Visible(
                id=shown.id,
                text=shown.text,
                media=tuple(self._gateway.blobs.kept[media.blob.sha256] for media in shown.message.media),
                buttons=tuple(button.label for row in shown.message.buttons for button in row),
            )
            for shown in self.platform.shown.values()
        ]

    async def press(self, message_id: str, label: str) -> None:
        payload = self.platform.shown[message_id].button(label)
        await self.platform.receive(self.platform.event(Pressed(payload=payload, message_id=message_id)))

    async def submit(self, values: Mapping[str, str]) -> None:
        raise NotImplementedError

    async def call(self, command: str, options: Mapping[str, str]) -> None:
        raise NotImplementedError

    async def attach(self, data: bytes, name: str) -> None:
        raise NotImplementedError

    async def complete(self, command: str, option: str, typed: str) -> Sequence[str]:
        raise NotImplementedError


@asynccontextmanager
async def on_fake(gateway: ScriptedGateway) -> AsyncIterator[Network]:
    platform = FakePlatform()
    async with on_line(platform, gateway):
        yield OnFake(platform, gateway)


# --- the terminal


class OnTerminal:
    """At the keyboard. Sees what is on the screen, and takes each message's words from there."""

    def __init__(self, account: Terminal, screen: io.StringIO, gateway: ScriptedGateway, folder: Path) -> None:
        self.platform = account
        self._screen = screen
        self._gateway = gateway
        self._folder = folder
        self._form: Form | None = None
        self.talk = Talk(gateway, account, "terminal:ada")

    async def say(self, text: str) -> None:
        self._heard((await self.talk.say(text))[0])

    def _heard(self, first: FirstAnswer) -> None:
        if isinstance(first, Ask):
            self._form = first.form

    async def repeat(self, *, as_other: bool = False) -> None:
        """A keyboard repeats nothing."""

    async def visible(self) -> Sequence[Visible]:
        seen = self._screen.getvalue()
        for printed in self.platform.printed.values():
            assert printed.text in seen
            assert all(str(path) in seen for path in printed.files)
        return [
            Visible(id=id_, text=printed.text, media=tuple(path.read_bytes() for path in printed.files))
            for id_, printed in self.platform.printed.items()
        ]

    async def press(self, message_id: str, label: str) -> None:
        raise NotImplementedError

    async def submit(self, values: Mapping[str, str]) -> None:
        assert self._form is not None
        await self.talk.submit(self._form.key, values)

    async def call(self, command: str, options: Mapping[str, str]) -> None:
        await self.talk.call(command, options)

    async def attach(self, data: bytes, name: str) -> None:
        path = self._folder / name
        path.write_bytes(data)
        await self.talk.say("", [attachment(self.platform.name, path)])

    async def complete(self, command: str, option: str, typed: str) -> Sequence[str]:
        completion = Completion(self._gateway, self.platform.chat, self.talk.handle)
        found = await completion.candidates(f"/{command} --{option} {typed}" if option else f"/{typed}")
        return [one.strip(' "') for one in found]


def on_terminal(folder: Path, *, redraws: bool) -> Any:
    runs = itertools.count()

    @asynccontextmanager
    async def make(gateway: ScriptedGateway) -> AsyncIterator[Network]:
        own = folder / str(next(runs))
        own.mkdir()
        shown = io.StringIO()
        account = terminal("terminal.ada", own / "out", Screen(shown, redraws=redraws), interactive=True)
        async with on_line(account, gateway):
            yield OnTerminal(account, shown, gateway, own)

    return make


# --- the chat page


class OnPage:
    """What the page's script does, without a browser."""

    def __init__(self, platform: Platform, url: str, cookie: str) -> None:
        self.platform = platform
        self._url = url
        self._cookie = cookie
        self._socket: ClientConnection
        self._ids = itertools.count()
        self._last: dict[str, Any] = {}

    acknowledge_seconds = 10.0

    async def acknowledged(self) -> None:
        """A press waits for it already."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        self._socket = await self._connect()
        try:
            yield
        finally:
            await self._socket.close()

    async def _connect(self) -> ClientConnection:
        return await connect(
            self._url.replace("http", "ws") + "/chat/socket",
            origin=self._url,  # type: ignore[arg-type] # a plain str
            additional_headers={"Cookie": self._cookie},
            proxy=None,
        )

    async def _tell(self, **wire: Any) -> None:
        self._last = {"id": f"message-{next(self._ids):04}", **wire}
        await self._socket.send(json.dumps(self._last))
        await self._hear("ack")

    async def _hear(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while True:
                wire: dict[str, Any] = json.loads(await self._socket.recv())
                if wire["type"] == "refused":
                    raise BadInput(wire["words"])
                if wire["type"] == kind:
                    return wire

    async def say(self, text: str) -> None:
        await self._tell(type="say", text=text)

    async def repeat(self, *, as_other: bool = False) -> None:
        """A message of the page has one id."""
        await self._socket.send(json.dumps(self._last))
        await self._hear("ack")

    async def cut(self) -> None:
        """Without a word of goodbye, as when a telephone leaves the house."""
        self._socket.transport.abort()
        await self._socket.wait_closed()
        self._socket = await self._connect()

    async def garble(self) -> None:
        for nonsense in (
            "{",
            "[]",
            '{"type": "say"}',
            '{"type": "no such type"}',
            json.dumps({"id": {}, "type": "say"}),
        ):
            await self._socket.send(nonsense)
            with suppress(BadInput):
                await self._hear("refused")

    async def _messages(self) -> list[dict[str, Any]]:
        await self._socket.send(json.dumps({"type": "hello"}))
        history = await self._hear("history")
        return [message for message in history["messages"] if not message["mine"]]

    async def visible(self) -> Sequence[Visible]:
        return [
            Visible(
                id=message["key"],
                text=unescape(re.sub(r"<[^>]*>", " ", message["html"])).strip(),
                media=tuple([await self._get(media["src"]) for media in message["media"]]),
                buttons=tuple(button["label"] for row in message["buttons"] for button in row),
            )
            for message in await self._messages()
        ]

    async def _get(self, path: str) -> bytes:
        async with self._browser() as browser:
            return (await browser.get(path)).raise_for_status().content

    def _browser(self) -> httpx.AsyncClient:
        headers = {"Origin": self._url, "Cookie": self._cookie}
        return httpx.AsyncClient(base_url=self._url, headers=headers, trust_env=False)

    async def press(self, message_id: str, label: str) -> None:
        message = next(each for each in await self._messages() if each["key"] == message_id)
        payload = next(each["payload"] for row in message["buttons"] for each in row if each["label"] == label)
        await self._tell(type="press", payload=payload, message=message_id)

    async def submit(self, values: Mapping[str, str]) -> None:
        form = (await self._hear("ask"))["form"]
        await self._tell(type="submit", form=form["key"], values=values)

    async def call(self, command: str, options: Mapping[str, str]) -> None:
        await self._tell(type="call", command=command, options=options)

    async def attach(self, data: bytes, name: str) -> None:
        async with self._browser() as browser:
            answer = await browser.post("/chat/files", content=data, params={"name": name})
        await self._tell(type="say", text="", files=[answer.json()["ref"]])

    async def complete(self, command: str, option: str, typed: str) -> Sequence[str]:
        if not option:  # the page has all names from the start
            await self._socket.send(json.dumps({"type": "hello"}))
            commands = (await self._hear("commands"))["commands"]
            return [each["name"] for each in commands if each["name"].startswith(typed)]
        asked = {"type": "complete", "n": 1, "command": command, "option": option, "typed": typed}
        await self._socket.send(json.dumps(asked))
        return [choice["value"] for choice in (await self._hear("choices"))["choices"]]


async def healthy() -> Health:
    return Health(ready=True)


@asynccontextmanager
async def on_page(gateway: ScriptedGateway) -> AsyncIterator[Network]:
    settings, plugin = Settings(http=Http(port=0)), WebPlugin()
    platforms: list[Platform] = []
    routes: list[BaseRoute] = []
    kinds: list[Kind[Any]] = []
    plugin.register_kinds(kinds.append)
    plugin.register_platforms(platforms.append, settings)
    plugin.register_routes(routes.append, settings)
    gateway.declare(kinds)
    app = application(settings.http, routes, healthy)
    async with serve(app, "127.0.0.1", 0) as address, on_line(platforms[0], gateway):
        async with httpx.AsyncClient(base_url=address.url, trust_env=False) as browser:
            cookie = (await browser.get("/")).headers["set-cookie"].partition(";")[0]
        page = OnPage(platforms[0], address.url, cookie)
        async with page.open():
            yield page


# --- Telegram, by the real library


class OnTelegram:
    """A person in a direct chat with a bot, on a Bot API server that keeps the vendor's rules."""

    acknowledge_seconds = 10.0

    def __init__(self, platform: Platform, peer: TelegramPeer, chat: int = 42, thread: int = 0) -> None:
        self.platform = platform
        self._peer = peer
        self._chat = chat
        self._thread = thread

    async def say(self, text: str) -> None:
        where: dict[str, Any] = {"message_thread_id": self._thread, "is_topic_message": True} if self._thread else {}
        self._peer.says(text, chat=self._chat, **where)

    def in_thread(self) -> "OnTelegram":
        self._peer.chat(-1001, is_forum=True)
        return OnTelegram(self.platform, self._peer, -1001, 5)

    def in_group(self) -> "OnTelegram":
        return OnTelegram(self.platform, self._peer, -1002)

    async def acknowledged(self) -> None:
        await self._peer.until(lambda: self._peer.answered)

    async def repeat(self, *, as_other: bool = False) -> None:
        self._peer.repeat(as_other=as_other)

    async def echo(self) -> None:
        """Bots are not told what they said; in a group with another of their kind they may be."""
        self._peer.tell({"message": {**self._peer.sent()[-1], "message_id": 9_000}})

    async def hold_back(self, seconds: int) -> None:
        left = [too_many(seconds)]
        self._peer.fault = lambda method, _: left.pop() if left and method == "sendMessage" else None

    async def cut(self) -> None:
        await self._peer.stop()
        await self._peer.start()

    async def garble(self) -> None:
        self._peer.tell({"message": {"date": "yesterday", "chat": 42}})

    async def visible(self) -> Sequence[Visible]:
        return [
            Visible(
                id=f"{message['chat']['id']}.{message['message_id']}",
                text=message.get("text") or message.get("caption", ""),
                media=tuple(self._peer.bytes_of(message)),
                buttons=tuple(button["text"] for row in _keyboard(message) for button in row),
            )
            for message in self._peer.sent(self._chat)
            if message.get("message_thread_id", 0) == self._thread
        ]

    async def press(self, message_id: str, label: str) -> None:
        message = self._peer.messages[42, int(message_id.rpartition(".")[2])]
        data = next(button["callback_data"] for row in _keyboard(message) for button in row if button["text"] == label)
        self._peer.presses(message, data)

    async def submit(self, values: Mapping[str, str]) -> None:
        raise NotImplementedError

    async def call(self, command: str, options: Mapping[str, str]) -> None:
        raise NotImplementedError

    async def attach(self, data: bytes, name: str) -> None:
        file = {
            "file_id": self._peer.keeps(data, name),
            "file_unique_id": "u",
            "file_name": name,
            "file_size": len(data),
        }
        self._peer.says(document=file)

    async def complete(self, command: str, option: str, typed: str) -> Sequence[str]:
        raise NotImplementedError


def _keyboard(message: Mapping[str, Any]) -> Sequence[Sequence[Mapping[str, Any]]]:
    rows: Sequence[Sequence[Mapping[str, Any]]] = message.get("reply_markup", {}).get("inline_keyboard", [])
    return rows


def telegram_settings(peer: TelegramPeer, **changes: Any) -> AccountSettings:
    return AccountSettings(
        token=SecretStr(peer.token), base_url=f"{peer.url}/bot", base_file_url=f"{peer.url}/file/bot", **changes
    )


@asynccontextmanager
async def on_telegram(gateway: ScriptedGateway) -> AsyncIterator[Network]:
    gateway.declare([FILES, MENUS])
    async with TelegramPeer().live() as peer:
        account = Telegram("telegram", telegram_settings(peer))
        async with on_line(account, gateway):
            yield OnTelegram(account, peer)
