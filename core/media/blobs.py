"""Blobs in a local folder, one copy of the same bytes; each with a record in the store.

Each storing writes a file of its own name, and the record says which one counts: to delete is to delete the record, and a
sweep that stalls before it removes the file can never remove one that was stored since.
"""

import asyncio
import errno
import hashlib
import os
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import cycle
from pathlib import Path
from threading import Lock
from typing import IO

from ..clock import Clock
from ..errors import BadInput, Gone
from ..storage import Store
from ..streams import closing
from ..values import replace
from . import words
from .blob import Blob
from .films import Films
from .pictures import Pictures
from .references import BLOBS, GRACE, IDLE, condemn, keep, strike
from .sniff import HEAD, sniff

_PIECE = 262_144
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEMP = "tmp"
# EFBIG: a limit on the size of files that the system sets for this process.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FolderBlobs:
    """The blobs of one machine, in a folder. Two processes may share it, with one store.

    films: None, and videos have no width, height and time. limit_bytes: of one blob, where `put` is not told another.
    """

    def __init__(
        self,
        root: Path,
        store: Store,
        clock: Clock,
        pictures: Pictures,
        films: Films | None = None,
        *,
        limit_bytes: int = 200_000_000,
    ) -> None:
        self._root = root
        self._store = store
        self._clock = clock
        self._pictures = pictures
        self._films = films
        self._limit = limit_bytes
        first = secrets.randbelow(256)  # not always the same ones, should the process never live long
        self._synced = set[str]()
        self._folders = cycle(f"{(first + n) % 256:02x}" for n in range(256))

    async def start(self) -> None:
        """Make the folder and sweep what a killed process left in the middle of `put`."""
        await asyncio.to_thread(self._prepare)

    async def put(self, chunks: AsyncIterator[bytes], *, limit: int = 0) -> Blob:
        """Also raises BadInput for a picture that is damaged or too large to decode; `chunks` is closed in any case."""
        async with closing(chunks):
            with _disk(self._root):
                return await self._put(chunks, limit or self._limit)

    async def open(self, sha256: str) -> AsyncGenerator[bytes, None]:
        record = await self._store.get(BLOBS, sha256) if _SHA256.fullmatch(sha256) else None
        if record is None:
            raise Gone(words.GONE)
        try:
            first, file = await _opened(self._root / record.place)
        except FileNotFoundError as error:
            raise Gone(words.GONE) from error
        try:
            yield first
            while file and (piece := await asyncio.to_thread(file.read, _PIECE)):
                yield piece
        finally:
            if file:
                file.close()  # at once, though the reader is cancelled: there is nothing left to write

    async def sweep(self) -> int:
        """Delete, condemn, and clear one of the 256 folders of files that no record names. How many blobs went.

        Call it every few minutes, from one process or from several.
        """
        now = self._clock.now()
        gone = 0
        condemned = await self._store.find(BLOBS, {"condemned": True}, order="idle_since", until=now - GRACE)
        for record in condemned:
            place = await self._store.atomically(partial(strike, record.key))
            if place:
                await asyncio.to_thread((self._root / place).unlink, missing_ok=True)
                gone += 1
        for record in await self._store.find(BLOBS, {"condemned": False}, order="idle_since", until=now - IDLE):
            await self._store.atomically(partial(condemn, record.key))
        await self._clear(next(self._folders), now)
        return gone

    async def _put(self, chunks: AsyncIterator[bytes], limit: int) -> Blob:
        temp = Temporary(self._root, self._synced)
        try:
            blob = await self._receive(temp, chunks, limit)
            await self._keep(temp, blob)
        finally:
            if not temp.is_kept:
                await asyncio.to_thread(temp.discard)
        return blob

    async def _receive(self, temp: "Temporary", chunks: AsyncIterator[bytes], limit: int) -> Blob:
        head, size, waiting = b"", 0, list[bytes]()
        async for piece in chunks:
            size += len(piece)
            if size > limit:
                raise words.too_big(limit)
            head += piece[: HEAD - len(head)]
            waiting.append(piece)
            if sum(map(len, waiting)) >= _PIECE:
                await asyncio.to_thread(temp.write, waiting)
                waiting = []
        if not size:
            raise BadInput(words.EMPTY)
        sha256 = await asyncio.to_thread(temp.finish, waiting)
        mime, kind = sniff(head)
        if kind == "video":
            return await self._video(Blob(sha256=sha256, size=size, mime=mime, kind=kind), temp.path)
        if not mime.startswith("image/"):
            return Blob(sha256=sha256, size=size, mime=mime, kind=kind)
        picture = await self._pictures.inspect(temp.path)
        return Blob(
            sha256=sha256,
            size=size,
            mime=picture.mime,
            kind=picture.kind,
            width=picture.width,
            height=picture.height,
            frames=picture.frames,
            duration_ms=picture.duration_ms,
        )

    async def _video(self, blob: Blob, path: Path) -> Blob:
        """With what its first frame says; as it is where it cannot be read here, for it may play elsewhere."""
        if self._films is None or not self._films.is_there:
            return blob
        try:
            film = await self._films.probe(path, blob.mime)
        except BadInput:
            return blob
        return replace(blob, width=film.width, height=film.height, frames=film.frames, duration_ms=film.duration_ms)

    async def _keep(self, temp: "Temporary", blob: Blob) -> None:
        known = await self._store.get(BLOBS, blob.sha256)
        lost = known.place if known and not await asyncio.to_thread((self._root / known.place).exists) else ""
        # When this raises it may have happened all the same, so the file stays; `sweep` removes it if no record names it.
        temp.is_kept = True
        kept = await self._store.atomically(partial(keep, blob, temp.place, lost))
        temp.is_kept = kept == temp.place

    async def _clear(self, folder: str, now: datetime) -> None:
        for path in await asyncio.to_thread(_older, self._root / folder, now - IDLE):
            record = await self._store.get(BLOBS, folder + path.name.partition("-")[0])
            if record is None or self._root / record.place != path:
                await asyncio.to_thread(path.unlink, missing_ok=True)

    def _prepare(self) -> None:
        temp = self._root / _TEMP
        temp.mkdir(parents=True, exist_ok=True)
        for path in _older(temp, self._clock.now() - IDLE):
            path.unlink(missing_ok=True)


@contextmanager
def _disk(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise words.disk_full(root) from error


class Temporary:
    """A file on its way into the folder. Its methods run on threads, which go on when the one who waits for them is cancelled.

    Large bytes are written under a name for the time being; small ones are known before anything is written, and take one
    hop to a thread. path: where it is now. place: where it ends, relative to the root, once all is written.
    folders: those whose own names are durable. is_kept: a record names it, or may.
    """

    def __init__(self, root: Path, folders: set[str]) -> None:
        self.path = root / _TEMP / secrets.token_hex(8)
        self.place = ""
        self.is_kept = False
        self._root = root
        self._folders = folders
        self._digest = hashlib.sha256()
        self._file: IO[bytes] | None = None
        self._is_over = False
        self._alone = Lock()

    def write(self, pieces: Iterable[bytes]) -> None:
        with self._alone:
            self._write(pieces)

    def finish(self, pieces: Sequence[bytes]) -> str:
        """The sha256 of it all. Durable under its last name when it returns."""
        with self._alone:
            if self._file is not None:
                self._write(pieces)
                pieces = ()
            for piece in pieces:
                self._digest.update(piece)
            sha256 = self._digest.hexdigest()
            self.place = f"{sha256[:2]}/{sha256[2:]}-{secrets.token_hex(4)}"
            if not self._is_over:
                self._put_in_place(self._root / self.place, pieces)
            return sha256

    def _put_in_place(self, place: Path, pieces: Iterable[bytes]) -> None:
        place.parent.mkdir(exist_ok=True)
        if self._file is None:
            self.path = place
        file = self._opened()
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())
        file.close()
        self.path = self.path.rename(place) if self.path != place else place
        _sync(place.parent)
        if place.parent.name not in self._folders:
            _sync(self._root)
            self._folders.add(place.parent.name)

    def discard(self) -> None:
        with self._alone:
            self._is_over = True
            if self._file is not None:
                # What could not be written is written once more on closing, and fails again on a full disk.
                with suppress(OSError):
                    self._file.close()
                self.path.unlink(missing_ok=True)

    def _write(self, pieces: Iterable[bytes]) -> None:
        if self._is_over:
            return
        file = self._opened()
        for piece in pieces:
            self._digest.update(piece)
            file.write(piece)

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._file = open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")  # noqa: SIM115 - closed by finish or discard
        return self._file


def _sync(folder: Path) -> None:
    """The names in it are durable when it returns."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


async def _opened(path: Path) -> tuple[bytes, IO[bytes] | None]:
    """Its first bytes, and the open file where there are more."""
    opening = asyncio.get_running_loop().run_in_executor(None, _head, path)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_unused)  # the thread goes on, and nobody else would close what it opens
        raise


def _head(path: Path) -> tuple[bytes, IO[bytes] | None]:
    file = path.open("rb")
    try:
        first = file.read(_PIECE)
    except BaseException:
        file.close()
        raise
    if len(first) == _PIECE:
        return first, file
    file.close()
    return first, None


def _close_unused(opening: "asyncio.Future[tuple[bytes, IO[bytes] | None]]") -> None:
    if not opening.cancelled() and opening.exception() is None and (file := opening.result()[1]) is not None:
        file.close()


def _older(folder: Path, before: datetime) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if datetime.fromtimestamp(path.stat().st_mtime, UTC) < before]
