"""Copies of files as networks can show them: smaller, or in another format. Each is made once and kept for a while."""

from asyncio import Lock
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from weakref import WeakValueDictionary

from ..errors import BadInput, Exists, Gone
from ..log import get_logger
from ..storage import Kind, Query, Record, Store, Time, Tx
from ..values import replace
from .blob import Blob
from .films import Films
from .intake import Intake
from .pictures import Pictures
from .references import refer, release
from .shrinking import shrunk
from .turns import PATIENT, NotNow

log = get_logger(__name__)

FILM_SIDE = 1920
"""Pixels of the longer side: what every player plays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """mimes: what it may be written as, the best first. limit: bytes. sides: pixels, width and height together. 0: no limit."""

    mimes: tuple[str, ...]
    limit: int = 0
    sides: int = 0

    @property
    def key(self) -> str:
        return f"{'+'.join(self.mimes)}.{self.limit}.{self.sides}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """blob: what is shown instead. is_worse: some of the quality was lost, so people are told."""

    blob: Blob
    is_worse: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition(Record):
    """copy: None where none can be made. Its key is the sha256 of the bytes and the target's key."""

    copy: Copy | None
    created: Time


RENDITIONS = Kind(name="renditions", record=Rendition, queries=(Query((), "created"),))


class Renditions:
    """What is asked for at the same time by several is made once."""

    def __init__(self, store: Store, intake: Intake, pictures: Pictures, films: Films) -> None:
        self._store = store
        self._intake = intake
        self._pictures = pictures
        self._films = films
        self._locks: WeakValueDictionary[str, Lock] = WeakValueDictionary()

    async def of(self, blob: Blob, target: Target) -> Copy | None:
        """The copy, from the store where it was made before; None where the file cannot be made to fit.

        Raises Unavailable when the store is away.
        """
        key = f"{blob.sha256}.{target.key}"
        lock = self._locks.setdefault(key, Lock())
        async with lock:
            known = await self._store.get(RENDITIONS, key)
            if known is not None:
                return known.copy
            try:
                copy = await self._made(blob, target)
            except NotNow:
                return None
            except (BadInput, Gone) as no:
                log.info("no copy can be made", sha256=blob.sha256, mime=blob.mime, reason=str(no))
                copy = None
            await self._store.atomically(partial(_note, key, copy))
            return copy

    async def _made(self, blob: Blob, target: Target) -> Copy | None:
        turn = self._pictures.turn if blob.kind == "image" else self._films.turn
        async with turn(PATIENT):
            data = await self._intake.whole(blob)
            if blob.kind == "image":
                return await self._still(data, target)
            return await self._moving(data, blob, target)

    async def _still(self, data: bytes, target: Target) -> Copy | None:
        made = await self._pictures.work(
            lambda: shrunk(self._pictures.opened(data), target.mimes, target.limit, target.sides)
        )
        if made is None:
            return None
        return Copy(blob=await self._intake.keep(made.data), is_worse=made.is_worse)

    async def _moving(self, data: bytes, blob: Blob, target: Target) -> Copy:
        scale = min(1.0, FILM_SIDE / max(blob.width, blob.height))
        to = target.mimes[0].partition("/")[2]
        made = await self._films.convert(
            data,
            blob.mime,
            to,
            width=max(2, round(blob.width * scale)),
            height=max(2, round(blob.height * scale)),
            limit=target.limit,
        )
        kept = await self._intake.keep(made)
        is_worse = scale < 1 or to == "gif" or bool(target.limit and blob.size > target.limit)
        # It goes on without sound and in a loop, as it did before.
        return Copy(blob=replace(kept, kind=blob.kind), is_worse=is_worse)


async def _note(key: str, copy: Copy | None, tx: Tx) -> None:
    if copy is not None:
        await refer(tx, _owner(key), copy.blob)
    with suppress(Exists):  # another process made the same
        await tx.insert(RENDITIONS, Rendition(key=key, copy=copy, created=tx.now))


async def drop_rendition(tx: Tx, rendition: Rendition) -> None:
    """Let go of the bytes; the record itself is the caller's to delete."""
    await release(tx, _owner(rendition.key))


def _owner(key: str) -> str:
    return f"rendition:{key}"
