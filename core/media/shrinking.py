"""A picture made to fit: as it is in another format, or else with less quality, or else smaller. For the threads of `Pictures`."""

from dataclasses import dataclass
from io import BytesIO

from PIL import Image

QUALITIES = (95, 88, 80)
STEPS = 8
"""Times that a picture is made smaller; after them it has a thirty-fifth of its pixels."""
STEP = 0.8
LOSSLESS_PIXELS = 20_000_000
"""Of a picture that is tried without loss: a larger PNG takes seconds, and is too large anyway."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    data: bytes
    is_worse: bool


def shrunk(image: Image.Image, mimes: tuple[str, ...], limit: int, sides: int) -> Shrunk | None:
    """The first that fits. limit: bytes, 0 for any. sides: width and height together, 0 for any. None when nothing does."""
    source = Image.MIME.get(image.format or "", "")
    whole = image.convert("RGBA" if image.has_transparency_data else "RGB")
    whole.info = {}
    scale = min(1.0, sides / sum(whole.size)) if sides else 1.0
    if "image/png" in mimes and source not in {"image/png", "image/jpeg"} and _pixels(whole, scale) <= LOSSLESS_PIXELS:
        data = _png(_scaled(whole, scale))
        if not limit or len(data) <= limit:
            return Shrunk(data, scale < 1)
    form = "WEBP" if whole.mode == "RGBA" and "image/webp" in mimes else "JPEG" if "image/jpeg" in mimes else ""
    for _ in range(STEPS if form else 0):
        small = _scaled(whole, scale)
        for quality in QUALITIES:
            data = _lossy(small, form, quality)
            if not limit or len(data) <= limit:
                return Shrunk(data, is_worse=True)
        scale *= STEP
    return None


def _pixels(image: Image.Image, scale: float) -> float:
    return image.width * image.height * scale * scale


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    if scale == 1:
        return image
    size = max(1, int(image.width * scale)), max(1, int(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS)


def _png(image: Image.Image) -> bytes:
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _lossy(image: Image.Image, form: str, quality: int) -> bytes:
    out = BytesIO()
    shown = image
    if form == "JPEG" and image.mode == "RGBA":
        shown = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    shown.save(out, form, quality=quality)
    return out.getvalue()
