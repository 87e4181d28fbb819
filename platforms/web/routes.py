"""The page and everything that it asks for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from . import files
from .adapter import Web
from .people import visitor
from .sockets import Conversation
from .tabs import GOING_AWAY

PAGE = Path(__file__).parent / "page"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
PARTS = {path.name: path for path in PAGE.iterdir() if path.suffix in TYPES}


def routes(
    web: Web, guard: Middleware, *, secure: bool, is_operator: Callable[[HTTPConnection], bool]
) -> list[BaseRoute]:
    """secure: the page is reached by https, so its cookie travels by nothing else."""

    async def page(request: Request) -> Response:
        response = FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-store"})
        person = visitor(request)
        # Set again each time, so that it lasts a year from the last visit.
        response.headers.append("Set-Cookie", person.set_cookie(secure=secure))
        return response

    async def part(request: Request) -> Response:
        path = PARTS.get(request.path_params["name"])
        if path is None:
            return Response(status_code=404)
        return FileResponse(path, media_type=TYPES[path.suffix], headers={"Cache-Control": "no-cache"})

    async def socket(websocket: WebSocket) -> None:
        person = replace(visitor(websocket), operator=is_operator(websocket))
        cookie = [] if person.known else [(b"set-cookie", person.set_cookie(secure=secure).encode())]
        await websocket.accept(headers=cookie)
        if web.is_online:
            await Conversation(web, websocket, person).hold()
        else:
            await websocket.close(GOING_AWAY)

    async def upload(request: Request) -> Response:
        return await files.upload(web, request)

    async def take_away(request: Request) -> Response:
        return await files.take_away(web, request)

    async def media(request: Request) -> Response:
        return await files.show(web, request)

    guarded = [guard]
    return [
        Route("/", page, middleware=guarded),
        Route("/chat/page/{name}", part, middleware=guarded),
        WebSocketRoute("/chat/socket", socket, middleware=guarded),
        Route("/chat/files", upload, methods=["POST"], middleware=guarded),
        Route("/chat/files/{ref}", take_away, methods=["DELETE"], middleware=guarded),
        Route("/chat/media/{media}", media, middleware=guarded),
    ]
