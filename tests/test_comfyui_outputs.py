"""What servers leave as results, and what they are given to work on: every kind, and of every size."""

import tracemalloc
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chatelier import Attempt, BadInput, Blob, Gone
from chatelier.core.media import BLOB_REFS, BLOBS
from chatelier.core.media.blobs import FolderBlobs
from chatelier.core.media.pictures import Pictures
from chatelier.core.testing.clock import FakeClock
from chatelier.core.testing.store import FakeStore
from chatelier.plugins.comfyui.server import ComfyServer
from comfyui import attempt, fetched, serving, submitted
from files import animation, picture
from peers.comfyui import ComfyPeer, Job, Script

LARGE = 200_000_000
LITTLE = 8_000_000
"""Bytes that may be in memory at a time, whatever the size of a file."""


@pytest.fixture
async def blobs(tmp_path: Path) -> AsyncIterator[FolderBlobs]:
    async with FakeStore([BLOBS, BLOB_REFS], clock := FakeClock()) as store, Pictures(workers=1) as pictures:
        folder = FolderBlobs(tmp_path / "blobs", store, clock, pictures)
        await folder.start()
        yield folder


def moving(form: str, codec: str) -> bytes:
    out = BytesIO()
    with av.open(out, "w", format=form) as container:
        stream = container.add_stream(codec, rate=8)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for n in range(4):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 60 * n, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def sounding(form: str, codec: str) -> bytes:
    out = BytesIO()
    with av.open(out, "w", format=form) as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), format="s16", layout="mono")
        frame.sample_rate = 48_000
        resampler = av.AudioResampler(stream.format, stream.layout, 48_000, frame_size=stream.codec_context.frame_size)
        for _ in range(4):
            for part in resampler.resample(frame):
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return out.getvalue()


def plain_sound() -> bytes:
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(800))
    return out.getvalue()


# What a node says, the bytes, and what they are. The key and the name never decide.
KINDS: dict[str, tuple[str, str, bytes, str, str]] = {
    "png": ("images", "a.png", picture("PNG"), "image/png", "image"),
    "jpeg called png": ("images", "a.png", picture("JPEG"), "image/jpeg", "image"),
    "webp": ("images", "a.webp", picture("WEBP"), "image/webp", "image"),
    "avif": ("images", "a.avif", picture("AVIF"), "image/avif", "image"),
    "animated webp": ("images", "a.webp", animation("WEBP"), "image/webp", "animation"),
    "animated png": ("images", "a.png", animation("PNG"), "image/png", "animation"),
    "gif": ("gifs", "a.gif", animation("GIF"), "image/gif", "animation"),
    "mp4": ("images", "a.mp4", moving("mp4", "mpeg4"), "video/mp4", "video"),
    "webm": ("gifs", "a.webm", moving("webm", "libvpx"), "video/webm", "video"),
    "mov": ("videos", "a.mov", moving("mov", "mpeg4"), "video/quicktime", "video"),
    "flac": ("audio", "a.flac", sounding("flac", "flac"), "audio/flac", "audio"),
    "mp3": ("audio", "a.mp3", sounding("mp3", "mp3"), "audio/mpeg", "audio"),
    "opus": ("audio", "a.opus", sounding("ogg", "libopus"), "audio/ogg", "audio"),
    "wav": ("files", "a.wav", plain_sound(), "audio/wav", "audio"),
    "3D": ("3d", "a.glb", b"glTF\x02\0\0\0\x20\0\0\0" + bytes(20), "model/gltf-binary", "file"),
    "text file": ("files", "a.txt", "ein Käse".encode(), "text/plain", "text"),
    "json": ("files", "a.json", b'{"boxes": []}', "application/json", "text"),
    "latent": ("latents", "a.latent", b"\x40\0\0\0\0\0\0\0" + bytes(64), "application/octet-stream", "file"),
}


def leaving(key: str, *names: str, data: bytes) -> Script:
    async def script(peer: ComfyPeer, job: Job) -> None:
        await peer.begin(job)
        await peer.save(job, "2", *((name, "some where", "output") for name in names), key=key, data=data)
        await peer.succeed(job)

    return script


async def stored(comfy: ComfyServer, blobs: FolderBlobs, made: Attempt) -> list[Blob]:
    _, ended = await submitted(comfy, made)
    assert ended.state == "done"
    return [await blobs.put(comfy.fetch(made, output)) for output in ended.outputs]


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_result_comes_through_and_is_known_by_its_content(blobs: FolderBlobs, kind: str) -> None:
    key, name, data, mime, shown_as = KINDS[kind]
    async with ComfyPeer(leaving(key, name, data=data)).live() as peer, serving(peer) as comfy:
        (blob,) = await stored(comfy, blobs, attempt())
    assert (blob.mime, blob.kind, blob.size) == (mime, shown_as, len(data))
    assert b"".join([piece async for piece in blobs.open(blob.sha256)]) == data


async def test_a_batch_comes_whole_and_in_order(blobs: FolderBlobs) -> None:
    async def script(peer: ComfyPeer, job: Job) -> None:
        await peer.begin(job)
        names = [(f"a_{n:05}_.png", "", "output") for n in range(5)]
        await peer.save(job, "2", *names)
        for n, name in enumerate(names):
            peer.files[name] = picture("PNG", 10 + n)
        await peer.succeed(job)

    async with ComfyPeer(script).live() as peer, serving(peer) as comfy:
        found = await stored(comfy, blobs, attempt())
    assert [blob.width for blob in found] == [10, 11, 12, 13, 14]


async def test_words_are_a_result_without_a_file() -> None:
    async def script(peer: ComfyPeer, job: Job) -> None:
        await peer.begin(job)
        job.outputs["2"] = {"text": ["a red fox", "in the snow"]}
        await peer.send(job, "executed", node="2", output=job.outputs["2"])
        await peer.succeed(job)

    async with ComfyPeer(script).live() as peer, serving(peer) as comfy:
        made = attempt()
        _, ended = await submitted(comfy, made)
        assert [await fetched(comfy, made, n, ended) for n in (0, 1)] == [b"a red fox", b"in the snow"]
    assert [output.text for output in ended.outputs] == ["a red fox", "in the snow"]


async def test_an_empty_file_is_no_result(blobs: FolderBlobs) -> None:
    async with ComfyPeer(leaving("images", "a.png", data=b"")).live() as peer, serving(peer) as comfy:
        with pytest.raises(BadInput):
            await stored(comfy, blobs, attempt())


async def test_one_file_that_is_gone_does_not_hide_the_other(blobs: FolderBlobs) -> None:
    async with ComfyPeer(leaving("images", "a.png", "b.png", data=picture())).live() as peer, serving(peer) as comfy:
        made = attempt()
        _, ended = await submitted(comfy, made)
        del peer.files["a.png", "some where", "output"]
        with pytest.raises(Gone, match=r"a\.png"):
            await blobs.put(comfy.fetch(made, ended.outputs[0]))
        assert (await blobs.put(comfy.fetch(made, ended.outputs[1]))).mime == "image/png"


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < LITTLE


async def test_a_large_result_is_never_whole_in_memory(blobs: FolderBlobs) -> None:
    place = ("a.bin", "", "output")

    async def script(peer: ComfyPeer, job: Job) -> None:
        await peer.begin(job)
        await peer.save(job, "2", place)
        await peer.succeed(job)

    async with ComfyPeer(script).live() as peer, serving(peer) as comfy:
        peer.large[place] = LARGE
        made = attempt()
        _, ended = await submitted(comfy, made)
        with little_memory():
            blob = await blobs.put(comfy.fetch(made, ended.outputs[0]))
    assert (blob.size, blob.kind) == (LARGE, "file")


async def test_a_large_file_to_work_on_is_never_whole_in_memory() -> None:
    size, told = 0, 0

    async def counted(request: Request) -> Response:
        nonlocal size, told
        told = int(request.headers["content-length"])
        async for piece in request.stream():
            size += len(piece)
        return JSONResponse({"name": "large.png", "subfolder": "chatelier", "type": "input"})

    async def read(blob: Blob) -> AsyncIterator[bytes]:
        piece = bytes(65536)
        for sent in range(0, blob.size, len(piece)):
            yield piece[: blob.size - sent]

    large = Blob(sha256="0" * 64, size=LARGE, mime="image/png", kind="image")
    graph: dict[str, Any] = {"1": {"class_type": "LoadImage", "inputs": {"image": "file:x"}}}
    async with ComfyPeer().live() as peer, serving(peer) as comfy:
        peer.faults["POST /upload/image"] = counted
        with little_memory():
            await comfy.submit(Attempt(id="x", graph=graph, files={"file:x": large}, read=read))
    assert LARGE < size == told < LARGE + 1000
    assert peer.bodies[0]["prompt"]["1"]["inputs"]["image"] == "chatelier/large.png"


async def test_a_file_that_was_swept_before_it_could_be_sent_is_gone() -> None:
    async def read(blob: Blob) -> AsyncIterator[bytes]:
        yield bytes(100_000)
        raise Gone("It was swept.")

    blob = Blob(sha256="0" * 64, size=200_000, mime="image/png", kind="image")
    graph: dict[str, Any] = {"1": {"class_type": "LoadImage", "inputs": {"image": "file:x"}}}
    async with ComfyPeer().live() as peer, serving(peer) as comfy:
        with pytest.raises(Gone, match="swept"):
            await comfy.submit(Attempt(id="x", graph=graph, files={"file:x": blob}, read=read))
    assert "POST /prompt" not in peer.requests
