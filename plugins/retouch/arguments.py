"""What people type after a command, as numbers."""

import re

from chatelier import BadInput

from . import words

Size = tuple[int, int]
LONGEST_SIDE = 16_383
"""Pixels: what WebP can hold."""
MOST_PIXELS = 50_000_000
_PAIR = re.compile(r"(\d{1,6})\s*[x×*]\s*(\d{1,6})", re.IGNORECASE)
_RATIO = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)\s*[:/]\s*(\d{1,4}(?:\.\d{1,3})?)")
_PERCENT = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)\s*%")
_SIDE = re.compile(r"(\d{1,6})\s*(?:px)?", re.IGNORECASE)


def new_size(said: str, size: Size) -> Size:
    """The size after `/resize`, proportions kept, no side below one pixel. Raises BadInput."""
    given, (width, height) = said.strip(), size
    if found := _PERCENT.fullmatch(given):
        scale = float(found[1]) / 100
    elif found := _PAIR.fullmatch(given):
        scale = min(int(found[1]) / width, int(found[2]) / height)
    elif found := _SIDE.fullmatch(given):
        scale = int(found[1]) / max(width, height)
    else:
        raise BadInput(words.BAD_SIZE)
    if not scale:
        raise BadInput(words.BAD_SIZE)
    new = max(1, round(width * scale)), max(1, round(height * scale))
    if new[0] * new[1] > MOST_PIXELS or max(new) > LONGEST_SIDE:
        raise words.too_large(*new, LONGEST_SIDE, MOST_PIXELS)
    return new


def cut(said: str, size: Size) -> tuple[int, int, int, int]:
    """The box that `/crop` keeps, in the middle: left, top, right, bottom. Raises BadInput."""
    width, height = _cut_size(said.strip().lower(), size)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return left, top, left + width, top + height


def _cut_size(said: str, size: Size) -> Size:
    if found := _PAIR.fullmatch(said):
        width, height = int(found[1]), int(found[2])
        if not width or not height:
            raise BadInput(words.BAD_CROP)
        if width > size[0] or height > size[1]:
            raise words.larger_than_picture(*size)
        return width, height
    ratio = _ratio(said)
    return min(size[0], max(1, round(size[1] * ratio))), min(size[1], max(1, round(size[0] / ratio)))


def _ratio(said: str) -> float:
    if said == "square":
        return 1.0
    found = _RATIO.fullmatch(said)
    if not found or not float(found[1]) or not float(found[2]):
        raise BadInput(words.BAD_CROP)
    return float(found[1]) / float(found[2])


def frame_number(said: str, frames: int = 0) -> int:
    """From 1, -1 for the last. frames: how many there are, 0 for unknown. Raises BadInput."""
    given = said.strip().lower()
    named = {"first": 1, "last": -1}.get(given)
    if named is not None:
        return named
    if not re.fullmatch(r"\d{1,6}", given) or not int(given):
        raise BadInput(words.BAD_FRAME)
    if frames and int(given) > frames:
        raise words.fewer_frames(frames)
    return int(given)


def two_lines(said: str) -> tuple[str, str]:
    """What stands above and below, without spaces around. Raises BadInput when there is neither."""
    top, _, bottom = said.partition("|")
    if not (top.strip() or bottom.strip()):
        raise BadInput(words.NO_MEME)
    return top.strip(), bottom.strip()
