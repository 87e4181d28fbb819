"""Latents and what stands in for a VAE. A latent carries the picture itself, so that decoding has nothing to do."""

from dataclasses import dataclass, replace

import numpy as np

from .declare import Shelf, choice, image, link, mask, number, whole
from .nodes_effects import blurred
from .nodes_model import Loaded
from .pixels import Picture, as_masks, repeat_to, room
from .resample import scale, scale_mask

LATENT_METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "bislerp")

shelf = Shelf("nodes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """width, height: pixels of the decoded picture. pictures: None while it is empty. mask: where a sampler may paint."""

    width: int
    height: int
    batch: int
    pictures: Picture | None = None
    mask: Picture | None = None


@shelf.node(
    "EmptyLatentImage",
    whole("width", 512, 16, 16384, 8, tooltip="The width of the latent images in pixels."),
    whole("height", 512, 16, 16384, 8, tooltip="The height of the latent images in pixels."),
    whole("batch_size", 1, 1, 4096, tooltip="The number of latent images in the batch."),
    gives=("LATENT",),
    category="latent",
    title="Empty Latent Image",
)
def empty_latent(width: int, height: int, batch_size: int) -> Latent:
    """An empty canvas; its sides are whole multiples of 8."""
    return _empty(width, height, batch_size)


@shelf.node(
    "EmptySD3LatentImage",
    whole("width", 1024, 16, 16384, 16),
    whole("height", 1024, 16, 16384, 16),
    whole("batch_size", 1, 1, 4096),
    gives=("LATENT",),
    category="latent/sd3",
    module="comfy_extras.nodes_sd3",
    modern=True,
)
def empty_sd3_latent(width: int, height: int, batch_size: int) -> Latent:
    """An empty canvas; its sides are whole multiples of 8."""
    return _empty(width, height, batch_size)


def _empty(width: int, height: int, batch: int) -> Latent:
    room(batch, height, width)
    return Latent(width=width // 8 * 8, height=height // 8 * 8, batch=batch)


@shelf.node(
    "VAEDecode",
    link("samples", "LATENT", tooltip="The latent to be decoded."),
    link("vae", "VAE", tooltip="The VAE model used for decoding the latent."),
    gives=("IMAGE",),
    category="latent",
    title="VAE Decode",
)
def vae_decode(samples: Latent, vae: Loaded) -> Picture:
    """The pictures that the latent carries; an empty one is grey."""
    return _pictures(samples)


def _pictures(latent: Latent) -> Picture:
    if latent.pictures is not None:
        return latent.pictures
    return np.full((latent.batch, latent.height, latent.width, 3), 0.5, np.float32)


@shelf.node("VAEEncode", image("pixels"), link("vae", "VAE"), gives=("LATENT",), category="latent", title="VAE Encode")
def vae_encode(pixels: Picture, vae: Loaded) -> Latent:
    """A latent of the pictures, cut to whole multiples of 8."""
    return _encoded(pixels)


def _encoded(pixels: Picture) -> Latent:
    height, width = (side // 8 * 8 for side in pixels.shape[1:3])
    if not (height and width):
        raise RuntimeError("the picture is smaller than 8 x 8 pixels, which is the least a latent can hold")
    top, left = pixels.shape[1] % 8 // 2, pixels.shape[2] % 8 // 2
    part = pixels[:, top : top + height, left : left + width, :3]
    return Latent(width=width, height=height, batch=len(pixels), pictures=part)


@shelf.node(
    "VAEEncodeForInpaint",
    image("pixels"),
    link("vae", "VAE"),
    mask(),
    whole("grow_mask_by", 6, 0, 64, 1),
    gives=("LATENT",),
    category="latent/inpaint",
    title="VAE Encode (for Inpainting)",
)
def vae_encode_for_inpaint(pixels: Picture, vae: Loaded, mask: Picture, grow_mask_by: int) -> Latent:
    """A latent in which only the masked part is painted anew."""
    latent = _encoded(pixels)
    return replace(latent, mask=_fitted(mask, latent))


@shelf.node(
    "SetLatentNoiseMask",
    link("samples", "LATENT"),
    mask(),
    gives=("LATENT",),
    category="latent/inpaint",
    title="Set Latent Noise Mask",
)
def set_latent_noise_mask(samples: Latent, mask: Picture) -> Latent:
    """Only the masked part will be painted anew."""
    return replace(samples, mask=_fitted(mask, samples))


def _fitted(mask: Picture, latent: Latent) -> Picture:
    fitted = scale_mask(as_masks(mask), latent.width, latent.height)
    radius = max(1, min(8, min(fitted.shape[1:]) // 4))
    return blurred(fitted[..., None], radius, 0.6)[..., 0]


@shelf.node(
    "RepeatLatentBatch",
    link("samples", "LATENT"),
    whole("amount", 1, 1, 64),
    gives=("LATENT",),
    category="latent/batch",
    title="Repeat Latent Batch",
)
def repeat_latent_batch(samples: Latent, amount: int) -> Latent:
    """The batch several times over."""
    batch = samples.batch * amount
    room(batch, samples.height, samples.width)
    return replace(
        samples, batch=batch, pictures=None if samples.pictures is None else repeat_to(samples.pictures, batch)
    )


@shelf.node(
    "LatentUpscale",
    link("samples", "LATENT"),
    choice("upscale_method", *LATENT_METHODS),
    whole("width", 512, 0, 16384, 8),
    whole("height", 512, 0, 16384, 8),
    choice("crop", "disabled", "center"),
    gives=("LATENT",),
    category="latent",
    title="Upscale Latent",
)
def latent_upscale(samples: Latent, upscale_method: str, width: int, height: int, crop: str) -> Latent:
    """Scales a latent to a size; a side of 0 follows the other one's proportion."""
    if width == 0 and height == 0:
        return samples
    width = width or max(64, round(samples.width * height / samples.height))
    height = height or max(64, round(samples.height * width / samples.width))
    return _scaled(samples, width, height, upscale_method, crop)


@shelf.node(
    "LatentUpscaleBy",
    link("samples", "LATENT"),
    choice("upscale_method", *LATENT_METHODS),
    number("scale_by", 1.5, 0.01, 8.0, 0.01),
    gives=("LATENT",),
    category="latent",
    title="Upscale Latent By",
)
def latent_upscale_by(samples: Latent, upscale_method: str, scale_by: float) -> Latent:
    """Scales a latent by a factor."""
    return _scaled(
        samples, round(samples.width * scale_by), round(samples.height * scale_by), upscale_method, "disabled"
    )


def _scaled(latent: Latent, width: int, height: int, method: str, crop: str) -> Latent:
    width, height = max(8, width // 8 * 8), max(8, height // 8 * 8)
    room(latent.batch, height, width)
    pictures = None if latent.pictures is None else np.clip(scale(latent.pictures, width, height, method, crop), 0, 1)
    kept = None if latent.mask is None else scale_mask(latent.mask, width, height)
    return replace(latent, width=width, height=height, pictures=pictures, mask=kept)
