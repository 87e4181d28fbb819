"""Who may open a page: whoever holds its token, or, without one, whoever sits at the machine, unless the world comes there too."""

import hashlib
import hmac
import html
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..clock import Clock, SystemClock
from . import words
from .hosts import HttpSettings, host_name, is_loopback

Which = Literal["chat", "console"]
SETTINGS: dict[Which, str] = {"chat": "http.token", "console": "http.console_token"}
COOKIE_SECONDS = 30 * 24 * 3600
WRONG_A_MINUTE = 10
FORWARDING_HEADERS = (
    "cf-connecting-ip", "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
)  # fmt: skip
LOGIN_BYTES = 10_000


@lru_cache(maxsize=16)
def cookie_value(token: str, which: Which) -> str:
    """What the cookie holds. Slow to derive, so that a stolen cookie does not give a weak token away."""
    return hashlib.pbkdf2_hmac("sha256", token.encode(), f"chatelier {which}".encode(), 100_000).hex()


def closed(http: HttpSettings) -> list[str]:
    """The settings of the tokens without which a page is closed to everybody.

    A plain proxy sends what somebody at this machine would send, so where strangers come through one nobody is a local.
    """
    if not http.public_url or is_loopback(urlsplit(http.public_url).hostname or ""):
        return []
    return [setting for which, setting in SETTINGS.items() if not _token(http, which)]


def _token(http: HttpSettings, which: Which) -> str:
    secret = http.token if which == "chat" else http.console_token
    return secret.get_secret_value() if secret else ""


class Entrance:
    """The door of one token. Wrong tokens are counted for each address, the cookie is not: it cannot be guessed."""

    def __init__(self, http: HttpSettings, which: Which, clock: Clock | None = None) -> None:
        self.which: Which = which
        self.setting = SETTINGS[which]
        self.token = _token(http, which)
        self._is_closed = self.setting in closed(http)
        self._cookie = f"chatelier_{which}"
        self._cookie_value = cookie_value(self.token, which)
        self._secure = (http.public_url or "").startswith("https:")
        self._clock = clock or SystemClock()
        self._wrong: dict[str, deque[float]] = {}

    def lets_in(self, connection: HTTPConnection) -> bool:
        if not self.token:
            return not self._is_closed and _sits_here(connection)
        cookie = connection.cookies.get(self._cookie, "")
        if hmac.compare_digest(cookie.encode(), self._cookie_value.encode()):
            return True
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.accepts(given.strip(), connection)

    def accepts(self, given: str, connection: HTTPConnection) -> bool:
        if not self.token or self.is_barred(connection):
            return False
        if hmac.compare_digest(given.encode(), self.token.encode()):
            return True
        self._wrong.setdefault(_peer(connection), deque(maxlen=WRONG_A_MINUTE)).append(self._clock.monotonic())
        return False

    def is_barred(self, connection: HTTPConnection) -> bool:
        """Ten wrong tokens from this address within the last minute."""
        since = self._clock.monotonic() - 60
        self._wrong = {peer: tries for peer, tries in self._wrong.items() if tries[-1] > since}
        tries = self._wrong.get(_peer(connection))
        return tries is not None and len(tries) == WRONG_A_MINUTE and tries[0] > since

    def give_cookie(self, response: Response) -> None:
        response.set_cookie(
            self._cookie, self._cookie_value, COOKIE_SECONDS, httponly=True, samesite="strict", secure=self._secure
        )

    def refusal(self, connection: HTTPConnection, sentence: str = "", status: int = 401, back: str = "") -> Response:
        """What somebody sees who is not let in: a page with the form for a browser, one sentence for the rest."""
        form = words.FORM.format(which=self.which, next=html.escape(back or connection.scope["path"]))
        if not self.token:
            sentence = words.CLOSED if self._is_closed else words.LOCAL_ONLY
            sentence, status, form = sentence.format(setting=self.setting), 403, ""
        elif self.is_barred(connection):
            sentence, status = words.TOO_MANY, 429
        sentence = sentence or words.LOCKED.format(setting=self.setting)
        # With "no-referrer" a browser hides the form's origin, and the form would be refused as a foreign page's.
        headers = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if "text/html" not in connection.headers.get("accept", ""):
            return PlainTextResponse(sentence, status, headers)
        return HTMLResponse(words.PAGE.format(words=html.escape(sentence), form=form), status, headers)


class Guarded:
    """Lets a request or a WebSocket handshake through to `app` when the entrance does."""

    def __init__(self, app: ASGIApp, *, entrance: Entrance) -> None:
        self._app = app
        self._entrance = entrance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        if self._entrance.lets_in(connection):
            await self._app(scope, receive, send)
        else:
            await self._entrance.refusal(connection)(scope, receive, send)


def guard(http: HttpSettings, which: Which) -> Middleware:
    """Put it on every route of a page: `Route("/console", page, middleware=[guard(settings.http, "console")])`."""
    return Middleware(Guarded, entrance=Entrance(http, which))


def holds_token(http: HttpSettings, which: Which) -> Callable[[HTTPConnection], bool]:
    """Whether a request proves that it comes from who holds the token; never, where there is none."""
    entrance = Entrance(http, which)
    return lambda connection: bool(entrance.token) and entrance.lets_in(connection)


def login_routes(http: HttpSettings, clock: Clock | None = None) -> list[BaseRoute]:
    """Where the form of a refusal goes."""
    entrances: dict[str, Entrance] = {which: Entrance(http, which, clock) for which in SETTINGS}

    async def login(request: Request) -> Response:
        entrance = entrances.get(request.path_params["which"])
        if entrance is None:
            return PlainTextResponse("There is nothing here.", 404)
        fields = parse_qs((await _body(request)).decode(errors="replace"))
        back = _own_path(fields.get("next", [""])[0])
        if entrance.accepts(fields.get("token", [""])[0].strip(), request):
            response = RedirectResponse(back, 303)
            entrance.give_cookie(response)
            return response
        return entrance.refusal(request, words.WRONG, back=back)

    async def style(request: Request) -> Response:
        return Response(words.STYLE, media_type="text/css")

    return [Route("/login/style.css", style), Route("/login/{which}", login, methods=["POST"])]


def _sits_here(connection: HTTPConnection) -> bool:
    """Nobody between: a proxy on this machine would make every stranger look like a local."""
    headers: Headers = connection.headers
    if any(name in headers for name in FORWARDING_HEADERS):
        return False
    return is_loopback(_peer(connection)) and is_loopback(host_name(headers.get("host", "")))


def _peer(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""


def _own_path(path: str) -> str:
    """A path on this host; anything that a browser could read as another host becomes the front page."""
    parts = urlsplit(path)
    inside = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.netloc and path.isprintable()
    return path if inside else "/"


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LOGIN_BYTES:
            return b""
    return body
