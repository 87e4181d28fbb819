"""The commands that change pictures and videos, as somebody in a chat sees them. No backend is asked."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from chatelier import BadInput, Called, Command, FileRef, Pressed, Runtime, Said, Value
from chatelier.core.commands.parse import parse, with_link
from chatelier.core.media.made import MADE
from chatelier.core.people.people import PEOPLE
from chatelier.core.testing.clock import settle
from chatelier.core.testing.platform import Shown, with_capabilities
from chatelier.plugins.retouch import Plugin as Retouch
from chatelier.plugins.retouch.arguments import MOST_PIXELS, cut, frame_number, new_size, two_lines
from chatelier.plugins.retouch.desk import SUBJECT
from chatelier.plugins.retouch.plugin import COMMANDS
from chatelier.testing import FakeBackend, FakePlatform, Parts, running
from files import animation, decoded, encoded, exif, gradient, picture
from videos import streams, turned, video

TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "video/mp4", "video/webm"})


@dataclass
class Studio:
    """A chat in which pictures are worked on."""

    runtime: Runtime
    network: FakePlatform

    def file(self, data: bytes, name: str = "sent") -> FileRef:
        ref = f"{name}-{len(self.network.files)}"
        self.network.files[ref] = data
        return FileRef(platform=self.network.name, ref=ref, name=name)

    async def say(self, text: str, files: Sequence[bytes] = (), *, reply_to: str = "", sender: str = "ada") -> Shown:
        """The answer."""
        said = Said(text=text, files=tuple(map(self.file, files)), reply_to=reply_to)
        return await self._answer(said, sender)

    async def call(self, command: str, **options: Value) -> Shown:
        return await self._answer(Called(command=command, options=options), "ada")

    async def _answer(self, body: Said | Called | Pressed, sender: str) -> Shown:
        before = set(self.network.shown)
        await self.network.receive(self.network.event(body, sender=sender))
        await self.network.until(lambda: self.network.shown.keys() - before, 60)
        return self.network.last

    async def bytes_of(self, shown: Shown, n: int = 0) -> bytes:
        assert shown.message.media, shown.text
        blob = shown.message.media[n].blob
        return b"".join([piece async for piece in self.runtime.blobs.open(blob.sha256)])

    async def image(self, shown: Shown, n: int = 0) -> Image.Image:
        return decoded(await self.bytes_of(shown, n))


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Studio]:
    network = FakePlatform(can=with_capabilities(inline_types=TYPES, edit_media=False))
    async with running(tmp_path, Parts([network], [FakeBackend()]), Retouch()) as runtime:
        yield Studio(runtime, network)


# --- which picture is meant


async def test_a_picture_that_is_attached_is_changed(studio: Studio) -> None:
    shown = await studio.say("/resize 50%", [picture("JPEG", 64, 40)])
    image = await studio.image(shown)
    assert (image.format, image.size) == ("JPEG", (32, 20))
    assert shown.message.media[0].name == "resize.jpg"


async def test_an_album_is_changed_picture_by_picture(studio: Studio) -> None:
    shown = await studio.say("/crop square", [picture("PNG", 64, 40), picture("JPEG", 30, 50)])
    assert [(await studio.image(shown, n)).size for n in range(2)] == [(40, 40), (30, 30)]
    assert [media.name for media in shown.message.media] == ["crop.png", "crop-2.jpg"]


@pytest.mark.parametrize("answer", ["webp", "press"])
async def test_an_album_stays_whole_while_something_is_asked_about_it(studio: Studio, answer: str) -> None:
    question = await studio.say("/convert", [picture("PNG", 64, 40), picture("JPEG", 30, 50)])
    assert "format" in question.text.lower()
    if answer == "press":
        (button,) = [one for row in question.message.buttons for one in row if one.label == "webp"]
        shown = await studio._answer(Pressed(payload=button.payload, message_id=question.id), "ada")
    else:
        shown = await studio.say(answer)
    assert [(await studio.image(shown, n)).size for n in range(2)] == [(64, 40), (30, 50)]


async def test_a_picture_that_is_answered_is_changed_ours_as_well_as_theirs(studio: Studio) -> None:
    theirs = studio.network.event(Said(text="", files=(studio.file(picture("PNG", 64, 64)),)))
    await studio.network.receive(theirs)
    await studio.network.until(lambda: studio.network.shown)
    small = await studio.say("/resize 32", reply_to=theirs.keys[-1], sender="bob")
    assert (await studio.image(small)).size == (32, 32)
    smaller = await studio.say("/resize 50%", reply_to=small.id)
    assert (await studio.image(smaller)).size == (16, 16)


async def test_without_any_picture_the_newest_of_the_person_is_changed(studio: Studio) -> None:
    first = await studio.say("/resize 40", [picture("PNG", 80, 80)])
    await studio.say("/resize 10", [picture("PNG", 80, 80)], sender="bob")
    assert (await studio.image(await studio.say("/resize 50%"))).size == (20, 20)
    assert (await studio.image(await studio.say("/resize 50%"))).size == (10, 10)
    assert first.message.media


async def test_the_newest_may_be_a_result_of_a_workflow(studio: Studio) -> None:
    await studio.say("/make a fox")
    await studio.network.until(lambda: studio.network.last.message.media)
    made = studio.network.last.message.media[0].blob
    shown = await studio.say("/resize 200%")
    assert (await studio.image(shown)).size == (made.width * 2, made.height * 2)


async def test_a_sheet_shows_all_that_one_order_made(studio: Studio) -> None:
    await studio.say("/make a fox")
    await studio.network.until(lambda: studio.network.last.message.media)
    payload = studio.network.last.button("vary")
    pressed = studio.network.event(Pressed(payload=payload, message_id=studio.network.last.id))
    await studio.network.receive(pressed)
    await studio.network.until(lambda: sum(bool(one.message.media) for one in studio.network.shown.values()) == 5)
    sheet = await studio.image(await studio.say("/sheet"))
    assert sheet.size == (2 * 328 + 8, 2 * 328 + 8)
    assert len((await studio.say("/palette")).message.media) == 1


async def test_a_network_with_typed_options_may_name_the_picture(studio: Studio) -> None:
    shown = await studio.call("resize", size="50%", picture=studio.file(picture("PNG", 64, 64)))
    assert (await studio.image(shown)).size == (32, 32)


@pytest.mark.parametrize("said", ["/fry", "/meme a | b", "/resize 50%", "/sheet"])
async def test_somebody_with_no_picture_is_told_how_to_bring_one(studio: Studio, said: str) -> None:
    shown = await studio.say(said)
    assert "Send a picture" in shown.text
    assert not shown.message.media


@pytest.mark.parametrize("said", ["/meme top | bottom http://127.0.0.1:8080/a.png", "/fry http://127.0.0.1:8080/a.png"])
async def test_a_link_is_fetched_by_the_guarded_fetcher(studio: Studio, said: str) -> None:
    assert "private network" in (await studio.say(said)).text


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_link_alone_is_the_picture_of_every_command(command: Command) -> None:
    link = "https://example.org/fox.png"
    parsed = parse(link, command)
    assert parsed.errors == ()
    assert with_link(parsed.values, command) == {SUBJECT: link}


async def test_what_was_made_is_kept_like_a_result(studio: Studio) -> None:
    shown = await studio.say("/fry", [picture()])
    (made,) = await studio.runtime.store.find(MADE, order="created")
    assert [blob.sha256 for blob in made.blobs] == [shown.message.media[0].blob.sha256]


async def test_too_many_files_are_refused_in_words(studio: Studio) -> None:
    assert "11 files; I take 10" in (await studio.say("/fry", [picture("PNG", 8, n + 8) for n in range(11)])).text


@pytest.mark.parametrize(
    "command", ["/fry", "/crop square", "/palette", "/meme hi", "/watermark hi", "/strip", "/sheet"]
)
async def test_a_file_of_the_wrong_kind_is_refused_in_words(studio: Studio, command: str) -> None:
    assert (
        "works on pictures"
        in (await studio.say(command, [b"only words", b"and more of them"][: 1 + (command == "/sheet")])).text
    )


async def test_a_damaged_picture_is_refused_in_words(studio: Studio) -> None:
    assert "damaged" in (await studio.say("/fry", [picture()[:60]])).text


# --- resize, crop, thumbnail


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ("50%", (32, 20)),
        ("200 %", (128, 80)),
        ("32", (32, 20)),
        ("100x20", (32, 20)),
        ("32×400", (32, 20)),
        ("1%", (1, 1)),
    ],
)
def test_a_size_can_be_said_in_several_ways(said: str, size: tuple[int, int]) -> None:
    assert new_size(said, (64, 40)) == size


@pytest.mark.parametrize("said", ["", "big", "0", "0%", "-5", "10x", "1e3", "0x0", "٣%x"])
def test_a_size_that_is_none_is_answered_with_examples(said: str) -> None:
    with pytest.raises(BadInput, match="/resize 50%"):
        new_size(said, (64, 40))


@given(
    said=st.from_regex(r"[0-9]{1,6}(%|x[0-9]{1,6})?", fullmatch=True),
    width=st.integers(1, 9999),
    height=st.integers(1, 5000),
)
def test_whatever_the_numbers_a_picture_stays_within_the_limits(said: str, width: int, height: int) -> None:
    try:
        new = new_size(said, (width, height))
    except BadInput:
        return
    assert min(new) >= 1
    assert new[0] * new[1] <= MOST_PIXELS


async def test_a_picture_is_not_blown_up_beyond_the_limits(studio: Studio) -> None:
    shown = await studio.say("/resize 9999%", [picture("PNG", 800, 800)])
    assert "megapixels" in shown.text


async def test_an_animation_keeps_its_frames_and_times_when_it_is_scaled(studio: Studio) -> None:
    image = await studio.image(await studio.say("/resize 50%", [animation("GIF", 4, side=32, each_ms=70)]))
    assert (image.format, image.size, getattr(image, "n_frames", 1)) == ("GIF", (16, 16), 4)
    assert image.info["duration"] == 70


@pytest.mark.parametrize(
    ("said", "box"),
    [("square", (12, 0, 52, 40)), ("1:1", (12, 0, 52, 40)), ("2/1", (0, 4, 64, 36)), ("10x10", (27, 15, 37, 25))],
)
def test_a_crop_is_around_the_middle(said: str, box: tuple[int, int, int, int]) -> None:
    assert cut(said, (64, 40)) == box


@pytest.mark.parametrize("said", ["", "round", "0:1", "1:0", "0x4", "a:b"])
def test_a_shape_that_is_none_is_answered_with_examples(said: str) -> None:
    with pytest.raises(BadInput, match="/crop square"):
        cut(said, (64, 40))


@given(
    said=st.from_regex(r"[0-9]{1,4}[:x][0-9]{1,4}", fullmatch=True),
    width=st.integers(1, 999),
    height=st.integers(1, 999),
)
def test_a_crop_never_reaches_beyond_the_picture(said: str, width: int, height: int) -> None:
    try:
        left, top, right, bottom = cut(said, (width, height))
    except BadInput:
        return
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


async def test_a_crop_larger_than_the_picture_is_refused(studio: Studio) -> None:
    assert "smaller than that" in (await studio.say("/crop 400x400", [picture()])).text


async def test_a_thumbnail_is_a_small_webp(studio: Studio) -> None:
    image = await studio.image(await studio.say("/thumbnail 16", [picture("PNG", 64, 32)]))
    assert (image.format, image.size) == ("WEBP", (16, 8))


# --- convert


@pytest.mark.parametrize("to", ["webp", "png", "jpeg", "jpg", "gif", "avif"])
@pytest.mark.parametrize("source", ["PNG", "JPEG", "WEBP"])
async def test_a_still_picture_is_converted(studio: Studio, source: str, to: str) -> None:
    shown = await studio.say(f"/convert {to}", [picture(source)])
    assert shown.message.media[0].blob.mime == f"image/{to.replace('jpg', 'jpeg')}"
    assert (await studio.image(shown)).size == (48, 32)


@pytest.mark.parametrize("to", ["webp", "png", "gif", "avif"])
async def test_an_animation_still_moves_when_it_is_converted(studio: Studio, to: str) -> None:
    blob = (await studio.say(f"/convert {to}", [animation("GIF", 3)])).message.media[0].blob
    assert (blob.mime, blob.kind, blob.frames) == (f"image/{to}", "animation", 3)


@pytest.mark.parametrize(("source", "to"), [("WEBP", "mp4"), ("GIF", "webm"), ("PNG", "mp4")])
async def test_an_animation_becomes_a_video(studio: Studio, source: str, to: str) -> None:
    blob = (await studio.say(f"/convert {to}", [animation(source, 5, side=32, each_ms=200)])).message.media[0].blob
    assert (blob.mime, blob.width, blob.height) == (f"video/{to}", 32, 32)
    assert 900 <= blob.duration_ms <= 1300


@pytest.mark.parametrize("to", ["gif", "webp"])
async def test_a_video_becomes_an_animation(studio: Studio, to: str) -> None:
    blob = (await studio.say(f"/convert {to}", [video()])).message.media[0].blob
    assert (blob.mime, blob.kind, blob.width, blob.height) == (f"image/{to}", "animation", 64, 48)
    assert 800 <= blob.duration_ms <= 1200


@pytest.mark.parametrize(
    ("source", "to", "codecs"), [("webm", "mp4", ["h264", "aac"]), ("mov", "webm", ["vp9", "opus"])]
)
async def test_a_video_in_another_format_has_its_sound(studio: Studio, source: str, to: str, codecs: list[str]) -> None:
    found = streams(await studio.bytes_of(await studio.say(f"/convert {to}", [video(source)])))
    assert [found["video"].removeprefix("lib"), found["audio"].removeprefix("lib")] == codecs


@pytest.mark.parametrize(
    ("said", "data", "words"),
    [
        ("/convert mp4", picture(), "still picture"),
        ("/convert jpeg", animation("GIF"), "does not move"),
        ("/convert png", video(), "/frame"),
        ("/convert tga", picture(), "webp"),
    ],
)
async def test_a_conversion_that_makes_no_sense_is_refused_in_words(
    studio: Studio, said: str, data: bytes, words: str
) -> None:
    assert words in (await studio.say(said, [data])).text


async def test_transparency_becomes_white_in_a_jpeg(studio: Studio) -> None:
    clear = encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG")
    pixel = (await studio.image(await studio.say("/convert jpeg", [clear]))).getpixel((4, 4))
    assert pixel == (255, 255, 255)


# --- watermark, meme, fry


def differs(one: Image.Image, other: Image.Image) -> tuple[int, int, int, int]:
    """The box in which two pictures differ."""
    from PIL import ImageChops  # noqa: PLC0415 - only here

    box = ImageChops.difference(one.convert("RGB"), other.convert("RGB")).getbbox()
    assert box is not None
    return box


@pytest.mark.parametrize(
    ("place", "inside"),
    [("top-left", (0, 0, 150, 60)), ("bottom-right", (150, 140, 300, 200)), ("center", (60, 60, 240, 140))],
)
async def test_a_watermark_in_words_stands_where_it_was_asked_for(studio: Studio, place: str, inside: Any) -> None:
    plain = Image.new("RGB", (300, 200), (90, 90, 90))
    shown = await studio.say(f"/watermark Ada --position {place}", [encoded(plain, "PNG")])
    box = differs(await studio.image(shown), plain)
    assert inside[0] <= box[0] < box[2] <= inside[2]
    assert inside[1] <= box[1] < box[3] <= inside[3]


async def test_a_second_picture_is_the_mark_and_its_opacity_counts(studio: Studio) -> None:
    ground, mark = Image.new("RGB", (200, 200)), encoded(Image.new("RGB", (20, 20), "white"), "PNG")
    levels = []
    for opacity in (25, 100):
        shown = await studio.say(f"/watermark --opacity {opacity} --position center", [encoded(ground, "PNG"), mark])
        levels.append((await studio.image(shown)).getpixel((100, 100)))
    assert levels == [(64, 64, 64), (255, 255, 255)]


async def test_of_an_answered_and_an_attached_picture_the_attached_one_is_the_mark(studio: Studio) -> None:
    ground, mark = Image.new("RGB", (200, 100)), encoded(Image.new("RGB", (20, 20), "white"), "PNG")
    theirs = studio.network.event(Said(text="", files=(studio.file(encoded(ground, "PNG")),)))
    await studio.network.receive(theirs)
    await studio.network.until(lambda: studio.network.shown)
    shown = await studio.say("/watermark --opacity 100 --position center", [mark], reply_to=theirs.keys[-1])
    image = await studio.image(shown)
    assert image.size == (200, 100)
    assert image.getpixel((100, 50)) == (255, 255, 255)


async def test_words_mark_every_picture_of_an_album(studio: Studio) -> None:
    shown = await studio.say("/watermark Ada", [picture("PNG", 90, 60), picture("PNG", 60, 90)])
    assert len(shown.message.media) == 2


async def test_a_watermark_of_nothing_is_asked_for(studio: Studio) -> None:
    assert "What shall stand on it" in (await studio.say("/watermark", [picture()])).text


async def test_a_meme_has_words_above_and_below_and_not_in_the_middle(studio: Studio) -> None:
    plain = Image.new("RGB", (400, 300), "navy")
    image = await studio.image(
        await studio.say("/meme one does not simply | deploy on Friday", [encoded(plain, "PNG")])
    )
    assert image.crop((0, 0, 400, 100)).getcolors(9999) != [(40_000, (0, 0, 128))]
    assert image.crop((0, 120, 400, 180)).getcolors(9999) == [(24_000, (0, 0, 128))]
    assert differs(image, plain)[3] > 200


@pytest.mark.parametrize("words", ["x" * 290, "a " * 140, "|" + "ü" * 100, "日本 | 🦊"])
async def test_any_words_fit_into_a_meme(studio: Studio, words: str) -> None:
    assert (await studio.image(await studio.say(f"/meme {words}", [picture("PNG", 60, 40)]))).size == (60, 40)


def test_a_meme_needs_words() -> None:
    assert two_lines("up | down | more") == ("up", "down | more")
    with pytest.raises(BadInput, match="top words"):
        two_lines(" | ")


async def test_a_fried_picture_is_bright_hard_and_noisy(studio: Studio) -> None:
    plain = Image.new("RGB", (64, 64), (128, 100, 90))
    image = await studio.image(await studio.say("/fry", [encoded(plain, "PNG")]))
    assert image.format == "JPEG"
    extremes: list[Any] = [band.getextrema() for band in image.split()]
    red, green, blue = extremes
    assert red[1] == 255, "bright"
    assert blue[0] < 90, "hard"
    assert green[1] - green[0] > 60, "noisy"
    again = await studio.image(await studio.say("/fry", [encoded(plain, "PNG")]))
    assert again.tobytes() == image.tobytes()


# --- gif, frame, sheet, palette, strip


async def test_an_album_becomes_a_gif(studio: Studio) -> None:
    shown = await studio.say("/gif 200", [picture("PNG", 60, 40), picture("JPEG", 20, 40), picture("PNG", 41, 40)])
    image = await studio.image(shown)
    assert (image.format, image.size, getattr(image, "n_frames", 1)) == ("GIF", (60, 40), 3)
    assert image.info["duration"] == 200


async def test_a_video_becomes_a_gif(studio: Studio) -> None:
    assert (await studio.say("/gif", [video()])).message.media[0].blob.mime == "image/gif"


async def test_one_still_picture_is_no_gif(studio: Studio) -> None:
    assert "at least two" in (await studio.say("/gif", [picture()])).text
    assert "at least two" in (await studio.say("/sheet", [picture()])).text


@pytest.mark.parametrize(("which", "red"), [("first", 0), ("", 0), ("last", 255), ("13", 127)])
async def test_a_frame_of_a_video_is_taken_out(studio: Studio, which: str, red: int) -> None:
    image = await studio.image(await studio.say(f"/frame {which}", [video()]))
    assert (image.format, image.size) == ("PNG", (64, 48))
    found: Any = image.getpixel((30, 20))
    assert abs(found[0] - red) < 12


@pytest.mark.parametrize("said", ["/frame", "/convert webm", "/convert gif"])
async def test_a_video_that_lies_on_its_side_is_stood_up(studio: Studio, said: str) -> None:
    made = (await studio.say(said, [turned(video(mark=True))])).message.media[0].blob
    assert (made.width, made.height) == (48, 64)
    first: Any = (await studio.image(await studio.say("/frame", [turned(video(mark=True))]))).getpixel((24, 6))
    assert first[2] > 200, "what was on the left is at the top"


async def test_a_frame_of_an_animation_is_taken_out(studio: Studio) -> None:
    moving = animation("GIF", 4)
    pixels = [(await studio.image(await studio.say(f"/frame {n}", [moving]))).getpixel((8, 8)) for n in ("2", "last")]
    assert pixels == [(37, 91, 13), (111, 17, 39)]


@pytest.mark.parametrize(
    ("said", "data", "words"),
    [
        ("/frame 5", animation("GIF", 4), "4 frames"),
        ("/frame 99", video(), "fewer frames"),
        ("/frame", picture(), "still"),
    ],
)
async def test_a_frame_that_is_not_there_is_said_so(studio: Studio, said: str, data: bytes, words: str) -> None:
    assert words in (await studio.say(said, [data])).text


def test_a_frame_is_named_or_numbered() -> None:
    assert [frame_number(said, 9) for said in ("first", "Last", "9")] == [1, -1, 9]
    for said in ("0", "-1", "middle", ""):
        with pytest.raises(BadInput, match="/frame first"):
            frame_number(said, 9)


async def test_a_sheet_shows_all_in_one_picture(studio: Studio) -> None:
    colours = ["red", "green", "blue", "white", "black"]
    shown = await studio.say("/sheet", [encoded(Image.new("RGB", (640, 640), colour), "PNG") for colour in colours])
    image = await studio.image(shown)
    found: list[Any] = [image.getpixel((170 + 328 * (n % 3), 170 + 328 * (n // 3))) for n in range(5)]
    assert image.width == 3 * 328 + 8
    for seen, colour in zip(found, ((255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)), strict=True):
        assert all(abs(one - other) < 6 for one, other in zip(seen, colour, strict=True))


async def test_a_palette_names_its_colours(studio: Studio) -> None:
    image = Image.new("RGB", (40, 40), "#102030")
    image.paste("#f0e0d0", (0, 0, 40, 10))
    shown = await studio.say("/palette 4", [encoded(image, "PNG")])
    assert shown.text.split() == ["#102030", "#f0e0d0"]
    assert (await studio.image(shown)).size == (240, 120)


async def test_strip_gives_the_picture_without_its_metadata_as_a_file(studio: Studio) -> None:
    sent = encoded(gradient(48, 32), "JPEG", exif=exif(6, "Ada Lovelace"))
    shown = await studio.say("/strip", [sent])
    image = await studio.image(shown)
    assert image.size == (32, 48), "upright"
    assert not image.getexif()
    assert b"Ada" not in await studio.bytes_of(shown)
    assert shown.message.media[0].document


async def test_nothing_that_was_sent_along_stays_in_what_is_made_of_it(studio: Studio) -> None:
    sent = encoded(gradient(48, 32), "JPEG", exif=exif(1, "Ada Lovelace"), comment=b"secret")
    for command in ("/resize 50%", "/convert png", "/crop square", "/fry", "/meme hi"):
        data = await studio.bytes_of(await studio.say(command, [sent]))
        assert b"Ada" not in data, command
        assert b"secret" not in data, command
        assert not Image.open(BytesIO(data)).getexif()


# --- limits


async def test_an_animation_that_takes_too_much_memory_is_refused(studio: Studio) -> None:
    first = Image.new("P", (2000, 2000))
    large = encoded(first, "GIF", save_all=True, append_images=[Image.new("P", (2000, 2000), n) for n in range(1, 20)])
    assert "too much movement" in (await studio.say("/resize 10%", [large])).text


async def test_a_video_is_scaled(studio: Studio) -> None:
    blob = (await studio.say("/resize 50%", [video()])).message.media[0].blob
    assert (blob.mime, blob.width, blob.height) == ("video/mp4", 32, 24)


async def test_many_at_once_are_answered_and_the_rest_is_told_to_wait(studio: Studio) -> None:
    count = 40
    before = len(studio.network.shown)
    for n in range(count):
        said = Said(text="/fry", files=(studio.file(picture("PNG", 200, 200 + n)),))
        await studio.network.receive(studio.network.event(said, sender=f"p{n}"))
    await studio.network.until(lambda: len(studio.network.shown) == before + count, 60)
    answers = list(studio.network.shown.values())[before:]
    assert sum(bool(one.message.media) for one in answers) >= 10
    assert all(one.message.media or "try again in a minute" in one.text for one in answers)


# --- how much at a time


async def test_what_comes_in_is_looked_at_while_pictures_are_changed(studio: Studio) -> None:
    """All places for changes are taken; a picture that somebody sends is read all the same."""
    go = threading.Event()
    held = [asyncio.create_task(studio.runtime.pictures.work(lambda: go.wait(30))) for _ in range(2)]
    try:
        assert (await studio.runtime.pictures.inspect(picture("PNG", 8, 8))).width == 8
    finally:
        go.set()
        await asyncio.gather(*held)


async def test_a_film_takes_no_place_from_pictures(studio: Studio) -> None:
    film = video("mp4", 2)
    async with studio.runtime.films.turn("somebody"):
        slow = asyncio.create_task(studio.say("/convert gif", [film], sender="bob"))
        assert (await studio.say("/fry", [picture()])).message.media
    assert (await slow).message.media


async def test_who_has_much_at_work_is_asked_to_wait(studio: Studio) -> None:
    await studio.say("/fry", [picture()])
    (ada,) = await studio.runtime.store.find(PEOPLE, order="created")
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(studio.runtime.pictures.turn(ada.key))
        third = asyncio.create_task(studio.runtime.pictures.turn(ada.key).__aenter__())
        await settle()
        assert "3 of yours are being worked on already" in (await studio.say("/fry", [picture()])).text
        third.cancel()
    assert (await studio.say("/fry", [picture()])).message.media


async def test_an_answer_that_answers_the_same_album_does_not_double_its_pictures(studio: Studio) -> None:
    files = tuple(studio.file(picture("PNG", 20 + n, 20)) for n in range(3))
    theirs = studio.network.event(Said(files=files))
    before = set(studio.network.shown)
    await studio.network.receive(theirs)
    await studio.network.until(lambda: studio.network.shown.keys() - before)
    await studio.say("/convert", reply_to=theirs.keys[-1])
    shown = await studio.say("webp", reply_to=theirs.keys[-1])
    assert len(shown.message.media) == 3
