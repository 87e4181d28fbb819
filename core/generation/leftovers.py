"""Attempts that were given up and may still run somewhere: each is stopped as soon as its backend answers."""

import asyncio
from datetime import timedelta

from ..errors import ChatelierError, Unavailable
from ..log import get_logger
from ..storage import Tx
from ..supervise import in_time
from ..values import replace
from .backend import Attempt, Backend
from .jobs import ATTEMPTS, AttemptRow
from .run import ANSWER_SECONDS, Workshop

log = get_logger(__name__)

ROUND_SECONDS = 5.0
"""Between two looks for such attempts, and two tries of a backend that was away."""
A_ROUND = 20
"""Attempts of one backend, so that one that hangs does not hold up a round for long."""
KEPT = timedelta(days=1)
"""A backend that was away for longer is not told any more: it has forgotten the attempt, or ended it."""


class Leftovers:
    """Nobody wants what a lost attempt makes, and it takes the place of what somebody does want.

    Any process may do this; two that tell a backend the same do no harm.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._shop = workshop

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await asyncio.gather(*(self._clear(name) for name in self._shop.backends))
            except ChatelierError as away:
                log.warning("lost attempts not looked for", error=str(away))
            await self._shop.clock.sleep(ROUND_SECONDS)

    async def _clear(self, name: str) -> None:
        backend = self._shop.backends[name]
        rows = await self._shop.store.find(ATTEMPTS, {"backend": name, "state": "lost"}, order="created", limit=A_ROUND)
        for row in rows:
            try:
                if self._shop.clock.now() - row.created < KEPT and not await self._stopped(backend, row):
                    continue
            except (Unavailable, TimeoutError):
                return  # the next round asks again

            async def work(tx: Tx, key: str = row.key) -> None:
                current = await tx.get(ATTEMPTS, key)
                if current is not None:
                    await tx.replace(ATTEMPTS, replace(current, state="ended"))

            await self._shop.store.atomically(work)

    async def _stopped(self, backend: Backend, row: AttemptRow) -> bool:
        """Whether it was told so. Raises Unavailable or TimeoutError when the backend is away."""
        attempt = Attempt(
            id=row.key, remote=row.remote, graph=row.graph, read=lambda blob: self._shop.blobs.open(blob.sha256)
        )
        try:
            await in_time(backend.cancel(attempt), self._shop.clock.sleep(ANSWER_SECONDS))
        except (Unavailable, TimeoutError):
            raise
        except Exception as error:  # noqa: BLE001 - a backend's cancel may raise anything
            log.info("lost attempt not stopped", backend=backend.name, attempt=row.key, error=str(error))
            return False
        return True
