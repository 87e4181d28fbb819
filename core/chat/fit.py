"""Reply → the native messages that show it, fitted to what one conversation can do. Pure: the same in, the same out."""

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2s
from itertools import groupby
from math import ceil, floor, inf

from ..values import replace
from .capabilities import ButtonRules, Capabilities
from .document import Block, Break, Document, Inline, Link, Listing, Paragraph, Text
from .graphemes import shorten
from .markup import document
from .messages import Button, ChatRef, Invoice, Media, Outgoing, Reply
from .placeholder import placeholder
from .split import flat, split

Rows = tuple[tuple[Button, ...], ...]
Album = tuple[Media, ...]
Part = tuple[Document | None, Album]

ANSWER_BY_NUMBER = "Reply with a number."
BUTTONS_ALONE = "What next?"
"""Stands over buttons that nothing else can carry."""


def fit(
    reply: Reply,
    key: str,
    chat: ChatRef,
    capabilities: Capabilities,
    *,
    native: Mapping[str, str],
    reply_to: str = "",
    private_to: str = "",
) -> tuple[Outgoing, ...]:
    """The messages in the order to send them; none for an empty reply. The first has `key`, each other one a key made from it.

    reply_to: the message that asked, used if the reply quotes. private_to: who asked, used if the reply is private and the chat is
    not but can be. Raises ValueError for a button whose payload is too long for the network.
    """
    private = reply.private and capabilities.private and not chat.direct
    if reply.live and not reply.media and begins_as_media(capabilities):
        reply = replace(reply, media=(placeholder(),))
    rows = _rows(reply.buttons, capabilities.buttons)
    parts: list[tuple[Document | None, Album, Invoice | None]]
    parts = [(text, media, None) for text, media in _parts(reply, rows, capabilities)]
    last = len(parts) - 1
    if reply.invoice:
        parts.append((None, (), reply.invoice))
    return tuple(
        Outgoing(
            key=key_of(key, number),
            chat=chat,
            text=text,
            media=media,
            buttons=rows if number == last else (),
            reply_to=reply_to if reply.quote and not number else "",
            private_to=private_to if private else "",
            invoice=invoice,
            native=native,
        )
        for number, (text, media, invoice) in enumerate(parts)
    )


def numbered(reply: Reply, capabilities: Capabilities) -> tuple[tuple[str, str], ...]:
    """What each number stands for where the buttons became text: (number, payload). Empty where they are buttons."""
    if _has_room(reply.buttons, capabilities.buttons):
        return ()
    payloads = (button.payload for button in _flattened(reply.buttons) if not button.url)
    return tuple((str(number), payload) for number, payload in enumerate(payloads, 1))


def begins_as_media(capabilities: Capabilities) -> bool:
    """Whether what will be edited has a picture from its beginning."""
    return capabilities.edit_media and capabilities.text_stays_text


def key_of(key: str, number: int) -> str:
    """The key of the message with this number, 22 characters; number 0 has `key` itself."""
    if not number:
        return key
    return urlsafe_b64encode(blake2s(f"{key}.{number}".encode(), digest_size=16).digest()).decode().rstrip("=")


def _parts(reply: Reply, rows: Rows, capabilities: Capabilities) -> list[Part]:
    """Each message's text and media. The pictures come first, so that the words under them can carry the buttons."""
    if not reply.media:
        texts = split(_words(reply, (), capabilities), capabilities.text, capabilities.dialect)
        return [(text, ()) for text in texts or ([_paragraph(BUTTONS_ALONE)] if rows else [])]
    shown, left_out = _shown(reply.media, capabilities)
    albums = list(_albums(shown, capabilities.album))
    words = _words(reply, left_out, capabilities)
    carries = not rows or not albums or capabilities.album_buttons or len(albums[-1]) == 1
    if albums and carries and _is_caption(words, capabilities):
        captions = [words if flat(words).strip() else None, *[None] * (len(albums) - 1)]
        return list(zip(captions, albums, strict=True))
    texts = split(words, capabilities.text, capabilities.dialect)
    if rows and not texts and not (albums and carries):
        texts = [_paragraph(BUTTONS_ALONE)]
    return [*((None, album) for album in albums), *((text, ()) for text in texts)]


def _words(reply: Reply, left_out: Iterable[str], capabilities: Capabilities) -> Document:
    said = document(reply.text)
    notes = tuple(Paragraph((Text(note),)) for note in left_out)
    choices = () if _has_room(reply.buttons, capabilities.buttons) else _as_text(_flattened(reply.buttons))
    return Document((*said.blocks, *notes, *choices)) if notes or choices else said


def _is_caption(words: Document, capabilities: Capabilities) -> bool:
    if not capabilities.captions:
        return not flat(words).strip()
    return not capabilities.caption or capabilities.dialect.length(words) <= capabilities.caption


def _paragraph(text: str) -> Document:
    return Document((Paragraph((Text(text),)),))


def _shown(media: Iterable[Media], capabilities: Capabilities) -> tuple[list[Media], list[str]]:
    """What can be sent, and a sentence for each file that cannot."""
    shown: list[Media] = []
    left_out: list[str] = []
    for one in media:
        most_shown, most_sent = _limits(one, capabilities)
        if one.blob.size <= most_shown:
            shown.append(one)
        elif one.blob.size <= most_sent:
            shown.append(replace(one, document=True))
        else:
            left_out.append(_too_large(one, max(most_shown, most_sent)))
    return shown, left_out


def _limits(media: Media, capabilities: Capabilities) -> tuple[float, float]:
    """The most bytes of it that can be shown in place (-1: none), and sent as a file."""
    upload = capabilities.upload
    of_kind = upload.get(media.blob.kind, upload.get("", inf))
    inline = not media.document and media.blob.mime in capabilities.inline_types
    return of_kind if inline else -1, upload.get("file", upload.get("", of_kind))


def _too_large(media: Media, limit: float) -> str:
    unit, name = (1 << 20, "MB") if limit >= 1 << 20 else (1 << 10, "kB")
    # Rounded apart, so that the two never read the same.
    size, most = ceil(media.blob.size / unit * 10) / 10, floor(limit / unit * 10) / 10
    return f"{media.name} is {_one_decimal(size)} {name}, more than the {_one_decimal(most)} {name} this chat takes."


def _one_decimal(number: float) -> str:
    return f"{number:,.1f}".removesuffix(".0")


def _albums(media: Iterable[Media], size: int) -> Iterator[Album]:
    """Neighbours of one sort together; animations stand alone."""
    for sort, group in groupby(media, _sort):
        together = tuple(group)
        step = 1 if sort == "animation" else max(size, 1)
        yield from (together[start : start + step] for start in range(0, len(together), step))


def _sort(media: Media) -> str:
    if media.document:
        return "document"
    return "picture" if media.blob.kind in {"image", "video"} else media.blob.kind


def _rows(buttons: Rows, rules: ButtonRules) -> Rows:
    """The rows as the network takes them; none where the buttons are text."""
    if not _has_room(buttons, rules):
        return ()
    rows = [[_button(button, rules) for button in row] for row in buttons if row]
    short = [row[start : start + rules.per_row] for row in rows for start in range(0, len(row), rules.per_row)]
    most_rows = ceil(rules.total / rules.per_row)
    if len(short) > most_rows:
        every = [button for row in short for button in row]
        width = ceil(len(every) / most_rows)
        short = [every[start : start + width] for start in range(0, len(every), width)]
    return tuple(map(tuple, short))


def _button(button: Button, rules: ButtonRules) -> Button:
    if len(button.payload.encode()) > rules.payload:
        raise ValueError(f"the payload of the button {button.label!r} is longer than {rules.payload} bytes")
    return replace(button, label=shorten(button.label, rules.label))


def _has_room(buttons: Rows, rules: ButtonRules) -> bool:
    return rules.per_row > 0 and len(_flattened(buttons)) <= rules.total


def _flattened(buttons: Rows) -> list[Button]:
    return [button for row in buttons for button in row]


def _as_text(buttons: list[Button]) -> tuple[Block, ...]:
    """Numbers to reply with; pages to open are links."""
    numbers = [(Paragraph((Text(button.label),)),) for button in buttons if not button.url]
    links: list[Inline] = []
    for button in buttons:
        if button.url:
            links += (Break(), Link(button.url, (Text(button.label),)))
    blocks: list[Block] = [Paragraph(tuple(links[1:]))] if links else []
    if numbers:
        blocks += (Listing(tuple(numbers), 1), Paragraph((Text(ANSWER_BY_NUMBER),)))
    return tuple(blocks)
