"""Several processes on one ledger at once."""

import asyncio
import sys
from functools import partial
from pathlib import Path

import pytest

from chatelier import SystemClock
from chatelier.core.points.audit import audit
from chatelier.core.points.ledger import BALANCES, HOLDS, purchased_of
from chatelier.core.points.moves import buy
from points_script import POINT, opened

SPENDER = Path(__file__).with_name("points_spender.py")
PROCESSES, EACH, THERE = 4, 250, 500


@pytest.fixture(params=["sqlite", "mongodb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/points.db" if request.param == "sqlite" else str(request.getfixturevalue("mongo_url"))


async def spenders(url: str, each: int, *wanted: tuple[str, int]) -> list[int]:
    """A process for each person and amount of points; how often each got it."""
    running = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            SPENDER,
            url,
            f"p{n}",
            str(each),
            person,
            str(points),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for n, (person, points) in enumerate(wanted)
    ]
    said = await asyncio.gather(*(one.communicate(b"go\n") for one in running))
    assert [one.returncode for one in running] == [0] * len(wanted)
    return [int(out) for out, _ in said]


async def test_of_a_thousand_spends_on_five_hundred_points_five_hundred_succeed(url: str) -> None:
    async with opened(url, SystemClock()) as store:
        await store.atomically(lambda tx: buy(tx, "ada", THERE * POINT, provider="test", charge="1"))
        got = await spenders(url, EACH, *[("ada", 1)] * PROCESSES)
        assert sum(got) == THERE
        balance = await store.get(BALANCES, purchased_of("ada"))
        assert balance is not None
        assert (balance.free, balance.held, balance.spent) == (0, 0, THERE * POINT)
        assert await store.find(HOLDS, order="key") == []
        assert await audit(store) == []


async def test_those_who_are_paid_for_at_the_same_moment_never_swap_payers(url: str) -> None:
    async with opened(url, SystemClock()) as store:
        for person in ("ada", "bob"):
            await store.atomically(partial(buy, person=person, amount=1_000 * POINT, provider="test", charge=person))
        assert await spenders(url, 100, ("ada", 1), ("bob", 3)) == [100, 100]
        for person, points in (("ada", 1), ("bob", 3)):
            balance = await store.get(BALANCES, purchased_of(person))
            assert balance is not None
            assert balance.spent == 100 * points * POINT
        assert await audit(store) == []
