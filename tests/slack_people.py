"""Somebody on Slack, with a whole gateway behind it: commands by slash, pictures by mention, forms by modal."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chatelier.platforms.slack.plugin import Plugin as SlackPlugin
from chatelier.testing import FakeBackend, Parts
from gateways import PATIENCE
from peers.slack import BOT, DM, GENERAL, SlackPeer, buttons_of, text_of
from people import WORKFLOWS, Network, Person, Seen, gateway
from slack_network import hurried, slack


class OnSlack:
    def __init__(self, peer: SlackPeer, channel: str = DM) -> None:
        self._peer = peer
        self._channel = channel
        self._views = len(peer.views)

    async def says(self, text: str, *pictures: bytes) -> None:
        """Slack takes what begins with a slash for itself, and takes no files with it: those come with a mention, or without the slash."""
        if not pictures and text.startswith("/"):
            self._peer.types("/chatelier", text.removeprefix("/"), channel=self._channel)
            return
        mention = "" if self._channel == DM else f"<@{BOT}> "
        files: dict[str, Any] = {"files": [self._peer.keeps(data) for data in pictures]} if pictures else {}
        self._peer.says(mention + text.removeprefix("/"), channel=self._channel, **files)

    async def presses(self, seen: Seen, label: str) -> None:
        self._peer.presses(seen.native, label, channel=self._channel)

    async def fills(self, option: str, value: str) -> None:
        await self.until(lambda: len(self._peer.views) > self._views)
        view = self._peer.views[self._views]
        self._views += 1
        self._peer.submits(view, {option: value})

    changes = fills

    def seen(self) -> Sequence[Seen]:
        return [
            Seen(text_of(each), tuple(button["text"]["text"] for button in buttons_of(each)), each)
            for each in self._peer.sent(self._channel)
        ]

    async def bytes_of(self, seen: Seen) -> Sequence[bytes]:
        return self._peer.bytes_of(seen.native)

    async def until(self, true: Callable[[], object]) -> None:
        await self._peer.until(true, PATIENCE)

    @asynccontextmanager
    async def elsewhere(self) -> AsyncIterator[Person]:
        yield OnSlack(self._peer, GENERAL)


class Workspace:
    def __init__(self, peer: SlackPeer) -> None:
        self._peer = peer

    @asynccontextmanager
    async def life(self, folder: Path, backend: FakeBackend) -> AsyncIterator[Person]:
        parts = Parts([slack(self._peer)], [backend], WORKFLOWS)
        async with gateway(folder, parts, SlackPlugin()):
            yield OnSlack(self._peer)


@asynccontextmanager
async def on_slack() -> AsyncIterator[Network]:
    async with hurried().live() as peer:
        yield Workspace(peer)
