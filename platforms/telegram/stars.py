"""Telegram Stars as a way to buy points: Telegram collects, the core keeps the books."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from chatelier import ChatRef, Pack, Refused, Sale

from . import words
from .settings import StarsSettings

CURRENCY, STARS = "XTR", "stars"
MILLIPOINTS = 1_000


class GivesBack(Protocol):
    async def give_back(self, person: int, charge: str) -> None: ...


class Stars:
    """accounts: the bots that sell, by name. dollar: points that one dollar buys."""

    def __init__(
        self, accounts: Mapping[str, GivesBack], settings: Mapping[str, StarsSettings], dollar: Decimal
    ) -> None:
        self._accounts = accounts
        self._packs = {name: packs_of(one, dollar) for name, one in settings.items()}

    @property
    def name(self) -> str:
        return STARS

    def packs(self, chat: ChatRef) -> Sequence[Pack]:
        return self._packs.get(chat.platform, ())

    async def refund(self, sale: Sale) -> None:
        account = self._accounts.get(sale.account)
        if account is None:
            raise Refused(words.NO_SELLER.format(account=sale.account))
        await account.give_back(int(sale.sender.removeprefix("telegram:")), sale.charge)


def packs_of(settings: StarsSettings, dollar: Decimal) -> tuple[Pack, ...]:
    a_star = Decimal(str(settings.dollars)) * dollar * MILLIPOINTS
    return tuple(
        Pack(points=int(stars * a_star), amount=stars, currency=CURRENCY, price=f"{stars} ⭐")
        for stars in sorted(settings.packs)
        if stars * a_star >= 1
    )
