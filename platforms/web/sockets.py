"""`/chat/socket`: reads what a page says and answers it."""

import asyncio
from collections.abc import AsyncIterator

import structlog
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from chatelier import Ask, BadInput, ChatelierError, Refused

from . import outbound, words
from .adapter import Web
from .inbound import INCOMING, Act, Complete, Earlier, Hello, refusal
from .people import Visitor
from .tabs import Tab

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class Conversation:
    """A page and the account, for as long as the socket is open."""

    def __init__(self, web: Web, socket: WebSocket, visitor: Visitor) -> None:
        self._web = web
        self._socket = socket
        self._tab = Tab(socket, visitor)
        self._completion: asyncio.Task[None] | None = None

    async def hold(self) -> None:
        """Until the page goes away."""
        self._web.tabs.add(self._tab)
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._tab.write())
                async for text in self._texts():
                    await self._answer(text, tasks)
                writer.cancel()
                self._stop_completing()
        finally:
            self._web.tabs.remove(self._tab)

    async def _texts(self) -> AsyncIterator[str]:
        while True:
            try:
                message = await self._socket.receive()
            except WebSocketDisconnect:
                return
            if message["type"] == "websocket.disconnect":
                return
            yield message.get("text") or ""

    async def _answer(self, text: str, tasks: asyncio.TaskGroup) -> None:
        try:
            said = INCOMING.validate_json(text)
        except ValidationError as error:
            self._refuse(*refusal(text, error))
            return
        try:
            match said:
                case Hello():
                    await self._web.open(self._tab)
                case Earlier():
                    await self._web.earlier(self._tab, said.before)
                case Complete():
                    self._stop_completing()
                    self._completion = tasks.create_task(self._complete(said))
                case _:
                    await self._receive(said)
        except Exception as error:  # noqa: BLE001 - a store is a plugin and may raise anything; the other pages must not notice
            # Without a store there is no history either; the page comes back for it.
            _log(error)
            self._tab.close()

    async def _receive(self, act: Act) -> None:
        try:
            first = await self._web.accept(self._tab.visitor, act)
        except (BadInput, Refused) as error:
            self._refuse(act.id, str(error))
        except ChatelierError as error:
            _log(error)
            self._refuse(act.id, words.TRY_AGAIN)
        except Exception as error:  # noqa: BLE001 - what becomes of an act is up to plugins too; one act must not end the socket
            _log(error)
            self._refuse(act.id, words.FAULT)
        else:
            self._tab.tell({"type": "ack", "id": act.id})
            if isinstance(first, Ask):
                self._tab.tell({"type": "ask", "form": outbound.form(first.form)})

    async def _complete(self, asked: Complete) -> None:
        try:
            await self._web.complete(self._tab, asked)
        except Exception as error:  # noqa: BLE001 - choices come from plugins; without them one types on
            _log(error)
            self._tab.tell({"type": "choices", "n": asked.n, "choices": []})

    def _stop_completing(self) -> None:
        """Only the latest question matters."""
        if self._completion is not None:
            self._completion.cancel()

    def _refuse(self, id_: str, sentence: str) -> None:
        self._tab.tell({"type": "refused", "id": id_, "words": sentence})


def _log(error: Exception) -> None:
    """What the core says for the person or the operator is short; a fault needs its traceback."""
    if isinstance(error, ChatelierError):
        log.info("the page could not be served", reason=str(error))
    else:
        log.error("the page could not be served", exc_info=error)
