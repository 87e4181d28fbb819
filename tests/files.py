"""Files made for tests: good ones, damaged ones, and bombs that are a few hundred bytes long."""

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image

ORIENTATION = 0x0112
CAMERA_OWNER = 0xA430


def gradient(width: int = 48, height: int = 32, mode: str = "RGB") -> Image.Image:
    """No two rows and no two columns are equal, so that every turn shows."""
    red = Image.linear_gradient("L").resize((width, height))
    green = Image.linear_gradient("L").rotate(90).resize((width, height))
    return Image.merge("RGB", (red, green, Image.new("L", (width, height), 77))).convert(mode)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def picture(form: str = "PNG", width: int = 48, height: int = 32, **options: Any) -> bytes:
    return encoded(gradient(width, height), form, **options)


def exif(orientation: int = 1, owner: str = "") -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    if owner:
        tags[CAMERA_OWNER] = owner
    return tags


def frames(count: int, side: int = 16) -> list[Image.Image]:
    return [Image.new("RGB", (side, side), (n * 37 % 256, n * 91 % 256, n * 13 % 256)) for n in range(count)]


def animation(form: str, count: int = 3, *, side: int = 16, each_ms: int = 40, **options: Any) -> bytes:
    first, *rest = frames(count, side)
    return encoded(first, form, save_all=True, append_images=rest, duration=each_ms, loop=0, **options)


def decoded(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def png_chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_claiming(width: int, height: int, *, before: bytes = b"") -> bytes:
    """A PNG whose header promises a size that its few pixels do not keep."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(30_000))
    chunks = png_chunk(b"IHDR", header) + before + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND")
    return b"\x89PNG\r\n\x1a\n" + chunks


def gif_claiming(width: int, height: int, frames: int = 1) -> bytes:
    """A GIF on a screen of one pixel, whose frames are larger than it."""
    frame = b"," + struct.pack("<HHHH", 0, 0, width, height) + b"\0\x02\x02\x4c\x01\0"
    return b"GIF89a" + struct.pack("<HH", 1, 1) + b"\x80\0\0" + bytes(6) + frame * frames + b";"


def webp_claiming(width: int, height: int) -> bytes:
    canvas = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + canvas
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bmp_claiming(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header


def tiff_claiming(width: int, height: int) -> bytes:
    tags = ((256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height), (279, 4))
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + rows + bytes(4)


def jpeg_claiming(width: int, height: int) -> bytes:
    """A good JPEG whose header was changed."""
    data = bytearray(picture("JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)
