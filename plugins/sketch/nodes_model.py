"""Stand-ins for the nodes that load models and encode text. Nothing is read; names and words are kept."""

import re
from dataclasses import dataclass

import numpy as np

from .declare import Shelf, Slot, choice, file, image, link, number, text, whole
from .nodes_effects import blurred
from .pixels import Picture, room
from .resample import resize
from .running import Run

CLIP_TYPES = (
    "stable_diffusion", "stable_cascade", "sd3", "stable_audio", "mochi", "ltxv", "pixart", "cosmos", "lumina2", "wan", "hidream", "chroma",
    "ace", "omnigen2", "qwen_image", "hunyuan_image",
)  # fmt: skip

shelf = Shelf("nodes")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model, text encoder or VAE. words: of the files it was made from; they colour the picture a little."""

    words: str = ""


@dataclass(frozen=True, slots=True)
class Conditioning:
    words: str = ""


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
    link("model", "MODEL", tooltip="The diffusion model the LoRA will be applied to."),
    link("clip", "CLIP", tooltip="The CLIP model the LoRA will be applied to."),
    file("lora_name", "loras", tooltip="The name of the LoRA."),
    number(
        "strength_model",
        1.0,
        -100.0,
        100.0,
        0.01,
        tooltip="How strongly to modify the diffusion model. This value can be negative.",
    ),
    number(
        "strength_clip",
        1.0,
        -100.0,
        100.0,
        0.01,
        tooltip="How strongly to modify the CLIP model. This value can be negative.",
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
    link("clip", "CLIP", tooltip="The CLIP model used for encoding the text."),
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
