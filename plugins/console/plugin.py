"""Routes of the page, behind the console's token."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from chatelier import (
    BadInput,
    ChatelierError,
    Gone,
    Register,
    Runtime,
    Section,
    Settings,
    Tx,
    cancel_job,
    guard,
    hookimpl,
    result_blob,
    set_draining,
    set_standing,
)

from . import view
from .backends import ACTIONS
from .charts import Charts
from .history import History

PAGE = Path(__file__).parent / "page"
THUMBNAIL_PIXELS = 192
# With "no-referrer", which is everybody's default here, a browser hides where a form comes from, and the form is refused.
HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
PARTS = frozenset(path for path in PAGE.iterdir() if path.suffix in TYPES)


class ConsoleSettings(Section):
    """The operator's page."""

    enabled: bool = Field(default=True, description="Whether `/console` answers at all.")


class Plugin:
    def __init__(self) -> None:
        self._runtime: Runtime | None = None
        self._charts: Charts | None = None

    @hookimpl
    def register_settings(self, register: Callable[[str, type[BaseModel]], None]) -> None:
        register("console", ConsoleSettings)

    @hookimpl
    def lifespan(self, gateway: Runtime) -> AbstractAsyncContextManager[None]:
        @asynccontextmanager
        async def life() -> AsyncIterator[None]:
            self._runtime = gateway
            self._charts = Charts(History(gateway.store, gateway.clock))
            try:
                yield
            finally:
                self._runtime = None

        return life()

    @hookimpl
    def register_routes(self, register: Register[BaseRoute], settings: Settings) -> None:
        if not settings.of("console", ConsoleSettings).enabled:
            return
        guarded = [guard(settings.http, "console")]
        for path, endpoint, method in (
            ("/console", self._page, "GET"),
            ("/console/now", self._now, "GET"),
            ("/console/page/{name}", self._part, "GET"),
            ("/console/thumbnail/{result}", self._thumbnail, "GET"),
            ("/console/cancel/{job}", self._cancel, "POST"),
            ("/console/refresh", self._refresh, "POST"),
            ("/console/backends/{action}/{name:path}", self._set_backend, "POST"),
            ("/console/drain/{how}", self._drain, "POST"),
        ):
            register(Route(path, endpoint, methods=[method], middleware=guarded))

    @property
    def runtime(self) -> Runtime:
        assert self._runtime is not None  # noqa: S101 - routes are served inside the lifespan
        return self._runtime

    async def _page(self, request: Request) -> Response:
        now, status = await self._look()
        return _html(view.page(now), status)

    async def _now(self, request: Request) -> Response:
        return _html(*await self._look())

    async def _look(self) -> tuple[str, int]:
        """What the page shows, or why it cannot, and the status."""
        try:
            assert self._charts is not None  # noqa: S101 - made with the runtime
            return await view.now(self.runtime, self._charts), 200
        except ChatelierError as away:
            return view.away(away), 503

    async def _part(self, request: Request) -> Response:
        if (path := PAGE / request.path_params["name"]) not in PARTS:
            return Response(status_code=404)
        return FileResponse(path, media_type=TYPES[path.suffix], headers={"Cache-Control": "no-cache"})

    async def _thumbnail(self, request: Request) -> Response:
        try:
            data = await result_blob(self.runtime, request.path_params["result"])
            small = await self.runtime.pictures.thumbnail(data, THUMBNAIL_PIXELS)
        except (Gone, BadInput):  # swept by now, or no picture
            return Response(status_code=404)
        except ChatelierError:
            return Response(status_code=503)
        return Response(small, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})

    async def _cancel(self, request: Request) -> Response:
        async def work(tx: Tx) -> str:
            return await cancel_job(tx, request.path_params["job"])

        return await self._change(work)

    async def _set_backend(self, request: Request) -> Response:
        action, name = request.path_params["action"], request.path_params["name"]
        if action not in ACTIONS or name not in self.runtime.fleet.members:
            return Response(status_code=404)

        async def work(tx: Tx) -> None:
            await set_standing(tx, name, **ACTIONS[action])

        return await self._change(work)

    async def _drain(self, request: Request) -> Response:
        how = request.path_params["how"]
        if how not in ("on", "off"):
            return Response(status_code=404)

        async def work(tx: Tx) -> None:
            await set_draining(tx, draining=how == "on")

        return await self._change(work)

    async def _change(self, work: Callable[[Tx], Awaitable[object]]) -> Response:
        try:
            await self.runtime.store.atomically(work)
        except ChatelierError as away:
            return _html(view.page(view.away(away)), 503)
        return RedirectResponse("/console", 303)

    async def _refresh(self, request: Request) -> Response:
        await self.runtime.catalogue.refresh()
        return RedirectResponse("/console", 303)


def _html(text: str, status: int) -> HTMLResponse:
    # Half a surrogate pair, which no UTF-8 holds, may be in what an older version or a plugin stored.
    return HTMLResponse(text.encode(errors="replace"), status, HEADERS)
