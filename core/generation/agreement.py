"""Whether the ledger and what it is about agree: orders, jobs, sales and vouchers. Each finding is a line for the operator.

`points/audit.py` asks whether the ledger agrees with itself.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from ..points.ledger import BALANCES, ENTRIES, HOLDS, REVENUE, Hold
from ..points.moves import VOUCHERS, Voucher, account_of, payment_key
from ..points.payments import SALES, Sale
from ..storage import Copyable, Kind, R, Store, Tx
from .jobs import JOBS, ORDERS, Job, Order

PAGE = 500

Look = Callable[[Tx, R], Awaitable[str]]


async def disagreements(store: Store) -> list[str]:
    """A line for each. The gateway may go on meanwhile: each is looked at in one transaction. Nothing of a store without pages."""
    if not isinstance(store, Copyable):
        return []
    looks: list[AsyncIterator[str]] = [
        _looked(store, HOLDS, _hold),
        _looked(store, ORDERS, _order),
        _looked(store, JOBS, _job),
        _looked(store, SALES, _sale),
        _looked(store, VOUCHERS, _voucher),
    ]
    return [fault for look in looks async for fault in look]


async def _looked(store: Store, kind: Kind[R], look: Look[R]) -> AsyncIterator[str]:
    """What is wrong with each record of a kind, a page at a time."""
    assert isinstance(store, Copyable)  # noqa: S101 - the caller looked
    page = await store.page(kind, limit=PAGE)
    while page:
        keys = [record.key for record in page]
        for fault in await store.atomically(partial(_all, kind=kind, keys=keys, look=look)):
            yield fault
        page = await store.page(kind, after=keys[-1], limit=PAGE)


async def _all(tx: Tx, *, kind: Kind[R], keys: list[str], look: Look[R]) -> list[str]:
    found = [await look(tx, record) for key in keys if (record := await tx.get(kind, key)) is not None]
    return [fault for fault in found if fault]


async def _hold(tx: Tx, hold: Hold) -> str:
    order = await tx.get(ORDERS, hold.key)
    if order is not None and order.state == "open":
        return ""
    return f"hold of order {hold.key!r}: {hold.left} are set aside, and the order is {'closed' if order else 'gone'}"


async def _order(tx: Tx, order: Order) -> str:
    if order.state == "closed" or order.payer is None or await tx.get(HOLDS, order.key) is not None:
        return ""
    return f"order {order.key!r}: it is open, somebody pays for it, and nothing is set aside"


async def _job(tx: Tx, job: Job) -> str:
    """What it says that it cost, and what was entered."""
    entry = await tx.get(ENTRIES, f"capture:{job.key}")
    entered = sum(posting.amount for posting in entry.postings if posting.account == REVENUE) if entry else 0
    if job.cost == entered:
        return ""
    return f"job {job.key!r}: it cost {job.cost}, its entry says {entered}"


async def _sale(tx: Tx, sale: Sale) -> str:
    entered = await tx.get(ENTRIES, payment_key(sale.provider, sale.charge)) if sale.charge else None
    brought = max((posting.amount for posting in entered.postings), default=0) if entered else 0
    due = sale.points if sale.state in ("paid", "refunded") else 0
    if brought == due:
        return ""
    return f"sale {sale.key!r}: it is {sale.state} and brings {due}, its entry says {brought}"


async def _voucher(tx: Tx, voucher: Voucher) -> str:
    if not voucher.giver:
        return ""
    balance = await tx.get(BALANCES, account_of(voucher.key))
    there, due = balance.free if balance else 0, voucher.amount * voucher.left
    return "" if there == due else f"voucher {voucher.key!r}: it gives {due}, {there} are there for it"
