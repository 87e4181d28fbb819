"""Old messages and uploads of the page go when their time is over."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from chatelier import Kind, Store, SystemClock, Tx, Unavailable, release

from .records import FILES, MESSAGES, file_owner, message_owner

ROUND_SECONDS = 3600.0
AT_ONCE = 100
"""Records deleted in one transaction."""


async def keep(store: Store, messages_days: int, files_days: int) -> None:
    """Look every hour, until cancelled."""
    while True:
        now = SystemClock().now()
        try:
            await prune(store, MESSAGES, now - timedelta(days=messages_days), message_owner)
            await prune(store, FILES, now - timedelta(days=files_days), file_owner)
        except Unavailable:
            pass  # the next round finds them
        await asyncio.sleep(ROUND_SECONDS)


async def prune(store: Store, kind: Kind[Any], before: datetime, owner: Callable[[str], str]) -> None:
    """Delete what is older, and give its bytes back."""

    async def work(tx: Tx) -> int:
        old = await tx.find(kind, order="created_at", until=before, limit=AT_ONCE)
        for record in old:
            await release(tx, owner(record.key))
            await tx.delete(kind, record.key)
        return len(old)

    while await store.atomically(work) == AT_ONCE:
        pass
