"""Transactions a second of each store, beside those of the bare driver: own records, and one that all of them write.

.venv/bin/python bench/stores.py --mongodb 'mongodb://127.0.0.1:27017/bench?replicaSet=rs0'
"""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from chatelier import Kind, Record, Store, SystemClock, Tx, token
from chatelier.plugins.mongo import open_mongo
from chatelier.plugins.sqlite import open_sqlite

WIDTHS = (1, 8, 64)
Spend = Callable[[str], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account(Record):
    amount: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting(Record):
    account: str
    amount: int


ACCOUNTS = Kind(name="bench_accounts", record=Account)
POSTINGS = Kind(name="bench_postings", record=Posting)


def through(store: Store) -> Spend:
    async def spend(key: str) -> None:
        posting = Posting(key=token(), account=key, amount=1)

        async def work(tx: Tx) -> None:
            account = await tx.get(ACCOUNTS, key) or await tx.insert(ACCOUNTS, Account(key=key))
            await tx.insert(POSTINGS, posting)
            await tx.replace(ACCOUNTS, replace(account, amount=account.amount + 1))

        await store.atomically(work)

    return spend


def bare(client: AsyncIOMotorClient[dict[str, Any]]) -> Spend:
    """The same three steps as MongoDB's own pages show them."""
    database = client.get_default_database()

    async def spend(key: str) -> None:
        async def work(session: Any) -> None:
            account = await database.accounts.find_one({"_id": key}, session=session) or {"amount": 0}
            await database.postings.insert_one({"account": key, "amount": 1}, session=session)
            changed = {"amount": account["amount"] + 1}
            await database.accounts.replace_one({"_id": key}, changed, upsert=True, session=session)

        async with await client.start_session() as session:
            majority = WriteConcern("majority", j=True)
            await session.with_transaction(work, ReadConcern("snapshot"), majority)

    return spend


async def measure(name: str, spend: Spend, seconds: float) -> None:
    for width in WIDTHS:
        for whose in ("own records", "one record"):
            waits: list[float] = []
            begun = perf_counter()

            async def spender(key: str, waits: list[float] = waits, begun: float = begun) -> None:
                while (now := perf_counter()) - begun < seconds:
                    await spend(key)
                    waits.append(perf_counter() - now)

            keys = [f"a{n}" for n in range(width)] if whose == "own records" else repeat("pool", width)
            await asyncio.gather(*map(spender, keys))
            rate = len(waits) / (perf_counter() - begun)
            p50, p99 = (quantiles(waits, n=100)[n] if len(waits) > 1 else waits[0] for n in (49, 98))
            print(
                f"{name:10} {whose:12} {width:3} at a time {rate:8.0f}/s {p50 * 1e3:9.1f} ms p50 {p99 * 1e3:9.1f} ms p99"
            )


async def stores(options: argparse.Namespace, folder: str) -> None:
    kinds: list[Kind[Any]] = [ACCOUNTS, POSTINGS]
    opened: list[tuple[str, AbstractAsyncContextManager[Store]]] = [
        ("SQLite", open_sqlite(f"sqlite://{folder}/stores.db", kinds, SystemClock()))
    ]
    if options.mongodb:
        opened.append(("MongoDB", open_mongo(options.mongodb, kinds, SystemClock())))
    for name, opening in opened:
        async with opening as store:
            await measure(name, through(store), options.seconds)
    if options.mongodb:
        with_name = options.mongodb.replace("?", "-bare?")
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(with_name)
        database = client.get_default_database()
        try:
            for name in ("accounts", "postings"):
                await database.create_collection(name)
            await measure("bare motor", bare(client), options.seconds)
        finally:
            await client.drop_database(database)
            client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--mongodb", metavar="URL", default="", help="a database that may be filled; one beside it is dropped"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="for each line")
    parser.add_argument("--folder", type=Path, help="where SQLite's file is for the time, on the disk to be measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        asyncio.run(stores(options, folder))


if __name__ == "__main__":
    main()
