"""What Slack takes. Blocks: https://docs.slack.dev/reference/block-kit/blocks; rates: https://docs.slack.dev/apis/web-api/rate-limits."""

from chatelier import ButtonRules, Capabilities, RateRules

from .dialect import SlackDialect

TEXT = 4_000
"""Characters that Slack asks to stay under; it takes 40,000."""
ALBUM = 10
FILE_BYTES = 1 << 30
ALT_TEXT = 2_000
PER_ROW, BUTTONS, BUTTON_LABEL, BUTTON_PAYLOAD = 5, 25, 75, 2_000
FALLBACK = 3_000
"""Characters of what a notification shows; the message itself is in its blocks."""
TITLE = 24
FIELD_LABEL, HINT = 2_000, 150
INPUT = 3_000
"""Characters of one input of a modal."""
OPTIONS, OPTION_TEXT, OPTION_VALUE = 100, 75, 150
MODAL_BLOCKS = 100
INLINE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif"})
"""What an image block shows; any other file is shared as one."""
EDIT_SECONDS, EDITS_PER_MINUTE = 1.2, 40
"""`chat.update` is in tier 3: 50 a minute in the workspace. Ten of them are left to what is final."""
ADMINS_SECONDS = 300.0
"""So long it is remembered who somebody is."""


def capabilities() -> Capabilities:
    return Capabilities(
        dialect=SlackDialect(),
        text=TEXT,
        caption=TEXT,
        buttons=ButtonRules(per_row=PER_ROW, total=BUTTONS, label=BUTTON_LABEL, payload=BUTTON_PAYLOAD),
        album=ALBUM,
        edit_text=True,
        edit_media=True,
        delete=True,
        private=True,
        threads=True,
        reactions=True,
        forms=True,
        attachments=True,
        finds=True,
        upload={"": FILE_BYTES},
        download={"": FILE_BYTES},
        inline_types=INLINE_TYPES,
        rate=RateRules(per_chat_second=1, edit_seconds=EDIT_SECONDS, edits_per_minute=EDITS_PER_MINUTE),
    )
