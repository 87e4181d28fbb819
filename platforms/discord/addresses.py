"""Where Discord is. The library knows one place for the whole program."""

from collections.abc import Iterator
from contextlib import contextmanager

import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from chatelier import OperatorMust

from . import words

_USED: list[tuple[str, str]] = []


@contextmanager
def at(account: str, api_url: str, gateway_url: str) -> Iterator[None]:
    """Raises OperatorMust while another account is on line elsewhere."""
    wanted = (api_url.rstrip("/"), gateway_url)
    if any(used != wanted for used in _USED):
        raise OperatorMust(words.ELSEWHERE.format(account=account))
    _USED.append(wanted)
    Route.BASE = wanted[0]
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway_url)
    try:
        yield
    finally:
        _USED.remove(wanted)
