"""Sizes, crops, turns and batches of pictures."""

from collections.abc import Sequence

import numpy as np

from .declare import Shelf, choice, flag, image, number, whole
from .pixels import Picture, repeat_to, room
from .resample import resize, scale, within_pixels

EXTRA = "comfy_extras.nodes_images"
LARGEST = 16384
"""Pixels of a side: ComfyUI's MAX_RESOLUTION."""

METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")
COLOURS = {"white": (1, 1, 1), "black": (0, 0, 0), "red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}

shelf = Shelf("nodes")


@shelf.node(
    "EmptyImage",
    whole("width", 512, 1, LARGEST, 1),
    whole("height", 512, 1, LARGEST, 1),
    whole("batch_size", 1, 1, 4096),
    whole("color", 0, 0, 0xFFFFFF, 1, display="color"),
    gives=("IMAGE",),
    category="image",
)
def empty_image(width: int, height: int, batch_size: int, color: int) -> Picture:
    """Pictures of one colour."""
    room(batch_size, height, width)
    channels = np.array([color >> 16 & 255, color >> 8 & 255, color & 255], np.float32) / np.float32(255)
    return np.tile(channels, (batch_size, height, width, 1))


@shelf.node(
    "ImageScale",
    image(),
    choice("upscale_method", *METHODS),
    whole("width", 512, 0, LARGEST, 1),
    whole("height", 512, 0, LARGEST, 1),
    choice("crop", "disabled", "center"),
    gives=("IMAGE",),
    category="image/upscaling",
    title="Upscale Image",
)
def image_scale(image: Picture, upscale_method: str, width: int, height: int, crop: str) -> Picture:
    """Scales to a size; a side of 0 follows the other one's proportion."""
    if width == 0 and height == 0:
        return image
    if width == 0:
        width = max(1, round(image.shape[2] * height / image.shape[1]))
    elif height == 0:
        height = max(1, round(image.shape[1] * width / image.shape[2]))
    return scale(image, width, height, upscale_method, crop)


@shelf.node(
    "ImageScaleBy",
    image(),
    choice("upscale_method", *METHODS),
    number("scale_by", 1.0, 0.01, 8.0, 0.01),
    gives=("IMAGE",),
    category="image/upscaling",
    title="Upscale Image By",
)
def image_scale_by(image: Picture, upscale_method: str, scale_by: float) -> Picture:
    """Scales by a factor."""
    return resize(image, round(image.shape[2] * scale_by), round(image.shape[1] * scale_by), upscale_method)


@shelf.node(
    "ImageScaleToTotalPixels",
    image(),
    choice("upscale_method", *METHODS, multiselect=False),
    number("megapixels", 1.0, 0.01, 16.0, 0.01),
    gives=("IMAGE",),
    category="image/upscaling",
    module="comfy_extras.nodes_post_processing",
    modern=True,
)
def image_scale_to_total_pixels(image: Picture, upscale_method: str, megapixels: float) -> Picture:
    """Scales to a number of megapixels (of 1024 x 1024)."""
    width, height = within_pixels(image.shape[2], image.shape[1], int(megapixels * 1024 * 1024))
    return resize(image, width, height, upscale_method)


@shelf.node(
    "ImageScaleToMaxDimension",
    image(),
    choice("upscale_method", "area", "lanczos", "bilinear", "nearest-exact", "bilinear", "bicubic"),
    whole("largest_size", 512, 0, LARGEST, 1),
    gives=("IMAGE",),
    category="image/upscaling",
    module=EXTRA,
)
def image_scale_to_max_dimension(image: Picture, upscale_method: str, largest_size: int) -> Picture:
    """Scales so that the longer side has this length."""
    height, width = image.shape[1:3]
    if height > width:
        return resize(image, round(width / height * largest_size), largest_size, upscale_method)
    return resize(image, largest_size, round(height / width * largest_size), upscale_method)


@shelf.node(
    "ResizeAndPadImage",
    image(),
    whole("target_width", 512, 1, LARGEST, 1),
    whole("target_height", 512, 1, LARGEST, 1),
    choice("padding_color", "white", "black"),
    choice("interpolation", "area", "bicubic", "nearest-exact", "bilinear", "lanczos"),
    gives=("IMAGE",),
    category="image/transform",
    module=EXTRA,
)
def resize_and_pad(
    image: Picture, target_width: int, target_height: int, padding_color: str, interpolation: str
) -> Picture:
    """Fits the picture into a size and fills the rest."""
    factor = min(target_width / image.shape[2], target_height / image.shape[1])
    width, height = int(image.shape[2] * factor), int(image.shape[1] * factor)
    fitted = resize(image, width, height, interpolation)
    room(len(image), target_height, target_width)
    padded = np.full((len(image), target_height, target_width, image.shape[3]), COLOURS[padding_color][0], np.float32)
    top, left = (target_height - height) // 2, (target_width - width) // 2
    padded[:, top : top + height, left : left + width] = fitted
    return padded


@shelf.node(
    "ImagePadForOutpaint",
    image(),
    *(whole(side, 0, 0, LARGEST, 8) for side in ("left", "top", "right", "bottom")),
    whole("feathering", 40, 0, LARGEST, 1),
    gives=("IMAGE", "MASK"),
    category="image",
    title="Pad Image for Outpainting",
)
def pad_for_outpaint(
    image: Picture, left: int, top: int, right: int, bottom: int, feathering: int
) -> tuple[Picture, Picture]:
    """Adds grey borders and a mask of what is new, soft towards the picture."""
    batch, height, width, channels = image.shape
    room(batch, height + top + bottom, width + left + right)
    padded = np.full((batch, height + top + bottom, width + left + right, channels), 0.5, np.float32)
    padded[:, top : top + height, left : left + width] = image
    new = np.ones(padded.shape[1:3], np.float32)
    new[top : top + height, left : left + width] = _feather(height, width, (left, top, right, bottom), feathering)
    return padded, new[None]


def _feather(height: int, width: int, sides: tuple[int, int, int, int], feathering: int) -> Picture:
    if feathering <= 0 or feathering * 2 >= height or feathering * 2 >= width:
        return np.zeros((height, width), np.float32)
    left, top, right, bottom = sides
    rows, columns = np.arange(height), np.arange(width)
    vertical = np.minimum(rows if top else height, height - rows if bottom else height)
    horizontal = np.minimum(columns if left else width, width - columns if right else width)
    distance = np.minimum(np.broadcast_to(vertical, height)[:, None], np.broadcast_to(horizontal, width)[None])
    share: Picture = np.maximum((feathering - distance) / feathering, 0).astype(np.float32)
    return share * share


@shelf.node(
    "ImageCrop",
    image(),
    whole("width", 512, 1, LARGEST, 1),
    whole("height", 512, 1, LARGEST, 1),
    whole("x", 0, 0, LARGEST, 1),
    whole("y", 0, 0, LARGEST, 1),
    gives=("IMAGE",),
    category="image/transform",
    title="Image Crop",
    module=EXTRA,
)
def image_crop(image: Picture, width: int, height: int, x: int, y: int) -> Picture:
    """Cuts out a rectangle; what lies outside the picture is left out."""
    x, y = min(x, image.shape[2] - 1), min(y, image.shape[1] - 1)
    return image[:, y : y + height, x : x + width]


@shelf.node(
    "ImageFlip",
    image(),
    choice("flip_method", "x-axis: vertically", "y-axis: horizontally"),
    gives=("IMAGE",),
    category="image/transform",
    module=EXTRA,
)
def image_flip(image: Picture, flip_method: str) -> Picture:
    """Mirrors the picture."""
    return np.flip(image, axis=1 if flip_method.startswith("x") else 2)


@shelf.node(
    "ImageRotate",
    image(),
    choice("rotation", "none", "90 degrees", "180 degrees", "270 degrees"),
    gives=("IMAGE",),
    category="image/transform",
    module=EXTRA,
)
def image_rotate(image: Picture, rotation: str) -> Picture:
    """Turns the picture clockwise by quarters."""
    quarters = {"90": 1, "180": 2, "270": 3}.get(rotation.partition(" ")[0], 0)
    return np.rot90(image, k=quarters, axes=(2, 1))


@shelf.node(
    "ImageStitch",
    image("image1"),
    choice("direction", "right", "down", "left", "up", default="right"),
    flag("match_image_size", True),
    whole("spacing_width", 0, 0, 1024, 2),
    choice("spacing_color", "white", "black", "red", "green", "blue", default="white"),
    image("image2", section="optional"),
    gives=("IMAGE",),
    category="image/transform",
    title="Image Stitch",
    module=EXTRA,
)
def image_stitch(
    image1: Picture,
    direction: str,
    match_image_size: bool,
    spacing_width: int,
    spacing_color: str,
    image2: Picture | None = None,
) -> Picture:
    """Puts two pictures side by side, with a gap of a colour."""
    if image2 is None:
        return image1
    size = max(len(image1), len(image2))
    first, second = _lengthened(image1, size), _lengthened(image2, size)
    sideways = direction in {"left", "right"}
    if match_image_size:
        second = _matched(second, first, sideways)
    else:
        # ComfyUI fills beside a smaller picture with white only when the gap is white
        fill = float(spacing_color == "white")
        across = 1 if sideways else 2
        widest = max(first.shape[across], second.shape[across])
        first, second = _padded(first, across, widest, fill), _padded(second, across, widest, fill)
    channels = max(first.shape[-1], second.shape[-1])
    parts = [_with_channels(first, channels), _with_channels(second, channels)]
    if direction in {"left", "up"}:
        parts.reverse()
    if spacing_width > 0:
        parts.insert(1, _gap(parts, spacing_width + spacing_width % 2, COLOURS[spacing_color], sideways))
    return np.concatenate(parts, axis=2 if sideways else 1)


def _lengthened(batch: Picture, size: int) -> Picture:
    return np.concatenate([batch, *[batch[-1:]] * (size - len(batch))])


def _matched(picture: Picture, other: Picture, sideways: bool) -> Picture:
    aspect = picture.shape[2] / picture.shape[1]
    height, width = other.shape[1:3]
    if sideways:
        return resize(picture, int(height * aspect), height, "lanczos")
    return resize(picture, width, int(width / aspect), "lanczos")


def _padded(picture: Picture, axis: int, size: int, fill: float) -> Picture:
    missing = size - picture.shape[axis]
    widths = [(0, 0)] * 4
    widths[axis] = (missing // 2, missing - missing // 2)
    return np.pad(picture, widths, constant_values=np.float32(fill))


def _with_channels(picture: Picture, channels: int) -> Picture:
    return np.pad(picture, [(0, 0)] * 3 + [(0, channels - picture.shape[-1])], constant_values=np.float32(1))


def _gap(parts: list[Picture], width: int, colour: Sequence[int], sideways: bool) -> Picture:
    batch, channels = len(parts[0]), parts[0].shape[-1]
    across = max(part.shape[1 if sideways else 2] for part in parts)
    shape = (batch, across, width, channels) if sideways else (batch, width, across, channels)
    return np.broadcast_to(np.array([*colour, 1], np.float32)[:channels], shape)


@shelf.node("ImageBatch", image("image1"), image("image2"), gives=("IMAGE",), category="image", title="Batch Images")
def image_batch(image1: Picture, image2: Picture) -> Picture:
    """One batch of two; the second is scaled and cut to the size of the first."""
    channels = max(image1.shape[-1], image2.shape[-1])
    first, second = _with_channels(image1, channels), _with_channels(image2, channels)
    if first.shape[1:] != second.shape[1:]:
        second = scale(second, first.shape[2], first.shape[1], "bilinear", "center")
    return np.concatenate([first, second])


@shelf.node(
    "RepeatImageBatch", image(), whole("amount", 1, 1, 4096), gives=("IMAGE",), category="image/batch", module=EXTRA
)
def repeat_image_batch(image: Picture, amount: int) -> Picture:
    """The batch several times over."""
    room(len(image) * amount, *image.shape[1:3])
    return repeat_to(image, len(image) * amount)


@shelf.node(
    "ImageFromBatch",
    image(),
    whole("batch_index", 0, 0, 4095),
    whole("length", 1, 1, 4096),
    gives=("IMAGE",),
    category="image/batch",
    module=EXTRA,
)
def image_from_batch(image: Picture, batch_index: int, length: int) -> Picture:
    """Some pictures of a batch."""
    first = min(len(image) - 1, batch_index)
    return image[first : first + length]


@shelf.node(
    "GetImageSize",
    image(),
    gives=("INT", "INT", "INT"),
    names=("width", "height", "batch_size"),
    category="image",
    title="Get Image Size",
    module=EXTRA,
)
def get_image_size(image: Picture) -> tuple[int, int, int]:
    """Width, height and number of pictures."""
    return image.shape[2], image.shape[1], image.shape[0]
