"""What is done to one video or animation, as a program in a process of its own: hostile files and slow codecs stay in there.

It imports nothing of the gateway. `films.py` starts it with a request as JSON, files as open descriptors and limits that the
system enforces; it prints one line of JSON: what came out, or `{"error": …}` with one of "broken", "large", "long" and "silent".
"""

import json
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
from av.video.reformatter import Interpolation
from PIL import Image, ImageSequence

DEMUXERS = {
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "video/webm": "matroska",
    "video/x-matroska": "matroska",
}
"""By what the bytes are. Named, so that a playlist is never taken for a video and followed to other files."""
MOST_PIXELS = 4096 * 4096
"""Of a frame of a video: what telephones make has less."""
TRIES = 3
"""Encodings of one file, each smaller, until it fits."""
STEPS = {"gif": 12, "webp": 15}
"""Frames a second at most, where a video becomes a moving picture."""
LONGEST_LOOP_SECONDS = 20.0
LOOP_PIXELS = 60_000_000
"""Of all frames of such a picture together; they are in memory at once."""
LOOP_SIDE = 640
CLOCK = 1000
"""Moments are counted in milliseconds."""
SOUND_RATE = 48_000
ROOMY_BITS = 8_000_000
"""A second, where the size does not matter."""
FEWEST_BITS = 16_000
SOUND_BITS, FEWEST_SOUND_BITS = 96_000, 16_000
QUICKLY = {"mp4": {"preset": "veryfast"}, "webm": {"deadline": "realtime", "cpu-used": "8"}}
SHARE = 0.9
"""Of the bytes allowed that an encoder is asked for: it does not hit exactly."""


class Failed(Exception):
    """why: the word that is printed."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Shape:
    """width, height: of what is written, even numbers. limit: bytes, 0 for none."""

    width: int
    height: int
    limit: int


def even(number: float) -> int:
    return max(2, round(number / 2) * 2)


# --- reading


def opened(path: str, mime: str) -> Any:
    if mime not in DEMUXERS:
        raise Failed("broken")
    return av.open(path, format=DEMUXERS[mime], options={"protocol_whitelist": "file"}, metadata_errors="replace")


def track(container: Any) -> Any:
    if not container.streams.video:
        raise Failed("silent")
    found = container.streams.video[0]
    if found.codec_context.width * found.codec_context.height > MOST_PIXELS:
        raise Failed("large")
    found.thread_count = 2
    return found


def upright(frame: Any) -> Image.Image:
    """As it is meant to be seen: telephones write videos lying on their side."""
    if frame.width * frame.height > MOST_PIXELS:
        raise Failed("large")
    image: Image.Image = frame.to_image()
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image


def of_image(image: Image.Image) -> Any:
    return av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]  # PyAV does not say


def is_turned(frame: Any) -> bool:
    return bool(frame.rotation % 180)


def probe(path: str, mime: str) -> dict[str, int]:
    with opened(path, mime) as container:
        stream = track(container)
        first = next(container.decode(stream), None)
        if first is None:
            raise Failed("broken")
        width, height = (first.height, first.width) if is_turned(first) else (first.width, first.height)
        duration = milliseconds(container, stream)
        frames = stream.frames or round(duration / 1000 * float(stream.average_rate or 0))
        return {"width": width, "height": height, "frames": max(1, frames), "duration_ms": duration}


def milliseconds(container: Any, stream: Any) -> int:
    if container.duration:
        return max(0, round(float(container.duration) * 1000 / av.time_base))
    return max(0, round(stream.duration * stream.time_base * 1000)) if stream.duration else 0


def pictures(path: str, mime: str) -> Iterator[tuple[Image.Image, int]]:
    """Each frame with the moment at which it is shown, in milliseconds; then the last once more, at the end."""
    if mime.startswith("image/"):
        yield from _of_animation(path)
        return
    with opened(path, mime) as container:
        stream = track(container)
        moment, image, each = 0, None, round(1000 / float(stream.average_rate or 25))
        for frame in container.decode(stream):
            moment = max(moment, round((frame.time or 0) * 1000))
            image = upright(frame)
            yield image, moment
        if image is not None:
            yield image, max(moment + each, milliseconds(container, stream))


def _of_animation(path: str) -> Iterator[tuple[Image.Image, int]]:
    moment, last = 0, None
    with Image.open(path) as image:
        for frame in ImageSequence.Iterator(image):
            frame.load()
            last = on_white(frame)
            yield last, moment
            moment += int(frame.info.get("duration") or 100)
    if last is not None:
        yield last, moment


def on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    ground = Image.new("RGBA", seen.size, "white")
    return Image.alpha_composite(ground, seen).convert("RGB")


def frame(path: str, mime: str, which: int) -> Image.Image:
    """By its number from 1; -1 is the last. A number beyond the end raises Failed("long")."""
    last = None
    with opened(path, mime) as container:
        stream = track(container)
        for number, one in enumerate(container.decode(stream), 1):
            last = one
            if number == which:
                return upright(one)
        if which == -1 and last is not None:
            return upright(last)
    raise Failed("long" if last is not None else "broken")


# --- writing


def convert(path: str, mime: str, target: str, to: str, shape: Shape) -> None:
    """Once, or where it must fit, up to three times, each with fewer bits and pixels."""
    length = probe(path, mime)["duration_ms"] if not mime.startswith("image/") else _length(path)
    bits = _bits(shape.limit, length)
    for _ in range(TRIES):
        if to in STEPS:
            loop(path, mime, target, to, shape)
        else:
            video(path, mime, target, to, shape, bits)
        size = Path(target).stat().st_size
        if not shape.limit or size <= shape.limit:
            return
        less = min(0.8, shape.limit / size * SHARE)
        bits = max(FEWEST_BITS, int(bits * less))
        shape = Shape(even(shape.width * less**0.5), even(shape.height * less**0.5), shape.limit)
    raise Failed("large")


def _length(path: str) -> int:
    with Image.open(path) as image:
        return sum(int(one.info.get("duration") or 100) for one in ImageSequence.Iterator(image))


def _bits(limit: int, length_ms: int) -> int:
    if not limit:
        return ROOMY_BITS
    fair = limit * 8 * SHARE**2 / max(length_ms / 1000, 0.1)
    return int(min(ROOMY_BITS, max(FEWEST_BITS, fair)))


def loop(path: str, mime: str, target: str, to: str, shape: Shape) -> None:
    """A GIF or WebP, with no more frames a second than it needs to look alive."""
    scale = min(1.0, LOOP_SIDE / max(shape.width, shape.height))
    size = even(shape.width * scale), even(shape.height * scale)
    step, due, kept = 1000 // STEPS[to], 0, list[Image.Image]()
    for image, moment in pictures(path, mime):
        if moment > LONGEST_LOOP_SECONDS * 1000 or len(kept) * size[0] * size[1] > LOOP_PIXELS:
            raise Failed("long")
        while due <= moment:
            kept.append(image.resize(size, Image.Resampling.LANCZOS))
            due += step
    if not kept:
        raise Failed("broken")
    options: dict[str, Any] = {"quality": 75} if to == "webp" else {"optimize": False}
    kept[0].save(target, to, save_all=True, append_images=kept[1:], duration=step, loop=0, **options)


def video(path: str, mime: str, target: str, to: str, shape: Shape, bits: int) -> None:
    """mp4 is H.264 with AAC, webm VP9 with Opus. Metadata of the source do not come along."""
    options = {"movflags": "faststart"} if to == "mp4" else {}
    with av.open(target, "w", format=to, options=options) as out:
        codec = "libx264" if to == "mp4" else "libvpx-vp9"
        held = {"maxrate": str(bits), "bufsize": str(bits)}
        stream: Any = out.add_stream(codec, rate=Fraction(30), options={**QUICKLY[to], **held})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = shape.width, shape.height, "yuv420p", bits
        stream.codec_context.time_base = Fraction(1, CLOCK)
        stream.thread_count = 2
        if mime.startswith("image/"):
            _moving(path, mime, out, stream)
        else:
            _played(path, mime, out, stream)
        out.mux(stream.encode(None))


def _moving(path: str, mime: str, out: Any, stream: Any) -> None:
    before = -1
    for image, moment in pictures(path, mime):
        before = max(moment, before + 1)
        _write(out, stream, of_image(image), before)


def _played(path: str, mime: str, out: Any, stream: Any) -> None:
    with opened(path, mime) as source:
        picture, sound = track(source), next(iter(source.streams.audio), None)
        heard: Any = None
        if sound is not None:
            heard = out.add_stream("aac" if out.format.name == "mp4" else "libopus", rate=SOUND_RATE)
            heard.bit_rate = min(SOUND_BITS, max(FEWEST_SOUND_BITS, stream.bit_rate // 4))
        before = -1
        for packet in source.demux([one for one in (picture, sound) if one is not None]):
            for one in packet.decode():
                if packet.stream is picture:
                    before = max(round((one.time or 0) * CLOCK), before + 1)
                    _write(out, stream, of_image(upright(one)) if one.rotation else one, before)
                else:
                    out.mux(heard.encode(one))
        if heard is not None:
            out.mux(heard.encode(None))
        if before < 0:
            raise Failed("broken")


def _write(out: Any, stream: Any, one: Any, moment: int) -> None:
    if one.width * one.height > MOST_PIXELS:
        raise Failed("large")
    ready = one.reformat(stream.width, stream.height, "yuv420p", interpolation=Interpolation.BICUBIC)
    ready.pts, ready.time_base, ready.pict_type = moment, Fraction(1, CLOCK), av.video.frame.PictureType.NONE
    out.mux(stream.encode(ready))


# --- the program


def answer(request: dict[str, Any]) -> dict[str, Any]:
    path, mime, target = request["source"], request["mime"], request["target"]
    match request["do"]:
        case "probe":
            return probe(path, mime)
        case "frame":
            out = BytesIO()
            frame(path, mime, request["which"]).save(out, "PNG")
            Path(target).write_bytes(out.getvalue())
        case "convert":
            shape = Shape(even(request["width"]), even(request["height"]), request["limit"])
            convert(path, mime, target, request["to"], shape)
    return {}


def limit(seconds: int, memory: int, file: int) -> None:
    """What the system does not let this process go beyond."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file, file))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    request = json.loads(sys.argv[1])
    limit(request["cpu_seconds"], request["memory"], request["most"])
    av.logging.set_level(av.logging.PANIC)
    try:
        said = answer(request)
    except Failed as failed:
        said = {"error": failed.why}
    except (av.error.FFmpegError, OSError, ValueError, ArithmeticError, LookupError, TypeError, SyntaxError):
        said = {"error": "broken"}
    except MemoryError:
        said = {"error": "large"}
    print(json.dumps(said))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
