"""Webhooks: an address of its own for each attempt, and the route that they come in by.

ComfyDeploy signs nothing, so the address is the secret. It is derived and not stored: any process of the gateway, after any restart,
knows it again. What comes in is only a reason to look.
"""

import asyncio
import hmac
import json
import re
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote, unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

PATH = "/hooks/comfydeploy/"
LARGEST_BODY = 1_000_000
"""Bytes. Only the run's id is read from it; a larger one counts as empty."""

BODY_SECONDS = 10.0
RUN_ID = re.compile(r"[\w-]{1,100}")
Heard = Callable[[str, str], None]
"""Called with the attempt's id and the run's id, "" when it was not told."""


class Hooks:
    """public_url: where webhooks reach this gateway, "" for nowhere."""

    def __init__(self, api_key: str, public_url: str) -> None:
        # A key of its own, so that an address says nothing of the account's.
        self._key = hmac.digest(api_key.encode(), b"chatelier comfydeploy webhooks", "sha256")
        self._public_url = public_url

    @property
    def are_on(self) -> bool:
        return bool(self._public_url)

    def address(self, attempt: str) -> str:
        """ "" when webhooks cannot come in."""
        return f"{self._public_url}{PATH}{self.token(attempt)}" if self._public_url else ""

    def token(self, attempt: str) -> str:
        return f"{quote(attempt, safe='')}.{self._proof(attempt)}"

    def attempt_of(self, token: str) -> str | None:
        """Whose token this is, None for nobody's. Takes as long for a wrong one as for a right one."""
        attempt, _, proof = token.rpartition(".")
        attempt = unquote(attempt)
        return attempt if hmac.compare_digest(proof.encode(), self._proof(attempt).encode()) else None

    def _proof(self, attempt: str) -> str:
        return hmac.digest(self._key, attempt.encode(), "sha256").hex()


def attempt_in(address: str) -> str:
    """The attempt that a webhook address of ours, as a run tells it, is for; "" for another address."""
    _, found, token = address.rpartition(PATH)
    return unquote(token.rpartition(".")[0]) if found else ""


def route(hooks: Hooks, heard: Heard) -> Route:
    """Answers at once; a wrong token is a page that does not exist."""

    async def hear(request: Request) -> Response:
        attempt = hooks.attempt_of(request.path_params["token"])
        if attempt is None:
            return Response(status_code=404)
        heard(attempt, _run_in(await _body(request)))
        return Response(status_code=204)

    return Route(PATH + "{token}", hear, methods=["POST"])


async def _body(request: Request) -> bytes:
    """b"" for one that is too large, or does not come."""
    body = b""
    with suppress(ClientDisconnect, TimeoutError):
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > LARGEST_BODY:
                    return b""
        return body
    return b""


def _run_in(body: bytes) -> str:
    """The run that it says it is about. It goes into the path of a request, so it must look like an id."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    run = said.get("run_id") if isinstance(said, dict) else None
    return run if isinstance(run, str) and RUN_ID.fullmatch(run) else ""
