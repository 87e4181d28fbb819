"""What bytes are, read from the bytes alone: names and headers are never believed."""

import codecs
import json
import re

from .blob import MediaKind

HEAD = 4096
"""Bytes from the start that `sniff` wants to see; with fewer, the file must be that short."""

Sniffed = tuple[str, MediaKind]

OTHER: Sniffed = ("application/octet-stream", "file")

_STARTS: tuple[tuple[bytes, Sniffed], ...] = (
    (b"\xff\xd8\xff", ("image/jpeg", "image")),
    (b"II*\0", ("image/tiff", "image")),
    (b"MM\0*", ("image/tiff", "image")),
    (b"fLaC", ("audio/flac", "audio")),
    (b"ID3", ("audio/mpeg", "audio")),
    (b"glTF\x02\0\0\0", ("model/gltf-binary", "file")),
    (b"PK\x03\x04", ("application/zip", "file")),
    (b"PK\x05\x06", ("application/zip", "file")),
    (b"%PDF-", ("application/pdf", "file")),
)

# ISO base media files name what they are in "brands": https://mp4ra.org/registered-types/brands
_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_MP4 = {b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"dash", b"MSNV"}
_MP4 |= {b"M4V ", b"M4VH", b"M4VP", b"3gp4", b"3gp5", b"3gp6", b"3g2a"}
_M4A = {b"M4A ", b"M4B "}

_OGG_SOUND = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex   ")
# The sizes that the header after a BMP's first 14 bytes can have.
_BMP_HEADERS = {12, 40, 52, 56, 64, 108, 124}
_JSON_START = re.compile(r'\{\s*(?:"|\})|\[\s*(?:["{\[\]]|-?\d|true\b|false\b|null\b)')
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


def sniff(head: bytes) -> Sniffed:
    """The mime type and kind of a file that starts with these bytes.

    A GIF is an animation here when it says that it loops; only counting its frames is certain (`Pictures.inspect`).
    """
    for start, found in _STARTS:
        if head.startswith(start):
            return found
    return _picture(head) or _container(head) or _text(head)


def _picture(head: bytes) -> Sniffed | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        before_pixels = head.split(b"IDAT", 1)[0]
        return ("image/png", "animation" if b"acTL" in before_pixels else "image")
    if head.startswith((b"GIF87a", b"GIF89a")):
        return ("image/gif", "animation" if b"NETSCAPE2.0" in head or b"ANIMEXTS1.0" in head else "image")
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return ("image/bmp", "image")
    return None


def _container(head: bytes) -> Sniffed | None:
    if head[:4] == b"RIFF":
        return _riff(head)
    if head[4:8] == b"ftyp":
        return _brand(head)
    if head[4:8] in {b"moov", b"mdat", b"wide"}:
        return ("video/quicktime", "video")
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        # EBML: the document type stands in the first few elements.
        return ("video/webm", "video") if b"webm" in head[:64] else ("video/x-matroska", "video")
    if head[:4] == b"OggS" and any(codec in head for codec in _OGG_SOUND):
        return ("audio/ogg", "audio")
    if _mpeg_sound(head):
        return ("audio/mpeg", "audio")
    return None


def _riff(head: bytes) -> Sniffed | None:
    if head[8:12] == b"WEBP":
        moves = head[12:16] == b"VP8X" and len(head) > 20 and bool(head[20] & 0x02)
        return ("image/webp", "animation" if moves else "image")
    if head[8:12] == b"WAVE":
        return ("audio/wav", "audio")
    return None


def _brand(head: bytes) -> Sniffed | None:
    end = min(int.from_bytes(head[:4], "big"), len(head))
    major = head[8:12]
    brands = {major, *(head[at : at + 4] for at in range(16, end, 4))}
    if major == b"avis":
        return ("image/avif", "animation")
    if major in _AVIF or (major in _HEIC and brands & _AVIF):
        return ("image/avif", "image")
    if major in _HEIC:
        return ("image/heic", "image")
    if major == b"qt  ":
        return ("video/quicktime", "video")
    if major in _M4A:
        return ("audio/mp4", "audio")
    if brands & _MP4:
        return ("video/mp4", "video")
    return None


def _mpeg_sound(head: bytes) -> bool:
    """Whether this is the header of an MPEG layer III frame (ISO 11172-3, 2.4.1.3)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer == 1 and bitrate not in {0, 15} and rate != 3


def _text(head: bytes) -> Sniffed:
    whole = len(head) < HEAD
    try:
        # A head that is not the whole file may end in the middle of a character.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head, final=whole)
    except UnicodeDecodeError:
        return OTHER
    if not text or _NOT_TEXT.search(text):
        return OTHER
    return ("application/json" if _json(text, whole=whole) else "text/plain", "text")


def _json(text: str, *, whole: bool) -> bool:
    text = text.strip()
    if not _JSON_START.match(text):
        return False
    if not whole:
        return True
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
