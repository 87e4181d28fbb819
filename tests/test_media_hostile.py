"""Files made to do harm: each is refused in words, soon, and nothing of it is left."""

import asyncio
import struct
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random

import pytest

from chatelier import BadInput, Blob, FileRef
from chatelier.core.clock import SystemClock
from chatelier.core.media.blobs import FolderBlobs
from chatelier.core.media.films import Films
from chatelier.core.media.intake import Intake
from chatelier.core.media.pictures import Pictures
from chatelier.core.registered import KINDS
from chatelier.core.testing.platform import FakePlatform
from chatelier.core.testing.store import FakeStore
from files import (
    animation,
    bmp_claiming,
    gif_claiming,
    jpeg_claiming,
    picture,
    png_chunk,
    png_claiming,
    tiff_claiming,
    webp_claiming,
)
from videos import sound, video

SECONDS = 5.0
"""For each of them; most take milliseconds."""


@dataclass
class Door:
    """What a network hands in, on its way to a command."""

    intake: Intake
    films: Films
    network: FakePlatform
    folder: Path

    async def send(self, data: bytes, name: str = "a.png", wanted: str = "file") -> Blob:
        self.network.files[name] = data
        async with asyncio.timeout(SECONDS):
            return await self.intake.read(FileRef(platform="fake", ref=name, name=name), wanted)  # type: ignore[arg-type] # a parameter


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    network = FakePlatform()
    async with Pictures() as pictures, Films() as films:
        blobs = FolderBlobs(tmp_path, FakeStore(KINDS), SystemClock(), pictures, films)
        await blobs.start()
        yield Door(Intake({"fake": network}, blobs, pictures, 50_000_000), films, network, tmp_path)


def apng_claiming(frames: int) -> bytes:
    return png_claiming(16, 16, before=png_chunk(b"acTL", struct.pack(">II", frames, 0)))


def webp_frames(frames: int) -> bytes:
    """A good animation whose last frame is repeated."""
    data = animation("WEBP", 2)
    at = data.rindex(b"ANMF")
    size = struct.unpack_from("<I", data, at + 4)[0] + 8
    body = data[12 : at + size] + data[at : at + size] * (frames - 2)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


# --- pictures


@pytest.mark.parametrize("wanted", ["image", "file"])
@pytest.mark.parametrize(
    "claiming", [png_claiming, jpeg_claiming, webp_claiming, gif_claiming, bmp_claiming, tiff_claiming]
)
async def test_sides_of_65535_pixels_are_refused_by_the_header(
    door: Door, claiming: Callable[[int, int], bytes], wanted: str
) -> None:
    side = 16_384 if claiming is webp_claiming else 65_535
    with pytest.raises(BadInput, match=r"megapixels|damaged"):
        await door.send(claiming(side, side), wanted=wanted)


@pytest.mark.parametrize(
    "data",
    [gif_claiming(16, 16, 10_001), webp_frames(10_001), apng_claiming(10_001), apng_claiming(4_000_000_000)],
    ids=["gif", "webp", "apng", "apng that lies"],
)
async def test_animations_of_more_than_ten_thousand_frames_are_refused(door: Door, data: bytes) -> None:
    with pytest.raises(BadInput, match="frames"):
        await door.send(data)


async def test_an_animation_of_ten_thousand_small_frames_is_taken(door: Door) -> None:
    blob = await door.send(webp_frames(10_000))
    assert (blob.kind, blob.frames) == ("animation", 10_000)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
async def test_pictures_that_end_too_soon_are_refused(door: Door, form: str) -> None:
    data = picture(form)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(BadInput):
            await door.send(data[: int(len(data) * share)], wanted="image")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP"])
async def test_of_a_polyglot_only_the_picture_is_kept(door: Door, form: str) -> None:
    hidden = BytesIO()
    with zipfile.ZipFile(hidden, "w") as archive:
        archive.writestr("payload.html", "<script>alert(1)</script>")
    blob = await door.send(picture(form) + hidden.getvalue())
    assert blob.kind == "image"
    kept = await door.intake.whole(blob)
    assert not zipfile.is_zipfile(BytesIO(kept))
    assert b"script" not in kept


@pytest.mark.parametrize(("name", "data"), [("a.mp4", picture()), ("a.txt", picture("GIF")), ("a.png", video())])
async def test_a_name_is_never_believed(door: Door, name: str, data: bytes) -> None:
    blob = await door.send(data, name)
    assert blob.kind == ("video" if name == "a.png" else "image")
    wrong = "image" if blob.kind == "video" else "video"
    with pytest.raises(BadInput):
        await door.send(data, name, wanted=wrong)


# --- videos


LONG = video("mp4", 400, sound=False)
"""Small, and large when it is scaled up."""
PLAYLISTS = {
    "hls": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n",
    "concat": b"ffconcat version 1.0\nfile /etc/passwd\n",
}


@pytest.mark.parametrize("mime", ["video/mp4", "video/webm", "image/gif"])
@pytest.mark.parametrize("name", PLAYLISTS)
async def test_a_playlist_is_not_followed_to_other_files(door: Door, name: str, mime: str) -> None:
    assert (await door.send(PLAYLISTS[name], "a.mp4")).kind == "text"
    with pytest.raises(BadInput):
        await door.films.convert(PLAYLISTS[name], mime, "mp4", width=64, height=48)


@pytest.mark.parametrize("form", ["mp4", "webm", "mov", "matroska"])
async def test_a_video_that_ends_too_soon_has_no_size_and_cannot_be_worked_on(door: Door, form: str) -> None:
    data = video(form)[:600]
    blob = await door.send(data)
    assert (blob.kind, blob.width, blob.duration_ms) == ("video", 0, 0)
    with pytest.raises(BadInput, match="damaged"):
        await door.films.convert(data, blob.mime, "gif", width=64, height=48)


async def test_damaged_videos_are_answered_in_words_or_converted(door: Door) -> None:
    dice, good = Random(3), video("mp4", 5)  # noqa: S311 - damage, not secrets
    for _ in range(8):
        data = bytearray(good)
        for _ in range(dice.randint(1, 30)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            made = await door.films.convert(bytes(data), "video/mp4", "mp4", width=64, height=48)
        except BadInput:
            continue
        assert (await door.send(made, "b.mp4")).mime == "video/mp4"


async def test_a_frame_that_is_too_large_is_refused(door: Door) -> None:
    with pytest.raises(BadInput, match="too large"):
        await door.films.frame(video("mp4", 1, 8_192, 2_064, sound=False), "video/mp4", 1)


async def test_sound_alone_is_no_video(door: Door) -> None:
    with pytest.raises(BadInput, match="no pictures"):
        await door.films.frame(sound(), "video/mp4", 1)


async def test_what_takes_too_long_is_stopped_and_leaves_no_process() -> None:
    async with Films(seconds=0.5) as films:
        async with asyncio.timeout(SECONDS):
            with pytest.raises(BadInput, match=r"longer than 0\.5 seconds"):
                await films.convert(LONG, "video/mp4", "webm", width=1_920, height=1_080)
        assert films.running == 0


async def test_a_stop_does_not_wait_for_a_long_video() -> None:
    films = Films()
    async with films:
        work = asyncio.create_task(films.convert(LONG, "video/mp4", "webm", width=1_920, height=1_080))
        async with asyncio.timeout(SECONDS):
            while not films.running:  # noqa: ASYNC110 - a process that starts sets no event
                await asyncio.sleep(0.01)
    async with asyncio.timeout(SECONDS):
        with pytest.raises(BadInput):
            await work
    assert films.running == 0


async def test_no_file_without_a_name_outlives_its_job(door: Door) -> None:
    def opened() -> set[str]:
        return {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink() and path.exists()}

    before = await asyncio.to_thread(opened)
    await door.films.convert(video("mp4", 5), "video/mp4", "gif", width=64, height=48)
    with pytest.raises(BadInput):
        await door.films.convert(b"no video", "video/mp4", "gif", width=64, height=48)
    left = await asyncio.to_thread(opened) - before
    assert not [path for path in left if "deleted" in path]
