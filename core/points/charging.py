"""An order and the ledger: what is held when it is taken, and what becomes of that with each job that ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..storage import Tx
from . import holds
from .allowance import Allowance
from .holds import Charged
from .ledger import HOLDS, Books, allowance_of
from .prices import Quote
from .scenarios import Floors, Payer, hold_for, mode_of, moved_pools, payer_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """How an order is charged. quotes: one a job. group: "" outside of one. allowance: of who orders, as it is now."""

    quotes: Sequence[Quote]
    allowance: Allowance
    floors: Floors
    group: str = ""

    @property
    def likely(self) -> int:
        return sum(quote.likely for quote in self.quotes)


async def accept(tx: Tx, order: str, person: str, charges: Charges, origin: Literal["chat", "api", "batch"]) -> Payer:
    """Hold what the order may cost. Raises BadInput, in words, when nobody has that."""
    payer = payer_of(
        person,
        charges.group,
        await mode_of(tx, charges.group),
        origin=origin,
        purchased=any(quote.price.purchased for quote in charges.quotes),
        floors=charges.floors,
    )
    async with Books(tx, {allowance_of(person): charges.allowance}, charges.allowance.seconds) as books:
        amount = sum(quote.hold for quote in charges.quotes)
        if allowance_of(person) in payer.sources:
            # One slow run must not close a workflow to everybody: who has a full allowance may order what will likely fit.
            amount = min(amount, max(charges.likely, charges.allowance.maximum))
        return await hold_for(books, order, person, payer, amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A job that has ended. share: of the order's hold. cost: 0 where nothing came of it."""

    job: str
    share: int
    cost: int = 0


async def settle(
    tx: Tx, order: str, payer: Payer, runs: Sequence[Run], *, actor: str, is_last: bool
) -> Sequence[Charged]:
    """Take what they cost, and give back the rest of their shares; with the last one, all that is left. One answer a run."""
    hold = await tx.get(HOLDS, order)
    if hold is None:
        return [Charged(cost=0, written_off=0) for _ in runs]
    charged = []
    instead = await moved_pools(tx, payer.sources)
    async with Books(tx, cycle=hold.cycle, instead=instead) as books:
        for run in runs:
            charged.append(await holds.capture(books, order, payer.sources, run.job, run.share, run.cost, actor=actor))
            await holds.release(books, order, run.job, run.share - min(run.share, run.cost), job=run.job)
        if is_last:
            await holds.finish(books, order)
    return charged
