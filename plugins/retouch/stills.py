"""/resize, /crop, /thumbnail, /watermark, /meme, /fry, /palette, /strip and /sheet."""

from functools import partial

from PIL import Image

from chatelier import BadInput, Blob, Call, Media

from . import desk, pixels, words
from .arguments import cut, new_size, two_lines
from .files import changed, form_of, plain, saved


async def resize(call: Call) -> None:
    """Pictures, animations and videos; a video stays one."""
    said = str(call.values["size"])
    blobs = await desk.seen(call)
    async with desk.turn(call, blobs):
        media = [await desk.keep(call, await _resized(call, blob, said), n) for n, blob in enumerate(blobs)]
    await call.give(media)


async def _resized(call: Call, blob: Blob, said: str) -> bytes:
    if blob.kind == "video":
        if not blob.width:
            raise BadInput(words.NEEDS_PICTURE)
        width, height = new_size(said, (blob.width, blob.height))
        data, to = await call.runtime.intake.whole(blob), "webm" if blob.mime == "video/webm" else "mp4"
        return await call.runtime.films.convert(data, blob.mime, to, width=width, height=height)

    def scaled(image: Image.Image) -> Image.Image:
        return image.resize(new_size(said, image.size), Image.Resampling.LANCZOS)

    new_size(said, (blob.width, blob.height))  # refused before anything is decoded
    return await desk.look(call, blob, lambda image: changed(image, scaled, form_of(blob.mime)))


async def crop(call: Call) -> None:
    said = str(call.values["shape"])
    cut(said, (1 << 20, 1 << 20))  # refused before anything is read
    await desk.change(call, partial(pixels.crop, said=said))


async def thumbnail(call: Call) -> None:
    blobs = await desk.pictures(call)
    side, runtime = int(desk.chosen(call, "side")), call.runtime
    async with desk.turn(call):
        media = [
            await desk.keep(call, await runtime.pictures.thumbnail(await runtime.intake.whole(blob), side), n)
            for n, blob in enumerate(blobs)
        ]
    await call.give(media)


async def watermark(call: Call) -> None:
    """Words; without any, the picture that was sent as the second one."""
    said, place = str(call.values.get("text") or "").strip(), str(desk.chosen(call, "position"))
    opacity, second = int(desk.chosen(call, "opacity")) / 100, call.values.get("mark")
    beside = (second,) if isinstance(second, Blob) else ()
    if said:
        await desk.change(call, partial(pixels.written, said=said, place=place, opacity=opacity), *beside)
        return
    if not beside:
        raise BadInput(words.NO_MARK)
    if beside[0].kind != "image":
        raise BadInput(words.MARK_STANDS)
    mark = await desk.look(call, beside[0], plain)
    await desk.change(call, partial(pixels.stamped, mark=mark, place=place, opacity=opacity))


async def meme(call: Call) -> None:
    top, bottom = two_lines(str(call.values.get("text") or ""))
    await desk.change(call, partial(pixels.meme, top=top, bottom=bottom))


async def fry(call: Call) -> None:
    """The result is a JPEG, as the last round made it; an animation stays one."""
    blobs = await desk.pictures(call)
    async with desk.turn(call):
        media = [
            await desk.keep(call, await desk.look(call, blob, partial(_fried, blob)), n) for n, blob in enumerate(blobs)
        ]
    await call.give(media)


def _fried(blob: Blob, image: Image.Image) -> bytes:
    return changed(image, pixels.fry, "jpeg" if blob.kind == "image" else form_of(blob.mime))


async def palette(call: Call) -> None:
    """Squares of the colours, and their names as the web has them."""
    (blob,) = await desk.pictures(call, 1)
    count = int(desk.chosen(call, "colors"))
    async with desk.turn(call):
        found = await desk.look(call, blob, lambda image: pixels.colours(plain(image), count))
        strip = await call.runtime.pictures.work(lambda: saved(pixels.swatches(found), "png"))
        media = await desk.keep(call, strip)
    names = " ".join(f"`#{red:02x}{green:02x}{blue:02x}`" for red, green, blue in found)
    await call.give([media], names)


async def strip(call: Call) -> None:
    """Files are cleaned as they come in, so what is kept is the answer; as files, which no network changes."""
    blobs = await desk.pictures(call)
    media = [
        Media(blob=blob, name=f"strip{f'-{n + 1}' if n else ''}{blob.suffix}", document=True)
        for n, blob in enumerate(blobs)
    ]
    await call.give(media)


async def sheet(call: Call) -> None:
    """Small ones of all, numbered, in one picture."""
    blobs = await desk.pictures(call, 4 * desk.ALBUM)
    if len(blobs) < 2:
        raise BadInput(words.SHEET_WANTS_MORE)
    async with desk.turn(call):
        small = [await desk.look(call, blob, _cell) for blob in blobs]
        data = await call.runtime.pictures.work(lambda: saved(pixels.sheet(small), "jpeg"))
        media = await desk.keep(call, data)
    await call.give([media])


def _cell(image: Image.Image) -> Image.Image:
    small = plain(image)
    small.thumbnail((pixels.SHEET_SIDE, pixels.SHEET_SIDE), Image.Resampling.LANCZOS)
    return small
