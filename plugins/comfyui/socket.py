"""One WebSocket a server, for all of its jobs."""

import json
import ssl
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from chatelier import Clock

from .frames import Frame, read

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

FEATURES = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
"""What ComfyUI's own page says first: only then does a preview name its job."""

CONNECT_SECONDS = 10.0
"""For the handshake: as long as for any small answer."""

PING_SECONDS = 20.0
"""ComfyUI sends no pings; proxies before it close what is silent for a minute, as nginx does by default."""

PONG_SECONDS = 60.0
"""A server that loads a model may not answer for a while; one that went without a word is given up after so long."""

CLOSE_SECONDS = 1.0
"""For a clean good-bye: a server that is busy is not waited for at a stop."""


class Socket:
    """first_seconds, longest_seconds: between two connections; the pause doubles from one to the other.

    client: the id that jobs are submitted under so that their events come here.

    A new one for each connection: with an old one ComfyUI forgets the new socket when it notices that the old one closed.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None,
        *,
        clock: Clock,
        first_seconds: float,
        longest_seconds: float,
    ) -> None:
        self.client = str(uuid.uuid4())
        self.connected = False
        self._url = url
        self._headers = headers
        self._tls = tls
        self._clock = clock
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._connection: ClientConnection | None = None

    def hears(self, client: str) -> bool:
        """Whether the events of jobs of this client id come in now."""
        return self.connected and client == self.client

    async def run(self, deliver: Callable[[Frame], None], changed: Callable[[], None]) -> None:
        """Connect, and again whenever the connection is lost, until cancelled. changed: called at both."""
        pause = self._first_seconds
        while True:
            try:
                await self._listen(deliver, changed)
                pause = self._first_seconds
            except (OSError, WebSocketException) as error:  # a time-out is an OSError
                if pause == self._first_seconds:
                    log.info("no events from ComfyUI", url=self._url, reason=str(error) or type(error).__name__)
            finally:
                self.client = str(uuid.uuid4())
            await self._clock.sleep(pause)
            pause = min(2 * pause, self._longest_seconds)

    async def renew(self) -> None:
        """Leave a connection that has gone deaf for a new one."""
        if self._connection is not None:
            await self._connection.close()

    async def _listen(self, deliver: Callable[[Frame], None], changed: Callable[[], None]) -> None:
        """Returns when a connection that was there is lost; raises when none came about."""
        async with self._open() as connection:
            self._connection, self.connected = connection, True
            changed()
            try:
                with suppress(ConnectionClosed):
                    await connection.send(FEATURES)
                    async for message in connection:
                        if (frame := read(message)) is not None:
                            deliver(frame)
            finally:
                self._connection, self.connected = None, False
                changed()

    def _open(self) -> connect:
        return connect(
            f"{self._url}/ws?clientId={self.client}",
            additional_headers=dict(self._headers),
            ssl=self._tls,
            max_size=None,  # previews and pictures are larger than any default
            compression=None,  # events are small, and a preview is compressed already: it would cost both sides more than it saves
            open_timeout=CONNECT_SECONDS,
            ping_interval=PING_SECONDS,
            ping_timeout=PONG_SECONDS,
            close_timeout=CLOSE_SECONDS,
        )
