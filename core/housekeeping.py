"""What is kept goes when its time is over; bytes go when nobody refers to them."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from .chat.buttons import ACTIONS
from .chat.inbox import ARRIVALS
from .chat.outbox import MESSAGES
from .clock import Clock
from .errors import OperatorMust, Unavailable
from .generation.jobs import ATTEMPTS, JOBS, ORDERS, RESULTS
from .log import get_logger
from .media.blobs import FolderBlobs
from .media.references import release
from .settings import Retention
from .storage import Kind, Store, Tx

log = get_logger(__name__)

ROUND_SECONDS = 300.0
AT_ONCE = 100
"""Records deleted in one transaction."""


class Housekeeping:
    """Several processes may do it at once."""

    def __init__(self, store: Store, blobs: FolderBlobs, keep: Retention, clock: Clock) -> None:
        self._store = store
        self._blobs = blobs
        self._keep = keep
        self._clock = clock

    async def run(self) -> None:
        """A round every five minutes, until cancelled."""
        while True:
            try:
                await self.round()
            except (Unavailable, OperatorMust) as error:
                log.warning("housekeeping put off", error=str(error))
            await self._clock.sleep(ROUND_SECONDS)

    async def round(self) -> None:
        """One look at everything."""
        now, keep = self._clock.now(), self._keep
        await self._prune(ARRIVALS, "received", now - timedelta(days=keep.events_days))
        await self._prune(MESSAGES, "created", now - timedelta(days=keep.messages_days))
        await self._prune(ACTIONS, "created", now - timedelta(days=keep.jobs_days))
        await self._prune(RESULTS, "created", now - timedelta(days=keep.results_days), self._drop_result)
        await self._prune(JOBS, "created", now - timedelta(days=keep.jobs_days), self._drop_job)
        await self._prune(ORDERS, "created", now - timedelta(days=keep.jobs_days))
        await self._blobs.sweep()

    async def _prune(
        self,
        kind: Kind[Any],
        order: str,
        before: datetime,
        also: Callable[[Tx, Any], Awaitable[None]] | None = None,
    ) -> None:
        async def work(tx: Tx) -> int:
            old = await tx.find(kind, order=order, until=before, limit=AT_ONCE)
            for record in old:
                if also is not None:
                    await also(tx, record)
                await tx.delete(kind, record.key)
            return len(old)

        while await self._store.atomically(work) == AT_ONCE:
            pass

    async def _drop_result(self, tx: Tx, result: Any) -> None:
        await release(tx, f"job:{result.job}")

    async def _drop_job(self, tx: Tx, job: Any) -> None:
        await release(tx, f"job:{job.key}")
        for attempt in await tx.find(ATTEMPTS, {"job": job.key}, order="created", limit=1_000):
            await tx.delete(ATTEMPTS, attempt.key)
