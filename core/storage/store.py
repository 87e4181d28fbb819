"""The eight verbs that an engine implements: get, find, insert, replace, delete, claim, atomically, changes.

Jobs, inbox and outbox are written once over these. `chatelier.testing` has the conformance suite.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol, TypeVar, runtime_checkable

from ..clock import Clock
from .records import Kind, L, R, Record, Scalar, Unreadable

T = TypeVar("T")


class Reads(Protocol):
    """What can be asked inside and outside of a transaction."""

    async def get(self, kind: Kind[R], key: str, *, by: str = "") -> R | None:
        """The record with this key, or with this value of its unique field `by`. Raises Unreadable for what is no record."""
        ...

    async def find(
        self,
        kind: Kind[R],
        where: Mapping[str, Scalar] | None = None,
        *,
        order: str = "",
        since: Scalar = None,
        until: Scalar = None,
        descending: bool = False,
        limit: int = 100,
        strict: bool = False,
    ) -> list[R]:
        """Records whose fields equal `where`, by `order` (then by key), `since` <= order < `until`.

        Raises ValueError for a question that the kind did not declare. A record whose order field is None is left out. So is
        what cannot be read: it is said in the log once (`Sieve`), and the next one counts towards the limit. With `strict` it
        raises Unreadable instead, for who may not go by half an answer.
        """
        ...


class Tx(Reads, Protocol):
    """One transaction, serializable. Reads see its own writes."""

    @property
    def now(self) -> datetime:
        """The store's clock at the start of the transaction, aware UTC, to the millisecond."""
        ...

    async def insert(self, kind: Kind[R], record: R) -> R:
        """Version 1 of the record. Raises Exists when its key or a unique key is taken; the transaction stays usable."""
        ...

    async def replace(self, kind: Kind[R], record: R) -> R:
        """The record with its version + 1. Raises Stale when the stored version is another, Exists on a unique key."""
        ...

    async def delete(self, kind: Kind[Any], key: str) -> bool:
        """False when there was none."""
        ...

    async def claim(self, kind: Kind[L], where: Mapping[str, Scalar], *, owner: str, seconds: float) -> L | None:
        """The first record in the order of `due` whose due time has come; now `owner`'s until `now` + `seconds`, fence + 1.

        What cannot be read is passed over, as by `find`.
        """
        ...


class Changes(Protocol):
    """A hint that records of some kinds moved, in this process or in another."""

    async def wait(self, seconds: float) -> bool:
        """True as soon as something moved since the last call, False after `seconds`. May say True for nothing."""
        ...

    def fresh(self) -> tuple[Sequence[Record], bool]:
        """New records since the last call, durable by now, in the order of their commits; what became of them is not in them.

        And whether these are all: where another process may have inserted some as well, ask the store.
        """
        ...


class Store(Reads, Protocol):
    """An open store. Raises Unavailable from any verb when the engine does not answer."""

    async def atomically(self, work: Callable[[Tx], Awaitable[T]], *, soon: bool = False) -> T:
        """Run `work(tx)` in one transaction, from the start again when the engine says so.

        `work` reads and writes only through `tx`, awaits nothing else, and leaves nothing behind when it runs twice: an engine may
        run it on another thread. It commits when `work` returns; an exception rolls it back and is raised here. Cancelling
        the caller does not undo a transaction that was under way. When it returns, all is durable that `work` saw and wrote.

        soon: an engine may return as soon as everybody sees it; it is durable a moment later, and before whatever is written
        after it. For what nobody outside is told of: after a power cut it may have to be done again.
        """
        ...

    def changes(self, *kinds: Kind[Any], inserted: bool = False) -> Changes:
        """Watch these kinds, from now on. inserted: only for new records, as far as the engine can tell, once they are durable."""
        ...

    async def check(self) -> list[str]:
        """What is wrong with the data, a line each; empty when all is well. Of what cannot be read, `Unreadable.fault`."""
        ...

    async def set_aside(self, keep: Callable[[Sequence[Unreadable]], Sequence[Unreadable]]) -> Sequence[Unreadable]:
        """Delete records that cannot be read, in one transaction: those that `keep` answers with, which it has put into safety.

        `keep` is not asked when there are none. It may run on another thread, and again when the engine says so; what it
        raises is raised here, and then nothing is deleted.
        """
        ...

    async def backup(self, target: str) -> None:
        """A consistent copy of everything at `target` (a path or URL of this engine), made while the store is in use."""
        ...


@runtime_checkable
class Copyable(Protocol):
    """What a store can do beside the eight verbs, so that all of it can be copied into another engine."""

    async def page(self, kind: Kind[R], *, after: str | None = None, limit: int = 100) -> list[R]:
        """Records in the order of their keys, behind the key `after`. Raises Unreadable."""
        ...

    async def restore(self, records: Sequence[tuple[Kind[Any], Record]], work: Callable[[Tx], Awaitable[T]]) -> T:
        """Insert these as they are, with their versions, then run `work`, in one transaction. Raises Exists."""
        ...

    async def strangers(self) -> list[str]:
        """Names of kinds that have records here, but that the store was not opened with."""
        ...


StoreOpener = Callable[[str, Sequence[Kind[Any]], Clock], AbstractAsyncContextManager[Store]]
"""Opens a store from its URL, with every kind that will be asked of it and the clock that an engine without its own uses."""
