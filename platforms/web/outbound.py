"""The core's language → what the page is told."""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from chatelier import Choice, Dialect, Form, Media, Outgoing, Published

from .limits import INLINE_TYPES
from .records import Message, Shown

Wire = dict[str, Any]


def media_id() -> str:
    """What nobody can guess."""
    return secrets.token_urlsafe(16)


def record(message: Outgoing, dialect: Dialect) -> Message:
    """What is kept of a message: everything but previews."""
    media = tuple(
        Shown(
            id=media_id(),
            blob=each.blob,
            name=each.name,
            alt=each.alt,
            document=each.document,
            spoiler=each.spoiler,
        )
        for each in message.media
        if not each.inline
    )
    return Message(
        key=message.key,
        chat=message.chat.chat,
        html=dialect.render(message.text) if message.text else "",
        media=media,
        media_ids=tuple(shown.id for shown in media),
        buttons=tuple(tuple(row) for row in message.buttons),
        reply_to=message.reply_to,
        private=bool(message.private_to),
    )


def message(record: Message, previews: Sequence[Media] = ()) -> Wire:
    return {
        "key": record.key,
        "id": record.key.removeprefix(f"{record.chat}.") if record.mine else "",
        "place": record.place,
        "mine": record.mine,
        "text": record.text,
        "html": record.html,
        "media": [_preview(each) for each in previews] + [_shown(each) for each in record.media],
        "buttons": [[_button(asdict(button)) for button in row] for row in record.buttons],
        "reply_to": record.reply_to,
        "private": record.private,
        "sign": record.sign,
        "at": record.created_at.isoformat() if record.created_at else "",
    }


def _button(button: Wire) -> Wire:
    """A button may open a page, never a script."""
    return button if button["url"].startswith(("https://", "http://")) else button | {"url": ""}


def _shown(shown: Shown) -> Wire:
    blob = shown.blob
    return {
        "src": f"/chat/media/{shown.id}",
        "kind": "file" if shown.document or blob.mime not in INLINE_TYPES else blob.kind,
        "name": shown.name,
        "alt": shown.alt,
        "width": blob.width,
        "height": blob.height,
        "size": blob.size,
        "spoiler": shown.spoiler,
        "preview": False,
    }


def _preview(media: Media) -> Wire:
    data = base64.b64encode(media.inline).decode()
    return {
        "src": f"data:{media.blob.mime};base64,{data}",
        "kind": media.blob.kind,
        "name": media.name,
        "alt": media.alt,
        "width": media.blob.width,
        "height": media.blob.height,
        "size": media.blob.size,
        "spoiler": False,
        "preview": True,
    }


def previews(message: Outgoing) -> list[Media]:
    return [each for each in message.media if each.inline and each.blob.mime in INLINE_TYPES]


def form(form: Form) -> Wire:
    return asdict(form)


def commands(published: Sequence[Published]) -> list[Wire]:
    return [
        {"name": each.name, "summary": each.summary, "options": [asdict(option) for option in each.options]}
        for each in published
    ]


def choices(found: Sequence[Choice]) -> list[Wire]:
    return [{"value": choice.value, "label": choice.label or choice.value} for choice in found]
