"""What a blob is and who keeps them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol

MediaKind = Literal["image", "animation", "video", "audio", "text", "file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes by their content: what they are was read from the bytes themselves, never from a name.

    size: bytes. mime: such as "image/png". width, height: pixels, 0 when it has none. duration_ms: 0 when it has none.
    """

    sha256: str
    size: int
    mime: str
    kind: MediaKind
    width: int = 0
    height: int = 0
    frames: int = 1
    duration_ms: int = 0

    @property
    def suffix(self) -> str:
        """A file ending for it with the dot, such as ".png"."""
        return SUFFIXES.get(self.mime, ".bin")


SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/avif": ".avif",
    "image/heic": ".heic",
    "image/bmp": ".bmp",
    "image/tiff": ".tif",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "video/quicktime": ".mov",
    "video/x-matroska": ".mkv",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/ogg": ".ogg",
    "audio/wav": ".wav",
    "audio/flac": ".flac",
    "text/plain": ".txt",
    "application/json": ".json",
    "model/gltf-binary": ".glb",
    "application/zip": ".zip",
    "application/pdf": ".pdf",
}


class Blobs(Protocol):
    """Bytes kept by their sha256, one copy however often they are used."""

    async def put(self, chunks: AsyncIterator[bytes], *, limit: int = 0) -> Blob:
        """Store the bytes and say what they are. `limit`: bytes, 0 for the configured one.

        Raises BadInput when there are none or too many, OperatorMust when the disk is full.
        """
        ...

    def open(self, sha256: str) -> AsyncIterator[bytes]:
        """The bytes again, in pieces. Raises Gone when they were swept."""
        ...
