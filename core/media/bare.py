"""Results as they are shown: without the graph and the notes that their makers wrote into the file."""

from collections.abc import AsyncIterator

from ..streams import closing
from .blob import Blob, Blobs
from .containers import WALKED
from .pictures import Pictures
from .sniff import HEAD, sniff


class BareBlobs:
    """The same blobs; a picture that is put here loses its metadata before it is written, and no pixel of it changes."""

    def __init__(self, blobs: Blobs, pictures: Pictures) -> None:
        self._blobs = blobs
        self._pictures = pictures

    async def put(self, chunks: AsyncIterator[bytes], *, limit: int = 0) -> Blob:
        most = limit or self._pictures.limits.size
        async with closing(chunks):
            parts, size = list[bytes](), 0
            async for piece in chunks:
                parts.append(piece)
                size += len(piece)
                # What is no picture goes on as it comes; what is too large is refused as it comes.
                if size > most or (size >= HEAD and not _is_walked(parts)):
                    return await self._blobs.put(_all(parts, chunks), limit=limit)
            if not _is_walked(parts):
                return await self._blobs.put(_all(parts, chunks), limit=limit)
            bare = await self._pictures.bare(b"".join(parts))
            return await self._blobs.put(_all([bare], chunks), limit=limit)

    def open(self, sha256: str) -> AsyncIterator[bytes]:
        return self._blobs.open(sha256)


def _is_walked(parts: list[bytes]) -> bool:
    """By its first bytes, of which the first piece may hold few."""
    head = b""
    for part in parts:
        head += part[: HEAD - len(head)]
        if len(head) == HEAD:
            break
    return sniff(head)[0] in WALKED


async def _all(parts: list[bytes], chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    async for part in chunks:
        yield part
