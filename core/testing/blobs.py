"""Blobs in memory."""

import hashlib
from collections.abc import AsyncIterator
from functools import partial

from ..errors import BadInput, Gone
from ..media.blob import Blob
from ..media.references import keep
from ..storage import Store


class MemoryBlobs:
    """Takes any bytes for a PNG, and keeps their record in the store as the real ones do. No threads, no files.

    trouble: raised by `put` while it is set, as by a disk that is full.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.bytes: dict[str, bytes] = {}
        self.trouble: Exception | None = None

    async def put(self, chunks: AsyncIterator[bytes], *, limit: int = 0) -> Blob:
        if self.trouble is not None:
            raise self.trouble
        data = b"".join([chunk async for chunk in chunks])
        if not data or (limit and len(data) > limit):
            raise BadInput("That file is empty, or too large.")
        blob = Blob(sha256=hashlib.sha256(data).hexdigest(), size=len(data), mime="image/png", kind="image")
        self.bytes[blob.sha256] = data
        await self._store.atomically(partial(keep, blob, blob.sha256, ""))
        return blob

    async def open(self, sha256: str) -> AsyncIterator[bytes]:
        if sha256 not in self.bytes:
            raise Gone("those bytes are not kept")
        yield self.bytes[sha256]
