"""Somebody on Discord, with a whole gateway behind it: they use slash commands, modals and buttons, as its client has them."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chatelier.platforms.discord import Plugin as DiscordPlugin
from chatelier.testing import FakeBackend, Parts
from discord_network import ADA, GUILD, SQUARE, discord_account
from gateways import PATIENCE
from peers.discord import DiscordPeer, labels_of
from peers.discord import seen as read
from peers.discord_simcord import SimcordPeer
from people import WORKFLOWS, Network, Person, Seen, gateway

STRING, ATTACHMENT = 3, 11


class OnDiscord:
    """channel: 0 for the direct one."""

    def __init__(self, peer: DiscordPeer, channel: int = 0) -> None:
        self._peer = peer
        self._channel = channel
        self._filled = len(peer.modals)

    async def says(self, text: str, *pictures: bytes) -> None:
        """Words behind the name are its first text, pictures its files in their order."""
        name, _, words = text.removeprefix("/").partition(" ")
        await self.until(lambda: self._peer.is_heard and any(each["name"] == name for each in self._peer.commands))
        options: list[dict[str, Any]] = next(each for each in self._peer.commands if each["name"] == name)["options"]
        files = [each["name"] for each in options if each["type"] == ATTACHMENT]
        given: dict[str, Any] = {file: (f"{file}.png", data) for file, data in zip(files, pictures, strict=False)}
        if words:
            given[next(each["name"] for each in options if each["type"] == STRING)] = words
        self._peer.calls_command(name, given, by=ADA, channel=self._channel)

    async def presses(self, seen: Seen, label: str) -> None:
        await self.until(lambda: self._peer.is_heard)
        self._peer.presses_on(seen.native, label, by=ADA)

    async def fills(self, option: str, value: str) -> None:
        await self.until(lambda: len(self._peer.modals) > self._filled)
        self._filled += 1
        self._peer.submits({option: value})

    changes = fills

    def seen(self) -> Sequence[Seen]:
        return [
            Seen(
                read(each["content"]),
                labels_of(each),
                each,
            )
            for each in self._peer.sent(self._channel, by=ADA)
        ]

    async def bytes_of(self, seen: Seen) -> Sequence[bytes]:
        return self._peer.bytes_of(seen.native)

    async def until(self, true: Callable[[], object]) -> None:
        await self._peer.until(true, PATIENCE)

    @asynccontextmanager
    async def elsewhere(self) -> AsyncIterator[Person]:
        yield OnDiscord(self._peer, SQUARE)


class OnDiscordServer:
    def __init__(self, peer: DiscordPeer) -> None:
        self._peer = peer

    @asynccontextmanager
    async def life(self, folder: Path, backend: FakeBackend) -> AsyncIterator[Person]:
        parts = Parts([discord_account(self._peer, message_content=False)], [backend], WORKFLOWS)
        async with gateway(folder, parts, DiscordPlugin()):
            yield OnDiscord(self._peer)


@asynccontextmanager
async def on_discord() -> AsyncIterator[Network]:
    peer = SimcordPeer()
    peer.guild(GUILD, SQUARE)
    async with peer.live():
        yield OnDiscordServer(peer)
