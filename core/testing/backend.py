"""A backend in memory whose every answer a test decides."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import Gone, Refused, Unavailable
from ..generation.backend import Attempt, Description, Ended, Output, Progress
from ..workflows.check import lacks

CLASSES: Mapping[str, Mapping[str, Any]] = {
    "FakeImage": {
        "input": {"required": {"text": ["STRING", {}], "seed": ["INT", {}]}},
        "output": [],
        "output_node": True,
    }
}
"""What it offers: one node that takes words and a seed and gives a file."""

# The smallest PNG there is: one grey pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c636800000082008177cd72b60000000049454e44ae426082"
)
WHITE_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c63f80f0001010100b138f6140000000049454e44ae426082"
)
"""Another one."""


@dataclass(slots=True)
class Run:
    """One attempt as the backend knows it."""

    attempt: Attempt
    state: Literal["waiting", "running", "ended"] = "running"
    ended: Ended | None = None
    sent: list[bytes] = field(default_factory=list)
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    progress: Progress = field(default_factory=lambda: Progress(phase="running", fraction=0.5, title="Painting"))


async def _nothing(*_: object) -> None:
    """What a hook does until a test sets it."""


class FakeBackend:
    """Ends each attempt at once with one picture, the first that came with it if there is one; where `hold` is set, `finish` ends it.

    runs: every attempt it was given, by id. down: answers nothing. forgets: knows nothing of any attempt (it restarted).
    cut_off: it goes on, but `find` says unknown and `watch` ends in Unavailable.
    classes: the nodes that it says it has.
    before_describe, before_submit, before_find, before_fetch, before_cancel: awaited first; what they raise is what the method
    raises, and one that never returns is a server that hangs. after_submit: called once an attempt was taken; raising there is
    an answer that was lost.
    """

    def __init__(self, name: str = "fake", *, hold: bool = False) -> None:
        self.name = name
        self.hold = hold
        self.down = False
        self.forgets = False
        self.cut_off = False
        self.cancellable = True
        self.pixels = PIXEL
        self.classes = CLASSES
        self.before_describe: Callable[[], Awaitable[None]] = _nothing
        self.before_submit: Callable[[Attempt], Awaitable[None]] = _nothing
        self.before_find: Callable[[Attempt], Awaitable[None]] = _nothing
        self.before_fetch: Callable[[Attempt, Output], Awaitable[None]] = _nothing
        self.before_cancel: Callable[[Attempt], Awaitable[None]] = _nothing
        self.after_submit: Callable[[Attempt], None] = lambda _: None
        self.runs: dict[str, Run] = {}
        self.submissions = 0

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def describe(self) -> Description:
        self._up()
        await self.before_describe()
        return Description(classes=self.classes, running=sum(run.state == "running" for run in self.runs.values()))

    async def submit(self, attempt: Attempt) -> str:
        self._up()
        await self.before_submit(attempt)
        if lack := lacks(attempt.graph, self.classes):
            raise Refused(f"{self.name} {lack}.")
        self.submissions += 1
        files = [b"".join([piece async for piece in attempt.read(blob)]) for blob in attempt.files.values()]
        self.runs[attempt.id] = Run(attempt, sent=files)
        if not self.hold:
            self.finish(attempt.id)
        self.after_submit(attempt)
        return attempt.id

    def finish(self, attempt: str = "", ended: Ended | None = None) -> None:
        """End one attempt, or all: with one picture, or as told."""
        picture = Output(n=0, node="1", name="fake.png")
        for key, run in self.runs.items():
            if key == (attempt or key) and run.ended is None:
                run.ended = ended or Ended(state="done", outputs=(picture,))
                run.state = "ended"
                run.moved.set()

    async def find(self, attempt: Attempt) -> Literal["waiting", "running", "ended", "absent", "unknown"]:
        self._up()
        await self.before_find(attempt)
        if self.cut_off:
            return "unknown"
        run = None if self.forgets else self.runs.get(attempt.id)
        return run.state if run else "absent"

    async def watch(self, attempt: Attempt) -> AsyncIterator[Progress | Ended]:
        self._reach()
        run = None if self.forgets else self.runs.get(attempt.id)
        if run is None:
            yield Ended(state="lost")
            return
        while run.ended is None:
            run.moved.clear()
            yield run.progress
            await run.moved.wait()
            self._reach()
            if self.forgets:
                yield Ended(state="lost")
                return
        yield run.ended

    def wake(self) -> None:
        """Let every watcher look again: after `down`, `forgets` or a new `progress`."""
        for run in self.runs.values():
            run.moved.set()

    async def fetch(self, attempt: Attempt, output: Output) -> AsyncIterator[bytes]:
        self._up()
        await self.before_fetch(attempt, output)
        if attempt.id not in self.runs or self.forgets:
            raise Gone("no such output")
        sent = self.runs[attempt.id].sent
        yield sent[0] if sent else self.pixels

    async def cancel(self, attempt: Attempt) -> None:
        self._up()
        await self.before_cancel(attempt)
        if self.cancellable:
            self.finish(attempt.id, Ended(state="cancelled"))

    def _reach(self) -> None:
        self._up()
        if self.cut_off:
            raise Unavailable(f"{self.name} is cut off")

    def _up(self) -> None:
        if self.down:
            raise Unavailable(f"{self.name} does not answer")
