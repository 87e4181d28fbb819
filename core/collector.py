"""Python's search for garbage that goes in circles, set for a process that serves many for weeks."""

import gc

YOUNG = 10_000
"""New objects until those are searched: about a millisecond's work. Python's own 700 are a few messages."""
MIDDLE, OLD = 20, 100
"""Searches of the young until the middle-aged are searched with them, and of those until all are."""


def settle() -> None:
    """Call it once all is loaded. What is there now stays, so nobody waits any more while it is gone through."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
