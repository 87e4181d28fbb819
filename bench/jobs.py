"""How many jobs a second one gateway takes from order to result, beside what its parts do alone.

The backend answers at once and the network is in memory, so what is measured is Chatelier itself on a real SQLite file.
"""

import argparse
import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from chatelier import Attempt, Blob, Ended, Gone, Outgoing, Said, Store, SystemClock, Tx
from chatelier.core import interpreter, log
from chatelier.core.registered import KINDS
from chatelier.plugins.sqlite import open_sqlite
from chatelier.testing import PICTURE, FakeBackend, FakePlatform, Parts, running

T = TypeVar("T")
RECORD_BYTES = 1_000
"""About what a job's record takes."""


class Counted:
    """The store, and how often something was written to it."""

    def __init__(self, store: Store) -> None:
        self.transactions = 0
        self._store = store

    async def atomically(self, work: Callable[[Tx], Awaitable[T]], *, soon: bool = False) -> T:
        self.transactions += 1
        return await self._store.atomically(work, soon=soon)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """seconds: of the whole. waits: from each order to its result, in seconds. transactions: that were written."""

    seconds: float
    waits: list[float]
    transactions: int


class Room:
    """A network on which everybody has a conversation of their own and waits there for a picture."""

    def __init__(self) -> None:
        self.network = FakePlatform()
        self.network.before_edit = self.network.after_send = self._seen
        self._waiting: dict[str, asyncio.Future[None]] = {}

    def _seen(self, message: Outgoing) -> None:
        if message.media and message.chat.chat in self._waiting:
            self._waiting.pop(message.chat.chat).set_result(None)

    async def order(self, person: str, text: str) -> float:
        """Seconds until the picture is there."""
        self._waiting[person] = result = asyncio.get_running_loop().create_future()
        begun = time.perf_counter()
        await self.network.receive(self.network.event(Said(text=text), sender=person, chat=person))
        await result
        return time.perf_counter() - begun


def shares(jobs: int, people: int) -> list[int]:
    """As even as it goes."""
    return [jobs // people + (n < jobs % people) for n in range(people)]


async def through_the_gateway(folder: Path, jobs: int, people: int, backends: int) -> Run:
    """Everybody orders one picture after the other."""
    room = Room()
    servers = [FakeBackend(f"fake{n}") for n in range(backends)]
    async with open_sqlite(f"sqlite:{folder / 'bench.db'}", KINDS, SystemClock()) as store:
        counted = Counted(store)
        parts = Parts([room.network], servers, store=cast("Store", counted))
        async with running(folder, parts):
            await room.order("nobody", "/make a picture before the clock runs")
            counted.transactions = 0
            waits: list[float] = []

            async def person(name: str, wanted: int) -> None:
                for n in range(wanted):
                    waits.append(await room.order(name, f"/make picture {n}"))  # noqa: PERF401 - one after the other

            begun = time.perf_counter()
            await asyncio.gather(*(person(f"p{n}", share) for n, share in enumerate(shares(jobs, people))))
            return Run(seconds=time.perf_counter() - begun, waits=waits, transactions=counted.transactions)


def no_files(blob: Blob) -> AsyncIterator[bytes]:
    """What an attempt reads its input files with; these have none."""
    raise Gone(blob.sha256)


async def without_a_gateway(jobs: int, people: int) -> float:
    """Seconds for the same jobs when somebody calls the backend's methods and keeps nothing."""
    backend = FakeBackend()

    async def person(name: str, wanted: int) -> None:
        for n in range(wanted):
            attempt = Attempt(id=f"{name}-{n}", graph=PICTURE.graph, read=no_files)
            await backend.submit(attempt)
            async for item in backend.watch(attempt):
                if isinstance(item, Ended):
                    for output in item.outputs:
                        assert [piece async for piece in backend.fetch(attempt, output)]

    begun = time.perf_counter()
    await asyncio.gather(*(person(f"p{n}", share) for n, share in enumerate(shares(jobs, people))))
    return time.perf_counter() - begun


def on_bare_sqlite(file: Path, transactions: int) -> float:
    """Seconds for so many transactions, each an insert and an update, as safe against a power cut as the store's."""
    document = "x" * RECORD_BYTES
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE records (key INTEGER PRIMARY KEY, document TEXT NOT NULL)")
        begun = time.perf_counter()
        for key in range(transactions):
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO records VALUES (?, ?)", (key, document))
            database.execute("UPDATE records SET document = ? WHERE key = ?", (document.upper(), key // 2))
            database.execute("COMMIT")
        return time.perf_counter() - begun


def figures(jobs: int, run: Run, bare: float, sqlite: float) -> Mapping[str, str]:
    """What is printed, by its heading."""
    a_job = run.transactions / jobs
    a_second = run.transactions / sqlite
    p95 = statistics.quantiles(run.waits, n=20)[-1] if jobs > 1 else run.waits[0]
    return {
        "gateway": f"{jobs / run.seconds:9.1f} jobs/s",
        "order to result": f"{statistics.median(run.waits) * 1000:9.1f} ms median, {p95 * 1000:.1f} ms p95",
        "backend alone": f"{jobs / bare:9.1f} jobs/s, nothing kept",
        "SQLite alone": f"{a_second:9.1f} transactions/s",
        "SQLite's limit": f"{a_second / a_job:9.1f} jobs/s at {a_job:.1f} transactions a job",
    }


async def measure(folder: Path, jobs: int, people: int, backends: int) -> Mapping[str, str]:
    run = await through_the_gateway(folder, jobs, people, backends)
    bare = await without_a_gateway(jobs, people)
    sqlite = await asyncio.to_thread(on_bare_sqlite, folder / "peer.db", run.transactions)
    return figures(jobs, run, bare, sqlite)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200, help="how many in all")
    parser.add_argument("--people", type=int, default=10, help="how many order at a time, each one job after the other")
    parser.add_argument("--backends", type=int, default=4, help="fake servers; a gateway gives each two jobs at a time")
    parser.add_argument("--folder", type=Path, help="where the databases go; a temporary folder by default")
    asked = parser.parse_args()
    log.configure("WARNING", stream=sys.stderr)
    interpreter.settle()  # as `chatelier run` does
    print(f"{asked.jobs} jobs of {asked.people} people on {asked.backends} fake servers", end="; ")
    print(f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}", flush=True)
    with tempfile.TemporaryDirectory(prefix="chatelier-bench-", dir=asked.folder) as folder:
        found = asyncio.run(measure(Path(folder), asked.jobs, asked.people, asked.backends))
    for heading, value in found.items():
        print(f"{heading:16}{value}")


if __name__ == "__main__":
    main()
