"""What Discord takes: https://discord.com/developers/docs/resources/message and …/interactions/receiving-and-responding."""

from chatelier import ButtonRules, Capabilities, RateRules

from .dialect import DiscordDialect

TEXT = 2_000
ALBUM = 10
ALT = 1_024
LABEL, CUSTOM_ID = 80, 100
ROWS, PER_ROW, MENU = 5, 5, 25
"""Rows of a message, buttons in one of them, and choices of the menu that may stand there instead."""
BUTTONS = (ROWS - 1) * MENU
"""What menus can hold, beside a row of links."""
AGAIN = 4
"""Characters that are kept free at the end of an id, for a number."""
COMMANDS, OPTIONS, CHOICES = 100, 25, 25
SUMMARY, CHOICE = 100, 100
DEFINITION = 8_000
"""Characters of a command's name, descriptions and choices together."""
MODAL_TITLE, MODAL_LABEL, MODAL_FIELDS, MODAL_TEXT = 45, 45, 5, 4_000
UPLOAD_BYTES = 10 << 20
"""Of a file, where neither the server nor the interaction says more."""
FIRST_ANSWER_SECONDS = 3.0
TOKEN_SECONDS = 900.0
NONCE_SECONDS = 300.0
"""So long Discord knows a nonce: the same message sent again is the first one."""
INVALID_REQUESTS, INVALID_SECONDS = 8_000, 600.0
"""Discord bans an address at 10,000 within ten minutes."""
EDIT_SECONDS = 1.2
"""Five messages or edits of them within five seconds in a channel."""
INLINE_TYPES = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/gif",
        "video/mp4",
        "video/webm",
        "video/quicktime",
        "audio/mpeg",
        "audio/mp4",
        "audio/ogg",
        "audio/wav",
        "audio/flac",
    }
)


def capabilities(upload: int = UPLOAD_BYTES) -> Capabilities:
    """upload: bytes of a file in this conversation. How often something may be sent Discord says with each answer."""
    return Capabilities(
        dialect=DiscordDialect(),
        text=TEXT,
        caption=TEXT,
        buttons=ButtonRules(per_row=PER_ROW, total=BUTTONS, label=LABEL, payload=CUSTOM_ID - AGAIN, menus=True),
        album=ALBUM,
        edit_text=True,
        edit_media=True,
        delete=True,
        private=True,
        threads=True,
        reactions=True,
        busy=True,
        forms=True,
        typed_options=True,
        attachments=True,
        completion=True,
        finds=True,
        upload={"": upload},
        inline_types=INLINE_TYPES,
        rate=RateRules(edit_seconds=EDIT_SECONDS),
    )
