"""Old messages and uploads of the page go when their time is over."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import structlog

from chatelier import ChatelierError, Kind, Store, SystemClock, Tx, release

from .records import FILES, MESSAGES, WAITING, message_owner
from .tray import LONGEST, forget

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

ROUND_SECONDS = 3600.0
AT_ONCE = 100
"""Records deleted in one transaction."""


async def keep(store: Store, messages_days: int, files_days: int, *, pause: float = ROUND_SECONDS) -> None:
    """Look every hour, until cancelled. pause: seconds between two looks."""
    while True:
        now = SystemClock().now()
        try:
            await prune(store, MESSAGES, now - timedelta(days=messages_days), forget_message)
            await prune(store, FILES, now - timedelta(days=files_days), forget)
            await prune(store, WAITING, now - LONGEST, forget)
        except ChatelierError as error:
            # A full disk or a record that cannot be read must not take the page off line. The next round finds the rest.
            log.warning("old messages and files of the page are still there", reason=str(error))
        await asyncio.sleep(pause)


async def prune(store: Store, kind: Kind[Any], before: datetime, delete: Callable[[Tx, str], Awaitable[None]]) -> None:
    """Delete what is older."""

    async def work(tx: Tx) -> int:
        old = await tx.find(kind, order="created_at", until=before, limit=AT_ONCE)
        for record in old:
            await delete(tx, record.key)
        return len(old)

    while await store.atomically(work) == AT_ONCE:
        pass


async def forget_message(tx: Tx, key: str) -> None:
    await release(tx, message_owner(key))
    await tx.delete(MESSAGES, key)
