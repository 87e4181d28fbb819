"""Scaling as ComfyUI does it: the rules of `torch.nn.functional.interpolate`, and Pillow for Lanczos.

Pictures are float32 arrays [batch, height, width, channels]. Every rule but Lanczos is separable and local: each output row is a weighted
sum of a few input rows, so it is a table of indices and weights that is applied once along each axis.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from .pixels import Picture, room, to_bytes

Indices = npt.NDArray[np.intp]
CUBIC = np.float32(-0.75)
"""The coefficient of torch's bicubic kernel; Pillow's is -0.5."""


@dataclass(frozen=True, slots=True)
class Taps:
    """indices, weights: [output size, taps]."""

    indices: Indices
    weights: Picture


def nearest_exact(size: int, new: int) -> Taps:
    scale = np.float32(size) / np.float32(new)
    indices = np.floor((np.arange(new, dtype=np.float32) + np.float32(0.5)) * scale).astype(np.intp)
    return Taps(np.minimum(indices, size - 1)[:, None], np.ones((new, 1), np.float32))


def bilinear(size: int, new: int) -> Taps:
    position = np.maximum(_centres(size, new), np.float32(0))
    low = np.minimum(np.floor(position).astype(np.intp), size - 1)
    share = np.minimum(position - low, np.float32(1)).astype(np.float32)
    return Taps(np.stack([low, np.minimum(low + 1, size - 1)], 1), np.stack([1 - share, share], 1).astype(np.float32))


def bicubic(size: int, new: int) -> Taps:
    position = _centres(size, new)
    base = np.floor(position)
    share = (position - base).astype(np.float32)
    indices = base.astype(np.intp)[:, None] + np.arange(-1, 3)
    weights = np.stack([_outer(share + 1), _inner(share), _inner(1 - share), _outer(2 - share)], 1)
    return Taps(np.clip(indices, 0, size - 1), weights.astype(np.float32))


def area(size: int, new: int) -> Taps:
    """Adaptive average pooling: each output takes the mean of whole input pixels, from floor(i·size/new) to ceil((i+1)·size/new)."""
    first = np.arange(new) * size // new
    after = -(-(np.arange(1, new + 1) * size) // new)
    count = after - first
    indices = first[:, None] + np.arange(int(count.max()))
    weights = (indices < after[:, None]) / count[:, None]
    return Taps(np.minimum(indices, size - 1), weights.astype(np.float32))


RULES: dict[str, Callable[[int, int], Taps]] = {
    "nearest-exact": nearest_exact,
    "bilinear": bilinear,
    "bicubic": bicubic,
    "area": area,
    "bislerp": bicubic,  # spherical blending of latents; sketches carry pictures in their place
}


def resize(picture: Picture, width: int, height: int, method: str) -> Picture:
    """Raises RuntimeError for a size below 1 or beyond the memory that is granted."""
    if min(width, height, *picture.shape[1:3]) < 1:
        raise RuntimeError(
            "Input and output sizes should be greater than 0, "
            f"but got input (H: {picture.shape[1]}, W: {picture.shape[2]}) output (H: {height}, W: {width})"
        )
    room(picture.shape[0], height, width)
    if method == "lanczos":
        return _lanczos(picture, width, height)
    rule = RULES[method]
    return _along(_along(picture, rule(picture.shape[1], height), 1), rule(picture.shape[2], width), 2)


def scale(picture: Picture, width: int, height: int, method: str, crop: str = "disabled") -> Picture:
    """As the scaling nodes do it: `crop` "center" first cuts the picture to the new proportions."""
    if crop == "center":
        picture = _cut_to_aspect(picture, width / height)
    return resize(picture, width, height, method)


def scale_mask(mask: Picture, width: int, height: int, method: str = "bilinear") -> Picture:
    """The same for masks, [batch, height, width]."""
    return resize(mask[..., None], width, height, method)[..., 0]


def _cut_to_aspect(picture: Picture, aspect: float) -> Picture:
    height, width = picture.shape[1:3]
    present = width / height
    x = round((width - width * (aspect / present)) / 2) if present > aspect else 0
    y = round((height - height * (present / aspect)) / 2) if present < aspect else 0
    return picture[:, y : height - y, x : width - x]


def _along(picture: Picture, taps: Taps, axis: int) -> Picture:
    shape = [1] * picture.ndim
    shape[axis] = -1

    def part(k: int) -> Picture:
        return np.take(picture, taps.indices[:, k], axis=axis) * taps.weights[:, k].reshape(shape)

    total = part(0)
    for k in range(1, taps.indices.shape[1]):
        total += part(k)
    return total


def _lanczos(picture: Picture, width: int, height: int) -> Picture:
    channels = picture.shape[-1]
    scaled = []
    for one in to_bytes(picture):
        drawn = Image.fromarray(one[..., 0] if channels == 1 else one)
        scaled.append(np.asarray(drawn.resize((width, height), Image.Resampling.LANCZOS), np.float32) / np.float32(255))
    return np.stack(scaled).reshape(len(picture), height, width, channels)


def _centres(size: int, new: int) -> Picture:
    ratio = np.float32(size) / np.float32(new)
    return (ratio * (np.arange(new, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5)).astype(np.float32)


def _inner(x: Picture) -> Picture:
    return ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1


def _outer(x: Picture) -> Picture:
    return ((CUBIC * x - 5 * CUBIC) * x + 8 * CUBIC) * x - 4 * CUBIC


def within_pixels(width: int, height: int, pixels: int) -> tuple[int, int]:
    """The size of about `pixels` pixels with the same proportions."""
    factor = math.sqrt(pixels / (width * height))
    return round(width * factor), round(height * factor)
