"""What commands made of a person's files: on record for as long as results are, so that its bytes stay."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..storage import Kind, Query, Reads, Record, Time, Tx
from .blob import Blob
from .references import refer, release


@dataclass(frozen=True, slots=True, kw_only=True)
class Made(Record):
    """The files of one answer, in order. key: the event's that was answered. person: whose newest files they are."""

    person: str
    blobs: tuple[Blob, ...]
    created: Time

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(blob.size for blob in self.blobs)


MADE = Kind(name="made", record=Made, queries=(Query(("person",), "created"), Query((), "created")))


async def note_made(tx: Tx, key: str, person: str, blobs: Sequence[Blob]) -> None:
    """Keep these files. Doing it again changes nothing. Raises Gone when bytes were swept."""
    for blob in blobs:
        await refer(tx, _owner(key), blob)
    if await tx.get(MADE, key) is None:
        await tx.insert(MADE, Made(key=key, person=person, blobs=tuple(blobs), created=tx.now))


async def drop_made(tx: Tx, made: Made) -> None:
    """Let go of the bytes; the record itself is the caller's to delete."""
    await release(tx, _owner(made.key))


async def newest_made(reads: Reads, person: str) -> Made | None:
    found = await reads.find(MADE, {"person": person}, order="created", descending=True, limit=1)
    return found[0] if found else None


def _owner(key: str) -> str:
    return f"made:{key}"
