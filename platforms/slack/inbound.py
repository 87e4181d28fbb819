"""What Slack tells → the core's language. Payloads: https://docs.slack.dev/apis/events-api and /interactivity."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any

from chatelier import ChatChanged, ChatRef, Event, FileRef, Pressed, Said, Submitted

from . import modals

Wire = Mapping[str, Any]

TRIGGER, RESPONSE_URL = "secret.trigger", "secret.response_url"
"""In `Event.native`: what opens a form within 3 s, and what answers five times within 30 minutes."""
SAYING = frozenset({None, "file_share", "thread_broadcast", "me_message"})
"""The subtypes of messages that a person wrote."""
HOME, FORM = "home.", "form"
"""How the `action_id` of our own buttons begins."""
_ENTITY = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """Who this account is on Slack. scopes: what it was granted."""

    account: str
    team: str
    user: str
    name: str
    scopes: frozenset[str] = frozenset()


def message_id(channel: str, ts: str) -> str:
    """Timestamps are unique in a channel only; ours are in the account."""
    return f"{channel}.{ts}"


def native_id(id_: str) -> tuple[str, str]:
    """Channel and timestamp. Raises ValueError for what is none of ours."""
    channel, dot, ts = id_.partition(".")
    if not (dot and ts):
        raise ValueError("no message of Slack's")
    return channel, ts


def handle(team: str, user: str) -> str:
    return f"slack/{team}:{user}"


def user_of(handle: str, team: str) -> str:
    """Of a person of this workspace; "" for others."""
    place, _, user = handle.partition(":")
    return user if place == f"slack/{team}" else ""


def member(handle: str) -> str:
    """Slack's own id of somebody, of this workspace or of another one in a shared channel."""
    return handle.rpartition(":")[2]


def event_of(body: Wire, bot: Bot, commands: Collection[str]) -> Event | None:
    """commands: the names that there are. None for what is not for us: what bots say, and what nobody said."""
    if "event" in body:
        return _told(body, body["event"], bot, commands)
    if "command" in body:
        return _slash(body, bot, commands)
    match body.get("type"):
        case "block_actions":
            return _pressed(body, bot)
        case "view_submission":
            return _submitted(body, bot)
    return None


# --- events


def _told(body: Wire, event: Wire, bot: Bot, commands: Collection[str]) -> Event | None:
    key = f"event.{body['event_id']}"
    match event["type"]:
        case "message" | "app_mention":
            return _message(key, body, event, bot, commands)
        case "member_joined_channel" if event["user"] == bot.user:
            return _changed(key, event["channel"], bot, event.get("inviter") or bot.user, ChatChanged(what="joined"))
        case "channel_left" | "group_left":
            return _changed(key, event["channel"], bot, event.get("actor_id") or bot.user, ChatChanged(what="left"))
        case "channel_id_changed":
            moved = ChatChanged(what="migrated", to=event["new_channel_id"])
            return _changed(key, event["old_channel_id"], bot, bot.user, moved)
    return None


def _changed(key: str, channel: str, bot: Bot, user: str, body: ChatChanged) -> Event:
    chat = ChatRef(platform=bot.account, chat=channel)
    return Event(keys=(key,), chat=chat, sender=handle(bot.team, user), body=body)


def _message(key: str, body: Wire, event: Wire, bot: Bot, commands: Collection[str]) -> Event | None:
    """An edited message names the old one; what Slack changes by itself, such as a link's preview, is no edit."""
    channel, message, edited = event["channel"], event, False
    if event.get("subtype") == "message_changed":
        message, edited = event["message"], True
        if message.get("text") == event.get("previous_message", {}).get("text"):
            return None
    user = message.get("user")
    if message.get("subtype") not in SAYING or message.get("bot_id") or not user or user == bot.user:
        return None
    direct = event.get("channel_type") == "im" or channel.startswith("D")
    text = addressed(message.get("text") or "", bot, commands, direct=direct)
    files = files_of(message, bot.account)
    if not (text or files):
        return None
    ts, root = message["ts"], message.get("thread_ts", "")
    answers = root and root != ts
    parent = message.get("parent_user_id", "")
    said = Said(
        text=text,
        files=files,
        reply_to=message_id(channel, root) if answers else "",
        answered=handle(bot.team, parent) if answers and parent and parent != bot.user else "",
        edited=edited,
    )
    return Event(
        keys=(key, message_id(channel, ts)),
        chat=ChatRef(platform=bot.account, chat=channel, thread=root if answers else "", direct=direct),
        sender=handle(message.get("user_team") or message.get("team") or body["team_id"], user),
        body=said,
    )


def addressed(text: str, bot: Bot, commands: Collection[str], *, direct: bool) -> str:
    """The words as they were typed. What is said to the bot alone may leave the slash of a command out: Slack takes slashes for itself."""
    mention = re.compile(rf"^\s*<@{re.escape(bot.user)}(?:\|[^>]*)?>[\s:,]*")
    rest = mention.sub("", text, count=1)
    is_mine = direct or rest != text
    words = typed(rest)
    if not is_mine or words.startswith("/"):
        return words
    if not words.strip() and not direct:
        return "/help" if rest != text else ""
    first = words.split(maxsplit=1)[0].lower() if words.strip() else ""
    return f"/{words.lstrip()}" if first in commands else words


def typed(text: str) -> str:
    """Slack's entities as a person sees them; addresses as they are."""
    return unescape(_ENTITY.sub(_shown, text).replace("&nbsp;", " ")).strip()


def _shown(entity: re.Match[str]) -> str:
    target, label = entity[1], entity[2] or ""
    if target.startswith(("@", "#")):
        return f"{target[0]}{label.lstrip('@#') or target[1:]}"
    if target.startswith("!"):
        return label or f"@{target[1:].partition('^')[0]}"
    return target.removeprefix("mailto:") if label and target.startswith("mailto:") else target


def files_of(message: Wire, account: str) -> tuple[FileRef, ...]:
    """The address of a file is asked for when it is read; what is deleted or hidden is left out."""
    return tuple(
        FileRef(
            platform=account,
            ref=file["id"],
            name=file.get("name") or "file",
            mime=file.get("mimetype") or "",
            size=int(file.get("size") or 0),
        )
        for file in message.get("files") or ()
        if file.get("mode") not in {"tombstone", "hidden_by_limit", "external"}
    )


def shown_files(message: Wire, account: str) -> tuple[FileRef, ...]:
    """Those of the message, and of our own messages those of its picture blocks."""
    blocks = [block for block in message.get("blocks") or () if block.get("type") == "image" and "slack_file" in block]
    shown = tuple(
        FileRef(platform=account, ref=block["slack_file"]["id"], name="picture")
        for block in blocks
        if "id" in block["slack_file"]
    )
    return files_of(message, account) or shown


# --- commands, presses, forms


def _slash(body: Wire, bot: Bot, commands: Collection[str]) -> Event:
    """Not in threads, and without files: Slack has neither. A command that is one of ours needs no name behind it."""
    name, words = body["command"].removeprefix("/"), typed(body.get("text") or "")
    if name in commands:
        words = f"{name} {words}".strip()
    channel = body["channel_id"]
    return Event(
        keys=(f"slash.{body['trigger_id']}",),
        chat=ChatRef(platform=bot.account, chat=channel, direct=channel.startswith("D")),
        sender=handle(body["team_id"], body["user_id"]),
        name=body.get("user_name") or "",
        body=Said(text=f"/{words.removeprefix('/') or 'help'}"),
        native=native_of(body),
    )


def native_of(body: Wire) -> dict[str, str]:
    given = {TRIGGER: body.get("trigger_id"), RESPONSE_URL: body.get("response_url")}
    return {name: value for name, value in given.items() if value}


def _sender(body: Wire, bot: Bot) -> str:
    user = body["user"]
    return handle(user.get("team_id") or (body.get("team") or {}).get("id") or bot.team, user["id"])


def _pressed(body: Wire, bot: Bot) -> Event | None:
    """None for a button that opens a page. One of the home tab says its command in the direct chat, which the account looks up."""
    action = body["actions"][0]
    value = action.get("value")
    if not value:
        return None
    event = Event(
        keys=(f"action.{body['trigger_id']}.{action['action_ts']}",),
        chat=ChatRef(platform=bot.account, chat="", direct=True),
        sender=_sender(body, bot),
        name=body["user"].get("name") or body["user"].get("username") or "",
        body=Said(text=value),
        native=native_of(body),
    )
    if action["action_id"].startswith(HOME):
        return event
    where, message = body["container"], body.get("message") or {}
    channel, ts = where["channel_id"], where["message_ts"]
    root = message.get("thread_ts") or where.get("thread_ts") or ""
    return Event(
        keys=event.keys,
        chat=ChatRef(
            platform=bot.account,
            chat=channel,
            thread=root if root != ts else "",
            direct=channel.startswith("D"),
        ),
        sender=event.sender,
        name=event.name,
        body=Pressed(payload=value, message_id=message_id(channel, ts)),
        native=event.native,
    )


def waiting_form(body: Wire) -> str:
    """The key of the form that a press wants opened, or ""."""
    if body.get("type") != "block_actions":
        return ""
    action = body["actions"][0]
    return str(action["value"]) if action["action_id"] == FORM else ""


def _submitted(body: Wire, bot: Bot) -> Event:
    view = body["view"]
    said: Said | Submitted
    if view["callback_id"] == modals.USE:
        chat, said = ChatRef(platform=bot.account, chat="", direct=True), modals.used(view, bot.account)
    else:
        chat, form = modals.origin(view, bot.account)
        said = Submitted(form=form, values=modals.values(view, bot.account))
    return Event(
        keys=(f"view.{view['id']}",),
        chat=chat,
        sender=_sender(body, bot),
        name=body["user"].get("name") or "",
        body=said,
        native=native_of(body),
    )
