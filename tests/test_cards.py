"""The card of an order: what people see while they wait."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chatelier import Progress, Said
from chatelier.core.chat.line import SIGN_SECONDS
from chatelier.core.testing.backend import PIXEL, FakeBackend
from chatelier.core.testing.gateway import Parts, running
from chatelier.core.testing.platform import FakePlatform, Shown, with_capabilities
from chatelier.plugins.essentials import Plugin as Essentials


class Room:
    """A gateway whose server does what it is told."""

    def __init__(self, folder: Path, **can: Any) -> None:
        self.network = FakePlatform(can=with_capabilities(**can))
        self.backend = FakeBackend(hold=True)
        self.life = running(folder, Parts([self.network], [self.backend]), Essentials)

    async def __aenter__(self) -> Self:
        self.runtime = await self.life.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.backend.hold = False
        self.backend.finish()  # a stop waits for what runs
        await self.life.__aexit__(kind, error, trace)

    async def make(self, sender: str = "ada", chat: str = "room") -> Shown:
        """The card."""
        before = len(self.network.shown)
        await self.network.receive(self.network.event(Said(text="/make a fox"), sender=sender, chat=chat))
        await self.network.until(lambda: len(self.network.shown) > before)
        return self.network.last

    def progress(self, **progress: Any) -> None:
        for run in self.backend.runs.values():
            run.progress = Progress(**progress)
        self.backend.wake()


async def test_a_card_shows_how_far_it_is_what_is_done_and_the_picture_so_far(tmp_path: Path) -> None:
    async with Room(tmp_path) as at:
        card = await at.make()
        await at.network.until(lambda: "50 %" in card.text and "Painting" in card.text)
        assert at.network.signals[:2] == ["seen", "busy"]
        at.progress(phase="running", fraction=0.8, title="Sampling", preview=PIXEL)
        await at.network.until(lambda: card.message.media)
        assert card.message.media[0].inline == PIXEL
        assert card.message.media[0].blob.mime == "image/png"
        at.progress(phase="running", fraction=0.9, title="Sampling", preview=b"RIFF, which is a WebP")
        await at.network.until(lambda: "Sampling" in card.text and card.message.media[0].blob.mime == "image/webp")
        assert card.button("cancel")
        at.backend.finish()
        await at.network.until(lambda: "a fox" in card.text)
        assert not card.message.media[0].inline
        assert at.runtime.previews == {}


async def test_where_media_cannot_be_edited_a_card_is_words(tmp_path: Path) -> None:
    async with Room(tmp_path, edit_media=False) as at:
        card = await at.make()
        await at.network.until(lambda: "50 %" in card.text)
        at.progress(phase="running", fraction=0.8, title="Sampling", preview=PIXEL)
        await at.network.until(lambda: "80 %" in card.text)
        assert not card.message.media


async def test_a_card_shows_the_place_in_the_queue_and_about_how_long(tmp_path: Path) -> None:
    async with Room(tmp_path) as at:
        first = await at.make()
        await at.network.until(lambda: "50 %" in first.text)
        at.backend.finish()
        await at.network.until(lambda: "a fox" in first.text)
        cards = [await at.make(f"p{n}", f"c{n}") for n in range(4)]
        await at.network.until(lambda: sum("50 %" in card.text for card in cards) == 2)
        await at.network.until(lambda: sum("place 1, about" in card.text for card in cards) == 1)
        await at.network.until(lambda: sum("place 2, about" in card.text for card in cards) == 1)


async def test_a_card_says_that_it_is_being_cancelled(tmp_path: Path) -> None:
    async with Room(tmp_path) as at:
        at.backend.cancellable = False
        card = await at.make()
        await at.network.until(lambda: "50 %" in card.text)
        await at.network.receive(at.network.event(Said(text="/cancel")))
        await at.network.until(lambda: "Cancelling" in card.text)
        at.backend.finish()
        await at.network.until(lambda: "Cancelled" in card.text)


async def test_a_busy_sign_that_hangs_does_not_stop_the_cards(tmp_path: Path) -> None:
    async def signal(what: str) -> None:
        if what == "busy":
            await asyncio.Event().wait()

    async with Room(tmp_path) as at:
        at.network.before_signal = signal  # it never answers
        card = await at.make()
        await at.network.until(lambda: "50 %" in card.text, SIGN_SECONDS + 5)
