"""The fake, the sketch in the process and ComfyUI over its protocol keep the same contract."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from backends import on_comfy, on_fake, on_sketch
from chatelier import Attempt, Ended, Gone, Output, Progress, Refused
from chatelier.testing import BACKEND_CHECKS, Bench, FakeBackend, MakeBackend

Check = Callable[[MakeBackend], Awaitable[None]]
FETCHES, FILES, FAILURES, FINDS, WATCHES, NOBODY, CANCELS, REFUSALS, AWAY, LEAKS = BACKEND_CHECKS
SERVERS: dict[str, Callable[[Path], AbstractAsyncContextManager[Bench]]] = {
    "fake": on_fake,
    "sketch": on_sketch,
    "comfyui": on_comfy,
}


@pytest.mark.parametrize("check", BACKEND_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("server", SERVERS)
async def test_backend_keeps_the_contract(server: str, check: Check, tmp_path: Path) -> None:
    await check(lambda: SERVERS[server](tmp_path))


def test_suite_has_all_its_checks() -> None:
    assert len({check.__name__ for check in BACKEND_CHECKS}) == 10
    assert all(check.__doc__ for check in BACKEND_CHECKS)


# --- backends that do not keep their word


class OnceOnly(FakeBackend):
    """Throws away what was fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.gone: set[str] = set()

    async def fetch(self, attempt: Attempt, output: Output) -> AsyncIterator[bytes]:
        if attempt.id in self.gone:
            raise Gone("it was fetched already")
        self.gone.add(attempt.id)
        async for piece in super().fetch(attempt, output):
            yield piece


class Miscounting(FakeBackend):
    """Counts its outputs from 1."""

    def finish(self, attempt: str = "", ended: Ended | None = None) -> None:
        super().finish(attempt, ended or Ended(state="done", outputs=(Output(n=1, node="1", name="fake.png"),)))


class Mixing(FakeBackend):
    """Keeps the first file of a name."""

    async def fetch(self, attempt: Attempt, output: Output) -> AsyncIterator[bytes]:
        first = next(iter(self.runs.values()))
        async for piece in super().fetch(first.attempt, output):
            yield piece


class Raw(FakeBackend):
    """Shows people what it was thrown."""

    def finish(self, attempt: str = "", ended: Ended | None = None) -> None:
        said = "Traceback (most recent call last): …"
        super().finish(attempt, replace(ended, words=said) if ended and ended.state == "failed" else ended)


class Hoping(FakeBackend):
    """Takes every failure for one that passes."""

    def finish(self, attempt: str = "", ended: Ended | None = None) -> None:
        super().finish(attempt, replace(ended, transient=True) if ended and ended.state == "failed" else ended)


class Optimist(FakeBackend):
    """Believes that everything runs."""

    async def find(self, attempt: Attempt) -> Literal["waiting", "running", "ended", "absent", "unknown"]:
        return "running"


class Forgetful(FakeBackend):
    """Knows nothing of an attempt after its end was told once."""

    async def watch(self, attempt: Attempt) -> AsyncIterator[Progress | Ended]:
        async for item in super().watch(attempt):
            yield item
        self.runs.pop(attempt.id, None)


class Endless(FakeBackend):
    """Goes on after the end."""

    async def watch(self, attempt: Attempt) -> AsyncIterator[Progress | Ended]:
        async for item in super().watch(attempt):
            yield item
        yield Progress(phase="running")


class Hopeful(FakeBackend):
    """Tells that what it never heard of is done."""

    async def watch(self, attempt: Attempt) -> AsyncIterator[Progress | Ended]:
        async for item in super().watch(attempt):
            yield replace(item, state="done") if isinstance(item, Ended) else item


class Sweeping(FakeBackend):
    """Cancels whatever it has."""

    async def cancel(self, attempt: Attempt) -> None:
        self.finish("", Ended(state="cancelled"))


class Undoing(FakeBackend):
    """A cancel that comes too late takes the result away."""

    async def cancel(self, attempt: Attempt) -> None:
        await super().cancel(attempt)
        if (run := self.runs.get(attempt.id)) and run.ended and run.ended.state == "done":
            del self.runs[attempt.id]


class Swallowing(FakeBackend):
    """Takes any graph."""

    async def submit(self, attempt: Attempt) -> str:
        self.classes = {str(body["class_type"]): {} for body in attempt.graph.values()}
        return await super().submit(attempt)


class Curt(FakeBackend):
    """Refuses without a reason."""

    async def submit(self, attempt: Attempt) -> str:
        try:
            return await super().submit(attempt)
        except Refused:
            raise Refused("no") from None


class Imposter(FakeBackend):
    """Describes itself though its server is away."""

    def _up(self) -> None:
        pass


@pytest.mark.parametrize(
    ("check", "backend"),
    [
        (FETCHES, OnceOnly),
        (FETCHES, Miscounting),
        (FETCHES, Endless),
        (FILES, Mixing),
        (FAILURES, Raw),
        (FAILURES, Hoping),
        (FINDS, Optimist),
        (WATCHES, Forgetful),
        (NOBODY, Hopeful),
        (CANCELS, Sweeping),
        (CANCELS, Undoing),
        (REFUSALS, Swallowing),
        (REFUSALS, Curt),
        (AWAY, Imposter),
    ],
)
async def test_suite_notices(check: Check, backend: type[FakeBackend]) -> None:
    def make() -> AbstractAsyncContextManager[Bench]:
        return on_fake(Path(), backend())

    with pytest.raises((AssertionError, Gone)):
        await check(make)


async def test_suite_notices_what_is_left_open() -> None:
    """A descriptor for each life of the backend."""
    left = []

    def make() -> AbstractAsyncContextManager[Bench]:
        left.append(Path(__file__).open())  # noqa: SIM115 - that is the leak
        return on_fake(Path())

    try:
        with pytest.raises(AssertionError, match="open files"):
            await LEAKS(make)
    finally:
        for file in left:
            file.close()
