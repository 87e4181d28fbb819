"""Fetching results. Their addresses come from outside: they are fetched as those that people send, through the core's guard."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx

from chatelier import BadInput, Gone, NotServed, Unavailable, fetch

from . import words
from .addresses import Reach

LARGEST_BYTES = 10_000_000_000
"""Of one result: hours of video."""

SECONDS = 1800.0
"""For a whole result, storing it included."""

EXPIRED = frozenset({401, 403, 404, 410})
"""What a file store answers once an address is no longer good."""


async def pieces(url: str, name: str, reach: Reach) -> AsyncGenerator[bytes, None]:
    """Raises Gone before the first piece when the address is no longer good, Unavailable, and BadInput for one nobody may go to."""
    allowed = await reach.allowed()
    try:
        async with aclosing(fetch(url, limit_bytes=LARGEST_BYTES, seconds=SECONDS, allow=allowed)) as found:
            async for piece in found:
                yield piece
    except NotServed as no:
        if no.status in EXPIRED:
            raise Gone(words.OUTPUT_GONE.format(name=name)) from no
        raise Unavailable(str(no)) from no
    except BadInput as error:
        if isinstance(error.__cause__, (httpx.HTTPError, OSError)):
            raise Unavailable(str(error)) from error
        raise
