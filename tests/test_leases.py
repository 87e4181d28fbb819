"""Leases: held, extended, lost, taken and given back."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import pytest

from chatelier import Kind, Leased, OperatorMust, Query, Tx, Unavailable
from chatelier.core.errors import Lost
from chatelier.core.leases import ACCOUNTS, AccountLease, Lease, extend, give_back, held, take
from chatelier.core.supervise import OutOfTime
from chatelier.core.testing.clock import FakeClock, settle
from chatelier.core.testing.store import FakeStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore(Leased):
    done: int = 0


CHORES = Kind(name="chores", record=Chore, queries=(Query((), "due"),))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(clock: FakeClock) -> AsyncIterator[FakeStore]:
    async with FakeStore([CHORES, ACCOUNTS], clock) as store:
        yield store


async def is_held(store: FakeStore, chore: Chore) -> bool:
    async def work(tx: Tx) -> Chore:
        return await held(tx, CHORES, chore.key, chore.owner, chore.fence)

    try:
        return (await store.atomically(work)).key == chore.key
    except Lost:
        return False


async def taken(store: FakeStore, owner: str = "me", seconds: float = 30) -> Chore:
    chore = await take(store, CHORES, "c", owner=owner, seconds=seconds)
    assert chore is not None
    return chore


async def stored(store: FakeStore) -> Chore:
    chore = await store.get(CHORES, "c")
    assert chore is not None
    return chore


async def test_take_makes_the_record_and_holds_it(store: FakeStore, clock: FakeClock) -> None:
    chore = await taken(store)
    assert (chore.owner, chore.fence, chore.due) == ("me", 1, clock.now() + timedelta(seconds=30))
    assert await is_held(store, chore)
    assert await take(store, CHORES, "c", owner="you", seconds=30) is None
    assert await take(store, CHORES, "c", owner="me", seconds=30) is None


async def test_a_lapsed_lease_is_taken_over_with_a_higher_fence(store: FakeStore, clock: FakeClock) -> None:
    mine = await taken(store)
    await clock.advance(30)
    assert not await is_held(store, mine)
    yours = await taken(store, "you")
    assert (yours.owner, yours.fence) == ("you", 2)
    with pytest.raises(Lost, match="held by you"):
        await extend(store, CHORES, mine, 30)
    assert await give_back(store, CHORES, mine) is False
    assert await is_held(store, yours)


async def test_a_lapsed_lease_nobody_took_can_be_extended(store: FakeStore, clock: FakeClock) -> None:
    mine = await taken(store)
    await clock.advance(31)
    assert not await is_held(store, mine)
    longer = await extend(store, CHORES, mine, 10)
    assert longer.fence == mine.fence
    assert await is_held(store, mine)


async def test_what_is_given_back_is_free_at_once(store: FakeStore) -> None:
    mine = await taken(store)
    assert await give_back(store, CHORES, mine)
    assert not await is_held(store, mine)
    assert (await taken(store, "you")).fence == 2


async def test_a_record_that_went_is_lost(store: FakeStore) -> None:
    mine = await taken(store)
    await store.atomically(lambda tx: tx.delete(CHORES, "c"))
    with pytest.raises(Lost, match="gone"):
        await extend(store, CHORES, mine, 30)


async def test_a_record_that_was_never_held_can_be_taken(store: FakeStore) -> None:
    await store.atomically(lambda tx: tx.insert(CHORES, Chore(key="c", done=4)))
    assert (await taken(store)).done == 4


async def test_one_account_has_one_holder(store: FakeStore) -> None:
    leases = await asyncio.gather(*(take(store, ACCOUNTS, "web", owner=f"p{n}", seconds=30) for n in range(5)))
    holders = [lease for lease in leases if lease is not None]
    assert len(holders) == 1
    assert await store.find(ACCOUNTS) == holders
    assert isinstance(holders[0], AccountLease)


async def test_a_kept_lease_outlives_its_time(store: FakeStore, clock: FakeClock) -> None:
    """Also when the body writes to the record, so that its version grows."""
    chore = await taken(store)
    async with Lease(store, CHORES, chore, clock=clock, seconds=30) as lease:
        for _ in range(10):
            await clock.advance(10)

            async def work(tx: Tx) -> None:
                mine = await lease.held(tx)
                await tx.replace(CHORES, replace(mine, done=mine.done + 1))

            await store.atomically(work)
    assert (await stored(store)).done == 10
    assert clock.sleepers == 0
    await clock.advance(30)
    assert not await is_held(store, chore)


async def test_the_body_is_stopped_when_the_lease_is_lost(store: FakeStore, clock: FakeClock) -> None:
    chore = await taken(store)
    reached = []

    async def body() -> None:
        async with Lease(store, CHORES, chore, clock=clock, seconds=30):
            try:
                await asyncio.Event().wait()
            finally:
                reached.append("cleaned up")

    running = asyncio.create_task(body())
    await settle()
    await store.atomically(lambda tx: tx.replace(CHORES, replace(chore, owner="you", fence=2)))
    await clock.advance(10)
    with pytest.raises(Lost, match="held by you"):
        await running
    assert reached == ["cleaned up"]
    assert running.cancelling() == 0


async def test_a_body_that_let_go_itself_may_finish(store: FakeStore, clock: FakeClock) -> None:
    chore = await taken(store)
    async with Lease(store, CHORES, chore, clock=clock, seconds=30):
        assert await give_back(store, CHORES, chore)
        await clock.advance(60)
        assert (await taken(store, "you")).fence == 2


async def test_a_task_group_in_the_body_is_stopped_too(store: FakeStore, clock: FakeClock) -> None:
    chore = await taken(store)

    async def body() -> None:
        async with Lease(store, CHORES, chore, clock=clock, seconds=30), asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())

    running = asyncio.create_task(body())
    await settle()
    await store.atomically(lambda tx: tx.delete(CHORES, "c"))
    await clock.advance(10)
    with pytest.raises(Lost, match="gone"):
        await running


@pytest.mark.parametrize("trouble", [Unavailable("no answer"), OperatorMust("full disk")])
async def test_a_store_that_does_not_answer_loses_the_lease_when_its_time_is_over(
    store: FakeStore, clock: FakeClock, trouble: Exception
) -> None:
    chore = await taken(store)

    async def body() -> None:
        async with Lease(store, CHORES, chore, clock=clock, seconds=30):
            await asyncio.Event().wait()

    running = asyncio.create_task(body())
    await settle()
    store.trouble = trouble
    await clock.advance(20)
    assert not running.done()
    await clock.advance(10)
    with pytest.raises(Lost, match=str(trouble)):
        await running


async def test_a_store_that_comes_back_in_time_keeps_the_lease(store: FakeStore, clock: FakeClock) -> None:
    chore = await taken(store)
    async with Lease(store, CHORES, chore, clock=clock, seconds=30):
        store.trouble = Unavailable("no answer")
        await clock.advance(25)
        store.trouble = None
        await clock.advance(20)
        assert await is_held(store, chore)


async def test_a_bug_in_the_heartbeat_is_not_silent(store: FakeStore, clock: FakeClock) -> None:
    chore = await taken(store)

    async def body() -> None:
        async with Lease(store, CHORES, chore, clock=clock, seconds=30):
            await asyncio.Event().wait()

    running = asyncio.create_task(body())
    await settle()
    store.trouble = ZeroDivisionError("bug")
    await clock.advance(10)
    with pytest.raises(ZeroDivisionError):
        await running


async def test_cancelling_the_body_is_cancellation(store: FakeStore, clock: FakeClock) -> None:
    chore = await taken(store)

    async def body() -> None:
        async with Lease(store, CHORES, chore, clock=clock, seconds=30):
            await asyncio.Event().wait()

    running = asyncio.create_task(body())
    await settle()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await settle()
    assert clock.sleepers == 0


async def test_what_the_body_raises_comes_through(store: FakeStore, clock: FakeClock) -> None:
    chore = await taken(store)
    for error in (LookupError("mine"), TimeoutError("mine too")):
        with pytest.raises(type(error), match="mine"):
            async with Lease(store, CHORES, chore, clock=clock, seconds=30):
                raise error


@pytest.mark.parametrize("limit", [5, 45, 60, 65, 600])
async def test_a_body_has_so_much_time_and_no_more(store: FakeStore, clock: FakeClock, limit: int) -> None:
    chore = await taken(store)
    reached = []

    async def body(seconds: float) -> None:
        async with Lease(store, CHORES, chore, clock=clock, seconds=30) as lease:
            lease.limit(limit)
            await clock.sleep(seconds)
            reached.append(seconds)

    slow, quick = asyncio.create_task(body(limit + 1)), asyncio.create_task(body(limit - 1))
    await clock.advance(limit + 1)
    with pytest.raises(OutOfTime):
        await slow
    await quick
    assert reached == [limit - 1]
    assert slow.cancelling() == 0
    assert clock.sleepers == 0


async def test_a_body_that_let_its_record_go_has_no_more_time_either(store: FakeStore, clock: FakeClock) -> None:
    chore = await taken(store)

    async def body() -> None:
        async with Lease(store, CHORES, chore, clock=clock, seconds=30) as lease:
            lease.limit(600)
            await give_back(store, CHORES, chore)
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await clock.advance(599)
    assert not task.done()
    await clock.advance(1)
    with pytest.raises(OutOfTime):
        await task


async def is_held_by_clock(store: FakeStore, clock: FakeClock) -> bool:
    due = (await stored(store)).due
    return due is not None and due > clock.now()


@pytest.mark.parametrize("turns", range(8))
async def test_no_beat_comes_after_the_end_though_the_body_ends_in_the_turn_of_one(
    store: FakeStore, clock: FakeClock, turns: int
) -> None:
    chore = await taken(store)

    async def body() -> None:
        async with Lease(store, CHORES, chore, clock=clock, seconds=30):
            await clock.sleep(10)
            for _ in range(turns):
                await asyncio.sleep(0)

    task = asyncio.create_task(body())
    await clock.advance(10)
    await task
    await clock.advance(600)
    assert clock.sleepers == 0
    assert not await is_held_by_clock(store, clock)


async def test_a_body_that_is_late_in_cleaning_up_has_had_too_much_time_whatever_comes_then(
    store: FakeStore, clock: FakeClock
) -> None:
    chore = await taken(store)
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def body() -> None:
        async with Lease(store, CHORES, chore, clock=clock, seconds=30) as lease:
            lease.limit(45)
            try:
                await asyncio.Event().wait()
            finally:
                await clock.sleep(20)

    task = asyncio.create_task(body())
    await clock.advance(44)

    async def remove(tx: Tx) -> None:
        await tx.delete(CHORES, chore.key)

    await clock.advance(1.5)
    await store.atomically(remove)
    await clock.advance(30)
    with pytest.raises(OutOfTime):
        await task
    assert not complaints
