"""One bot: its connection, and what the core asks of it."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import lru_cache
from typing import Any, Literal

import aiohttp
import discord
import structlog
from discord.http import Route

from chatelier import (
    Capabilities,
    ChatRef,
    FileRef,
    Gateway,
    Gone,
    Media,
    OperatorMust,
    Outgoing,
    Published,
    Receipt,
    Refused,
    Unavailable,
)

from . import commands, limits, outbound, words
from .addresses import at
from .errors import Closed, told
from .guard import Guard
from .inbound import target_of
from .interactions import Door, age, door_of
from .line import Line
from .records import PUBLISHED, Commands
from .settings import API, GATEWAY, AccountSettings

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

SIGNS = {"seen": "👀", "done": "✅", "failed": "❌"}
REMEMBERED = 10_000
"""Messages that were sent, so that they are found again; channels whose limit is known."""
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""Before the connection is made anew."""
SURE_SECONDS = limits.NONCE_SECONDS - 10
DEAF_SECONDS = 60.0
"""Without a sign from the gateway for so long the connection is made anew."""
PIECE = 262_144
_of_upload = lru_cache(maxsize=64)(limits.capabilities)


class Discord:
    """The platform object of one account. It connects in `run` and keeps nothing that another process would miss."""

    def __init__(
        self,
        name: str,
        settings: AccountSettings,
        *,
        api_url: str = API,
        gateway_url: str = GATEWAY,
        deaf_seconds: float = DEAF_SECONDS,
    ) -> None:
        self._name = name
        self._settings = settings
        self._token = settings.token.get_secret_value()
        self._api_url = api_url
        self._gateway_url = gateway_url
        self._deaf_seconds = deaf_seconds
        self._guard = Guard()
        self._line: Line | None = None
        self._uploads: OrderedDict[int, int] = OrderedDict()
        self._tried: OrderedDict[str, tuple[float, Receipt | None]] = OrderedDict()

    @property
    def name(self) -> str:
        return self._name

    def capabilities(self, chat: ChatRef | None = None) -> Capabilities:
        return _of_upload(self._upload(target_of(chat)) if chat is not None else limits.UPLOAD_BYTES)

    def _upload(self, channel: int) -> int:
        """What an interaction there said last, or what the server was boosted to."""
        if (known := self._uploads.get(channel)) is not None:
            return known
        found = self._line.client.get_channel(channel) if self._line else None
        guild = getattr(found, "guild", None)
        return int(guild.filesize_limit) if guild is not None else limits.UPLOAD_BYTES

    def note_upload(self, channel: int, limit: int) -> None:
        """Bytes of a file in this channel."""
        if limit > 0:
            self._uploads[channel] = limit
            while len(self._uploads) > REMEMBERED:
                self._uploads.popitem(last=False)

    # --- the connection

    async def run(self, gateway: Gateway) -> None:
        with at(self.name, self._api_url, self._gateway_url):
            pause = PAUSE_SECONDS
            while True:
                line = Line(self.name, self._settings, gateway, self._guard, self.note_upload, self._deaf_seconds)
                began = time.monotonic()
                try:
                    await self._on(line)
                    reason = "it ended"
                except discord.LoginFailure:
                    raise OperatorMust(words.NOT_KNOWN.format(account=self.name)) from None
                except discord.PrivilegedIntentsRequired:
                    raise OperatorMust(words.NO_INTENT.format(account=self.name)) from None
                except Exception as lost:  # noqa: BLE001 - the library's parsers raise anything, and end the connection with it
                    reason = f"{type(lost).__name__}: {lost}"
                if not line.was_on_line:
                    raise Unavailable(words.LOST.format(reason=reason))
                log.warning("connection lost", account=self.name, reason=reason)
                if time.monotonic() - began > LONGEST_PAUSE_SECONDS:
                    pause = PAUSE_SECONDS
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _on(self, line: Line) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(line)
            self._line = line
            stack.callback(self._off)
            await line.client.start(self._token)

    def _off(self) -> None:
        self._line = None

    def _ready(self) -> Line:
        if self._line is None or not self._line.was_on_line:
            raise Unavailable(words.OFFLINE.format(account=self.name))
        if self._guard.is_closed:
            raise Unavailable(words.GUARDED.format(account=self.name, count=self._guard.count))
        return self._line

    # --- what goes out

    async def send(self, message: Outgoing) -> Receipt:
        line = self._ready()
        is_private = bool(message.private_to) and not message.chat.direct
        if (door := door_of(message.native)) is not None:
            with suppress(Closed):
                shown = await self._through(line, door, message, is_private=is_private)
                if shown is not None:
                    return shown
        if is_private:
            return await self._to_person(line, message)
        return await self._into(line, message, message.chat)

    async def _through(self, line: Line, door: Door, message: Outgoing, *, is_private: bool) -> Receipt | None:
        """As an answer to the interaction; None where it is one for all and stands in the channel. Raises Closed."""
        first = await line.interactions.first(door)
        if first in ("public", "private") and await line.interactions.takes(door, message.key):
            if (first == "private") == is_private:
                payload = outbound.body(message)
                try:
                    request = await outbound.request(payload, message.media, self._reader(line, message.chat))
                    shown = await line.interactions.fill(door, request)
                except Refused:
                    await line.interactions.clear(door)
                    raise
                return _receipt(message.chat, shown, private=is_private)
            await line.interactions.clear(door)
        if not is_private or first == "none":
            return None
        payload = outbound.body(message, private=True)
        request = await outbound.request(payload, message.media, self._reader(line, message.chat))
        try:
            return _receipt(message.chat, await line.interactions.follow(door, request), private=True)
        except Gone:  # a direct message is private, too
            return None

    async def _to_person(self, line: Line, message: Outgoing) -> Receipt:
        """In their direct chat; where they may not be written to, the others are told that there is an answer, and no more."""
        try:
            chat = await self.direct(message.private_to)
            if chat is not None:
                return await self._into(line, message, chat)
        except Gone:
            pass
        hint: dict[str, Any] = {"content": words.OPEN_PRIVATE, "allowed_mentions": {"parse": []}}
        hint |= {"nonce": message.key, "enforce_nonce": True}
        return _receipt(message.chat, await self._post(line, message.chat, {"json": hint}))

    async def _into(self, line: Line, message: Outgoing, chat: ChatRef) -> Receipt:
        payload = outbound.sending(message)
        if chat != message.chat:
            payload.pop("message_reference", None)
        request = await outbound.request(payload, message.media, self._reader(line, chat))
        self._note(message.key, None)
        receipt = _receipt(chat, await self._post(line, chat, request))
        self._note(message.key, receipt)
        return receipt

    async def _post(self, line: Line, chat: ChatRef, request: Mapping[str, Any]) -> dict[str, Any]:
        route = Route("POST", "/channels/{channel_id}/messages", channel_id=target_of(chat))
        with told():
            shown: dict[str, Any] = await line.client.http.request(route, **request)
        return shown

    def _note(self, key: str, receipt: Receipt | None) -> None:
        """That it is tried, and since when; or that it is there."""
        since = self._tried[key][0] if key in self._tried else time.monotonic()
        self._tried[key] = since, receipt
        while len(self._tried) > REMEMBERED:
            self._tried.popitem(last=False)

    async def find(self, message: Outgoing) -> Receipt | Literal["absent", "unknown"]:
        """What is surely younger than a nonce lives may be sent again: if it is there, it is there once."""
        since, receipt = self._tried.get(message.key, (None, None))
        if receipt is not None:
            return receipt
        if message.private_to and not message.chat.direct:
            return "unknown"
        if since is not None and time.monotonic() - since < SURE_SECONDS:
            return "absent"
        event = message.native.get("event", "")
        return "absent" if event.isdecimal() and age(event) < SURE_SECONDS else "unknown"

    async def edit(self, receipt: Receipt, message: Outgoing) -> Receipt:
        line = self._ready()
        request = await outbound.request(outbound.body(message), message.media, self._reader(line, receipt.chat))
        with told():
            await line.client.http.request(_of_message("PATCH", receipt.chat, receipt.ids[0]), **request)
        return receipt

    async def delete(self, receipt: Receipt) -> None:
        line = self._ready()
        for id_ in receipt.ids:
            with suppress(Gone), told():
                await line.client.http.request(_of_message("DELETE", receipt.chat, id_))

    async def signal(
        self, chat: ChatRef, what: Literal["busy", "seen", "done", "failed"], message_id: str = ""
    ) -> None:
        http, channel = self._ready().client.http, target_of(chat)
        if what == "busy":
            with told():
                await http.send_typing(channel)
        elif message_id.isdecimal():
            with told():
                await http.add_reaction(channel, int(message_id), SIGNS[what])
            if what != "seen":
                with suppress(Gone, Refused), told():
                    await http.remove_own_reaction(channel, int(message_id), SIGNS["seen"])

    def _reader(self, line: Line, chat: ChatRef) -> outbound.Read:
        """Of what may be sent there; anything larger is refused before its bytes are read."""
        most = self._upload(target_of(chat))

        async def read(media: Media) -> bytes:
            if media.blob.size > most:
                raise Refused(words.TOO_LARGE.format(name=media.name, megabytes=most / (1 << 20)))
            return b"".join([piece async for piece in line.gateway.blobs.open(media.blob.sha256)])

        return read

    # --- people, files, commands

    async def direct(self, handle: str) -> ChatRef | None:
        """Whether they may be written to shows when it is tried: Discord does not tell before."""
        id_ = handle.removeprefix("discord:")
        if not id_.isdecimal():
            return None
        with told():
            channel = await self._ready().client.http.start_private_message(int(id_))
        return ChatRef(platform=self.name, chat=str(channel["id"]), direct=True)

    async def read(self, file: FileRef) -> AsyncIterator[bytes]:
        """By the address of today: the one of yesterday is good no more."""
        line = self._ready()
        url = file.ref if file.ref.startswith("http") else await self._url(line, file.ref)
        try:
            async with line.files.get(url) as answer:
                if answer.status >= 400:
                    raise (Gone if answer.status < 500 else Unavailable)(words.FILE_GONE)
                async for piece in answer.content.iter_chunked(PIECE):
                    yield piece
        except (aiohttp.ClientError, TimeoutError) as away:
            raise Unavailable(str(away) or type(away).__name__) from away

    async def _url(self, line: Line, ref: str) -> str:
        channel, message, id_ = ref.split(".")
        route = Route(
            "GET", "/channels/{channel_id}/messages/{message_id}", channel_id=int(channel), message_id=int(message)
        )
        with told():
            found = await line.client.http.request(route)
        url = next((each["url"] for each in found.get("attachments", ()) if str(each["id"]) == id_), "")
        if not url:
            raise Gone(words.FILE_GONE)
        return str(url)

    async def publish(self, commands_: Sequence[Published]) -> None:
        """Discord is told only what changed: it takes two hundred changes a day."""
        line = self._ready()
        application = line.client.application_id or 0
        payload = commands.definitions(commands_)
        digest = commands.digest(application, payload)
        store = line.gateway.store
        known = await store.get(PUBLISHED, self.name)
        if known is not None and known.digest == digest:
            return
        with told():
            await line.client.http.bulk_upsert_global_commands(application, payload)

        async def work(tx: Any) -> None:
            before = await tx.get(PUBLISHED, self.name)
            if before is not None:
                await tx.delete(PUBLISHED, self.name)
            await tx.insert(PUBLISHED, Commands(key=self.name, digest=digest))

        await store.atomically(work)

    async def check(self) -> Sequence[str]:
        """Whether Discord knows the token, and what the bot lacks in each server."""
        intents = discord.Intents.none()
        with at(self.name, self._api_url, self._gateway_url):
            async with discord.Client(intents=intents) as client:
                try:
                    with told():
                        await client.login(self._token)
                        guilds = await client.http.request(Route("GET", "/users/@me/guilds"))
                except OperatorMust:
                    raise OperatorMust(words.NOT_KNOWN.format(account=self.name)) from None
                flags = client.application_flags
        found = [] if guilds else [words.NOT_INVITED]
        if self._settings.message_content and not (
            flags.gateway_message_content or flags.gateway_message_content_limited
        ):
            found.append(words.NO_INTENT.format(account=self.name))
        return [*found, *lacking(guilds)]


NEEDED = {
    "view_channel": "View Channels",
    "send_messages": "Send Messages",
    "send_messages_in_threads": "Send Messages in Threads",
    "attach_files": "Attach Files",
    "embed_links": "Embed Links",
    "read_message_history": "Read Message History",
    "add_reactions": "Add Reactions",
}
"""What the bot's role has to allow, as Discord's settings call it."""


def lacking(guilds: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each server where something is missing."""
    found = []
    for guild in guilds:
        allowed = discord.Permissions(int(guild.get("permissions", 0)))
        missing = [label for name, label in NEEDED.items() if not (allowed.administrator or getattr(allowed, name))]
        if missing:
            found.append(words.LACKS.format(guild=guild.get("name", guild["id"]), permissions=", ".join(missing)))
    return found


def _of_message(method: str, chat: ChatRef, id_: str) -> Route:
    path = "/channels/{channel_id}/messages/{message_id}"
    return Route(method, path, channel_id=target_of(chat), message_id=int(id_))


def _receipt(chat: ChatRef, shown: Mapping[str, Any], *, private: bool = False) -> Receipt:
    """What one person alone sees cannot be changed once the interaction is too old."""
    return Receipt(chat=chat, ids=(str(shown["id"]),), editable=not private, deletable=not private)
