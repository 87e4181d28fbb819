"""The store: reads go to the server one by one, transactions through `Writing`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeVar, cast

from chatelier import Changes, Clock, Hints, Kind, Question, Record, Scalar, Sieve, Store, Tx, Unavailable, Unreadable

from . import care, words
from .commits import Commits
from .connection import PATIENCE_SECONDS, Address, Client, Database, connect, database_of, said
from .hearing import Hearing
from .layout import META, WRITER, Shelf, pair, shelf_of
from .opening import Opening, shelves_of
from .reading import View, read
from .transaction import Ask, MongoTx
from .writing import Writing

T = TypeVar("T")
R = TypeVar("R", bound=Record)


@asynccontextmanager
async def opened(
    url: str, kinds: Sequence[Kind[Any]], clock: Clock, patience: float | None, threads: ThreadPoolExecutor
) -> AsyncIterator[Store]:
    """What `open_mongo` gives. No task, socket or transaction is left at the end; the driver's own threads end within a second."""
    shelves = shelves_of(kinds)
    patience = PATIENCE_SECONDS if patience is None else patience
    loop = asyncio.get_running_loop()
    address = await loop.run_in_executor(threads, Address.of, url)
    client = await connect(address, patience, threads)
    try:
        database = database_of(client, address)
        with said(address):
            await Opening(database, address, shelves).open()
        store = MongoStore(client, database, address, shelves, clock, patience, threads)
        try:
            await store.begin()
            yield store
        finally:
            await store.close()
    finally:
        await asyncio.shield(loop.run_in_executor(threads, client.close))


class MongoStore:
    """Any number of them, of any number of processes, on one database."""

    def __init__(
        self,
        client: Client,
        database: Database,
        address: Address,
        shelves: dict[str, Shelf],
        clock: Clock,
        patience: float,
        threads: ThreadPoolExecutor,
    ) -> None:
        self._client = client
        self._database = database
        self._address = address
        self._shelves = shelves
        self._patience = patience
        self._threads = threads
        self._hints = Hints(clock)
        sieve = Sieve()
        self._view = View(database, sieve, _at_once, apart=self._apart)
        commits = Commits(client, database, address, threads)
        self._writing = Writing(commits, database, address, shelves, sieve, self._hints, patience)
        self._hearing = Hearing(database, self._hints, frozenset(shelves), commits.name, None)
        self._is_closed = False

    async def begin(self) -> None:
        """Note from when on changes count."""
        with said(self._address):
            async with await self._client.start_session() as session:
                await self._database[META].find_one({"_id": WRITER}, session=session)
                self._hearing.since = session.delegate.operation_time

    async def close(self) -> None:
        """Waits for the transactions that are asked for. Harmless when it is closed already."""
        self._is_closed = True
        await asyncio.gather(self._writing.close(), self._hearing.close())

    async def get(self, kind: Kind[R], key: str, *, by: str = "") -> R | None:
        shelf = shelf_of(self._shelves, kind)
        if by and by not in kind.unique:
            raise ValueError(f"{by!r} is not a unique key of {kind.name!r}")
        with self._asking():
            row = await self._view.row(shelf, {"u": pair(by, key)} if by else {"_id": key})
        return read(row, kind, None) if row is not None else None

    async def find(
        self,
        kind: Kind[R],
        where: Mapping[str, Scalar] | None = None,
        *,
        order: str = "",
        since: Scalar = None,
        until: Scalar = None,
        descending: bool = False,
        limit: int = 100,
        strict: bool = False,
    ) -> list[R]:
        shelf = shelf_of(self._shelves, kind)
        question = Question.of(kind, where, order=order, since=since, until=until, descending=descending, limit=limit)
        with self._asking():
            return await self._view.find(shelf, kind, question, strict=strict)

    async def atomically(self, work: Callable[[Tx], Awaitable[T]], *, soon: bool = False) -> T:
        self._must_be_open()
        return await self._writing.run(work)

    async def page(self, kind: Kind[R], *, after: str | None = None, limit: int = 100) -> list[R]:
        shelf = shelf_of(self._shelves, kind)
        with self._asking():
            return await self._view.page(shelf, kind, after, limit)

    async def restore(self, records: Sequence[tuple[Kind[Any], Record]], work: Callable[[Tx], Awaitable[T]]) -> T:
        async def all_of_it(tx: Tx) -> T:
            mine = cast(MongoTx, tx)
            for kind, record in records:
                await mine.restore(kind, record)
            return await work(tx)

        return await self.atomically(all_of_it)

    async def strangers(self) -> list[str]:
        with self._asking():
            return await care.strangers(self._database, self._shelves.values())

    def changes(self, *kinds: Kind[Any], inserted: bool = False) -> Changes:
        self._hearing.begin()
        return self._hints.watch(kinds, inserted=inserted)

    async def check(self) -> list[str]:
        with self._asking():
            return await care.check(self._client, self._database, self._shelves.values())

    async def set_aside(self, keep: Callable[[Sequence[Unreadable]], Sequence[Unreadable]]) -> Sequence[Unreadable]:
        with self._asking():
            found = await care.unreadable_in(self._database, self._shelves.values())

        async def work(tx: Tx) -> Sequence[Unreadable]:
            still = [error for shelf, error in found if await _is_unreadable(tx, shelf.kind, error.key)]
            kept = await Ask(partial(self._apart, partial(keep, still))) if still else []
            for error in kept:
                await tx.delete(self._shelves[error.kind].kind, error.key)
            return kept

        self._writing.cache.clear()  # it may know a record as it was before it was damaged
        return await self.atomically(work) if found else []

    async def backup(self, target: str) -> None:
        self._must_be_open()
        address = await self._apart(partial(care.target_of, target))
        copy = await connect(address, self._patience, self._threads)
        try:
            with self._asking():
                await care.backup(self._client, self._database, database_of(copy, address), address)
        finally:
            await asyncio.shield(self._apart(copy.close))

    def _asking(self) -> AbstractContextManager[None]:
        self._must_be_open()
        return said(self._address)

    def _must_be_open(self) -> None:
        if self._is_closed:
            raise Unavailable(words.CLOSED)

    async def _apart(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, job)


async def _at_once(call: Callable[[], Awaitable[Any]]) -> Any:
    return await call()


async def _is_unreadable(tx: Tx, kind: Kind[Any], key: str) -> bool:
    try:
        await tx.get(kind, key)
    except Unreadable:
        return True
    return False
