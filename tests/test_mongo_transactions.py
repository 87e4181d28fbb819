"""MongoDB's transactions: serializable, for many at a time, in several processes, while any of them or the server is killed."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatelier import Exists, Kind, Query, Stale, Store, SystemClock, Tx, Unavailable, token
from chatelier.core.testing.clock import FakeClock
from chatelier.core.testing.store import FakeStore
from chatelier.core.testing.store_suite import KINDS, SAMPLES, TALLIES, Place, Sample, Tally, add, claim, put
from chatelier.plugins.mongo import open_mongo
from mongod import Mongod

CHILD = """
import asyncio, sys
from chatelier import SystemClock
from chatelier.core.testing.store_suite import KINDS, add, claim
from chatelier.plugins.mongo import open_mongo

async def main(url, what, count):
    async with open_mongo(url, KINDS, SystemClock()) as store:
        for _ in range(int(count)):
            if what == "add":
                await add(store)
                print("added", flush=True)
            elif (sample := await claim(store, what, 3600)) is not None:
                print(sample.key, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""
HOLDER = """
import os, signal, sys
import pymongo

url, name = sys.argv[1:]
client = pymongo.MongoClient(url, appname=name)
session = client.start_session()
session.start_transaction()
client.get_default_database().chatelier.update_one({"_id": "writer"}, {"$inc": {"number": 1}}, session=session)
print("held", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
FULL = Kind(name="guests", record=Tally, queries=(Query(),))


def opened(url: str) -> Any:
    return open_mongo(url, [*KINDS, FULL], SystemClock())


@asynccontextmanager
async def several(url: str, count: int) -> AsyncIterator[Sequence[Store]]:
    """Stores that know nothing of each other, as in as many processes."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(opened(url)) for _ in range(count)]


async def child(url: str, what: str, count: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, url, what, str(count), stdout=asyncio.subprocess.PIPE
    )


async def lines(process: asyncio.subprocess.Process) -> list[str]:
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().split()


async def count(store: Store) -> int:
    tally = await store.get(TALLIES, "t")
    return tally.amount if tally else 0


# --- serializable: each of these lets something through that must not be, where a transaction is only a snapshot


async def test_of_two_who_read_both_and_write_one_each_the_later_one_sees_the_earlier(mongo_url: str) -> None:
    """Write skew: one of the two has to stay on call."""

    async def on_call(ada: str, bob: str, tx: Tx) -> None:
        for key in (ada, bob):
            await tx.insert(TALLIES, Tally(key=key, amount=1))

    async def leave(store: Store, me: str, other: str) -> None:
        async def work(tx: Tx) -> None:
            mine, theirs = await tx.get(TALLIES, me), await tx.get(TALLIES, other)
            assert mine
            assert theirs
            if theirs.amount:
                await tx.replace(TALLIES, replace(mine, amount=0))

        await store.atomically(work)

    async with several(mongo_url, 2) as (one, two):
        for n in range(20):
            ada, bob = f"ada {n}", f"bob {n}"

            await one.atomically(partial(on_call, ada, bob))
            await asyncio.gather(leave(one, ada, bob), leave(two, bob, ada))
            left = [await one.get(TALLIES, key) for key in (ada, bob)]
            assert sum(tally.amount for tally in left if tally) == 1


async def test_what_was_not_there_is_still_not_there_at_the_commit(mongo_url: str) -> None:
    async def take(store: Store, me: str, other: str) -> bool:
        async def work(tx: Tx) -> bool:
            if await tx.get(TALLIES, other) is not None:
                return False
            await tx.insert(TALLIES, Tally(key=me))
            return True

        return await store.atomically(work)

    async with several(mongo_url, 2) as (one, two):
        for n in range(20):
            taken = await asyncio.gather(take(one, f"a{n}", f"b{n}"), take(two, f"b{n}", f"a{n}"))
            assert sorted(taken) == [False, True]


async def test_count_then_insert_admits_no_more_than_the_limit(mongo_url: str) -> None:
    """Twenty at once, where three may be."""

    async def enter(store: Store) -> bool:
        key = token()

        async def work(tx: Tx) -> bool:
            if len(await tx.find(FULL)) >= 3:
                return False
            await tx.insert(FULL, Tally(key=key))
            return True

        return await store.atomically(work)

    async with several(mongo_url, 4) as stores:
        admitted = await asyncio.gather(*(enter(stores[n % 4]) for n in range(20)))
        assert sum(admitted) == 3
        assert len(await stores[0].find(FULL)) == 3


# --- what a transaction believes is asked after


async def outcomes(store: Store, *works: Any) -> list[Any]:
    """Of works that wait together and share a transaction."""
    return await asyncio.gather(*map(store.atomically, works), return_exceptions=True)


async def test_a_taken_place_fails_only_who_wanted_it(mongo_url: str) -> None:
    async with several(mongo_url, 2) as (store, other):
        await put(other, [Sample(key="a", name="Ada")])

        async def same_key(tx: Tx) -> Sample:
            return await tx.insert(SAMPLES, Sample(key="a"))

        async def same_name(tx: Tx) -> str:
            with pytest.raises(Exists, match=r"unique value|Ada"):
                await tx.insert(SAMPLES, Sample(key="b", name="Ada"))
            await tx.insert(SAMPLES, Sample(key="c", name="Cem"))
            return "goes on"

        async def fine(tx: Tx) -> Sample:
            return await tx.insert(SAMPLES, Sample(key="d"))

        first, second, third = await outcomes(store, same_key, same_name, fine)
        assert isinstance(first, Exists)
        assert second == "goes on"
        assert third == await store.get(SAMPLES, "d")
        assert [one.key for one in await store.find(SAMPLES)] == ["a", "c", "d"]


async def test_a_work_that_fails_for_another_reason_behind_a_taken_place_says_that_it_is_taken(mongo_url: str) -> None:
    async with several(mongo_url, 2) as (store, other):
        await put(other, [Sample(key="a")])

        async def work(tx: Tx) -> None:
            await tx.insert(SAMPLES, Sample(key="a"))
            raise LookupError("never reached")

        with pytest.raises(Exists):
            await store.atomically(work)


@pytest.mark.parametrize("how", ["deleted", "renamed"])
async def test_a_taken_place_is_found_out_though_it_was_given_up_again(mongo_url: str, how: str) -> None:
    async with several(mongo_url, 2) as (store, other):
        await put(other, [Sample(key="a", name="Ada")])

        async def work(tx: Tx) -> None:
            made = await tx.insert(SAMPLES, Sample(key="b", name="Ada"))
            if how == "deleted":
                await tx.delete(SAMPLES, "b")
            else:
                await tx.replace(SAMPLES, replace(made, name="Bob"))

        with pytest.raises(Exists):
            await store.atomically(work)
        assert [one.key for one in await store.find(SAMPLES)] == ["a"]


async def test_a_place_that_is_freed_only_later_was_taken(mongo_url: str) -> None:
    """The first work fails, though the second one, in the same transaction, would make room for it."""
    async with several(mongo_url, 2) as (store, other):
        await put(other, [Sample(key="a", name="Ada")])

        async def takes(tx: Tx) -> None:
            await tx.insert(SAMPLES, Sample(key="b", name="Ada"))

        async def frees(tx: Tx) -> bool:
            return await tx.delete(SAMPLES, "a")

        taken, freed = await outcomes(store, takes, frees)
        assert isinstance(taken, Exists)
        assert freed is True


async def test_unique_values_can_be_exchanged(mongo_url: str) -> None:
    async with opened(mongo_url) as store:
        await put(store, [Sample(key="a", name="Ada"), Sample(key="b", name="Bob")])

        async def work(tx: Tx) -> None:
            ada, bob = await tx.get(SAMPLES, "a"), await tx.get(SAMPLES, "b")
            assert ada
            assert bob
            free = await tx.replace(SAMPLES, replace(ada, name=None))
            await tx.replace(SAMPLES, replace(bob, name="Ada"))
            await tx.replace(SAMPLES, replace(free, name="Bob"))

        await store.atomically(work)
        found = [await store.get(SAMPLES, name, by="name") for name in ("Ada", "Bob")]
        assert [one and one.key for one in found] == ["b", "a"]
        assert await store.check() == []


# --- any questions, with what was written in the same transaction among the answers

TEXTS = st.sampled_from(["", "a", "b", "B", "ä", "\U0001f98a"])
SAMPLE = st.builds(
    Sample,
    key=TEXTS.map("k{}".format),
    name=st.none() | TEXTS,
    tags=st.lists(TEXTS, max_size=2).map(tuple),
    ready=st.booleans(),
    amount=st.integers(-3, 3) | st.sampled_from([2**63, -(2**70)]),
    place=st.builds(Place, street=TEXTS, floor=st.integers(-2, 2)),
    seen=st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - made aware by the strategy
)
QUESTION: st.SearchStrategy[Any] = st.one_of(
    st.just(({}, "")),
    st.just(({"state": "open"}, "amount")),
    st.tuples(st.fixed_dictionaries({"state": st.just("open"), "ready": st.booleans()}), st.just("seen")),
    st.tuples(st.fixed_dictionaries({"place.street": TEXTS}), st.just("place.floor")),
    st.tuples(st.fixed_dictionaries({"place.street": TEXTS, "name": st.none() | TEXTS}), st.just("")),
)


async def told(steps: Sequence[Any], tx: Tx) -> list[Any]:
    """What a transaction answers to these, in words that do not depend on the engine."""
    answers: list[Any] = []
    for step in steps:
        try:
            match step:
                case Sample():
                    known = await tx.get(SAMPLES, step.key)
                    made = await (
                        tx.replace(SAMPLES, replace(step, version=known.version)) if known else tx.insert(SAMPLES, step)
                    )
                    answers.append(made)
                case str():
                    answers.append(await tx.delete(SAMPLES, step))
                case (where, order), descending, limit:
                    answers.append(await tx.find(SAMPLES, where, order=order, descending=descending, limit=limit))
        except (Exists, Stale) as error:
            answers.append(type(error))
    return answers


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    transactions=st.lists(
        st.lists(
            SAMPLE | TEXTS.map("k{}".format) | st.tuples(QUESTION, st.booleans(), st.integers(1, 4)),
            min_size=1,
            max_size=8,
        ),
        min_size=1,
        max_size=6,
    )
)
async def test_whatever_is_written_and_asked_the_answers_are_those_of_the_fake(
    transactions: list[list[Any]], mongo_url: str
) -> None:
    """Works that wait together, then the same once more from a store that knows nothing yet."""
    async with FakeStore(KINDS, FakeClock()) as fake, several(mongo_url, 1) as (store,):
        await store.atomically(empty)
        for _ in range(2):
            wanted = [await fake.atomically(partial(told, steps)) for steps in transactions]
            assert await outcomes(store, *(partial(told, steps) for steps in transactions)) == wanted
        assert await store.find(SAMPLES) == await fake.find(SAMPLES)
        assert await store.check() == []


async def empty(tx: Tx) -> None:
    for sample in await tx.find(SAMPLES, limit=1_000):
        await tx.delete(SAMPLES, sample.key)


# --- works


async def test_work_that_awaits_something_else_is_told_so(mongo_url: str) -> None:
    async with opened(mongo_url) as store:

        async def work(tx: Tx) -> None:
            await tx.insert(SAMPLES, Sample(key="a"))
            await asyncio.sleep(0)

        with pytest.raises(RuntimeError, match="not `tx`"):
            await store.atomically(work)
        assert await store.get(SAMPLES, "a") is None


async def test_work_sees_the_callers_context(mongo_url: str) -> None:
    event: ContextVar[str] = ContextVar("event")
    event.set("e1")
    async with opened(mongo_url) as store:

        async def work(tx: Tx) -> str:
            await tx.get(TALLIES, "t")
            return event.get()

        assert await store.atomically(work) == "e1"


async def test_cancelling_the_caller_lets_the_transaction_finish(mongo_url: str) -> None:
    """The one under way commits, and is hinted at; the one behind it does not start."""
    async with opened(mongo_url) as store:
        changes = store.changes(SAMPLES)

        async def cut_off(tx: Tx) -> None:
            await tx.insert(SAMPLES, Sample(key="under way"))
            running.cancel()
            queued.cancel()

        running = asyncio.create_task(store.atomically(cut_off))
        queued = asyncio.create_task(put(store, [Sample(key="queued")]))
        await asyncio.gather(running, queued, return_exceptions=True)
        assert running.cancelled()
        assert await changes.wait(10)
        assert [sample.key for sample in await store.find(SAMPLES)] == ["under way"]


async def test_works_that_wait_together_fail_and_succeed_apart(mongo_url: str) -> None:
    async with opened(mongo_url) as store:

        async def insert(tx: Tx, key: str) -> Sample:
            return await tx.insert(SAMPLES, Sample(key=key))

        async def fails(tx: Tx) -> None:
            await tx.insert(SAMPLES, Sample(key="never"))
            raise RuntimeError("no")

        async def sees(tx: Tx) -> list[str]:
            return [sample.key for sample in await tx.find(SAMPLES)]

        first, failed, between, last = await outcomes(
            store, lambda tx: insert(tx, "a"), fails, sees, lambda tx: insert(tx, "b")
        )
        assert isinstance(failed, RuntimeError)
        assert between == ["a"]
        assert [first, last] == await store.find(SAMPLES)


# --- many at a time


async def test_many_writers_of_one_record_lose_nothing(mongo_url: str) -> None:
    """64 at a time, from two stores."""
    async with several(mongo_url, 2) as stores:
        await asyncio.gather(*(add(stores[n % 2]) for n in range(64 * 4)))
        found = await stores[0].get(TALLIES, "t")
        assert found
        assert (found.amount, found.version) == (256, 256)


async def test_long_answers_and_many_writes_go_through_one_transaction(mongo_url: str) -> None:
    async with opened(mongo_url) as store:
        await put(store, [Sample(key=f"{n:04}", name=f"name {n}") for n in range(1_000)])
        assert len(await store.find(SAMPLES, limit=2_000)) == 1_000
        await store.atomically(empty)
        assert await store.find(SAMPLES) == []


async def test_what_another_store_wrote_is_read_though_the_record_was_known(mongo_url: str) -> None:
    async with several(mongo_url, 2) as (one, two):
        for n in range(5):
            await add(one)
            await add(two)
            assert await count(one) == await count(two) == 2 * (n + 1)


async def test_changes_of_another_store_are_heard(mongo_url: str) -> None:
    async with several(mongo_url, 2) as (one, two):
        samples, tallies = one.changes(SAMPLES), one.changes(TALLIES, inserted=True)
        waiting = asyncio.create_task(tallies.wait(60))
        await add(two)
        assert await asyncio.wait_for(waiting, 10)
        assert tallies.fresh() == ([], False)
        assert not await samples.wait(0.3)


async def test_processes_never_claim_one_record_twice(mongo_url: str) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    async with opened(mongo_url) as store:
        await put(store, [Sample(key=f"{n:03}", due=past) for n in range(100)])
        children = await asyncio.gather(*(child(mongo_url, name, 70) for name in ("one", "two")))
        claimed = [key for keys in await asyncio.gather(*map(lines, children)) for key in keys]
        assert await claim(store, "me") is None
    assert len(claimed) == 100
    assert len(set(claimed)) == 100


# --- kills


async def test_a_killed_writer_loses_nothing_it_was_told_of(mongo_url: str) -> None:
    async with opened(mongo_url) as store:
        for round_ in range(1, 4):
            writer = await child(mongo_url, "add", 100_000)
            assert writer.stdout is not None
            before = await count(store)
            acknowledged = [await writer.stdout.readline() for _ in range(20 * round_)]
            writer.send_signal(signal.SIGKILL)
            acknowledged += (await writer.communicate())[0].splitlines()
            # The next transaction waits for what the dead one left, if it left something.
            await add(store, 0)
            # One more may have been committed, and killed before it could say so.
            assert len(acknowledged) <= await count(store) - before <= len(acknowledged) + 1
        assert await store.check() == []


async def test_a_transaction_that_a_dead_process_left_open_does_not_hold_others_up_for_long(mongo_url: str) -> None:
    """The server by itself would keep it for a minute."""
    async with opened(mongo_url) as store:
        name = "chatelier/" + mongo_url.rpartition("/")[2].partition("?")[0]
        holder = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLDER, mongo_url, name, stdout=asyncio.subprocess.PIPE
        )
        assert (await holder.communicate())[0] == b"held\n"
        async with asyncio.timeout(30):
            await add(store)
        assert await count(store) == 1


@pytest.mark.slow
async def test_a_server_that_is_killed_in_the_middle_of_writes_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    server = Mongod(tmp_path / "mongod")
    server.folder.mkdir()
    await asyncio.to_thread(server.start)
    acknowledged: list[str] = []
    maybe: list[str] = []
    try:
        async with open_mongo(server.url("x"), KINDS, SystemClock(), patience=30) as store:
            is_over = False

            async def write(name: str) -> None:
                n = 0
                while not is_over:
                    n += 1
                    try:
                        await put(store, [Sample(key=f"{name} {n}", name=f"{name} {n}")])
                    except Unavailable:
                        maybe.append(f"{name} {n}")
                    else:
                        acknowledged.append(f"{name} {n}")

            writers = [asyncio.create_task(write(name)) for name in "abcdefgh"]
            for _ in range(3):
                before = len(acknowledged)
                async with asyncio.timeout(60):
                    while len(acknowledged) < before + 50:  # noqa: ASYNC110 - the writers set no event
                        await asyncio.sleep(0.01)
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
            is_over = True
            await asyncio.gather(*writers)
            kept = {sample.key for sample in await store.find(SAMPLES, limit=100_000)}
            assert set(acknowledged) <= kept <= {*acknowledged, *maybe}
            assert len(set(acknowledged)) == len(acknowledged) > 150
            assert await store.check() == []
    finally:
        await asyncio.to_thread(server.stop)


@pytest.mark.slow
async def test_a_long_transaction_is_not_taken_for_one_that_was_left(mongo_url: str) -> None:
    """It holds the others up for longer than that, but it does something all the time."""
    tries: list[float] = []
    async with several(mongo_url, 2) as (long, short):
        await add(long)

        async def work(tx: Tx) -> None:
            tries.append(asyncio.get_running_loop().time())
            n = 0
            while asyncio.get_running_loop().time() < tries[-1] + 4:
                n += 1
                await tx.get(SAMPLES, f"nobody {n}")
            await tx.insert(SAMPLES, Sample(key="done"))

        working = asyncio.create_task(long.atomically(work))
        added = 0
        while not working.done():
            await add(short)
            added += 1
        await working
        assert await long.get(SAMPLES, "done") is not None
        assert len(tries) <= 3
        assert await count(short) == 1 + added
