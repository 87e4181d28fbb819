"""PNG, JPEG, GIF and WebP as their files are built: size, frames and time without decoding, metadata taken out without loss.

Only the blocks around the pixels are walked, so a bomb costs nothing here, and every pixel stays as it was.
Any function raises Malformed when the blocks do not fit together.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain


class Malformed(ValueError):
    """The file is cut short, or its blocks make no sense."""


@dataclass(frozen=True, slots=True)
class Outline:
    """width, height: pixels, of the largest frame. duration_ms: 0 for a still picture."""

    width: int
    height: int
    frames: int = 1
    duration_ms: int = 0


@dataclass(frozen=True, slots=True)
class _Block:
    """kind: its name, or a marker. body: where its content starts. start, end: all of it."""

    kind: bytes
    start: int
    body: int
    end: int


def outline(mime: str, data: bytes) -> Outline | None:
    """None for a format that is not walked here."""
    reader = _OUTLINES.get(mime)
    return reader(data) if reader else None


def stripped(mime: str, data: bytes) -> bytes | None:
    """The file without metadata and without what follows its end; equal bytes when there was none. None: not walked here."""
    writer = _STRIPPERS.get(mime)
    return writer(data) if writer else None


def orientation(mime: str, data: bytes) -> int | None:
    """1 to 8 as EXIF has it; 1, upright, when it is not said or not understood. None: not walked here."""
    if mime not in _EXIF:
        return None
    blocks, kind, start = _EXIF[mime]
    for block in blocks(data):
        if block.kind == kind:
            return _exif_orientation(data[block.body : block.end].removeprefix(start))
    return 1


def _unpack(form: str, data: bytes, at: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(form, data, at)
    except struct.error as error:
        raise Malformed("cut short") from error


def _byte(data: bytes, at: int) -> int:
    return _unpack("B", data, at)[0]


# PNG: https://www.w3.org/TR/png-3/

# What decides how the pixels look; all the other ancillary chunks tell about people and programs.
_PNG_LOOKS = {
    b"tRNS",
    b"iCCP",
    b"gAMA",
    b"cHRM",
    b"sRGB",
    b"cICP",
    b"mDCV",
    b"cLLI",
    b"sBIT",
    b"bKGD",
    b"pHYs",
    b"sPLT",
}
_PNG_MOVES = {b"acTL", b"fcTL", b"fdAT"}


def _png_blocks(data: bytes) -> Iterator[_Block]:
    at = 8
    while True:
        (length,) = _unpack(">I", data, at)
        block = _Block(data[at + 4 : at + 8], at, at + 8, at + length + 12)
        if block.end > len(data):
            raise Malformed("cut short")
        yield block
        if block.kind == b"IEND":
            return
        at = block.end


def _png_outline(data: bytes) -> Outline:
    width = height = 0
    frames, seconds = 1, 0.0
    for block in _png_blocks(data):
        if block.kind == b"IHDR":
            width, height = _unpack(">II", data, block.body)
        elif block.kind == b"acTL":
            (frames,) = _unpack(">I", data, block.body)
        elif block.kind == b"fcTL":
            part, whole = _unpack(">HH", data, block.body + 20)
            seconds += part / (whole or 100)
    return Outline(width, height, frames, round(seconds * 1000) if frames > 1 else 0)


def _png_stripped(data: bytes) -> bytes:
    def kept(kind: bytes) -> bool:
        needed = not kind[0] & 0x20  # an upper-case first letter: no decoder may skip it
        return needed or kind in _PNG_LOOKS or kind in _PNG_MOVES

    return data[:8] + b"".join(data[block.start : block.end] for block in _png_blocks(data) if kept(block.kind))


# WebP: https://developers.google.com/speed/webp/docs/riff_container

_WEBP_KEPT = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
_WEBP_METADATA_FLAGS = 0x08 | 0x04


def _webp_blocks(data: bytes) -> Iterator[_Block]:
    (length,) = _unpack("<I", data, 4)
    end = length + 8
    if end > len(data):
        raise Malformed("cut short")
    at = 12
    while at < end:
        (length,) = _unpack("<I", data, at + 4)
        # A block of odd length is padded; some writers forget the last pad.
        block = _Block(data[at : at + 4], at, at + 8, at + 8 + length + (length & 1))
        if at + 8 + length > end:
            raise Malformed("cut short")
        yield block
        at = block.end


def _webp_outline(data: bytes) -> Outline:
    canvas, frames, duration = (0, 0), 0, 0
    for block in _webp_blocks(data):
        if block.kind in {b"VP8X", b"VP8 ", b"VP8L"} and canvas == (0, 0):
            canvas = _webp_size(data, block)
        elif block.kind == b"ANMF":
            frames += 1
            duration += int.from_bytes(data[block.body + 12 : block.body + 15], "little")
    return Outline(*canvas, max(frames, 1), duration if frames > 1 else 0)


def _webp_size(data: bytes, block: _Block) -> tuple[int, int]:
    body = data[block.body : block.body + 10]
    if len(body) < 5:
        raise Malformed("cut short")
    if block.kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if block.kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = _unpack("<HH", body, 6)
    return width & 0x3FFF, height & 0x3FFF


def _webp_stripped(data: bytes) -> bytes:
    kept = bytearray()
    for block in _webp_blocks(data):
        if block.kind not in _WEBP_KEPT:
            continue
        piece = bytearray(data[block.start : block.end])
        piece += bytes(block.end - block.start - len(piece))
        if block.kind == b"VP8X":
            piece[8] &= ~_WEBP_METADATA_FLAGS
        kept += piece
    return b"RIFF" + struct.pack("<I", len(kept) + 4) + b"WEBP" + kept


# GIF: https://www.w3.org/Graphics/GIF/spec-gif89a.txt

_GIF_IMAGE, _GIF_EXTENSION, _GIF_TRAILER = 0x2C, 0x21, 0x3B
_GIF_CONTROL, _GIF_TEXT, _GIF_APPLICATION = 0xF9, 0x01, 0xFF
_GIF_LOOPS = {b"NETSCAPE2.0", b"ANIMEXTS1.0"}


def _gif_header(data: bytes) -> int:
    """Where the first block starts."""
    flags = _byte(data, 10)
    return 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)


def _gif_blocks(data: bytes) -> Iterator[_Block]:
    at = _gif_header(data)
    # A GIF without its last byte is common, and every viewer shows it.
    while at < len(data) and (introducer := data[at]) != _GIF_TRAILER:
        if introducer == _GIF_IMAGE:
            flags = _byte(data, at + 9)
            pieces = at + 10 + (3 << (flags & 7) + 1 if flags & 0x80 else 0) + 1
            block = _Block(b",", at, at + 1, _gif_end(data, pieces))
        elif introducer == _GIF_EXTENSION:
            block = _Block(bytes((_byte(data, at + 1),)), at, at + 3, _gif_end(data, at + 2))
        else:
            raise Malformed("an unknown block")
        yield block
        at = block.end


def _gif_end(data: bytes, at: int) -> int:
    """Behind the last of the pieces, each with its length in front, that start here."""
    while length := _byte(data, at):
        at += length + 1
    return at + 1


def _gif_outline(data: bytes) -> Outline:
    width, height = _unpack("<HH", data, 6)
    frames = hundredths = 0
    for block in _gif_blocks(data):
        if block.kind == b",":
            frames += 1
            left, top, across, down = _unpack("<HHHH", data, block.body)
            width, height = max(width, left + across), max(height, top + down)
        elif block.kind[0] == _GIF_CONTROL:
            (delay,) = _unpack("<H", data, block.body + 1)
            hundredths += delay
    if not frames:
        raise Malformed("no picture in it")
    return Outline(width, height, frames, hundredths * 10 if frames > 1 else 0)


def _gif_stripped(data: bytes) -> bytes:
    def kept(block: _Block) -> bool:
        if block.kind[0] == _GIF_APPLICATION:
            return data[block.body : block.body + 11] in _GIF_LOOPS
        return block.kind[0] in {ord(","), _GIF_CONTROL, _GIF_TEXT}

    blocks = (data[block.start : block.end] for block in _gif_blocks(data) if kept(block))
    return data[: _gif_header(data)] + b"".join(blocks) + bytes((_GIF_TRAILER,))


# JPEG: ITU-T T.81, annex B

_JPEG_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_JPEG_SCAN, _JPEG_END, _JPEG_COMMENT = 0xDA, 0xD9, 0xFE
_JPEG_APPS = range(0xE0, 0xF0)
_JPEG_KEPT_APPS = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
# In the pixels of a scan FF00 is a plain FF and FFD0 to FFD7 are restart marks.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def _jpeg_blocks(data: bytes) -> Iterator[_Block]:
    """Each segment; a scan with its pixels; not the mark at the end."""
    at = 2
    while True:
        while _byte(data, at) == 0xFF and _byte(data, at + 1) == 0xFF:
            at += 1
        marker = _byte(data, at + 1)
        if data[at] != 0xFF:
            raise Malformed("no marker where one must be")
        if marker == _JPEG_END:
            return
        (length,) = _unpack(">H", data, at + 2)
        end = at + 2 + length
        if marker == _JPEG_SCAN:
            found = _JPEG_MARKER.search(data, end)
            if found is None:
                raise Malformed("cut short")
            end = found.start()
        if length < 2 or end > len(data):
            raise Malformed("cut short")
        yield _Block(bytes((marker,)), at, at + 4, end)
        at = end


def _jpeg_outline(data: bytes) -> Outline:
    size = None
    for block in _jpeg_blocks(data):
        if block.kind[0] in _JPEG_FRAMES and size is None:
            height, width = _unpack(">HH", data, block.body + 1)
            size = Outline(width, height)
    if size is None:
        raise Malformed("no picture in it")
    return size


def _jpeg_stripped(data: bytes) -> bytes:
    def kept(block: _Block) -> bool:
        marker = block.kind[0]
        if marker in _JPEG_APPS:
            signature = _JPEG_KEPT_APPS.get(marker)
            return signature is not None and data.startswith(signature, block.body)
        return marker != _JPEG_COMMENT

    blocks = (data[block.start : block.end] for block in _jpeg_blocks(data) if kept(block))
    return b"".join(chain((data[:2],), blocks, (bytes((0xFF, _JPEG_END)),)))


# EXIF is a TIFF without a picture: https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf, 4.5

_ORIENTATION_TAG, _SHORT = 0x0112, 3


def _exif_orientation(exif: bytes) -> int:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (directory,) = _unpack(order + "I", exif, 4)
        (entries,) = _unpack(order + "H", exif, directory)
        for entry in range(entries):
            tag, form, _, value = _unpack(order + "HHIH", exif, directory + 2 + 12 * entry)
            if (tag, form) == (_ORIENTATION_TAG, _SHORT):
                return value if value in range(1, 9) else 1
    except Malformed:
        pass  # the picture itself may be well
    return 1


_OUTLINES: dict[str, Callable[[bytes], Outline]] = {
    "image/png": _png_outline,
    "image/webp": _webp_outline,
    "image/gif": _gif_outline,
    "image/jpeg": _jpeg_outline,
}
_STRIPPERS: dict[str, Callable[[bytes], bytes]] = {
    "image/png": _png_stripped,
    "image/webp": _webp_stripped,
    "image/gif": _gif_stripped,
    "image/jpeg": _jpeg_stripped,
}
WALKED = frozenset(_STRIPPERS)
"""The types whose metadata can be taken out here."""
# The blocks of a file, which one is EXIF, and what may stand in front of it.
_EXIF: dict[str, tuple[Callable[[bytes], Iterator[_Block]], bytes, bytes]] = {
    "image/png": (_png_blocks, b"eXIf", b""),
    "image/webp": (_webp_blocks, b"EXIF", b"Exif\0\0"),
    "image/gif": (_gif_blocks, b"", b""),
    "image/jpeg": (_jpeg_blocks, b"\xe1", b"Exif\0\0"),
}
