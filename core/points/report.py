"""What somebody has, read without writing anything: the refill that nobody posted yet is counted in."""

import math
from dataclasses import dataclass
from datetime import datetime

from ..storage import Reads
from .allowance import Allowance
from .amounts import POINT
from .ledger import BALANCES, Balance, allowance_of, pending_of, purchased_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Of one person, in millipoints. refill: of the next cycle, at `refill_at`.

    points, doints, qoints, pending_qoints, boints, exp: the kinds by the names that people know. exp: of all that was ever spent.
    """

    allowance: Allowance
    free: int
    held: int
    purchased: int
    purchased_held: int
    pending_qoints: int
    points: int
    boints: int
    exp: int
    refill: int
    refill_at: datetime

    @property
    def qoints(self) -> int:
        return self.purchased

    @property
    def doints(self) -> int:
        """Of the allowance: what cools or is held, beyond what was spent in this cycle."""
        return max(0, self.allowance.maximum - self.free - self.points)

    @property
    def level(self) -> int:
        return cube_root(self.exp // POINT)


async def report(reads: Reads, person: str, allowance: Allowance, now: datetime) -> Report:
    """allowance: the person's, as it is now."""
    own = await reads.get(BALANCES, allowance_of(person)) or Balance(key=allowance_of(person))
    bought = await reads.get(BALANCES, purchased_of(person)) or Balance(key=purchased_of(person))
    pending = await reads.get(BALANCES, pending_of(person))
    free, start = free_now(own, allowance, now), allowance.start_of(now)
    at = allowance.next_refill(now)
    return Report(
        allowance=allowance,
        free=free,
        held=own.held,
        purchased=bought.free,
        purchased_held=bought.held,
        pending_qoints=pending.free if pending else 0,
        points=own.recent if own.recent_at == start else 0,
        boints=bought.recent if bought.recent_at == start else 0,
        exp=own.spent + bought.spent,
        refill=free_now(own, allowance, at) - free,
        refill_at=at,
    )


def free_now(balance: Balance, allowance: Allowance, now: datetime) -> int:
    """What is free in an allowance, with the refill that is due."""
    return balance.free + allowance.touched(balance, now)[1] if balance.lines else allowance.maximum


def cube_root(whole: int) -> int:
    """The largest number whose cube is not above it."""
    root = round(math.cbrt(whole))
    while root**3 > whole:
        root -= 1
    while (root + 1) ** 3 <= whole:
        root += 1
    return root
