"""A gateway on Slack while all goes wrong that can: nothing is lost, and nothing is there twice."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from chatelier.core.gateway import Runtime
from chatelier.core.testing.backend import FakeBackend
from chatelier.core.testing.gateway import Parts, running
from chatelier.platforms.slack.plugin import Plugin as SlackPlugin
from chatelier.platforms.slack.records import KINDS
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.plugins.sqlite import Plugin as Sqlite
from chatelier.testing import ScriptedGateway
from gateways import configured, gateway_process
from peers.slack import ADA, BOB, DM, SlackPeer, broken, buttons_of, text_of, too_many, unheard
from slack_network import hurried, on_line, slack
from test_telegram_chaos import locked

DIRECT = {ADA: DM, BOB: "D0BOB"}
EACH = 4
PATIENCE = 120.0
SAYING = frozenset({"chat.postMessage", "chat.update"})


@pytest.fixture
async def peer() -> AsyncIterator[SlackPeer]:
    async with hurried().live() as peer:
        await peer._do_conversations_open({"users": BOB})
        yield peer


@asynccontextmanager
async def living(folder: Path, peer: SlackPeer) -> AsyncIterator[Runtime]:
    parts = Parts([slack(peer)], [FakeBackend()])
    settings = {"store": f"sqlite:{folder / 'chatelier.db'}", "limits": {"open_orders": 50}}
    async with running(folder, parts, SlackPlugin(), Essentials(), Sqlite(), settings=settings) as runtime:
        yield runtime


def asked(user: str, n: int) -> str:
    return f"p{user[2:]}r{n}x"


def ask_all(peer: SlackPeer) -> None:
    for n in range(EACH):
        for user, channel in DIRECT.items():
            peer.says(f"make {asked(user, n)}", channel=channel, user=user)


def results(peer: SlackPeer, user: str, n: int) -> list[dict[str, Any]]:
    """The pictures that somebody sees for one request."""
    return [
        each
        for each in peer.sent(DIRECT[user])
        if asked(user, n) in text_of(each) and any("Again" in one["text"]["text"] for one in buttons_of(each))
    ]


async def all_delivered(peer: SlackPeer) -> None:
    await peer.until(lambda: all(results(peer, user, n) for user in DIRECT for n in range(EACH)), PATIENCE)


def none_twice(peer: SlackPeer) -> None:
    counts = {(user, n): len(results(peer, user, n)) for user in DIRECT for n in range(EACH)}
    assert set(counts.values()) == {1}, counts


class Chaos:
    """What goes wrong, by the dice. bad: calls that were spoilt, by how."""

    def __init__(self, peer: SlackPeer, seed: int, share: float) -> None:
        self._peer = peer
        self._dice = random.Random(seed)  # noqa: S311 - the same each time
        self._share = share
        self.bad: Counter[str] = Counter()
        peer.fault, peer.after = self._before, self._after

    def _is_struck(self, *how: str) -> bool:
        """By the dice; and what did not happen yet happens first."""
        return not self.bad.keys() >= set(how) or self._dice.random() < self._share

    def _before(self, method: str, _: Mapping[str, Any]) -> Response | None:
        """Nothing was done."""
        if method not in SAYING or not self._is_struck("503", "429", "cut off"):
            return None
        how = self._dice.choice([each for each in ("503", "429", "cut off") if not self.bad[each]] or ["503", "429"])
        self.bad[how] += 1
        if how == "cut off":
            self._peer.drop()
        return too_many(1) if how == "429" else broken()

    def _after(self, method: str, _: Mapping[str, Any]) -> Response | None:
        """It was done, and nobody hears of it."""
        if method not in SAYING or not self._is_struck("answer lost"):
            return None
        self.bad["answer lost"] += 1
        return unheard()

    def end(self) -> None:
        self._peer.fault = self._peer.after = None


@pytest.mark.slow
async def test_nothing_is_lost_or_doubled_when_all_goes_wrong(
    peer: SlackPeer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Repeats under other ids, refusals, lost answers, a broken socket and a store that fails. By metadata all is found again."""
    chaos = Chaos(peer, 1, 0.15)
    async with living(tmp_path, peer):
        async with locked(tmp_path / "chatelier.db"):
            ask_all(peer)
            for n in range(11):
                peer.repeat(as_other=n in (3, 7))
            await peer.until(lambda: any(each.attempt for each in peer.deliveries), PATIENCE)
        await peer.refresh()
        await all_delivered(peer)
        chaos.end()
    none_twice(peer)
    assert set(chaos.bad) == {"503", "429", "cut off", "answer lost"}
    with capsys.disabled():
        print(f"\n{dict(chaos.bad)}")  # noqa: T201 - so that it is counted


async def test_a_storm_of_refusals_is_not_answered_with_more(peer: SlackPeer, tmp_path: Path) -> None:
    """While Slack asks for a pause nothing is sent to that channel, and afterwards all is there once."""
    refused: dict[str, float] = {}
    too_early: list[tuple[str, float]] = []
    ends = time.monotonic() + 6

    def storm(method: str, given: Mapping[str, Any]) -> Response | None:
        if method not in SAYING:
            return None
        channel, now = str(given["channel"]), time.monotonic()
        if now < refused.get(channel, 0):
            too_early.append((method, refused[channel] - now))
        if now >= ends:
            return None
        refused[channel] = now + 2
        return too_many(2)

    peer.fault = storm
    async with living(tmp_path, peer):
        ask_all(peer)
        await all_delivered(peer)
    assert too_early == []
    none_twice(peer)


async def test_a_kill_in_the_middle_of_a_send_loses_nothing(peer: SlackPeer, tmp_path: Path) -> None:
    """SIGKILL right after Slack took a message, whose answer never arrives. It is found by its metadata, so nothing is there twice."""
    config = configured(
        tmp_path,
        platforms={
            "slack": {"bot_token": peer.bot_token, "app_token": peer.app_token, "base_url": peer.base_url},
        },
        backends={"sketch": {"enabled": True}},
        limits={"open_orders": 50},
    )
    taken = asyncio.Event()
    left = [5]

    def note(method: str, _: Mapping[str, Any]) -> Response | None:
        if method in SAYING:
            left[0] -= 1
            if left[0] == 0:
                taken.set()
        return None

    peer.after = note
    ask_all(peer)
    with gateway_process(config) as process:
        async with asyncio.timeout(PATIENCE):
            await taken.wait()
        process.running.kill()
    with gateway_process(config):
        await all_delivered(peer)
    none_twice(peer)


# --- the socket


async def test_a_refresh_of_the_socket_loses_nothing(peer: SlackPeer) -> None:
    gateway = ScriptedGateway(KINDS)
    async with on_line(slack(peer), gateway):
        for n in range(6):
            peer.says(f"message {n}")
            if n % 2:
                await peer.refresh()
        heard = {(await gateway.next_event()).keys[-1] for _ in range(6)}
        assert len(heard) == 6
        assert peer.count("apps.connections.open") >= 2
        await peer.until(lambda: all(each.done.is_set() for each in peer.deliveries))


async def test_a_hard_drop_before_the_acknowledgement_is_told_again_and_heard_once(peer: SlackPeer) -> None:
    gateway = ScriptedGateway(KINDS)

    async def cut(_: object) -> None:
        gateway.answer = None
        peer.drop()

    gateway.answer = cut
    async with on_line(slack(peer), gateway):
        peer.says("do not lose me")
        await gateway.next_event()
        await peer.until(lambda: all(each.done.is_set() for each in peer.deliveries))
        assert len(gateway.events) == 1
        assert gateway.repeats >= 1, "the acknowledgement had no way back, so it was told again"


async def test_a_socket_that_does_not_come_back_is_made_anew(peer: SlackPeer) -> None:
    """Its tickets are refused: after a while the account gives up, so that the core begins again and the token is looked at."""
    account = slack(peer)
    account._silent_seconds = 0.5
    gateway = ScriptedGateway(KINDS)
    running_ = asyncio.create_task(account.run(gateway))
    await gateway.online.wait()
    peer.fault = lambda method, _: broken() if method == "apps.connections.open" else None
    peer.drop()
    with pytest.raises(Exception, match="socket was away"):
        async with asyncio.timeout(20):
            await running_


async def test_the_first_connection_may_fail(peer: SlackPeer, tmp_path: Path) -> None:
    left = [broken(), broken()]
    peer.fault = lambda method, _: left.pop() if left and method == "auth.test" else None
    async with living(tmp_path, peer):
        peer.says("help")
        await peer.until(peer.sent, 30)
