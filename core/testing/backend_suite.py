"""What every backend must do. A third party parametrises `BACKEND_CHECKS` with a function that sets up its own:

@pytest.mark.parametrize("check", BACKEND_CHECKS, ids=lambda check: check.__name__)
async def test_backend(check):
    await check(my_server)
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from typing import Protocol, cast

from PIL import Image

from ..errors import Refused, Unavailable
from ..generation.backend import Attempt, Backend, Ended, Output, Progress
from ..media.blob import Blob
from ..workflows.graph import with_prefix
from ..workflows.workflow import Graph
from .backend import PIXEL, WHITE_PIXEL
from .network import leftovers
from .store_suite import raised

PATIENCE_SECONDS = 60.0
"""Until a check gives up on a backend: a slow machine that also runs the server."""

LIVES = 8
WARM_UP = 3
"""Lives before anything is counted: what is imported, resolved or pooled once is no leak."""


class Bench(Protocol):
    """A backend whose `run` is under way, and what is needed to try it."""

    @property
    def backend(self) -> Backend: ...

    @property
    def outlives(self) -> bool:
        """Whether an attempt goes on, and others can see it, when the process that submitted it is gone."""
        ...

    def quick(self) -> Graph:
        """Ends by itself, soon, with at least one result that lasts."""
        ...

    def slow(self) -> Graph:
        """Ends when it is cancelled, and not before a minute is over."""
        ...

    def with_file(self, file: str) -> Graph:
        """Ends soon. Its first result is a picture made of the one that this value stands for (`Attempt.files`)."""
        ...

    def failing(self) -> Graph:
        """Is taken, and fails while it runs, for a reason that will not pass."""
        ...

    def elsewhere(self) -> AbstractAsyncContextManager[Backend]:
        """The same server as another process has it."""
        ...

    def away(self) -> AbstractAsyncContextManager[None]:
        """For so long the server answers nothing."""
        ...


MakeBackend = Callable[[], AbstractAsyncContextManager[Bench]]
"""Runs a new backend with a server of its own until its end."""


def attempt(graph: Graph, files: Mapping[str, bytes] | None = None) -> Attempt:
    """As the core makes them: its results are saved under its own id. files: PNGs, by the values that stand for them."""
    key = str(uuid.uuid4())
    blobs = {name: _blob(data) for name, data in (files or {}).items()}
    contents = {sha256(data).hexdigest(): data for data in (files or {}).values()}

    async def read(blob: Blob) -> AsyncIterator[bytes]:
        """In more than one piece."""
        yield contents[blob.sha256][:8]
        yield contents[blob.sha256][8:]

    return Attempt(id=key, graph=with_prefix(graph, f"chatelier/2026-01-01/{key}"), files=blobs, read=read)


def _blob(data: bytes) -> Blob:
    return Blob(sha256=sha256(data).hexdigest(), size=len(data), mime="image/png", kind="image", width=1, height=1)


async def submitted(backend: Backend, graph: Graph, files: Mapping[str, bytes] | None = None) -> Attempt:
    """The attempt with the backend's own id for it, as the core stores it."""
    one = attempt(graph, files)
    remote = await backend.submit(one)
    return replace(one, remote=remote)


async def watched(backend: Backend, one: Attempt) -> Ended:
    """The end. What comes before it has to be progress, and nothing may come after it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        items = [item async for item in backend.watch(one)]
    *before, last = items
    assert isinstance(last, Ended), f"watch ended with {last}"
    assert all(isinstance(item, Progress) for item in before), "an Ended was not the last item"
    return last


async def until_running(backend: Backend, one: Attempt) -> None:
    watching = cast("AsyncGenerator[Progress | Ended, None]", backend.watch(one))
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(watching) as items:
        async for item in items:
            assert isinstance(item, Progress), f"it ended by itself: {item}"
            assert item.fraction is None or 0 <= item.fraction <= 1
            if item.phase == "running":
                return
    raise AssertionError("watch ended without an Ended")


async def fetched(backend: Backend, one: Attempt, output: Output) -> bytes:
    return b"".join([piece async for piece in backend.fetch(one, output)])


async def results_can_be_fetched_again_and_again(make: MakeBackend) -> None:
    """submit, watch to the end, and the bytes of every output, twice."""
    async with make() as bench:
        classes = (await bench.backend.describe()).classes
        one = await submitted(bench.backend, bench.quick())
        assert {body["class_type"] for body in one.graph.values()} <= classes.keys()
        ended = await watched(bench.backend, one)
        assert ended.state == "done", ended
        assert ended.outputs
        assert [output.n for output in ended.outputs] == list(range(len(ended.outputs)))
        assert all(output.name and output.node in one.graph for output in ended.outputs)
        if ended.started_at and ended.ended_at:
            assert ended.started_at <= ended.ended_at
        for output in ended.outputs:
            data = await fetched(bench.backend, one, output)
            assert data
            assert await fetched(bench.backend, one, output) == data


async def a_file_reaches_the_server(make: MakeBackend) -> None:
    """Each attempt works on its own one, also where two stand under one name, and a file may be sent again."""
    async with make() as bench:
        backend = bench.backend
        results = []
        for picture in (PIXEL, WHITE_PIXEL, PIXEL):
            one = await submitted(backend, bench.with_file("picture"), {"picture": picture})
            ended = await watched(backend, one)
            assert ended.state == "done", ended
            with Image.open(BytesIO(await fetched(backend, one, ended.outputs[0]))) as made:
                results.append(made.convert("RGB").tobytes())
        assert results[0] != results[1], "both attempts worked on the same file"
        assert results[0] == results[2]


async def a_failure_is_told_in_words(make: MakeBackend) -> None:
    """Words for people and no call stack; it is not said to pass by itself, and the next graph runs."""
    async with make() as bench:
        ended = await watched(bench.backend, await submitted(bench.backend, bench.failing()))
        assert ended.state == "failed", ended
        assert ended.words
        assert "Traceback" not in ended.words
        assert not ended.transient
        assert not ended.out_of_memory
        assert not ended.outputs
        assert (await watched(bench.backend, await submitted(bench.backend, bench.quick()))).state == "done"


async def find_says_where_an_attempt_is(make: MakeBackend) -> None:
    """absent, then waiting or running, then ended; of one that was taken back while it waited nothing need be left."""
    async with make() as bench:
        backend = bench.backend
        assert await backend.find(attempt(bench.slow())) == "absent"
        first, second = await submitted(backend, bench.slow()), await submitted(backend, bench.slow())
        await until_running(backend, first)
        assert await backend.find(first) == "running"
        assert await backend.find(second) in {"waiting", "running"}
        described = await backend.describe()
        assert described.running + described.waiting >= 1
        for one in (second, first):
            await backend.cancel(one)
            await watched(backend, one)
            assert await backend.find(one) in {"ended", "absent"}
        done = await submitted(backend, bench.quick())
        await watched(backend, done)
        assert await backend.find(done) == "ended"


async def watch_may_start_late_and_elsewhere(make: MakeBackend) -> None:
    """Whoever looks, whenever, is told the same end and the same outputs, and gets the same bytes."""
    async with make() as bench:
        backend = bench.backend
        runs = await submitted(backend, bench.slow())
        async with bench.elsewhere() as other:
            if bench.outlives:
                await until_running(other, runs)
                assert await other.find(runs) == "running"
            both = [asyncio.create_task(watched(backend, runs)) for _ in range(2)]
            await until_running(backend, runs)
            await backend.cancel(runs)
            assert {ended.state for ended in await asyncio.gather(*both)} == {"cancelled"}
            done = await submitted(backend, bench.quick())
            ended = await watched(backend, done)
            late, far = await watched(backend, done), await watched(other, done)
            assert ended.state == late.state == far.state == "done"
            assert ended.outputs == late.outputs == far.outputs
            assert await other.find(done) == "ended"
            data = await fetched(backend, done, ended.outputs[0])
            assert await fetched(other, done, far.outputs[0]) == data


async def watch_tells_that_nobody_knows_an_attempt(make: MakeBackend) -> None:
    """One that was never submitted is lost, so that another one is made."""
    async with make() as bench:
        ended = await watched(bench.backend, attempt(bench.quick()))
        assert ended.state == "lost"
        assert not ended.outputs


async def a_cancel_ends_its_attempt_and_no_other(make: MakeBackend) -> None:
    """It ends cancelled, or done when it was too late; again, or for an unknown one, it does nothing."""
    async with make() as bench:
        backend = bench.backend
        first, second, third = [await submitted(backend, bench.slow()) for _ in range(3)]
        await until_running(backend, first)
        for _ in range(2):
            await backend.cancel(attempt(bench.slow()))
            await backend.cancel(third)
        assert (await watched(backend, third)).state == "cancelled"
        assert await backend.find(first) == "running"
        assert await backend.find(second) in {"waiting", "running"}
        for one in (first, second):
            await backend.cancel(one)
            assert (await watched(backend, one)).state == "cancelled"
            await backend.cancel(one)
        done = await submitted(backend, bench.quick())
        ended = await watched(backend, done)
        await backend.cancel(done)
        assert ended.state == "done"
        assert await fetched(backend, done, ended.outputs[0])


async def what_it_cannot_run_is_refused_in_words(make: MakeBackend) -> None:
    """A class that it does not have: the words name it, nothing was accepted, and the next graph runs."""
    async with make() as bench:
        broken = attempt({**bench.quick(), "unheard": {"class_type": "NoSuchNodeAnywhere", "inputs": {}}})
        said = await raised(Refused, bench.backend.submit(broken))
        assert "NoSuchNodeAnywhere" in said
        assert "Traceback" not in said
        assert await bench.backend.find(broken) == "absent"
        assert (await watched(bench.backend, await submitted(bench.backend, bench.quick()))).state == "done"


async def a_server_that_is_away_is_unavailable(make: MakeBackend) -> None:
    """It is said, not guessed; and when the server is back, all goes on."""
    async with make() as bench:
        before = await submitted(bench.backend, bench.quick())
        await watched(bench.backend, before)
        late = attempt(bench.quick())
        async with bench.away():
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await raised(Unavailable, bench.backend.describe())
                assert await raised(Unavailable, bench.backend.submit(late))
            with suppress(Unavailable):
                assert await bench.backend.find(late) in {"absent", "unknown"}
        assert await bench.backend.find(late) == "absent"
        assert (await watched(bench.backend, await submitted(bench.backend, bench.quick()))).state == "done"


async def starts_and_stops_leave_nothing_behind(make: MakeBackend) -> None:
    """Some lives of a backend, each left while an attempt runs: no task, thread or open file more than before."""
    counts = []
    for _ in range(WARM_UP + LIVES):
        async with make() as bench:
            assert (await watched(bench.backend, await submitted(bench.backend, bench.quick()))).state == "done"
            await until_running(bench.backend, await submitted(bench.backend, bench.slow()))
        counts.append(leftovers())
    before, after = counts[WARM_UP - 1], counts[-1]
    for what in before:
        assert after[what] <= before[what], f"{what}: {before[what]} before, {after[what]} after {LIVES} lives"


BACKEND_CHECKS: Sequence[Callable[[MakeBackend], Awaitable[None]]] = (
    results_can_be_fetched_again_and_again,
    a_file_reaches_the_server,
    a_failure_is_told_in_words,
    find_says_where_an_attempt_is,
    watch_may_start_late_and_elsewhere,
    watch_tells_that_nobody_knows_an_attempt,
    a_cancel_ends_its_attempt_and_no_other,
    what_it_cannot_run_is_refused_in_words,
    a_server_that_is_away_is_unavailable,
    starts_and_stops_leave_nothing_behind,
)
"""Each takes a `MakeBackend` and raises AssertionError."""
