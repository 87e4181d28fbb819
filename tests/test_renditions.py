"""What a network cannot show as it is reaches people as a copy that it can."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from chatelier import Blob, Call, Command, FileRef, Media, Option, Reply, Runtime, Said, outcome_of
from chatelier.core.chat.targets import target_of
from chatelier.core.commands.router import Meant
from chatelier.core.media.renditions import RENDITIONS, Target
from chatelier.core.media.shrinking import shrunk
from chatelier.core.testing.platform import ROOMY, Shown, with_capabilities
from chatelier.platforms.telegram.limits import capabilities
from chatelier.testing import FakeBackend, FakePlatform, Parts, running
from files import animation, decoded, encoded, picture
from videos import video

TELEGRAM = capabilities(None, local_server=False)
NARROW = replace(
    ROOMY,
    album_buttons=False,
    upload={"image": 20_000, "": 400_000},
    inline_types=frozenset({"image/png", "image/jpeg", "image/gif", "video/mp4"}),
    still_types=frozenset({"image/png", "image/webp"}),
    picture_sides=1_000,
)


def noisy(side: int = 200) -> Image.Image:
    return Image.fromarray(np.random.default_rng(2).integers(0, 255, (side, side, 3), np.uint8))


class Shop:
    """A gateway whose one command answers with the files that it is told to."""

    def __init__(self, runtime: Runtime, network: FakePlatform) -> None:
        self.runtime = runtime
        self.network = network
        self.media: Sequence[Media] = ()

    async def blob(self, data: bytes) -> Blob:
        return await self.runtime.intake.keep(data)

    async def show(self, *media: Media, chat: str = "room") -> Shown:
        self.media = media
        event = self.network.event(Said(text="/give"), chat=chat)
        await self.network.receive(event)
        outcome = await outcome_of(self.runtime, self.network.name, event.keys[0])
        return self.network.shown[outcome.ids[-1]]

    async def give(self, call: Call) -> None:
        await call.commit(None, Reply(text="Here", media=tuple(self.media)))

    async def bytes_of(self, blob: Blob) -> bytes:
        return b"".join([piece async for piece in self.runtime.blobs.open(blob.sha256)])

    async def renditions(self) -> list[str]:
        return [one.key for one in await self.runtime.store.find(RENDITIONS, order="created")]


@asynccontextmanager
async def shop(folder: Path, *networks: FakePlatform) -> AsyncIterator[Shop]:
    made: list[Shop] = []

    async def give(call: Call) -> None:
        await made[0].give(call)

    command = Command(name="give", summary="Give", handler=give)
    parts = Parts(networks, [FakeBackend()], commands=[command])
    async with running(folder, parts) as runtime:
        made.append(Shop(runtime, networks[0]))
        yield made[0]


@pytest.fixture
async def narrow(tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop(tmp_path, FakePlatform(can=NARROW)) as opened:
        yield opened


# --- what is shown


async def test_a_picture_that_fits_is_sent_as_it_is(narrow: Shop) -> None:
    blob = await narrow.blob(picture())
    shown = await narrow.show(Media(blob=blob, name="a.png"))
    assert [media.blob for media in shown.message.media] == [blob]
    assert shown.text == "Here"
    assert await narrow.renditions() == []


async def test_a_picture_that_is_too_large_is_made_smaller_and_people_are_told(narrow: Shop) -> None:
    shown = await narrow.show(Media(blob=await narrow.blob(encoded(noisy(), "PNG")), name="a.png"))
    (media,) = shown.message.media
    assert (media.name, media.blob.mime, media.document) == ("a.jpg", "image/jpeg", False)
    assert media.blob.size <= 20_000
    assert decoded(await narrow.bytes_of(media.blob)).size >= (60, 60)
    assert "Made smaller to fit this chat." in shown.text


async def test_sides_beyond_the_limit_are_scaled(narrow: Shop) -> None:
    long = encoded(Image.new("RGB", (2_000, 500), "navy"), "PNG")
    shown = await narrow.show(Media(blob=await narrow.blob(long), name="a.png"))
    blob = shown.message.media[0].blob
    assert blob.width + blob.height <= 1_000
    assert blob.width == 4 * blob.height


async def test_a_format_that_is_not_shown_becomes_one_that_is_without_a_word_where_nothing_was_lost(
    narrow: Shop,
) -> None:
    shown = await narrow.show(Media(blob=await narrow.blob(picture("TIFF")), name="a.tif"))
    (media,) = shown.message.media
    assert (media.blob.mime, media.name) == ("image/png", "a.png")
    assert shown.text == "Here"


@pytest.mark.parametrize("form", ["WEBP", "PNG"])
async def test_an_animation_that_would_stand_still_becomes_a_video(narrow: Shop, form: str) -> None:
    moving = await narrow.blob(animation(form, 4, side=32, each_ms=100))
    shown = await narrow.show(Media(blob=moving, name="a.webp"))
    (media,) = shown.message.media
    assert (media.blob.mime, media.blob.kind, media.name) == ("video/mp4", "animation", "a.mp4")
    assert shown.text == "Here"


async def test_without_video_an_animation_becomes_a_gif(tmp_path: Path) -> None:
    can = replace(NARROW, inline_types=NARROW.inline_types - {"video/mp4"})
    async with shop(tmp_path, FakePlatform(can=can)) as opened:
        shown = await opened.show(Media(blob=await opened.blob(animation("WEBP", 4)), name="a.webp"))
        assert shown.message.media[0].blob.mime == "image/gif"


async def test_a_video_is_encoded_until_it_fits(narrow: Shop) -> None:
    large = await narrow.blob(video("webm", 50, 320, 240, noise=255))
    assert large.size > 400_000
    shown = await narrow.show(Media(blob=large, name="a.webm"))
    (media,) = shown.message.media
    assert media.blob.mime == "video/mp4"
    assert media.blob.size <= 400_000
    assert "Made smaller" in shown.text


async def test_what_cannot_be_made_to_fit_goes_as_a_file(narrow: Shop) -> None:
    broken = picture("TIFF")
    blob = await narrow.blob(broken)
    # Its record says a size, its bytes are no picture any more.
    place = next(path for path in (narrow.runtime.settings.data_dir / "blobs").rglob(f"*{blob.sha256[2:]}*"))
    await asyncio.to_thread(place.write_bytes, b"II*\0" + bytes(100))
    shown = await narrow.show(Media(blob=blob, name="a.tif"))
    assert [(media.blob, media.document) for media in shown.message.media] == [(blob, True)]
    assert shown.text == "Here"


async def test_an_original_is_never_touched(narrow: Shop) -> None:
    blob = await narrow.blob(picture("TIFF"))
    shown = await narrow.show(Media(blob=blob, name="a.tif", document=True))
    assert [media.blob for media in shown.message.media] == [blob]


async def test_of_an_album_the_captions_count_what_lost_quality(narrow: Shop) -> None:
    blobs = [await narrow.blob(data) for data in (encoded(noisy(), "PNG"), picture(), encoded(noisy(240), "PNG"))]
    shown = await narrow.show(*[Media(blob=blob, name="a.png") for blob in blobs])
    assert [media.blob.mime for media in shown.message.media] == ["image/jpeg", "image/png", "image/jpeg"]
    assert "2 of these were made smaller" in shown.text


# --- once, and for a while


async def test_a_copy_is_made_once_for_all_who_see_it(narrow: Shop) -> None:
    blob = await narrow.blob(encoded(noisy(), "PNG"))
    first = (await narrow.show(Media(blob=blob, name="a.png"))).message.media[0].blob
    known = await narrow.renditions()
    second = (await narrow.show(Media(blob=blob, name="b.png"), chat="elsewhere")).message.media[0].blob
    assert first == second
    assert await narrow.renditions() == known
    assert len(known) == 1


async def test_two_who_ask_at_the_same_time_get_the_same(narrow: Shop) -> None:
    blob = await narrow.blob(encoded(noisy(), "PNG"))
    target = Target(mimes=("image/jpeg",), limit=20_000)
    one, other = await asyncio.gather(*[narrow.runtime.renditions.of(blob, target) for _ in range(2)])
    assert one == other
    assert one is not None
    assert len(await narrow.renditions()) == 1


async def nobody(call: Call) -> None:
    raise NotImplementedError


async def test_a_reply_to_a_copy_works_on_the_original(narrow: Shop) -> None:
    blob = await narrow.blob(encoded(noisy(), "PNG"))
    shown = await narrow.show(Media(blob=blob, name="a.png"))
    said = Said(text="/fry", reply_to=shown.id)
    file = Option(name="file", type="image")
    asked = Meant(Command(name="fry", summary="Fries it.", options=(file,), handler=nobody), {})
    meant = await narrow.runtime.handling.router.carried(narrow.network.event(said), asked)
    assert [found.ref for found in meant.values.values() if isinstance(found, FileRef)] == [blob.sha256]


# --- what is wanted


def media(mime: str, kind: str, size: int = 1, width: int = 8, height: int = 8) -> Media:
    blob = Blob(sha256="0" * 64, size=size, mime=mime, kind=kind, width=width, height=height)  # type: ignore[arg-type] # a parameter
    return Media(blob=blob, name="a")


@pytest.mark.parametrize(
    ("mime", "kind", "size", "width", "becomes"),
    [
        ("image/png", "image", 1, 8, ()),
        ("image/png", "image", 11 << 20, 8, ("image/png", "image/jpeg", "image/webp")),
        ("image/png", "image", 1, 9_993, ("image/png", "image/jpeg", "image/webp")),
        ("image/png", "image", 1, 9_992, ()),
        ("image/avif", "image", 1, 8, ("image/png", "image/jpeg", "image/webp")),
        ("image/webp", "animation", 1, 8, ("video/mp4",)),
        ("image/png", "animation", 1, 8, ("video/mp4",)),
        ("image/gif", "animation", 1, 8, ()),
        ("video/webm", "video", 1, 8, ("video/mp4",)),
        ("video/mp4", "video", 1, 8, ()),
        ("video/mp4", "video", 51 << 20, 8, ("video/mp4",)),
        ("video/webm", "video", 1, 0, ()),
        ("application/pdf", "file", 1, 0, ()),
        ("audio/flac", "audio", 1, 0, ()),
    ],
)
def test_what_telegram_does_not_show_becomes_what_it_shows(
    mime: str, kind: str, size: int, width: int, becomes: tuple[str, ...]
) -> None:
    target = target_of(media(mime, kind, size, width), TELEGRAM)
    assert (target.mimes if target else ()) == becomes


def test_where_nothing_is_shown_in_place_nothing_is_converted() -> None:
    assert target_of(media("image/avif", "image"), with_capabilities(inline_types=frozenset())) is None


@given(
    side=st.integers(1, 60),
    wide=st.integers(1, 60),
    mode=st.sampled_from(["RGB", "RGBA", "L", "P", "1", "CMYK", "I;16"]),
    limit=st.integers(0, 5_000),
    sides=st.integers(0, 80),
    mimes=st.sets(st.sampled_from(["image/png", "image/jpeg", "image/webp"])),
)
def test_what_is_shrunk_fits_and_is_of_a_wanted_format(
    side: int, wide: int, mode: str, limit: int, sides: int, mimes: set[str]
) -> None:
    made = shrunk(Image.new(mode, (side, wide)), tuple(sorted(mimes)), limit, max(sides, 2) if sides else 0)
    if made is None:
        return
    image = decoded(made.data)
    assert Image.MIME[image.format or ""] in mimes
    assert not limit or len(made.data) <= limit
    assert not sides or sum(image.size) <= max(sides, 2) + 1
