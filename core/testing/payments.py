"""A way to buy points that moves no money."""

from collections.abc import Sequence

from ..chat.messages import ChatRef, Invoice, Paid
from ..errors import Refused
from ..points.payments import Pack, Sale


class FakePayments:
    """Sells its packs in every chat. refunds: the charges that were given back. refuses: what `refund` says instead."""

    def __init__(self, *packs: Pack, name: str = "play") -> None:
        self.name = name
        self.refunds: list[str] = []
        self.refuses = ""
        self._packs = packs or (Pack(points=100_000, amount=100, currency="PLAY", price="100 play coins"),)

    def packs(self, chat: ChatRef) -> Sequence[Pack]:
        return self._packs

    async def refund(self, sale: Sale) -> None:
        if self.refuses:
            raise Refused(self.refuses)
        if sale.charge not in self.refunds:
            self.refunds.append(sale.charge)

    @staticmethod
    def paid(invoice: Invoice, charge: str) -> Paid:
        """What a network tells once somebody has paid."""
        return Paid(invoice=invoice.key, charge=charge, amount=invoice.amount, currency=invoice.currency)
