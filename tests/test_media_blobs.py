"""Blobs in a folder: one copy, kept while somebody refers to them, nothing half-written ever seen."""

import asyncio
import hashlib
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatelier import BadInput, Blob, Gone, Kind, OperatorMust, Record
from chatelier.core.media import BLOB_REFS, BLOBS, Blobs, refer, release
from chatelier.core.media.blobs import FolderBlobs
from chatelier.core.media.pictures import Pictures
from chatelier.core.media.references import condemn
from chatelier.core.testing.clock import START, FakeClock, settle
from chatelier.core.testing.store import FakeStore
from files import animation, picture, png_claiming

HOUR = 3600


@dataclass(slots=True)
class Kept:
    """A folder of blobs with what it stands on."""

    blobs: FolderBlobs
    store: FakeStore
    clock: FakeClock
    root: Path

    async def put(self, data: bytes, *, limit: int = 0) -> Blob:
        return await self.blobs.put(pieces(data), limit=limit)

    async def read(self, sha256: str) -> bytes:
        return b"".join([piece async for piece in self.blobs.open(sha256)])

    async def refer(self, owner: str, blob: Blob) -> None:
        await self.store.atomically(lambda tx: refer(tx, owner, blob))

    async def release(self, owner: str) -> None:
        await self.store.atomically(lambda tx: release(tx, owner))

    async def pass_time(self, seconds: float = HOUR) -> None:
        """Long enough, with sweeps on the way, that what is not needed goes."""
        for _ in range(3):
            await self.clock.advance(seconds + 1)
            await self.blobs.sweep()

    def files(self) -> list[Path]:
        return [path for path in self.root.rglob("*") if path.is_file()]


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    clock = FakeClock()
    async with FakeStore([BLOBS, BLOB_REFS], clock) as store, Pictures(workers=1) as pictures:
        root = tmp_path / "blobs"
        blobs = FolderBlobs(root, store, clock, pictures, limit_bytes=1_000_000)
        await blobs.start()
        yield Kept(blobs, store, clock, root)


async def pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def age(path: Path, seconds: float, clock: FakeClock) -> None:
    moment = (clock.now() - timedelta(seconds=seconds)).timestamp()
    os.utime(path, (moment, moment))


def open_files() -> set[Path]:
    return {descriptor.resolve() for descriptor in Path("/proc/self/fd").iterdir()}


# Storing


async def test_bytes_come_back_and_are_described(kept: Kept) -> None:
    data = picture("JPEG")
    blob = await kept.put(data)
    assert await kept.read(blob.sha256) == data
    assert blob == Blob(
        sha256=hashlib.sha256(data).hexdigest(), size=len(data), mime="image/jpeg", kind="image", width=48, height=32
    )


async def test_an_animation_has_its_frames_and_time(kept: Kept) -> None:
    blob = await kept.put(animation("GIF", 5, each_ms=100))
    assert (blob.kind, blob.frames, blob.duration_ms, blob.width) == ("animation", 5, 500, 16)


async def test_a_file_that_is_no_picture_has_no_size_in_pixels(kept: Kept) -> None:
    blob = await kept.put(b"hello")
    assert (blob.mime, blob.kind, blob.width, blob.duration_ms) == ("text/plain", "text", 0, 0)


async def test_a_large_file_is_read_in_pieces(kept: Kept) -> None:
    data = os.urandom(900_000)
    blob = await kept.put(data)
    found = [piece async for piece in kept.blobs.open(blob.sha256)]
    assert b"".join(found) == data
    assert len(found) > 1


@pytest.mark.parametrize("size", [5, 900_000])
async def test_nobody_else_on_the_machine_may_read_what_is_kept(kept: Kept, size: int) -> None:
    await kept.put(os.urandom(size))
    (file,) = kept.files()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_reader_who_gives_up_while_a_file_is_opened_leaves_it_closed(kept: Kept) -> None:
    blob = await kept.put(os.urandom(900_000))
    (file,) = kept.files()
    let_go = threading.Event()
    asyncio.get_running_loop().set_default_executor(one_thread := ThreadPoolExecutor(1))
    one_thread.submit(let_go.wait)  # what is asked of a thread now stays asked
    reading = asyncio.create_task(kept.read(blob.sha256))
    await settle()
    reading.cancel()
    await asyncio.wait({reading})
    let_go.set()
    await asyncio.to_thread(lambda: None)  # the one thread has done all before
    await settle()
    assert reading.cancelled()
    assert file not in open_files()


async def test_the_same_bytes_are_kept_once(kept: Kept) -> None:
    first = await kept.put(b"hello")
    assert await kept.put(b"hello") == first
    assert len(kept.files()) == 1


async def test_the_same_bytes_at_the_same_time_can_be_read_and_end_as_one(kept: Kept) -> None:
    one, other = await asyncio.gather(kept.put(b"hello"), kept.put(b"hello"))
    assert one == other
    assert await kept.read(one.sha256) == b"hello"
    assert len(kept.files()) == 1


@settings(max_examples=25, deadline=None)
@given(data=st.binary(min_size=1, max_size=3000), size=st.integers(1, 1500))
async def test_any_bytes_in_any_pieces_are_the_same_blob(data: bytes, size: int, tmp_path_factory: Any) -> None:
    clock = FakeClock()
    async with FakeStore([BLOBS, BLOB_REFS], clock) as store, Pictures(workers=1) as pictures:
        blobs = FolderBlobs(tmp_path_factory.mktemp("blobs"), store, clock, pictures)
        await blobs.start()
        blob = await blobs.put(pieces(b"text: " + data, size))
        assert blob == await blobs.put(pieces(b"text: " + data))
        assert b"".join([piece async for piece in blobs.open(blob.sha256)]) == b"text: " + data


async def test_a_folder_of_blobs_is_what_the_contract_says(kept: Kept) -> None:
    blobs: Blobs = kept.blobs
    assert (await blobs.put(pieces(b"hello"))).size == 5


# What cannot be stored leaves nothing behind


async def test_an_empty_file_is_refused(kept: Kept) -> None:
    with pytest.raises(BadInput, match="empty"):
        await kept.put(b"")
    assert kept.files() == []


async def test_too_many_bytes_are_refused_and_the_rest_is_not_read(kept: Kept) -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
        finally:
            closed.set()

    with pytest.raises(BadInput, match="larger than 1 MB"):
        await kept.blobs.put(endless())
    assert closed.is_set()
    with pytest.raises(BadInput, match="larger than 4 bytes"):
        await kept.put(b"hello", limit=4)
    assert kept.files() == []


async def test_pictures_that_cannot_be_read_are_refused(kept: Kept) -> None:
    with pytest.raises(BadInput, match="30,000"):
        await kept.put(png_claiming(30_000, 30_000))
    with pytest.raises(BadInput, match="damaged"):
        await kept.put(picture("PNG")[:-20])
    assert kept.files() == []
    assert await kept.store.find(BLOBS, {"condemned": False}, order="idle_since") == []


async def test_a_source_that_fails_leaves_nothing(kept: Kept) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"hello"
        raise BadInput("the server broke off")

    with pytest.raises(BadInput, match="broke off"):
        await kept.blobs.put(broken())
    assert kept.files() == []


async def test_a_cancelled_put_leaves_nothing(kept: Kept) -> None:
    reached = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield b"hello"
        reached.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(kept.blobs.put(stuck()))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert kept.files() == []


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As a full disk: the system refuses to write more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)


async def test_a_full_disk_is_for_the_operator_and_leaves_nothing(kept: Kept) -> None:
    with files_of_at_most(100_000):
        with pytest.raises(OperatorMust, match=r"is full\. Free some space"):
            await kept.put(os.urandom(500_000))
        assert kept.files() == []
        assert (await kept.put(b"small")).size == 5


@pytest.mark.parametrize("size", [5, 900_000])
async def test_other_trouble_of_the_disk_is_not_called_full(kept: Kept, size: int) -> None:
    (kept.root / "tmp").rmdir()
    kept.root.rmdir()
    with pytest.raises(FileNotFoundError):
        await kept.put(os.urandom(size))


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from chatelier.core.media import BLOBS, BLOB_REFS
from chatelier.core.media.blobs import FolderBlobs
from chatelier.core.media.pictures import Pictures
from chatelier.core.testing.clock import FakeClock
from chatelier.core.testing.store import FakeStore

async def main():
    async def chunks():
        yield os.urandom(300_000)
        print("half", flush=True)
        await asyncio.Event().wait()

    store = FakeStore([BLOBS, BLOB_REFS], FakeClock())
    blobs = FolderBlobs(Path(sys.argv[1]), store, FakeClock(), Pictures())
    await blobs.start()
    await blobs.put(chunks())

asyncio.run(main())
"""


async def test_a_kill_in_the_middle_leaves_only_a_temporary_file_that_the_next_start_sweeps(kept: Kept) -> None:
    command = [sys.executable, "-c", KILLED, str(kept.root)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout
    assert await process.stdout.readline() == b"half\n"
    process.kill()
    await process.wait()

    (left,) = kept.files()
    assert left.parent.name == "tmp"

    age(left, HOUR - 60, kept.clock)
    await kept.blobs.start()
    assert kept.files() == [left]  # it could still be somebody's
    age(left, HOUR + 60, kept.clock)
    await kept.blobs.start()
    assert kept.files() == []


# Reading


@pytest.mark.parametrize("sha256", ["", "0" * 64, "../" * 20 + "etc/passwd", "A" * 64, "0" * 63, "0" * 65])
async def test_what_is_not_kept_is_gone(kept: Kept, sha256: str) -> None:
    with pytest.raises(Gone, match="Send it again"):
        await kept.read(sha256)


async def test_a_file_that_somebody_removed_is_gone_until_it_is_stored_again(kept: Kept) -> None:
    blob = await kept.put(b"hello")
    kept.files()[0].unlink()
    with pytest.raises(Gone):
        await kept.read(blob.sha256)
    await kept.put(b"hello")
    assert await kept.read(blob.sha256) == b"hello"


async def test_who_reads_while_it_is_swept_reads_to_the_end(kept: Kept) -> None:
    blob = await kept.put(os.urandom(900_000))
    reading = kept.blobs.open(blob.sha256)
    size = len(await anext(reading))
    await kept.pass_time()
    assert size + sum([len(piece) async for piece in reading]) == blob.size


# References


async def test_bytes_that_nobody_needs_go_after_an_hour(kept: Kept) -> None:
    blob = await kept.put(b"hello")
    await kept.clock.advance(HOUR - 60)
    await kept.blobs.sweep()
    assert await kept.read(blob.sha256) == b"hello"

    await kept.clock.advance(61)
    assert await kept.blobs.sweep() == 0
    await kept.clock.advance(301)
    assert await kept.blobs.sweep() == 1
    assert kept.files() == []
    with pytest.raises(Gone):
        await kept.read(blob.sha256)
    with pytest.raises(Gone):
        await kept.refer("job:1", blob)


async def test_bytes_stay_while_one_owner_is_left(kept: Kept) -> None:
    blob = await kept.put(b"hello")
    for owner in ("job:1", "job:1", "job:2"):
        await kept.refer(owner, blob)
    await kept.pass_time()
    await kept.release("job:1")
    await kept.pass_time()
    assert await kept.read(blob.sha256) == b"hello"

    await kept.release("job:2")
    await kept.clock.advance(HOUR - 60)
    await kept.blobs.sweep()
    assert await kept.read(blob.sha256) == b"hello"
    await kept.pass_time()
    assert kept.files() == []


@dataclass(frozen=True, slots=True, kw_only=True)
class BentRef(Record):
    """A reference as something else wrote it."""

    owner: str
    sha256: str
    created: str = "some day"


async def test_bytes_stay_while_a_reference_to_them_cannot_be_read(kept: Kept) -> None:
    blob = await kept.put(b"hello")
    bent = Kind(name=BLOB_REFS.name, record=BentRef)
    await kept.store.atomically(lambda tx: tx.insert(bent, BentRef(key="x", owner="job:1", sha256=blob.sha256)))
    await kept.pass_time()
    assert await kept.read(blob.sha256) == b"hello"


async def test_an_owner_lets_go_of_all_it_had(kept: Kept) -> None:
    for n in range(130):  # more than one answer of the store holds
        await kept.refer("job:1", await kept.put(f"number {n}".encode()))
    other = await kept.put(b"number 5")
    await kept.refer("job:2", other)
    await kept.release("job:1")
    await kept.pass_time()
    assert [await kept.read(other.sha256)] == [path.read_bytes() for path in kept.files()]
    await kept.release("job:1")


async def test_a_reference_after_the_condemning_saves_the_bytes(kept: Kept) -> None:
    blob = await kept.put(b"hello")
    await kept.clock.advance(HOUR + 1)
    await kept.blobs.sweep()
    await kept.refer("job:1", blob)
    await kept.pass_time()
    assert await kept.read(blob.sha256) == b"hello"


async def test_the_same_bytes_stored_after_the_condemning_have_a_new_hour(kept: Kept) -> None:
    blob = await kept.put(b"hello")
    await kept.clock.advance(HOUR + 1)
    await kept.blobs.sweep()
    await kept.put(b"hello")
    await kept.clock.advance(HOUR - 60)
    await kept.blobs.sweep()
    assert await kept.read(blob.sha256) == b"hello"


async def test_a_reference_whose_transaction_did_not_see_the_condemning_saves_the_bytes(kept: Kept) -> None:
    """On an engine with snapshots the reference is written as if the bytes were not condemned yet."""
    blob = await kept.put(b"hello")
    await kept.refer("job:1", blob)
    record = await kept.store.get(BLOBS, blob.sha256)
    assert record
    condemned = replace(record, condemned=True, idle_since=START)
    await kept.store.atomically(lambda tx: tx.replace(BLOBS, condemned))
    await kept.clock.advance(301)
    assert await kept.blobs.sweep() == 0
    await kept.pass_time()
    assert await kept.read(blob.sha256) == b"hello"


async def test_two_sweeps_at_once_delete_once(kept: Kept) -> None:
    for n in range(5):
        await kept.put(f"number {n}".encode())
    await kept.clock.advance(HOUR + 1)
    await asyncio.gather(kept.blobs.sweep(), kept.blobs.sweep())
    await kept.clock.advance(301)
    gone = await asyncio.gather(kept.blobs.sweep(), kept.blobs.sweep())
    assert sum(gone) == 5
    assert kept.files() == []


async def test_condemning_what_went_in_between_does_nothing(kept: Kept) -> None:
    await kept.store.atomically(lambda tx: condemn("0" * 64, tx))
    assert await kept.store.get(BLOBS, "0" * 64) is None


async def test_files_that_no_record_names_are_swept(kept: Kept) -> None:
    """A process was killed after it moved a file into its place and before the record, or after a delete."""
    blob = await kept.put(b"hello")
    await kept.refer("job:1", blob)
    (good,) = kept.files()
    strays = [good.with_name(good.name[:-8] + "00000000"), kept.root / "ab" / ("c" * 62 + "-12345678")]
    for stray in strays:
        stray.parent.mkdir(exist_ok=True)
        stray.write_bytes(b"hello")
    young = strays[0].with_name(good.name[:-8] + "11111111")
    young.write_bytes(b"hello")
    for path in (good, *strays):
        age(path, HOUR + 60, kept.clock)
    age(young, 60, kept.clock)
    for _ in range(256):
        await kept.blobs.sweep()
    assert sorted(kept.files()) == sorted([good, young])
    assert await kept.read(blob.sha256) == b"hello"
