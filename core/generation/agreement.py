"""Whether the ledger and what it is about agree: orders, jobs, sales and vouchers. Each finding is a line for the operator.

`points/audit.py` asks whether the ledger agrees with itself.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from ..points.holds import finish
from ..points.ledger import (
    BALANCES,
    ENTRIES,
    HOLDS,
    REVENUE,
    WRITTEN_OFF,
    Balance,
    Books,
    Entry,
    Hold,
    allowance_of,
    group_of_pool,
    line_of,
    pending_of,
    purchased_of,
)
from ..points.moves import VOUCHERS, Voucher, account_of, payment_key, refund_key
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
        _looked(store, ORDERS, _payer),
        _looked(store, ORDERS, _work),
        _looked(store, JOBS, _job),
        _looked(store, SALES, _sale),
        _looked(store, VOUCHERS, _voucher),
        _looked(store, BALANCES, _stranded),
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


async def _payer(tx: Tx, order: Order) -> str:
    """Who pays is who ordered, or a group."""
    if order.payer is None:
        return ""
    own = {allowance_of(order.person), purchased_of(order.person)}
    others = [source for source in order.payer.sources if source not in own and not group_of_pool(source)]
    return f"order {order.key!r}: {', '.join(others)} would pay for it, which is not {order.person}'s" if others else ""


async def _work(tx: Tx, order: Order) -> str:
    if order.state == "closed":
        return ""
    jobs = [await tx.get(JOBS, key) for key in order.jobs]
    if any(job is not None and job.open for job in jobs):
        return ""
    return f"order {order.key!r}: it is open, and no job of it is"


async def _job(tx: Tx, job: Job) -> str:
    """What it says that it cost, and what was entered."""
    entry = await tx.get(ENTRIES, f"capture:{job.key}")
    entered = _posted(entry, REVENUE), -_posted(entry, WRITTEN_OFF)
    if entered != (job.cost, job.written_off):
        return f"job {job.key!r}: it cost {job.cost}, {job.written_off} of it written off; its entry says {entered}"
    if job.cost and (job.price is None or job.price.cost(job.run_ms, job.tokens) != job.cost):
        return f"job {job.key!r}: it cost {job.cost}, which is not its price"
    return ""


def _posted(entry: Entry | None, account: str) -> int:
    return sum(posting.amount for posting in entry.postings if posting.account == account) if entry else 0


async def _sale(tx: Tx, sale: Sale) -> str:
    entered = await tx.get(ENTRIES, payment_key(sale.provider, sale.charge)) if sale.charge else None
    brought = _posted(entered, purchased_of(sale.person)) + _posted(entered, pending_of(sale.person))
    due = sale.points if sale.state in ("paid", "refunded") else 0
    if brought != due:
        return f"sale {sale.key!r}: it is {sale.state} and brings {sale.person} {due}, its entry says {brought}"
    taken = await tx.get(ENTRIES, refund_key(sale.provider, sale.charge)) if sale.charge else None
    if (taken is not None) == (sale.state == "refunded" and sale.points > 0):
        return ""
    return f"sale {sale.key!r}: it is {sale.state}, and its points were {'' if taken else 'not '}taken back"


async def _voucher(tx: Tx, voucher: Voucher) -> str:
    """One that somebody paid for has an account. What an operator's is worth stands in its record alone."""
    account = account_of(voucher.key)
    paid, balance = await tx.get(ENTRIES, line_of(account, 1), by="lines"), await tx.get(BALANCES, account)
    giver = paid.actor if paid else ""
    if voucher.giver != giver:
        return f"voucher {voucher.key!r}: {voucher.giver or 'nobody'} gave it, its entry says {giver or 'nobody'}"
    there, due = balance.free if balance else 0, voucher.amount * voucher.left if giver else 0
    return "" if there == due else f"voucher {voucher.key!r}: it gives {due}, {there} are there for it"


async def _stranded(tx: Tx, balance: Balance) -> str:
    """Points of a voucher that is gone."""
    if not balance.free or not balance.key.startswith("voucher:"):
        return ""
    voucher = await tx.get(VOUCHERS, balance.key.removeprefix("voucher:").removesuffix(".gift"))
    return "" if voucher is not None else f"account {balance.key!r}: {balance.free} are in it, and its voucher is gone"


async def release_left(store: Store) -> list[str]:
    """Give back what is set aside for orders that are over or gone, by a transaction for each. Those orders."""
    if not isinstance(store, Copyable):
        return []
    released: list[str] = []
    page = await store.page(HOLDS, limit=PAGE)
    while page:
        released += [hold.key for hold in page if await store.atomically(partial(_release, key=hold.key))]
        page = await store.page(HOLDS, after=page[-1].key, limit=PAGE)
    return released


async def _release(tx: Tx, *, key: str) -> bool:
    hold = await tx.get(HOLDS, key)
    order = await tx.get(ORDERS, key)
    if hold is None or (order is not None and order.state == "open"):
        return False
    async with Books(tx, cycle=hold.cycle) as books:
        await finish(books, key)
    return True
