"""What the page can do. The sizes are our own choice; the page's tests prove them."""

from chatelier import ButtonRules, Capabilities, HtmlDialect, RateRules

TEXT = 20_000
FILES = 10
NAME = 200
INLINE_TYPES = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/gif",
        "image/avif",
        "image/bmp",
        "video/mp4",
        "video/webm",
        "audio/mpeg",
        "audio/ogg",
        "audio/wav",
        "audio/flac",
    }
)


def capabilities(upload_bytes: int) -> Capabilities:
    return Capabilities(
        dialect=HtmlDialect(),
        text=TEXT,
        caption=TEXT,
        buttons=ButtonRules(per_row=5, total=25, label=80, payload=100),
        album=FILES,
        edit_text=True,
        edit_media=True,
        delete=True,
        private=True,
        busy=True,
        reactions=True,
        forms=True,
        typed_options=True,
        attachments=True,
        completion=True,
        finds=True,
        download={"": upload_bytes},
        inline_types=INLINE_TYPES,
        rate=RateRules(edit_seconds=0.5),
    )
