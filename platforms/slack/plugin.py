"""The plugin: its settings, accounts and the address that Slack sends to."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from starlette.routing import BaseRoute

from chatelier import Kind, OperatorMust, Platform, Settings, hookimpl

from . import words
from .records import KINDS
from .settings import SlackSettings

if TYPE_CHECKING:
    from .adapter import Slack

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

    def _of(self, settings: Settings) -> "list[Slack]":
        """The same objects for both hooks, whichever is called first. Raises OperatorMust without the library."""
        if self._accounts is None:
            wanted = settings.of(SECTION, SlackSettings).by_name
            self._accounts = []
            if wanted:
                try:
                    from .adapter import Slack  # noqa: PLC0415 - as above
                except ImportError as missing:
                    raise OperatorMust(words.NO_LIBRARY) from missing
                self._accounts = [Slack(name, one) for name, one in wanted.items()]
        return self._accounts
