"""The guarded fetcher: the only code that connects to an address a person gave.

Each hop is resolved once, every address of it is checked, and the connection goes to a checked address and not to the
name, so that an answer that changes in between leads nowhere.
"""

import asyncio
import ipaddress
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from ssl import SSLContext

import httpx

from ..errors import BadInput
from . import words
from .addresses import Address, Network, Resolver, is_public, resolve
from .blob import MediaKind
from .sniff import HEAD, sniff

MAX_REDIRECTS = 5
CONNECT_SECONDS = 10.0
"""At most, for each address of a name; and again for TLS."""

_PIECE = 65_536
_WEB_PORTS = {80, 443}
_FIRST_FREE_PORT = 1024
_PORTS = range(1, 65_536)
_LONGEST_NAME = 253
"""Characters of a name that DNS knows (RFC 1035)."""


class NotServed(BadInput):
    """The server answered, but not with the file. status: HTTP's."""

    def __init__(self, said: str, status: int) -> None:
        super().__init__(said)
        self.status = status


async def fetch(
    url: str,
    *,
    limit_bytes: int,
    seconds: float,
    kinds: Collection[MediaKind] = (),
    resolver: Resolver = resolve,
    allow: Sequence[Network] = (),
    tls: SSLContext | None = None,
) -> AsyncGenerator[bytes, None]:
    """The bytes at a web address, in pieces. Close it when you stop early (`contextlib.aclosing`).

    limit_bytes: of the file, after unpacking. seconds: for everything, what the caller does between pieces included.
    kinds: what the file may be, by its content; empty: anything. allow: networks that count as public.
    tls: None trusts the certificates that come with httpx.
    Ports below 1024 other than 80 and 443 are refused: no file is served there. Raises BadInput with words for the person.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    body = _download(url, limit_bytes, deadline, _Guard(resolver, tuple(allow), tls or _tls()))
    try:
        checked = False
        head = b""
        while (piece := await _next(body, deadline, seconds)) is not None:
            if checked:
                yield piece
                continue
            head += piece
            if len(head) >= HEAD:
                _check_kind(head, kinds)
                checked = True
                yield head
        if not checked:
            _check_kind(head, kinds)
            yield head
    finally:
        await body.aclose()


async def _next(body: AsyncGenerator[bytes, None], deadline: float, seconds: float) -> bytes | None:
    try:
        # Around one piece, not around all: the caller's own code must not be cut by it.
        async with asyncio.timeout_at(deadline):
            return await anext(body, None)
    except TimeoutError as error:
        raise words.too_slow(seconds) from error


def _check_kind(head: bytes, kinds: Collection[MediaKind]) -> None:
    if not head:
        raise BadInput(words.EMPTY)
    mime, kind = sniff(head[:HEAD])
    if kinds and kind not in kinds:
        raise words.wrong_kind(mime)


@dataclass(frozen=True, slots=True)
class _Hop:
    """One request: to which URL, and to which addresses it may go."""

    url: httpx.URL
    addresses: Sequence[Address]


@dataclass(frozen=True, slots=True)
class _Guard:
    """Decides where a request may go, and whose certificate it believes."""

    resolver: Resolver
    allow: tuple[Network, ...]
    tls: SSLContext

    async def hop(self, url: httpx.URL) -> _Hop:
        port = _port(url)
        if url.scheme not in {"http", "https"} or not _is_name(_host(url)) or port not in _PORTS:
            raise BadInput(words.BAD_ADDRESS)
        if url.userinfo:
            raise BadInput(words.PASSWORD_IN_ADDRESS)
        if port < _FIRST_FREE_PORT and port not in _WEB_PORTS:
            raise BadInput(words.ODD_PORT)
        addresses = await self._addresses(_host(url), port)
        if not all(map(self._may, addresses)):
            raise BadInput(words.PRIVATE_ADDRESS)
        return _Hop(url, addresses)

    async def _addresses(self, host: str, port: int) -> Sequence[Address]:
        try:
            return [ipaddress.ip_address(host)]
        except ValueError:
            pass
        try:
            found = [ipaddress.ip_address(text) for text in await self.resolver(host, port)]
        except (OSError, ValueError) as error:  # a label that is too long is a UnicodeError, which is a ValueError
            raise words.not_found(host) from error
        if not found:
            raise words.not_found(host)
        return found

    def _may(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self.allow)


def _host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii")


def _is_name(host: str) -> bool:
    return len(host) <= _LONGEST_NAME and all(host.removesuffix(".").split("."))


def _port(url: httpx.URL) -> int:
    default = 443 if url.scheme == "https" else 80
    return default if url.port is None else url.port


def _parsed(text: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        return base.join(text) if base else httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:  # half a surrogate pair is a UnicodeError, which is a ValueError
        raise BadInput(words.BAD_ADDRESS) from error


async def _download(url: str, limit_bytes: int, deadline: float, guard: _Guard) -> AsyncGenerator[bytes, None]:
    async with AsyncExitStack() as stack:
        response = await _follow(stack, url, deadline, guard)
        with _in_words(response.request.headers["Host"]):
            _check_answer(response, limit_bytes)
            total = 0
            async for piece in _unpacked(response):
                total += len(piece)
                if total > limit_bytes:
                    raise words.too_big(limit_bytes)
                yield piece


async def _follow(stack: AsyncExitStack, text: str, deadline: float, guard: _Guard) -> httpx.Response:
    url = _parsed(text)
    for _ in range(MAX_REDIRECTS + 1):
        hop = await guard.hop(url)
        response = await _ask(stack, hop, deadline, guard.tls)
        if not response.has_redirect_location:
            return response
        await response.aclose()
        url = _parsed(response.headers["Location"], hop.url)
    raise BadInput(words.TOO_MANY_REDIRECTS)


async def _ask(stack: AsyncExitStack, hop: _Hop, deadline: float, tls: SSLContext) -> httpx.Response:
    # httpx must give up a TLS handshake before our deadline does: cancelled in the middle of one, it leaves the socket open.
    left = max(deadline - asyncio.get_running_loop().time(), 0)
    timeout = httpx.Timeout(None, connect=min(CONNECT_SECONDS, left / 3))
    # A client for each hop: two names on one address must not share cookies or a connection.
    client = await stack.enter_async_context(
        httpx.AsyncClient(verify=tls, trust_env=False, timeout=timeout, follow_redirects=False)
    )
    host = _host(hop.url)
    with _in_words(host):
        for address in hop.addresses[:-1]:
            try:
                return await client.send(_request(client, hop.url, address), stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await client.send(_request(client, hop.url, hop.addresses[-1]), stream=True)


def _request(client: httpx.AsyncClient, url: httpx.URL, address: Address) -> httpx.Request:
    return client.build_request(
        "GET",
        url.copy_with(host=str(address), fragment=None),
        headers={"Host": url.netloc.decode("ascii"), "Accept-Encoding": "identity", "User-Agent": "chatelier"},
        extensions={"sni_hostname": _host(url)},
    )


@lru_cache(maxsize=1)
def _tls() -> SSLContext:
    """Made once: reading the certificates takes tens of milliseconds."""
    return httpx.create_ssl_context(trust_env=False)


@contextmanager
def _in_words(host: str) -> Iterator[None]:
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise words.not_reached(host) from error
    except httpx.InvalidURL as error:  # httpx looks at a redirect too, although it does not follow it
        raise BadInput(words.BAD_ADDRESS) from error
    except httpx.HTTPError as error:
        raise BadInput(words.BROKE_OFF) from error


def _check_answer(response: httpx.Response, limit_bytes: int) -> None:
    if response.status_code != httpx.codes.OK:
        raise NotServed(str(words.answered(response.status_code)), response.status_code)
    announced = response.headers.get("Content-Length", "")
    # Only a quick no: a length that is missing or wrong does not matter, the pieces are counted.
    if announced.isdecimal() and int(announced) > limit_bytes:
        raise words.too_big(limit_bytes)


async def _unpacked(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body; packed by gzip or deflate although that was not asked for, it is unpacked in pieces of a bounded size."""
    packing = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packing in {"", "identity"}:
        async for piece in response.aiter_raw():
            yield piece
        return
    if packing not in {"gzip", "x-gzip", "deflate"}:
        raise BadInput(words.UNKNOWN_PACKING)
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: gzip or zlib, as its header says
    try:
        async for packed in response.aiter_raw():
            for piece in _pieces(unpacker.decompress, packed, lambda: unpacker.unconsumed_tail):
                yield piece
            # Checked as it comes: zlib keeps everything that follows the end.
            if unpacker.unused_data:
                raise BadInput(words.BROKE_OFF)
    except zlib.error as error:
        raise BadInput(words.BROKE_OFF) from error
    if not unpacker.eof:
        raise BadInput(words.BROKE_OFF)


def _pieces(unpack: Callable[[bytes, int], bytes], packed: bytes, rest: Callable[[], bytes]) -> Iterator[bytes]:
    """Everything that a packed piece holds, at most `_PIECE` bytes at a time."""
    while piece := unpack(packed, _PIECE):
        yield piece
        packed = rest()
