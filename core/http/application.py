"""The application behind the one port: everybody's routes, the login and the two health pages."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import BaseRoute, Route

from .hosts import HostCheck, HttpSettings
from .tokens import Entrance, login_routes


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the gateway is. ready: it takes messages now. draining: but no orders. The rest says in words how each part is, by its name."""

    ready: bool
    draining: bool = False
    store: str = ""
    accounts: Mapping[str, str] = field(default_factory=dict)
    backends: Mapping[str, str] = field(default_factory=dict)
    stalls: Sequence[str] = ()


def application(http: HttpSettings, routes: Sequence[BaseRoute], health: Callable[[], Awaitable[Health]]) -> Starlette:
    """`/readyz` says to everybody whether, and to whoever may open the console also why."""
    console = Entrance(http, "console")

    async def healthz(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> JSONResponse:
        now = await health()
        body = asdict(now) if console.lets_in(request) else {"ready": now.ready}
        return JSONResponse(body, 200 if now.ready else 503, headers={"Cache-Control": "no-store"})

    own: list[BaseRoute] = [Route("/healthz", healthz), Route("/readyz", readyz), *login_routes(http)]
    return Starlette(routes=[*own, *routes], middleware=[Middleware(HostCheck, http=http)])
