"""Pictures under limits: hostile ones get a sentence, good ones lose their metadata and nothing else."""

import asyncio
import contextlib
import struct
import sys
import threading
import zlib
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageSequence
from PIL.PngImagePlugin import PngInfo

from chatelier import BadInput
from chatelier.core.media.containers import Malformed, orientation, outline, stripped
from chatelier.core.media.pictures import Picture, PictureLimits, Pictures
from files import (
    animation,
    bmp_claiming,
    decoded,
    encoded,
    exif,
    frames,
    gif_claiming,
    gradient,
    jpeg_claiming,
    picture,
    png_chunk,
    png_claiming,
    tiff_claiming,
    webp_claiming,
)

OWNER = "Ada Lovelace"


@pytest.fixture
async def pictures() -> AsyncIterator[Pictures]:
    async with Pictures() as pictures:
        yield pictures


def graph() -> PngInfo:
    info = PngInfo()
    info.add_text("prompt", '{"3": {"class_type": "KSampler"}}')
    info.add_itxt("author", OWNER)
    info.add_text("packed", OWNER * 50, zip=True)
    return info


STILL = {
    "image/png": picture("PNG"),
    "image/jpeg": picture("JPEG"),
    "image/webp": picture("WEBP"),
    "image/gif": picture("GIF"),
    "image/avif": picture("AVIF"),
    "image/bmp": picture("BMP"),
    "image/tiff": picture("TIFF"),
}


# Looking


@pytest.mark.parametrize("mime", STILL)
async def test_a_still_picture_is_measured(pictures: Pictures, mime: str) -> None:
    assert await pictures.inspect(STILL[mime]) == Picture(mime=mime, kind="image", width=48, height=32)


async def test_a_lossless_webp_and_one_with_a_profile_are_measured(pictures: Pictures) -> None:
    for data in (picture("WEBP", lossless=True), picture("WEBP", icc_profile=b"profile")):
        found = await pictures.inspect(data)
        assert (found.width, found.height, found.kind) == (48, 32, "image")


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF"])
async def test_an_animation_is_counted_and_timed(pictures: Pictures, form: str) -> None:
    found = await pictures.inspect(animation(form, 5, each_ms=40))
    assert (found.kind, found.frames, found.duration_ms) == ("animation", 5, 200)
    assert (found.width, found.height) == (16, 16)


async def test_an_avif_sequence_is_counted(pictures: Pictures) -> None:
    found = await pictures.inspect(animation("AVIF", 3))
    assert (found.kind, found.frames) == ("animation", 3)


async def test_a_gif_that_only_says_it_loops_is_a_still_picture(pictures: Pictures) -> None:
    assert (await pictures.inspect(picture("GIF", loop=0))).kind == "image"


async def test_a_picture_is_read_from_a_file_whatever_its_name(pictures: Pictures, tmp_path: Path) -> None:
    path = tmp_path / "holiday.txt"
    path.write_bytes(picture("WEBP"))
    assert (await pictures.inspect(path)).mime == "image/webp"


async def test_work_is_done_beside_the_event_loop_and_few_at_a_time(pictures: Pictures) -> None:
    data = picture("PNG", 400, 400)
    await asyncio.gather(*(pictures.thumbnail(data, 64) for _ in range(12)))
    assert sum(thread.name.startswith("pictures") for thread in threading.enumerate()) == 2


async def test_closing_leaves_no_thread_and_may_be_done_twice() -> None:
    pictures = Pictures()
    await pictures.inspect(picture())
    await pictures.close()
    await pictures.close()
    assert not any(thread.name.startswith("pictures") for thread in threading.enumerate())


# Hostile files


BOMBS = {
    "png": png_claiming,
    "gif": gif_claiming,
    "bmp": bmp_claiming,
    "tiff": tiff_claiming,
    "jpeg": jpeg_claiming,
}


@pytest.mark.parametrize("claiming", BOMBS.values(), ids=BOMBS.keys())
async def test_a_bomb_is_refused_by_its_header(pictures: Pictures, claiming: Callable[[int, int], bytes]) -> None:
    data = claiming(30_000, 30_000)
    for work in (pictures.inspect(data), pictures.clean(data), pictures.thumbnail(data, 64)):
        with pytest.raises(BadInput, match=r"30,000 . 30,000 pixels; the most is 50 megapixels\. Scale it down"):
            await work


async def test_the_largest_sides_of_a_format_are_refused(pictures: Pictures) -> None:
    cases = ((jpeg_claiming, 65_535), (gif_claiming, 65_535), (webp_claiming, 16_384), (png_claiming, 2**31 - 1))
    for claiming, side in cases:
        with pytest.raises(BadInput, match=f"{side:,}"):
            await pictures.inspect(claiming(side, side))


async def test_a_long_thin_picture_within_the_pixels_is_fine(pictures: Pictures) -> None:
    thin = picture("PNG", 65_535, 2)
    assert (await pictures.inspect(thin)).width == 65_535
    assert decoded(await pictures.thumbnail(thin, 64)).size == (64, 1)


async def test_only_as_many_pixels_as_the_limit_says() -> None:
    async with Pictures(PictureLimits(pixels=48 * 32)) as pictures:
        await pictures.inspect(picture("PNG", 48, 32))
        with pytest.raises(BadInput, match=r"49 . 32"):
            await pictures.inspect(picture("PNG", 49, 32))


async def test_too_many_frames_are_refused(pictures: Pictures) -> None:
    with pytest.raises(BadInput, match="10,001 frames"):
        await pictures.inspect(gif_claiming(1, 1, frames=10_001))
    with pytest.raises(BadInput, match=r"500 frames of 7,000 . 7,000 .* Make it shorter"):
        await pictures.clean(gif_claiming(7_000, 7_000, frames=500))


async def test_a_file_over_the_size_is_refused(tmp_path: Path) -> None:
    async with Pictures(PictureLimits(size=100)) as pictures:
        (tmp_path / "a.png").write_bytes(picture())
        for source in (picture(), tmp_path / "a.png"):
            with pytest.raises(BadInput, match="larger than 100 bytes"):
                await pictures.inspect(source)


NO_PICTURES = {
    "text": b"this is a picture, honest",
    "pdf": b"%PDF-1.7\n",
    "video": b"\0\0\0\x18ftypisom\0\0\0\0isomavc1",
    "svg": b"<svg/>",
    "zeros": bytes(100),
}


@pytest.mark.parametrize("data", NO_PICTURES.values(), ids=NO_PICTURES.keys())
async def test_what_is_no_picture_is_said_so(pictures: Pictures, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "holiday.png"
    path.write_bytes(data)
    for work in (pictures.inspect(path), pictures.clean(data), pictures.thumbnail(data, 64)):
        with pytest.raises(BadInput, match=r"not a picture I can read\. Send a PNG, JPEG or WebP"):
            await work


async def test_an_empty_file_is_said_so(pictures: Pictures) -> None:
    with pytest.raises(BadInput, match="empty"):
        await pictures.clean(b"")


@pytest.mark.parametrize("mime", STILL)
async def test_a_picture_that_was_cut_short_is_refused(pictures: Pictures, mime: str) -> None:
    whole = picture(mime.removeprefix("image/").upper(), 200, 200)
    for part in (0.3, 0.6, 0.9):
        with pytest.raises(BadInput, match="damaged or was cut short"):
            await pictures.clean(whole[: int(len(whole) * part)])


async def test_a_damaged_header_is_refused(pictures: Pictures) -> None:
    for data in (
        png_claiming(0, 5),
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xe0\0\0",
        b"GIF89a\1\0\1\0\0\0\0;",
        b"GIF89a\1\0\1\0\0\0\0x",
    ):
        with pytest.raises(BadInput, match="damaged"):
            await pictures.inspect(data)


async def test_packed_text_in_a_picture_is_no_bomb(pictures: Pictures) -> None:
    packed = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80_000_000), 9))
    assert packed not in await pictures.clean(png_claiming(90, 100, before=packed))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
async def test_no_damage_makes_anything_else_than_bad_input(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([*STILL.values(), animation("PNG"), animation("GIF"), animation("WEBP")]))
    broken = bytearray(whole[: data.draw(st.integers(10, len(whole)))])
    for at in data.draw(st.lists(st.integers(4, len(broken) - 1), max_size=5)):
        broken[at] = data.draw(st.integers(0, 255))
    async with Pictures(PictureLimits(pixels=1_000_000), workers=1) as pictures:
        with contextlib.suppress(BadInput):
            await pictures.thumbnail(await pictures.clean(bytes(broken)), 16)


# Cleaning


@pytest.mark.parametrize("mime", ["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/avif"])
async def test_a_picture_without_metadata_stays_byte_for_byte(pictures: Pictures, mime: str) -> None:
    once = await pictures.clean(STILL[mime])
    assert await pictures.clean(once) == once
    assert decoded(once).tobytes() == decoded(STILL[mime]).tobytes()
    if mime != "image/gif":  # Pillow writes a comment of its own into a GIF
        assert once == STILL[mime]


WITH_METADATA = {
    "png": picture("PNG", pnginfo=graph(), exif=exif(owner=OWNER)),
    "jpeg": picture("JPEG", exif=exif(owner=OWNER), comment=OWNER.encode(), xmp=b"<x>" + OWNER.encode() + b"</x>"),
    "progressive jpeg": picture("JPEG", exif=exif(owner=OWNER), progressive=True),
    "webp": picture("WEBP", exif=exif(owner=OWNER), xmp=OWNER.encode()),
    "lossless webp": picture("WEBP", exif=exif(owner=OWNER), lossless=True),
    "gif": picture("GIF", comment=OWNER.encode()),
    "avif": picture("AVIF", exif=exif(owner=OWNER), quality=100, subsampling="4:4:4"),
    "tiff": picture("TIFF", artist=OWNER, description=OWNER),
    "apng": animation("PNG", pnginfo=graph()),
    "animated gif": animation("GIF", comment=OWNER.encode()),
    "avif sequence": animation("AVIF", exif=exif(owner=OWNER)),
    "animated webp": animation("WEBP", exif=exif(owner=OWNER), lossless=True),
}


@pytest.mark.parametrize("name", WITH_METADATA)
async def test_metadata_goes_and_the_pixels_stay(pictures: Pictures, name: str) -> None:
    before = WITH_METADATA[name]
    after = await pictures.clean(before)
    image = decoded(after)

    assert OWNER.encode() in before
    assert OWNER.encode() not in after
    assert b"KSampler" not in after
    assert not image.getexif().get(0xA430)
    assert image.format == decoded(before).format
    assert largest_difference(decoded(before), image) <= (12 if "avif" in name else 0)
    assert await pictures.inspect(after) == await pictures.inspect(before)


@pytest.mark.parametrize("form", ["PNG", "GIF", "WEBP"])
async def test_every_frame_of_an_animation_survives(pictures: Pictures, form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    after = Image.open(BytesIO(await pictures.clean(animation(form, 4, **options))))
    shown = [frame.convert("RGB").getpixel((3, 3)) for frame in ImageSequence.Iterator(after)]
    assert shown == [frame.getpixel((3, 3)) for frame in frames(4)]


async def test_an_avif_sequence_keeps_the_time_of_each_frame(pictures: Pictures) -> None:
    data = animation("AVIF", 3, each_ms=70, exif=exif(owner=OWNER))
    after = Image.open(BytesIO(await pictures.clean(data)))
    shown = [frame.copy().info["duration"] for frame in ImageSequence.Iterator(after)]
    assert shown == [70, 70, 70]


async def test_colour_profile_and_transparency_stay(pictures: Pictures) -> None:
    for form in ("PNG", "JPEG", "WEBP"):
        data = picture(form, icc_profile=b"a profile", exif=exif(6, OWNER))
        assert decoded(await pictures.clean(data)).info["icc_profile"] == b"a profile"
    clear = encoded(Image.new("RGBA", (8, 8), (9, 8, 7, 0)), "PNG", pnginfo=graph())
    assert decoded(await pictures.clean(clear)).getpixel((0, 0)) == (9, 8, 7, 0)


async def test_what_follows_the_end_of_a_picture_goes(pictures: Pictures) -> None:
    hidden = b"PK\x03\x04 an archive behind a picture"
    for form in ("PNG", "JPEG", "WEBP", "GIF"):
        assert hidden not in await pictures.clean(picture(form) + hidden)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
async def test_a_picture_is_turned_upright(pictures: Pictures, form: str, orientation: int) -> None:
    """How a camera lays the pixels: https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf, 4.6.4 A."""
    undo = {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}.get(orientation, [])
    stored = gradient()
    for turn in undo:
        stored = stored.transpose(Image.Transpose(turn))
    options = {"PNG": {}, "WEBP": {"lossless": True}}.get(form, {"quality": 100, "subsampling": "4:4:4"})
    data = encoded(stored, form, exif=exif(orientation, OWNER), **options)

    upright = decoded(await pictures.clean(data))

    assert upright.size == (48, 32)
    assert upright.getexif().get(0x0112, 1) == 1
    assert OWNER.encode() not in await pictures.clean(data)
    assert largest_difference(upright, gradient()) <= {"PNG": 0, "WEBP": 0}.get(form, 12)
    assert largest_difference(decoded(await pictures.thumbnail(data, 48)), gradient()) < 40


async def test_damaged_exif_is_dropped_and_the_picture_kept(pictures: Pictures) -> None:
    damaged = picture("JPEG").replace(b"\xff\xdb", b"\xff\xe1\0\x12Exif\0\0II*\0\xff\xff\xff\x7f\0\0" + b"\xff\xdb", 1)
    cleaned = await pictures.clean(damaged)
    assert b"Exif" not in cleaned
    assert decoded(cleaned).size == (48, 32)


async def test_heic_becomes_jpeg(pictures: Pictures) -> None:
    data = heic()
    found = await pictures.inspect(data)
    assert (found.mime, found.width, found.height) == ("image/heic", 48, 32)
    cleaned = decoded(await pictures.clean(data))
    assert (cleaned.format, cleaned.size) == ("JPEG", (48, 32))
    assert largest_difference(cleaned, gradient()) < 40


WITHOUT_HEIF = """
import asyncio, sys
sys.modules["pillow_heif"] = None  # as where the extra `video` is not installed
from chatelier.core.media.pictures import Pictures

async def main():
    async with Pictures() as pictures:
        await pictures.inspect(sys.stdin.buffer.read())

try:
    asyncio.run(main())
except Exception as error:
    print(error)
"""


async def test_heic_without_its_library_is_said_so() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WITHOUT_HEIF, stdin=PIPE, stdout=PIPE)
    said, _ = await process.communicate(heic())
    assert said == b"I cannot read HEIC pictures here. Send a PNG, JPEG or WebP.\n"


async def test_a_turned_tiff_is_upright(pictures: Pictures) -> None:
    stored = gradient().transpose(Image.Transpose.ROTATE_90)
    cleaned = decoded(await pictures.clean(encoded(stored, "TIFF", exif=exif(6))))
    assert cleaned.size == (48, 32)
    assert largest_difference(cleaned, gradient()) == 0


# Thumbnails


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F"])
async def test_every_mode_has_a_thumbnail(pictures: Pictures, mode: str) -> None:
    form = "TIFF" if mode in {"CMYK", "F"} else "PNG"
    image = gradient(300, 200, "L").convert(mode) if mode != "I;16" else Image.new("I;16", (300, 200), 40_000)
    small = decoded(await pictures.thumbnail(encoded(image, form), 96))
    assert (small.format, small.size) == ("WEBP", (96, 64))


async def test_a_thumbnail_is_never_larger_than_the_picture(pictures: Pictures) -> None:
    assert decoded(await pictures.thumbnail(picture("JPEG"), 512)).size == (48, 32)


async def test_a_thumbnail_of_an_animation_is_its_first_frame(pictures: Pictures) -> None:
    small = decoded(await pictures.thumbnail(animation("GIF", side=64), 32))
    assert getattr(small, "n_frames", 1) == 1
    assert small.convert("RGB").getpixel((9, 9)) == (0, 0, 0)


async def test_a_thumbnail_carries_no_metadata(pictures: Pictures) -> None:
    assert OWNER.encode() not in await pictures.thumbnail(picture("JPEG", exif=exif(6, OWNER)), 32)


# The blocks themselves


def test_a_gif_without_its_last_byte_gets_it_back() -> None:
    whole = picture("GIF")
    assert stripped("image/gif", whole[:-1]) == stripped("image/gif", whole)


def test_an_odd_webp_whose_writer_forgot_the_last_pad_is_mended() -> None:
    body = b"WEBPVP8L" + struct.pack("<I", 5) + b"\x2f\x07\xc0\x01\0"
    data = b"RIFF" + struct.pack("<I", len(body)) + body
    mended = stripped("image/webp", data)
    assert mended is not None
    assert len(mended) % 2 == 0
    assert outline("image/webp", mended) == outline("image/webp", data)


@given(st.binary(max_size=80), st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", exif(6).tobytes()[6:]]))
def test_any_exif_says_a_direction(tail: bytes, start: bytes) -> None:
    assert orientation("image/png", png_claiming(8, 8, before=png_chunk(b"eXIf", start + tail))) in range(1, 9)


@pytest.mark.parametrize(("order", "start"), [("<", b"II*\0"), (">", b"MM\0*")])
def test_exif_is_read_in_either_order_of_bytes_and_behind_other_tags(order: str, start: bytes) -> None:
    def tagged(value: int) -> bytes:
        tags = struct.pack(order + "HHHIIHHIHH", 2, 0x010F, 2, 1, 0, 0x0112, 3, 1, value, 0)
        chunk = png_chunk(b"eXIf", start + struct.pack(order + "I", 8) + tags)
        return png_claiming(8, 8, before=chunk)

    assert [orientation("image/png", tagged(value)) for value in (1, 6, 8, 9, 0)] == [1, 6, 8, 1, 1]


def test_fill_bytes_between_jpeg_segments_are_allowed() -> None:
    data = picture("JPEG").replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1)
    assert outline("image/jpeg", data) == outline("image/jpeg", picture("JPEG"))


def test_blocks_that_do_not_fit_are_named() -> None:
    short_webp = b"RIFF\x20\0\0\0WEBPVP8 \xff\0\0\0" + bytes(20)
    empty_webp = b"RIFF\x0c\0\0\0WEBPVP8 \0\0\0\0"
    for mime, data in (
        ("image/webp", short_webp),
        ("image/webp", empty_webp),
        ("image/webp", b"RIFF\xff\0\0\0WEBP"),
        ("image/jpeg", b"\xff\xd8\x00\x00\x00\x00"),
        ("image/jpeg", b"\xff\xd8\xff\xda\0\x04ab pixels without an end"),
        ("image/png", b"\x89PNG\r\n\x1a\n\0\0"),
    ):
        with pytest.raises(Malformed):
            outline(mime, data)


def largest_difference(one: Image.Image, other: Image.Image) -> int:
    extremes = ImageChops.difference(one.convert("RGB"), other.convert("RGB")).getextrema()
    return max(int(high) for _, high in extremes)  # type: ignore[misc]  # RGB has a pair for each band


def heic() -> bytes:
    out = BytesIO()
    image = gradient()
    pillow_heif.from_bytes("RGB", image.size, image.tobytes()).save(out, quality=95)
    return out.getvalue()


@pytest.mark.parametrize(("form", "mime"), [("PNG", "image/png"), ("TIFF", "image/tiff")])
async def test_greys_of_sixteen_bits_keep_their_shades(pictures: Pictures, form: str, mime: str) -> None:
    levels = np.linspace(0, 65_535, 256, dtype=np.uint16).reshape(16, 16)
    out = BytesIO()
    Image.fromarray(levels).save(out, form)
    seen = await pictures.work(lambda: pictures.opened(out.getvalue()).convert("L"))
    shades = np.asarray(seen).ravel()
    assert (shades == sorted(shades)).all()
    assert len(set(shades.tolist())) > 250
