"""A process that works on the ledger is killed again and again; what it was at is done again, and all is as if nothing had happened."""

import asyncio
import json
import os
import random
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from chatelier.core.points.audit import audit, every
from chatelier.core.points.ledger import BALANCES, Balance
from chatelier.testing import FakeStore
from points_child import StepClock
from points_script import LEDGER, Rules, do, opened, script

KILLS = int(os.environ.get("CHATELIER_TEST_KILLS", "200"))
"""More of them: CHATELIER_TEST_KILLS=5000."""
CHILD = Path(__file__).with_name("points_child.py")
LENGTH, LAST = 6 * KILLS, 20
"""Steps; most of the lives see two or three, and the one that is not killed the last twenty."""


@pytest.fixture(params=["sqlite", "mongodb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/points.db" if request.param == "sqlite" else str(request.getfixturevalue("mongo_url"))


def sums(balance: Balance) -> Balance:
    """Without what another engine's clock decides."""
    return replace(balance, version=0, mark=None, recent=0, recent_at=None)


async def test_whoever_is_killed_whenever_loses_nothing_and_pays_nothing_twice(url: str) -> None:
    seed = random.randrange(10**6)  # noqa: S311 - another one each time; it is told when the test fails
    rng = random.Random(seed)  # noqa: S311 - as above
    kills, at = 0, 0
    nursery = await asyncio.create_subprocess_exec(
        sys.executable, CHILD, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    try:
        while True:
            told = {
                "url": url,
                "seed": seed,
                "length": LENGTH,
                "at": at,
                "until": at + LAST if kills == KILLS else LENGTH,
                "kill": rng.randint(1, 12) if kills < KILLS else 0,
                "side": rng.choice(("before", "middle", "after")),
            }
            nursery.stdin.write(json.dumps(told).encode() + b"\n")
            said = json.loads(await nursery.stdout.readline())
            # The step that was under way is done again, and the one before it, too.
            at = said["again"]
            if not said["killed"]:
                assert said["status"] == 0
                break
            kills += 1
    finally:
        nursery.stdin.close()
        await nursery.wait()
    assert kills == KILLS
    clock = StepClock()
    async with opened(url, clock) as store, FakeStore(LEDGER, clock) as untouched:
        for n, step in enumerate(islice(script(seed, LENGTH, Rules.of(url)), said["done"] + 1)):
            clock.step = n
            await do(untouched, step)
        assert await audit(store) == []
        found = [sums(one) async for one in every(store, BALANCES, "key")]
        assert found == [sums(one) async for one in every(untouched, BALANCES, "key")], f"seed {seed}"
