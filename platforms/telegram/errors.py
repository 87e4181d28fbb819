"""Telegram's errors in the words of the core. The library rewrites texts, so they are compared without regard to case."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import httpx
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from chatelier import Gone, OperatorMust, Refused, Retry, Unavailable, Uncertain

os.environ.setdefault("PTB_TIMEDELTA", "1")  # how the library wants to be told that we know its next version's types

NOT_MODIFIED = "message is not modified"
"""It looks so already."""
TOO_LARGE = "request entity too large"
TOO_OLD = "query is too old"
DELETED = (
    "message to delete not found",
    "message can't be deleted for everyone",
    "message identifier is not specified",
)
GONE = (
    "chat not found",
    "message thread not found",
    "message to edit not found",
    "message to be replied not found",
    "topic_closed",
    "topic_deleted",
    "peer_id_invalid",
    "user is deactivated",
    "group chat was deactivated",
    "wrong file_id",
    "wrong file identifier",
)


GATEWAY = ("bad gateway", "gateway time-out", "gateway timeout")
"""What stands before Telegram's servers says so: they may have done it all the same."""


def _was_not_done(away: NetworkError) -> bool:
    """There was no connection, or Telegram itself answers that something is wrong with it."""
    cause = away.__cause__
    return isinstance(cause, NEVER_SENT) or (cause is None and not says(away, *GATEWAY))


@contextmanager
def told() -> Iterator[None]:
    """Around each call of the library."""
    try:
        yield
    except RetryAfter as later:
        raise Retry(_seconds(later)) from later
    except InvalidToken:
        raise OperatorMust("Telegram does not know this token.") from None  # the library's text holds it
    except (Forbidden, ChatMigrated) as gone:
        raise Gone(str(gone)) from gone
    except BadRequest as bad:
        raise (Gone if says(bad, *GONE) else Refused)(str(bad)) from bad
    except (TimedOut, NetworkError) as away:
        if says(away, TOO_LARGE):
            raise Refused(str(away)) from away
        raise (Unavailable if _was_not_done(away) else Uncertain)(str(away)) from away
    except TelegramError as other:
        raise Refused(str(other)) from other


NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def _seconds(later: RetryAfter) -> float:
    after = later.retry_after
    return after.total_seconds() if isinstance(after, timedelta) else float(after)


def says(error: TelegramError, *words: str) -> bool:
    text = str(error).lower()
    return any(each in text for each in words)
