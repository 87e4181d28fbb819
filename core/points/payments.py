"""Buying points: what is for sale, what was asked for, and what was paid, once under the provider's own id."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol, runtime_checkable

from ..chat.messages import ChatRef, Invoice, Paid
from ..errors import BadInput, Refused
from ..keys import token
from ..storage import Kind, Query, Reads, Record, Time, Tx
from ..values import replace
from . import words
from .moves import buy, refund

OPEN = timedelta(days=1)
"""That a bill can be paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """What can be bought. points: millipoints. amount: in the currency's smallest unit. price: as people read it."""

    points: int
    amount: int
    currency: str
    price: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale(Record):
    """A bill, and what came of it. key: the invoice's. account: of the network that it was shown on.

    charge: the provider's own id of the payment, "" before. paid: the same behind the provider's name, as people are told it.

    stray: a payment for a bill that nobody knows here; its points are not known either, and an operator gives it back.
    """

    provider: str
    account: str
    person: str
    sender: str
    points: int
    amount: int
    currency: str
    charge: str = ""
    paid: str = ""
    state: Literal["open", "paid", "refunded", "stray"] = "open"
    created: Time


SALES = Kind(
    name="sales", record=Sale, unique=("paid",), queries=(Query(("person",), "created"), Query(("state",), "created"))
)


@runtime_checkable
class Payments(Protocol):
    """A way to buy points, registered with the hook `register_payments`."""

    @property
    def name(self) -> str:
        """Never another one: payments are known by it."""
        ...

    def packs(self, chat: ChatRef) -> Sequence[Pack]:
        """What can be bought in this chat, the smallest first; none where it cannot collect. From memory, at once."""
        ...

    async def refund(self, sale: Sale) -> None:
        """Give the money back. Done already: success. Raises Refused, in words, or Unavailable."""
        ...


def offered(providers: Mapping[str, Payments], chat: ChatRef) -> list[tuple[str, Pack]]:
    """Everything for sale in a chat, each with its provider's name."""
    return [(name, pack) for name, one in providers.items() for pack in one.packs(chat)]


async def bill(tx: Tx, provider: str, pack: Pack, *, account: str, person: str, sender: str) -> Invoice:
    """A new bill for this pack. account: that shows it."""
    sale = Sale(
        key=token(),
        provider=provider,
        account=account,
        person=person,
        sender=sender,
        points=pack.points,
        amount=pack.amount,
        currency=pack.currency,
        created=tx.now,
    )
    await tx.insert(SALES, sale)
    return Invoice(key=sale.key, title=words.pack(pack.points), amount=pack.amount, currency=pack.currency)


async def approved(
    reads: Reads, sender: str, paid: tuple[str, int, str], now: Time, on_sale: Sequence[tuple[str, Pack]]
) -> Refused | None:
    """Whether a payment that is about to be made is for a bill of ours. paid: invoice, amount, currency. on_sale: there and now."""
    invoice, amount, currency = paid
    sale = await reads.get(SALES, invoice)
    if sale is None or sale.state != "open" or now - sale.created > OPEN:
        return Refused(words.BILL_GONE)
    wanted = (sale.provider, sale.points, sale.amount, sale.currency)
    if not any(wanted == (provider, pack.points, pack.amount, pack.currency) for provider, pack in on_sale):
        return Refused(words.BILL_GONE)
    if sale.sender != sender:
        return Refused(words.BILL_OTHERS)
    return None if (sale.amount, sale.currency) == (amount, currency) else Refused(words.BILL_GONE)


async def settle_payment(tx: Tx, account: str, person: str, sender: str, paid: Paid) -> Sale:
    """The points of a payment, once however often it is told. What nobody knows the bill of is kept as a stray.

    account: that tells of it; its network stands for the provider of a bill that nobody knows.
    """
    bill = await tx.get(SALES, paid.invoice)
    provider = bill.provider if bill else paid.provider or account.partition(".")[0]
    charge = f"{provider}:{paid.charge}"
    if (known := await tx.get(SALES, charge, by="paid")) is not None:
        return known
    if bill is None or bill.charge or (bill.amount, bill.currency) != (paid.amount, paid.currency):
        # Nobody's bill, another sum, or a bill that was paid before with another payment.
        points = bill.points if bill and (bill.amount, bill.currency) == (paid.amount, paid.currency) else 0
        bill = await tx.insert(
            SALES,
            Sale(
                key=token(),
                provider=provider,
                account=account,
                person=person,
                sender=sender,
                points=points,
                amount=paid.amount,
                currency=paid.currency,
                created=tx.now,
            ),
        )
    if bill.points:
        await buy(tx, bill.person, bill.points, provider=provider, charge=paid.charge)
    state: Literal["paid", "stray"] = "paid" if bill.points else "stray"
    return await tx.replace(SALES, replace(bill, state=state, charge=paid.charge, paid=charge))


async def sale_of(reads: Reads, charge: str) -> Sale:
    """A payment by its id, with or without its provider's name before it. Raises BadInput for none that can be given back."""
    found = await reads.get(SALES, charge, by="paid")
    if found is None:
        raise BadInput(words.NO_SALE)
    if found.state == "refunded":
        raise BadInput(words.REFUNDED_BEFORE)
    return found


async def gave_back(tx: Tx, account: str, paid: Paid) -> int:
    """The network says that it gave a payment back. The millipoints that went with it."""
    charge = f"{paid.provider or account.partition('.')[0]}:{paid.charge}"
    sale = await tx.get(SALES, charge, by="paid")
    return await take_back(tx, sale, actor=account, reason="given back by the network") if sale is not None else 0


async def take_back(tx: Tx, sale: Sale, *, actor: str, reason: str) -> int:
    """The money went back: so do the points, as far as they are there. Once. The millipoints that were."""
    current, taken = await tx.get(SALES, sale.key), 0
    if current is None or current.state == "refunded":
        return 0
    if current.points:
        taken = await refund(
            tx,
            sale.person,
            sale.points,
            provider=sale.provider,
            charge=sale.charge,
            actor=actor,
            reason=reason,
        )
    await tx.replace(SALES, replace(current, state="refunded"))
    return taken
