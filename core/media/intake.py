"""What people send becomes bytes of ours before anything is made of it: vendors' links expire."""

from collections.abc import AsyncIterator, Mapping, Sequence
from ipaddress import ip_network

from ..chat.messages import FieldType, FileRef
from ..chat.platform import Platform
from ..errors import BadInput, Gone, Refused
from ..streams import closing
from . import words
from .addresses import Network
from .blob import Blob, Blobs, MediaKind
from .fetch import fetch
from .pictures import Pictures

STORED = "blobs"
"""The platform of a `FileRef` whose bytes are in the blob store already; its ref is their sha256."""
FETCH_SECONDS = 60.0
KINDS: Mapping[FieldType, tuple[MediaKind, ...]] = {
    "image": ("image", "animation"),
    "video": ("video", "animation"),
    "audio": ("audio",),
    "file": (),
}


class Intake:
    """platforms: by account. allow: networks that a link may lead to though they are not public."""

    def __init__(
        self,
        platforms: Mapping[str, Platform],
        blobs: Blobs,
        pictures: Pictures,
        limit_bytes: int,
        allow: Sequence[str] = (),
    ) -> None:
        self._platforms = platforms
        self._blobs = blobs
        self._pictures = pictures
        self._limit = limit_bytes
        self._allow: tuple[Network, ...] = tuple(ip_network(net) for net in allow)

    async def read(self, source: FileRef | str, wanted: FieldType) -> Blob:
        """The file, or the file at a web address, in the blob store. Pictures are turned upright and lose their metadata.

        Raises BadInput, in words, for what is not of the wanted kind, damaged, too large or gone.
        """
        kinds = KINDS[wanted]
        if isinstance(source, FileRef) and source.size > self._limit:
            raise words.too_big(self._limit)
        if isinstance(source, FileRef) and 0 < (most := self._given(source, kinds)) < source.size:
            raise words.too_big_here(most)
        chunks = self._open(source, kinds)
        if wanted == "image":
            data = await self._whole(chunks, self._limit)
            if not data:
                raise BadInput(words.EMPTY)
            return await self._blobs.put(_once(await self._pictures.clean(data)))
        blob = await self._blobs.put(chunks, limit=self._limit)
        if kinds and blob.kind not in kinds:
            raise words.wrong_kind(blob.mime)
        if blob.mime.startswith("image/"):
            return await self._blobs.put(_once(await self._pictures.clean(await self.whole(blob))))
        return blob

    async def whole(self, blob: Blob) -> bytes:
        """All its bytes. Raises BadInput when they went."""
        return await self._whole(self._open(stored(blob), ()))

    async def keep(self, data: bytes) -> Blob:
        """Bytes that were made here. They go after an hour unless somebody refers to them."""
        return await self._blobs.put(_once(data))

    def _given(self, file: FileRef, kinds: Sequence[MediaKind]) -> int:
        """The most bytes of such a file that its network gives us; 0 for any size."""
        if file.platform == STORED:
            return 0
        limits = self._network(file).capabilities().download
        given = [limits.get(kind, limits.get("", 0)) for kind in kinds] or [limits.get("", 0)]
        return max(given) if all(given) else 0

    def _from(self, source: FileRef | str, kinds: Sequence[MediaKind]) -> AsyncIterator[bytes]:
        if isinstance(source, str):
            return fetch(source, limit_bytes=self._limit, seconds=FETCH_SECONDS, kinds=kinds, allow=self._allow)
        if source.platform == STORED:
            return self._blobs.open(source.ref)
        return self._network(source).read(source)

    def _network(self, file: FileRef) -> Platform:
        """Raises BadInput where its account went."""
        try:
            return self._platforms[file.platform]
        except KeyError:
            raise BadInput(words.GONE) from None

    async def _open(self, source: FileRef | str, kinds: Sequence[MediaKind]) -> AsyncIterator[bytes]:
        try:
            async with closing(self._from(source, kinds)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except Gone as gone:
            raise BadInput(words.GONE) from gone
        except Refused as no:
            raise BadInput(str(no)) from no

    async def _whole(self, chunks: AsyncIterator[bytes], limit: int = 0) -> bytes:
        parts, size = [], 0
        async with closing(chunks):
            async for chunk in chunks:
                size += len(chunk)
                if limit and size > limit:
                    raise words.too_big(limit)
                parts.append(chunk)
        return b"".join(parts)


def stored(blob: Blob, name: str = "") -> FileRef:
    """The reference to bytes that are here already."""
    return FileRef(platform=STORED, ref=blob.sha256, name=name, mime=blob.mime, size=blob.size)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
