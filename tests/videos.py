"""Videos made for tests, by PyAV."""

import struct
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
ONE, LAST = 1 << 16, 1 << 30
STRAIGHT = (ONE, 0, 0, 0, ONE, 0, 0, 0, LAST)
QUARTER_TURN = (0, ONE, 0, -ONE, 0, 0, 0, 0, LAST)
"""Matrices of ISO 14496-12, 8.3.2."""
SOUND_RATE = 48_000


def video(
    form: str = "mp4",
    frames: int = 25,
    width: int = 64,
    height: int = 48,
    *,
    sound: bool = True,
    noise: int = 0,
    mark: bool = False,
) -> bytes:
    """The n-th frame is the redder the later it comes; `noise` makes it large, `mark` its left quarter blue."""
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
            if mark:
                picture[:, : width // 4] = (0, 0, 255)
            container.mux(seen.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(seen.encode(None))
        if heard is not None:
            _tone(container, heard, frames * SOUND_RATE // RATE)
    return out.getvalue()


def turned(data: bytes) -> bytes:
    """The MP4 with a note that its picture is to be shown a quarter turn clockwise, as telephones write it."""
    at = data.index(b"tkhd") + 44
    straight, turn = (struct.pack(">9i", *matrix) for matrix in (STRAIGHT, QUARTER_TURN))
    assert data[at : at + 36] == straight
    return data[:at] + turn + data[at + 36 :]


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
