"""The account "web": everybody who has the chat page open, and everybody who had."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Literal

from chatelier import (
    Capabilities,
    ChatRef,
    Choice,
    FileRef,
    FirstAnswer,
    Gateway,
    Gone,
    Outgoing,
    Published,
    Receipt,
    Refused,
    Retention,
    Unavailable,
)

from . import inbound, outbound, words
from .conversations import Conversations
from .keeping import keep
from .limits import FILES as MOST_FILES
from .limits import TEXT, capabilities
from .outbound import Wire
from .people import ACCOUNT, Visitor, direct_chat
from .records import FILES, MESSAGES, Message, Shown, WebFile
from .settings import WebSettings
from .tabs import Tab, Tabs
from .tray import Tray


class Web:
    """The platform object. Every tab of a person shows the same conversation."""

    def __init__(self, settings: WebSettings, retention: Retention) -> None:
        self.settings = settings
        self._retention = retention
        self.tabs = Tabs()
        self._gateway: Gateway | None = None
        self._capabilities = capabilities(settings.upload_bytes)

    @property
    def name(self) -> str:
        return ACCOUNT

    @property
    def is_online(self) -> bool:
        return self._gateway is not None

    @property
    def gateway(self) -> Gateway:
        """Raises Unavailable while the account is not on line."""
        if self._gateway is None:
            raise Unavailable(words.STARTING)
        return self._gateway

    @property
    def _conversations(self) -> Conversations:
        return Conversations(self.gateway.store)

    @property
    def tray(self) -> Tray:
        """Raises Unavailable while the account is not on line."""
        return Tray(self.gateway.store, self.settings)

    def capabilities(self, chat: ChatRef | None = None) -> Capabilities:
        return self._capabilities

    async def run(self, gateway: Gateway) -> None:
        self._gateway = gateway
        gateway.connected(self.name)
        try:
            await keep(gateway.store, self._retention.messages_days, self._retention.inputs_days)
        finally:
            self._gateway = None
            self.tabs.close_all()

    async def send(self, message: Outgoing) -> Receipt:
        if message.invoice:
            raise Refused(words.NO_PAYMENTS)
        stored = await self._conversations.append(outbound.record(message, self._capabilities.dialect))
        if stored.changed:
            self._show("message", stored.message, message)
        return _receipt(stored.message)

    async def edit(self, receipt: Receipt, message: Outgoing) -> Receipt:
        new = outbound.record(message, self._capabilities.dialect)
        stored = await self._conversations.show(receipt.ids[0], new)
        if stored.changed or outbound.previews(message):
            self._show("edit", stored.message, message)
        return _receipt(stored.message)

    async def delete(self, receipt: Receipt) -> None:
        for key in receipt.ids:
            removed = await self._conversations.remove(key)
            if removed is not None:
                self.tabs.tell(removed.chat, {"type": "delete", "key": key})

    async def find(self, message: Outgoing) -> Receipt | Literal["absent", "unknown"]:
        stored = await self.gateway.store.get(MESSAGES, message.key)
        return "absent" if stored is None else _receipt(stored)

    async def signal(
        self, chat: ChatRef, what: Literal["busy", "seen", "done", "failed"], message_id: str = ""
    ) -> None:
        if what != "busy":
            await self._conversations.sign(message_id, what)
        self.tabs.tell(chat.chat, {"type": "signal", "what": what, "message": message_id})

    async def direct(self, handle: str) -> ChatRef | None:
        return direct_chat(handle)

    async def publish(self, commands: Sequence[Published]) -> None:
        self.tabs.tell_all({"type": "commands", "commands": outbound.commands(commands)})

    async def read(self, file: FileRef) -> AsyncIterator[bytes]:
        found = await self.gateway.store.get(FILES, file.ref)
        if found is None:
            raise Gone(words.FILE_UNKNOWN)
        async for chunk in self.gateway.blobs.open(found.blob.sha256):
            yield chunk

    def _show(self, what: str, stored: Message, message: Outgoing) -> None:
        wire = outbound.message(stored, outbound.previews(message))
        self.tabs.tell(stored.chat, {"type": what, "message": wire})

    async def open(self, tab: Tab) -> None:
        """What a tab is told first: the commands and the latest messages."""
        latest = await self._history(tab.visitor)
        tab.tell({"type": "commands", "commands": outbound.commands(self.gateway.commands)})
        tab.tell({"type": "history", "earlier": False, **latest})

    async def earlier(self, tab: Tab, before: int) -> None:
        tab.tell({"type": "history", "earlier": True, **await self._history(tab.visitor, before)})

    async def _history(self, visitor: Visitor, before: int | None = None) -> Wire:
        limit = self.settings.history
        found = await self._conversations.latest(visitor.id, limit, before)
        messages = [outbound.message(each) for each in found if not each.deleted]
        return {"messages": messages, "more": len(found) == limit}

    async def complete(self, tab: Tab, asked: inbound.Complete) -> None:
        found: Sequence[Choice] = await self.gateway.complete(
            tab.visitor.chat, tab.visitor.handle, asked.command, asked.option, asked.typed
        )
        tab.tell({"type": "choices", "n": asked.n, "choices": outbound.choices(found)})

    async def accept(self, visitor: Visitor, act: inbound.Act) -> FirstAnswer:
        """Durable when it returns. Raises Refused and BadInput with words for the person, Unavailable."""
        text = inbound.shown_text(act)
        _check(text, act)
        files = await self._files(visitor, inbound.file_refs(act))
        await self._check_answered(visitor, inbound.answered(act))
        key = inbound.message_key(visitor, act)
        if text is None:
            return await self._receive(visitor, act, files)
        stored = await self._conversations.append(_own(visitor, key, text, files, inbound.answered(act)))
        if stored.changed:
            self.tabs.tell(visitor.id, {"type": "message", "message": outbound.message(stored.message)})
        try:
            return await self._receive(visitor, act, files)
        except Exception:
            # It was not taken, so it must not stand in the conversation as if it had been.
            if stored.changed:
                self.tabs.tell(visitor.id, {"type": "delete", "key": key})
                await self._conversations.take_back(key)
            raise

    async def _receive(self, visitor: Visitor, act: inbound.Act, files: dict[str, WebFile]) -> FirstAnswer:
        first = await self.gateway.receive(inbound.event(visitor, act, files))
        if files:
            # It is taken, whatever happens here. A store that goes away just now costs no more than the day that a file waits.
            with suppress(Unavailable):
                await self.tray.empty(files)
        return first

    async def _check_answered(self, visitor: Visitor, key: str) -> None:
        """Nobody answers what others were told, nor what is gone."""
        answered = await self.gateway.store.get(MESSAGES, key) if key else None
        if key and (answered is None or answered.chat != visitor.id or answered.deleted):
            raise Refused(words.ANSWERED_GONE)

    async def _files(self, visitor: Visitor, refs: Sequence[str]) -> dict[str, WebFile]:
        files: dict[str, WebFile] = {}
        for ref in refs:
            file = await self.gateway.store.get(FILES, ref)
            if file is None or file.owner != visitor.id:
                raise Refused(words.FILE_UNKNOWN)
            files[ref] = file
        return files


def _check(text: str | None, act: inbound.Act) -> None:
    refs = inbound.file_refs(act)
    if text is not None and not text.strip() and not refs:
        raise Refused(words.NOTHING_SAID)
    if text is not None and len(text) > TEXT:
        raise Refused(words.TOO_LONG.format(length=len(text), limit=TEXT))
    if len(refs) > MOST_FILES:
        raise Refused(words.TOO_MANY_FILES.format(limit=MOST_FILES))


def _own(visitor: Visitor, key: str, text: str, files: dict[str, WebFile], reply_to: str) -> Message:
    """The person's message as the conversation shows it."""
    media = tuple(
        Shown(id=outbound.media_id(), blob=file.blob, name=file.name, alt=file.name) for file in files.values()
    )
    ids = tuple(shown.id for shown in media)
    return Message(key=key, chat=visitor.id, mine=True, text=text, media=media, media_ids=ids, reply_to=reply_to)


def _receipt(stored: Message) -> Receipt:
    chat = ChatRef(platform=ACCOUNT, chat=stored.chat, direct=True)
    return Receipt(chat=chat, ids=(stored.key,), editable=True, deletable=True)
