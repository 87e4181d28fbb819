"""The server's side of a transaction: how it begins, how all that was written is sent, how it ends."""

import asyncio
import random
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import DeleteOne, InsertOne, ReadPreference, ReplaceOne, ReturnDocument, UpdateMany
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern

from chatelier import OperatorMust, Unavailable, token

from . import words
from .connection import MAJORITY, Address, Client, Database
from .draft import NO_VERSION, Entry
from .layout import META, WRITER
from .transaction import Batch

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

Operation = DeleteOne | UpdateMany | ReplaceOne[dict[str, Any]] | InsertOne[dict[str, Any]]
DUPLICATE_KEY = 11000
COMMIT_SECONDS = 60.0
"""That a commit without an answer is asked after."""
PAUSE_SECONDS = 0.2
"""At most, between two times."""
ABANDONED_SECONDS = 1.0
"""A transaction that did nothing for so long has no process any more, or one that stands still; that one runs it again."""


class Again(Exception):
    """The transaction has to run again. careful: because something that was believed is not so; else somebody wrote meanwhile."""

    def __init__(self, *, careful: bool) -> None:
        super().__init__()
        self.careful = careful


@dataclass(slots=True)
class Commits:
    """Of one open store, one at a time. name: of this process among those that write.

    threads: where all of a commit is sent in one go: a turn of the loop between its five questions costs as much as they do.
    """

    client: Client
    database: Database
    address: Address
    threads: Executor
    name: str = field(default_factory=token)
    _session: AsyncIOMotorClientSession | None = None
    _idle: dict[tuple[bytes, int], int] = field(default_factory=dict)

    async def begin(self, *, take: bool) -> tuple[AsyncIOMotorClientSession, int, datetime]:
        """Its session, the number of the transaction that wrote before it, and the server's clock.

        take: hold the writer from now on, or fail at once because another one does; else that is found out at the commit.
        """
        session = self._session = self._session or await self.client.start_session()
        session.start_transaction(
            read_concern=ReadConcern("snapshot"), write_concern=MAJORITY, read_preference=ReadPreference.PRIMARY
        )
        meta, fields = self.database[META], {"number": 1, "now": "$$NOW"}
        found: dict[str, Any] | None
        if take:
            found = await meta.find_one_and_update(
                {"_id": WRITER},
                {"$inc": {"taken": 1}},
                projection=fields,
                return_document=ReturnDocument.AFTER,
                session=session,
            )
        else:
            found = await meta.find_one({"_id": WRITER}, fields, session=session)
        if found is None:
            raise OperatorMust(words.NO_WRITER.format(place=self.address.place, database=self.address.database))
        return session, found["number"], found["now"].replace(tzinfo=UTC)

    async def commit(self, batch: Batch) -> None:
        """Raises Again; Unavailable when nobody knows whether it was committed."""
        if batch.draft.is_in_doubt:
            raise Again(careful=True)
        await asyncio.get_running_loop().run_in_executor(self.threads, partial(self._send_all, batch))

    async def abort(self) -> None:
        """Whatever is left of a transaction, though the server may have ended it already."""
        if self._session is not None and self._session.delegate.in_transaction:
            with suppress(PyMongoError):
                await self._session.abort_transaction()

    async def end(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            with suppress(PyMongoError):
                await session.end_session()

    async def end_abandoned(self) -> None:
        """Transactions that did nothing since this was called before: the server would keep what they hold for a minute."""
        open_ones = {"type": "idleSession", "appName": self.address.app_name, "transaction": {"$exists": True}}
        with suppress(PyMongoError):  # some hosts forbid it; the server ends them by itself after a minute
            found = self.client.admin.aggregate([{"$currentOp": {"idleSessions": True}}, {"$match": open_ones}])
            before, self._idle = self._idle, {}
            for operation in await found.to_list(1_000):
                session, transaction = operation["lsid"]["id"], operation["transaction"]
                key = bytes(session), transaction["parameters"]["txnNumber"]
                self._idle[key] = transaction["timeActiveMicros"]
                if before.get(key) == transaction["timeActiveMicros"]:
                    log.warning("ending a transaction of a process that is gone", place=self.address.place)
                    await self.client.admin.command("killSessions", [{"id": session}])

    # --- on a thread

    def _send_all(self, batch: Batch) -> None:
        session: Any = batch.view.session and batch.view.session.delegate
        database: Any = self.database.delegate
        kinds = [name for name, _ in batch.draft.kinds()]
        for name, entries in batch.draft.kinds():
            _send(database[batch.shelves[name].name], entries, session)
        if kinds:
            said = {"_id": WRITER, "number": batch.number + 1, "by": self.name, "kinds": kinds, "at": batch.now}
            found = {"_id": WRITER, "number": batch.number}
            if not database[META].replace_one(found, said, session=session).matched_count:
                raise Again(careful=False)
        self._commit(session)

    def _commit(self, session: Any) -> None:
        """Until it is known whether it was. The server remembers, also another one that took over."""
        until = time.monotonic() + COMMIT_SECONDS
        while True:
            try:
                session.commit_transaction()
            except PyMongoError as error:
                if not error.has_error_label("UnknownTransactionCommitResult"):
                    raise
                if time.monotonic() >= until:
                    raise Unavailable(words.MAYBE.format(place=self.address.place)) from error
                time.sleep(PAUSE_SECONDS * random.random())  # noqa: S311 - spreads several processes, guards nothing
            else:
                return


def _send(collection: Any, entries: Mapping[str, Entry], session: Any) -> None:
    """All of a kind. Unique values are let go of before others take them."""
    deletes = [DeleteOne(_as_it_was(key, one)) for key, one in entries.items() if one.record is None and one.base]
    live = [(key, one) for key, one in entries.items() if one.record is not None]
    losing = [key for key, one in live if one.base and one.base_pairs - one.pairs]
    freed = [UpdateMany({"_id": {"$in": losing}}, {"$unset": {"u": 1}})] if losing else []
    replaces = [ReplaceOne(_as_it_was(key, one), one.row) for key, one in live if one.base]
    inserts = [InsertOne(one.row) for _, one in live if not one.base]
    operations: list[Operation] = [*deletes, *freed, *replaces, *inserts]
    if not operations:
        return
    try:
        done = collection.bulk_write(operations, session=session)
    except BulkWriteError as error:
        if any(one.get("code") == DUPLICATE_KEY for one in error.details.get("writeErrors", ())):
            raise Again(careful=True) from error
        raise
    if (done.deleted_count, done.matched_count) != (len(deletes), len(losing) + len(replaces)):
        raise Again(careful=False)


def _as_it_was(key: str, entry: Entry) -> dict[str, Any]:
    """The document that the entry takes the place of; of a damaged one the version is not compared."""
    return {"_id": key, "v": entry.base} if entry.base != NO_VERSION else {"_id": key}
