"""Bytes → pictures, and back: still ones and those that move. All of it is for the threads that work on pictures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image, ImageSequence

from chatelier import BadInput

from . import words

Edit = Callable[[Image.Image], Image.Image]
MOVING_PIXELS = 60_000_000
"""Of all frames together: they are in memory at once, four bytes a pixel."""
DEFAULT_MS = 100
"""Of a frame that does not say how long it is shown."""
FORMATS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP", "gif": "GIF", "avif": "AVIF"}
STILL_OPTIONS: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 92},
    "webp": {"quality": 90},
    "avif": {"quality": 80},
}
MOVING_OPTIONS: dict[str, dict[str, Any]] = {
    "gif": {"loop": 0, "disposal": 2},
    "webp": {"loop": 0, "quality": 85},
    "png": {"loop": 0},
    "avif": {"quality": 80},
}


@dataclass(frozen=True, slots=True)
class Moving:
    """frames: in RGB or RGBA. times: milliseconds, one each."""

    frames: Sequence[Image.Image]
    times: Sequence[int]


def form_of(mime: str) -> str:
    """What a changed picture is saved as: its own format, or PNG where nobody writes that."""
    form = mime.removeprefix("image/")
    return form if form in FORMATS else "png"


def plain(image: Image.Image) -> Image.Image:
    """In RGB, or RGBA where anything is transparent; its colour profile stays where it still means something."""
    changed = image.convert("RGBA" if image.has_transparency_data else "RGB")
    profile = image.info.get("icc_profile") if image.mode in {"RGB", "RGBA", "P"} else None
    changed.info = {"icc_profile": profile} if profile else {}
    return changed


def moving(image: Image.Image, edit: Edit = plain) -> Moving:
    """Every frame, changed. Raises BadInput when that is too much."""
    frames: list[Image.Image] = []
    times: list[int] = []
    pixels = 0
    for frame in ImageSequence.Iterator(image):
        frame.load()
        frames.append(edit(plain(frame)))
        times.append(int(frame.info.get("duration") or DEFAULT_MS))
        pixels += max(frames[-1].width * frames[-1].height, frame.width * frame.height)
        if pixels > MOVING_PIXELS:
            raise BadInput(words.TOO_MUCH)
    return Moving(frames, times)


def saved(image: Image.Image, form: str) -> bytes:
    out = BytesIO()
    options = STILL_OPTIONS.get(form, {})
    profile = image.info.get("icc_profile")
    shown = on_white(image) if form == "jpeg" else image
    shown.save(out, FORMATS[form], icc_profile=profile, **options)
    return out.getvalue()


def saved_moving(one: Moving, form: str) -> bytes:
    """Raises BadInput for a format that stands still."""
    if form not in MOVING_OPTIONS:
        raise BadInput(words.JPEG_STANDS)
    out = BytesIO()
    first, *rest = one.frames
    first.save(out, FORMATS[form], save_all=True, append_images=rest, duration=list(one.times), **MOVING_OPTIONS[form])
    return out.getvalue()


def changed(image: Image.Image, edit: Edit, form: str) -> bytes:
    """A still picture or an animation with this done to it, in the same or another format."""
    if getattr(image, "n_frames", 1) > 1 and getattr(image, "is_animated", False):
        return saved_moving(moving(image, edit), form)
    return saved(edit(plain(image)), form)


def on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image.convert("RGB")
    ground = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(ground, image).convert("RGB")


def fitted(images: Sequence[Image.Image]) -> Iterator[Image.Image]:
    """All as large as the first, in the middle of white."""
    size = images[0].size
    for image in images:
        small = on_white(image)
        small.thumbnail(size, Image.Resampling.LANCZOS)
        whole = Image.new("RGB", size, "white")
        whole.paste(small, ((size[0] - small.width) // 2, (size[1] - small.height) // 2))
        yield whole
