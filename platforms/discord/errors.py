"""Discord's errors in the words of the core: https://discord.com/developers/docs/topics/opcodes-and-status-codes."""

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import discord

from chatelier import Gone, OperatorMust, Refused, Retry, Unavailable, Uncertain

UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_INTERACTION, UNKNOWN_WEBHOOK = 10003, 10008, 10062, 10015
ANSWERED_BEFORE, BAD_WEBHOOK_TOKEN = 40060, 50027
NO_ACCESS, CANNOT_WRITE_TO = 50001, 50007
CLOSED = {UNKNOWN_INTERACTION, UNKNOWN_WEBHOOK, BAD_WEBHOOK_TOKEN}
"""What an interaction says once it can be answered no more."""
GONE = {UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, NO_ACCESS, CANNOT_WRITE_TO}
NO_NETWORK_SECONDS = 60.0
"""To wait where Discord bars the address without saying for how long."""


class Closed(Exception):
    """The interaction can be answered no more."""


@contextmanager
def told() -> Iterator[None]:
    """Around each call of the library. Raises Closed, too."""
    try:
        yield
    except discord.RateLimited as later:
        raise Retry(later.retry_after) from later
    except discord.LoginFailure as wrong:
        raise OperatorMust(str(wrong)) from None
    except discord.DiscordServerError as away:
        raise Uncertain(str(away)) from away
    except discord.HTTPException as no:
        raise _said(no) from no
    except aiohttp.ClientConnectorError as away:
        raise Unavailable(str(away)) from away
    except (TimeoutError, aiohttp.ClientError, OSError) as lost:
        raise Uncertain(str(lost) or type(lost).__name__) from lost


def _said(no: discord.HTTPException) -> Exception:
    if no.code in CLOSED:
        return Closed(str(no))
    if no.status == 401:
        return OperatorMust(str(no))
    if no.status == 429:  # not from Discord itself, but from what stands before it
        return Retry(NO_NETWORK_SECONDS)
    if no.code in GONE or isinstance(no, discord.NotFound):
        return Gone(str(no))
    return Refused(str(no))
