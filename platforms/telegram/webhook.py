"""The address that Telegram sends updates to, for `mode: webhook`."""

import hmac

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from chatelier import Unavailable

from .adapter import Telegram

HEADER = "X-Telegram-Bot-Api-Secret-Token"


def route(account: Telegram) -> Route:
    """200 only once the update is durable; with anything else Telegram sends it again, later and later."""

    async def take(request: Request) -> Response:
        given = request.headers.get(HEADER, "").encode()
        if not hmac.compare_digest(given, account.hook_secret.encode()):
            return PlainTextResponse("wrong secret", 403)
        try:
            await account.hook(await request.json())
        except ValueError:
            return PlainTextResponse("not an update", 400)
        except Unavailable:
            return PlainTextResponse("not now", 503)
        return PlainTextResponse("ok")

    return Route(account.hook_path, take, methods=["POST"])
