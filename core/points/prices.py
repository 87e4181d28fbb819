"""What a run costs: quoted before it, held for it, and taken after it."""

from collections.abc import Sequence
from dataclasses import dataclass

from .amounts import POINT

UNKNOWN_SECONDS = 30
"""Of a run of which nobody knows anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Millipoints: for each second of running time, for each token, and for the run as such.

    purchased: only purchased points pay it.
    """

    second: int = 0
    token: int = 0
    run: int = 0
    purchased: bool = False

    def cost(self, run_ms: int, tokens: int = 0) -> int:
        """Millipoints, rounded up. run_ms: whole milliseconds that it ran."""
        return self.run + -(-self.second * run_ms // 1_000) + self.token * tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Millipoints. likely: what the person is told. hold: what is set aside."""

    price: Price
    likely: int
    hold: int


def quoted(price: Price, run_ms: Sequence[int], expect_seconds: float) -> Quote:
    """run_ms: of the last ten runs, in any order. expect_seconds: what its author says, 0 for nothing.

    The likely price is that of their average; one and a half times what nine of ten stayed under is held.
    """
    if run_ms:
        likely = -(-sum(run_ms) // len(run_ms))
        held = -(-3 * sorted(run_ms)[-(-9 * len(run_ms) // 10) - 1] // 2)
    else:
        likely = held = round((expect_seconds or UNKNOWN_SECONDS) * 1_000)
    return Quote(price=price, likely=price.cost(likely), hold=price.cost(held))


def listed(dollars: float, point_dollars: float, multiplier: float) -> int:
    """Millipoints a second of a machine with this list price in dollars a second."""
    return -(-round(dollars * 1e9 * POINT * multiplier) // round(point_dollars * 1e9))
