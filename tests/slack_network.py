"""A person's side of Slack, for the published suite."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr

from chatelier.platforms.slack.adapter import Slack
from chatelier.platforms.slack.records import KINDS
from chatelier.platforms.slack.settings import AccountSettings
from chatelier.testing import Network, ScriptedGateway, Visible
from peers.slack import ADA, DM, GENERAL, SlackPeer, buttons_of, text_of, too_many

PING_SECONDS = 1.0


class OnSlack:
    """A person in a direct chat with the app."""

    acknowledge_seconds = 3.0

    def __init__(self, platform: Slack, peer: SlackPeer, channel: str = DM, thread: str = "") -> None:
        self.platform = platform
        self._peer = peer
        self._channel = channel
        self._thread = thread
        self._pressed: asyncio.Event | None = None

    async def say(self, text: str) -> None:
        self._peer.says(text, channel=self._channel, thread=self._thread)

    def in_thread(self) -> "OnSlack":
        root = self._peer.says("a thread begins", channel=GENERAL, user="U0BOT")
        return OnSlack(self.platform, self._peer, GENERAL, root["ts"])

    def in_group(self) -> "OnSlack":
        return OnSlack(self.platform, self._peer, GENERAL)

    async def repeat(self, *, as_other: bool = False) -> None:
        self._peer.repeat(as_other=as_other)

    async def echo(self) -> None:
        """Slack tells an app of its own messages, too."""
        said = self._peer.sent(self._channel)[-1]
        self._peer.tell({**said, "channel": self._channel, "channel_type": "im"})
        self._peer.tell({**said, "bot_id": None, "channel": self._channel, "channel_type": "im"})

    async def hold_back(self, seconds: int) -> None:
        left = [too_many(seconds)]
        self._peer.fault = lambda method, _: left.pop() if left and method == "chat.postMessage" else None

    async def cut(self) -> None:
        await self._peer.stop()
        await self._peer.start()

    async def garble(self) -> None:
        self._peer.tell({"type": "message", "channel": 42, "ts": None})

    async def acknowledged(self) -> None:
        assert self._pressed is not None
        await self._pressed.wait()

    async def visible(self) -> Sequence[Visible]:
        return [
            Visible(
                id=f"{self._channel}.{message['ts']}",
                text=text_of(message),
                media=tuple(self._peer.bytes_of(message)),
                buttons=tuple(button["text"]["text"] for button in buttons_of(message)),
            )
            for message in self._peer.sent(self._channel, self._thread)
        ]

    async def press(self, message_id: str, label: str) -> None:
        message = self._peer.messages[self._channel, message_id.partition(".")[2]]
        self._pressed = self._peer.presses(message, label, channel=self._channel).done

    async def submit(self, values: Mapping[str, str]) -> None:
        """A message opens no form by itself: the button below it does."""
        await self._peer.until(lambda: self._peer.sent(self._channel))
        self._peer.presses(self._peer.sent(self._channel)[-1], "Open", channel=self._channel)
        await self._peer.until(lambda: self._peer.views)
        self._peer.submits(self._peer.views[-1], values)

    async def call(self, command: str, options: Mapping[str, str]) -> None:
        raise NotImplementedError

    async def attach(self, data: bytes, name: str) -> None:
        self._peer.says(channel=self._channel, files=[self._peer.keeps(data, name)])

    async def complete(self, command: str, option: str, typed: str) -> Sequence[str]:
        raise NotImplementedError


def slack_settings(peer: SlackPeer, **changes: Any) -> AccountSettings:
    return AccountSettings(
        bot_token=SecretStr(peer.bot_token),
        app_token=SecretStr(peer.app_token),
        signing_secret=SecretStr(peer.signing_secret),
        base_url=peer.base_url,
        **changes,
    )


def hurried() -> SlackPeer:
    """Sends again sooner than the vendor does, in the same order."""
    return SlackPeer(ack_seconds=0.5, retry_seconds=(0.0, 1.0, 3.0))


def slack(peer: SlackPeer, **changes: Any) -> Slack:
    return Slack("slack", slack_settings(peer, **changes), ping_seconds=PING_SECONDS)


@asynccontextmanager
async def on_line(platform: Slack, gateway: ScriptedGateway) -> AsyncIterator[None]:
    running = asyncio.create_task(platform.run(gateway))
    await gateway.online.wait()
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])


@asynccontextmanager
async def on_slack(gateway: ScriptedGateway) -> AsyncIterator[Network]:
    gateway.declare(list(KINDS))
    async with hurried().live() as peer:
        account = slack(peer)
        async with on_line(account, gateway):
            yield OnSlack(account, peer)


__all__ = ["ADA", "OnSlack", "hurried", "on_line", "on_slack", "slack", "slack_settings"]
