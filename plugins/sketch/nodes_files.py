"""Loading what was sent and saving what was made."""

import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, ImageSequence
from PIL.PngImagePlugin import PngInfo

from .declare import Shelf, Shown, choice, file, flag, image, mask, number, text, whole
from .folders import Saving, digest, write
from .pixels import Bytes, Picture, as_masks, from_bytes, to_bytes
from .running import Preview, Run

ANIMATION = "comfy_extras.nodes_images"
PREFIX_TIP = (
    "The prefix for the file to save. This may include formatting information such as %date:yyyy-MM-dd% or "
    "%Empty Latent Image.width% to include values from nodes."
)
NO_MASK = (64, 64)
"""The size of the empty mask of a picture without alpha, as ComfyUI gives it."""

EFFORT = {"default": 4, "fastest": 0, "slowest": 6}
"""ComfyUI's names for the `method` of WebP."""
PROMPT_TAG, FIRST_EXTRA_TAG = 0x0110, 0x010F
"""EXIF tags (model, make) that ComfyUI writes the graph into."""

shelf = Shelf("nodes")


def _there(run: Run, image: str, **_others: object) -> tuple[str, str] | None:
    return None if run.folders.named(image) else ("image", f"Invalid image file: {image}")


def _bytes_of(run: Run, image: str = "", **_others: object) -> str:
    path = run.folders.named(image)
    return digest(path) if path else ""


def _now(run: Run, **_inputs: object) -> int:
    return time.monotonic_ns()


def _path(run: Run, name: str) -> Path:
    path = run.folders.named(name)
    if path is None:
        raise FileNotFoundError(f"No such file: {name}")
    return path


@shelf.node(
    "LoadImage",
    file("image", "input", image_upload=True),
    gives=("IMAGE", "MASK"),
    category="image",
    title="Load Image",
    changes=_bytes_of,
    check=_there,
)
def load_image(run: Run, image: str) -> tuple[Picture, Picture]:
    """An uploaded picture and the mask of what is clear in it."""
    pictures: list[Picture] = []
    masks: list[Picture] = []
    with Image.open(_path(run, image)) as opened:
        for frame in ImageSequence.Iterator(opened):
            turned = _turned(frame)
            colours = from_bytes(turned.convert("RGB"))
            if pictures and colours.shape != pictures[0].shape:
                continue
            pictures.append(colours)
            masks.append(_clear_part(turned))
            if opened.format == "MPO":
                break  # the other frames are the camera's own extras
    return np.stack(pictures), np.stack(masks)


def _turned(frame: Image.Image) -> Image.Image:
    turned = ImageOps.exif_transpose(frame)
    return turned.point(lambda value: value * (1 / 255)) if turned.mode == "I" else turned


def _clear_part(frame: Image.Image) -> Picture:
    if frame.mode == "P" and "transparency" in frame.info:
        frame = frame.convert("RGBA")
    if "A" not in frame.getbands():
        return np.zeros(NO_MASK, np.float32)
    return 1 - from_bytes(frame.getchannel("A"))


@shelf.node(
    "LoadImageMask",
    file("image", "input", image_upload=True),
    choice("channel", "alpha", "red", "green", "blue"),
    gives=("MASK",),
    category="mask",
    title="Load Image (as Mask)",
    changes=_bytes_of,
    check=_there,
)
def load_image_mask(run: Run, image: str, channel: str) -> Picture:
    """One channel of an uploaded picture as a mask."""
    with Image.open(_path(run, image)) as opened:
        turned = _turned(opened)
        colours = turned if turned.getbands() == ("R", "G", "B", "A") else turned.convert("RGBA")
        values = from_bytes(colours.getchannel(channel[0].upper()))
    return (1 - values if channel == "alpha" else values)[None]


@shelf.node(
    "SaveImage",
    image("images", tooltip="The images to save."),
    text("filename_prefix", "ComfyUI", tooltip=PREFIX_TIP),
    category="image",
    title="Save Image",
    output=True,
)
def save_image(run: Run, images: Picture, filename_prefix: str = "ComfyUI") -> Shown:
    """Saves pictures as PNG."""
    return _saved_pngs(run, images, filename_prefix, "output", level=4)


@shelf.node("PreviewImage", image("images"), category="image", title="Preview Image", output=True)
def preview_image(run: Run, images: Picture) -> Shown:
    """Shows pictures that are not kept."""
    return _saved_pngs(run, images, f"ComfyUI{run.temp_mark}", "temp", level=1)


@shelf.node("MaskPreview", mask(), category="mask", module="comfy_extras.nodes_mask", output=True)
def mask_preview(run: Run, mask: Picture) -> Shown:
    """Shows a mask that is not kept."""
    grey = np.repeat(as_masks(mask)[..., None], 3, axis=-1)
    return _saved_pngs(run, grey, f"ComfyUI{run.temp_mark}", "temp", level=4)


def _saved_pngs(run: Run, images: Picture, prefix: str, kind: str, level: int) -> Shown:
    about = PngInfo()
    about.add_text("prompt", json.dumps(run.graph))
    for key, value in (run.extra.get("extra_pnginfo") or {}).items():
        about.add_text(key, json.dumps(value))

    def encoded(pixels: Bytes) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", pnginfo=about, compress_level=level)
        return buffer.getvalue()

    return Shown(ui={"images": _saved(run, images, prefix, kind, encoded)})


def _saved(
    run: Run, images: Picture, prefix: str, kind: str, encoded: Callable[[Bytes], bytes]
) -> list[dict[str, str]]:
    saving = run.folders.saving(prefix, kind, images.shape[2], images.shape[1])
    results = []
    for n, pixels in enumerate(to_bytes(images)):
        run.check()
        name = saving.name(n, ".png")
        write(saving.folder / name, encoded(pixels))
        results.append({"filename": name, "subfolder": saving.subfolder, "type": kind})
    return results


@shelf.node(
    "SaveAnimatedWEBP",
    image("images"),
    text("filename_prefix", "ComfyUI"),
    number("fps", 6.0, 0.01, 1000.0, 0.01),
    flag("lossless", True),
    whole("quality", 80, 0, 100),
    choice("method", "default", "fastest", "slowest"),
    category="image/animation",
    module=ANIMATION,
    output=True,
)
def save_animated_webp(
    run: Run, images: Picture, filename_prefix: str, fps: float, lossless: bool, quality: int, method: str
) -> Shown:
    """Saves a batch as one animated WEBP."""
    frames = [Image.fromarray(pixels) for pixels in to_bytes(images)]
    about = frames[0].getexif()
    about[PROMPT_TAG] = f"prompt:{json.dumps(run.graph)}"
    for n, (key, value) in enumerate((run.extra.get("extra_pnginfo") or {}).items()):
        about[FIRST_EXTRA_TAG - n] = f"{key}:{json.dumps(value)}"
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "WEBP", save_all=True, append_images=frames[1:], duration=int(1000 / fps), exif=about, lossless=lossless,
        quality=quality, method=EFFORT[method],
    )  # fmt: skip
    return _animation(run, images, filename_prefix, ".webp", buffer.getvalue(), moves=len(frames) != 1)


@shelf.node(
    "SaveAnimatedPNG",
    image("images"),
    text("filename_prefix", "ComfyUI"),
    number("fps", 6.0, 0.01, 1000.0, 0.01),
    whole("compress_level", 4, 0, 9),
    category="image/animation",
    module=ANIMATION,
    output=True,
)
def save_animated_png(run: Run, images: Picture, filename_prefix: str, fps: float, compress_level: int) -> Shown:
    """Saves a batch as one animated PNG."""
    frames = [Image.fromarray(pixels) for pixels in to_bytes(images)]
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "PNG", save_all=True, append_images=frames[1:], duration=int(1000 / fps), compress_level=compress_level
    )
    return _animation(run, images, filename_prefix, ".png", buffer.getvalue(), moves=True)


def _animation(run: Run, images: Picture, prefix: str, suffix: str, data: bytes, *, moves: bool) -> Shown:
    saving: Saving = run.folders.saving(prefix, "output", images.shape[2], images.shape[1])
    name = saving.name(0, suffix)
    write(saving.folder / name, data)
    return Shown(
        ui={"images": [{"filename": name, "subfolder": saving.subfolder, "type": "output"}], "animated": [moves]}
    )


@shelf.node(
    "SaveImageWebsocket",
    image("images"),
    category="api/image",
    module="custom_nodes.websocket_image_save",
    output=True,
    changes=_now,
)
def save_image_websocket(run: Run, images: Picture) -> Shown:
    """Sends pictures over the socket and keeps none."""
    for n, pixels in enumerate(to_bytes(images)):
        run.check()
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        run.report(n, len(images), Preview(kind="PNG", data=buffer.getvalue()))
    return Shown()
