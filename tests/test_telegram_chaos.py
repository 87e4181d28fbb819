"""A gateway on Telegram while all goes wrong that can: nothing is lost, and what may be there twice says so."""

import asyncio
import random
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from chatelier.core.chat import words
from chatelier.core.chat.outbox import MESSAGES
from chatelier.core.gateway import Runtime
from chatelier.core.testing.backend import FakeBackend
from chatelier.core.testing.gateway import Parts, running
from chatelier.platforms.telegram import Plugin as TelegramPlugin
from chatelier.platforms.telegram.adapter import Telegram
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.plugins.sqlite import Plugin as Sqlite
from gateways import configured, gateway_process
from networks import telegram_settings
from peers.telegram import TelegramPeer, broken, too_many, unheard

PEOPLE = (41, 42, 43, 44)
EACH = 4
PATIENCE = 120.0
AGAIN = words.sent_again("").strip("\n *")
SAYING = frozenset(
    {
        "sendMessage",
        "sendPhoto",
        "sendDocument",
        "sendMediaGroup",
        "editMessageMedia",
        "editMessageCaption",
        "editMessageText",
    }
)


@pytest.fixture
async def peer() -> AsyncIterator[TelegramPeer]:
    async with TelegramPeer().live() as peer:
        for person in PEOPLE:
            peer.chat(person)
        yield peer


@asynccontextmanager
async def living(folder: Path, peer: TelegramPeer) -> AsyncIterator[Runtime]:
    parts = Parts([Telegram("telegram", telegram_settings(peer))], [FakeBackend()])
    settings = {"store": f"sqlite:{folder / 'chatelier.db'}", "limits": {"open_orders": 50}}
    async with running(folder, parts, TelegramPlugin(), Essentials(), Sqlite(), settings=settings) as runtime:
        yield runtime


class Chaos:
    """What goes wrong, by the dice. bad: calls that were spoilt, by how."""

    def __init__(self, peer: TelegramPeer, seed: int, share: float) -> None:
        self._peer = peer
        self._dice = random.Random(seed)  # noqa: S311 - the same each time
        self._share = share
        self.bad: Counter[str] = Counter()
        peer.fault, peer.after, peer.shuffle = self._before, self._after, self._dice

    def _is_struck(self, *how: str) -> bool:
        """By the dice; and what did not happen yet happens first."""
        return not self.bad.keys() >= set(how) or self._dice.random() < self._share

    def _before(self, method: str, _: Mapping[str, Any]) -> Response | None:
        """Nothing was done."""
        known = ("500", "cut off", "429") if method in SAYING else ("500", "cut off")
        if not self._is_struck(*known):
            return None
        how = self._dice.choice([each for each in known if not self.bad[each]] or known)
        self.bad[how] += 1
        if how == "429":
            return too_many(1)
        if how == "cut off":
            self._peer.drop()
        return broken()

    def _after(self, method: str, _: Mapping[str, Any]) -> Response | None:
        """It was done, and nobody hears of it."""
        if method not in SAYING or not self._is_struck("answer lost"):
            return None
        self.bad["answer lost"] += 1
        return unheard()

    def end(self) -> None:
        self._peer.fault = self._peer.after = self._peer.shuffle = None


def asked(person: int, n: int) -> str:
    return f"p{person}r{n}"


def results(peer: TelegramPeer, person: int, n: int) -> list[dict[str, Any]]:
    """The pictures that somebody sees for one request."""
    return [
        each
        for each in peer.sent(person)
        if asked(person, n) in each.get("caption", "") and "photo" in each and "reply_markup" in each
    ]


async def all_delivered(peer: TelegramPeer) -> None:
    """Everybody sees each picture, or, where nobody can know whether it came twice already, how to see it."""

    def missing() -> int:
        pictures = sum(bool(results(peer, person, n)) for person in PEOPLE for n in range(EACH))
        return len(PEOPLE) * EACH - pictures - told_instead(peer)

    await peer.until(lambda: missing() <= 0, PATIENCE)


def told_instead(peer: TelegramPeer) -> int:
    return sum("/show" in each.get("text", "") for person in PEOPLE for each in peer.sent(person))


def none_twice_but_marked(peer: TelegramPeer) -> int:
    """How many are there once more. Each of them says so."""
    more = 0
    for person in PEOPLE:
        for n in range(EACH):
            shown = results(peer, person, n)
            assert len(shown) <= 2
            if len(shown) == 2:
                assert any(AGAIN in each["caption"] for each in shown), [each["caption"] for each in shown]
                more += 1
    return more


@asynccontextmanager
async def locked(database: Path) -> AsyncIterator[None]:
    """For so long nobody else can write."""

    def lock() -> sqlite3.Connection:
        held = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        held.execute("BEGIN IMMEDIATE")
        return held

    held = await asyncio.to_thread(lock)
    try:
        yield
    finally:
        await asyncio.to_thread(held.close)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
async def test_nothing_is_lost_when_all_goes_wrong(
    seed: int, peer: TelegramPeer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Repeats, shuffled updates, refusals, lost answers, broken connections and a store that fails, all at once."""
    chaos = Chaos(peer, seed, 0.15)
    async with living(tmp_path, peer) as runtime:
        for n in range(EACH):
            for person in PEOPLE:
                peer.says(f"/make {asked(person, n)}", chat=person, sender=person)
                for repeat in range(11):
                    peer.repeat(as_other=repeat in (3, 7))
        async with locked(tmp_path / "chatelier.db"):
            polls = peer.count("getUpdates")
            await peer.until(lambda: peer.count("getUpdates") > polls + 1, PATIENCE)
        await peer.until(lambda: sum(chaos.bad.values()) >= 15, PATIENCE)
        peer.drop()
        chaos.end()
        await all_delivered(peer)
        jobs = await runtime.store.find(MESSAGES, order="created", limit=1_000)
        marked = sum(row.again for row in jobs)
    more = none_twice_but_marked(peer)
    assert more <= marked
    assert {"429", "500", "cut off", "answer lost"} == set(chaos.bad)
    counted = f"{marked} messages sent once more, {more} pictures there twice, {told_instead(peer)} told of"
    with capsys.disabled():
        print(f"\nseed {seed}: {dict(chaos.bad)}; {counted}")  # noqa: T201 - so that it is counted


async def test_a_storm_of_refusals_is_not_answered_with_more(peer: TelegramPeer, tmp_path: Path) -> None:
    """While Telegram asks for a pause nothing is sent to that chat, and afterwards all is there once."""
    refused: dict[int, float] = {}
    too_early: list[tuple[str, float]] = []
    storm_ends = time.monotonic() + 8

    def storm(method: str, given: Mapping[str, Any]) -> Response | None:
        if method not in SAYING:
            return None
        chat, now = int(given["chat_id"]), time.monotonic()
        if now < refused.get(chat, 0):
            too_early.append((method, refused[chat] - now))
        if now >= storm_ends:
            return None
        refused[chat] = now + 2
        return too_many(2)

    peer.fault = storm
    async with living(tmp_path, peer):
        for n in range(EACH):
            for person in PEOPLE:
                peer.says(f"/make {asked(person, n)}", chat=person, sender=person)
        await all_delivered(peer)
    assert too_early == []
    assert none_twice_but_marked(peer) == 0


@pytest.mark.slow
async def test_a_kill_in_the_middle_of_a_send_loses_nothing(peer: TelegramPeer, tmp_path: Path) -> None:
    """SIGKILL right after Telegram took a message, whose answer never arrives."""
    config = configured(
        tmp_path,
        platforms={
            "telegram": {"token": peer.token, "base_url": f"{peer.url}/bot", "base_file_url": f"{peer.url}/file/bot"}
        },
        backends={"sketch": {"enabled": True}},
        limits={"open_orders": 50},
    )
    taken = asyncio.Event()
    left = [6]

    def note(method: str, _: Mapping[str, Any]) -> Response | None:
        if method in SAYING:
            left[0] -= 1
            if left[0] == 0:
                taken.set()
        return None

    peer.after = note
    for n in range(EACH):
        for person in PEOPLE:
            peer.says(f"/make {asked(person, n)}", chat=person, sender=person)
    with gateway_process(config) as process:
        async with asyncio.timeout(PATIENCE):
            await taken.wait()
        process.running.kill()
    with gateway_process(config):
        await all_delivered(peer)
    none_twice_but_marked(peer)
