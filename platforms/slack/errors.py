"""Slack's errors in the words of the core: https://docs.slack.dev/reference/methods/chat.postMessage#errors and its neighbours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from chatelier import Gone, OperatorMust, Refused, Retry, Unavailable, Uncertain

from . import words

NOT_ALLOWED = frozenset(
    {
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "not_allowed_token_type",
        "no_permission",
    }
)
GONE = frozenset(
    {
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "message_not_found",
        "thread_not_found",
        "user_not_found",
        "user_disabled",
        "user_not_in_channel",
        "cannot_dm_bot",
        "file_not_found",
        "file_deleted",
    }
)
NOT_THERE = frozenset({"channel_not_found", "not_in_channel", "user_not_in_channel"})
"""The bot is not in the channel, where only the address that came with a command answers."""
NOT_DONE = frozenset({"service_unavailable", "team_added_to_org", "accesslimited"})
MAYBE_DONE = frozenset({"fatal_error", "internal_error", "request_timeout"})
"""Slack itself says that some of it may have happened."""
RETRY_SECONDS = 30.0
"""Where Slack asks for a pause and does not say how long."""


@contextmanager
def told() -> Iterator[None]:
    """Around each call of the library."""
    try:
        yield
    except SlackApiError as error:
        raise meant(error) from error
    except aiohttp.ClientConnectorError as away:
        raise Unavailable(f"Slack does not answer: {away.strerror}") from away
    except (TimeoutError, aiohttp.ClientError, OSError) as broken:
        raise Uncertain(f"The connection to Slack broke: {type(broken).__name__}") from broken


def meant(error: SlackApiError) -> Exception:
    """The error of the core that it is."""
    status, name = _status(error), code(error)
    if status == 429 or name in {"ratelimited", "rate_limited"}:
        return Retry(_pause(error))
    if name == "missing_scope":
        return OperatorMust(words.LACKS_SCOPE.format(scope=_body(error).get("needed", "")))
    if name in NOT_ALLOWED:
        return OperatorMust(f"Slack says {name}.")
    if name in GONE:
        return Gone(f"Slack says {name}.")
    if status == 503 or name in NOT_DONE:
        return Unavailable(f"Slack says {name or status}.")
    if status >= 500 or name in MAYBE_DONE or not name:
        return Uncertain(f"Slack says {name or status}.")
    return Refused(f"Slack says {name}.")


def code(error: SlackApiError) -> str:
    """Slack's own name of what is wrong, or ""."""
    return str(_body(error).get("error", ""))


def _body(error: SlackApiError) -> dict[str, Any]:
    data = getattr(error.response, "data", None)
    return data if isinstance(data, dict) else {}


def _status(error: SlackApiError) -> int:
    """Of an answer that the library could not read the response is aiohttp's own."""
    answer = error.response
    return int(getattr(answer, "status_code", 0) or getattr(answer, "status", 0))


def _pause(error: SlackApiError) -> float:
    try:
        return float(error.response.headers["Retry-After"])
    except (KeyError, TypeError, ValueError):
        return RETRY_SECONDS
