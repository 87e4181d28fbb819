"""The web platform behind the real port, with a gateway that says what a test tells it to."""

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from PIL import Image
from starlette.routing import BaseRoute

from chatelier import Button, ChatRef, Kind, Media, Outgoing, Platform, Settings
from chatelier.core.chat.document import Document, Paragraph, Text
from chatelier.core.http.application import Health, application
from chatelier.core.http.server import Address, serve
from chatelier.core.keys import token
from chatelier.core.settings import Http
from chatelier.platforms.web import Plugin
from chatelier.platforms.web.adapter import Web
from chatelier.platforms.web.settings import WebSettings
from chatelier.testing import ScriptedGateway
from networks import on_line


@dataclass
class Running:
    """The page on a real port. `port` 0 of the settings became `address`."""

    address: Address
    gateway: ScriptedGateway
    web: Web

    @property
    def url(self) -> str:
        return self.address.url


def settings_with(http: Http | None = None, web: WebSettings | None = None) -> Settings:
    settings = Settings(http=http or Http(port=0))
    return settings.with_sections({"platforms.web": web or WebSettings()})


@asynccontextmanager
async def running(http: Http | None = None, web: WebSettings | None = None) -> AsyncIterator[Running]:
    settings = settings_with(http, web)
    plugin = Plugin()
    platforms: list[Platform] = []
    routes: list[BaseRoute] = []
    kinds: list[Kind[Any]] = []
    plugin.register_kinds(kinds.append)
    plugin.register_platforms(platforms.append, settings)
    plugin.register_routes(routes.append, settings)
    (account,) = platforms
    assert isinstance(account, Web)
    gateway = ScriptedGateway(kinds)
    app = application(settings.http, routes, healthy)
    async with serve(app, settings.http.host, settings.http.port) as address, on_line(account, gateway):
        yield Running(address, gateway, account)


async def healthy() -> Health:
    return Health(ready=True, store="fine", accounts={"web": "on line"})


def picture(colour: str = "tomato", size: tuple[int, int] = (320, 200)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def words(text: str) -> Document:
    return Document((Paragraph((Text(text),)),))


def outgoing(
    chat: ChatRef,
    text: str = "",
    *,
    media: Sequence[Media] = (),
    buttons: Sequence[Sequence[Button]] = (),
    key: str = "",
) -> Outgoing:
    return Outgoing(key=key or token(), chat=chat, text=words(text) if text else None, media=media, buttons=buttons)
