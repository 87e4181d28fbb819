"""The chat page in the browser. docs/web-protocol.md says what travels over its socket."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from starlette.routing import BaseRoute

from chatelier import Kind, Platform, Settings, guard, holds_token, hookimpl

from .adapter import Web
from .records import CHATS, FILES, MESSAGES, WAITING
from .routes import routes
from .settings import WebSettings

SECTION = "platforms.web"


class Plugin:
    def __init__(self) -> None:
        self._web: Web | None = None

    @hookimpl
    def register_settings(self, register: Callable[[str, type[BaseModel]], None]) -> None:
        register(SECTION, WebSettings)

    @hookimpl
    def register_kinds(self, register: Callable[[Kind[Any]], None]) -> None:
        for kind in (MESSAGES, CHATS, FILES, WAITING):
            register(kind)

    @hookimpl
    def register_platforms(self, register: Callable[[Platform], None], settings: Settings) -> None:
        web = self._account(settings)
        if web is not None:
            register(web)

    @hookimpl
    def register_routes(self, register: Callable[[BaseRoute], None], settings: Settings) -> None:
        web = self._account(settings)
        if web is not None:
            secure = settings.http.public_url.startswith("https:")
            is_operator = holds_token(settings.http, "console")
            for route in routes(web, guard(settings.http, "chat"), secure=secure, is_operator=is_operator):
                register(route)

    def _account(self, settings: Settings) -> Web | None:
        """One object for both hooks, whichever is called first; None when the page is off."""
        section = settings.of(SECTION, WebSettings)
        if self._web is None and section.enabled:
            self._web = Web(section, settings.retention)
        return self._web
