"""Updates of Telegram → events of the core."""

from dataclasses import replace

from telegram import CallbackQuery, Chat, ChatMemberUpdated, Message, Update, User
from telegram.constants import ChatMemberStatus, ChatType

from chatelier import ChatChanged, ChatRef, Event, FileRef, Paid, Pressed, Said

from .stars import CURRENCY, STARS

UPDATES = ("message", "edited_message", "callback_query", "my_chat_member", "pre_checkout_query")
"""What is asked for."""
ANONYMOUS_ADMIN = 1087968824
"""The user that a group's anonymous administrators write as."""
AWAY = {ChatMemberStatus.LEFT, ChatMemberStatus.BANNED}


def message_id(chat: int | str, id_: int) -> str:
    """Message ids are unique in a chat only; ours are in the account."""
    return f"{chat}.{id_}"


def native_id(id_: str) -> int:
    """Telegram's own id. Raises ValueError for what is none of ours."""
    return int(id_.rpartition(".")[2])


def event_of(update: Update, account: str, bot: User) -> Event | None:
    """None for what is not for us: another bot's command, service messages, what bots say."""
    if update.message is not None:
        return _message(update, update.message, account, bot)
    if update.edited_message is not None:
        event = _message(update, update.edited_message, account, bot)
        said = event.body if event is not None else None
        return replace(event, body=replace(said, edited=True)) if event and isinstance(said, Said) else None
    if update.callback_query is not None:
        return _pressed(update, update.callback_query, account)
    if update.my_chat_member is not None:
        return _membership(update, update.my_chat_member, account)
    return None


def _message(update: Update, message: Message, account: str, bot: User) -> Event | None:
    sender = handle(message.sender_chat) if message.sender_chat else handle(message.from_user)
    is_admin = message.from_user is not None and message.from_user.id == ANONYMOUS_ADMIN
    event = Event(
        keys=(_update_key(update), message_id(message.chat.id, message.message_id)),
        chat=chat_of(account, message.chat, message),
        sender=sender,
        name=_name(message),
        admin=is_admin,
        body=Said(),
    )
    if message.migrate_to_chat_id is not None:
        return replace(event, body=ChatChanged(what="migrated", to=str(message.migrate_to_chat_id)))
    if (payment := message.successful_payment or message.refunded_payment) is not None:
        paid = Paid(
            invoice=payment.invoice_payload,
            charge=payment.telegram_payment_charge_id,
            amount=payment.total_amount,
            currency=payment.currency,
            provider=STARS if payment.currency == CURRENCY else "",
            back=message.refunded_payment is not None,
        )
        return replace(event, body=paid)
    if message.from_user is not None and message.from_user.is_bot and not message.sender_chat:
        return None
    text = addressed(message.text or message.caption or "", bot.username)
    answered = _answered(message)
    files = files_of(message, account)
    if answered is not None and not files and not (answered.from_user and answered.from_user.id == bot.id):
        files = files_of(answered, account)  # the bot may never have seen it: privacy mode, or before it joined
    if text is None or not (text or files):
        return None
    reply_to = message_id(message.chat.id, answered.message_id) if answered else ""
    author = answered.from_user if answered else None
    said = Said(
        text=text,
        files=files,
        album=message.media_group_id or "",
        reply_to=reply_to,
        answered=handle(author) if author and not author.is_bot else "",
    )
    return replace(event, body=said)


def addressed(text: str, username: str | None) -> str | None:
    """The text without our name behind the command; None for another bot's command."""
    if not text.startswith("/"):
        return text
    head, blank, rest = text.partition(" ")
    first, line, below = head.partition("\n")
    command, at, name = first.partition("@")
    if at and name.lower() != (username or "").lower():
        return None
    return f"{command}{line}{below}{blank}{rest}"


def _answered(message: Message) -> Message | None:
    """In a topic everything answers the message that opened it, which nobody meant."""
    answered = message.reply_to_message
    return None if answered is None or answered.forum_topic_created else answered


def files_of(message: Message, account: str) -> tuple[FileRef, ...]:
    if message.photo:
        photo = message.photo[-1]
        return (
            FileRef(
                platform=account, ref=photo.file_id, name="photo.jpg", mime="image/jpeg", size=photo.file_size or 0
            ),
        )
    named = message.animation or message.video or message.audio or message.document
    if named is not None:
        return (_file(account, named.file_id, named.file_name or "file", named.mime_type, named.file_size),)
    if message.voice is not None:
        return (_file(account, message.voice.file_id, "voice.ogg", message.voice.mime_type, message.voice.file_size),)
    if message.video_note is not None:
        return (_file(account, message.video_note.file_id, "video.mp4", "video/mp4", message.video_note.file_size),)
    sticker = message.sticker
    if sticker is not None and not sticker.is_animated:
        name, mime = ("sticker.webm", "video/webm") if sticker.is_video else ("sticker.webp", "image/webp")
        return (_file(account, sticker.file_id, name, mime, sticker.file_size),)
    return ()


def _file(account: str, ref: str, name: str, mime: str | None, size: int | None) -> FileRef:
    return FileRef(platform=account, ref=ref, name=name, mime=mime or "", size=size or 0)


def _pressed(update: Update, query: CallbackQuery, account: str) -> Event | None:
    """A message that is too old to be shown is still told by chat and id."""
    message = query.message
    if message is None or query.data is None:
        return None
    shown = message if isinstance(message, Message) else None
    return Event(
        keys=(_update_key(update), f"callback.{query.id}"),
        chat=chat_of(account, message.chat, shown),
        sender=handle(query.from_user),
        name=query.from_user.full_name,
        body=Pressed(payload=query.data, message_id=message_id(message.chat.id, message.message_id)),
    )


def _membership(update: Update, changed: ChatMemberUpdated, account: str) -> Event:
    left = changed.new_chat_member.status in AWAY
    return Event(
        keys=(_update_key(update),),
        chat=chat_of(account, changed.chat, None),
        sender=handle(changed.from_user),
        name=changed.from_user.full_name,
        body=ChatChanged(what="left" if left else "joined"),
    )


def chat_of(account: str, chat: Chat, message: Message | None) -> ChatRef:
    thread = str(message.message_thread_id) if message is not None and message.is_topic_message else ""
    return ChatRef(platform=account, chat=str(chat.id), thread=thread, direct=chat.type == ChatType.PRIVATE)


def handle(sender: User | Chat | None) -> str:
    """The same for all accounts: a person has one id on Telegram."""
    return f"telegram:{sender.id if sender is not None else 0}"


def _name(message: Message) -> str:
    if message.sender_chat is not None:
        return message.sender_chat.effective_name or ""
    return message.from_user.full_name if message.from_user is not None else ""


def _update_key(update: Update) -> str:
    return f"update.{update.update_id}"
