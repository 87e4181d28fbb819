"""A value that a server does not offer: what it is called, and what to do about it."""

from collections.abc import Collection, Iterable
from hashlib import sha256

from ..chat.graphemes import shorten
from .workflow import Graph

MODELS = {
    "ckpt_name": "checkpoint",
    "lora_name": "LoRA",
    "vae_name": "VAE",
    "unet_name": "diffusion model",
    "clip_name": "text encoder",
    "control_net_name": "ControlNet",
    "style_model_name": "style model",
    "upscale_model": "upscale model",
    "model_name": "model",
}
"""What an input whose choices are files of the server names."""

FILES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".sft", ".onnx")
"""How the names of model files end."""

MOST_NAMED = 8
"""Choices that a sentence spells out: a server may have hundreds."""

LONGEST_NAME = 80


def model_noun(name: str, value: object) -> str:
    """ "checkpoint", "LoRA" …; "" when the input names no file of a model."""
    known = MODELS.get(name.rstrip("0123456789"), "")
    return known or ("model" if str(value).endswith(FILES) else "")


def models_of(graph: Graph) -> frozenset[str]:
    """The model files that a graph names, as its nodes' inputs name them."""
    return frozenset(
        value
        for node in graph.values()
        for name, value in node["inputs"].items()
        if isinstance(value, str) and value and model_noun(name, value)
    )


def needs_of(graph: Graph, tags: Iterable[str] = ()) -> str:
    """A digest of what a backend must have for it: node classes, models and tags. The same for all runs that differ in other values."""
    classes = sorted({node["class_type"] for node in graph.values()})
    return sha256(repr((classes, sorted(models_of(graph)), sorted(tags))).encode()).hexdigest()[:16]


def mend(name: str, value: object, choices: Collection[object] | None) -> str:
    """What to do about a value that is not among the choices of an input, None for unknown ones."""
    put = "put it there" if model_noun(name, value) else ""
    if choices is None:
        pick = "choose another one"
    elif choices:
        pick = f"choose one of those that it has: {_named(choices)}"
    else:
        return f"it has none at all{': ' if put else ''}{put}"
    return f"{put}, or {pick}" if put else pick


def _named(choices: Collection[object]) -> str:
    named = [shorten(str(choice), LONGEST_NAME) for choice in list(choices)[:MOST_NAMED]]
    return ", ".join([*named, "…"] if len(choices) > MOST_NAMED else named)
