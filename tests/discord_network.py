"""A person's side of Discord: in a direct chat, in a server and in a thread."""

import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from PIL import Image
from pydantic import SecretStr

from chatelier import Platform
from chatelier.platforms.discord.adapter import DEAF_SECONDS, Discord
from chatelier.platforms.discord.records import KINDS
from chatelier.platforms.discord.settings import AccountSettings
from chatelier.testing import Network, ScriptedGateway, Visible
from networks import on_line
from peers.discord import DiscordPeer, labels_of, seen, too_many
from peers.discord_simcord import SimcordPeer

GUILD, SQUARE, CORNER = 5_000, 5_100, 5_101
"""A server, a channel of it, and a thread in that."""
ADA = 42


class OnDiscord:
    """In one channel; 0 for the direct one."""

    acknowledge_seconds = 3.0

    def __init__(self, platform: Platform, peer: DiscordPeer, channel: int = 0) -> None:
        self.platform = platform
        self._peer = peer
        self._channel = channel or peer.direct(ADA)
        self._pressed: Any = None

    async def say(self, text: str) -> None:
        self._peer.says(text, by=ADA, channel=self._channel)

    def in_thread(self) -> "OnDiscord":
        return OnDiscord(self.platform, self._peer, CORNER)

    def in_group(self) -> "OnDiscord":
        return OnDiscord(self.platform, self._peer, SQUARE)

    async def repeat(self, *, as_other: bool = False) -> None:
        """A message has one id on Discord, so there is no other event of it."""
        self._peer.repeat()

    async def echo(self) -> None:
        """As Discord does by itself, once more."""
        shown = self._peer.sent(self._channel)[-1]
        self._peer.tell("MESSAGE_CREATE", shown)

    async def hold_back(self, seconds: int) -> None:
        left = [too_many(seconds)]
        self._peer.fault = lambda method, path: (
            left.pop() if left and (method, path[-9:]) == ("POST", "/messages") else None
        )

    async def cut(self) -> None:
        await self._peer.stop()
        await self._peer.start()

    async def garble(self) -> None:
        self._peer.tell("MESSAGE_CREATE", {"id": "no number", "channel_id": 42})

    async def visible(self) -> Sequence[Visible]:
        return [
            Visible(
                id=message["id"],
                text=seen(message["content"]),
                media=tuple(self._peer.bytes_of(message)),
                buttons=labels_of(message),
            )
            for message in self._peer.public(self._channel)
        ]

    async def press(self, message_id: str, label: str) -> None:
        message = self._peer.messages[int(message_id)]
        self._pressed = self._peer.presses_on(message, label, by=ADA)

    async def acknowledged(self) -> None:
        await self._peer.until(lambda: self._pressed.first)

    async def submit(self, values: Mapping[str, str]) -> None:
        """A message cannot open a form, so there is a button that does."""
        await self._peer.until(lambda: self._peer.modals or self._offers())
        if not self._peer.modals:
            message = self._offers()[-1]
            self._peer.presses(message, message["components"][0]["components"][0]["custom_id"], by=ADA)
            await self._peer.until(lambda: self._peer.modals)
        self._peer.submits(values)

    def _offers(self) -> list[dict[str, Any]]:
        shown = self._peer.sent(self._channel)
        return [
            each for each in shown if [row for row in each["components"] if row["components"][0]["label"] == "Fill in"]
        ]

    async def call(self, command: str, options: Mapping[str, str]) -> None:
        await self._publish()
        self._peer.calls_command(command, options, by=ADA, channel=self._channel)

    async def attach(self, data: bytes, name: str) -> None:
        self._peer.says(by=ADA, channel=self._channel, files={name: data})

    async def complete(self, command: str, option: str, typed: str) -> Sequence[str]:
        """The client knows the names of all commands, and the choices of short lists."""
        await self._publish()
        if not command:
            return [
                each["name"] for each in self._peer.commands if each["type"] == 1 and each["name"].startswith(typed)
            ]
        known = next(each for each in self._peer.commands if each["name"] == command)
        choices = next(each for each in known["options"] if each["name"] == option)["choices"]
        return [each["value"] for each in choices if typed in each["value"]]

    async def _publish(self) -> None:
        assert isinstance(self.platform, Discord)
        assert self.platform._line is not None
        await self.platform.publish(self.platform._line.gateway.commands)


def discord_account(
    peer: DiscordPeer, name: str = "discord", *, deaf_seconds: float = DEAF_SECONDS, **changes: Any
) -> Discord:
    settings = AccountSettings(**{"token": SecretStr(peer.token), "message_content": True, **changes})
    return Discord(name, settings, api_url=peer.api, gateway_url=peer.gateway, deaf_seconds=deaf_seconds)


@asynccontextmanager
async def discord_peer() -> AsyncIterator[DiscordPeer]:
    peer = SimcordPeer()
    peer.guild(GUILD, SQUARE, threads={CORNER: SQUARE})
    async with peer.live():
        yield peer


@asynccontextmanager
async def on_discord(gateway: ScriptedGateway) -> AsyncIterator[Network]:
    gateway.declare(KINDS)
    async with discord_peer() as peer:
        account = discord_account(peer)
        async with on_line(account, gateway):
            yield OnDiscord(account, peer)


def png(width: int = 30, height: int = 20, colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "PNG")
    return out.getvalue()
