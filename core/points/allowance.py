"""The allowance: how large it is, and how it refills with the time that passes. Nobody visits those who sleep."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..values import replace

if TYPE_CHECKING:
    from .ledger import Balance

CYCLE_SECONDS = 900
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def start_of(now: datetime, seconds: int) -> datetime:
    """When the cycle of this moment began; cycles of so many seconds begin at whole ones since 1970."""
    cycle = timedelta(seconds=seconds)
    return _EPOCH + (now - _EPOCH) // cycle * cycle


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How an allowance refills. maximum: millipoints. seconds: of a cycle; cycles begin at whole ones since 1970.

    cycles: so many from empty to full.
    """

    maximum: int
    seconds: int = CYCLE_SECONDS
    cycles: int = 18

    def start_of(self, now: datetime) -> datetime:
        """When the cycle of this moment began."""
        return start_of(now, self.seconds)

    def next_refill(self, now: datetime) -> datetime:
        return self.start_of(now) + timedelta(seconds=self.seconds)

    def touched(self, balance: "Balance", now: datetime) -> tuple["Balance", int]:
        """The balance with its marks as they are once the refill that is due is given, and that refill in millipoints.

        After n cycles since the mark maximum * n // cycles have been given: nothing is lost by rounding. What is held counts
        against the maximum. Where the rule changed, what was due until now is due by the old one, up to the smaller maximum.
        """
        anew = replace(balance, allowance=self, mark=self.start_of(now), given=0)
        old = balance.allowance
        if old is None or balance.mark is None:
            return anew, 0
        fullest = min(old.maximum, self.maximum)
        if balance.total >= fullest:
            return anew, 0
        n = max(0, (old.start_of(now) - balance.mark) // timedelta(seconds=old.seconds))
        amount = max(0, min(old.maximum * n // old.cycles - balance.given, fullest - balance.total))
        return (anew if old != self else replace(balance, given=balance.given + amount)), amount
