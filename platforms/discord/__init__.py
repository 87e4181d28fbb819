"""Discord, by discord.py. docs/discord.md leads from the developer portal to the first picture."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from chatelier import Kind, OperatorMust, Platform, Settings, hookimpl

from . import words
from .records import KINDS
from .settings import DiscordSettings

SECTION = "platforms.discord"


class Plugin:
    @hookimpl
    def register_settings(self, register: Callable[[str, type[BaseModel]], None]) -> None:
        register(SECTION, DiscordSettings)

    @hookimpl
    def register_kinds(self, register: Callable[[Kind[Any]], None]) -> None:
        for kind in KINDS:
            register(kind)

    @hookimpl
    def register_platforms(self, register: Callable[[Platform], None], settings: Settings) -> None:
        section = settings.of(SECTION, DiscordSettings)
        wanted = section.by_name
        if not wanted:
            return
        try:
            from .adapter import Discord  # noqa: PLC0415 - the library is loaded only where it is used
        except ImportError as missing:
            raise OperatorMust(words.NO_LIBRARY) from missing
        for name, one in wanted.items():
            register(Discord(name, one, api_url=section.api_url, gateway_url=section.gateway_url))
