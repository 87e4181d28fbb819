"""Pictures between nodes: float32 arrays [batch, height, width, channels] from 0 to 1; masks without the last axis."""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

Picture = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

MOST_PIXELS = 80_000_000
"""Of one batch: about a gigabyte of float32."""


def room(batch: int, height: int, width: int) -> None:
    """Raises RuntimeError when a batch of this size is more than a sketch may hold in memory."""
    if batch * height * width > MOST_PIXELS:
        raise RuntimeError(
            f"{batch} x {width} x {height} pixels are too many for a sketch, which holds {MOST_PIXELS // 1_000_000} million at once"
        )


def to_bytes(picture: Picture) -> Bytes:
    """By truncation, as ComfyUI writes: 0.5 becomes 127."""
    levels: Picture = np.clip(picture * np.float32(255), 0, 255)
    return levels.astype(np.uint8)


def from_bytes(pixels: npt.ArrayLike | Image.Image) -> Picture:
    return np.asarray(pixels, np.float32) / np.float32(255)


def repeat_to(batch: Picture, size: int) -> Picture:
    """The batch cut, or repeated from its start, to `size`."""
    if len(batch) >= size:
        return batch[:size]
    return np.concatenate([batch] * math.ceil(size / len(batch)))[:size]


def as_masks(mask: Picture) -> Picture:
    """A mask without its batch axis gets one."""
    return mask.reshape(-1, mask.shape[-2], mask.shape[-1])
