"""The address that Slack sends to, for `mode: http`: events, commands, presses and forms alike."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from chatelier import Unavailable

from .adapter import Slack


def route(account: Slack) -> Route:
    """200 only once it is durable. 401 for what Slack did not sign within five minutes."""

    async def take(request: Request) -> Response:
        try:
            return await account.hook(request)
        except Unavailable:
            return PlainTextResponse("not now", 503)

    return Route(account.hook_path, take, methods=["POST"])
