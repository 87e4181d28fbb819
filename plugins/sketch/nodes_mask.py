"""Masks: float32 arrays [batch, height, width], 1 where something applies. As alpha channels they are turned round."""

import numpy as np

from .declare import Shelf, choice, flag, image, mask, number, whole
from .pixels import Picture, as_masks, room
from .resample import scale_mask

LARGEST = 16384
"""Pixels of a side: ComfyUI's MAX_RESOLUTION."""

COMPOSITING = "comfy_extras.nodes_compositing"
CHANNELS = ("red", "green", "blue", "alpha")
SIDES = ("left", "top", "right", "bottom")

shelf = Shelf("comfy_extras.nodes_mask")


@shelf.node(
    "SolidMask",
    number("value", 1.0, 0.0, 1.0, 0.01),
    whole("width", 512, 1, LARGEST, 1),
    whole("height", 512, 1, LARGEST, 1),
    gives=("MASK",),
    category="mask",
)
def solid_mask(value: float, width: int, height: int) -> Picture:
    """A mask of one value."""
    room(1, height, width)
    return np.full((1, height, width), value, np.float32)


@shelf.node("InvertMask", mask(), gives=("MASK",), category="mask")
def invert_mask(mask: Picture) -> Picture:
    """The mask turned round."""
    return np.float32(1) - mask


@shelf.node("MaskToImage", mask(), gives=("IMAGE",), category="mask", title="Convert Mask to Image")
def mask_to_image(mask: Picture) -> Picture:
    """The mask as a grey picture."""
    return np.repeat(as_masks(mask)[..., None], 3, axis=-1)


@shelf.node(
    "ImageToMask",
    image(),
    choice("channel", *CHANNELS),
    gives=("MASK",),
    category="mask",
    title="Convert Image to Mask",
)
def image_to_mask(image: Picture, channel: str) -> Picture:
    """One channel of a picture as a mask."""
    return image[..., CHANNELS.index(channel)]


@shelf.node(
    "ImageColorToMask",
    image(),
    whole("color", 0, 0, 0xFFFFFF, 1, display="color"),
    gives=("MASK",),
    category="mask",
)
def image_color_to_mask(image: Picture, color: int) -> Picture:
    """1 where the picture has exactly this colour."""
    levels = np.round(np.clip(image[..., :3], 0, 1) * np.float32(255)).astype(np.int64)
    numbers = levels[..., 0] * 65536 + levels[..., 1] * 256 + levels[..., 2]
    return np.asarray(numbers == color, np.float32)


@shelf.node(
    "CropMask",
    mask(),
    whole("x", 0, 0, LARGEST, 1),
    whole("y", 0, 0, LARGEST, 1),
    whole("width", 512, 1, LARGEST, 1),
    whole("height", 512, 1, LARGEST, 1),
    gives=("MASK",),
    category="mask",
)
def crop_mask(mask: Picture, x: int, y: int, width: int, height: int) -> Picture:
    """A rectangle of the mask."""
    return as_masks(mask)[:, y : y + height, x : x + width]


@shelf.node("FeatherMask", mask(), *(whole(side, 0, 0, LARGEST, 1) for side in SIDES), gives=("MASK",), category="mask")
def feather_mask(mask: Picture, left: int, top: int, right: int, bottom: int) -> Picture:
    """Softens the mask towards its edges."""
    soft = as_masks(mask).copy()
    height, width = soft.shape[1:]
    across, down = np.ones(width, np.float32), np.ones(height, np.float32)
    _soften(across, min(left, width), min(right, width))
    _soften(down, min(top, height), min(bottom, height))
    return soft * across * down[:, None]


def _soften(line: Picture, before: int, after: int) -> None:
    for k in range(before):
        line[k] *= (k + 1) / before
    for k in range(after):
        # -0 is the first one: ComfyUI's own slip, kept because masks are compared
        line[-k] *= (k + 1) / after


@shelf.node(
    "GrowMask",
    mask(),
    whole("expand", 0, -LARGEST, LARGEST, 1),
    flag("tapered_corners", True),
    gives=("MASK",),
    category="mask",
)
def grow_mask(mask: Picture, expand: int, tapered_corners: bool) -> Picture:
    """Grows or shrinks the mask by pixels."""
    grown = as_masks(mask)
    pick = np.maximum if expand > 0 else np.minimum
    for _ in range(min(abs(expand), max(grown.shape[1:]))):
        down = _spread(grown, 1, pick)
        # with tapered corners a step goes along the axes only
        grown = pick(down, _spread(grown, 2, pick)) if tapered_corners else _spread(down, 2, pick)
    return grown


def _spread(mask: Picture, axis: int, pick: np.ufunc) -> Picture:
    padded = np.pad(mask, [(1, 1) if k == axis else (0, 0) for k in range(3)], mode="edge")
    size = mask.shape[axis]
    low = np.take(padded, range(size), axis=axis)
    high = np.take(padded, range(2, size + 2), axis=axis)
    spread: Picture = pick(pick(low, mask), high)
    return spread


@shelf.node("ThresholdMask", mask(), number("value", 0.5, 0.0, 1.0, 0.01), gives=("MASK",), category="mask")
def threshold_mask(mask: Picture, value: float) -> Picture:
    """1 above the value, else 0."""
    return (mask > np.float32(value)).astype(np.float32)


@shelf.node(
    "MaskComposite",
    mask("destination"),
    mask("source"),
    whole("x", 0, 0, LARGEST, 1),
    whole("y", 0, 0, LARGEST, 1),
    choice("operation", "multiply", "add", "subtract", "and", "or", "xor"),
    gives=("MASK",),
    category="mask",
)
def mask_composite(destination: Picture, source: Picture, x: int, y: int, operation: str) -> Picture:
    """Combines two masks."""
    result, above = as_masks(destination).copy(), as_masks(source)
    part = result[:, y : y + above.shape[1], x : x + above.shape[2]]
    part[...] = _combined(part, above[:, : part.shape[1], : part.shape[2]], operation)
    return np.clip(result, 0, 1)


def _combined(below: Picture, above: Picture, operation: str) -> Picture:
    match operation:
        case "multiply":
            return below * above
        case "add":
            return below + above
        case "subtract":
            return below - above
        case _:
            pick = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}[operation]
            combined: Picture = pick(np.round(below) != 0, np.round(above) != 0).astype(np.float32)
            return combined


@shelf.node(
    "JoinImageWithAlpha",
    image(),
    mask("alpha"),
    gives=("IMAGE",),
    category="mask/compositing",
    title="Join Image with Alpha",
    module=COMPOSITING,
    modern=True,
)
def join_image_with_alpha(image: Picture, alpha: Picture) -> Picture:
    """Makes a mask the alpha channel; where the mask is 1 the picture is clear."""
    clear = scale_mask(as_masks(alpha), image.shape[2], image.shape[1])
    size = min(len(image), len(clear))
    return np.concatenate([image[:size, ..., :3], 1 - clear[:size, ..., None]], axis=-1)


@shelf.node(
    "SplitImageWithAlpha",
    image(),
    gives=("IMAGE", "MASK"),
    category="mask/compositing",
    title="Split Image with Alpha",
    module=COMPOSITING,
    modern=True,
)
def split_image_with_alpha(image: Picture) -> tuple[Picture, Picture]:
    """The colours and the alpha channel, as a mask."""
    opaque = image[..., 3] if image.shape[-1] > 3 else np.ones(image.shape[:3], np.float32)
    return image[..., :3], 1 - opaque
