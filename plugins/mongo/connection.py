"""The connection: how it is set, what its errors mean, and whether the server is one that has transactions."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo import MongoClient, ReadPreference
from pymongo.errors import ConfigurationError, ConnectionFailure, InvalidURI, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from chatelier import OperatorMust, Unavailable

from . import words

Client = AsyncIOMotorClient[dict[str, Any]]
Database = AsyncIOMotorDatabase[dict[str, Any]]

PATIENCE_SECONDS = 10.0
"""That a server which does not answer is waited for."""
SILENCE_SECONDS = 20.0
"""That one answer may take; a server that stands still counts as away then."""
OLDEST = 13
"""The wire version of MongoDB 5.0, the first with snapshots outside of transactions."""
MAJORITY = WriteConcern("majority", j=True)

AUTHENTICATION_FAILED, UNAUTHORIZED, SNAPSHOT_TOO_OLD, DISK_FULL, NO_INDEX = 18, 13, 239, 14031, 2
WRITE_CONFLICT, LOCK_TIMEOUT = 112, 24
_NO_LOGIN = {AUTHENTICATION_FAILED, 8000}
"""8000 is what MongoDB Atlas says."""


@dataclass(frozen=True, slots=True)
class Address:
    """What may be said of a URL. place: its hosts. options: those that the URL itself gives, in lower case."""

    url: str
    place: str
    host: str
    database: str
    options: frozenset[str]
    replica_set: str

    @classmethod
    def of(cls, url: str) -> "Address":
        """Raises OperatorMust and Unavailable, without a secret. Looks up `mongodb+srv:` names, so it belongs on a thread."""
        try:
            parsed = parse_uri(url)
        except InvalidURI:
            raise OperatorMust(words.BAD_URL) from None  # its words may hold a part of the password
        except (ConfigurationError, ValueError) as error:
            if url.startswith("mongodb+srv:"):
                raise Unavailable(words.NO_SRV) from error
            raise OperatorMust(words.BAD_URL) from None
        if not parsed["database"]:
            raise OperatorMust(words.NO_DATABASE)
        if set(parsed["database"]) & set("@/"):  # what looks like the host is a part of the password
            raise OperatorMust(words.BAD_URL)
        hosts = [f"{host}:{port}" if port else host for host, port in parsed["nodelist"]]
        options = {name.lower(): value for name, value in parsed["options"].items()}
        return cls(
            url, ", ".join(hosts), hosts[0], parsed["database"], frozenset(options), options.get("replicaset", "")
        )

    def settings(self, patience: float) -> dict[str, Any]:
        """How it is connected to; what the URL says counts more."""
        milliseconds = int(patience * 1000)
        wanted = {
            "serverSelectionTimeoutMS": min(milliseconds, 5_000),
            "connectTimeoutMS": min(milliseconds, 5_000),
            "socketTimeoutMS": int(SILENCE_SECONDS * 1000),
        }
        return {name: value for name, value in wanted.items() if name.lower() not in self.options}

    @property
    def app_name(self) -> str:
        """By which the transactions of this database are known to the server, so that left ones can be found."""
        return f"chatelier/{self.database}"


async def connect(address: Address, patience: float, threads: Executor) -> Client:
    """A client that was answered by a server which has transactions. Raises OperatorMust, Unavailable."""
    loop = asyncio.get_running_loop()

    def make() -> Client:
        with said(address):
            return AsyncIOMotorClient(address.url, io_loop=loop, appname=address.app_name, **address.settings(patience))

    client: Client = await loop.run_in_executor(threads, make)
    try:
        with said(address):
            await _look_at(client, address)
    except Unavailable as away:
        await loop.run_in_executor(threads, client.close)
        if known := await loop.run_in_executor(threads, _why_away, address):
            raise known from away
        raise
    except BaseException:
        await asyncio.shield(loop.run_in_executor(threads, client.close))
        raise
    return client


async def _look_at(client: Client, address: Address) -> None:
    hello = await client.admin.command("hello")
    if words_ := _refusal(hello, address):
        raise OperatorMust(words_)
    await client[address.database].command("ping")
    # The first command that needs the login, for who may not read a database may still say hello.
    await client[address.database].list_collection_names(filter={"name": "chatelier"})


def _refusal(hello: dict[str, Any], address: Address) -> str:
    """Why this server cannot be used, by what it says of itself; "" when it can."""
    found = hello.get("setName", "")
    is_router = hello.get("msg") == "isdbgrid"
    if not found and not is_router:
        waits = hello.get("isreplicaset")
        return (words.NOT_INITIATED if waits else words.STANDALONE).format(place=address.place, host=address.host)
    if found and address.replica_set not in ("", found):
        return words.OTHER_SET.format(place=address.place, found=found, wanted=address.replica_set)
    if hello.get("maxWireVersion", 0) < OLDEST:
        return words.TOO_OLD.format(place=address.place, found=f"wire version {hello.get('maxWireVersion')}")
    return ""


def _why_away(address: Address) -> OperatorMust | None:
    """A server that is not of the wanted replica set is passed over in silence, so it is asked alone, and without a login."""
    with suppress(PyMongoError):
        host, _, port = address.host.rpartition(":")
        with MongoClient[dict[str, Any]](
            host.strip("[]"), int(port), directConnection=True, serverSelectionTimeoutMS=1_000, connectTimeoutMS=1_000
        ) as client:
            hello = client.admin.command("hello")
        if words_ := _refusal(hello, address):
            return OperatorMust(words_)
    return None


@contextmanager
def said(address: Address) -> Iterator[None]:
    """Turn pymongo's errors into ours; what is our own bug stays as it is."""
    try:
        yield
    except PyMongoError as error:
        raise ours(error, address) from error


def ours(error: PyMongoError, address: Address) -> Exception:
    """What is raised in the place of an error of pymongo's; itself where it is a bug."""
    names = {"place": address.place, "database": address.database}
    code = error.code if isinstance(error, OperationFailure) else None
    if code in _NO_LOGIN:
        return OperatorMust(words.NO_LOGIN.format(**names))
    if code == UNAUTHORIZED:
        return OperatorMust(words.NO_RIGHTS.format(**names))
    if code == DISK_FULL:
        return OperatorMust(words.FULL.format(**names))
    if code == NO_INDEX and "hint" in str(error):
        return OperatorMust(words.INDEX_GONE.format(**names))
    if code == SNAPSHOT_TOO_OLD:
        return Unavailable(words.TOOK_TOO_LONG.format(**names))
    if isinstance(error, ConnectionFailure) or is_away(error):
        return Unavailable(words.AWAY.format(**names))
    if is_conflict(error):
        return Unavailable(words.BUSY.format(**names))
    if isinstance(error, ConfigurationError | InvalidURI):
        return OperatorMust(words.BAD_URL)
    return error


def is_conflict(error: PyMongoError) -> bool:
    """Whether another transaction holds, or changed meanwhile, what this one needs."""
    return isinstance(error, OperationFailure) and error.code in (WRITE_CONFLICT, LOCK_TIMEOUT)


def is_away(error: PyMongoError) -> bool:
    """Whether it is worth another try later: a server that is gone, starts, or hands over to another one."""
    return isinstance(error, ConnectionFailure) or any(
        error.has_error_label(label)
        for label in ("TransientTransactionError", "UnknownTransactionCommitResult", "RetryableWriteError")
    )


def database_of(client: Client, address: Address) -> Database:
    """What it reads outside of a transaction is what no failure can undo any more."""
    return client.get_database(
        address.database,
        read_concern=ReadConcern("majority"),
        write_concern=MAJORITY,
        read_preference=ReadPreference.PRIMARY,
    )
