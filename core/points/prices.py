"""What a run costs: quoted before it, held for it, and taken after it."""

from collections.abc import Sequence
from dataclasses import dataclass

from .amounts import POINT

UNKNOWN_SECONDS = 30
"""Of a run of which nobody knows anything."""
THOUSAND = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Millipoints: for each second of running time, for a thousand tokens, and for the run as such.

    expect_tokens: of a run until some have shown how many it takes. purchased: only purchased points pay it.
    """

    second: int = 0
    thousand_tokens: int = 0
    run: int = 0
    expect_tokens: int = 0
    purchased: bool = False

    def cost(self, run_ms: int, tokens: int = 0) -> int:
        """Millipoints, each part rounded up. run_ms: whole milliseconds that it ran."""
        return self.run + -(-self.second * run_ms // 1_000) + -(-self.thousand_tokens * tokens // THOUSAND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Millipoints. likely: what the person is told. hold: what is set aside."""

    price: Price
    likely: int
    hold: int


def quoted(
    price: Price, run_ms: Sequence[int], tokens: Sequence[int], expect_seconds: float, most_seconds: float = 0
) -> Quote:
    """run_ms, tokens: of the last ten runs, in any order. expect_seconds: what its author says, 0 for nothing.

    The likely price is that of their average; one and a half times what nine of ten stayed under is held, and never less than is
    likely. most_seconds: no run takes longer; 0 for no limit.
    """
    likely_ms, held_ms = _foreseen(run_ms, round((expect_seconds or UNKNOWN_SECONDS) * 1_000))
    likely_tokens, held_tokens = _foreseen(tokens, price.expect_tokens)
    if most_seconds:
        held_ms = max(likely_ms, min(held_ms, round(most_seconds * 1_000)))
    likely = price.cost(likely_ms, likely_tokens)
    return Quote(price=price, likely=likely, hold=max(likely, price.cost(held_ms, held_tokens)))


def _foreseen(known: Sequence[int], expected: int) -> tuple[int, int]:
    """What the next one will likely take, and what to be ready for."""
    if not known:
        return expected, expected
    return -(-sum(known) // len(known)), -(-3 * sorted(known)[-(-9 * len(known) // 10) - 1] // 2)


def listed(dollars: float, point_dollars: float, multiplier: float) -> int:
    """Millipoints a second of a machine with this list price in dollars a second."""
    return -(-round(dollars * 1e9 * POINT * multiplier) // round(point_dollars * 1e9))
