"""A sketch served as ComfyUI serves: the same routes, with and without `/api`, the same answers, the same socket."""

import asyncio
import io
import json
import mimetypes
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from PIL import Image
from starlette.applications import Starlette
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .engine import Message as Said
from .engine import Sight
from .faults import Faults
from .folders import split_mark
from .hub import FEATURES, Hub
from .models import FOLDERS, Models
from .registry import all_nodes, describe, object_info
from .validation import Rejected, problem
from .workshop import Workshop

VERSION = "0.3.64"
"""The ComfyUI whose protocol this is."""

MOST_BYTES = FEATURES["max_upload_size"]
TROUBLE = "500 Internal Server Error\n\nServer got itself in trouble"
"""The words of aiohttp, which ComfyUI is served by."""

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
UNSAFE_TYPES = {
    "text/html",
    "text/html-sandboxed",
    "application/xhtml+xml",
    "text/javascript",
    "text/css",
    "image/svg+xml",
}
"""Never answered as what they are: a browser would run them."""

Handler = Callable[[Request], Awaitable[Response]]


def create_app(
    root: Path, *, models: Models | None = None, faults: Faults | None = None, seconds: float = 0
) -> Starlette:
    """root: the folder for input, output and temp."""
    server = Server(root, models or Models(), faults or Faults(), seconds)
    troubles = dict.fromkeys((Trouble, ValueError, TypeError, AttributeError, OSError), _trouble)
    return Starlette(
        routes=server.routes(),
        middleware=[Middleware(Guard, server=server)],
        exception_handlers={TooLarge: _too_large, **troubles},
        lifespan=server.lifespan,
    )


class Server:
    def __init__(self, root: Path, models: Models, faults: Faults, seconds: float) -> None:
        self.faults = faults
        self.submitted = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._shop = Workshop(root, models, tell=self._tell, faults=faults, seconds=seconds)
        self._hub = Hub(faults, self._shop.remaining)

    @property
    def frozen(self) -> bool:
        return 0 < self.faults.freeze_after <= self.submitted

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._shop.start)
        try:
            yield
        finally:
            await asyncio.to_thread(self._shop.stop)

    def _tell(self, message: Said | Sight) -> None:
        if self._loop is not None and not self._loop.is_closed() and not self.frozen:
            self._loop.call_soon_threadsafe(self._hub.deliver, message)

    def routes(self) -> list[BaseRoute]:
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/prompt", self.load),
            ("POST", "/prompt", self.submit),
            ("GET", "/queue", self.queue),
            ("POST", "/queue", self.change_queue),
            ("POST", "/interrupt", self.interrupt),
            ("GET", "/history", self.histories),
            ("POST", "/history", self.change_history),
            ("GET", "/history/{prompt_id}", self.history),
            ("GET", "/view", self.view),
            ("POST", "/upload/image", self.upload),
            ("GET", "/object_info", self.object_info),
            ("GET", "/object_info/{name}", self.object_info_of),
            ("GET", "/system_stats", self.system_stats),
            ("GET", "/features", self.features),
            ("GET", "/models", self.model_folders),
            ("GET", "/models/{folder}", self.model_names),
            ("GET", "/embeddings", self.embeddings),
            ("POST", "/free", self.free),
        ]
        routes: list[BaseRoute] = [Route("/", _hello)]
        for prefix in ("", "/api"):
            routes += [Route(prefix + path, handler, methods=[method]) for method, path, handler in table]
            routes.append(WebSocketRoute(f"{prefix}/ws", self._hub.serve))
        return routes

    async def load(self, request: Request) -> Response:
        return JSONResponse({"exec_info": {"queue_remaining": self._shop.remaining()}})

    async def submit(self, request: Request) -> Response:
        body = await _json(request)
        if not isinstance(body, dict) or "prompt" not in body:
            said = "No prompt provided"
            return JSONResponse({"error": problem("no_prompt", said, said), "node_errors": {}}, 400)
        graph, number, extra = body["prompt"], body.get("number"), dict(body.get("extra_data") or {})
        if not isinstance(graph, dict) or not all(isinstance(node, dict) for node in graph.values()):
            raise Trouble
        if "client_id" in body:
            extra["client_id"] = body["client_id"]
        try:
            accepted = await asyncio.to_thread(
                self._shop.submit,
                graph,
                prompt_id=str(body.get("prompt_id") or ""),
                number=None if number is None else float(number),
                front=bool(body.get("front")),
                extra=extra,
                targets=body.get("partial_execution_targets"),
            )
        except Rejected as rejected:
            return JSONResponse(rejected.body, 400)
        self.submitted += 1
        return JSONResponse({"prompt_id": accepted.id, "number": accepted.number, "node_errors": accepted.node_errors})

    async def queue(self, request: Request) -> Response:
        running, pending = self._shop.queue()
        return JSONResponse(
            {"queue_running": [job.entry() for job in running], "queue_pending": [job.entry() for job in pending]}
        )

    async def change_queue(self, request: Request) -> Response:
        body = await _json(request)
        if body.get("clear"):
            self._shop.delete()
        if "delete" in body:
            self._shop.delete(body["delete"])
        return Response()

    async def interrupt(self, request: Request) -> Response:
        try:
            body = await request.json()
        except ValueError:
            body = {}
        self._shop.interrupt(body.get("prompt_id") if isinstance(body, dict) else None)
        return Response()

    async def histories(self, request: Request) -> Response:
        most, offset = request.query_params.get("max_items"), request.query_params.get("offset", "-1")
        return JSONResponse(self._shop.histories(int(most) if most is not None else None, int(offset)))

    async def history(self, request: Request) -> Response:
        prompt_id = request.path_params["prompt_id"]
        found = self._shop.history(prompt_id)
        return JSONResponse({prompt_id: found} if found else {})

    async def change_history(self, request: Request) -> Response:
        body = await _json(request)
        if body.get("clear"):
            self._shop.forget_history()
        if "delete" in body:
            self._shop.forget_history(body["delete"])
        return Response()

    async def view(self, request: Request) -> Response:
        asked = request.query_params
        name, kind = split_mark(asked.get("filename", ""), asked.get("type", "output"))
        if not name:
            return Response(status_code=404)
        if name.startswith("/") or ".." in name or kind not in {"input", "output", "temp"}:
            return Response(status_code=400)
        folder = self._shop.folders.inside(kind, asked.get("subfolder", ""))
        if folder is None or "\0" in str(folder) + name:
            return Response(status_code=403)
        path = folder / os.path.basename(name)
        if not await asyncio.to_thread(path.is_file):
            return Response(status_code=404)
        headers = {"Content-Disposition": f'filename="{path.name}"'}
        if not path.name.isascii():
            headers = {}
        if "preview" in asked or "channel" in asked:
            return await asyncio.to_thread(_shown, path, asked.get("preview"), asked.get("channel", ""), headers)
        guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return FileResponse(
            path, headers=headers, media_type="application/octet-stream" if guessed in UNSAFE_TYPES else guessed
        )

    async def upload(self, request: Request) -> Response:
        async with request.form() as form:
            image = form.get("image")
            if not isinstance(image, UploadFile) or not image.filename:
                return Response(status_code=400)
            kind, subfolder = _field(form, "type") or "input", _field(form, "subfolder")
            if kind not in {"input", "output", "temp"}:
                raise Trouble
            name = await asyncio.to_thread(
                self._shop.folders.receive,
                image.filename,
                await image.read(),
                kind=kind,
                subfolder=subfolder,
                overwrite=_field(form, "overwrite") in {"true", "1"},
            )
        if name is None:
            return Response(status_code=400)
        return JSONResponse({"name": name, "subfolder": subfolder, "type": kind})

    async def object_info(self, request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(object_info, self._shop.folders, self._shop.models))

    async def object_info_of(self, request: Request) -> Response:
        node = all_nodes().get(request.path_params["name"])
        if node is None:
            return JSONResponse({})
        return JSONResponse({node.name: await asyncio.to_thread(describe, node, self._shop.folders, self._shop.models)})

    async def system_stats(self, request: Request) -> Response:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
        system = {
            "os": os.name,
            "ram_total": total,
            "ram_free": free,
            "comfyui_version": VERSION,
            "python_version": sys.version,
            "pytorch_version": "none (Chatelier sketch)",
            "embedded_python": False,
            "argv": ["chatelier", "sketch"],
        }
        kind, index = "cpu", None
        if self.faults.memory:
            kind, index, total, free = "cuda", 0, self.faults.memory, self.faults.memory
        memory = {"vram_total": total, "vram_free": free, "torch_vram_total": total, "torch_vram_free": free}
        return JSONResponse({"system": system, "devices": [{"name": "sketch", "type": kind, "index": index, **memory}]})

    async def features(self, request: Request) -> Response:
        return JSONResponse(FEATURES)

    async def model_folders(self, request: Request) -> Response:
        return JSONResponse(list(FOLDERS))

    async def model_names(self, request: Request) -> Response:
        folder = request.path_params["folder"]
        return JSONResponse(self._shop.models.names(folder)) if folder in FOLDERS else Response(status_code=404)

    async def embeddings(self, request: Request) -> Response:
        return JSONResponse([name.rpartition(".")[0] or name for name in self._shop.models.names("embeddings")])

    async def free(self, request: Request) -> Response:
        body = await _json(request)
        if body.get("unload_models"):
            self.faults.free()
        if body.get("free_memory"):
            self._shop.free()
        return Response()


class Trouble(Exception):
    """A request that ComfyUI answers with its plain 500."""


class Guard:
    """What stands before every route: the origin, the size, the faults."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        if self._server.frozen:
            await asyncio.Event().wait()
        headers = Headers(scope=scope)
        if refused := self._refusal(scope, headers):
            await refused(scope, receive, send)
            return
        await self._app(scope, _limited(receive), send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        if foreign_origin(headers):
            return Response(status_code=403)
        if scope["type"] == "websocket":
            return None
        if self._server.faults.garbage:
            return PlainTextResponse("<html>502 Bad Gateway</html>", media_type="text/html")
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > MOST_BYTES:
            return _too_large()
        return None


class TooLarge(Exception):
    """More bytes came than may."""


def _too_large(*_about: object) -> Response:
    return PlainTextResponse(f"Maximum request body size {MOST_BYTES} exceeded.", 413)


def _trouble(*_about: object) -> Response:
    """A body of another shape than expected: the real server gets into trouble at the same places."""
    return PlainTextResponse(TROUBLE, 500)


def foreign_origin(headers: Mapping[str, str]) -> bool:
    """A page of another site talks to a server on this machine."""
    host, origin = headers.get("host", "").lower(), headers.get("origin", "").lower()
    if not host or not origin:
        return False
    there, here = urlsplit(origin), urlsplit(f"//{host}")
    if here.hostname not in LOOPBACK:
        return False
    same_port = there.port is None or here.port is None or there.port == here.port
    return there.hostname != here.hostname or not same_port


def _limited(receive: Receive) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MOST_BYTES:
            raise TooLarge
        return message

    return counted


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError as error:
        raise Trouble from error


async def _hello(request: Request) -> Response:
    return PlainTextResponse("This is a Chatelier sketch server. It speaks ComfyUI's protocol; it has no editor.\n")


def _field(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _shown(path: Path, preview: str | None, channel: str, headers: dict[str, str]) -> Response:
    buffer = io.BytesIO()
    with Image.open(path) as image:
        if preview is not None:
            kind, _, quality = preview.partition(";")
            kind = kind if kind in {"webp", "jpeg"} and "a" not in channel else "webp"
            drawn = image.convert("RGB") if kind == "jpeg" else image
            drawn.save(buffer, kind, quality=int(quality) if quality.isdigit() else 90)
            return Response(buffer.getvalue(), headers=headers, media_type=f"image/{kind}")
        if channel == "rgb":
            image.convert("RGB").save(buffer, "PNG")
        elif channel == "a":
            alpha = image.convert("RGBA").getchannel("A")
            Image.merge("RGBA", [Image.new("L", alpha.size)] * 3 + [alpha]).save(buffer, "PNG")
        else:
            return FileResponse(path, headers=headers)
    return Response(buffer.getvalue(), headers=headers, media_type="image/png")
