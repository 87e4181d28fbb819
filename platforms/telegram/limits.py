"""What Telegram takes. Sizes and rates: https://core.telegram.org/bots/api and https://core.telegram.org/bots/faq."""

from chatelier import ButtonRules, Capabilities, ChatRef, RateRules

from .dialect import TelegramDialect

TEXT, CAPTION = 4096, 1024
"""UTF-16 units, counted after the markup was parsed."""
ALBUM = 10
CALLBACK_TEXT = 200
COMMANDS = 100
SUMMARY = 256
PHOTO_BYTES = 10 << 20
PHOTO_SIDES, PHOTO_RATIO = 10_000, 20
"""Width and height together, in pixels; the longer side by the shorter."""
UPLOAD_BYTES, DOWNLOAD_BYTES = 50 << 20, 20 << 20
LOCAL_BYTES = 2000 << 20
"""Of a Bot API server of one's own."""
INLINE_TYPES = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/bmp",
        "image/gif",
        "video/mp4",
        "audio/mpeg",
        "audio/mp4",
    }
)
EDIT_SECONDS = 3.0
"""Between two edits of a card: they count as messages do, and answers go first."""

_BUTTONS = ButtonRules(per_row=8, total=100, label=64, payload=64)


def capabilities(chat: ChatRef | None, *, local_server: bool) -> Capabilities:
    """One message a second in a chat, 20 a minute in a group, 30 a second in all."""
    is_group = chat is not None and not chat.direct
    upload = LOCAL_BYTES if local_server else UPLOAD_BYTES
    return Capabilities(
        dialect=TelegramDialect(),
        text=TEXT,
        caption=CAPTION,
        buttons=_BUTTONS,
        album_buttons=False,
        album=ALBUM,
        attachments=True,
        edit_text=True,
        edit_media=True,
        text_stays_text=True,
        delete=True,
        private=True,
        threads=True,
        reactions=True,
        busy=True,
        upload={"": upload, "image": PHOTO_BYTES},
        download={} if local_server else {"": DOWNLOAD_BYTES},
        inline_types=INLINE_TYPES,
        still_types=frozenset({"image/png", "image/webp"}),
        picture_sides=PHOTO_SIDES,
        rate=RateRules(
            per_second=30, per_chat_second=1, per_chat_minute=20 if is_group else 0, edit_seconds=EDIT_SECONDS
        ),
    )
