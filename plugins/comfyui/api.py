"""ComfyUI's HTTP calls. Errors of all kinds become the vocabulary in one place, `_answering`."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    TCPConnector,
)
from pydantic import ValidationError

from chatelier import ChatelierError, Gone, Refused, Retry, Unavailable, Uncertain

from . import words
from .form import FileForm
from .settings import ServerSettings
from .wire import Accepted, Finished, JobState, Load, Queue, SystemStats, Uploaded, Wire

W = TypeVar("W", bound=Wire)
Classes = Mapping[str, Mapping[str, Any]]

CONNECT_SECONDS = 5.0
"""A server in the same house answers in milliseconds, one behind a tunnel within a second or two."""

LOOK_SECONDS = 10.0
"""A server that loads a model answers late; less than 5 s would call it down."""

PROMPT_SECONDS = 30.0
"""A prompt is checked, and node classes are listed, on the thread that also serves everybody else: it takes its time."""

FILE_SECONDS = 60.0
"""Between two pieces of a file, not for all of it."""

SLOWEST_UPLOAD = 100_000
"""Bytes a second. An upload that is slower is given up: no answer comes while a server that froze takes no more bytes."""

RETRY_SECONDS = 5.0
"""After a 429 that names no time."""

LARGE_BYTES = 500_000
"""JSON from here on is parsed in a thread: it would hold up the event loop for milliseconds."""

PIECE = 262_144
"""Bytes of a file that are in memory at a time."""

CONNECTIONS = 32
"""At once, and kept open for the next calls."""

UNSENT = (ClientConnectorError, ConnectionTimeoutError)
"""Errors before the first byte went out: nothing can have happened there."""


class Rejected(Exception):
    """ComfyUI says why it will not run a graph: an answer for the caller to put in words. body: as it came."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__("the graph was rejected")
        self.body = body


class NoRoute(Exception):
    """This server is older than what it was asked."""


class _Status(Exception):
    """An answer with a status that means trouble."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class Api:
    """Calls raise Unavailable when the server does not answer as ComfyUI would; other errors are named at each.

    look_seconds: how long a small answer may take.
    """

    def __init__(
        self, settings: ServerSettings, tls: ssl.SSLContext | None, *, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._url = settings.url
        self._address = settings.address
        self._headers = settings.plain_headers
        self._tls = tls
        self._look = _limits(look_seconds)
        self._proxy = _proxy(settings.url)
        # A server that asks for a certificate and gets none says so too late to be heard.
        self._broken = words.BROKEN if tls is None or settings.client_certificate else words.BROKEN_TLS
        self._kept: ClientSession | None = None
        self._classes: tuple[bytes, Classes] = (b"", {})

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep connections for as long as this lasts. Outside of it each call opens its own, so that nothing is left behind."""
        async with self._session() as session:
            self._kept = session
            try:
                yield
            finally:
                self._kept = None

    async def prompt(self, graph: Mapping[str, Any], prompt_id: str, client_id: str) -> Accepted:
        """Raises Rejected, Refused, Retry, and Uncertain when it may be queued there all the same."""
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id}
        with self._answering(effect=True):
            async with self._call("POST", "/prompt", json=body, timeout=_limits(PROMPT_SECONDS)) as response:
                content = await response.read()
            if response.status == 400:
                raise Rejected(_rejection(content))
            if response.status == 413:
                raise Refused(words.GRAPH_TOO_LARGE)
            if response.status == 429:
                raise Retry(_retry_after(response))
            self._check(response)
            return Accepted.model_validate_json(content)

    async def load(self) -> int:
        """Jobs of anybody, waiting and running."""
        return (await self._get("/prompt", Load)).exec_info.queue_remaining

    async def queue(self) -> Queue:
        return await self._get("/queue", Queue)

    async def history(self, prompt_id: str) -> Finished | None:
        """None when it did not finish, or is not known."""
        with self._answering():
            entry = (await self._json(f"/history/{quote(prompt_id, safe='')}")).get(prompt_id)
            return None if entry is None else Finished.model_validate(entry)

    async def job(self, prompt_id: str) -> JobState | None:
        """Where it is and what came of it, at one look; None when it is not known. Raises NoRoute."""
        with self._answering():
            async with self._call("GET", f"/api/jobs/{quote(prompt_id, safe='')}") as response:
                content = await response.read()
            if response.status in {404, 405} or _is_page(response):
                if response.content_type == "application/json":
                    return None
                raise NoRoute
            self._check(response)
            return JobState.model_validate_json(content)

    async def stop(self, prompt_id: str) -> None:
        """Ends it wherever it is. The answer is the same when it is nowhere. Raises NoRoute."""
        with self._answering():
            async with self._call("POST", f"/api/jobs/{quote(prompt_id, safe='')}/cancel") as response:
                await response.read()
            if response.status in {404, 405}:
                raise NoRoute
            self._check(response)

    async def classes(self) -> Classes:
        """Every node class of the server: the same object until they change. Megabytes where many custom nodes are installed."""
        with self._answering():
            content = await self._content("/object_info", PROMPT_SECONDS)
            self._classes = await asyncio.to_thread(_newer, self._classes, content)
            return self._classes[1]

    async def stats(self) -> SystemStats:
        return await self._get("/system_stats", SystemStats)

    async def delete(self, prompt_id: str) -> None:
        """Takes it out of the queue if it waits there. The answer is the same when it does not."""
        await self._post("/queue", {"delete": [prompt_id]})

    async def interrupt(self, prompt_id: str) -> None:
        """Stops it if it is the one that runs. The answer is the same when it is not."""
        await self._post("/interrupt", {"prompt_id": prompt_id})

    async def free(self) -> None:
        """Lets go of models and cached results before the next job."""
        await self._post("/free", {"unload_models": True, "free_memory": True})

    async def upload(self, name: str, mime: str, size: int, pieces: AsyncIterator[bytes]) -> str:
        """The path that a graph names it by. Raises Refused for a file that the server does not take, and what `pieces` raises."""
        form = FileForm(name, mime, size, {"type": "input", "subfolder": "chatelier"})
        limits = _limits(FILE_SECONDS, total=FILE_SECONDS + size / SLOWEST_UPLOAD)
        with self._answering(form):
            async with self._call(
                "POST", "/upload/image", data=form.body(pieces), headers=form.headers, timeout=limits
            ) as response:
                content = await response.read()
            if response.status in {400, 413}:
                raise Refused(words.TOO_LARGE if response.status == 413 else words.UPLOAD_REFUSED)
            self._check(response)
            return Uploaded.model_validate_json(content).path

    async def view(self, remote: Mapping[str, str]) -> AsyncIterator[bytes]:
        """The bytes of a file. Raises Gone when the server does not have it."""
        with self._answering():
            async with self._call("GET", "/view", params=remote, timeout=_limits(FILE_SECONDS)) as response:
                if response.status == 404:
                    raise Gone(words.OUTPUT_GONE.format(name=remote.get("filename", "A result")))
                self._check(response)
                if _is_page(response) and not remote.get("filename", "").endswith((".html", ".htm")):
                    raise Unavailable(words.strange_answer(self._address, words.PAGE))
                async for piece in response.content.iter_chunked(PIECE):
                    yield piece

    async def has(self, remote: Mapping[str, str]) -> bool:
        """Whether `view` would give a file that is not empty."""
        with self._answering():
            async with self._call("HEAD", "/view", params=remote) as response:
                if response.status == 404:
                    return False
                self._check(response)
                return not _is_page(response) and response.headers.get("Content-Length") != "0"

    async def _get(self, path: str, model: type[W]) -> W:
        with self._answering():
            return model.model_validate(await self._json(path))

    async def _post(self, path: str, body: Mapping[str, Any]) -> None:
        with self._answering():
            async with self._call("POST", path, json=body) as response:
                self._check(response)

    async def _json(self, path: str) -> dict[str, Any]:
        content = await self._content(path)
        large = len(content) > LARGE_BYTES
        return await asyncio.to_thread(_object, content) if large else _object(content)

    async def _content(self, path: str, seconds: float = 0.0) -> bytes:
        async with self._call("GET", path, timeout=_limits(seconds) if seconds else self._look) as response:
            self._check(response)
            return await response.read()

    @asynccontextmanager
    async def _call(self, method: str, path: str, **options: Any) -> AsyncIterator[ClientResponse]:
        options.setdefault("timeout", self._look)
        if self._kept is not None:
            async with self._kept.request(method, self._url + path, allow_redirects=False, **options) as response:
                yield response
            return
        async with (
            self._session() as session,
            session.request(method, self._url + path, allow_redirects=False, **options) as response,
        ):
            yield response

    def _session(self) -> ClientSession:
        return ClientSession(
            connector=TCPConnector(ssl=self._tls if self._tls is not None else True, limit=CONNECTIONS),
            headers=self._headers,
            cookie_jar=DummyCookieJar(),
            proxy=self._proxy,
        )

    def _check(self, response: ClientResponse) -> None:
        if response.status in {401, 403}:
            raise Unavailable(words.forbidden(self._address, response.status))
        if not 200 <= response.status < 300:
            raise _Status(response.status)

    @contextmanager
    def _answering(self, form: FileForm | None = None, *, effect: bool = False) -> Iterator[None]:
        """effect: the call makes something happen, so that a lost answer leaves it uncertain."""
        try:
            yield
        except UNSENT as error:
            raise Unavailable(words.no_answer(self._address, _why(error, self._broken))) from error
        except _Status as error:
            if effect and error.status >= 500:
                raise Uncertain(words.maybe_queued(self._address, str(error))) from error
            raise Unavailable(words.strange_answer(self._address, str(error))) from error
        except (ValidationError, ValueError, RecursionError) as error:
            if effect:
                raise Uncertain(words.maybe_queued(self._address, words.GARBAGE)) from error
            raise Unavailable(words.strange_answer(self._address, words.GARBAGE)) from error
        except (ClientError, OSError, ChatelierError) as error:
            if form is not None and form.error is not None:
                raise form.error from error
            if isinstance(error, ChatelierError):
                raise
            if effect:
                raise Uncertain(words.maybe_queued(self._address, _why(error, self._broken))) from error
            raise Unavailable(words.no_answer(self._address, _why(error, self._broken))) from error


def _limits(seconds: float, *, total: float | None = None) -> ClientTimeout:
    """seconds: without a byte, and until there is a free connection. total: for all of the call, None for no limit."""
    return ClientTimeout(total=total, connect=seconds, sock_connect=min(CONNECT_SECONDS, seconds), sock_read=seconds)


def _proxy(url: str) -> str | None:
    """What the environment says (HTTP_PROXY, HTTPS_PROXY, NO_PROXY)."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


def _newer(known: tuple[bytes, Classes], content: bytes) -> tuple[bytes, Classes]:
    """The digest and what it is the digest of; `known`'s object again when nothing changed."""
    digest = sha256(content).digest()
    if digest == known[0]:
        return known
    found = {name: value for name, value in _object(content).items() if isinstance(value, dict)}
    return digest, known[1] if found == known[1] else found


def _object(content: bytes) -> dict[str, Any]:
    """Raises ValueError for other JSON, too."""
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def _why(error: Exception, broken: str) -> str:
    if isinstance(error, TimeoutError):
        return words.LATE
    if isinstance(error, ClientConnectorCertificateError):
        return words.UNTRUSTED
    return words.REFUSED_CONNECTION if isinstance(error, ClientConnectorError) else broken


def _rejection(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if isinstance(body, dict) and "error" in body:
        return body
    raise _Status(400)


def _retry_after(response: ClientResponse) -> float:
    """Seconds."""
    said = response.headers.get("Retry-After", "")
    return float(said) if said.isdecimal() else RETRY_SECONDS


def _is_page(response: ClientResponse) -> bool:
    return response.content_type == "text/html"
