"""Who somebody is: one person, one handle a network."""

from dataclasses import dataclass

from ..keys import token
from ..storage import Kind, Query, Reads, Record, Time, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Person(Record):
    """handles: "network:id", each belongs to one person. name: as the network last said; never trusted."""

    handles: tuple[str, ...]
    name: str
    created: Time


PEOPLE = Kind(name="people", record=Person, unique=("handles",), queries=(Query((), "created"),))


async def person_by(reads: Reads, handle: str) -> Person | None:
    """The person behind a handle, if they were ever here."""
    return await reads.get(PEOPLE, handle, by="handles")


async def person_of(tx: Tx, handle: str, name: str) -> Person:
    """The person behind a handle; made at the first sight of it."""
    person = await tx.get(PEOPLE, handle, by="handles")
    return person or await tx.insert(PEOPLE, Person(key=token(), handles=(handle,), name=name, created=tx.now))
