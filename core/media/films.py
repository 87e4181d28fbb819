"""Videos and animations: what they are, their frames, and other formats of them, each in a process of its own.

A process per file costs a quarter of a second, and takes with it whatever a hostile file does to the codecs: it has limits of time,
memory and size that the system enforces. Its files have no names, so that none outlives the work on it.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import IO, Any, Self

from ..errors import BadInput
from . import words
from .turns import Busy, NotNow, Turns

PROGRAM = Path(__file__).with_name("film.py")
PROBE_SECONDS = 10.0
MEMORY = 3 * 10**9
"""Of addresses; libraries and threads claim much more of these than of the memory itself."""
ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH")
"""What a process is told of ours: hostile files are opened there, and tokens may stand in the rest."""
WAITING = 8
"""Conversions that may wait for their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """width, height: pixels, upright. frames: as its file says, else by its rate. duration_ms: 0 where it does not say."""

    width: int
    height: int
    frames: int
    duration_ms: int


class Films:
    """Owns the threads that wait for the processes; close it when done.

    seconds: for one conversion. most: bytes of what comes out. each: conversions that one person may have at work and waiting.
    """

    def __init__(self, seconds: float = 60.0, most: int = 200_000_000, each: int = 3) -> None:
        self._seconds = seconds
        self._most = most
        # One conversion at a time, and room for what is quick beside it.
        self._threads = ThreadPoolExecutor(2, "films")
        self._turns = Turns(1, WAITING, each)
        self._running = set[subprocess.Popen[bytes]]()
        self._alone = Lock()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def is_there(self) -> bool:
        """Whether the codecs are installed: they come with the extra `video`."""
        return find_spec("av") is not None

    @property
    def running(self) -> int:
        """Processes at work."""
        return len(self._running)

    async def close(self) -> None:
        """Stops what is being worked on. May be called twice."""
        with self._alone:
            self._is_closed = True
            for process in self._running:
                process.kill()
        await asyncio.to_thread(partial(self._threads.shutdown, cancel_futures=True))

    async def probe(self, path: Path, mime: str) -> Film:
        """Its first frame is decoded. Raises BadInput for what is damaged, too large, no video, or takes too long."""
        said, _ = await self._ask(path, mime, PROBE_SECONDS, do="probe")
        return Film(**said)

    def turn(self, who: str) -> AbstractAsyncContextManager[None]:
        """The place at `frame` and `convert`, to be held before the file is read: see `Turns.take`. Raises Busy."""
        return self._turns.take(who)

    async def frame(self, data: bytes, mime: str, which: int) -> bytes:
        """One frame as a PNG: by its number from 1, -1 for the last. Raises BadInput, also when there are fewer."""
        return await self._convert(data, mime, do="frame", which=which)

    async def convert(self, data: bytes, mime: str, to: str, *, width: int, height: int, limit: int = 0) -> bytes:
        """The same in another format, without its metadata; a GIF or WebP has no sound and at most 20 s.

        to: "mp4", "webm", "gif" or "webp". width, height: of the result, made even. limit: bytes that it must fit in, 0 for
        any size; three tries are made.
        Raises BadInput when it cannot be done.
        """
        return await self._convert(data, mime, do="convert", to=to, width=width, height=height, limit=limit)

    async def _convert(self, data: bytes, mime: str, **request: Any) -> bytes:
        _, made = await self._ask(data, mime, self._seconds, **request)
        return made

    async def _ask(
        self, source: Path | bytes, mime: str, seconds: float, **request: Any
    ) -> tuple[dict[str, int], bytes]:
        if not self.is_there:
            raise NotNow(words.NO_VIDEO)
        run, asked = _Run(), {**request, "mime": mime, "most": self._most, "memory": MEMORY}
        work = partial(self._work, run, source, asked, seconds)
        working = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            run.stop()
            # Who waits next is not to begin before this one is over.
            await asyncio.wait({working})
            working.exception()
            raise

    def _work(
        self, run: "_Run", source: Path | bytes, request: dict[str, Any], seconds: float
    ) -> tuple[dict[str, int], bytes]:
        with _opened(source) as given, tempfile.TemporaryFile() as made:
            request |= {
                "source": f"/dev/fd/{given.fileno()}",
                "target": f"/dev/fd/{made.fileno()}",
                "cpu_seconds": int(2 * seconds) + 1,
            }
            said = self._said(run, request, (given.fileno(), made.fileno()), seconds)
            made.seek(0)
            return said, made.read()

    def _said(self, run: "_Run", request: dict[str, Any], files: tuple[int, ...], seconds: float) -> dict[str, int]:
        # -I: neither the environment nor the working folder decides what it imports.
        command = [sys.executable, "-I", str(PROGRAM), json.dumps(request)]
        with self._alone:
            if self._is_closed or run.is_stopped:
                raise Busy(words.BUSY)
            process = subprocess.Popen(  # noqa: S603 - our own program, with a list of arguments
                command,
                pass_fds=files,
                env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            run.begin(process)
            self._running.add(process)
        with process:
            try:
                out, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired as late:
                raise NotNow(words.video_takes_long(seconds)) from late
            finally:
                process.kill()
                with self._alone:
                    self._running.discard(process)
        return _read(out)


@dataclass(slots=True)
class _Run:
    """One process, which may be stopped before it is there."""

    process: subprocess.Popen[bytes] | None = None
    is_stopped: bool = False

    def begin(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        if self.is_stopped:
            process.kill()

    def stop(self) -> None:
        self.is_stopped = True
        if self.process is not None:
            self.process.kill()


def _read(out: bytes) -> dict[str, int]:
    """Raises BadInput, in words, for what it says, or for a process that said nothing: it was killed, or crashed."""
    try:
        said = json.loads(out)
    except ValueError as error:
        raise NotNow(words.BROKEN_VIDEO) from error
    if "error" in said:
        raise BadInput(words.VIDEO_ERRORS.get(said["error"], words.BROKEN_VIDEO))
    return {str(name): int(value) for name, value in said.items()}


def _opened(source: Path | bytes) -> IO[bytes]:
    if isinstance(source, Path):
        return source.open("rb")
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.write(source)
    file.flush()
    return file
