"""Open pages: what they are told, and in which order."""

import asyncio
import contextlib
import json

from starlette.websockets import WebSocket, WebSocketDisconnect

from .outbound import Wire
from .people import Visitor

WAITING = 500
"""Messages that a page may be behind; then it is cut off and comes back for the history."""
GOING_AWAY = 1012
TOO_SLOW = 1013


class Tab:
    """One open page. `write` runs beside whoever reads the socket."""

    def __init__(self, socket: WebSocket, visitor: Visitor) -> None:
        self.visitor = visitor
        self._socket = socket
        self._waiting: asyncio.Queue[str | int] = asyncio.Queue()
        self._closing = False

    def tell(self, wire: Wire) -> None:
        if self._closing:
            return
        self._waiting.put_nowait(json.dumps(wire))
        if self._waiting.qsize() > WAITING:
            self.close(TOO_SLOW)

    def close(self, code: int = GOING_AWAY) -> None:
        """After what was told before."""
        if not self._closing:
            self._closing = True
            self._waiting.put_nowait(code)

    async def write(self) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while isinstance(item := await self._waiting.get(), str):
                await self._socket.send_text(item)
            await self._socket.close(item)


class Tabs:
    """The open pages of everybody."""

    def __init__(self) -> None:
        self._by_chat: dict[str, set[Tab]] = {}

    def add(self, tab: Tab) -> None:
        self._by_chat.setdefault(tab.visitor.id, set()).add(tab)

    def remove(self, tab: Tab) -> None:
        chat = tab.visitor.id
        self._by_chat[chat].discard(tab)
        if not self._by_chat[chat]:
            del self._by_chat[chat]

    def tell(self, chat: str, wire: Wire) -> None:
        for tab in self._by_chat.get(chat, ()):
            tab.tell(wire)

    def tell_all(self, wire: Wire) -> None:
        for tabs in self._by_chat.values():
            for tab in tabs:
                tab.tell(wire)

    def close_all(self) -> None:
        for tabs in self._by_chat.values():
            for tab in tabs:
                tab.close()
