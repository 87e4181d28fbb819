"""A whole gateway on Telegram: from what somebody writes to the picture that they see."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chatelier import Ended, Progress
from chatelier.core.testing.backend import PIXEL, FakeBackend
from chatelier.core.testing.gateway import Parts, running
from chatelier.platforms.telegram import Plugin as TelegramPlugin
from chatelier.platforms.telegram.adapter import Telegram
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.plugins.sqlite import Plugin as Sqlite
from networks import telegram_settings
from peers.telegram import TelegramPeer, too_many

ADA, GROUP = 42, -1001


class Chat:
    """What a person sees of it."""

    def __init__(self, peer: TelegramPeer, backend: FakeBackend) -> None:
        self.peer = peer
        self.backend = backend

    def says(self, text: str, chat: int = ADA, **more: Any) -> dict[str, Any]:
        return self.peer.says(text, chat=chat, **more)

    async def sees(self, words: str, chat: int = ADA) -> dict[str, Any]:
        """The latest message that says this."""
        await self.peer.until(lambda: self.found(words, chat))
        return self.found(words, chat)[-1]

    def found(self, words: str, chat: int = ADA) -> list[dict[str, Any]]:
        every = self.peer.sent(chat)
        return [each for each in every if re.search(words, each.get("text") or each.get("caption") or "")]

    async def picture(self, chat: int = ADA, *, after: int = 0) -> dict[str, Any]:
        """The newest picture, once there are more than `after`."""
        await self.peer.until(lambda: len(self.pictures(chat)) > after)
        return self.pictures(chat)[-1]

    def pictures(self, chat: int = ADA) -> list[dict[str, Any]]:
        return [each for each in self.peer.sent(chat) if "photo" in each]

    def press(self, message: dict[str, Any], label: str) -> None:
        rows = message["reply_markup"]["inline_keyboard"]
        data = next(each["callback_data"] for row in rows for each in row if label in each["text"])
        self.peer.presses(message, data)


@asynccontextmanager
async def living(folder: Path, peer: TelegramPeer, **options: Any) -> AsyncIterator[Chat]:
    """A gateway on a real database; beginning it again with the same folder is a restart."""
    backend = FakeBackend(**options)
    parts = Parts([Telegram("telegram", telegram_settings(peer))], [backend])
    store = {"store": f"sqlite:{folder / 'chatelier.db'}"}
    async with running(folder, parts, TelegramPlugin(), Essentials(), Sqlite(), settings=store):
        yield Chat(peer, backend)
        backend.hold = False
        backend.finish()  # a stop waits for what runs


@pytest.fixture
async def peer() -> AsyncIterator[TelegramPeer]:
    async with TelegramPeer().live() as peer:
        peer.chat(ADA)
        peer.chat(GROUP)
        yield peer


async def test_somebody_who_says_too_little_is_asked_and_gets_a_picture(peer: TelegramPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer) as chat:
        chat.says("/make")
        await chat.sees("(?i)prompt")
        chat.says("a red fox")
        shown = await chat.sees("a red fox")
        assert "photo" in shown
        assert "reply_markup" in shown, "a single picture carries its own buttons"
        assert {each["command"] for each in peer.commands["default", ""]} >= {"make", "help", "status"}


async def test_a_request_with_a_slip_is_put_right_by_editing_it(peer: TelegramPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer) as chat:
        slip = chat.says("/mkae a red fox")
        await chat.sees("mkae")
        for text in ("/make a red fox", "/make another fox"):
            peer.tell({"edited_message": {**slip, "text": text, "edit_date": 1_800_000_000}})
        await chat.sees("· a red fox")
        chat.says("/help make")
        await chat.sees("/make")
        assert len(chat.pictures()) == 1


async def test_an_album_is_one_request(peer: TelegramPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer) as chat:
        for n in range(4):
            photo = [{"file_id": peer.keeps(PIXEL), "file_unique_id": f"u{n}", "width": 1, "height": 1}]
            words: dict[str, Any] = {} if n else {"caption": "/help make"}
            chat.says("", photo=photo, media_group_id="77", **words)
        await chat.sees("/make")
        chat.says("/status")
        await peer.until(lambda: len(peer.sent(ADA)) == 2)
        assert not chat.found("begin with a slash")


async def test_a_card_shows_the_picture_so_far_and_becomes_the_result(peer: TelegramPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer, hold=True) as chat:
        asked = chat.says("/make a fox")
        card = await chat.picture()
        waiting = peer.bytes_of(card)
        await peer.until(lambda: peer.reactions.get((ADA, asked["message_id"])) == ["👀"])
        await peer.until(lambda: peer.count("sendChatAction"))
        (run,) = chat.backend.runs.values()
        run.progress = Progress(phase="running", fraction=0.8, title="Sampling", preview=PIXEL)
        chat.backend.wake()
        await peer.until(lambda: "80 %" in card["caption"])
        assert peer.bytes_of(card) == [PIXEL] != waiting
        chat.backend.finish()
        await chat.sees("a fox")
        assert [each["message_id"] for each in peer.sent()] == [card["message_id"]], "one message, from first to last"
        await peer.until(lambda: peer.reactions[ADA, asked["message_id"]] == ["👍"])
        assert peer.count("editMessageText") == 0, "what has a caption is never taken for a text"


async def test_bad_news_do_not_stand_under_a_blank_picture(peer: TelegramPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer, hold=True) as chat:
        chat.says("/make a fox")
        card = await chat.picture()
        await peer.until(lambda: chat.backend.runs)
        chat.backend.finish(ended=Ended(state="failed", words="The paint is out."))
        said = await chat.sees("paint is out")
        assert "photo" not in said
        await peer.until(lambda: (ADA, card["message_id"]) not in peer.messages)


async def test_a_job_is_cancelled_by_its_button(peer: TelegramPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer, hold=True) as chat:
        chat.says("/make a fox")
        card = await chat.sees("")
        await peer.until(lambda: chat.backend.runs)
        chat.press(card, "Cancel")
        await chat.sees("(?i)cancelled")
        await peer.until(lambda: not chat.pictures())


async def test_buttons_live_on_after_a_restart(peer: TelegramPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer) as chat:
        chat.says("/make a fox")
        shown = await chat.sees("a fox")
    async with living(tmp_path, peer) as chat:
        chat.press(shown, "Again")
        await peer.until(lambda: len([each for each in chat.pictures() if "a fox" in each["caption"]]) == 2)


async def test_a_job_that_was_waiting_at_a_restart_comes_out_once(peer: TelegramPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer, hold=True) as chat:
        chat.says("/make a fox")
        await peer.until(lambda: chat.backend.runs)
    async with living(tmp_path, peer) as chat:
        await chat.picture()
        chat.says("/status")
        await chat.sees("(?i)nothing|no job")
        assert len(chat.pictures()) == 1


async def test_in_a_group_only_commands_are_answered(peer: TelegramPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer) as chat:
        chat.says("good morning", GROUP)
        chat.says("/make@chatelier_bot a fox", GROUP)
        await chat.picture(GROUP)
        assert all("good morning" not in str(each) for each in peer.sent(GROUP))
        assert len(peer.sent(GROUP)) <= 2


async def test_nobody_is_written_to_faster_than_telegram_allows(peer: TelegramPeer, tmp_path: Path) -> None:
    """A storm of 429: each message comes, once and in order, and nothing more is asked than there were answers."""
    stormy = [too_many(1), too_many(1)]
    peer.fault = lambda method, _: stormy.pop() if method == "sendMessage" and stormy else None
    async with living(tmp_path, peer) as chat:
        chat.says("/help")
        await chat.sees("/make")
        assert peer.count("sendMessage") == 2 + len(peer.sent())
