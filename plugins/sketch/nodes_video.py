"""Videos. These nodes are there only where PyAV is installed (the extra `video`)."""

from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from typing import Any

from .declare import Shelf, Shown, choice, image, link, number, text
from .folders import SIDECAR
from .nodes_files import PREFIX_TIP
from .pixels import Picture, to_bytes
from .running import Run

shelf = Shelf("comfy_extras.nodes_video", modern=True)


def available() -> bool:
    return find_spec("av") is not None


@dataclass(frozen=True, slots=True)
class Video:
    images: Picture
    fps: float


@shelf.node(
    "CreateVideo",
    image("images", tooltip="The images to create a video from."),
    number("fps", 30.0, 1.0, 120.0, 1.0),
    link("audio", "AUDIO", section="optional", tooltip="The audio to add to the video."),
    gives=("VIDEO",),
    category="image/video",
    title="Create Video",
)
def create_video(images: Picture, fps: float, audio: Any = None) -> Video:
    """Makes a video of a batch; without sound."""
    return Video(images, fps)


@shelf.node(
    "GetVideoComponents",
    link("video", "VIDEO", tooltip="The video to extract components from."),
    gives=("IMAGE", "AUDIO", "FLOAT"),
    names=("images", "audio", "fps"),
    category="image/video",
    title="Get Video Components",
)
def get_video_components(video: Video) -> tuple[Picture, None, float]:
    """The frames of a video and their number a second."""
    return video.images, None, video.fps


@shelf.node(
    "SaveVideo",
    link("video", "VIDEO", tooltip="The video to save."),
    text("filename_prefix", "video/ComfyUI", tooltip=PREFIX_TIP, multiline=False),
    choice("format", "auto", "mp4", tooltip="The format to save the video as.", default="auto", multiselect=False),
    choice("codec", "auto", "h264", tooltip="The codec to use for the video.", default="auto", multiselect=False),
    category="image/video",
    title="Save Video",
    output=True,
)
def save_video(run: Run, video: Video, filename_prefix: str, format: str, codec: str) -> Shown:  # noqa: A002 - ComfyUI's name of the input
    """Saves a video as MP4 (H.264)."""
    height, width = video.images.shape[1:3]
    saving = run.folders.saving(filename_prefix, "output", width, height)
    name = saving.name(0, ".mp4")
    part = saving.folder / (name + SIDECAR)
    try:
        _encode(run, video, str(part))
        part.replace(saving.folder / name)
    finally:
        part.unlink(missing_ok=True)
    return Shown(
        ui={"images": [{"filename": name, "subfolder": saving.subfolder, "type": "output"}], "animated": [True]}
    )


def _encode(run: Run, video: Video, path: str) -> None:
    import av  # noqa: PLC0415 - optional, and slow to load

    with av.open(path, mode="w", format="mp4", options={"movflags": "use_metadata_tags"}) as container:
        stream = container.add_stream("h264", rate=Fraction(round(video.fps * 1000), 1000))
        stream.width, stream.height, stream.pix_fmt = video.images.shape[2], video.images.shape[1], "yuv420p"
        for n, pixels in enumerate(to_bytes(video.images[..., :3])):
            run.check()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            run.report(n + 1, len(video.images))
        container.mux(stream.encode(None))
