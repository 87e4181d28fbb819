"""The web sockets of the server: who hears what, in which frames."""

import asyncio
import json
import struct
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from starlette.websockets import WebSocket, WebSocketDisconnect

from .engine import Message, Sight
from .faults import Faults

FEATURES = {"supports_preview_metadata": True, "max_upload_size": 104857600}
"""What ComfyUI 0.3.64 says of itself; the size is in bytes."""

PREVIEW, PREVIEW_WITH_METADATA = 1, 4
FORMATS = {"JPEG": 1, "PNG": 2}
"""The numbers that ComfyUI's binary frames begin with."""


class Socket:
    """One connection. Frames leave in the order they were put."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._frames: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.wants_metadata = False
        self._after: bytes = b""

    def say(self, kind: str, data: Any) -> None:
        self._frames.put_nowait(json.dumps({"type": kind, "data": data}))
        if self._after:
            self._frames.put_nowait(self._after)
            self._after = b""

    def show(self, sight: Sight) -> None:
        """With metadata the picture goes before the `progress` that belongs to it, without after it."""
        kind = FORMATS[sight.preview.kind]
        if self.wants_metadata and sight.client is not None:
            about = json.dumps({**sight.about, "image_type": f"image/{sight.preview.kind.lower()}"}).encode()
            head = struct.pack(">II", PREVIEW_WITH_METADATA, len(about))
            self._frames.put_nowait(head + about + sight.preview.data)
        else:
            self._after = struct.pack(">II", PREVIEW, kind) + sight.preview.data

    def close(self) -> None:
        self._frames.put_nowait(None)

    async def send(self) -> None:
        """Until closed."""
        while (frame := await self._frames.get()) is not None:
            if isinstance(frame, bytes):
                await self._socket.send_bytes(frame)
            else:
                await self._socket.send_text(frame)
        await self._socket.close()


class Hub:
    def __init__(self, faults: Faults, remaining: Callable[[], int]) -> None:
        self._faults = faults
        self._remaining = remaining
        self._sockets: dict[str, Socket] = {}
        self._now: dict[str, Message] = {}

    async def serve(self, websocket: WebSocket) -> None:
        await websocket.accept()
        sid = websocket.query_params.get("clientId") or uuid4().hex
        socket = Socket(websocket)
        # a second connection with the same id takes the first one's place, and the first one's end forgets the second: ComfyUI's own trap
        self._sockets[sid] = socket
        socket.say("status", {"status": {"exec_info": {"queue_remaining": self._remaining()}}, "sid": sid})
        if sid in self._now:
            socket.say("executing", {"node": self._now[sid].data["node"]})
        sender = asyncio.create_task(socket.send())
        try:
            await self._listen(websocket, socket)
        except WebSocketDisconnect:
            pass
        finally:
            self._sockets.pop(sid, None)
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def _listen(self, websocket: WebSocket, socket: Socket) -> None:
        first = True
        while True:
            said = await websocket.receive()
            if said["type"] == "websocket.disconnect":
                return
            if first and (text := said.get("text")):
                self._introduced(socket, text)
            first = False

    def _introduced(self, socket: Socket, text: str) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            return
        if (
            isinstance(message, dict)
            and message.get("type") == "feature_flags"
            and isinstance(message.get("data"), dict)
        ):
            socket.wants_metadata = bool(message["data"].get("supports_preview_metadata"))
            socket.say("feature_flags", FEATURES)

    def deliver(self, message: Message | Sight) -> None:
        """Called on the loop."""
        if message.client is None:
            heard = list(self._sockets.values())
        else:
            heard = [self._sockets[message.client]] if message.client in self._sockets else []
        for socket in heard:
            if isinstance(message, Sight):
                socket.show(message)
            else:
                socket.say(message.type, message.data)
        if isinstance(message, Message):
            self._follow(message)

    def _follow(self, message: Message) -> None:
        if message.type == "executing" and message.client is not None:
            if message.data["node"] is None:
                self._now.pop(message.client, None)
            else:
                self._now[message.client] = message
        if message.type == "execution_start" and self._faults.drop_socket:
            for socket in self._sockets.values():
                socket.close()
