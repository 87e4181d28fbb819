"""Amounts: integer millipoints everywhere; points, with at most three decimals, only where people read and write them."""

POINT = 1_000
"""Millipoints of a point."""
LARGEST = 10**15
"""Millipoints that one transaction may move: a million million points, far below what 64 bits hold."""


def shown(amount: int) -> str:
    """Millipoints as points, without zeros that say nothing: "12.5", "1,000"."""
    whole, rest = divmod(abs(amount), POINT)
    decimals = f".{rest:03d}".rstrip("0") if rest else ""
    return f"{'-' if amount < 0 else ''}{whole:,}{decimals}"


def in_points(amount: int) -> str:
    """The same with its unit."""
    return f"{shown(amount)} {'point' if amount == POINT else 'points'}"
