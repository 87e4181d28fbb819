"""Pictures under limits: what they are, cleaned of metadata, as thumbnails; off the event loop and few at a time."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageSequence,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.ImageFile import ImageFile

from ..errors import BadInput
from . import words
from .blob import MediaKind
from .containers import Malformed, orientation, outline, stripped
from .sniff import HEAD, sniff
from .turns import Turns

T = TypeVar("T")
WAITING = 16
"""Who may wait for a place, so that nobody waits for minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureLimits:
    """What is decoded at all. The defaults hold a decoded picture under 200 MB.

    size: bytes of the file. pixels: of one frame. frames: 10,000 is eleven minutes at 15 a second.
    moving_pixels: of all frames of an animation together; 500 frames of 1080p.
    """

    size: int = 100_000_000
    pixels: int = 50_000_000
    frames: int = 10_000
    moving_pixels: int = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What the header says. duration_ms: 0 for a still picture, and for an AVIF, whose header does not say it."""

    mime: str
    kind: MediaKind
    width: int
    height: int
    frames: int = 1
    duration_ms: int = 0


class Pictures:
    """Owns the threads that work on pictures; close it when done.

    limits: what it decodes. workers: pictures that are looked at, and changed, at a time. each: changes that one person may have
    at work and waiting.
    """

    def __init__(self, limits: PictureLimits | None = None, workers: int = 2, each: int = 3) -> None:
        self.limits = limits or PictureLimits()
        self._threads = ThreadPoolExecutor(workers, "pictures")
        # Apart, so that what comes in and what was made need not wait for what people play with.
        self._changing = ThreadPoolExecutor(workers, "picture-changes")
        self._turns = Turns(workers, WAITING, each)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Waits for what is being worked on, drops what waits. May be called twice."""
        for threads in (self._threads, self._changing):
            await asyncio.to_thread(partial(threads.shutdown, cancel_futures=True))

    def turn(self, who: str) -> AbstractAsyncContextManager[None]:
        """A place among the few who hold whole files in memory to make something of them: see `Turns.take`. Raises Busy."""
        return self._turns.take(who)

    async def work(self, work: Callable[[], T]) -> T:
        """What it returns, from one of the few threads. It can't be stopped, so it takes only what `opened` lets pass."""
        return await asyncio.get_running_loop().run_in_executor(self._changing, work)

    def opened(self, data: bytes) -> Image.Image:
        """The picture within the limits, upright, its first frame decoded. For use within `work`. Raises BadInput."""
        picture = _inspected(_read(data, self.limits), self.limits)
        with _reading():
            image = _opened(picture.mime, data)
            image.load()
            turn = _turn(picture.mime, data, image) if picture.kind == "image" else None
            return in_eight_bits(image if turn is None else image.transpose(turn))

    async def inspect(self, source: Path | bytes) -> Picture:
        """What the picture is, by its header, within the limits; nothing is decoded. Raises BadInput."""
        return await self._run(lambda: _inspected(_read(source, self.limits), self.limits))

    async def clean(self, data: bytes) -> bytes:
        """The picture as it may be kept: turned upright, without EXIF, comments, embedded graphs and what follows its end.

        Its first frame is decoded, so that a damaged picture is found now. Pixels stay as they are except where it was
        turned; TIFF keeps its first page, HEIC becomes JPEG. Raises BadInput.
        """
        return await self._run(lambda: _cleaned(_read(data, self.limits), self.limits))

    async def bare(self, data: bytes) -> bytes:
        """The file without metadata, whatever is in it; nothing is decoded unless it has to be turned. Raises BadInput."""
        return await self._run(lambda: _bare(data, self.limits))

    async def thumbnail(self, data: bytes, side: int) -> bytes:
        """A WebP of the first frame, upright, no side longer than `side` pixels, never enlarged. Raises BadInput."""
        return await self._run(lambda: _thumbnail(_read(data, self.limits), side, self.limits))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _read(source: Path | bytes, limits: PictureLimits) -> bytes:
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    if not size:
        raise BadInput(words.EMPTY)
    if size > limits.size:
        raise words.too_big(limits.size)
    return source.read_bytes() if isinstance(source, Path) else source


# The classes themselves: `Image.open` would try one format after the other and warn of bombs by a limit of its own.
_FORMATS: dict[str, Callable[[BytesIO], ImageFile]] = {
    "image/png": PngImagePlugin.PngImageFile,
    "image/jpeg": JpegImagePlugin.JpegImageFile,
    "image/webp": WebPImagePlugin.WebPImageFile,
    "image/gif": GifImagePlugin.GifImageFile,
    "image/avif": AvifImagePlugin.AvifImageFile,
    "image/bmp": BmpImagePlugin.BmpImageFile,
    "image/tiff": TiffImagePlugin.TiffImageFile,
}


# More than one picture in these are pages, not a movement.
_PAGES = {"image/tiff", "image/heic"}


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        # Pillow's plugins and codecs throw anything at hostile bytes.
        raise BadInput(words.BROKEN_PICTURE) from error


def _opened(mime: str, data: bytes) -> ImageFile:
    if mime == "image/heic":
        return _heic(data)
    # Without its metadata: Pillow warns of, unpacks and trips over what is in there.
    plain = stripped(mime, data)
    return _FORMATS[mime](BytesIO(data if plain is None else plain))


def _heic(data: bytes) -> ImageFile:
    try:
        from pillow_heif import HeifImageFile  # noqa: PLC0415 - comes with the extra `video`
    except ImportError as error:
        raise BadInput(words.NO_HEIC) from error
    opened: ImageFile = HeifImageFile(BytesIO(data))  # type: ignore[no-untyped-call]  # pillow-heif does not say
    return opened


def _inspected(data: bytes, limits: PictureLimits) -> Picture:
    mime, _ = sniff(data[:HEAD])
    if mime != "image/heic" and mime not in _FORMATS:
        raise BadInput(words.NOT_A_PICTURE)
    try:
        seen = outline(mime, data)
    except Malformed as error:
        raise BadInput(words.BROKEN_PICTURE) from error
    if seen is not None:
        _check(seen.width, seen.height, seen.frames, limits)
    with _reading():
        image = _opened(mime, data)
        width, height = (seen.width, seen.height) if seen else image.size
        frames = seen.frames if seen else getattr(image, "n_frames", 1)
    _check(width, height, frames, limits)
    return Picture(
        mime=mime,
        kind="animation" if frames > 1 and mime not in _PAGES else "image",
        width=width,
        height=height,
        frames=frames,
        duration_ms=seen.duration_ms if seen else 0,
    )


def _check(width: int, height: int, frames: int, limits: PictureLimits) -> None:
    if not width or not height or not frames:
        raise BadInput(words.BROKEN_PICTURE)
    if width * height > limits.pixels:
        raise words.too_many_pixels(width, height, limits.pixels)
    if frames > limits.frames or (frames > 1 and width * height * frames > limits.moving_pixels):
        raise words.too_many_frames(frames, width, height)


def _bare(data: bytes, limits: PictureLimits) -> bytes:
    mime = _inspected(data, limits).mime
    if orientation(mime, data) not in {None, 1}:
        return _cleaned(data, limits)
    return stripped(mime, data) or data


def _cleaned(data: bytes, limits: PictureLimits) -> bytes:
    picture = _inspected(data, limits)
    with _reading():
        image = _opened(picture.mime, data)
        image.load()
        turn = _turn(picture.mime, data, image)
        if turn is not None and picture.kind == "image":
            return _encoded(image.transpose(turn), picture.mime)
        plain = stripped(picture.mime, data)
        if plain is not None:
            return plain
        if picture.mime in {"image/heic", "image/tiff"}:
            return _encoded(image, picture.mime)
        if picture.mime == "image/avif" and image.info.keys() & {"exif", "xmp"}:
            return _avif(image)
    return data


_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _turn(mime: str, data: bytes, image: Image.Image) -> Image.Transpose | None:
    """What makes the loaded picture upright; None when it is."""
    said = orientation(mime, data)
    if said is None:
        # TIFF, AVIF and HEIC; TIFF and HEIC turn themselves when they are loaded.
        said = image.getexif().get(_ORIENTATION_TAG, 1)
    return _TURNS.get(said)


def _encoded(image: Image.Image, mime: str) -> bytes:
    """The pixels and their colours alone, in the same format. GIF and BMP are never turned, so never written here."""
    bare = image.copy()
    bare.info = {name: image.info[name] for name in ("icc_profile", "transparency") if name in image.info}
    profile = bare.info.get("icc_profile")
    out = BytesIO()
    match mime:
        case "image/jpeg" | "image/heic":
            picture = bare if bare.mode in {"L", "RGB", "CMYK"} else bare.convert("RGB")
            picture.save(out, "JPEG", quality=95, subsampling=0, icc_profile=profile)
        case "image/png":
            bare.save(out, "PNG", icc_profile=profile)
        case "image/webp":
            bare.save(out, "WEBP", lossless=True, method=1, icc_profile=profile)
        case "image/avif":
            bare.save(out, "AVIF", quality=95, subsampling="4:4:4", icc_profile=profile)
        case _:
            bare.save(out, "TIFF", compression="tiff_adobe_deflate", icc_profile=profile)
    return out.getvalue()


def _avif(image: ImageFile) -> bytes:
    """All its frames, each for its time."""
    times = []
    for frame in ImageSequence.Iterator(image):
        frame.load()  # only then the time is known
        times.append(frame.info["duration"])
    out = BytesIO()
    image.save(out, "AVIF", save_all=True, duration=times, quality=95, subsampling="4:4:4")
    return out.getvalue()


def in_eight_bits(image: Image.Image) -> Image.Image:
    """Greys of 16 or 32 bits, as of depth maps and scans, scaled to 8; Pillow's own conversion cuts them off at white."""
    if image.mode not in {"I", "F"} and not image.mode.startswith("I;16"):
        return image
    levels = np.asarray(image, np.float32)
    # What is said in 16 bits has their range; of others only the picture itself tells.
    top = 65_535.0 if image.mode != "F" and levels.max(initial=0) <= 65_535 else float(levels.max(initial=1.0))
    grey: Image.Image = Image.fromarray((levels.clip(0, top) * (255 / max(top, 1e-9))).round().astype(np.uint8))
    grey.format = image.format
    return grey


def _thumbnail(data: bytes, side: int, limits: PictureLimits) -> bytes:
    picture = _inspected(data, limits)
    with _reading():
        image = _opened(picture.mime, data)
        # A JPEG can be decoded at an eighth, a quarter or half of its size.
        image.draft("RGB", (side, side))
        image.load()
        turn = _turn(picture.mime, data, image)
        plain = in_eight_bits(image)
        small = plain.convert("RGBA" if plain.has_transparency_data else "RGB")
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        if turn is not None:
            small = small.transpose(turn)
        small.info = {}
        out = BytesIO()
        small.save(out, "WEBP", quality=80)
    return out.getvalue()
