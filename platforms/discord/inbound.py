"""Messages and interactions of Discord → events of the core."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import discord

from chatelier import Called, ChatRef, Event, FileRef, Pressed, Said, Value

from . import words
from .commands import ATTACHMENT, MESSAGE, MORE
from .components import payload_of


def handle(user_id: int | str) -> str:
    """The same for all accounts: a person has one id on Discord."""
    return f"discord:{user_id}"


def place_of(account: str, channel: Any, channel_id: int, *, direct: bool) -> ChatRef:
    """A thread is a channel with a parent."""
    if isinstance(channel, discord.Thread):
        return ChatRef(platform=account, chat=str(channel.parent_id), thread=str(channel.id))
    return ChatRef(platform=account, chat=str(channel_id), direct=direct)


def target_of(chat: ChatRef) -> int:
    """The channel that a message goes to."""
    return int(chat.thread or chat.chat)


# --- messages


def is_direct(message: discord.Message) -> bool:
    channel = message.channel
    guild_id = getattr(channel, "guild_id", None) or getattr(getattr(channel, "guild", None), "id", None)
    return message.guild is None and guild_id is None


def message_event(
    message: discord.Message, account: str, me: int, commands: Iterable[str], *, edited: bool = False
) -> Event | None:
    """None for what nobody said to us: service messages, what bots say, and what the bot may not read."""
    if message.author.bot or message.webhook_id or message.type not in (
        discord.MessageType.default,
        discord.MessageType.reply,
    ):  # fmt: skip
        return None
    direct = is_direct(message)
    text, files = addressed(message.content, me, commands), files_of(message, account)
    answered = message.reference.resolved if message.reference else None
    author = answered.author if isinstance(answered, discord.Message) else None
    if isinstance(answered, discord.Message) and not files and not answered.author.bot:
        files = files_of(answered, account)
    if not (text or files):
        return None
    reply_to = str(message.reference.message_id) if message.reference and message.reference.message_id else ""
    said = Said(
        text=text,
        files=files,
        reply_to=reply_to,
        answered=handle(author.id) if author and not author.bot else "",
        edited=edited,
    )
    event_key = f"edit.{message.id}.{message.edited_at:%s}" if edited else f"message.{message.id}"
    return Event(
        keys=(event_key, str(message.id)),
        chat=place_of(account, message.channel, message.channel.id, direct=direct),
        sender=handle(message.author.id),
        name=message.author.display_name,
        admin=not direct and isinstance(message.author, discord.Member) and is_admin(message.author.guild_permissions),
        body=said,
        native={"event": str(message.id)},
    )


def is_admin(permissions: discord.Permissions) -> bool:
    return permissions.administrator or permissions.manage_guild


def addressed(content: str, me: int, commands: Iterable[str]) -> str:
    """The text without our name before it. Behind our name a command needs no slash."""
    text = content.strip()
    for name in (f"<@{me}>", f"<@!{me}>"):
        if text.startswith(name):
            text = text[len(name) :].lstrip(" ,:\n")
            first = text.partition(" ")[0].partition("\n")[0]
            return f"/{text}" if first.lower() in set(commands) else text
    return text


def files_of(message: discord.Message, account: str) -> tuple[FileRef, ...]:
    """By message and place in it: an address is good for a day only."""
    return tuple(
        FileRef(
            platform=account,
            ref=f"{message.channel.id}.{message.id}.{file.id}",
            name=file.filename,
            mime=file.content_type or "",
            size=file.size,
        )
        for file in message.attachments
    )


def file_of(data: Mapping[str, Any], account: str) -> FileRef:
    """Of an interaction, which belongs to no message yet: it is read at once, by its address."""
    return FileRef(
        platform=account,
        ref=str(data["url"]),
        name=str(data.get("filename", "")),
        mime=str(data.get("content_type") or ""),
        size=int(data.get("size", 0)),
    )


# --- interactions


def interaction_event(interaction: discord.Interaction[Any], account: str, body: Any) -> Event:
    direct = interaction.guild_id is None
    return Event(
        keys=(f"interaction.{interaction.id}",),
        chat=chat_of(interaction, account),
        sender=handle(interaction.user.id),
        name=interaction.user.display_name,
        admin=not direct and is_admin(interaction.permissions),
        body=body,
        native={
            "event": str(interaction.id),
            "interaction": str(interaction.id),
            "application": str(interaction.application_id),
            "secret.token": interaction.token,
            **({"press": "yes"} if interaction.type is discord.InteractionType.component else {}),
        },
    )


def chat_of(interaction: discord.Interaction[Any], account: str) -> ChatRef:
    return place_of(account, interaction.channel, interaction.channel_id or 0, direct=interaction.guild_id is None)


def called(data: Mapping[str, Any], account: str) -> Called | Said | Pressed | None:
    """A command, with its options as they were given. None: it is about a message that is no result."""
    resolved = data.get("resolved", {})
    if data.get("type") == MESSAGE:
        return _on_message(data, account)
    files: Mapping[str, Any] = resolved.get("attachments", {})
    options: dict[str, Value] = {}
    for one in data.get("options", ()):
        is_file = one.get("type") == ATTACHMENT
        options[one["name"]] = file_of(files[str(one["value"])], account) if is_file else one["value"]
    if data["name"] == MORE and "command" in options:
        file = options.get("file")
        text = f"/{options['command']} {options.get('text', '')}".rstrip()
        return Said(text=text, files=(file,) if isinstance(file, FileRef) else ())
    return Called(command=data["name"], options=options)


def _on_message(data: Mapping[str, Any], account: str) -> Said | Pressed | None:
    """From the menu of a message: its files come along, or its own button for what it is made of is pressed."""
    id_ = str(data.get("target_id", ""))
    message = data.get("resolved", {}).get("messages", {}).get(id_, {})
    if data["name"] == words.INFO:
        return next((Pressed(payload=each, message_id=id_) for each in _info_buttons(message)), None)
    channel = message.get("channel_id", "")
    files = tuple(
        FileRef(
            platform=account,
            ref=f"{channel}.{id_}.{file['id']}",
            name=str(file.get("filename", "")),
            mime=str(file.get("content_type") or ""),
            size=int(file.get("size", 0)),
        )
        for file in message.get("attachments", ())
    )
    return Said(text="" if files else str(message.get("content", "")), files=files, reply_to=id_)


def _info_buttons(message: Mapping[str, Any]) -> Iterator[str]:
    buttons = [each for row in message.get("components", ()) for each in row.get("components", ())]
    return (payload_of(each) for each in buttons if words.INFO in each.get("label", "") and "custom_id" in each)


def pressed(data: Mapping[str, Any], message_id: int | None) -> Pressed:
    return Pressed(payload=payload_of(data), message_id=str(message_id or ""))
