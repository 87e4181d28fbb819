"""A process that spends somebody's purchased points as fast as it can, some at a time. Prints how often it got them."""

import asyncio
import sys
from functools import partial

from chatelier import BadInput, Store, SystemClock, Tx
from chatelier.core.points.charging import Run, settle
from chatelier.core.points.holds import set_aside
from chatelier.core.points.ledger import Books, purchased_of
from chatelier.core.points.scenarios import Payer
from points_script import POINT, opened


async def spend(store: Store, name: str, n: int, person: str, amount: int) -> bool:
    """Held, and captured."""
    order, sources = f"{name}.{n}", (purchased_of(person),)

    async def hold(tx: Tx) -> None:
        async with Books(tx) as books:
            await set_aside(books, order, sources, amount, actor=person)

    try:
        await store.atomically(hold)
    except BadInput:
        return False
    payer, run = Payer(scenario="flat", sources=sources), Run(job=order, share=amount, cost=amount)
    await store.atomically(partial(settle, order=order, payer=payer, runs=[run], actor=person, is_last=True))
    return True


async def main(url: str, name: str, times: int, person: str, points: int) -> None:
    async with opened(url, SystemClock()) as store:
        await asyncio.to_thread(sys.stdin.readline)  # all begin together
        got = await asyncio.gather(*(spend(store, name, n, person, points * POINT) for n in range(times)))
        sys.stdout.write(f"{sum(got)}\n")


if __name__ == "__main__":
    url, name, times, person, points = sys.argv[1:]
    asyncio.run(main(url, name, int(times), person, int(points)))
