"""ComfyUI's HTTP calls. Errors of all kinds become the vocabulary in one place, `_answering`."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError

from chatelier import Gone, Refused, Retry, Unavailable, Uncertain

from . import words
from .settings import ServerSettings
from .wire import Accepted, Finished, Load, Queue, SystemStats, Uploaded, Wire

W = TypeVar("W", bound=Wire)

CONNECT_SECONDS = 5.0
"""A server in the same house answers in milliseconds, one behind a tunnel within a second or two."""

LOOK_SECONDS = 10.0
"""A server that loads a model answers late; less than 5 s would call it down."""

PROMPT_SECONDS = 30.0
"""A prompt is checked, and node classes are listed, on the thread that also serves everybody else: it takes its time."""

FILE_SECONDS = 60.0
"""Between two pieces of a file, not for all of it."""

RETRY_SECONDS = 5.0
"""After a 429 that names no time."""

LARGE_BYTES = 500_000
"""JSON from here on is parsed in a thread: it would hold up the event loop for milliseconds."""

CONNECTIONS, KEPT_CONNECTIONS = 32, 8
"""At once, and kept open. Eight jobs at a time came to 139 a second through kept connections (measured on two cores)."""

UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
"""Errors before the first byte went out: nothing can have happened there."""


class Rejected(Exception):
    """ComfyUI says why it will not run a graph: an answer for the caller to put in words. body: as it came."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__("the graph was rejected")
        self.body = body


class Api:
    """Calls raise Unavailable when the server does not answer as ComfyUI would; other errors are named at each.

    look_seconds: how long a small answer may take.
    """

    def __init__(
        self, settings: ServerSettings, tls: ssl.SSLContext | None, *, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._address = settings.address
        self._look = _limits(look_seconds)
        self._options: dict[str, Any] = {
            "base_url": settings.url,
            "headers": settings.plain_headers,
            "verify": tls if tls is not None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            "timeout": self._look,
            "limits": httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=KEPT_CONNECTIONS),
        }
        self._client: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep connections for as long as this lasts. Outside of it each call opens its own, so that nothing is left behind."""
        async with httpx.AsyncClient(**self._options) as client:
            self._client = client
            try:
                yield
            finally:
                self._client = None

    async def prompt(self, graph: Mapping[str, Any], prompt_id: str, client_id: str) -> Accepted:
        """Raises Rejected, Refused, Retry, and Uncertain when it may be queued there all the same."""
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id}
        with self._answering(effect=True):
            async with self._connected() as client:
                response = await client.post("/prompt", json=body, timeout=_limits(PROMPT_SECONDS))
            if response.status_code == 400:
                raise Rejected(_rejection(response))
            if response.status_code == 413:
                raise Refused(words.GRAPH_TOO_LARGE)
            if response.status_code == 429:
                raise Retry(_retry_after(response))
            self._check(response)
            return Accepted.model_validate_json(response.content)

    async def load(self) -> int:
        """Jobs of anybody, waiting and running."""
        return (await self._get("/prompt", Load)).exec_info.queue_remaining

    async def queue(self) -> Queue:
        return await self._get("/queue", Queue)

    async def history(self, prompt_id: str) -> Finished | None:
        """None when it did not finish, or is not known."""
        with self._answering():
            entry = (await self._json(f"/history/{prompt_id}")).get(prompt_id)
            return None if entry is None else Finished.model_validate(entry)

    async def classes(self) -> Mapping[str, Mapping[str, Any]]:
        """Every node class of the server. Several megabytes where many custom nodes are installed."""
        with self._answering():
            found = await self._json("/object_info", PROMPT_SECONDS)
            return {name: value for name, value in found.items() if isinstance(value, dict)}

    async def stats(self) -> SystemStats:
        return await self._get("/system_stats", SystemStats)

    async def delete(self, prompt_id: str) -> None:
        """Takes it out of the queue if it waits there. The answer is the same when it does not."""
        await self._post("/queue", {"delete": [prompt_id]})

    async def interrupt(self, prompt_id: str) -> None:
        """Stops it if it is the one that runs. The answer is the same when it is not."""
        await self._post("/interrupt", {"prompt_id": prompt_id})

    async def upload(self, name: str, data: bytes, mime: str) -> str:
        """The path that a graph names it by. Raises Refused for a file that the server does not take."""
        fields = {"type": "input", "subfolder": "chatelier"}
        with self._answering():
            async with self._connected() as client:
                files = {"image": (name, data, mime)}
                response = await client.post("/upload/image", data=fields, files=files, timeout=_limits(FILE_SECONDS))
            if response.status_code in {400, 413}:
                raise Refused(words.TOO_LARGE if response.status_code == 413 else words.UPLOAD_REFUSED)
            self._check(response)
            return Uploaded.model_validate_json(response.content).path

    async def view(self, remote: Mapping[str, str]) -> AsyncIterator[bytes]:
        """The bytes of a file. Raises Gone when the server does not have it."""
        with self._answering():
            async with (
                self._connected() as client,
                client.stream("GET", "/view", params=dict(remote), timeout=_limits(FILE_SECONDS)) as response,
            ):
                if response.status_code == 404:
                    raise Gone(words.OUTPUT_GONE.format(name=remote.get("filename", "A result")))
                self._check(response)
                if _is_page(response) and not remote.get("filename", "").endswith((".html", ".htm")):
                    raise Unavailable(words.strange_answer(self._address, words.PAGE))
                async for chunk in response.aiter_bytes():
                    yield chunk

    async def has(self, remote: Mapping[str, str]) -> bool:
        """Whether `view` would give a file that is not empty."""
        with self._answering():
            async with self._connected() as client:
                response = await client.head("/view", params=dict(remote))
            if response.status_code == 404:
                return False
            self._check(response)
            return not _is_page(response) and response.headers.get("Content-Length") != "0"

    async def _get(self, path: str, model: type[W]) -> W:
        with self._answering():
            return model.model_validate(await self._json(path))

    async def _post(self, path: str, body: Mapping[str, Any]) -> None:
        with self._answering():
            async with self._connected() as client:
                self._check(await client.post(path, json=body))

    async def _json(self, path: str, seconds: float = 0.0) -> dict[str, Any]:
        async with self._connected() as client:
            response = await client.get(path, timeout=_limits(seconds) if seconds else self._look)
        self._check(response)
        large = len(response.content) > LARGE_BYTES
        found = await asyncio.to_thread(json.loads, response.content) if large else json.loads(response.content)
        if not isinstance(found, dict):
            raise ValueError(f"{path} is no object")
        return found

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[httpx.AsyncClient]:
        if self._client is not None:
            yield self._client
            return
        async with httpx.AsyncClient(**self._options) as client:
            yield client

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in {401, 403}:
            raise Unavailable(words.forbidden(self._address, status))
        if not response.is_success:
            raise httpx.HTTPStatusError(f"status {status}", request=response.request, response=response)

    @contextmanager
    def _answering(self, *, effect: bool = False) -> Iterator[None]:
        """effect: the call makes something happen, so that a lost answer leaves it uncertain."""
        try:
            yield
        except UNSENT as error:
            raise Unavailable(words.no_answer(self._address, _why(error))) from error
        except httpx.HTTPStatusError as error:
            if effect and error.response.status_code >= 500:
                raise Uncertain(words.maybe_queued(self._address, str(error))) from error
            raise Unavailable(words.strange_answer(self._address, str(error))) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            if effect:
                raise Uncertain(words.maybe_queued(self._address, _why(error))) from error
            raise Unavailable(words.no_answer(self._address, _why(error))) from error
        except (ValidationError, ValueError, RecursionError) as error:
            if effect:
                raise Uncertain(words.maybe_queued(self._address, words.GARBAGE)) from error
            raise Unavailable(words.strange_answer(self._address, words.GARBAGE)) from error


def _limits(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))


def _why(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return words.LATE
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return words.UNTRUSTED
    return words.REFUSED_CONNECTION if isinstance(error, httpx.ConnectError) else words.BROKEN


def _rejection(response: httpx.Response) -> dict[str, Any]:
    try:
        body = json.loads(response.content)
    except ValueError:
        body = None
    if isinstance(body, dict) and "error" in body:
        return body
    raise httpx.HTTPStatusError("status 400", request=response.request, response=response)


def _retry_after(response: httpx.Response) -> float:
    """Seconds."""
    said = response.headers.get("Retry-After", "")
    return float(said) if said.isdecimal() else RETRY_SECONDS


def _is_page(response: httpx.Response) -> bool:
    return str(response.headers.get("Content-Type", "")).startswith("text/html")
