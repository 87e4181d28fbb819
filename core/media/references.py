"""Which bytes are kept, and who needs them: references are rows, written in their owner's transaction.

Nothing is counted. Bytes are *idle* from when they were stored or when a reference to them went. Idle for an hour without
a reference they are condemned, and deleted by a later sweep, unless a reference came in between. The grace between
the two is longer than a transaction may take, so `refer` writes the bytes' own record only where they are condemned.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from ..errors import Exists, Gone
from ..storage import Kind, Query, Record, Time, Tx, Unreadable
from ..values import replace
from . import words
from .blob import Blob

IDLE = timedelta(hours=1)
"""Without a reference for this long, bytes are condemned, and files that no record names are removed."""
GRACE = timedelta(minutes=5)
"""Between condemning and deleting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobRecord(Record):
    """Bytes that are kept. Its key is their sha256.

    place: the file, relative to the folder. idle_since: None once a sweep found a reference.
    condemned: no reference for an hour at `idle_since`.
    """

    blob: Blob
    place: str
    stored_at: Time
    idle_since: Time | None
    condemned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobRef(Record):
    """`owner` (such as "job:…") needs these bytes. Its key is owner and sha256, so referring twice is once."""

    owner: str
    sha256: str
    created: Time


BLOBS = Kind(
    name="blobs",
    record=BlobRecord,
    queries=(Query(("condemned",), "idle_since"),),
)
BLOB_REFS = Kind(
    name="blob_refs",
    record=BlobRef,
    queries=(Query(("owner",)), Query(("sha256",))),
)


async def refer(tx: Tx, owner: str, blob: Blob) -> None:
    """Keep these bytes for the owner. Raises Gone when they were swept: they must be stored again first."""
    record = await tx.get(BLOBS, blob.sha256)
    if record is None:
        raise Gone(words.GONE)
    if record.condemned:
        await tx.replace(BLOBS, replace(record, condemned=False, idle_since=tx.now))
    with suppress(Exists):
        key = f"{owner}:{blob.sha256}"
        await tx.insert(BLOB_REFS, BlobRef(key=key, owner=owner, sha256=blob.sha256, created=tx.now))


async def release(tx: Tx, owner: str) -> None:
    """The owner needs none of its bytes any more."""
    while refs := await tx.find(BLOB_REFS, {"owner": owner}):
        for ref in refs:
            await tx.delete(BLOB_REFS, ref.key)
            record = await tx.get(BLOBS, ref.sha256)
            if record is not None:
                await tx.replace(BLOBS, replace(record, idle_since=tx.now))


async def keep(blob: Blob, place: str, lost: str, tx: Tx) -> str:
    """Bytes were stored at `place`. The place that counts: the one on record, unless its file is `lost`."""
    record = await tx.get(BLOBS, blob.sha256)
    if record is None:
        fresh = BlobRecord(key=blob.sha256, blob=blob, place=place, stored_at=tx.now, idle_since=tx.now)
        await tx.insert(BLOBS, fresh)
        return place
    kept = place if record.place == lost else record.place
    await tx.replace(BLOBS, replace(record, place=kept, condemned=False, idle_since=tx.now))
    return kept


async def condemn(key: str, tx: Tx) -> None:
    """First half of a sweep: mark bytes that nobody refers to; where somebody does, ask no more until that ends."""
    record = await tx.get(BLOBS, key)
    if record is None or record.condemned or record.idle_since is None or record.idle_since >= tx.now - IDLE:
        return
    used = await _is_used(tx, key)
    idle_since = None if used else tx.now
    await tx.replace(BLOBS, replace(record, condemned=not used, idle_since=idle_since))


async def strike(key: str, tx: Tx) -> str:
    """Second half of a sweep: the file that has to go; "" when the bytes stay."""
    record = await tx.get(BLOBS, key)
    if record is None or not record.condemned or record.idle_since is None or record.idle_since >= tx.now - GRACE:
        return ""
    if await _is_used(tx, key):
        # Its transaction had read the record before it was condemned.
        await tx.replace(BLOBS, replace(record, condemned=False, idle_since=None))
        return ""
    await tx.delete(BLOBS, key)
    return record.place


async def _is_used(tx: Tx, sha256: str) -> bool:
    """Also where a reference cannot be read: bytes are not deleted on a guess."""
    try:
        return bool(await tx.find(BLOB_REFS, {"sha256": sha256}, limit=1, strict=True))
    except Unreadable:
        return True
