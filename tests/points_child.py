"""One process of the points' kill test. As a script it is a nursery: it imports all once, and forks a child for each line it reads.

A line is JSON: url, seed, length, at and until (the steps that it does), kill (the transaction that is its last, 0 for none), side: before
it, in the middle of it, or after it.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from chatelier import Store, SystemClock, Tx
from points_script import Rules, do, opened, script

T = TypeVar("T")
START = datetime(2026, 1, 5, 12, tzinfo=UTC)
STEP = timedelta(minutes=4)


class StepClock(SystemClock):
    """Says when the step is, however late it is done."""

    def __init__(self) -> None:
        self.step = 0

    def now(self) -> datetime:
        return START + self.step * STEP


class Killing:
    """A store whose user dies at its n-th transaction."""

    def __init__(self, store: Store, at: int, side: str) -> None:
        self._store, self._left, self._side = store, at, side

    async def atomically(self, work: Callable[[Tx], Awaitable[T]], *, soon: bool = False) -> T:
        self._left -= 1
        if self._left == 0 and self._side == "before":
            die()

        async def dying(tx: Tx) -> T:
            result = await work(tx)
            if self._left == 0 and self._side == "middle":
                die()
            return result

        try:
            return await self._store.atomically(dying, soon=soon)
        finally:
            if self._left == 0:
                die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def live(told: dict[str, Any], report: int) -> None:
    clock = StepClock()
    async with opened(told["url"], clock) as store:
        killing: Any = Killing(store, told["kill"], told["side"])
        for n, step in enumerate(script(told["seed"], told["length"], Rules.of(told["url"]))):
            if told["at"] <= n < told["until"]:
                clock.step = n
                # A gateway does not try again what it refused.
                refused = await do(killing, step)
                os.write(report, f"{n} {n + 1 if refused else n}\n".encode())


def main() -> None:
    for line in sys.stdin:
        told = json.loads(line)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            asyncio.run(live(told, write))
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as steps:
            done = [step.split() for step in steps]
        _, status = os.waitpid(child, 0)
        last, again = map(int, done[-1]) if done else (-1, told["at"])
        said = {"done": last, "again": again, "killed": os.WIFSIGNALED(status), "status": status}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
