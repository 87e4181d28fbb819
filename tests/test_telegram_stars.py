"""Points for Telegram Stars, with the unpatched library against a peer that speaks the Bot API."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from chatelier import Payments, Runtime, Tx, hookimpl
from chatelier.core.people.people import person_by
from chatelier.core.points.audit import audit
from chatelier.core.points.holds import set_aside
from chatelier.core.points.ledger import Books, free_in, purchased_of
from chatelier.platforms.telegram import Plugin as TelegramPlugin
from chatelier.platforms.telegram.adapter import Telegram
from chatelier.platforms.telegram.settings import StarsSettings
from chatelier.platforms.telegram.stars import Stars
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.plugins.points import Plugin as PointsPlugin
from chatelier.plugins.sqlite import Plugin as Sqlite
from chatelier.testing import FakeBackend, Parts, running
from networks import telegram_settings
from peers.telegram import TelegramPeer

ADA, BOB = 42, 43


class Shop:
    def __init__(self, telegram: Telegram) -> None:
        chosen = StarsSettings(enabled=True, packs=(50, 100), dollars=0.013)
        self.stars = Stars({"telegram": telegram}, {"telegram": chosen}, Decimal(1000))

    @hookimpl
    def register_payments(self, register: Callable[[Payments], None]) -> None:
        register(self.stars)


class Counter:
    """Where people buy."""

    def __init__(self, peer: TelegramPeer, runtime: Runtime) -> None:
        self.peer = peer
        self.runtime = runtime

    async def says(self, text: str, *, sender: int = ADA, chat: int = 0) -> dict[str, object]:
        """The newest answer."""
        before = len(self.peer.sent(chat or sender))
        self.peer.says(text, sender=sender, chat=chat or sender)
        await self.peer.until(lambda: len(self.peer.sent(chat or sender)) > before)
        return self.peer.sent(chat or sender)[-1]

    async def bill(self, text: str = "/buy 1") -> dict[str, object]:
        self.peer.says(text)
        await self.peer.until(lambda: any("invoice" in one for one in self.peer.sent(ADA)))
        return [one for one in self.peer.sent(ADA) if "invoice" in one][-1]

    async def checkout(self, bill: dict[str, object], **how: int) -> dict[str, object]:
        query = self.peer.checks_out(bill, **how)
        await self.peer.until(lambda: query in self.peer.checkouts)
        return self.peer.checkouts[query]

    async def has(self, sender: int = ADA) -> int:
        person = await person_by(self.runtime.store, f"telegram:{sender}")
        return await free_in(self.runtime.store, purchased_of(person.key)) if person else 0

    async def hears(self, words: str) -> None:
        await self.peer.until(lambda: any(words in str(one.get("text", "")) for one in self.peer.sent(ADA)))


@asynccontextmanager
async def shop(tmp_path: Path) -> AsyncIterator[Counter]:
    async with TelegramPeer().live() as peer:
        peer.chat(ADA)
        peer.chat(BOB)
        telegram = Telegram("telegram", telegram_settings(peer))
        parts = Parts([telegram], [FakeBackend()])
        chosen = {"store": f"sqlite:{tmp_path / 'chatelier.db'}", "operators": ["telegram:43"]}
        plugins = (TelegramPlugin(), Essentials(), PointsPlugin(), Sqlite(), Shop(telegram))
        async with running(tmp_path, parts, *plugins, settings=chosen) as runtime:
            yield Counter(peer, runtime)
            assert await audit(runtime.store) == []


async def test_stars_become_points_once_however_often_it_is_told(tmp_path: Path) -> None:
    async with shop(tmp_path) as at:
        bill = await at.bill("/buy 2")
        assert bill["invoice"] == {
            "title": "1,300 points",
            "description": "1,300 points",
            "start_parameter": "",
            "currency": "XTR",
            "total_amount": 100,
        }
        assert (await at.checkout(bill))["ok"] == "true"
        for _ in range(3):
            at.peer.pays(bill, "charge-1")
        at.peer.repeat(as_other=True)
        await at.hears("Thank you. 1,300 points are yours now")
        await at.says("/points")
        assert await at.has() == 1_300_000


async def test_what_is_for_sale_is_shown_with_buttons(tmp_path: Path) -> None:
    async with shop(tmp_path) as at:
        shown = await at.says("/buy")
        assert "/buy 1: 650 points for 50 ⭐" in str(shown["text"])
        assert "1,300 points for 100 ⭐" in str(shown["reply_markup"])
        assert "/buy 2" in str((await at.says("/buy 9"))["text"])


async def test_a_checkout_is_refused_for_others_for_another_sum_and_for_what_is_paid(tmp_path: Path) -> None:
    async with shop(tmp_path) as at:
        bill = await at.bill()
        refused = await at.checkout(bill, sender=BOB)
        assert refused["ok"] == "false"
        assert "somebody else's" in str(refused["error_message"])
        assert (await at.checkout(bill, amount=1))["ok"] == "false"
        at.peer.pays(bill, "charge-1")
        await at.hears("Thank you")
        assert "not open" in str((await at.checkout(bill))["error_message"])


async def test_a_second_payment_of_one_bill_gives_its_points_too(tmp_path: Path) -> None:
    async with shop(tmp_path) as at:
        bill = await at.bill()
        at.peer.pays(bill, "charge-1")
        at.peer.pays(bill, "charge-2")
        await at.hears("stars:charge-2")
        assert await at.has() == 1_300_000


async def test_a_payment_that_nobody_knows_is_kept_and_named(tmp_path: Path) -> None:
    async with shop(tmp_path) as at:
        bill = await at.bill()
        at.peer.bills[int(str(bill["message_id"]))]["payload"] = "another-gateways-bill"
        at.peer.pays(bill, "charge-9")
        await at.hears("keep its id: stars:charge-9")
        assert await at.has() == 0
        assert "Given back: 50 XTR" in str((await at.says("/refund stars:charge-9", sender=BOB))["text"])
        assert at.peer.charges == {"charge-9": "refunded"}


async def test_what_telegram_gives_back_by_itself_takes_its_points_along(tmp_path: Path) -> None:
    async with shop(tmp_path) as at:
        bill = await at.bill()
        at.peer.pays(bill, "charge-1")
        await at.hears("Thank you")
        back = {"currency": "XTR", "total_amount": 50, "invoice_payload": "x", "telegram_payment_charge_id": "charge-1"}
        at.peer.says(chat=ADA, sender=ADA, refunded_payment=back)
        await at.hears("given back, and 650 points with it")
        assert await at.has() == 0


async def test_a_bill_for_what_is_not_sold_any_more_is_not_paid(tmp_path: Path) -> None:
    async with shop(tmp_path) as at:
        bill = await at.bill()
        at.runtime.payments["stars"]._packs = {}  # type: ignore[attr-defined] # as after a change of the settings
        assert "not open" in str((await at.checkout(bill))["error_message"])


async def test_points_that_are_set_aside_are_not_given_back_twice(tmp_path: Path) -> None:
    async with shop(tmp_path) as at:
        bill = await at.bill()
        at.peer.pays(bill, "charge-1")
        await at.hears("Thank you")
        person = await person_by(at.runtime.store, f"telegram:{ADA}")
        assert person is not None

        async def hold(tx: Tx) -> None:
            async with Books(tx) as books:
                await set_aside(books, "an order", (purchased_of(person.key),), 600_000, actor="ada")

        await at.runtime.store.atomically(hold)
        assert "set aside for an open order" in str((await at.says("/refund stars:charge-1", sender=BOB))["text"])
        assert at.peer.charges == {"charge-1": "paid"}


async def test_an_operator_gives_stars_back_once(tmp_path: Path) -> None:
    async with shop(tmp_path) as at:
        bill = await at.bill()
        at.peer.pays(bill, "charge-1")
        await at.hears("Thank you")
        assert "operator" in str((await at.says("/refund stars:charge-1"))["text"]).lower()
        said = await at.says("/refund stars:charge-1 --reason asked", sender=BOB)
        assert "Given back: 50 XTR" in str(said["text"])
        assert at.peer.charges == {"charge-1": "refunded"}
        assert await at.has() == 0
        assert "already" in str((await at.says("/refund stars:charge-1", sender=BOB))["text"])


@pytest.mark.parametrize("payment", ["charge-1", "stars:nothing"])
async def test_what_was_never_paid_cannot_be_given_back(tmp_path: Path, payment: str) -> None:
    async with shop(tmp_path) as at:
        assert "no such payment" in str((await at.says(f"/refund {payment}", sender=BOB))["text"])
