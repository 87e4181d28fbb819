"""Stand-ins for samplers: they paint a picture from the words and the seed, step by step, with glimpses of it."""

import io
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from .declare import Shelf, Slot, choice, link, number, whole
from .nodes_effects import composited
from .nodes_latent import Latent
from .nodes_model import Conditioning, Loaded
from .painting import caption, paint
from .pixels import Picture, to_bytes
from .resample import resize
from .running import Preview, Run

SAMPLERS = (
    "euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2", "dpm_2", "dpm_2_ancestral", "lms", "dpm_fast",
    "dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp", "dpmpp_sde", "dpmpp_sde_gpu", "dpmpp_2m", "dpmpp_2m_cfg_pp",
    "dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm",
    "ipndm", "ipndm_v", "deis", "res_multistep", "res_multistep_cfg_pp", "res_multistep_ancestral", "res_multistep_ancestral_cfg_pp",
    "gradient_estimation", "gradient_estimation_cfg_pp", "er_sde", "seeds_2", "seeds_3", "sa_solver", "sa_solver_pece", "ddim", "uni_pc",
    "uni_pc_bh2",
)  # fmt: skip
"""Those of ComfyUI 0.3.64, in its order: the list is part of errors that clients were written against."""

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
TIPS = {
    "model": "The model used for denoising the input latent.",
    "seed": "The random seed used for creating the noise.",
    "steps": "The number of steps used in the denoising process.",
    "cfg": "The Classifier-Free Guidance scale balances creativity and adherence to the prompt. Higher values result in images "
    "more closely matching the prompt however too high values will negatively impact quality.",
    "sampler_name": "The algorithm used when sampling, this can affect the quality, speed, and style of the generated output.",
    "scheduler": "The scheduler controls how noise is gradually removed to form the image.",
    "positive": "The conditioning describing the attributes you want to include in the image.",
    "negative": "The conditioning describing the attributes you want to exclude from the image.",
    "latent_image": "The latent image to denoise.",
    "denoise": "The amount of denoising applied, lower values will maintain the structure of the initial image allowing for image to "
    "image sampling.",
}
"""As ComfyUI words them; they are part of what an error about an input carries."""

BIGGEST_SEED = 2**64 - 1
"""ComfyUI's limit of a seed."""

PREVIEW_SIDE = 256
"""Pixels: enough for a glimpse; ComfyUI's own default is 512."""

PREVIEWS = 8
"""At most so many glimpses of one sampling."""

shelf = Shelf("nodes")


def _sampling(seed: str) -> tuple[Slot, ...]:
    return (
        whole(seed, 0, 0, BIGGEST_SEED, control_after_generate=True),
        whole("steps", 20, 1, 10000),
        number("cfg", 8.0, 0.0, 100.0, 0.1, round=0.01),
        choice("sampler_name", *SAMPLERS),
        choice("scheduler", *SCHEDULERS),
        link("positive", "CONDITIONING"),
        link("negative", "CONDITIONING"),
        link("latent_image", "LATENT"),
    )


def _told(slots: Sequence[Slot]) -> list[Slot]:
    return [replace(slot, options={**slot.options, "tooltip": TIPS[slot.name]}) for slot in slots]


@shelf.node(
    "KSampler",
    *_told([link("model", "MODEL"), *_sampling("seed"), number("denoise", 1.0, 0.0, 1.0, 0.01)]),
    gives=("LATENT",),
    category="sampling",
)
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
    *_sampling("noise_seed"),
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
