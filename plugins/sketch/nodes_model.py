"""Stand-ins for the nodes that need models: loaders, text encoders, samplers, VAEs.

A latent carries the picture itself, so that decoding has nothing to do; a sampler paints it from the words and the seed.
"""

import io
import re
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from .declare import Shelf, Slot, choice, file, image, link, mask, number, text, whole
from .nodes_effects import blurred, composited
from .painting import caption, paint
from .pixels import Picture, as_masks, repeat_to, room, to_bytes
from .resample import resize, scale, scale_mask
from .running import Preview, Run

SAMPLERS = (
    "euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2", "dpm_2", "dpm_2_ancestral", "lms", "dpm_fast",
    "dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp", "dpmpp_sde", "dpmpp_sde_gpu", "dpmpp_2m", "dpmpp_2m_cfg_pp",
    "dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm",
    "ipndm", "ipndm_v", "deis", "res_multistep", "res_multistep_cfg_pp", "res_multistep_ancestral", "res_multistep_ancestral_cfg_pp",
    "gradient_estimation", "gradient_estimation_cfg_pp", "er_sde", "seeds_2", "seeds_3", "sa_solver", "sa_solver_pece", "ddim", "uni_pc",
    "uni_pc_bh2",
)  # fmt: skip
SCHEDULERS = (
    "simple",
    "sgm_uniform",
    "karras",
    "exponential",
    "ddim_uniform",
    "beta",
    "normal",
    "linear_quadratic",
    "kl_optimal",
)
LATENT_METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "bislerp")
CLIP_TYPES = (
    "stable_diffusion", "stable_cascade", "sd3", "stable_audio", "mochi", "ltxv", "pixart", "cosmos", "lumina2", "wan", "hidream", "chroma",
    "ace", "omnigen2", "qwen_image", "hunyuan_image",
)  # fmt: skip
BIGGEST_SEED = 2**64 - 1
PREVIEW_SIDE = 256
PREVIEWS = 8
"""At most so many glimpses of one sampling."""

shelf = Shelf("nodes")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model, text encoder or VAE. words: of the files it was made from; they colour the picture a little."""

    words: str = ""


@dataclass(frozen=True, slots=True)
class Conditioning:
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """width, height: pixels of the decoded picture. pictures: None while it is empty. mask: where a sampler may paint."""

    width: int
    height: int
    batch: int
    pictures: Picture | None = None
    mask: Picture | None = None


def _tip(words: str) -> dict[str, str]:
    return {"tooltip": words}


@shelf.node(
    "CheckpointLoaderSimple",
    file("ckpt_name", "checkpoints", tooltip="The name of the checkpoint (model) to load."),
    gives=("MODEL", "CLIP", "VAE"),
    category="loaders",
    title="Load Checkpoint",
)
def checkpoint(ckpt_name: str) -> tuple[Loaded, Loaded, Loaded]:
    """Stands for a checkpoint; nothing is read."""
    return Loaded(ckpt_name), Loaded(), Loaded()


@shelf.node(
    "UNETLoader",
    file("unet_name", "diffusion_models"),
    choice("weight_dtype", "default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"),
    gives=("MODEL",),
    category="advanced/loaders",
    title="Load Diffusion Model",
)
def diffusion_model(unet_name: str, weight_dtype: str) -> Loaded:
    """Stands for a diffusion model; nothing is read."""
    return Loaded(unet_name)


@shelf.node(
    "CLIPLoader",
    file("clip_name", "text_encoders"),
    choice("type", *CLIP_TYPES),
    choice("device", "default", "cpu", section="optional", advanced=True),
    gives=("CLIP",),
    category="advanced/loaders",
    title="Load CLIP",
)
def clip(clip_name: str, type: str, device: str = "default") -> Loaded:  # noqa: A002 - ComfyUI's name of the input
    """Stands for a text encoder; nothing is read."""
    return Loaded()


@shelf.node("VAELoader", file("vae_name", "vae"), gives=("VAE",), category="loaders", title="Load VAE")
def vae(vae_name: str) -> Loaded:
    """Stands for a VAE; nothing is read."""
    return Loaded()


@shelf.node(
    "LoraLoader",
    link("model", "MODEL", **_tip("The diffusion model the LoRA will be applied to.")),
    link("clip", "CLIP", **_tip("The CLIP model the LoRA will be applied to.")),
    file("lora_name", "loras", tooltip="The name of the LoRA."),
    number(
        "strength_model",
        1.0,
        -100.0,
        100.0,
        0.01,
        **_tip("How strongly to modify the diffusion model. This value can be negative."),
    ),
    number(
        "strength_clip",
        1.0,
        -100.0,
        100.0,
        0.01,
        **_tip("How strongly to modify the CLIP model. This value can be negative."),
    ),
    gives=("MODEL", "CLIP"),
    category="loaders",
    title="Load LoRA",
)
def lora(
    model: Loaded, clip: Loaded, lora_name: str, strength_model: float, strength_clip: float
) -> tuple[Loaded, Loaded]:
    """The words of a LoRA's name join the prompt's."""
    return _with_lora(model, lora_name, strength_model), clip


@shelf.node(
    "LoraLoaderModelOnly",
    link("model", "MODEL"),
    file("lora_name", "loras"),
    number("strength_model", 1.0, -100.0, 100.0, 0.01),
    gives=("MODEL",),
    category="loaders",
)
def lora_for_model(model: Loaded, lora_name: str, strength_model: float) -> Loaded:
    """The words of a LoRA's name join the prompt's."""
    return _with_lora(model, lora_name, strength_model)


def _with_lora(model: Loaded, name: str, strength: float) -> Loaded:
    return Loaded(f"{model.words} {name}") if strength > 0 else model


@shelf.node(
    "CLIPSetLastLayer", link("clip", "CLIP"), whole("stop_at_clip_layer", -1, -24, -1, 1), gives=("CLIP",), category="conditioning",
    title="CLIP Set Last Layer",
)  # fmt: skip
def clip_set_last_layer(clip: Loaded, stop_at_clip_layer: int) -> Loaded:
    """Changes nothing in a sketch."""
    return clip


@shelf.node(
    "CLIPTextEncode",
    text("text", multiline=True, dynamicPrompts=True, tooltip="The text to be encoded."),
    link("clip", "CLIP", **_tip("The CLIP model used for encoding the text.")),
    gives=("CONDITIONING",),
    category="conditioning",
    title="CLIP Text Encode (Prompt)",
)
def clip_text_encode(text: str, clip: Loaded) -> Conditioning:
    """Keeps the words of the prompt."""
    return Conditioning(text)


def _pair(first: str, second: str) -> tuple[Slot, Slot]:
    return link(first, "CONDITIONING"), link(second, "CONDITIONING")


@shelf.node(
    "ConditioningCombine",
    *_pair("conditioning_1", "conditioning_2"),
    gives=("CONDITIONING",),
    category="conditioning",
    title="Conditioning (Combine)",
)
def conditioning_combine(conditioning_1: Conditioning, conditioning_2: Conditioning) -> Conditioning:
    """The words of both."""
    return Conditioning(f"{conditioning_1.words} {conditioning_2.words}")


@shelf.node(
    "ConditioningConcat",
    *_pair("conditioning_to", "conditioning_from"),
    gives=("CONDITIONING",),
    category="conditioning",
    title="Conditioning (Concat)",
)
def conditioning_concat(conditioning_to: Conditioning, conditioning_from: Conditioning) -> Conditioning:
    """The words of both."""
    return Conditioning(f"{conditioning_to.words} {conditioning_from.words}")


@shelf.node(
    "ConditioningZeroOut",
    link("conditioning", "CONDITIONING"),
    gives=("CONDITIONING",),
    category="advanced/conditioning",
)
def conditioning_zero_out(conditioning: Conditioning) -> Conditioning:
    """No words at all."""
    return Conditioning()


@shelf.node(
    "FluxGuidance",
    link("conditioning", "CONDITIONING"),
    number("guidance", 3.5, 0.0, 100.0, 0.1),
    gives=("CONDITIONING",),
    category="advanced/conditioning/flux",
    module="comfy_extras.nodes_flux",
    modern=True,
)
def flux_guidance(conditioning: Conditioning, guidance: float) -> Conditioning:
    """Changes nothing in a sketch."""
    return conditioning


@shelf.node(
    "EmptyLatentImage",
    whole("width", 512, 16, 16384, 8, **_tip("The width of the latent images in pixels.")),
    whole("height", 512, 16, 16384, 8, **_tip("The height of the latent images in pixels.")),
    whole("batch_size", 1, 1, 4096, **_tip("The number of latent images in the batch.")),
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


def _sampling(seed: str, *, told: bool) -> tuple[Slot, ...]:
    tip = _tip if told else lambda _words: {}
    return (
        whole(seed, 0, 0, BIGGEST_SEED, control_after_generate=True, **tip("The random seed used for creating the noise.")),
        whole("steps", 20, 1, 10000, **tip("The number of steps used in the denoising process.")),
        number(
            "cfg", 8.0, 0.0, 100.0, 0.1, round=0.01,
            **tip("The Classifier-Free Guidance scale balances creativity and adherence to the prompt. Higher values result in images "
                  "more closely matching the prompt however too high values will negatively impact quality."),
        ),
        choice(
            "sampler_name", *SAMPLERS,
            **tip("The algorithm used when sampling, this can affect the quality, speed, and style of the generated output."),
        ),
        choice("scheduler", *SCHEDULERS, **tip("The scheduler controls how noise is gradually removed to form the image.")),
        link("positive", "CONDITIONING", **tip("The conditioning describing the attributes you want to include in the image.")),
        link("negative", "CONDITIONING", **tip("The conditioning describing the attributes you want to exclude from the image.")),
        link("latent_image", "LATENT", **tip("The latent image to denoise.")),
    )  # fmt: skip


@shelf.node(
    "KSampler",
    link("model", "MODEL", **_tip("The model used for denoising the input latent.")),
    *_sampling("seed", told=True),
    number(
        "denoise", 1.0, 0.0, 1.0, 0.01,
        **_tip("The amount of denoising applied, lower values will maintain the structure of the initial image allowing for image to "
               "image sampling."),
    ),
    gives=("LATENT",),
    category="sampling",
)  # fmt: skip
def ksampler(
    run: Run,
    model: Loaded,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: float = 1.0,
) -> Latent:
    """Paints a picture from the words and the seed."""
    return _sampled(run, latent_image, f"{positive.words} {_lora_words(model)}", seed, steps, denoise)


@shelf.node(
    "KSamplerAdvanced",
    link("model", "MODEL"),
    choice("add_noise", "enable", "disable"),
    *_sampling("noise_seed", told=False),
    whole("start_at_step", 0, 0, 10000),
    whole("end_at_step", 10000, 0, 10000),
    choice("return_with_leftover_noise", "disable", "enable"),
    gives=("LATENT",),
    category="sampling",
    title="KSampler (Advanced)",
)
def ksampler_advanced(
    run: Run,
    model: Loaded,
    add_noise: str,
    noise_seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    start_at_step: int,
    end_at_step: int,
    return_with_leftover_noise: str,
) -> Latent:
    """Paints a picture, beginning at a later step where one is there already."""
    last = min(end_at_step, steps)
    if start_at_step >= last:
        return latent_image
    words = f"{positive.words} {_lora_words(model)}"
    return _sampled(run, latent_image, words, noise_seed, last - start_at_step, 1 - start_at_step / steps)


def _lora_words(model: Loaded) -> str:
    """Of the LoRAs only, so that changing the checkpoint keeps the picture."""
    return " ".join(
        re.sub(r"[\W_]+", " ", name.rpartition(".")[0]).replace("sketch", "") for name in model.words.split()[1:]
    )


def _sampled(run: Run, latent: Latent, words: str, seed: int, steps: int, denoise: float) -> Latent:
    if denoise <= 0:
        return latent
    steps = max(1, round(steps * denoise)) if latent.pictures is not None else steps
    painted = []
    for n in range(latent.batch):
        painted.append(_one(run, latent, words, seed + n, n, denoise))
        run.report(0, steps, _glimpse(painted[0], 0.0, seed))
    result = np.stack(painted)
    if latent.mask is not None and latent.pictures is not None:
        result = composited(latent.pictures, result, 0, 0, latent.mask)
    share = run.seconds / steps
    for step in range(1, steps + 1):
        run.spend(share)
        shown = step * PREVIEWS // steps != (step - 1) * PREVIEWS // steps
        run.report(step, steps, _glimpse(result[0], step / steps, seed) if shown else None)
    return replace(latent, pictures=result)


def _one(run: Run, latent: Latent, words: str, seed: int, n: int, denoise: float) -> Picture:
    picture = paint(words, seed, latent.width, latent.height, run.check)
    if latent.pictures is not None and denoise < 1:
        picture = _restyled(latent.pictures[n], picture, denoise)
    return caption(picture)


def _restyled(present: Picture, painted: Picture, denoise: float) -> Picture:
    """The present picture in the colours of the painted one: its structure stays, the more the lower `denoise` is."""
    light = present[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    order = painted.reshape(-1, 3)[np.argsort(painted.mean(-1), axis=None)]
    tones = order[np.linspace(0, len(order) - 1, 256).astype(int)]
    smooth = np.stack(
        [np.convolve(np.pad(tones[:, k], 12, mode="edge"), np.full(25, 1 / 25), "valid") for k in range(3)], -1
    )
    toned = smooth[(np.clip(light, 0, 1) * 255).astype(int)].astype(np.float32)
    inked = toned + (painted - toned) * np.float32(0.35 * denoise)
    mixed: Picture = present[..., :3] + (inked - present[..., :3]) * np.float32(min(1.0, 0.25 + denoise))
    return np.clip(mixed, 0, 1)


def _glimpse(picture: Picture, progress: float, seed: int) -> Preview:
    """A small JPEG in which the picture comes out of noise."""
    factor = min(1.0, PREVIEW_SIDE / max(picture.shape[:2]))
    small = resize(
        picture[None], max(1, int(picture.shape[1] * factor)), max(1, int(picture.shape[0] * factor)), "area"
    )[0]
    noise = np.random.default_rng(seed).normal(0.5, 0.28, small.shape).astype(np.float32)
    seen = np.float32(progress**0.7)
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(noise + (small - noise) * seen)).save(buffer, "JPEG", quality=85)
    return Preview(kind="JPEG", data=buffer.getvalue())


@shelf.node(
    "VAEDecode",
    link("samples", "LATENT", **_tip("The latent to be decoded.")),
    link("vae", "VAE", **_tip("The VAE model used for decoding the latent.")),
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


@shelf.node(
    "UpscaleModelLoader",
    file("model_name", "upscale_models", multiselect=False),
    gives=("UPSCALE_MODEL",),
    category="loaders",
    title="Load Upscale Model",
    module="comfy_extras.nodes_upscale_model",
    modern=True,
)
def upscale_model(model_name: str) -> Loaded:
    """Stands for an upscaling model; its name tells the factor ("4x-…")."""
    return Loaded(model_name)


@shelf.node(
    "ImageUpscaleWithModel",
    link("upscale_model", "UPSCALE_MODEL"),
    image(),
    gives=("IMAGE",),
    category="image/upscaling",
    title="Upscale Image (using Model)",
    module="comfy_extras.nodes_upscale_model",
    modern=True,
)
def image_upscale_with_model(run: Run, upscale_model: Loaded, image: Picture) -> Picture:
    """Lanczos and a little sharpening in place of a model."""
    named = re.search(r"([1248])x|x([1248])", upscale_model.words, re.IGNORECASE)
    factor = int(named.group(1) or named.group(2)) if named else 4
    room(len(image), image.shape[1] * factor, image.shape[2] * factor)
    larger = []
    for n, one in enumerate(image):
        run.check()
        up = resize(one[None, ..., :3], one.shape[1] * factor, one.shape[0] * factor, "lanczos")
        larger.append(np.clip(up + np.float32(0.6) * (up - blurred(up, 1, 1.0)), 0, 1)[0])
        run.report(n + 1, len(image))
    return np.stack(larger)
