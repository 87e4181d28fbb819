"""The route of `/metrics`, behind the console's token, and what the gateway tells to be counted."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from chatelier import Job, Register, Runtime, Section, Settings, guard, hookimpl

if TYPE_CHECKING:
    from .meter import Meter


class MetricsSettings(Section):
    """The gateway in numbers, for Prometheus."""

    enabled: bool = Field(default=True, description="Whether `/metrics` answers. Who may open the console may read it.")


class Plugin:
    def __init__(self) -> None:
        self._meter: Meter | None = None

    @hookimpl
    def register_settings(self, register: Callable[[str, type[BaseModel]], None]) -> None:
        register("metrics", MetricsSettings)

    @hookimpl
    def lifespan(self, gateway: Runtime, settings: Settings) -> AbstractAsyncContextManager[None] | None:
        if not settings.of("metrics", MetricsSettings).enabled:
            return None

        @asynccontextmanager
        async def life() -> AsyncIterator[None]:
            # The client library is loaded only where it is used; that reads many files.
            meter = await asyncio.to_thread(import_module, ".meter", __package__)
            self._meter = meter.Meter(gateway)
            try:
                yield
            finally:
                self._meter = None

        return life()

    @hookimpl
    def register_routes(self, register: Register[BaseRoute], settings: Settings) -> None:
        if settings.of("metrics", MetricsSettings).enabled:
            register(Route("/metrics", self._metrics, middleware=[guard(settings.http, "console")]))

    @hookimpl
    def job_changed(self, job: Job, before: Job) -> None:
        if self._meter is not None:
            self._meter.job_changed(job, before)

    @hookimpl
    def backend_changed(self, backend: str, state: Literal["down", "up"]) -> None:
        if self._meter is not None and state == "down":
            self._meter.outages.labels(backend).inc()

    async def _metrics(self, request: Request) -> Response:
        assert self._meter is not None  # noqa: S101 - routes are served inside the lifespan
        return await self._meter.answer()
