"""What bytes are is read from the bytes."""

import json
import struct
import wave
from io import BytesIO
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatelier.core.media.blob import SUFFIXES, Blob
from chatelier.core.media.sniff import HEAD, sniff
from files import animation, picture, png_chunk


def box(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", len(body) + 4) + body + b"\0\0\0\x08free"


def sound() -> bytes:
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(800))
    return out.getvalue()


def archive() -> bytes:
    out = BytesIO()
    with ZipFile(out, "w") as file:
        file.writestr("a.txt", "hello")
    return out.getvalue()


KNOWN = {
    "png": (picture("PNG"), "image/png", "image"),
    "apng": (animation("PNG"), "image/png", "animation"),
    "jpeg": (picture("JPEG"), "image/jpeg", "image"),
    "webp": (picture("WEBP"), "image/webp", "image"),
    "lossless webp": (picture("WEBP", lossless=True), "image/webp", "image"),
    "animated webp": (animation("WEBP"), "image/webp", "animation"),
    "gif": (picture("GIF"), "image/gif", "image"),
    "animated gif": (animation("GIF"), "image/gif", "animation"),
    "avif": (picture("AVIF"), "image/avif", "image"),
    "avif sequence": (box(b"avis", b"avif", b"msf1"), "image/avif", "animation"),
    "avif by its second brand": (box(b"mif1", b"miaf", b"avif"), "image/avif", "image"),
    "heic": (box(b"heic", b"mif1", b"heic"), "image/heic", "image"),
    "bmp": (picture("BMP"), "image/bmp", "image"),
    "tiff": (picture("TIFF"), "image/tiff", "image"),
    "big-endian tiff": (b"MM\0*\0\0\0\x08", "image/tiff", "image"),
    "mp4": (box(b"isom", b"iso2", b"avc1", b"mp41"), "video/mp4", "video"),
    "mp4 by a later brand": (box(b"XAVC", b"mp42"), "video/mp4", "video"),
    "mov": (box(b"qt  "), "video/quicktime", "video"),
    "old mov": (b"\0\0\0\x08wide\0\0\0\x10mdat", "video/quicktime", "video"),
    "m4a": (box(b"M4A ", b"isom"), "audio/mp4", "audio"),
    "webm": (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", "video/webm", "video"),
    "mkv": (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska", "video/x-matroska", "video"),
    "mp3": (b"\xff\xfb\x90\x64" + bytes(400), "audio/mpeg", "audio"),
    "mp3 with a tag": (b"ID3\x04\0\0\0\0\0\0", "audio/mpeg", "audio"),
    "opus": (b"OggS\0\x02" + bytes(22) + b"OpusHead", "audio/ogg", "audio"),
    "vorbis": (b"OggS\0\x02" + bytes(22) + b"\x01vorbis", "audio/ogg", "audio"),
    "wav": (sound(), "audio/wav", "audio"),
    "flac": (b"fLaC\0\0\0\x22", "audio/flac", "audio"),
    "glb": (b"glTF\x02\0\0\0\x20\0\0\0", "model/gltf-binary", "file"),
    "zip": (archive(), "application/zip", "file"),
    "pdf": (b"%PDF-1.7\n", "application/pdf", "file"),
    "json object": (b'{"3": {"class_type": "KSampler"}}', "application/json", "text"),
    "json list": (b"[1, 2]\n", "application/json", "text"),
    "text": ("Grüße aus dem Atelier\n".encode(), "text/plain", "text"),
    "text with a mark in front": (b"\xef\xbb\xbfhello", "text/plain", "text"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "text/plain", "text"),
    "html": (b"<!doctype html><script>alert(1)</script>", "text/plain", "text"),
    "a link in markdown": (b"[here](http://example.com)", "text/plain", "text"),
    "nearly json": (b'{"a": 1', "text/plain", "text"),
    "a footnote": (b"[1] see below", "text/plain", "text"),
}


@pytest.mark.parametrize(("data", "mime", "kind"), KNOWN.values(), ids=KNOWN.keys())
def test_each_format_is_known_by_its_content(data: bytes, mime: str, kind: str) -> None:
    assert sniff(data[:HEAD]) == (mime, kind)


UNKNOWN = {
    "nothing": b"",
    "zeros": bytes(64),
    "latin-1": "Grüße".encode("latin-1"),
    "utf-16": "hello".encode("utf-16"),
    "a cut character at the end of the file": "Grü".encode()[:-1],
    "text with a zero": b"hello\0world",
    "BM without a header": b"BMW is a car maker\x00 and more",
    "an unknown box": box(b"crx "),
    "ogg that is no sound": b"OggS\0\x02" + bytes(22) + b"\x80theora",
    "riff that is neither": b"RIFF\x04\0\0\0AVI LIST",
    "an mpeg header with a bad rate": b"\xff\xfb\x9c\x64" + bytes(9),
}


@pytest.mark.parametrize("data", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_is_not_known_is_a_file(data: bytes) -> None:
    assert sniff(data) == ("application/octet-stream", "file")


def test_a_polyglot_is_what_its_first_bytes_say() -> None:
    assert sniff(picture("JPEG") + archive())[0] == "image/jpeg"
    assert sniff(b"GIF89a/*" + b"*/=1;alert(1)")[0] == "image/gif"


def test_a_long_text_may_be_cut_in_the_middle_of_a_character() -> None:
    text = ("ü" * HEAD).encode()
    assert sniff(b"a" + text[: HEAD - 1])[0] == "text/plain"


def test_long_json_is_known_by_its_start() -> None:
    whole = json.dumps({str(n): "x" * 20 for n in range(500)}).encode()
    assert sniff(whole[:HEAD])[0] == "application/json"


def test_deeply_nested_brackets_are_only_text() -> None:
    assert sniff(b"[" * (HEAD - 1))[0] == "text/plain"


def test_a_word_in_the_pixels_makes_no_animation() -> None:
    still = picture("PNG")
    assert sniff(still + png_chunk(b"acTL", bytes(8)))[1] == "image"


def test_a_blob_has_the_ending_of_what_it_is() -> None:
    def blob(mime: str) -> Blob:
        return Blob(sha256="", size=1, mime=mime, kind="file")

    found = [blob(mime).suffix for _, mime, _ in KNOWN.values()]
    assert len(found) >= 30
    assert set(found) <= set(SUFFIXES.values())
    assert blob("application/octet-stream").suffix == ".bin"


@given(st.binary(max_size=200), st.sampled_from([b"", *(data[:12] for data, _, _ in KNOWN.values())]))
def test_no_bytes_make_it_fail(tail: bytes, start: bytes) -> None:
    mime, kind = sniff(start + tail)
    assert "/" in mime
    assert kind in {"image", "animation", "video", "audio", "text", "file"}
