"""Several processes on one ledger at once."""

import asyncio
import sys
from pathlib import Path

from chatelier import SystemClock
from chatelier.core.points.audit import audit
from chatelier.core.points.ledger import BALANCES, HOLDS, purchased_of
from chatelier.core.points.moves import buy
from chatelier.plugins.sqlite import open_sqlite
from points_script import LEDGER, POINT

SPENDER = Path(__file__).with_name("points_spender.py")
PROCESSES, EACH, THERE = 4, 250, 500


async def spenders(url: str, names: list[str], each: int) -> list[int]:
    """How many each of them got."""
    running = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            SPENDER,
            url,
            name,
            str(each),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for name in names
    ]
    said = await asyncio.gather(*(one.communicate(b"go\n") for one in running))
    assert [one.returncode for one in running] == [0] * len(names)
    return [int(out) for out, _ in said]


async def test_of_a_thousand_spends_on_five_hundred_points_five_hundred_succeed(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/points.db"
    async with open_sqlite(url, LEDGER, SystemClock()) as store:
        await store.atomically(lambda tx: buy(tx, "ada", THERE * POINT, provider="test", charge="1"))
        got = await spenders(url, [f"p{n}" for n in range(PROCESSES)], EACH)
        assert sum(got) == THERE
        balance = await store.get(BALANCES, purchased_of("ada"))
        assert balance is not None
        assert (balance.free, balance.held, balance.spent) == (0, 0, THERE * POINT)
        assert await store.find(HOLDS, order="key") == []
        assert await audit(store) == []
