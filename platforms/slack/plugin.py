"""The plugin: its settings, accounts, the address that Slack sends to and the pages on which workspaces install an app."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from starlette.routing import BaseRoute

from chatelier import Gateway, Kind, OperatorMust, Platform, Settings, hookimpl

from . import words
from .records import KINDS
from .settings import SlackSettings

if TYPE_CHECKING:
    from .adapter import Slack
    from .workspaces import App

SECTION = "platforms.slack"


class Plugin:
    def __init__(self) -> None:
        self._accounts: list[Slack] | None = None

    @hookimpl
    def register_settings(self, register: Callable[[str, type[BaseModel]], None]) -> None:
        register(SECTION, SlackSettings)

    @hookimpl
    def register_kinds(self, register: Callable[[Kind[Any]], None]) -> None:
        for kind in KINDS:
            register(kind)

    @hookimpl
    def register_platforms(self, register: Callable[[Platform], None], settings: Settings) -> None:
        for account in self._of(settings):
            register(account)

    @hookimpl
    def register_routes(self, register: Callable[[BaseRoute], None], settings: Settings) -> None:
        hooked = [account for account in self._of(settings) if account.is_hooked]
        if hooked:
            from .webhook import route  # noqa: PLC0415 - the library is loaded only where it is used

            for account in hooked:
                register(route(account))
        if apps := self._apps(settings):
            from .install import routes  # noqa: PLC0415 - as above

            for app in apps:
                for each in routes(app):
                    register(each)

    @hookimpl
    def lifespan(self, gateway: Gateway, settings: Settings) -> AbstractAsyncContextManager[None] | None:
        apps = self._apps(settings)
        if not apps:
            return None
        from .workspaces import followed  # noqa: PLC0415 - as above

        return followed(apps, gateway)

    def _apps(self, settings: Settings) -> "list[App]":
        """Those that workspaces install by themselves."""
        accounts = self._of(settings)
        if not any(one.client_id for one in settings.of(SECTION, SlackSettings).by_name.values()):
            return []
        from .workspaces import App  # noqa: PLC0415 - as above

        return [account for account in accounts if isinstance(account, App)]

    def _of(self, settings: Settings) -> "list[Slack]":
        """The same objects for both hooks, whichever is called first. Raises OperatorMust without the library."""
        if self._accounts is None:
            wanted = settings.of(SECTION, SlackSettings).by_name
            self._accounts = []
            if wanted:
                try:
                    from .adapter import Slack  # noqa: PLC0415 - as above
                    from .workspaces import App  # noqa: PLC0415 - as above
                except ImportError as missing:
                    raise OperatorMust(words.NO_LIBRARY) from missing
                url = settings.http.public_url or ""
                self._accounts = [
                    App(name, one, url) if one.client_id else Slack(name, one) for name, one in wanted.items()
                ]
        return self._accounts
