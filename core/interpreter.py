"""Python itself, set for a process that serves many for weeks."""

import gc
import sys

YOUNG = 1_000
"""New objects until the collector looks for garbage among them: 0.2 ms, where 10,000 take 2 ms that a hundred messages wait for."""
MIDDLE, OLD = 3, 300
"""Looks at the young until the middle-aged are looked at with them, which takes 0.5 ms, and of those until all are."""
SWITCH_SECONDS = 0.0005
"""A thread that comes back from the disk waits so long for the loop's to let it in. Python's own 5 ms are many messages."""


def settle() -> None:
    """Call it once all is loaded. What is there now stays, so nobody waits any more while the collector goes through it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    sys.setswitchinterval(SWITCH_SECONDS)
