"""/convert, /gif and /frame: between stills, animations and videos."""

from collections.abc import Sequence

from PIL import Image

from chatelier import BadInput, Blob, Call

from . import desk, words
from .arguments import frame_number
from .files import Moving, changed, fitted, moving, plain, saved, saved_moving

GIF_SIDE = 640
"""Pixels: what a GIF of an album is scaled down to."""


async def convert(call: Call) -> None:
    """Each file into the format."""
    to = {"jpg": "jpeg"}.get(str(call.values["format"]), str(call.values["format"]))
    blobs = await desk.seen(call)
    async with desk.turn(call, blobs, to):
        media = [await desk.keep(call, await _converted(call, blob, to), n) for n, blob in enumerate(blobs)]
    await call.give(media)


async def _converted(call: Call, blob: Blob, to: str) -> bytes:
    if to in desk.VIDEOS and blob.kind == "image":
        raise BadInput(words.NOT_MOVING)
    if blob.kind != "video" and to not in desk.VIDEOS:
        return await desk.look(call, blob, lambda image: changed(image, plain, to))
    if to not in {*desk.VIDEOS, "gif", "webp"}:
        raise BadInput(words.NEEDS_PICTURE)
    return await filmed(call, blob, to)


async def filmed(call: Call, blob: Blob, to: str) -> bytes:
    """An animation or a video as a video, or a video as an animation. Raises BadInput."""
    data = await call.runtime.intake.whole(blob)
    width, height = blob.width or GIF_SIDE, blob.height or GIF_SIDE
    return await call.runtime.films.convert(data, blob.mime, to, width=width, height=height)


async def gif(call: Call) -> None:
    """Of an album's pictures, of a video, or of an animation in another format."""
    blobs = await desk.seen(call, 4 * desk.ALBUM)
    async with desk.turn(call, blobs):
        data = await (_joined(call, blobs) if len(blobs) > 1 else _moved(call, blobs[0]))
        media = await desk.keep(call, data)
    await call.give([media])


async def _moved(call: Call, blob: Blob) -> bytes:
    if blob.kind == "image":
        raise BadInput(words.FRAMES_WANTED)
    if blob.kind == "video":
        return await filmed(call, blob, "gif")
    return await desk.look(call, blob, lambda image: saved_moving(moving(image), "gif"))


async def _joined(call: Call, blobs: Sequence[Blob]) -> bytes:
    if any(blob.kind == "video" for blob in blobs):
        raise BadInput(words.FRAMES_WANTED)
    small = [await desk.look(call, blob, _small) for blob in blobs]
    times = [int(desk.chosen(call, "delay"))] * len(small)
    return await call.runtime.pictures.work(lambda: saved_moving(Moving(list(fitted(small)), times), "gif"))


def _small(image: Image.Image) -> Image.Image:
    found = plain(image)
    found.thumbnail((GIF_SIDE, GIF_SIDE), Image.Resampling.LANCZOS)
    return found


async def frame(call: Call) -> None:
    """One frame of an animation or a video, as a PNG."""
    (blob,) = await desk.seen(call, 1)
    said = str(desk.chosen(call, "which"))
    if blob.kind == "image":
        raise BadInput(words.NOT_MOVING)
    which = frame_number(said, blob.frames if blob.kind == "animation" else 0)
    async with desk.turn(call, [blob]):
        if blob.kind == "video":
            data = await call.runtime.films.frame(await call.runtime.intake.whole(blob), blob.mime, which)
        else:
            place = (blob.frames if which == -1 else which) - 1
            data = await desk.look(call, blob, lambda image: _frame(image, place))
        media = await desk.keep(call, data)
    await call.give([media])


def _frame(image: Image.Image, place: int) -> bytes:
    image.seek(place)
    image.load()
    return saved(plain(image), "png")
