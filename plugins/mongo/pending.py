"""A `work` that waits for its transaction, and what came of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from pymongo.errors import PyMongoError

from chatelier import Record, Tx

from .transaction import Batch, MongoTx, steered


@dataclass(slots=True, eq=False)
class Pending:
    """Of one caller.

    told: what its caller waits for. since: on this machine's clock. is_alone: a transaction that it shared failed as a whole.
    """

    work: Callable[[Tx], Awaitable[Any]]
    context: Context
    told: asyncio.Future[Any]
    since: float
    is_alone: bool = False
    is_careful: bool = False
    inserted: Sequence[tuple[str, Record]] = ()
    result: Any = None
    error: BaseException | None = None

    async def run(self, batch: Batch) -> None:
        """What it did is undone if it raises. Raises what the server says."""
        if not await self._try(batch, careful=self.is_careful):
            await self._try(batch, careful=True)

    async def _try(self, batch: Batch, *, careful: bool) -> bool:
        """False where it failed after it believed something: that may be why, so it is no answer."""
        tx = MongoTx(batch, careful=careful)
        self.result = self.error = None
        try:
            self.result = await steered(self.context.run(self.work, tx), self.context)
        except (PyMongoError, asyncio.CancelledError):
            raise
        except BaseException as error:  # noqa: BLE001 - the caller's `work` may raise anything, and is told it
            tx.undo()
            self.error = error
            return not tx.believes
        finally:
            tx.over = True
            self.inserted = tx.inserted
        return True

    def tell(self) -> None:
        """Its caller may have been cancelled meanwhile."""
        if self.told.done():
            return
        if self.error is not None:
            self.told.set_exception(self.error)
        else:
            self.told.set_result(self.result)

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.tell()
