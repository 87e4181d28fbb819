"""What every store must do. A third party parametrises `STORE_CHECKS` with a function that opens its own:

@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_store(check):
    await check(lambda kinds, clock: open_mine("mine://…", kinds, clock))
"""

import asyncio
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ..errors import Exists, OperatorMust, Stale
from ..storage import Copyable, Kind, Leased, Query, Record, Scalar, Store, Time, Tx, Unreadable
from .clock import FakeClock, settle
from .logs import sent_to

MakeStore = Callable[[Sequence[Kind[Any]], FakeClock], AbstractAsyncContextManager[Store]]
"""Opens a new, empty store with these kinds. An engine with a clock of its own leaves the clock unused."""

LEASE_SECONDS = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    street: str = ""
    floor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Leased):
    """A record with a field of each sort."""

    name: str | None = None
    tags: tuple[str, ...] = ()
    state: str = "open"
    ready: bool = False
    amount: int = 0
    place: Place = Place()
    seen: Time | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally(Record):
    amount: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Newer(Tally):
    """A tally as a later version of the code would write it."""

    unit: str = ""
    limits: dict[str, list[int]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loose(Sample):
    """A sample of a code that was less strict, so that one can be stored which nobody else can read."""

    ready: Any = False


SAMPLES = Kind(
    name="samples",
    record=Sample,
    unique=("name", "tags"),
    queries=(
        Query(),
        Query(("state",), "due"),
        Query(("state",), "amount"),
        Query(("state", "ready"), "seen"),
        Query(("place.street",), "place.floor"),
        Query(("place.street", "name")),
    ),
)
LOOSE_SAMPLES = Kind(name="samples", record=Loose, unique=SAMPLES.unique, queries=SAMPLES.queries)
TALLIES = Kind(name="tallies", record=Tally)
NEWER_TALLIES = Kind(name="tallies", record=Newer)
KINDS: Sequence[Kind[Any]] = (SAMPLES, TALLIES)


@asynccontextmanager
async def opened(make: MakeStore, *samples: Sample) -> AsyncIterator[tuple[Store, FakeClock]]:
    clock = FakeClock()
    async with make(KINDS, clock) as store:
        await put(store, samples)
        yield store, clock


async def put(store: Store, samples: Sequence[Sample]) -> None:
    async def work(tx: Tx) -> None:
        for sample in samples:
            await tx.insert(SAMPLES, sample)

    await store.atomically(work)


async def now(store: Store) -> datetime:
    async def work(tx: Tx) -> datetime:
        return tx.now

    return await store.atomically(work)


async def pass_time(store: Store, clock: FakeClock, seconds: float) -> None:
    """Turn the clock, or really wait for an engine that has its own."""
    end = await now(store) + timedelta(seconds=seconds)
    await clock.advance(seconds)
    if (left := end - await now(store)) > timedelta():
        await asyncio.sleep(left.total_seconds() + 0.002)


async def add(store: Store, amount: int = 1) -> None:
    async def work(tx: Tx) -> None:
        tally = await tx.get(TALLIES, "t")
        if tally is None:
            await tx.insert(TALLIES, Tally(key="t", amount=amount))
        else:
            await tx.replace(TALLIES, replace(tally, amount=tally.amount + amount))

    await store.atomically(work)


async def claim(store: Store, owner: str, seconds: float = LEASE_SECONDS) -> Sample | None:
    async def work(tx: Tx) -> Sample | None:
        return await tx.claim(SAMPLES, {"state": "open"}, owner=owner, seconds=seconds)

    return await store.atomically(work)


async def bend(store: Store, *samples: Loose) -> None:
    async def work(tx: Tx) -> None:
        for sample in samples:
            await tx.insert(LOOSE_SAMPLES, replace(sample, ready="perhaps"))

    await store.atomically(work)


async def keys(store: Store, where: dict[str, Scalar], **how: Any) -> list[str]:
    return [sample.key for sample in await store.find(SAMPLES, where, **how)]


async def raised(error: type[Exception], action: Awaitable[object]) -> str:
    """The words of the error; AssertionError when there was none."""
    try:
        await action
    except error as caught:
        return str(caught)
    raise AssertionError(f"{error.__name__} was not raised")


async def what_is_inserted_can_be_read(make: MakeStore) -> None:
    """Every field, with the version and moments as they are stored; what `insert` returns is what `get` returns."""
    moment = datetime(2026, 2, 3, 4, 5, 6, 789_999, tzinfo=UTC)
    sample = Sample(
        key="a/ü", name='Zoë "\n', tags=("x", "y"), ready=True, amount=2**53, place=Place(floor=-1), seen=moment
    )
    async with opened(make) as (store, _):

        async def work(tx: Tx) -> Sample:
            return await tx.insert(SAMPLES, sample)

        stored = await store.atomically(work)
        assert stored == replace(sample, version=1, seen=moment.replace(microsecond=789_000))
        assert await store.get(SAMPLES, "a/ü") == stored
        assert await store.get(SAMPLES, "nobody") is None


async def a_unique_value_finds_its_record(make: MakeStore) -> None:
    async with opened(make, Sample(key="a", name="Ada", tags=("x", "y")), Sample(key="b", name="Bob")) as (store, _):
        for value, field in (("Ada", "name"), ("x", "tags"), ("y", "tags")):
            found = await store.get(SAMPLES, value, by=field)
            assert found is not None, (value, field)
            assert found.key == "a"
        assert await store.get(SAMPLES, "x", by="name") is None
        await raised(ValueError, store.get(SAMPLES, "open", by="state"))


async def keys_and_unique_values_are_taken_once(make: MakeStore) -> None:
    """Also within the transaction, which stays usable after Exists."""
    rivals = (Sample(key="a"), Sample(key="b", name="Ada"), Sample(key="c", tags=("z", "y")))
    async with opened(make, Sample(key="a", name="Ada", tags=("x", "y"))) as (store, _):

        async def work(tx: Tx) -> None:
            for rival in rivals:
                await raised(Exists, tx.insert(SAMPLES, rival))
            await tx.insert(SAMPLES, Sample(key="d", name="Dan"))
            await raised(Exists, tx.insert(SAMPLES, Sample(key="e", name="Dan")))

        await store.atomically(work)
        assert await keys(store, {}) == ["a", "d"]
        assert await store.get(SAMPLES, "z", by="tags") is None
        for rival in rivals:
            await raised(Exists, put(store, [rival]))


async def nothing_is_no_unique_value(make: MakeStore) -> None:
    async with opened(make, Sample(key="a"), Sample(key="b"), Sample(key="c", name=""), Sample(key="d", name="")) as (
        store,
        _,
    ):
        assert await keys(store, {}) == ["a", "b", "c", "d"]


async def unique_values_follow_the_record(make: MakeStore) -> None:
    """`replace` lets go of the old ones and refuses those of others; `delete` frees them all."""
    async with opened(make, Sample(key="a", name="Ada", tags=("x",)), Sample(key="b", name="Bob", tags=("y",))) as (
        store,
        _,
    ):

        async def rename(tx: Tx) -> None:
            ada = await tx.get(SAMPLES, "a")
            assert ada is not None
            await raised(Exists, tx.replace(SAMPLES, replace(ada, name="Bob")))
            await raised(Exists, tx.replace(SAMPLES, replace(ada, tags=("x", "y"))))
            await tx.replace(SAMPLES, replace(ada, name="Eve", tags=("x", "z")))
            await tx.insert(SAMPLES, Sample(key="c", name="Ada"))

        async def remove(tx: Tx) -> None:
            assert await tx.delete(SAMPLES, "b")
            await tx.insert(SAMPLES, Sample(key="d", name="Bob", tags=("y",)))

        await store.atomically(rename)
        await store.atomically(remove)
        assert [s.name for s in await store.find(SAMPLES)] == ["Eve", "Ada", "Bob"]
        found = await store.get(SAMPLES, "z", by="tags")
        assert found is not None
        assert found.key == "a"


async def replace_compares_the_version(make: MakeStore) -> None:
    async with opened(make, Sample(key="a", name="Ada")) as (store, _):
        first = await store.get(SAMPLES, "a")
        assert first is not None
        changed = replace(first, amount=7)

        async def work(tx: Tx) -> Sample:
            return await tx.replace(SAMPLES, changed)

        assert await store.atomically(work) == replace(changed, version=2)
        await raised(Stale, store.atomically(work))

        async def absent(tx: Tx) -> None:
            await tx.replace(SAMPLES, Sample(key="nobody", version=1))

        await raised(Stale, store.atomically(absent))
        assert await store.get(SAMPLES, "a") == replace(changed, version=2)


async def delete_says_whether_there_was_one(make: MakeStore) -> None:
    async with opened(make, Sample(key="a")) as (store, _):

        async def work(tx: Tx) -> tuple[bool, bool]:
            return await tx.delete(SAMPLES, "a"), await tx.delete(SAMPLES, "a")

        assert await store.atomically(work) == (True, False)
        assert await store.get(SAMPLES, "a") is None


async def an_exception_rolls_everything_back(make: MakeStore) -> None:
    async with opened(make, Sample(key="a", name="Ada")) as (store, _):

        async def work(tx: Tx) -> None:
            ada = await tx.get(SAMPLES, "a")
            assert ada is not None
            await tx.replace(SAMPLES, replace(ada, name="Eve"))
            await tx.insert(SAMPLES, Sample(key="b", name="Ada"))
            await tx.insert(TALLIES, Tally(key="t"))
            await tx.delete(SAMPLES, "a")
            raise LookupError("no")

        await raised(LookupError, store.atomically(work))
        found = await store.get(SAMPLES, "Ada", by="name")
        assert found is not None
        assert (found.key, found.version) == ("a", 1)
        assert await keys(store, {}) == ["a"]
        assert await store.get(TALLIES, "t") is None
        await put(store, [Sample(key="b", name="Eve")])


async def a_transaction_reads_its_own_writes(make: MakeStore) -> None:
    async with opened(make, Sample(key="a", amount=1)) as (store, _):

        async def work(tx: Tx) -> list[tuple[str, int]]:
            stored = await tx.insert(SAMPLES, Sample(key="b", name="Bob", amount=5))
            await tx.replace(SAMPLES, replace(stored, amount=0))
            found = await tx.get(SAMPLES, "Bob", by="name")
            assert found is not None
            assert found.amount == 0
            return [(s.key, s.amount) for s in await tx.find(SAMPLES, {"state": "open"}, order="amount")]

        assert await store.atomically(work) == [("b", 0), ("a", 1)]


async def increments_are_never_lost(make: MakeStore) -> None:
    """Many tasks at a time read and write one record."""
    async with opened(make) as (store, _):
        await asyncio.gather(*(add(store) for _ in range(50)))
        tally = await store.get(TALLIES, "t")
        assert tally is not None
        assert (tally.amount, tally.version) == (50, 50)


async def find_compares_each_sort_of_value(make: MakeStore) -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    samples = (
        Sample(key="a", ready=True, seen=moment, place=Place(street="High", floor=2), name="Ada"),
        Sample(key="b", ready=False, seen=moment, place=Place(street="High", floor=10)),
        Sample(key="c", ready=True, place=Place(street="Low")),
        Sample(key="d", ready=True, seen=moment - timedelta(milliseconds=1)),
    )
    async with opened(make, *samples) as (store, _):
        assert await keys(store, {"state": "open", "ready": True}, order="seen") == ["d", "a"]
        assert await keys(store, {"ready": False, "state": "open"}, order="seen") == ["b"]
        assert await keys(store, {"place.street": "High"}, order="place.floor") == ["a", "b"]
        assert await keys(store, {"place.street": "High", "name": None}) == ["b"]
        assert await keys(store, {"place.street": "High", "name": "Ada"}) == ["a"]
        assert await keys(store, {"state": "open", "ready": True}, order="seen", since=moment) == ["a"]


async def find_keeps_order_bounds_and_limit(make: MakeStore) -> None:
    """By the order field, then by key; since is in, until is out; descending turns all of it around."""
    amounts = {"a": 3, "b": 1, "c": 2, "d": 2, "e": -4}
    async with opened(make, *(Sample(key=key, amount=amount) for key, amount in amounts.items())) as (store, _):
        where: dict[str, Scalar] = {"state": "open"}
        assert await keys(store, where, order="amount") == ["e", "b", "c", "d", "a"]
        assert await keys(store, where, order="amount", descending=True) == ["a", "d", "c", "b", "e"]
        assert await keys(store, where, order="amount", since=1, until=3) == ["b", "c", "d"]
        assert await keys(store, where, order="amount", since=1, until=3, descending=True, limit=2) == ["d", "c"]
        assert await keys(store, where, order="amount", since=0, limit=1) == ["b"]
        assert await keys(store, {"state": "gone"}, order="amount") == []
        assert await keys(store, {}, limit=2) == ["a", "b"]
        assert await keys(store, {}, descending=True, limit=2) == ["e", "d"]


async def find_has_a_limit_of_its_own(make: MakeStore) -> None:
    async with opened(make, *(Sample(key=f"{n:03}") for n in range(101))) as (store, _):
        assert await keys(store, {}) == [f"{n:03}" for n in range(100)]


async def questions_must_be_declared(make: MakeStore) -> None:
    """Inside and outside of a transaction; the words name the kind and what it declares."""
    async with opened(make) as (store, _):

        async def ask(tx: Tx) -> None:
            await raised(ValueError, tx.find(SAMPLES, {"amount": 1}))
            await raised(ValueError, tx.claim(SAMPLES, {"ready": True}, owner="me", seconds=1))

        await store.atomically(ask)
        await raised(ValueError, store.find(SAMPLES, {"state": "open"}))
        await raised(ValueError, store.find(SAMPLES, {"state": "open"}, order="due", limit=0))
        await raised(ValueError, store.find(SAMPLES, since=1))
        await raised(ValueError, store.find(Kind(name="strangers", record=Tally, queries=(Query(),))))
        words = await raised(ValueError, store.find(SAMPLES, {"amount": 1}, order="due"))
        assert "samples" in words
        assert "(state) by due" in words


async def a_claim_takes_the_first_that_is_due(make: MakeStore) -> None:
    async with opened(make) as (store, _):
        start = await now(store)
        ages = {"late": -2, "later": -1, "now": 0, "never": None, "soon": 3600}
        moments = {key: None if age is None else start + timedelta(seconds=age) for key, age in ages.items()}
        await put(store, [Sample(key=key, due=due) for key, due in moments.items()])
        await put(store, [Sample(key="other", state="shut", due=start - timedelta(hours=1))])
        first = await claim(store, "me", 60)
        assert first is not None
        assert (first.key, first.owner, first.fence, first.version) == ("late", "me", 1, 2)
        assert first.due is not None
        assert start + timedelta(seconds=60) <= first.due <= await now(store) + timedelta(seconds=60)
        assert await store.get(SAMPLES, "late") == first
        others = [await claim(store, "you", 60) for _ in range(3)]
        assert [other and other.key for other in others] == ["later", "now", None]


async def a_lease_ends_by_the_stores_clock(make: MakeStore) -> None:
    """Until then nobody else gets it; after it the fence grows, and the holder before is told by it."""
    async with opened(make, Sample(key="a", due=datetime(2020, 1, 1, tzinfo=UTC))) as (store, clock):
        mine = await claim(store, "me")
        assert mine is not None
        assert await claim(store, "you") is None
        await pass_time(store, clock, LEASE_SECONDS)
        yours = await claim(store, "you")
        assert yours is not None
        assert (yours.owner, yours.fence) == ("you", mine.fence + 1)

        async def late(tx: Tx) -> None:
            await tx.replace(SAMPLES, replace(mine, amount=1))

        await raised(Stale, store.atomically(late))


async def claims_take_turns(make: MakeStore) -> None:
    """What lapsed queues behind what is due for longer: nobody starves."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    async with opened(make, *(Sample(key=key, due=past) for key in "abc")) as (store, clock):
        order = []
        for _ in range(6):
            taken = await claim(store, "me", 0.02)
            assert taken is not None
            order.append(taken.key)
            await pass_time(store, clock, 0.03)
        assert order == ["a", "b", "c", "a", "b", "c"]


async def claims_never_give_one_record_twice(make: MakeStore) -> None:
    """A thousand claims by several owners at once."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    async with opened(make, *(Sample(key=f"{n:04}", due=past) for n in range(1000))) as (store, _):
        taken: Counter[str] = Counter()

        async def owner(name: str) -> None:
            while (sample := await claim(store, name, 3600)) is not None:
                assert (sample.owner, sample.fence) == (name, 1)
                taken[sample.key] += 1

        await asyncio.gather(*(owner(f"owner {n}") for n in range(5)))
        assert len(taken) == 1000
        assert set(taken.values()) == {1}


async def fields_of_a_newer_version_survive(make: MakeStore) -> None:
    """An older gateway reads, changes and writes a record without losing what it does not know."""
    async with opened(make) as (store, _):
        newest = Newer(key="t", amount=1, unit="mm", limits={"x": [1, 2]})

        async def write(tx: Tx) -> None:
            await tx.insert(NEWER_TALLIES, newest)

        await store.atomically(write)
        await add(store, 4)
        known = await store.get(TALLIES, "t")
        assert known is not None
        assert known.extra == {"unit": "mm", "limits": {"x": [1, 2]}}
        assert await store.get(NEWER_TALLIES, "t") == replace(newest, amount=5, version=2)


async def changing_what_was_handed_in_changes_nothing(make: MakeStore) -> None:
    """A stored record shares no list or mapping with the one it was made of."""
    async with opened(make) as (store, _):
        limits = {"x": [1]}

        async def write(tx: Tx) -> None:
            await tx.insert(NEWER_TALLIES, Newer(key="t", limits=limits))

        await store.atomically(write)
        limits["x"].append(2)
        found = await store.get(NEWER_TALLIES, "t")
        assert found is not None
        assert found.limits == {"x": [1]}


async def now_stands_still_in_a_transaction(make: MakeStore) -> None:
    """Aware UTC, whole milliseconds, never earlier than before."""
    async with opened(make) as (store, clock):

        async def work(tx: Tx) -> tuple[datetime, datetime]:
            before = tx.now
            await tx.insert(SAMPLES, Sample(key=f"{before.isoformat()}"))
            return before, tx.now

        earlier = datetime(2000, 1, 1, tzinfo=UTC)
        for _ in range(20):
            before, after = await store.atomically(work)
            assert before == after
            assert before >= earlier
            assert before.utcoffset() == timedelta()
            assert before.microsecond % 1000 == 0
            earlier = before
            await pass_time(store, clock, 0.002)
        assert await now(store) > earlier


async def new_records_can_be_watched_alone(make: MakeStore) -> None:
    """A new record ends the wait for new ones; who waits for any change hears of both."""
    async with opened(make) as (store, _):
        new, any_ = store.changes(SAMPLES, inserted=True), store.changes(SAMPLES)
        await put(store, [Sample(key="a")])
        for changes in (new, any_):
            assert await changes.wait(60)
            while await changes.wait(0):
                pass
        await store.atomically(lambda tx: _rename(tx, "a", "other"))
        assert await any_.wait(60)


async def what_is_written_soon_is_there(make: MakeStore) -> None:
    """Reads and works see it as soon as it returns, what it raises is raised, and who waits for new records hears of it."""
    async with opened(make) as (store, _):
        new = store.changes(SAMPLES, inserted=True)
        sample = await store.atomically(lambda tx: tx.insert(SAMPLES, Sample(key="a")), soon=True)
        assert await store.get(SAMPLES, "a") == sample
        await store.atomically(lambda tx: _rename(tx, "a", "other"))
        assert await new.wait(60)
        await raised(Exists, store.atomically(lambda tx: tx.insert(SAMPLES, Sample(key="a")), soon=True))
        assert (await store.get(SAMPLES, "a")) != sample


async def new_records_are_handed_over(make: MakeStore) -> None:
    """In the order of their commits, once they are stored, and not those that were undone; or the store says that it cannot tell."""
    async with opened(make) as (store, _):
        changes, any_ = store.changes(SAMPLES, inserted=True), store.changes(SAMPLES)
        await put(store, [Sample(key="b")])
        await raised(Exists, store.atomically(_undone))
        await put(store, [Sample(key="a")])
        while await changes.wait(0):
            pass
        fresh, is_all = changes.fresh()
        assert [record.key for record in fresh] == ["b", "a"] or not is_all
        assert list(fresh) == [await store.get(SAMPLES, record.key) for record in fresh]
        assert not changes.fresh()[0]
        assert any_.fresh() == ([], False)


async def _undone(tx: Tx) -> None:
    await tx.insert(SAMPLES, Sample(key="c"))
    raise Exists("undo it")


async def _rename(tx: Tx, key: str, name: str) -> None:
    found = await tx.get(SAMPLES, key)
    assert found is not None
    await tx.replace(SAMPLES, replace(found, name=name))


async def changes_wake_those_who_wait(make: MakeStore) -> None:
    """A commit of a watched kind ends the wait; one that happened before it too; a wait for nothing ends."""
    async with opened(make) as (store, clock):
        changes = store.changes(SAMPLES)
        await put(store, [Sample(key="a")])
        assert await changes.wait(60)
        while await changes.wait(0):
            pass
        waiting = asyncio.create_task(changes.wait(60))
        await settle()
        assert not waiting.done()
        await put(store, [Sample(key="b")])
        assert await waiting
        while await changes.wait(0):
            pass
        idle = asyncio.create_task(changes.wait(0.05))
        await settle()
        await pass_time(store, clock, 0.05)
        while not idle.done():
            await clock.advance(0.05)
            await asyncio.sleep(0.01)


async def a_cancelled_caller_leaves_the_store_whole(make: MakeStore) -> None:
    """Each increment happened or did not, and the next caller is served."""
    async with opened(make) as (store, _):
        tasks = [asyncio.create_task(add(store)) for _ in range(20)]
        for turns, task in enumerate(tasks):
            for _ in range(turns % 4):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await add(store, 100)
        tally = await store.get(TALLIES, "t")
        assert tally is not None
        assert 100 <= tally.amount <= 120
        assert await store.check() == []


async def check_finds_nothing_wrong(make: MakeStore) -> None:
    async with opened(make, Sample(key="a", name="Ada", tags=("x",)), Sample(key="b", tags=("y", "z"))) as (store, _):
        await add(store)
        assert await store.check() == []


async def a_transaction_ends_with_its_work(make: MakeStore) -> None:
    """Who keeps `tx` for later gets an error, not a write without a transaction."""
    async with opened(make) as (store, _):
        kept: list[Tx] = []

        async def work(tx: Tx) -> None:
            kept.append(tx)

        await store.atomically(work)
        await raised(Exception, kept[-1].insert(SAMPLES, Sample(key="a")))
        assert await store.get(SAMPLES, "a") is None


async def what_cannot_be_read_is_left_out(make: MakeStore) -> None:
    """`find` and `claim` go on to the next record and log once what they passed over; `get` and a strict `find` raise."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    lines = io.StringIO()
    with sent_to(lines, "ERROR"):
        async with opened(make, *(Sample(key=key, due=past) for key in "bdf")) as (store, _):
            await bend(store, *(Loose(key=key, name=f"{key} Smith", due=past) for key in "aceg"))
            where: dict[str, Scalar] = {"state": "open"}
            assert await keys(store, where, order="due") == ["b", "d", "f"]
            assert await keys(store, where, order="due", limit=2) == ["b", "d"]
            assert await keys(store, where, order="due", limit=2, descending=True) == ["f", "d"]
            assert await keys(store, {}) == ["b", "d", "f"]
            await raised(OperatorMust, store.find(SAMPLES, where, order="due", strict=True))
            assert "samples" in await raised(OperatorMust, store.get(SAMPLES, "a"))
            await raised(OperatorMust, store.get(SAMPLES, "a Smith", by="name"))

            async def ask(tx: Tx) -> list[str]:
                await raised(OperatorMust, tx.get(SAMPLES, "a"))
                await raised(OperatorMust, tx.find(SAMPLES, where, order="due", strict=True))
                return [sample.key for sample in await tx.find(SAMPLES, where, order="due", limit=2)]

            assert await store.atomically(ask) == ["b", "d"]
            taken = [await claim(store, "me", 3600) for _ in range(4)]
            assert [sample and sample.key for sample in taken] == ["b", "d", "f", None]
            faults = await store.check()
            assert len(faults) == 4
            assert all(f"samples {key!r}" in fault for key, fault in zip("aceg", faults, strict=True))
    said = [(line["kind"], line["key"]) for line in map(json.loads, lines.getvalue().splitlines()) if "key" in line]
    assert sorted(said) == [("samples", key) for key in "aceg"]


async def a_strict_find_reads_no_further_than_its_limit(make: MakeStore) -> None:
    async with opened(make, Sample(key="a")) as (store, _):
        await bend(store, Loose(key="b"))
        assert await keys(store, {}, limit=1, strict=True) == ["a"]
        await raised(OperatorMust, store.find(SAMPLES, limit=2, strict=True))


async def what_is_set_aside_was_kept_before(make: MakeStore) -> None:
    """Only what `keep` answers with is deleted, with its unique values; when it raises, nothing is."""
    async with opened(make, Sample(key="b", name="Bob")) as (store, _):
        asked: list[list[str]] = []

        def keep_one(found: Sequence[Unreadable]) -> Sequence[Unreadable]:
            asked.append([error.key for error in found])
            return [error for error in found if error.key == "a"]

        def keep_none(_: Sequence[Unreadable]) -> Sequence[Unreadable]:
            raise OSError("the disk is full")

        assert list(await store.set_aside(keep_one)) == []
        assert asked == []
        await bend(store, Loose(key="a", name="Ada"), Loose(key="c", name="Cem"))
        await raised(OSError, store.set_aside(keep_none))
        assert len(await store.check()) == 2
        (moved,) = await store.set_aside(keep_one)
        assert asked[-1] == ["a", "c"]
        assert (moved.kind, moved.key, moved.reason != "") == ("samples", "a", True)
        assert "perhaps" in str(moved.document)
        assert len(await store.check()) == 1
        await put(store, [Sample(key="a", name="Ada")])
        await raised(Exists, put(store, [Sample(key="d", name="Cem")]))
        assert await keys(store, {}) == ["a", "b"]


async def everything_can_be_copied(make: MakeStore) -> None:
    """Page by page in the order of keys; what is restored has its version, and all or nothing of it is there."""
    samples = [
        Sample(key=key, name=f"{key} Smith", version=n) for n, key in enumerate(("a", "B", "ä", "b", "\U0001f98a"), 3)
    ]
    async with opened(make) as (store, _):
        assert isinstance(store, Copyable)
        assert await store.page(SAMPLES) == []

        async def work(tx: Tx) -> str:
            found = await tx.get(SAMPLES, "b")
            return found.name or "" if found else ""

        assert await store.restore([(SAMPLES, sample) for sample in samples], work) == "b Smith"
        ordered = sorted(samples, key=lambda sample: sample.key)
        assert await store.page(SAMPLES) == ordered
        assert await store.page(SAMPLES, limit=2) == ordered[:2]
        assert await store.page(SAMPLES, after=ordered[1].key, limit=2) == ordered[2:4]
        await raised(Exists, store.restore([(TALLIES, Tally(key="t", version=2)), (SAMPLES, samples[0])], work))
        assert await store.get(TALLIES, "t") is None
        await raised(Exists, put(store, [Sample(key="c", name="a Smith")]))
        await store.atomically(lambda tx: tx.replace(SAMPLES, replace(samples[0], amount=1)))
        found = await store.get(SAMPLES, "a")
        assert found is not None
        assert (found.version, found.amount) == (4, 1)
        assert await store.strangers() == []
        assert await store.check() == []
        await bend(store, Loose(key="z"))
        await raised(OperatorMust, store.page(SAMPLES))


STORE_CHECKS: Sequence[Callable[[MakeStore], Awaitable[None]]] = (
    what_is_inserted_can_be_read,
    a_unique_value_finds_its_record,
    keys_and_unique_values_are_taken_once,
    nothing_is_no_unique_value,
    unique_values_follow_the_record,
    replace_compares_the_version,
    delete_says_whether_there_was_one,
    an_exception_rolls_everything_back,
    a_transaction_reads_its_own_writes,
    increments_are_never_lost,
    find_compares_each_sort_of_value,
    find_keeps_order_bounds_and_limit,
    find_has_a_limit_of_its_own,
    questions_must_be_declared,
    a_claim_takes_the_first_that_is_due,
    a_lease_ends_by_the_stores_clock,
    claims_take_turns,
    claims_never_give_one_record_twice,
    fields_of_a_newer_version_survive,
    changing_what_was_handed_in_changes_nothing,
    now_stands_still_in_a_transaction,
    changes_wake_those_who_wait,
    new_records_can_be_watched_alone,
    what_is_written_soon_is_there,
    new_records_are_handed_over,
    a_cancelled_caller_leaves_the_store_whole,
    check_finds_nothing_wrong,
    a_transaction_ends_with_its_work,
    what_cannot_be_read_is_left_out,
    a_strict_find_reads_no_further_than_its_limit,
    what_is_set_aside_was_kept_before,
    everything_can_be_copied,
)
"""Each takes a `MakeStore` and raises AssertionError."""
