"""A whole gateway on Discord: what people see of it on the wire, and what they see when all goes wrong."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from chatelier import JOBS
from chatelier.core.gateway import Runtime
from chatelier.core.testing.backend import FakeBackend
from chatelier.core.testing.gateway import Parts, running
from chatelier.platforms.discord import Plugin as DiscordPlugin
from chatelier.platforms.telegram import Plugin as TelegramPlugin
from chatelier.platforms.telegram.adapter import Telegram
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.plugins.points import Plugin as Points
from chatelier.plugins.sqlite import Plugin as Sqlite
from discord_network import GUILD, SQUARE, discord_account
from gateways import configured, gateway_process
from networks import telegram_settings
from peers.discord import DiscordPeer, Waiting, seen, too_many
from peers.discord_simcord import SimcordPeer
from peers.telegram import TelegramPeer

PEOPLE = (41, 42, 43, 44)
EACH = 4
PATIENCE = 120.0


@pytest.fixture
async def peer() -> AsyncIterator[DiscordPeer]:
    peer = SimcordPeer()
    peer.guild(GUILD, SQUARE)
    async with peer.live():
        yield peer


@asynccontextmanager
async def living(
    folder: Path, peer: DiscordPeer, backend: FakeBackend | None = None, *more: Any, **settings: Any
) -> AsyncIterator[Runtime]:
    """more: other accounts, and their plugins."""
    accounts = [each for each in more if hasattr(each, "send")]
    plugins = [each for each in more if not hasattr(each, "send")]
    parts = Parts([discord_account(peer, message_content=False), *accounts], [backend or FakeBackend()])
    wanted = {"store": f"sqlite:{folder / 'chatelier.db'}", "limits": {"open_orders": 50}, **settings}
    own = (DiscordPlugin(), Essentials(), Points(), Sqlite())
    async with running(folder, parts, *own, *plugins, settings=wanted) as runtime:
        await peer.until(lambda: peer.is_heard and peer.commands, PATIENCE)
        yield runtime


def results(peer: DiscordPeer, channel: int, text: str) -> list[dict[str, Any]]:
    """Messages with a picture that can be made again."""
    return [
        each
        for each in peer.public(channel)
        if text in seen(each["content"]) and each["attachments"] and "Again" in str(each["components"])
    ]


def custom_id(message: dict[str, Any], label: str) -> str:
    buttons = [each for row in message["components"] for each in row["components"]]
    return str(next(each["custom_id"] for each in buttons if label in each["label"]))


async def made(peer: DiscordPeer, text: str, channel: int = SQUARE) -> dict[str, Any]:
    peer.calls_command("make", {"prompt": text}, channel=channel)
    await peer.until(lambda: results(peer, channel, text), PATIENCE)
    return results(peer, channel, text)[0]


async def test_what_somebody_has_is_seen_by_nobody_else(tmp_path: Path, peer: DiscordPeer) -> None:
    async with living(tmp_path, peer):
        waiting = peer.calls_command("account", channel=SQUARE)
        await peer.until(lambda: any("370" in each["content"] for each in peer.sent(SQUARE)))
        assert (waiting.first, waiting.flags) == (5, 64)
        assert not peer.public(SQUARE)


async def test_a_card_becomes_the_result_in_the_place_that_was_kept(tmp_path: Path, peer: DiscordPeer) -> None:
    async with living(tmp_path, peer):
        shown = await made(peer, "a red fox")
        (waiting,) = peer.interactions.values()
        assert shown["id"] == str(waiting.original)
        assert len(peer.public(SQUARE)) == 1


async def test_tweak_answers_with_a_form_in_time(tmp_path: Path, peer: DiscordPeer) -> None:
    async with living(tmp_path, peer):
        shown = await made(peer, "a red fox")
        waiting = peer.presses(shown, custom_id(shown, "Tweak"))
        await peer.until(lambda: waiting.first)
        assert waiting.first == 9
        peer.submits({"prompt": "a green fox"})
        await peer.until(lambda: results(peer, SQUARE, "a green fox"), PATIENCE)


async def test_a_missing_prompt_is_asked_for_in_a_form(tmp_path: Path, peer: DiscordPeer) -> None:
    async with living(tmp_path, peer):
        waiting = peer.calls_command("make", channel=SQUARE)
        await peer.until(lambda: waiting.first)
        assert waiting.first == 9
        peer.submits({"prompt": "a fox in a form"})
        await peer.until(lambda: results(peer, SQUARE, "a fox in a form"), PATIENCE)


async def test_a_job_that_is_older_than_its_token_arrives(tmp_path: Path, peer: DiscordPeer) -> None:
    backend = FakeBackend(hold=True)
    async with living(tmp_path, peer, backend):
        peer.later = -1_000
        waiting = peer.calls_command("make", {"prompt": "a slow fox"}, channel=SQUARE)
        await peer.until(lambda: waiting.first)
        peer.later = 0
        backend.hold = False
        await peer.until(lambda: peer.sent(SQUARE), PATIENCE)
        backend.finish()
        await peer.until(lambda: results(peer, SQUARE, "a slow fox"), PATIENCE)


async def test_a_result_of_discord_is_opened_on_telegram_with_buttons_that_work(
    tmp_path: Path, peer: DiscordPeer
) -> None:
    async with TelegramPeer().live() as other:
        other.chat(42)
        telegram = Telegram("telegram", telegram_settings(other))
        async with living(tmp_path, peer, None, telegram, TelegramPlugin(), operators=["telegram:42"]) as runtime:
            await made(peer, "a red fox")
            (job,) = await runtime.store.find(JOBS, order="created")
            other.says(f"/show {job.key}", chat=42)
            await other.until(lambda: [each for each in other.sent(42) if "reply_markup" in each], PATIENCE)
            shown = next(each for each in other.sent(42) if "reply_markup" in each)
            buttons = [each for row in shown["reply_markup"]["inline_keyboard"] for each in row]
            other.presses(shown, next(each["callback_data"] for each in buttons if "Again" in each["text"]))
            await other.until(lambda: len([each for each in other.sent(42) if "photo" in each]) == 2, PATIENCE)


# --- when all goes wrong


class Chaos:
    """What goes wrong, by the dice. bad: requests that were spoilt, by how."""

    def __init__(self, peer: DiscordPeer, seed: int, share: float) -> None:
        self._peer = peer
        self._dice = random.Random(seed)  # noqa: S311 - the same each time
        self._share = share
        self.bad: Counter[str] = Counter()
        peer.fault, peer.after = self._before, self._after

    def _before(self, method: str, path: str) -> Response | None:
        """Nothing was done. Interactions are answered within three seconds or never, so they are left alone."""
        if path.startswith(("interactions/", "users/", "oauth2/")) or self._dice.random() >= self._share:
            return None
        how = self._dice.choice(["429", "503"])
        self.bad[how] += 1
        return too_many(1.2) if how == "429" else JSONResponse({"code": 0, "message": "no"}, 503)

    def _after(self, method: str, path: str) -> Response | None:
        """It was done, and nobody hears of it."""
        is_said = method in ("POST", "PATCH") and "/messages" in path
        if not is_said or self._dice.random() >= self._share:
            return None
        self.bad["answer lost"] += 1
        return JSONResponse({"code": 0, "message": "no"}, 503)

    async def cut_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self._dice.uniform(0.5, 1.5))
            self.bad["cut"] += 1
            await self._peer.cut()

    def end(self) -> None:
        self._peer.fault = self._peer.after = None


@pytest.mark.slow
async def test_everybody_gets_each_picture_once_whatever_goes_wrong(tmp_path: Path, peer: DiscordPeer) -> None:
    """Told twice, cut off, refused, answered into the void: nothing is lost, and a nonce keeps it from being there twice."""
    async with living(tmp_path, peer):
        chaos = Chaos(peer, 7, 0.15)
        cutting = asyncio.create_task(chaos.cut_now_and_then())
        heard: list[Waiting] = []
        for n in range(EACH):
            for person in PEOPLE:
                await peer.until(lambda: peer.is_heard, PATIENCE)
                text = f"p{person}r{n}"
                message = peer.says(f"<@110201543> make {text}", by=person, channel=SQUARE)
                peer.tell("MESSAGE_CREATE", peer.told(message))
                heard.append(peer.calls_command("status", by=person, channel=SQUARE))
        wanted = [f"p{person}r{n}" for person in PEOPLE for n in range(EACH)]
        await peer.until(lambda: all(results(peer, SQUARE, text) for text in wanted), PATIENCE)
        cutting.cancel()
        chaos.end()
        assert {"429", "503", "answer lost", "cut"} <= chaos.bad.keys()
        assert Counter(len(results(peer, SQUARE, text)) for text in wanted) == {1: len(wanted)}


@pytest.mark.slow
async def test_a_kill_in_the_middle_of_a_send_loses_nothing(tmp_path: Path, peer: DiscordPeer) -> None:
    """SIGKILL right after Discord took a message, whose answer never arrives, while more is said."""
    config = configured(
        tmp_path,
        platforms={"discord": {"token": peer.token, "api_url": peer.api, "gateway_url": peer.gateway}},
        backends={"sketch": {"enabled": True}},
        limits={"open_orders": 50},
    )
    taken, left = asyncio.Event(), [6]

    def note(method: str, path: str) -> Response | None:
        if method == "POST" and path.endswith("/messages"):
            left[0] -= 1
            if left[0] == 0:
                taken.set()
        return None

    peer.after = note
    wanted = [f"p{person}r{n}" for person in PEOPLE for n in range(EACH)]
    with gateway_process(config) as process:
        await peer.until(lambda: peer.is_heard, PATIENCE)
        for text in wanted:
            peer.says(f"<@110201543> make {text}", by=int(text[1:3]), channel=SQUARE)
        async with asyncio.timeout(PATIENCE):
            await taken.wait()
        process.running.kill()
    peer.says("<@110201543> make p41r9", by=41, channel=SQUARE)
    wanted.append("p41r9")
    with gateway_process(config):
        await peer.until(lambda: all(results(peer, SQUARE, text) for text in wanted), PATIENCE)
    assert Counter(len(results(peer, SQUARE, text)) for text in wanted) == {1: len(wanted)}
