"""Messages of the core → calls of the Bot API."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from telegram import (
    Bot,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputFile,
    InputMediaAnimation,
    InputMediaAudio,
    InputMediaDocument,
    InputMediaPhoto,
    InputMediaVideo,
    LabeledPrice,
    LinkPreviewOptions,
    Message,
    ReplyParameters,
)
from telegram.constants import ParseMode

from chatelier import Button, ChatRef, Invoice, Media, Outgoing, Refused

from . import words
from .dialect import TelegramDialect
from .inbound import native_id
from .limits import PHOTO_RATIO, PHOTO_SIDES

Shape = Literal["photo", "video", "animation", "audio", "document"]
InputMedia = InputMediaPhoto | InputMediaVideo | InputMediaAnimation | InputMediaAudio | InputMediaDocument
Read = Callable[[Media], Awaitable[bytes]]

SHAPES: Mapping[tuple[str, str], Shape] = {
    ("animation", "image/gif"): "animation",
    ("animation", "video/mp4"): "animation",
    ("video", "video/mp4"): "video",
    ("audio", "audio/mpeg"): "audio",
    ("audio", "audio/mp4"): "audio",
}
"""What a file is sent as by its kind and type; pictures are photos, everything else is a file."""
NO_PREVIEW = LinkPreviewOptions(is_disabled=True)
_DIALECT = TelegramDialect()


def shape(media: Media) -> Shape:
    """A photo that Telegram would refuse for its sides goes as a file."""
    blob = media.blob
    if media.document:
        return "document"
    if blob.kind == "image":
        sides = (blob.width, blob.height)
        fits = sum(sides) <= PHOTO_SIDES and max(sides) <= PHOTO_RATIO * max(1, min(sides))
        return "photo" if fits else "document"
    return SHAPES.get((blob.kind, blob.mime), "document")


def together(media: Sequence[Media]) -> Sequence[Media]:
    """As one album takes them: where one has to be a file, all are."""
    if len({shape(each) == "document" for each in media}) > 1:
        return [replace(each, document=True) for each in media]
    return media


def html(message: Outgoing) -> str:
    return _DIALECT.render(message.text) if message.text else ""


def keyboard(rows: Sequence[Sequence[Button]]) -> InlineKeyboardMarkup | None:
    if not rows:
        return None
    return InlineKeyboardMarkup([[_button(button) for button in row] for row in rows])


def _button(button: Button) -> InlineKeyboardButton:
    if button.url:
        return InlineKeyboardButton(button.label, url=button.url)
    return InlineKeyboardButton(button.label, callback_data=button.payload)


def place(chat: ChatRef, reply_to: str = "") -> dict[str, Any]:
    """Where a message goes. A message that it answers may be gone: then it stands alone."""
    found: dict[str, Any] = {"chat_id": int(chat.chat)}
    if chat.thread:
        found["message_thread_id"] = int(chat.thread)
    if reply_to:
        found["reply_parameters"] = ReplyParameters(native_id(reply_to), allow_sending_without_reply=True)
    return found


async def send_invoice(bot: Bot, invoice: Invoice, where: Mapping[str, Any]) -> Message:
    """A bill in Telegram Stars. Raises Refused for another currency."""
    if invoice.currency != "XTR":
        raise Refused(words.NO_CURRENCY)
    return await bot.send_invoice(
        title=invoice.title[:32],
        description=invoice.title,
        payload=invoice.key,
        currency=invoice.currency,
        prices=[LabeledPrice(invoice.title, invoice.amount)],
        provider_token="",
        **where,
    )


@dataclass(frozen=True, slots=True)
class Sending:
    """One message on its way, with what is known of its files."""

    bot: Bot
    message: Outgoing
    where: dict[str, Any]
    read: Read
    known: Mapping[str, str]
    """File ids of media that this bot sent before, by shape and sha256."""

    async def __call__(self) -> list[Message]:
        """What became visible, in order."""
        media = self.message.media
        if not media:
            text = html(self.message)
            return [
                await self.bot.send_message(
                    text=text,
                    parse_mode=ParseMode.HTML,
                    link_preview_options=NO_PREVIEW,
                    reply_markup=keyboard(self.message.buttons),
                    **self.where,
                )
            ]
        if len(media) == 1:
            return [await self._one(media[0])]
        items = [await self._item(each, html(self.message) if not n else "") for n, each in enumerate(together(media))]
        return list(await self.bot.send_media_group(media=items, **self.where))  # type: ignore[arg-type] # animations stand alone

    async def _one(self, media: Media) -> Message:
        kind, file = shape(media), await self.file(media)
        options: dict[str, Any] = {
            "caption": html(self.message) or None,
            "parse_mode": ParseMode.HTML,
            "reply_markup": keyboard(self.message.buttons),
            **self.where,
        }
        match kind:
            case "photo":
                return await self.bot.send_photo(photo=file, has_spoiler=media.spoiler, **options)
            case "video":
                return await self.bot.send_video(video=file, has_spoiler=media.spoiler, **_size(media), **options)
            case "animation":
                return await self.bot.send_animation(
                    animation=file, has_spoiler=media.spoiler, **_size(media), **options
                )
            case "audio":
                return await self.bot.send_audio(audio=file, **options)
        return await self.bot.send_document(document=file, disable_content_type_detection=True, **options)

    async def _item(self, media: Media, caption: str) -> InputMedia:
        return await input_media(media, caption, await self.file(media))

    async def file(self, media: Media) -> str | InputFile:
        """An id where it was sent before; else the bytes, which a second try can send again."""
        if (file_id := self.known.get(file_key(media))) and not media.inline:
            return file_id
        return InputFile(media.inline or await self.read(media), filename=media.name, attach=True)


async def input_media(media: Media, caption: str, file: str | InputFile) -> InputMedia:
    options: dict[str, Any] = {"caption": caption or None, "parse_mode": ParseMode.HTML}
    match shape(media):
        case "photo":
            return InputMediaPhoto(file, has_spoiler=media.spoiler, **options)
        case "video":
            return InputMediaVideo(file, has_spoiler=media.spoiler, **_size(media), **options)
        case "animation":
            return InputMediaAnimation(file, has_spoiler=media.spoiler, **_size(media), **options)
        case "audio":
            return InputMediaAudio(file, **options)
    return InputMediaDocument(file, disable_content_type_detection=True, **options)


def _size(media: Media) -> dict[str, Any]:
    blob = media.blob
    return {"width": blob.width, "height": blob.height} if blob.width and blob.height else {}


def file_key(media: Media) -> str:
    return f"{shape(media)}.{media.blob.sha256}"


def file_id_of(message: Message) -> str:
    """Of what was just sent, so that it can be sent again without its bytes."""
    if message.photo:
        return message.photo[-1].file_id
    # An animation comes with a document of the same file.
    shown = message.animation or message.video or message.audio or message.document
    return shown.file_id if shown is not None else ""
