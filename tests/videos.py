"""Videos made for tests, by PyAV."""

from io import BytesIO
from typing import Any

import av
import numpy as np

CODECS = {
    "mp4": ("libx264", "aac"),
    "mov": ("libx264", "aac"),
    "webm": ("libvpx", "libopus"),
    "matroska": ("libx264", "aac"),
}
RATE = 25
SOUND_RATE = 48_000


def video(
    form: str = "mp4", frames: int = 25, width: int = 64, height: int = 48, *, sound: bool = True, noise: int = 0
) -> bytes:
    """The n-th frame is the redder the later it comes; `noise` makes it large."""
    out = BytesIO()
    with av.open(out, "w", format=form) as container:
        seen: Any = container.add_stream(CODECS[form][0], rate=RATE)
        seen.width, seen.height, seen.pix_fmt = width, height, "yuv420p"
        if noise:
            seen.bit_rate = 8_000_000
        heard: Any = container.add_stream(CODECS[form][1], rate=SOUND_RATE) if sound else None
        dice = np.random.default_rng(1)
        for n in range(frames):
            picture = np.zeros((height, width, 3), np.uint8)
            picture[:, :, 0] = min(255, n * 255 // max(1, frames - 1))
            picture[:, :, 1:] = dice.integers(0, noise + 1, (height, width, 2), np.uint8)
            container.mux(seen.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(seen.encode(None))
        if heard is not None:
            _tone(container, heard, frames * SOUND_RATE // RATE)
    return out.getvalue()


def sound() -> bytes:
    """A second of a tone in an MP4, without any picture."""
    out = BytesIO()
    with av.open(out, "w", format="mp4") as container:
        _tone(container, container.add_stream("aac", rate=SOUND_RATE), SOUND_RATE)
    return out.getvalue()


def _tone(container: Any, stream: Any, samples: int) -> None:
    for n in range(samples // 960):
        tone = np.sin(np.arange(960) / 20, dtype=np.float32).reshape(1, -1).repeat(2, 0) / 5
        piece = av.AudioFrame.from_ndarray(tone, "fltp", "stereo")
        piece.sample_rate, piece.pts = SOUND_RATE, n * 960
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))


def streams(data: bytes) -> dict[str, str]:
    """The codec of each kind of stream."""
    with av.open(BytesIO(data)) as container:
        return {stream.type: stream.codec_context.name for stream in container.streams}
