"""What a server wrote into a result stays there only where the operator says so."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL.PngImagePlugin import PngInfo

from chatelier import Attempt, BadInput, Output, Said
from chatelier.core.clock import SystemClock
from chatelier.core.media.bare import BareBlobs
from chatelier.core.media.blobs import FolderBlobs
from chatelier.core.media.pictures import PictureLimits, Pictures
from chatelier.core.registered import KINDS
from chatelier.core.testing.store import FakeStore
from chatelier.testing import FakeBackend, FakePlatform, Parts, running
from files import decoded, encoded, exif, gradient, picture


def with_graph() -> bytes:
    notes = PngInfo()
    notes.add_text("prompt", '{"1": {"class_type": "KSampler", "inputs": {"text": "a secret fox"}}}')
    notes.add_itxt("workflow", "x" * 20_000, zip=True)
    return encoded(gradient(), "PNG", pnginfo=notes)


class Server(FakeBackend):
    """Its results hold the graph, as ComfyUI's do."""

    async def fetch(self, attempt: Attempt, output: Output) -> AsyncIterator[bytes]:
        yield with_graph()


@pytest.mark.parametrize("keeps", [False, True])
async def test_a_graph_in_a_result_is_kept_only_if_the_operator_says_so(tmp_path: Path, keeps: bool) -> None:
    network = FakePlatform()
    async with running(tmp_path, Parts([network], [Server()]), settings={"media": {"keep_graphs": keeps}}) as runtime:
        await network.receive(network.event(Said(text="/make a fox")))
        await network.until(lambda: network.shown and network.last.message.media)
        blob = network.last.message.media[0].blob
        data = b"".join([piece async for piece in runtime.blobs.open(blob.sha256)])
    assert (b"secret fox" in data) is keeps
    assert decoded(data).tobytes() == gradient().tobytes()


async def put(folder: Path, *pieces: bytes, limits: PictureLimits | None = None) -> bytes:
    """What is kept of these."""

    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async with Pictures(limits) as pictures:
        store = FolderBlobs(folder, FakeStore(KINDS), SystemClock(), pictures)
        await store.start()
        blob = await BareBlobs(store, pictures).put(chunks())
        return b"".join([piece async for piece in store.open(blob.sha256)])


async def test_a_picture_in_small_pieces_is_known(tmp_path: Path) -> None:
    data = with_graph()
    assert b"KSampler" not in await put(tmp_path, *(data[at : at + 7] for at in range(0, len(data), 7)))


async def test_what_is_no_picture_stays_byte_for_byte(tmp_path: Path) -> None:
    pieces = [b"words " * 2_000, b"and more", b""]
    assert await put(tmp_path, *pieces) == b"".join(pieces)


async def test_a_result_is_turned_before_its_notes_go(tmp_path: Path) -> None:
    data = await put(tmp_path, picture("JPEG", exif=exif(6, "Ada")))
    assert decoded(data).size == (32, 48)
    assert b"Ada" not in data


async def test_a_result_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="larger"):
        await put(tmp_path, with_graph(), limits=PictureLimits(size=100))
