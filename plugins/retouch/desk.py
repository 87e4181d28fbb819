"""From a call to the files it is about, and back to an answer: few at a time, off the event loop."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from PIL import Image

from chatelier import BadInput, Blob, Call, Media

from . import words
from .files import Edit, changed, form_of

T = TypeVar("T")
SUBJECT = "picture"
ALBUM = 10
"""Files at a time: as many as an album has."""
PICTURES = frozenset({"image", "animation"})
SEEN = PICTURES | {"video"}
VIDEOS = ("mp4", "webm")


async def pictures(call: Call, most: int = ALBUM) -> Sequence[Blob]:
    """What the call is about, where it takes pictures only. Raises BadInput."""
    return _all_of(await call.files(SUBJECT, most), PICTURES)


async def seen(call: Call, most: int = ALBUM) -> Sequence[Blob]:
    """The same, where it takes videos too."""
    return _all_of(await call.files(SUBJECT, most), SEEN)


def _all_of(blobs: Sequence[Blob], kinds: frozenset[str]) -> Sequence[Blob]:
    if any(blob.kind not in kinds for blob in blobs):
        raise BadInput(words.NEEDS_PICTURE)
    return blobs


async def look(call: Call, blob: Blob, work: Callable[[Image.Image], T]) -> T:
    """What `work` makes of the picture, on one of the threads for that. Raises BadInput."""
    runtime = call.runtime
    data = await runtime.intake.whole(blob)
    return await runtime.pictures.work(lambda: work(runtime.pictures.opened(data)))


def turn(call: Call, blobs: Sequence[Blob] = (), to: str = "") -> AbstractAsyncContextManager[None]:
    """To be held while the files are in memory. to: the format that they become, where it may be a video. Raises BadInput."""
    is_film = to in VIDEOS or any(blob.kind == "video" for blob in blobs)
    works = call.runtime.films if is_film else call.runtime.pictures
    return works.turn(call.person.key)


def chosen(call: Call, name: str) -> Any:
    """What the option holds, or its default."""
    option = next(one for one in call.command.options if one.name == name)
    return call.values.get(name, option.default)


async def change(call: Call, edit: Edit, *beside: Blob) -> None:
    """Do it to each picture of the call, and those beside them, in its own format, and answer with them."""
    first, *others = await call.files(SUBJECT, ALBUM)
    blobs = _all_of([first, *beside, *others], PICTURES)
    async with turn(call):
        media = [await keep(call, await _changed(call, blob, edit), n) for n, blob in enumerate(blobs)]
    await call.give(media)


async def _changed(call: Call, blob: Blob, edit: Edit) -> bytes:
    return await look(call, blob, lambda image: changed(image, edit, form_of(blob.mime)))


async def keep(call: Call, data: bytes, n: int = 0, *, document: bool = False) -> Media:
    """n: its place among several."""
    blob = await call.runtime.intake.keep(data)
    name = call.command.name if not n else f"{call.command.name}-{n + 1}"
    return Media(blob=blob, name=f"{name}{blob.suffix}", document=document)
