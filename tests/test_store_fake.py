"""The fake is stricter than a real store, and its clock is turned by hand."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from chatelier import OperatorMust, Tx, Unavailable
from chatelier.core.testing.clock import START, FakeClock, settle
from chatelier.core.testing.store import FakeStore
from chatelier.core.testing.store_suite import KINDS, SAMPLES, Sample, add, put


async def test_work_runs_twice_and_only_the_second_counts() -> None:
    runs = []
    async with FakeStore(KINDS) as store:

        async def work(tx: Tx) -> int:
            runs.append(await tx.get(SAMPLES, "a"))
            await tx.insert(SAMPLES, Sample(key="a"))
            return len(runs)

        assert await store.atomically(work) == 2
        assert runs == [None, None]


async def test_work_that_leaves_something_behind_shows() -> None:
    """Keys drawn from a list that the first run emptied: the bug that a retry would bring to light once a month."""
    fresh = ["a"]
    async with FakeStore(KINDS) as store:

        async def work(tx: Tx) -> None:
            await tx.insert(SAMPLES, Sample(key=fresh.pop()))

        with pytest.raises(IndexError):
            await store.atomically(work)
        assert await store.find(SAMPLES) == []


async def test_work_that_awaits_something_else_is_told_so() -> None:
    async with FakeStore(KINDS, FakeClock()) as store:
        for other in (asyncio.sleep, FakeClock().sleep):

            async def work(tx: Tx) -> None:
                await other(0.01)  # noqa: B023 - runs within this turn of the loop

            with pytest.raises(RuntimeError, match="not `tx`"):
                await store.atomically(work)


async def test_changes_wait_by_the_clock() -> None:
    clock = FakeClock()
    async with FakeStore(KINDS, clock) as store:
        waiting = asyncio.create_task(store.changes(SAMPLES).wait(10))
        await add(store)
        await clock.advance(9.999)
        assert not waiting.done()
        await clock.advance(0.001)
        assert await waiting is False


async def test_backup_refuses_to_overwrite(tmp_path: Path) -> None:
    async with FakeStore(KINDS) as store:
        await put(store, [Sample(key="a")])
        await store.backup(f"{tmp_path}/copy.json")
        with pytest.raises(OperatorMust, match="there already"):
            await store.backup(f"{tmp_path}/copy.json")


async def test_a_closed_store_is_unavailable() -> None:
    async with FakeStore(KINDS) as store:
        pass
    with pytest.raises(Unavailable):
        await store.find(SAMPLES)
    with pytest.raises(Unavailable):
        await add(store)


async def test_the_clock_wakes_sleepers_in_order_each_at_its_moment() -> None:
    clock = FakeClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.monotonic()))

    tasks = [
        asyncio.create_task(sleeper("b", 0.2)),
        asyncio.create_task(sleeper("a", 0.1, 0.1, 0.1)),
        asyncio.create_task(sleeper("c", 9)),
    ]
    await clock.advance(0.3)
    assert woken == [("a", 0.1), ("b", 0.2), ("a", 0.2), ("a", 0.3)]
    assert clock.now() == START + timedelta(milliseconds=300)
    assert clock.sleepers == 1
    tasks[2].cancel()
    await settle()
    assert clock.sleepers == 0
    await clock.advance(10)
    assert clock.monotonic() == 10.3


async def test_the_clock_keeps_whole_milliseconds() -> None:
    clock = FakeClock()
    await clock.advance(0.0009)
    assert clock.now() == START
    await clock.sleep(0)
    await clock.advance(0.0001)
    assert clock.now() == START + timedelta(milliseconds=1)
