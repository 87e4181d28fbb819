"""What people send, on its way in."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chatelier import BadInput, FileRef
from chatelier.core.clock import SystemClock
from chatelier.core.media.blobs import FolderBlobs
from chatelier.core.media.intake import Intake
from chatelier.core.media.pictures import Pictures
from chatelier.core.registered import KINDS
from chatelier.core.testing.platform import FakePlatform, with_capabilities
from chatelier.core.testing.store import FakeStore

LIMIT = 100_000


class Network(FakePlatform):
    """Its files never end, and each holds a connection as long as it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.open = 0

    async def read(self, file: FileRef) -> AsyncIterator[bytes]:
        self.open += 1
        try:
            while True:
                yield b"x" * 30_000
        finally:
            self.open -= 1


@pytest.mark.parametrize("wanted", ["image", "file"])
async def test_a_file_that_is_too_large_is_let_go_at_once(tmp_path: Path, wanted: str) -> None:
    network, clock = Network(), SystemClock()
    async with Pictures() as pictures:
        blobs = FolderBlobs(tmp_path, FakeStore(KINDS), clock, pictures)
        await blobs.start()
        intake = Intake({network.name: network}, blobs, pictures, LIMIT)
        with pytest.raises(BadInput, match="larger than"):
            await intake.read(FileRef(platform=network.name, ref="1", name="a"), wanted)  # type: ignore[arg-type] # a parameter
    assert network.open == 0


@pytest.mark.parametrize(
    ("download", "wanted", "refused"),
    [
        ({"": 1_000}, "file", True),
        ({"": 1_000}, "image", True),
        ({"": 3_000}, "image", False),
        ({"image": 1_000, "": 3_000}, "image", False),  # it may be an animation
        ({"image": 1_000, "animation": 1_500}, "image", True),
        ({"image": 1_000}, "video", False),
        ({}, "image", False),
    ],
)
async def test_what_the_network_does_not_give_to_us_is_not_asked_for(
    tmp_path: Path, download: dict[Any, int], wanted: Any, refused: bool
) -> None:
    network = FakePlatform(can=with_capabilities(download=download))
    async with Pictures() as pictures:
        blobs = FolderBlobs(tmp_path, FakeStore(KINDS), SystemClock(), pictures)
        await blobs.start()
        intake = Intake({network.name: network}, blobs, pictures, LIMIT)
        with pytest.raises(BadInput) as told:
            await intake.read(FileRef(platform=network.name, ref="1", name="a", size=2_000), wanted)
    assert ("a link to it" in str(told.value)) is refused
