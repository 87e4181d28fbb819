"""Colours, blurs and blends."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from .declare import Shelf, choice, flag, image, mask, number, whole
from .noise import normals
from .pixels import Bytes, Picture, from_bytes, repeat_to
from .resample import scale, scale_mask

LARGEST = 16384
"""Pixels of a side: ComfyUI's MAX_RESOLUTION."""

BLOCK = 64
"""Rows that a blur takes at once."""

MODERN = "comfy_extras.nodes_post_processing"

shelf = Shelf("nodes")


@shelf.node("ImageInvert", image(), gives=("IMAGE",), category="image", title="Invert Image")
def image_invert(image: Picture) -> Picture:
    """The negative."""
    return np.float32(1) - image


@shelf.node(
    "ImageAddNoise",
    image(),
    whole(
        "seed",
        0,
        0,
        2**64 - 1,
        control_after_generate=True,
        tooltip="The random seed used for creating the noise.",
    ),
    number("strength", 0.5, 0.0, 1.0, 0.01),
    gives=("IMAGE",),
    category="image",
    module="comfy_extras.nodes_images",
)
def image_add_noise(image: Picture, seed: int, strength: float) -> Picture:
    """Adds grain; the same seed gives the same grain."""
    return np.clip(image + np.float32(strength) * normals(seed, image.shape), 0, 1)


@shelf.node(
    "ImageBlur",
    image(),
    whole("blur_radius", 1, 1, 31, 1),
    number("sigma", 1.0, 0.1, 10.0, 0.1),
    gives=("IMAGE",),
    category="image/postprocessing",
    module=MODERN,
    modern=True,
)
def image_blur(image: Picture, blur_radius: int, sigma: float) -> Picture:
    """A Gaussian blur."""
    return blurred(image, blur_radius, sigma)


@shelf.node(
    "ImageSharpen",
    image(),
    whole("sharpen_radius", 1, 1, 31, 1),
    number("sigma", 1.0, 0.1, 10.0, 0.01),
    number("alpha", 1.0, 0.0, 5.0, 0.01),
    gives=("IMAGE",),
    category="image/postprocessing",
    module=MODERN,
    modern=True,
)
def image_sharpen(image: Picture, sharpen_radius: int, sigma: float, alpha: float) -> Picture:
    """Sharpens by what a blur takes away."""
    strength = np.float32(10 * alpha)
    return np.clip(image + strength * (image - blurred(image, sharpen_radius, sigma)), 0, 1)


def blurred(picture: Picture, radius: int, sigma: float) -> Picture:
    """ComfyUI's kernel: a Gaussian over -1…1, whatever the radius; at the edges the picture is mirrored.

    The kernel is the product of two lines, so it is applied down and then across.
    """
    if radius >= min(picture.shape[1:3]):
        raise RuntimeError(
            f"Padding size should be less than the corresponding input dimension, but got: padding ({radius}, {radius}) "
            f"at input of size {list(picture.shape[1:3])}"
        )
    line = np.exp(-(np.linspace(-1, 1, 2 * radius + 1) ** 2) / (2 * sigma * sigma))
    weights = (line / line.sum()).astype(np.float32)
    return np.stack([_across(_across(one, weights), weights) for one in picture])


def _across(picture: Picture, weights: Picture) -> Picture:
    """Each column weighted with its neighbours above and below, and the picture turned over its diagonal.

    A block of rows is one product with a band matrix, which is what numpy is fastest at.
    """
    radius, (height, width, channels) = len(weights) // 2, picture.shape
    padded = np.pad(picture.reshape(height, -1), [(radius, radius), (0, 0)], mode="reflect")
    band = np.zeros((BLOCK, BLOCK + 2 * radius), np.float32)
    for row in range(BLOCK):
        band[row, row : row + len(weights)] = weights
    result = np.empty((height, width * channels), np.float32)
    for top in range(0, height, BLOCK):
        rows = min(BLOCK, height - top)
        np.matmul(band[:rows, : rows + 2 * radius], padded[top : top + rows + 2 * radius], out=result[top : top + rows])
    return np.ascontiguousarray(result.reshape(height, width, channels).transpose(1, 0, 2))


@shelf.node(
    "ImageBlend",
    image("image1"),
    image("image2"),
    number("blend_factor", 0.5, 0.0, 1.0, 0.01),
    choice("blend_mode", "normal", "multiply", "screen", "overlay", "soft_light", "difference", multiselect=False),
    gives=("IMAGE",),
    category="image/postprocessing",
    module=MODERN,
    modern=True,
)
def image_blend(image1: Picture, image2: Picture, blend_factor: float, blend_mode: str) -> Picture:
    """Mixes two pictures in one of six ways."""
    base, top = _same_channels(image1, image2)
    if base.shape != top.shape:
        top = scale(top, base.shape[2], base.shape[1], "bicubic", "center")
    share = np.float32(blend_factor)
    return np.clip(base * (1 - share) + _blend(base, top, blend_mode) * share, 0, 1)


def _blend(base: Picture, top: Picture, mode: str) -> Picture:
    match mode:
        case "multiply":
            return base * top
        case "screen":
            return 1 - (1 - base) * (1 - top)
        case "overlay":
            return np.where(base <= 0.5, 2 * base * top, 1 - 2 * (1 - base) * (1 - top))
        case "soft_light":
            root = np.where(base <= 0.25, ((16 * base - 12) * base + 4) * base, np.sqrt(np.maximum(base, 0)))
            dark = base - (1 - 2 * top) * base * (1 - base)
            return np.where(top <= 0.5, dark, base + (2 * top - 1) * (root - base))
        case "difference":
            return base - top
        case _:
            return top


@shelf.node(
    "ImageQuantize",
    image(),
    whole("colors", 256, 1, 256, 1),
    choice("dither", "none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16", multiselect=False),
    gives=("IMAGE",),
    category="image/postprocessing",
    module=MODERN,
    modern=True,
)
def image_quantize(image: Picture, colors: int, dither: str) -> Picture:
    """Reduces the colours."""
    return np.stack([from_bytes(_quantized(one, colors, dither)) for one in (image * np.float32(255)).astype(np.uint8)])


def _quantized(pixels: Bytes, colours: int, dither: str) -> Bytes:
    drawn = Image.fromarray(pixels)
    palette = drawn.quantize(colors=colours)
    if dither.startswith("bayer"):
        drawn = Image.fromarray(_ordered(pixels, palette, int(dither.partition("-")[2])))
    way = Image.Dither.FLOYDSTEINBERG if dither == "floyd-steinberg" else Image.Dither.NONE
    return np.asarray(drawn.quantize(colors=colours, palette=palette, dither=way).convert("RGB"))


def _ordered(pixels: Bytes, palette: Image.Image, order: int) -> Bytes:
    spread = 2 * 256 / (len(palette.getpalette() or ()) // 3)
    pattern = spread * _bayer(order) + 0.5
    height, width = pixels.shape[:2]
    tiled = np.tile(pattern, (-(-height // order), -(-width // order)))[:height, :width]
    return np.clip(pixels + tiled[..., None], 0, 255).astype(np.uint8)


def _bayer(order: int) -> npt.NDArray[np.float64]:
    """Thresholds around 0 for ordered dithering; order: 1, 2, 4, 8 or 16."""
    if order == 1:
        return np.zeros((1, 1))
    inner = order * order * _bayer(order // 2)
    return np.block([[inner - 1.5, inner + 0.5], [inner + 1.5, inner - 0.5]]) / (order * order)


@shelf.node(
    "ImageCompositeMasked",
    image("destination"),
    image("source"),
    whole("x", 0, 0, LARGEST, 1),
    whole("y", 0, 0, LARGEST, 1),
    flag("resize_source", False),
    mask(section="optional"),
    gives=("IMAGE",),
    category="image",
    module="comfy_extras.nodes_mask",
)
def image_composite_masked(
    destination: Picture, source: Picture, x: int, y: int, resize_source: bool, mask: Picture | None = None
) -> Picture:
    """Lays one picture over another, through a mask."""
    below, above = _same_channels(destination, source)
    return composited(below, above, x, y, mask, resize_source=resize_source)


def composited(
    below: Picture, above: Picture, x: int, y: int, mask: Picture | None, *, resize_source: bool = False
) -> Picture:
    """`above` laid over a copy of `below` with its corner at x, y; the mask is scaled to `above`."""
    result = below.copy()
    height, width = result.shape[1:3]
    if resize_source:
        above = scale(above, width, height, "bilinear")
    above = repeat_to(above, len(result))
    x, y = min(x, width), min(y, height)
    shown = above[:, : height - y, : width - x]
    if mask is None:
        result[:, y : y + shown.shape[1], x : x + shown.shape[2]] = shown
        return result
    whole_mask = scale_mask(mask.reshape(-1, *mask.shape[-2:]), above.shape[2], above.shape[1])
    share = repeat_to(whole_mask, len(above))[:, : height - y, : width - x, None]
    part = result[:, y : y + shown.shape[1], x : x + shown.shape[2]]
    part[...] = share * shown + (1 - share) * part
    return result


def _same_channels(first: Picture, second: Picture) -> tuple[Picture, Picture]:
    channels = first.shape[-1]
    if second.shape[-1] > channels:
        return first, second[..., :channels]
    missing = channels - second.shape[-1]
    return first, np.pad(second, [(0, 0)] * 3 + [(0, missing)], constant_values=np.float32(1))
