"""The app's manifest, from what the gateway has: https://docs.slack.dev/reference/app-manifest."""

from collections.abc import Sequence
from typing import Any

from chatelier import Published, shorten

from . import words
from .modals import USE
from .settings import AccountSettings

Wire = dict[str, Any]
SCOPES: Sequence[str] = (
    "app_mentions:read",
    "channels:history",
    "channels:read",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "groups:read",
    "im:history",
    "im:read",
    "im:write",
    "mpim:history",
    "mpim:read",
    "reactions:write",
    "users:read",
)
EVENTS: Sequence[str] = (
    "app_home_opened",
    "app_mention",
    "channel_id_changed",
    "channel_left",
    "group_left",
    "member_joined_channel",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
)
GOING: Sequence[str] = ("app_uninstalled", "tokens_revoked")
"""Where workspaces install the app by themselves."""
SUMMARY, HINT = 2_000, 1_000


def manifest(
    settings: AccountSettings,
    commands: Sequence[Published],
    name: str = "Chatelier",
    url: str = "",
    redirect_url: str = "",
) -> Wire:
    """url: where Slack sends to, for `mode: http`. redirect_url: where a browser comes back to, where workspaces install the app."""
    by_name = {each.name: each for each in commands}
    address = {"url": url} if settings.mode == "http" else {}
    request = {"request_url": url} if settings.mode == "http" else {}
    shortcut = {
        "name": words.USE_AS_INPUT,
        "type": "message",
        "callback_id": USE,
        "description": words.USE_AS_INPUT_SAYS,
    }
    return {
        "display_information": {"name": name, "description": words.APP_DESCRIPTION},
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": name, "always_online": True},
            "shortcuts": [shortcut],
            "slash_commands": [{**_slash(each, by_name), **address} for each in settings.commands],
        },
        "oauth_config": {
            **({"redirect_urls": [redirect_url]} if redirect_url else {}),
            "scopes": {"bot": list(SCOPES)},
        },
        "settings": {
            "event_subscriptions": {"bot_events": sorted([*EVENTS, *(GOING if settings.client_id else ())]), **request},
            "interactivity": {"is_enabled": True, **request},
            "org_deploy_enabled": False,
            "socket_mode_enabled": settings.mode == "socket",
            "token_rotation_enabled": False,
        },
    }


def _slash(command: str, by_name: dict[str, Published]) -> Wire:
    """A command of the gateway says what it is for; any other one lists them."""
    own = by_name.get(command.removeprefix("/"))
    if own is not None:
        hint = " ".join(f"[{option.name}]" for option in own.options if not option.aside and not option.advanced)
        said = shorten(own.summary, SUMMARY)
    else:
        names = ", ".join(name for name in sorted(by_name) if not by_name[name].operators)
        hint, said = f"{words.COMMAND_HINT} | {names}", words.COMMAND_SAYS
    return {"command": command, "description": said, "usage_hint": shorten(hint or " ", HINT), "should_escape": False}


def install_path(account: str) -> str:
    """Where a workspace installs the app, on the gateway's own address."""
    return f"/{account}/install"


def redirect_path(account: str) -> str:
    """Where Slack sends the browser back to."""
    return f"/{account}/oauth_redirect"


def redirect_url(public_url: str, account: str) -> str:
    return f"{public_url.rstrip('/')}{redirect_path(account)}"
