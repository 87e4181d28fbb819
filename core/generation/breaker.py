"""A breaker: what fails again and again is left alone for a while, then tried with one job."""

from collections.abc import Callable

BREAKS = 3
"""Failures in a row, until it is left alone."""
FIRST_SECONDS = 10.0
"""For so long; each time that the try fails as well, for twice as long."""
LONGEST_SECONDS = 300.0


class Breaker:
    """Closed: all places. Open: none, until its time is over. Half open: one place, whose job decides.

    jitter: 0 to 1; half of each pause is taken times it, so that what fell together is not tried together.
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._failures = 0
        self._open_until = float("-inf")

    @property
    def is_broken(self) -> bool:
        """Open or half open."""
        return self._failures >= BREAKS

    def allowed(self, places: int, now: float) -> int:
        """How many of so many places may be used."""
        if not self.is_broken:
            return places
        return 0 if now < self._open_until else min(1, places)

    def failed(self, now: float) -> None:
        """A job came to nothing, and it was not the job's fault."""
        self._failures += 1
        if self.is_broken:
            doubled = FIRST_SECONDS * 2.0 ** min(self._failures - BREAKS, 10)
            self._open_until = now + min(LONGEST_SECONDS, doubled) * (1 + self._jitter()) / 2

    def succeeded(self) -> None:
        self._failures = 0
