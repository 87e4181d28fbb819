"""Messages of the core → what Discord takes."""

import io
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import discord

from chatelier import Media, Outgoing

from .components import rows
from .dialect import DiscordDialect
from .limits import ALT

NO_PREVIEWS, ONLY_FOR_ONE = 1 << 2, 1 << 6
"""Flags of a message."""
_DIALECT = DiscordDialect()
Read = Callable[[Media], Awaitable[bytes]]


def body(message: Outgoing, *, private: bool = False) -> dict[str, Any]:
    """Everything but the bytes; nobody is called by name in it. An edit with it takes away what it does not have."""
    return {
        "content": _DIALECT.render(message.text) if message.text else "",
        "components": rows(message.buttons),
        "attachments": [
            {"id": n, "filename": _name(media), **({"description": media.alt[:ALT]} if media.alt else {})}
            for n, media in enumerate(message.media)
        ],
        "allowed_mentions": {"parse": []},
        "flags": NO_PREVIEWS | (ONLY_FOR_ONE if private else 0),
    }


def sending(message: Outgoing) -> dict[str, Any]:
    """The same for a message in a channel: sent again within five minutes it is the first one."""
    made = {**body(message), "nonce": message.key, "enforce_nonce": True}
    if message.reply_to.isdecimal():
        made["message_reference"] = {"message_id": message.reply_to, "fail_if_not_exists": False}
    return made


def _name(media: Media) -> str:
    return f"SPOILER_{media.name}" if media.spoiler else media.name


async def request(payload: Mapping[str, Any], media: Sequence[Media], read: Read) -> dict[str, Any]:
    """How the library wants it: JSON, or a form with files that a second try reads again."""
    if not media:
        return {"json": payload}
    form: list[dict[str, Any]] = [{"name": "payload_json", "value": json.dumps(payload)}]
    files = []
    for n, each in enumerate(media):
        file = discord.File(io.BytesIO(each.inline or await read(each)), _name(each))
        files.append(file)
        form.append(
            {
                "name": f"files[{n}]",
                "value": file.fp,
                "filename": _name(each),
                "content_type": each.blob.mime or "application/octet-stream",
            }
        )
    return {"form": form, "files": files}
