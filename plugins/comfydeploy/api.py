"""ComfyDeploy's HTTP calls, today's and those of older accounts. Errors of all kinds become the vocabulary in one place, `_answering`."""

import asyncio
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import ValidationError

from chatelier import Blob, Refused, Retry, Unavailable, Uncertain

from . import words
from .addresses import Reach
from .settings import ComfyDeploySettings
from .wire import Deployment, OldUpload, Queued, Run, Uploaded, Wire, items, parsed

W = TypeVar("W", bound=Wire)

CONNECT_SECONDS = 10.0
LOOK_SECONDS = 15.0
"""For a small answer; below what a look of the dispatcher may take when the connection is there."""

QUEUE_SECONDS = 30.0
"""A run is written down and handed to a machine before the answer comes."""

FILE_SECONDS = 60.0
"""Between two pieces of a file, not for all of it."""

RETRY_SECONDS = 10.0
"""After a 429 that names no time."""

LARGEST_UPLOAD = 250_000_000
"""Bytes; the vendor's limit."""

UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
"""Errors before the first byte went out: nothing can have happened there."""


class NotDeployed(Exception):
    """The account has no such deployment (any more)."""


class NotOffered(Exception):
    """This account has no such call."""


class Api:
    """Calls raise Unavailable when the account does not answer as it should, and Retry when it has had too many requests.

    is_old: it has an older account's calls only. Found out by the address, or by a 404 from today's call.
    """

    def __init__(self, settings: ComfyDeploySettings, *, look_seconds: float = LOOK_SECONDS) -> None:
        self.is_old = settings.is_old
        self._address = settings.address
        self._reach = Reach(settings.base_url)
        is_plain = urlsplit(settings.base_url).scheme == "http"
        self._options: dict[str, Any] = {
            "base_url": settings.base_url,
            "headers": {"Authorization": f"Bearer {settings.api_key.get_secret_value()}"},
            "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if is_plain else httpx.create_ssl_context(),
            "timeout": _limits(look_seconds),
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

    # --- what there is

    async def deployments(self) -> tuple[Deployment, ...]:
        """Raises NotOffered."""
        response = await self._ask("GET", "/deployments")
        if response.status_code == 404:
            raise NotOffered
        return parsed(Deployment, self._json(response))

    async def run(self, run_id: str) -> Run | None:
        """None when there is no such run."""
        if not self.is_old:
            response = await self._ask("GET", f"/run/{_plain(run_id)}", params={"queue_position": "true"})
            if response.status_code != 404:
                return self._read(Run, response)
            if "run" in _said(response).lower():
                return None
        response = await self._ask("GET", "/run", params={"run_id": run_id})
        if response.status_code == 404:
            return None
        found = self._read(Run, response)
        self.is_old = True
        return found

    async def runs(self, workflow_id: str, *, limit: int, offset: int) -> tuple[Run, ...]:
        """Newest first, without what they were queued with. Raises NotOffered."""
        if self.is_old or not workflow_id:
            raise NotOffered
        path = f"/v2/workflow/{_plain(workflow_id)}/runs"
        response = await self._ask("GET", path, params={"limit": limit, "offset": offset})
        if response.status_code == 404:
            raise NotOffered
        return parsed(Run, self._json(response))

    # --- what makes something happen

    async def queue(self, body: Mapping[str, Any]) -> str:
        """The id of the new run. Raises NotDeployed, Refused, and Uncertain when it may be queued there all the same."""
        old_body = {key: body[key] for key in ("deployment_id", "inputs", "webhook") if key in body}
        response = await self._queue(*(("/run", old_body) if self.is_old else ("/run/deployment/queue", body)))
        if response.status_code == 404 and not self.is_old and not _names_deployment(response):
            response = await self._queue("/run", old_body)
            self.is_old = response.is_success
        if response.status_code == 404 and (self.is_old or _names_deployment(response)):
            raise NotDeployed
        if response.status_code in {400, 413, 422}:
            raise Refused(words.refused(_said(response)))
        return self._read(Queued, response, effect=True).run_id

    async def _queue(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        return await self._ask("POST", path, json=body, timeout=_limits(QUEUE_SECONDS), effect=True)

    async def cancel(self, run_id: str) -> None:
        """Asks for it. Whatever is answered says little: what is not there, or over, is a 500 too."""
        with self._answering():
            async with self._connected() as client:
                response = await client.post(f"/run/{_plain(run_id)}/cancel")
        if response.status_code == 401:
            raise Unavailable(words.bad_key(self._address))

    async def upload(self, blob: Blob, read: Callable[[Blob], AsyncIterator[bytes]]) -> str:
        """The address to name it by, which may be good for an hour only. Raises Refused for a file that it does not take."""
        if blob.size > LARGEST_UPLOAD:
            raise Refused(words.TOO_LARGE)
        if not self.is_old:
            response = await self._upload(blob, read(blob))
            if response.status_code != 404:
                return self._read(Uploaded, self._taken(response)).file_url
        return await self._upload_old(blob, read(blob))

    async def _upload(self, blob: Blob, pieces: AsyncIterator[bytes]) -> httpx.Response:
        """As a form, in pieces: httpx itself would read a file whole, or only from the disk."""
        boundary = secrets.token_hex(16)
        name = blob.sha256[:32] + blob.suffix
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            f"Content-Type: {blob.mime}\r\n\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(head) + blob.size + len(tail)),
        }
        content = _between(head, pieces, tail)
        return await self._ask("POST", "/file/upload", content=content, headers=headers, timeout=_limits(FILE_SECONDS))

    async def _upload_old(self, blob: Blob, pieces: AsyncIterator[bytes]) -> str:
        """First a place for it, then the file, which goes to a store that must not see the key."""
        body = {"type": blob.mime, "file_size": blob.size}
        place = self._read(OldUpload, self._taken(await self._ask("POST", "/file", json=body)))
        headers = {"Content-Type": blob.mime, "Content-Length": str(blob.size)}
        await self._reach.check(place.upload_url)
        tls = await asyncio.to_thread(httpx.create_ssl_context)
        with self._answering():
            async with httpx.AsyncClient(verify=tls, timeout=_limits(FILE_SECONDS)) as client:
                response = await client.put(place.upload_url, content=pieces, headers=headers)
        if not response.is_success:
            raise Unavailable(words.strange_answer(self._address, f"status {response.status_code} for a file"))
        return place.download_url

    def _taken(self, response: httpx.Response) -> httpx.Response:
        if response.status_code == 413:
            raise Refused(words.TOO_LARGE)
        if response.status_code in {400, 415, 422}:
            raise Refused(words.UPLOAD_REFUSED)
        return response

    # --- asking

    async def _ask(self, method: str, path: str, *, effect: bool = False, **options: Any) -> httpx.Response:
        """The answer, if it is one to what was asked. effect: asking makes something happen."""
        with self._answering(effect=effect):
            async with self._connected() as client:
                response = await client.request(method, path, **options)
            match response.status_code:
                case 401:
                    raise Unavailable(words.bad_key(self._address))
                case 402 | 403:
                    raise Unavailable(words.forbidden(self._address, _said(response)))
                case 429:
                    after = _retry_after(response)
                    raise Retry(after, words.busy(self._address, after))
                case status if status >= 500:
                    raise httpx.HTTPStatusError(f"status {status}", request=response.request, response=response)
            return response

    def _json(self, response: httpx.Response, *, effect: bool = False) -> Any:
        with self._answering(effect=effect):
            if not response.is_success:
                status = response.status_code
                raise Unavailable(words.strange_answer(self._address, f"status {status}"))
            return json.loads(response.content)

    def _read(self, model: type[W], response: httpx.Response, *, effect: bool = False) -> W:
        said = self._json(response, effect=effect)
        with self._answering(effect=effect):
            return model.model_validate(said)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[httpx.AsyncClient]:
        if self._client is not None:
            yield self._client
            return
        async with httpx.AsyncClient(**self._options) as client:
            yield client

    @contextmanager
    def _answering(self, *, effect: bool = False) -> Iterator[None]:
        """effect: the call makes something happen, so that a lost answer leaves it uncertain."""
        try:
            yield
        except UNSENT as error:
            raise Unavailable(words.no_answer(self._address, _why(error))) from error
        except httpx.HTTPStatusError as error:
            if effect:
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


def _plain(name: str) -> str:
    """An id as one part of a path."""
    return quote(name, safe="")


def _why(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return words.LATE
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return words.UNTRUSTED
    return words.REFUSED_CONNECTION if isinstance(error, httpx.ConnectError) else words.BROKEN


def _said(response: httpx.Response) -> str:
    """What its `detail` says: a text, or what is wrong with each field, "input seed: …"; "" for something else."""
    try:
        body = json.loads(response.content)
    except ValueError:
        return ""
    detail = body.get("detail", body.get("error", "")) if isinstance(body, dict) else ""
    if isinstance(detail, str):
        return detail
    return "; ".join(said for item in items(detail) if (said := _of_field(item)))


def _of_field(item: Any) -> str:
    if not isinstance(item, dict) or not isinstance(item.get("msg"), str):
        return ""
    place = item.get("loc")
    field = str(place[-1]) if isinstance(place, list) and place else ""
    return f"{field}: {item['msg']}" if field else str(item["msg"])


def _names_deployment(response: httpx.Response) -> bool:
    """Whether a 404 is about what was asked for, and not about the call."""
    return "deployment" in _said(response).lower()


def _retry_after(response: httpx.Response) -> float:
    """Seconds."""
    said = response.headers.get("Retry-After", "")
    return float(said) if said.isdecimal() else RETRY_SECONDS


async def _between(head: bytes, pieces: AsyncIterator[bytes], tail: bytes) -> AsyncIterator[bytes]:
    yield head
    async for piece in pieces:
        yield piece
    yield tail
