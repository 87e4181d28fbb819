"""Messages of the core → Slack's blocks."""

from collections.abc import Mapping, Sequence
from typing import Any

from chatelier import Button, Media, Outgoing

from . import words
from .dialect import SlackDialect, escaped, rich_text
from .inbound import FORM
from .limits import ALT_TEXT, FALLBACK, INLINE_TYPES

Wire = dict[str, Any]
MARK = "chatelier_message"
"""The type of the metadata by which a message is found again."""
STYLES: Mapping[str, str] = {"primary": "primary", "danger": "danger"}
_DIALECT = SlackDialect()


def is_shown(media: Media) -> bool:
    """In the message itself; anything else is shared as a file."""
    return not media.document and media.blob.mime in INLINE_TYPES


def fallback(message: Outgoing) -> str:
    """What a notification says. Slack reads it as mrkdwn, so nothing in it may mention anybody."""
    said = _DIALECT.render(message.text) if message.text else ""
    said = said.strip() or " ".join(media.alt or media.name for media in message.media) or words.APP_DESCRIPTION
    return escaped(said[:FALLBACK])


def blocks(message: Outgoing, pictures: Sequence[tuple[Media, str]]) -> list[Wire]:
    """pictures: each with the id of its file on Slack."""
    said = rich_text(message.text) if message.text else []
    return [*(picture(media, file) for media, file in pictures), *said, *buttons(message.buttons)]


def picture(media: Media, file: str) -> Wire:
    alt = media.alt or media.name or "picture"
    return {"type": "image", "slack_file": {"id": file}, "alt_text": alt[:ALT_TEXT]}


def buttons(rows: Sequence[Sequence[Button]]) -> list[Wire]:
    """An `action_id` is unique in its message; what a button carries is its value."""
    return [
        {"type": "actions", "elements": [_button(button, f"b.{y}.{x}") for x, button in enumerate(row)]}
        for y, row in enumerate(rows)
    ]


def _button(button: Button, action_id: str) -> Wire:
    shown: Wire = {
        "type": "button",
        "action_id": action_id,
        "text": {"type": "plain_text", "text": button.label, "emoji": True},
    }
    shown |= {"url": button.url} if button.url else {"value": button.payload}
    return shown | ({"style": STYLES[button.style]} if button.style in STYLES else {})


def mark(message: Outgoing) -> Wire:
    return {"event_type": MARK, "event_payload": {"key": message.key}}


def key_in(message: Mapping[str, Any]) -> str:
    """Of a message in the history: the key that it was sent with, or ""."""
    metadata = message.get("metadata") or {}
    return str(metadata.get("event_payload", {}).get("key", "")) if metadata.get("event_type") == MARK else ""


def form_opener(key: str) -> list[Wire]:
    """Slack shows a form only to who just pressed something."""
    opener = {
        "type": "button",
        "action_id": FORM,
        "value": key,
        "style": "primary",
        "text": {"type": "plain_text", "text": words.OPEN_FORM_BUTTON},
    }
    said = {"type": "section", "text": {"type": "plain_text", "text": words.OPEN_FORM}}
    return [said, {"type": "actions", "elements": [opener]}]
