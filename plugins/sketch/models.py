"""Which model files a sketch server says it has. It reads none of them: their names only colour the pictures a little."""

from collections.abc import Sequence
from typing import Literal

FOLDERS = (
    "checkpoints",
    "configs",
    "loras",
    "vae",
    "text_encoders",
    "diffusion_models",
    "clip_vision",
    "style_models",
    "embeddings",
    "diffusers",
    "vae_approx",
    "controlnet",
    "gligen",
    "upscale_models",
    "hypernetworks",
    "photomaker",
    "classifiers",
    "model_patches",
    "audio_encoders",
)
"""Those of ComfyUI 0.3.64, in its order."""

OFFERED = {
    "checkpoints": ["sketch.safetensors", "sketch-ink.safetensors"],
    "loras": ["sketch-snow.safetensors", "sketch-sunset.safetensors"],
    "vae": ["sketch-vae.safetensors"],
    "text_encoders": ["sketch-text.safetensors"],
    "diffusion_models": ["sketch.safetensors"],
    "upscale_models": ["2x-sketch.pth", "4x-sketch.pth"],
}
"""What is suggested where every name is accepted."""

ALWAYS = {"vae": ["pixel_space"]}
"""What a fresh ComfyUI lists without any file."""


class Models:
    """declared: "any" accepts every name; else names, each a checkpoint or "folder/name"; none is a fresh server."""

    def __init__(self, declared: Literal["any"] | Sequence[str] = "any") -> None:
        self.any = declared == "any"
        self._names: dict[str, list[str]] = {}
        if self.any:
            self._names = OFFERED
            return
        for name in declared:
            folder, _, rest = name.partition("/")
            known = folder in FOLDERS and rest
            self._names.setdefault(folder if known else "checkpoints", []).append(rest if known else name)

    def names(self, folder: str) -> list[str]:
        return [*self._names.get(folder, ()), *ALWAYS.get(folder, ())]
