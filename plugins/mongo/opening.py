"""Opening the database: numbered migrations, then a collection and its indexes for each kind, by one process at a time."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import CollectionInvalid, DuplicateKeyError, OperationFailure

from chatelier import Kind, OperatorMust, StoreTooNew, Unavailable, Unreadable, token

from . import words
from .connection import Address, Database
from .layout import META, WRITER, Shelf, stored

LAYOUT = "layout"
"""The document that says which migrations were done."""
LOCK = "opening"
LOCK_SECONDS = 30
"""A process that died while it held the lock holds up others for so long."""
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.1
FILLED_AT_ONCE = 500
DUPLICATE_KEYS = (11000, 11001)


async def _first(database: Database) -> None:
    """The document that each transaction writes."""
    await database[META].update_one(
        {"_id": WRITER}, {"$setOnInsert": {"number": 0, "by": "", "kinds": []}}, upsert=True
    )


MIGRATIONS: Sequence[Callable[[Database], Awaitable[None]]] = (_first,)
"""The first one is number 1. Each may be cut off at any point, and is begun again then."""


@dataclass(frozen=True, slots=True)
class Opening:
    database: Database
    address: Address
    shelves: Mapping[str, Shelf]

    async def open(self) -> None:
        """Bring the database to this version's layout. Safe when several processes do it at once."""
        if await self._number() == len(MIGRATIONS) and not await self._missing():
            return
        async with self._lock() as extend:
            found = await self._number()
            for number, migrate in enumerate(MIGRATIONS, 1):
                if number > found:
                    await migrate(self.database)
                    await self.database[META].update_one({"_id": LAYOUT}, {"$set": {"number": number}}, upsert=True)
            for shelf in await self._missing():
                await self._make(shelf, extend)

    async def _number(self) -> int:
        """Of the last migration that was done. Refuses what other programs made."""
        found = await self.database[META].find_one({"_id": LAYOUT})
        if found is None:
            others = await self.database.list_collection_names(filter={"name": {"$nin": [META, "system.views"]}})
            if others:
                raise OperatorMust(words.NOT_OURS.format(place=self.address.place, database=self.address.database))
            return 0
        number: int = found["number"]
        if number > len(MIGRATIONS):
            raise StoreTooNew(words.TOO_NEW.format(database=self.address.database, found=number, known=len(MIGRATIONS)))
        return number

    async def _missing(self) -> list[Shelf]:
        """Kinds whose collection, indexes or fields are not all there."""
        known = {one["_id"]: one async for one in self.database[META].find({"_id": {"$regex": "^kind:"}})}
        there = await self.database.list_collection_names()
        missing = []
        for shelf in self.shelves.values():
            declared = known.get(f"kind:{shelf.kind.name}", {})
            is_known = (declared.get("paths"), declared.get("unique")) == (
                sorted(shelf.paths),
                sorted(shelf.kind.unique),
            )
            if not is_known or shelf.name not in there or await lost_indexes(self.database, shelf):
                missing.append(shelf)
        return missing

    async def _make(self, shelf: Shelf, extend: Callable[[], Awaitable[None]]) -> None:
        with suppress(CollectionInvalid):
            await self.database.create_collection(shelf.name)
        await self._fill(shelf, extend)
        if indexes := list(shelf.indexes().values()):
            try:
                await self.database[shelf.name].create_indexes(indexes)
            except (DuplicateKeyError, OperationFailure) as error:
                if error.code not in DUPLICATE_KEYS:
                    raise
                raise OperatorMust(await self._twins(shelf)) from error
        await self.database[META].update_one(
            {"_id": f"kind:{shelf.kind.name}"},
            {"$set": {"paths": sorted(shelf.paths), "unique": sorted(shelf.kind.unique)}},
            upsert=True,
        )

    async def _fill(self, shelf: Shelf, extend: Callable[[], Awaitable[None]]) -> None:
        """What stands beside the texts, of records that are older than the declaration of a field."""
        collection = self.database[shelf.name]
        updates: list[UpdateOne] = []
        async for row in collection.find(sort=[("_id", 1)]):
            with suppress(Unreadable):
                asked = shelf.asked(stored(row).values(shelf.kind), row["_id"])
                if any(asked.get(name) != row.get(name) for name in ("q", "u")):
                    gone = {name: 1 for name in ("q", "u") if name not in asked}
                    change = {"$set": asked} if asked else {}
                    updates.append(
                        UpdateOne({"_id": row["_id"], "v": row["v"]}, {**change, **({"$unset": gone} if gone else {})})
                    )
            if len(updates) == FILLED_AT_ONCE:
                await extend()
                await self._update(shelf, updates)
                updates.clear()
        if updates:
            await self._update(shelf, updates)

    async def _update(self, shelf: Shelf, updates: Sequence[UpdateOne]) -> None:
        try:
            await self.database[shelf.name].bulk_write(list(updates), ordered=False)
        except OperationFailure as error:
            if not any(one.get("code") in DUPLICATE_KEYS for one in (error.details or {}).get("writeErrors", ())):
                raise
            raise OperatorMust(await self._twins(shelf)) from error

    async def _twins(self, shelf: Shelf) -> str:
        """Which two records share a value that is to be unique."""
        holders: dict[str, str] = {}
        async for row in self.database[shelf.name].find(sort=[("_id", 1)]):
            with suppress(Unreadable):
                for one in shelf.asked(stored(row).values(shelf.kind), row["_id"]).get("u", ()):
                    if (first := holders.setdefault(one, row["_id"])) != row["_id"]:
                        field, _, value = one.partition("=")
                        return words.TWINS.format(
                            kind=shelf.kind.name, first=first, second=row["_id"], field=field, value=value
                        )
        raise AssertionError("an index found twins that are none")

    @asynccontextmanager
    async def _lock(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Held by one process. Yields what holds it for longer."""
        name, meta = token(), self.database[META]
        hold = [{"$set": {"by": name, "until": {"$add": ["$$NOW", LOCK_SECONDS * 1000]}}}]
        is_free = {"_id": LOCK, "$expr": {"$or": [{"$eq": ["$by", ""]}, {"$lt": ["$until", "$$NOW"]}]}}
        deadline = monotonic() + PATIENCE_SECONDS
        with suppress(DuplicateKeyError):
            await meta.update_one({"_id": LOCK}, {"$setOnInsert": {"by": ""}}, upsert=True)
        while not (await meta.update_one(is_free, hold)).matched_count:
            if monotonic() >= deadline:
                raise Unavailable(words.OPENING.format(database=self.address.database))
            await asyncio.sleep(PAUSE_SECONDS * random.random())  # noqa: S311 - spreads several processes, guards nothing

        async def extend() -> None:
            if not (await meta.update_one({"_id": LOCK, "by": name}, hold)).matched_count:
                raise Unavailable(words.OPENING.format(database=self.address.database))

        try:
            yield extend
        finally:
            await meta.update_one({"_id": LOCK, "by": name}, {"$set": {"by": ""}})


def shelves_of(kinds: Iterable[Kind[Any]]) -> dict[str, Shelf]:
    kinds = list(kinds)
    if len({kind.name for kind in kinds}) < len(kinds):
        raise ValueError("two kinds have one name")
    return {kind.name: Shelf(kind) for kind in kinds}


async def lost_indexes(database: Database, shelf: Shelf) -> list[str]:
    """The names of indexes that its collection should have."""
    there = set(await database[shelf.name].index_information())
    return sorted(set(shelf.indexes()) - there)
