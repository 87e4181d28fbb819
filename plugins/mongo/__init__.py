"""The store for many machines: a MongoDB replica set, by motor, which is imported when such a URL is opened."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from chatelier import Clock, Kind, OperatorMust, Store, StoreOpener, hookimpl

from . import words


@asynccontextmanager
async def open_mongo(
    url: str, kinds: Sequence[Kind[Any]], clock: Clock, *, patience: float | None = None
) -> AsyncIterator[Store]:
    """Open the database that a `mongodb:` or `mongodb+srv:` URL names, making its collections and indexes if need be.

    clock: for waiting only; moments are the server's. patience: seconds that a server which does not answer is waited for
    before Unavailable; None for the default. Raises OperatorMust without the extra `mongo`.
    """
    with ThreadPoolExecutor(2, "mongo-aside") as threads:
        engine = await asyncio.get_running_loop().run_in_executor(threads, _engine)
        async with engine.opened(url, kinds, clock, patience, threads) as store:
            yield store


def _engine() -> Any:
    try:
        return import_module(f"{__name__}.store")
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("motor", "pymongo", "bson", "gridfs"):
            raise
        raise OperatorMust(words.NOT_INSTALLED) from error


class Plugin:
    """Offers `mongodb://host:port/database?replicaSet=name` and `mongodb+srv://host/database`."""

    @hookimpl
    def register_stores(self, register: Callable[[str, StoreOpener], None]) -> None:
        register("mongodb", open_mongo)
        register("mongodb+srv", open_mongo)


__all__ = ["Plugin", "open_mongo"]
