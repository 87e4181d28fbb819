"""Telegram, by python-telegram-bot. docs/telegram.md leads from @BotFather to the first picture."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from starlette.routing import BaseRoute

from chatelier import Kind, OperatorMust, Payments, Platform, Settings, hookimpl

from . import words
from .records import FILES, MENUS
from .settings import TelegramSettings
from .stars import Stars

if TYPE_CHECKING:
    from .adapter import Telegram

SECTION = "platforms.telegram"


class Plugin:
    def __init__(self) -> None:
        self._accounts: list[Telegram] | None = None

    @hookimpl
    def register_settings(self, register: Callable[[str, type[BaseModel]], None]) -> None:
        register(SECTION, TelegramSettings)

    @hookimpl
    def register_kinds(self, register: Callable[[Kind[Any]], None]) -> None:
        register(FILES)
        register(MENUS)

    @hookimpl
    def register_platforms(self, register: Callable[[Platform], None], settings: Settings) -> None:
        for account in self._of(settings):
            register(account)

    @hookimpl
    def register_payments(self, register: Callable[[Payments], None], settings: Settings) -> None:
        accounts = {account.name: account for account in self._of(settings)}
        wanted = settings.of(SECTION, TelegramSettings).by_name
        selling = {name: one.stars for name, one in wanted.items() if one.stars.enabled}
        if selling:
            register(Stars(accounts, selling, settings.points.dollar))

    @hookimpl
    def register_routes(self, register: Callable[[BaseRoute], None], settings: Settings) -> None:
        hooked = [account for account in self._of(settings) if account.is_hooked]
        if hooked:
            from .webhook import route  # noqa: PLC0415 - the library is loaded only where it is used

            for account in hooked:
                register(route(account))

    def _of(self, settings: Settings) -> "list[Telegram]":
        """The same objects for both hooks, whichever is called first. Raises OperatorMust without the library."""
        if self._accounts is None:
            wanted = settings.of(SECTION, TelegramSettings).by_name
            self._accounts = []
            if wanted:
                try:
                    from .adapter import Telegram  # noqa: PLC0415 - as above
                except ImportError as missing:
                    raise OperatorMust(words.NO_LIBRARY) from missing
                public_url = settings.http.public_url
                self._accounts = [Telegram(name, one, public_url) for name, one in wanted.items()]
        return self._accounts
