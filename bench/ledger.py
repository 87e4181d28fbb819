"""How many spends a second the ledger takes, beside the engine's own: the same reads and writes with nobody reckoning.

A spend is one transaction: points are set aside, captured and entered. Each worker has an account of its own, or all share a pool.
Then how long it takes to read an account with more and more postings behind it.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pymongo

from chatelier import Kind, Record, Store, SystemClock, Tx, token
from chatelier.core import log
from chatelier.core.points.allowance import Allowance
from chatelier.core.points.groups import GROUPS
from chatelier.core.points.holds import capture, finish, set_aside
from chatelier.core.points.ledger import BALANCES, ENTRIES, HOLDS, Books, pool_of, purchased_of
from chatelier.core.points.moves import buy, grant
from chatelier.core.points.report import report
from chatelier.plugins.mongo import open_mongo
from chatelier.plugins.sqlite import open_sqlite

KINDS: Sequence[Kind[Any]] = (ENTRIES, BALANCES, HOLDS, GROUPS)
SHARE_AIM, POOL_AIM = 0.70, 0.50
PLENTY = 10**12
BATCH = 500
ROUNDS = 5
"""Of each figure; the median counts."""
Spend = Callable[[Tx, str, str], Awaitable[None]]


async def spend(tx: Tx, account: str, order: str) -> None:
    """One point, held and captured."""
    async with Books(tx) as books:
        await set_aside(books, order, (account,), 1_000, actor="bench")
        await capture(books, order, (account,), order, 1_000, 1_000, actor="bench")
        await finish(books, order)


# --- the same without the ledger


@dataclass(frozen=True, slots=True)
class Verb:
    """What was asked of a transaction: its name, the kind, and the key or the record."""

    name: str
    kind: Kind[Any]
    of: Any


class Recording:
    """A transaction that notes what is asked of it."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.verbs: list[Verb] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    async def get(self, kind: Kind[Any], key: str, **how: Any) -> Any:
        self.verbs.append(Verb("get", kind, key))
        return await self._tx.get(kind, key, **how)

    async def insert(self, kind: Kind[Any], record: Any) -> Any:
        self.verbs.append(Verb("insert", kind, record))
        return await self._tx.insert(kind, record)

    async def replace(self, kind: Kind[Any], record: Any) -> Any:
        self.verbs.append(Verb("replace", kind, record))
        return await self._tx.replace(kind, record)

    async def delete(self, kind: Kind[Any], key: str) -> bool:
        self.verbs.append(Verb("delete", kind, key))
        return await self._tx.delete(kind, key)


async def recorded(store: Store, account: str) -> list[Verb]:
    """What one spend asks of the engine."""
    noted: list[Verb] = []

    async def work(tx: Tx) -> None:
        recording: Any = Recording(tx)
        await spend(recording, account, "TEMPLATE")
        noted[:] = recording.verbs

    await store.atomically(work)
    return noted


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """A copy with other names in all of its texts."""
    if isinstance(value, str):
        for old, new in names.items():
            value = value.replace(old, new)
        return value
    if isinstance(value, tuple):
        return tuple(renamed(one, names) for one in value)
    if is_dataclass(value) and not isinstance(value, type | Allowance):
        return replace(value, **{field.name: renamed(getattr(value, field.name), names) for field in fields(value)})
    return value


async def mimic(tx: Tx, verbs: Sequence[Verb]) -> None:
    """The same reads and writes, of records that were made before the clock ran."""
    known: dict[tuple[str, str], Record] = {}
    for verb in verbs:
        match verb.name:
            case "get":
                found = await tx.get(verb.kind, verb.of)
                if found is not None:
                    known[verb.kind.name, verb.of] = found
            case "insert":
                known[verb.kind.name, verb.of.key] = await tx.insert(verb.kind, verb.of)
            case "replace":
                place = verb.kind.name, verb.of.key
                known[place] = await tx.replace(verb.kind, replace(verb.of, version=known[place].version))
            case _:
                await tx.delete(verb.kind, verb.of)


# --- measuring


async def rate(at_a_time: int, count: int, one: Callable[[int, int], Awaitable[None]]) -> float:
    """Transactions a second. one: is given a worker's number and its how-manieth this is."""
    each = count // at_a_time

    async def worker(n: int) -> None:
        for m in range(each):
            await one(n, m)

    begun = time.perf_counter()
    await asyncio.gather(*(worker(n) for n in range(at_a_time)))
    return each * at_a_time / (time.perf_counter() - begun)


def account_of(worker: int, *, shared: bool) -> str:
    return pool_of("bench/square") if shared else purchased_of(f"p{worker:03d}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the stores are: a folder, or a MongoDB server, whose databases go afterwards."""

    folder: Path
    mongo: str = ""

    @asynccontextmanager
    async def store(self, name: str) -> AsyncIterator[Store]:
        """A new one."""
        if not self.mongo:
            async with open_sqlite(f"sqlite://{self.folder}/{name}-{token()}.db", KINDS, SystemClock()) as store:
                yield store
            return
        server, _, options = self.mongo.partition("?")
        database = f"bench_{token()[:8].replace('-', '_')}_{name}".replace("-", "_")
        try:
            async with open_mongo(f"{server.rstrip('/')}/{database}?{options}", KINDS, SystemClock()) as store:
                yield store
        finally:
            with pymongo.MongoClient[dict[str, Any]](self.mongo) as client:
                client.drop_database(database)


async def ledger_rate(place: Place, at_a_time: int, count: int, *, shared: bool) -> float:
    async with place.store("ledger") as store:
        for n in range(1 if shared else at_a_time):
            await _fill(store, account_of(n, shared=shared))

        async def one(n: int, m: int) -> None:
            account = account_of(n, shared=shared)
            await store.atomically(lambda tx: spend(tx, account, f"o{n:03d}.{m}"))

        return await rate(at_a_time, count, one)


async def engine_rate(place: Place, at_a_time: int, count: int) -> float:
    async with place.store("engine") as store:
        template = account_of(999, shared=False)
        await _fill(store, template)
        verbs = await recorded(store, template)
        for n in range(at_a_time):
            await _fill(store, account_of(n, shared=False))
        made = {
            (n, m): [
                Verb(
                    verb.name,
                    verb.kind,
                    renamed(
                        verb.of, {"TEMPLATE": f"o{n:03d}.{m}", template: account_of(n, shared=False), "#": f"#{m}."}
                    ),
                )
                for verb in verbs
            ]
            for n in range(at_a_time)
            for m in range(count // at_a_time)
        }

        async def one(n: int, m: int) -> None:
            await store.atomically(lambda tx: mimic(tx, made[n, m]))

        return await rate(at_a_time, count, one)


async def _fill(store: Store, account: str) -> None:
    async def work(tx: Tx) -> None:
        await grant(tx, account, PLENTY, key=f"first {account}", actor="bench", reason="to spend")

    await store.atomically(work)


async def read_seconds(place: Place, postings: int, times: int) -> float:
    """Of one reading of an account, the median."""
    async with place.store(f"read-{postings}") as store:
        for start in range(0, postings, BATCH):

            async def work(tx: Tx, start: int = start) -> None:
                for n in range(start, min(start + BATCH, postings)):
                    await buy(tx, "reader", 1_000, provider="bench", charge=str(n))

            await store.atomically(work)
        rule, clock, took = Allowance(maximum=370_000), SystemClock(), []
        for _ in range(times):
            begun = time.perf_counter()
            await report(store, "reader", rule, clock.now())
            took.append(time.perf_counter() - begun)
        return statistics.median(took)


async def measure(place: Place, *, quick: bool) -> bool:
    """Prints all of it. Whether each aim was met."""
    count, widths, rounds = (128, (1, 8), 1) if quick else (1_024, (1, 8, 64), ROUNDS)
    print("at a time   engine alone   ledger, own accounts   ledger, one pool   (spends a second)")
    shares, pools = [], []
    lock = 0.0
    for width in widths:
        # In turns, as the machine is not equally quick from one second to the next.
        taken = [
            (
                await engine_rate(place, width, count),
                await ledger_rate(place, width, count, shared=False),
                await ledger_rate(place, width, count, shared=True),
            )
            for _ in range(rounds)
        ]
        engine, own, pool = (statistics.median(column) for column in zip(*taken, strict=True))
        lock = lock or engine  # one at a time is what one lock allows
        shares.append(own / engine)
        pools.append(pool / lock)
        print(
            f"{width:9}   {engine:12,.0f}   {own:13,.0f} ({own / engine:4.0%})   {pool:9,.0f} ({pool / lock:4.0%})",
            flush=True,
        )
    read = [(n, await read_seconds(place, n, 20)) for n in ((10, 1_000) if quick else (10, 10_000, 1_000_000))]
    print("postings behind an account   one reading")
    for n, seconds in read:
        print(f"{n:26,}   {seconds * 1e6:8.0f} µs", flush=True)
    met = [
        _aim("own accounts, of the engine alone", min(shares), SHARE_AIM),
        _aim("one pool, of one at a time", min(pools), POOL_AIM),
        _aim("reading stays flat: the quickest by the slowest", min(s for _, s in read) / max(s for _, s in read), 0.5),
    ]
    return all(met)


def _aim(what: str, share: float, aim: float) -> bool:
    print(f"{what}: {'met' if share >= aim else 'missed'}, {share:.0%} of {aim:.0%}")
    return share >= aim


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few of each, to see that it runs")
    parser.add_argument("--folder", type=Path, help="where the databases go; a temporary folder by default")
    parser.add_argument(
        "--mongo", default="", help="a MongoDB server instead, such as mongodb://127.0.0.1/?replicaSet=rs"
    )
    asked = parser.parse_args()
    log.configure("WARNING", stream=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="chatelier-bench-", dir=asked.folder) as folder:
        met = asyncio.run(measure(Place(Path(folder), asked.mongo), quick=asked.quick))
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
