"""The page's messages in the store."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from chatelier import Gone, Store, Tx, refer, release

from . import words
from .records import CHATS, MESSAGES, Chat, Message, Shown, message_owner


@dataclass(frozen=True, slots=True)
class Stored:
    """changed: False when it was there already, just so."""

    message: Message
    changed: bool


@dataclass(frozen=True, slots=True)
class Conversations:
    store: Store

    async def append(self, message: Message) -> Stored:
        """Put it at the end of its chat, once."""

        async def work(tx: Tx) -> Stored:
            known = await tx.get(MESSAGES, message.key)
            if known is not None:
                return Stored(known, changed=False)
            chat = await tx.get(CHATS, message.chat) or await tx.insert(CHATS, Chat(key=message.chat))
            chat = await tx.replace(CHATS, replace(chat, last=chat.last + 1))
            placed = replace(message, place=chat.last, created_at=tx.now)
            await _keep_bytes(tx, placed)
            return Stored(await tx.insert(MESSAGES, placed), changed=True)

        return await self.store.atomically(work)

    async def show(self, key: str, new: Message) -> Stored:
        """Make it look like `new`. A file that was shown already keeps its address. Raises Gone."""

        def change(old: Message) -> Message:
            media = _keep_ids(old.media, new.media)
            return replace(
                old,
                html=new.html,
                media=media,
                media_ids=tuple(shown.id for shown in media),
                buttons=new.buttons,
                private=new.private,
            )

        stored = await self._change(key, change)
        if stored is None:
            raise Gone(words.MESSAGE_GONE)
        return stored

    async def sign(self, key: str, sign: str) -> Stored | None:
        """None: there is no such message."""
        return await self._change(key, lambda old: replace(old, sign=sign))

    async def remove(self, key: str) -> Message | None:
        """Nothing of it stays but that it was sent. None: it was gone already."""

        async def work(tx: Tx) -> Message | None:
            old = await tx.get(MESSAGES, key)
            if old is None or old.deleted:
                return None
            await release(tx, message_owner(key))
            empty = replace(old, deleted=True, text="", html="", media=(), media_ids=(), buttons=())
            return await tx.replace(MESSAGES, replace(empty, edited_at=tx.now))

        return await self.store.atomically(work)

    async def take_back(self, key: str) -> None:
        """The person's own message that nobody received."""

        async def work(tx: Tx) -> None:
            await release(tx, message_owner(key))
            await tx.delete(MESSAGES, key)

        await self.store.atomically(work)

    async def latest(self, chat: str, limit: int, before: int | None = None) -> list[Message]:
        """At most `limit` messages up to this place, oldest first, with the deleted ones."""
        found = await self.store.find(
            MESSAGES, {"chat": chat}, order="place", until=before, descending=True, limit=limit
        )
        return found[::-1]

    async def _change(self, key: str, change: Callable[[Message], Message]) -> Stored | None:
        async def work(tx: Tx) -> Stored | None:
            old = await tx.get(MESSAGES, key)
            if old is None or old.deleted:
                return None
            new = change(old)
            if new == old:
                return Stored(old, changed=False)
            await _keep_bytes(tx, new)
            return Stored(await tx.replace(MESSAGES, replace(new, edited_at=tx.now)), changed=True)

        return await self.store.atomically(work)


async def _keep_bytes(tx: Tx, message: Message) -> None:
    for shown in message.media:
        await refer(tx, message_owner(message.key), shown.blob)


def _keep_ids(old: tuple[Shown, ...], new: tuple[Shown, ...]) -> tuple[Shown, ...]:
    known = {shown.blob.sha256: shown.id for shown in old}
    return tuple(replace(shown, id=known.pop(shown.blob.sha256, shown.id)) for shown in new)
