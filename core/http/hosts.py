"""Which names the port answers to, and which pages may talk to it."""

from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import words

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, never bound to
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class HttpSettings(Protocol):
    """The part `http` of the configuration. public_url: how people reach the port from outside, or ""."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def public_url(self) -> str | None: ...
    @property
    def token(self) -> SecretStr | None: ...
    @property
    def console_token(self) -> SecretStr | None: ...


def host_name(header: str) -> str:
    """The name in a `Host` header, without port and brackets; "" when it is none."""
    try:
        parts = urlsplit(f"//{header}")
        return "" if parts.netloc != header or "@" in header else (parts.hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_loopback(name: str) -> bool:
    """A name or address that never leaves this machine."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


class HostCheck:
    """Answers only to its own names, so that no foreign name can be pointed at it, and only to its own pages.

    A browser names the page that asks in `Origin`; what changes something must come with it, unless it brings its own proof:
    an `Authorization` header, or a webhook's signature (`/hooks/`), neither of which a foreign page can make a browser add.
    """

    def __init__(self, app: ASGIApp, *, http: HttpSettings) -> None:
        self._app = app
        public = urlsplit(http.public_url or "")
        self._names = {http.host.lower().strip("[]"), public.hostname or ""} - WILDCARDS
        self._any_own_address = http.host in WILDCARDS
        self._public_origin = f"{public.scheme}://{public.netloc}".lower() if public.netloc else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_guarded(message: Message) -> None:
            if message["type"].endswith("http.response.start"):
                outgoing = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    outgoing.setdefault(name, value)
            await send(message)

        if not self._host_is_ours(headers.get("host", ""), scope):
            await PlainTextResponse(words.HOST, 421)(scope, receive, send_guarded)
        elif not self._origin_is_ours(headers, scope):
            await PlainTextResponse(words.ORIGIN, 403)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _host_is_ours(self, header: str, scope: Scope) -> bool:
        name = host_name(header)
        if is_loopback(name) or name in self._names:
            return True
        server = scope.get("server")
        return self._any_own_address and server is not None and name == server[0]

    def _origin_is_ours(self, headers: Headers, scope: Scope) -> bool:
        origin = headers.get("origin")
        if origin is None:
            safe = scope["type"] == "http" and scope["method"] in SAFE_METHODS
            return safe or "authorization" in headers or scope["path"].startswith("/hooks/")
        host = headers["host"].lower()
        return origin.lower() in {f"http://{host}", f"https://{host}", self._public_origin}
