"""Which files a run leaves on a server, by name: for when the server forgot the run and kept the files."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ..media.blob import Blob
from .classes import Classes
from .graph import class_of, links, upstream
from .outputs import TEMPORARY, ends_graph
from .workflow import Graph

SAVES = {
    "SaveImage": ".png",
    "SaveAnimatedPNG": ".png",
    "SaveAnimatedWEBP": ".webp",
    "SaveVideo": ".mp4",
    "SaveWEBM": ".webm",
    "SaveAudio": ".flac",
    "SaveAudioMP3": ".mp3",
    "SaveAudioOpus": ".opus",
    "SaveGLB": ".glb",
}
"""Classes that number their files from 00001 under `filename_prefix`, and what those end in; of ComfyUI 0.3.64."""

EACH = frozenset({"SaveImage", "SaveAudio", "SaveAudioMP3", "SaveAudioOpus", "SaveGLB"})
"""A file for each picture, sound or body that comes in."""

WHOLE = SAVES.keys() - EACH
"""One file, however many pictures come in."""

PICTURES_FROM: Mapping[str, tuple[str, ...]] = {
    "SaveImage": ("images",),
    "SaveAudio": ("audio",),
    "SaveAudioMP3": ("audio",),
    "SaveAudioOpus": ("audio",),
    "SaveGLB": ("mesh",),
    "VAEDecodeAudio": ("samples",),
    "VAEDecodeHunyuan3D": ("samples",),
    "VoxelToMesh": ("voxel",),
    "VoxelToMeshBasic": ("voxel",),
    "KSampler": ("latent_image",),
    "KSamplerAdvanced": ("latent_image",),
    "SamplerCustom": ("latent_image",),
    "SamplerCustomAdvanced": ("latent_image",),
    "VAEDecode": ("samples",),
    "VAEDecodeTiled": ("samples",),
    "VAEEncode": ("pixels",),
    "VAEEncodeTiled": ("pixels",),
    "VAEEncodeForInpaint": ("pixels",),
    "SetLatentNoiseMask": ("samples",),
    "LatentUpscale": ("samples",),
    "LatentUpscaleBy": ("samples",),
    "ImageScale": ("image",),
    "ImageScaleBy": ("image",),
    "ImageScaleToTotalPixels": ("image",),
    "ImageUpscaleWithModel": ("image",),
    "ImageCrop": ("image",),
    "ImagePadForOutpaint": ("image",),
    "ImageInvert": ("image",),
    "ImageBlur": ("image",),
    "ImageSharpen": ("image",),
    "ImageQuantize": ("image",),
    "ImageAddNoise": ("image",),
    "ImageFlip": ("image",),
    "ImageRotate": ("image",),
    "ImageBlend": ("image1", "image2"),
    "ImageStitch": ("image1", "image2"),
    "ImageCompositeMasked": ("destination", "source"),
}
"""Classes that give as many pictures, sounds or bodies as come in, and the inputs that they come in by. What is not here may make
more of one."""

STARTS = frozenset(
    {
        "EmptyImage",
        "EmptyLatentImage",
        "EmptySD3LatentImage",
        "EmptyLatentAudio",
        "EmptyAceStepLatentAudio",
        "EmptyLatentHunyuan3Dv2",
    }
)
"""Classes that make `batch_size` pictures, sounds or bodies out of nothing."""

LOADS = frozenset({"LoadImage", "LoadImageMask"})
"""Classes that give a picture for each frame of the file `image`."""


@dataclass(frozen=True, slots=True)
class Saver:
    """A node whose files can be told from all others by their names. count: how many it leaves when it is done."""

    node: str
    prefix: str
    suffix: str
    count: int

    def file(self, number: int) -> dict[str, str]:
        """number: from 1."""
        subfolder, _, stem = self.prefix.rpartition("/")
        return {"filename": f"{stem}_{number:05}_{self.suffix}", "subfolder": subfolder, "type": "output"}

    @property
    def files(self) -> tuple[dict[str, str], ...]:
        """All of them, and no other."""
        return tuple(self.file(number) for number in range(1, self.count + 1))


def savers(graph: Graph, attempt: str, classes: Classes, files: Mapping[str, Blob]) -> tuple[Saver, ...]:
    """The nodes that leave all results of this attempt; none when not every result can be found by name and counted.

    files: what inputs of the graph stand for.
    """
    found: list[Saver] = []
    for node in graph:
        prefix, suffix = str(graph[node]["inputs"].get("filename_prefix", "")), SAVES.get(class_of(graph, node))
        if attempt in prefix:
            count = _count(graph, node, classes, files)
            if suffix is None or count is None:
                return ()
            found.append(Saver(node, prefix, suffix, count))
        elif ends_graph(class_of(graph, node), classes) and class_of(graph, node) not in TEMPORARY:
            return ()  # a text, or a file of another name; previews went with the restart, and nobody relies on them
    names = Counter((saver.prefix, saver.suffix) for saver in found)
    return tuple(found) if max(names.values(), default=0) == 1 else ()


def _count(graph: Graph, node: str, classes: Classes, files: Mapping[str, Blob]) -> int | None:
    if class_of(graph, node) not in WHOLE:
        return _pictures(graph, node, files, {})
    # one file a call, and lists make it be called once for each item
    before = [classes.get(class_of(graph, one)) for one in upstream(graph, node)]
    return 1 if all(body is not None and not any(body.get("output_is_list") or ()) for body in before) else None


def _pictures(graph: Graph, node: str, files: Mapping[str, Blob], known: dict[str, int | None]) -> int | None:
    """How many pictures a node gives; None when it cannot be told before it runs."""
    if node not in known:
        known[node] = None  # also the answer in a circle
        known[node] = _pictures_now(graph, node, files, known)
    return known[node]


def _pictures_now(graph: Graph, node: str, files: Mapping[str, Blob], known: dict[str, int | None]) -> int | None:
    class_type, inputs = class_of(graph, node), graph[node]["inputs"]
    if class_type in STARTS:
        size = inputs.get("batch_size")
        return size if type(size) is int and size > 0 else None
    if class_type in LOADS:
        name = inputs.get("image")
        return files[name].frames if isinstance(name, str) and name in files else None
    linked = links(graph, node)
    sources = [linked[name].node for name in PICTURES_FROM.get(class_type, ()) if name in linked]
    counts = {_pictures(graph, source, files, known) for source in sources}
    return counts.pop() if len(counts) == 1 else None
