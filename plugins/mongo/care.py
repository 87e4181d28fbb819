"""Care of the data: what is wrong with it, and a copy of it."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo.read_concern import ReadConcern

from chatelier import OperatorMust, Unreadable, unreadable

from . import words
from .connection import Address, Client, Database
from .layout import META, Shelf, stored
from .opening import LAYOUT, lost_indexes

COPIED_AT_ONCE = 500
"""Documents that are sent to a copy together."""
Row = dict[str, Any]


async def check(client: Client, database: Database, shelves: Iterable[Shelf]) -> list[str]:
    """A line for each thing that is wrong, from one moment's view. Collections of kinds that are not loaded are left alone."""
    found = []
    async with _one_moment(client, database) as (view, session):
        for shelf in shelves:
            found += [f"the index {name} of {shelf.name} is gone" for name in await lost_indexes(database, shelf)]
            async for row in view[shelf.name].find(sort=[("_id", 1)], session=session):
                found += _faults(shelf, row)
    return found


def _faults(shelf: Shelf, row: Row) -> Iterator[str]:
    one = stored(row)
    try:
        one.read(shelf.kind)
        asked = shelf.asked(one.values(shelf.kind), one.key)
    except Unreadable as error:
        yield error.fault
        return
    if asked.get("q") != row.get("q"):
        yield f"{shelf.kind.name} {one.key!r} is filed under other values than its own, so questions miss it"
    if asked.get("u") != row.get("u"):
        yield f"{shelf.kind.name} {one.key!r} is known by other unique values than its own"


async def unreadable_in(database: Database, shelves: Iterable[Shelf]) -> list[tuple[Shelf, Unreadable]]:
    found: list[tuple[Shelf, Unreadable]] = []
    for shelf in shelves:
        async for row in database[shelf.name].find(sort=[("_id", 1)]):
            found += [(shelf, error) for error in unreadable(shelf.kind, [stored(row)])]
    return found


async def strangers(database: Database, shelves: Iterable[Shelf]) -> list[str]:
    """The names of kinds that have records, but no shelf here."""
    known = {shelf.name for shelf in shelves}
    names = await database.list_collection_names(filter={"name": {"$regex": "^records_"}})
    full = [name for name in names if name not in known and await database[name].find_one({}, {"_id": 1})]
    return sorted(name.removeprefix("records_") for name in full)


def target_of(target: str) -> Address:
    """Where a copy goes: a URL of this engine. Raises OperatorMust."""
    if not target.startswith(("mongodb:", "mongodb+srv:")):
        raise OperatorMust(words.NO_TARGET.format(target=target))
    return Address.of(target)


async def backup(client: Client, database: Database, copy: Database, address: Address) -> None:
    """Copy everything into a database that holds nothing. It says of itself that it is one of ours only when it is whole."""
    if await copy.list_collection_names():
        raise OperatorMust(words.TARGET_EXISTS.format(place=address.place, database=address.database))
    async with _one_moment(client, database) as (view, session):
        layout: Row | None = None
        for name in [META, *await database.list_collection_names(filter={"name": {"$regex": "^records_"}})]:
            indexes = [one async for one in database[name].list_indexes()]
            await copy.create_collection(name)
            async for rows in _pages(view[name].find(session=session)):
                layout = next((row for row in rows if name == META and row["_id"] == LAYOUT), layout)
                kept = [row for row in rows if row is not layout]
                if kept:
                    await copy[name].insert_many(kept)
            for index in indexes:
                if index["name"] != "_id_":
                    flags = {flag: index[flag] for flag in ("unique", "sparse") if flag in index}
                    await copy[name].create_index(list(index["key"].items()), name=index["name"], **flags)
        if layout is not None:
            await copy[META].insert_one(layout)


async def _pages(cursor: Any) -> AsyncIterator[list[Row]]:
    while rows := await cursor.to_list(COPIED_AT_ONCE):
        yield rows


@asynccontextmanager
async def _one_moment(client: Client, database: Database) -> AsyncIterator[tuple[Database, AsyncIOMotorClientSession]]:
    """Whatever is read in this session is of one moment. The server keeps it for five minutes, as it comes."""
    async with await client.start_session(snapshot=True) as session:
        yield database.with_options(read_concern=ReadConcern("snapshot")), session
