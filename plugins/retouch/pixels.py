"""What the commands do to one picture. Each takes a picture in RGB or RGBA and gives a new one."""

from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from math import ceil, sqrt

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .arguments import Size, cut

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# The numbers that people know from the bots before this one.
BRIGHTNESS, CONTRAST = 0.2, 0.8
NOISE = 40.0
"""Standard deviation, in 256 steps."""
ROUNDS, QUALITY = 6, 50
FONTS = ("Impact.ttf", "DejaVuSans-Bold.ttf", "Arial Bold.ttf", "LiberationSans-Bold.ttf")
"""The first one that the system has; without any, the one that comes with Pillow."""
SMALLEST_FONT = 8
MARGIN = 0.02
"""Of the shorter side, around words and marks."""
MARK_SHARE = 0.25
"""Of the picture's width, that a mark takes."""
SHEET_SIDE = 320
"""Pixels of a cell of a contact sheet."""
GAP = 8
SWATCH = 120
PLACES = ("bottom-right", "bottom-left", "top-right", "top-left", "center")


def fry(image: Image.Image) -> Image.Image:
    """Too bright, too much contrast, noise, and saved badly, again and again."""
    levels = np.asarray(image.convert("RGB"), np.float32)
    levels = levels + (255 - levels) * BRIGHTNESS
    levels = (levels - 127) * (1 + CONTRAST) / (1 - CONTRAST) + 127
    levels += np.random.default_rng(0).normal(0, NOISE, levels.shape).astype(np.float32)
    fried = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    for _ in range(ROUNDS):
        out = BytesIO()
        fried.save(out, "JPEG", quality=QUALITY)
        fried = Image.open(out)
    fried.load()
    return fried


def crop(image: Image.Image, said: str) -> Image.Image:
    return image.crop(cut(said, image.size))


def meme(image: Image.Image, top: str, bottom: str) -> Image.Image:
    """White capitals with a black edge, as large as fits into a third of the picture each."""
    done = image.copy()
    draw = ImageDraw.Draw(done)
    room = done.width - 2 * _margin(done), done.height // 3
    for said, at_top in ((top.upper(), True), (bottom.upper(), False)):
        if said:
            lines, font, edge = _fitted(draw, said, room)
            y = _margin(done) if at_top else done.height - _margin(done)
            draw.multiline_text(
                (done.width / 2, y), lines, "white", font, anchor="ma" if at_top else "md", align="center",
                stroke_width=edge, stroke_fill="black",
            )  # fmt: skip
    return done


def _fitted(draw: ImageDraw.ImageDraw, said: str, room: Size) -> tuple[str, Font, int]:
    """The words in lines, in the largest type that fits, and the width of its edge."""
    size = max(SMALLEST_FONT, room[1] // 2)
    while True:
        font, edge = _font(size), max(1, size // 16)
        lines = _wrapped(draw, said, font, room[0] - 2 * edge)
        _, _, right, bottom = draw.multiline_textbbox((0, 0), lines, font, stroke_width=edge)
        if size <= SMALLEST_FONT or (right <= room[0] and bottom <= room[1]):
            return lines, font, edge
        size = max(SMALLEST_FONT, int(size * 0.85))


def _wrapped(draw: ImageDraw.ImageDraw, said: str, font: Font, width: int) -> str:
    lines = [""]
    for word in said.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and draw.textlength(longer, font) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


@lru_cache(maxsize=32)
def _font(size: int) -> Font:
    for name in FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _margin(image: Image.Image) -> int:
    return max(2, round(min(image.size) * MARGIN))


def written(image: Image.Image, said: str, place: str, opacity: float) -> Image.Image:
    """Words as a watermark. opacity: 0 to 1."""
    layer = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(layer)
    room = round(image.width * 0.6), max(SMALLEST_FONT * 2, image.height // 8)
    lines, font, edge = _fitted(draw, said, room)
    _, _, width, height = draw.multiline_textbbox((0, 0), lines, font, stroke_width=edge)
    at = _at(image.size, (ceil(width), ceil(height)), place, _margin(image))
    alpha = round(255 * opacity)
    draw.multiline_text(at, lines, (255, 255, 255, alpha), font, stroke_width=edge, stroke_fill=(0, 0, 0, alpha))
    return _laid(image, layer)


def stamped(image: Image.Image, mark: Image.Image, place: str, opacity: float) -> Image.Image:
    """A picture as a watermark, a quarter as wide as what it stands on."""
    small = mark.convert("RGBA")
    side = max(1, round(image.width * MARK_SHARE)), max(1, round(image.height * MARK_SHARE))
    scale = min(side[0] / small.width, side[1] / small.height)
    small = small.resize((max(1, round(small.width * scale)), max(1, round(small.height * scale))))
    small.putalpha(small.getchannel("A").point(lambda level: round(level * opacity)))
    layer = Image.new("RGBA", image.size)
    layer.paste(small, _at(image.size, small.size, place, _margin(image)))
    return _laid(image, layer)


def _laid(image: Image.Image, layer: Image.Image) -> Image.Image:
    return Image.alpha_composite(image.convert("RGBA"), layer).convert(image.mode)


def _at(whole: Size, part: Size, place: str, margin: int) -> tuple[int, int]:
    if place == "center":
        return (whole[0] - part[0]) // 2, (whole[1] - part[1]) // 2
    across = whole[0] - part[0] - margin if place.endswith("right") else margin
    down = whole[1] - part[1] - margin if place.startswith("bottom") else margin
    return across, down


def colours(image: Image.Image, count: int) -> list[tuple[int, int, int]]:
    """The colours that it is made of, the most frequent first; fewer where it has fewer."""
    small = image.convert("RGB")
    small.thumbnail((256, 256))
    reduced = small.quantize(count, Image.Quantize.MEDIANCUT)
    levels = reduced.getpalette() or []
    found = sorted(reduced.getcolors() or [], reverse=True)
    named = [tuple(levels[3 * int(str(n)) : 3 * int(str(n)) + 3]) for _, n in found]
    return [(red, green, blue) for red, green, blue in dict.fromkeys(named)]


def swatches(found: Sequence[tuple[int, int, int]]) -> Image.Image:
    """A square of each colour, side by side."""
    strip = Image.new("RGB", (SWATCH * len(found), SWATCH))
    for n, colour in enumerate(found):
        strip.paste(colour, (n * SWATCH, 0, (n + 1) * SWATCH, SWATCH))
    return strip


def sheet(small: Sequence[Image.Image]) -> Image.Image:
    """A contact sheet, numbered in reading order. small: no larger than a cell."""
    across = ceil(sqrt(len(small)))
    down = ceil(len(small) / across)
    step = SHEET_SIDE + GAP
    whole = Image.new("RGB", (across * step + GAP, down * step + GAP), "white")
    draw = ImageDraw.Draw(whole)
    for n, image in enumerate(small):
        left, top = GAP + n % across * step, GAP + n // across * step
        cell = image.convert("RGBA")
        at = left + (SHEET_SIDE - cell.width) // 2, top + (SHEET_SIDE - cell.height) // 2
        whole.paste(cell, at, cell)
        draw.text((left + 6, top + 4), str(n + 1), "white", _font(22), stroke_width=2, stroke_fill="black")
    return whole
