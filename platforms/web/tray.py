"""What a person added and did not send yet: it has its bounds, and goes after a day."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from chatelier import Blob, Gone, Refused, Store, Tx, refer, release

from . import words
from .outbound import media_id
from .records import FILES, WAITING, Waiting, WebFile, file_owner
from .settings import WebSettings

LONGEST = timedelta(days=1)
"""That a file waits for its message."""


@dataclass(frozen=True, slots=True)
class Tray:
    """Every tab of a person adds to the same one."""

    store: Store
    settings: WebSettings

    async def reserve(self, owner: str, size: int) -> str:
        """A place for a file that is about to come; the file's key. size: the most bytes it can have.

        Raises Refused when that is more than the person may have waiting.
        """
        key = media_id()

        async def work(tx: Tx) -> None:
            most = self.settings.waiting_files
            waiting = await tx.find(WAITING, {"owner": owner}, order="created_at", limit=most)
            if len(waiting) == most:
                raise Refused(words.TOO_MANY_WAITING.format(limit=most))
            if waiting and sum(each.size for each in waiting) + size > self.settings.waiting_bytes:
                raise Refused(words.TOO_MUCH_WAITING.format(megabytes=self.settings.waiting_bytes / 1e6))
            await tx.insert(WAITING, Waiting(key=key, owner=owner, size=size, created_at=tx.now))

        await self.store.atomically(work)
        return key

    async def fill(self, key: str, name: str, blob: Blob) -> WebFile:
        """The file has come. Raises Gone when its place or its bytes went meanwhile."""

        async def work(tx: Tx) -> WebFile:
            place = await tx.get(WAITING, key)
            if place is None:
                raise Gone(words.FILE_UNKNOWN)
            await tx.replace(WAITING, replace(place, size=blob.size))
            await refer(tx, file_owner(key), blob)
            return await tx.insert(FILES, WebFile(key=key, owner=place.owner, name=name, blob=blob, created_at=tx.now))

        return await self.store.atomically(work)

    async def empty(self, keys: Iterable[str]) -> None:
        """A message has taken these along."""

        async def work(tx: Tx) -> None:
            for key in keys:
                await tx.delete(WAITING, key)

        await self.store.atomically(work)

    async def take_away(self, owner: str, key: str) -> None:
        """Forget a file of this person, unless a message has it."""

        async def work(tx: Tx) -> None:
            place = await tx.get(WAITING, key)
            if place is not None and place.owner == owner:
                await forget(tx, key)

        await self.store.atomically(work)


async def forget(tx: Tx, key: str) -> None:
    """Delete an upload, whether a message has it or not, and give its bytes back."""
    await release(tx, file_owner(key))
    await tx.delete(FILES, key)
    await tx.delete(WAITING, key)
