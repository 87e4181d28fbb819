"""What a file has to become so that a network shows it in place. Pure; `media/renditions.py` does the work."""

from collections.abc import Mapping
from pathlib import PurePosixPath

from ..media.renditions import Copy, Target
from ..values import replace
from . import words
from .capabilities import Capabilities
from .messages import Media, Reply

STILL = ("image/png", "image/jpeg", "image/webp")
MOVING = ("video/mp4", "image/gif", "image/webp")
VIDEO = ("video/mp4", "video/webm")
"""What can be written, the best first."""


def target_of(media: Media, can: Capabilities) -> Target | None:
    """None where it can be shown as it is, or goes as a file whatever is done."""
    blob = media.blob
    if media.document or media.inline or not blob.sha256:
        return None
    plays = can.inline_types if blob.kind == "image" else can.inline_types - can.still_types
    known = {"image": STILL, "animation": MOVING, "video": VIDEO}.get(blob.kind, ())
    mimes = tuple(mime for mime in known if mime in plays)
    limit = can.upload.get(blob.kind, can.upload.get("", 0))
    sides = can.picture_sides if blob.kind == "image" else 0
    is_fine = (
        blob.mime in plays and (not limit or blob.size <= limit) and (not sides or blob.width + blob.height <= sides)
    )
    if is_fine or not mimes or not (blob.width and blob.height):
        return None
    return Target(mimes=mimes if blob.kind == "image" else mimes[:1], limit=limit, sides=sides)


def with_copies(reply: Reply, copies: Mapping[str, Copy]) -> Reply:
    """The reply with these in place of the files, by their sha256; it says so where that cost quality."""
    media = tuple(_shown_as(each, copies.get(each.blob.sha256)) for each in reply.media)
    worse = sum(copy.is_worse for copy in copies.values())
    text = "\n\n".join(filter(None, (reply.text, words.smaller(worse)))) if worse else reply.text
    return replace(reply, media=media, text=text)


def _shown_as(media: Media, copy: Copy | None) -> Media:
    if copy is None or media.document:
        return media
    return replace(media, blob=copy.blob, name=str(PurePosixPath(media.name).with_suffix(copy.blob.suffix)))
