"""Where files of an account may lie: on the open Internet, unless the account itself is in a private network."""

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

from chatelier import Refused, Unavailable

from . import words

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
EVERYWHERE = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


class Reach:
    """base_url: of the account."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._allowed: tuple[Network, ...] | None = None

    async def allowed(self) -> tuple[Network, ...]:
        """Private networks that its files may be fetched from: all, when it is in one itself. Raises Unavailable."""
        if self._allowed is None:
            self._allowed = () if await _is_public(self._base_url) else EVERYWHERE
        return self._allowed

    async def check(self, url: str) -> None:
        """Whether a file may be sent there. Raises Refused, and Unavailable when its name leads nowhere."""
        if urlsplit(url).scheme not in {"http", "https"} or not (await self.allowed() or await _is_public(url)):
            raise Refused(words.UPLOAD_REFUSED)


async def _is_public(url: str) -> bool:
    """Whether every address of its host is on the open Internet."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        return all(ipaddress.ip_address(entry[4][0]).is_global for entry in found)
    except (OSError, ValueError) as error:  # a name that is none is a UnicodeError, which is a ValueError
        raise Unavailable(words.no_answer(urlsplit(url).netloc, words.REFUSED_CONNECTION)) from error
