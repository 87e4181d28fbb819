"""A fleet in simulated time: the dispatcher, the line and the store of the product, with servers and a clock of its own.

Nothing is slept. Time leaps to the next thing that happens as soon as nobody has anything left to do, and stands still meanwhile.
"""

import asyncio
import heapq
import selectors
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeVar

from chatelier import Attempt, ChatRef, Description, Ended, Gone, Job, Output, Progress, Workflow
from chatelier.core.chat.outbox import Address
from chatelier.core.clock import Timer, to_millisecond
from chatelier.core.generation.dispatcher import Dispatcher
from chatelier.core.generation.fleet import Fleet
from chatelier.core.generation.orders import Bounds, Terms, Wanted, take
from chatelier.core.generation.placing import Placing
from chatelier.core.generation.run import Workshop
from chatelier.core.registered import KINDS
from chatelier.core.testing.blobs import MemoryBlobs
from chatelier.plugins.sqlite.store import SqliteStore

T = TypeVar("T")
START = datetime(2026, 1, 1, tzinfo=UTC)
LOAD_SECONDS = 10.0
"""To load another model: a checkpoint of 6 GB from a common SSD."""
SUBMIT_SECONDS = 0.05
"""Until a server has a graph, and until anybody hears that a job has ended there."""
CLASSES = {"Simulated": {"input": {}, "output": [], "output_node": True}}
TERMS = Terms(own=Bounds(), all_orders=1_000_000, queue_seconds=1e7)


@dataclass(slots=True)
class _Call:
    call: Callable[[], object]
    context: Context
    is_over: bool = False

    def cancel(self) -> None:
        self.is_over = True


class LeapingClock:
    """Moves only by `leap`. busy: calls that threads work on; time stands still while there are any."""

    def __init__(self) -> None:
        self.busy = 0
        self._now = 0.0
        self._order = count()
        self._timers: list[tuple[float, int, _Call]] = []

    def now(self) -> datetime:
        return to_millisecond(START + timedelta(seconds=self._now))

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.Event()
        timer = self.call_later(seconds, woken.set)
        try:
            await woken.wait()
        finally:
            timer.cancel()

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        timer = _Call(call, copy_context())
        heapq.heappush(self._timers, (self._now + seconds, next(self._order), timer))
        return timer

    def leap(self) -> bool:
        """To the next call. False when there is none, or somebody is at work."""
        while self._timers and not self.busy:
            at, _, timer = heapq.heappop(self._timers)
            if not timer.is_over:
                self._now = at
                timer.is_over = True
                timer.context.run(timer.call)
                return True
        return False


class _Leaping(selectors.DefaultSelector):
    """The event loop waits here when it has nothing to do; then the clock leaps instead."""

    def __init__(self, clock: LeapingClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        return found if found or timeout == 0 or self._clock.leap() else super().select(timeout)


def simulate(work: Callable[[LeapingClock], Awaitable[T]]) -> T:
    """Its answer, in an event loop of its own."""
    clock = LeapingClock()

    async def main() -> T:
        return await work(clock)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_Leaping(clock))) as runner:
        return runner.run(main())


class WatchedStore(SqliteStore):
    """Tells the clock when its threads are at work."""

    def __init__(self, path: Path, clock: LeapingClock) -> None:
        super().__init__(path, KINDS, clock, patience=10.0)
        self._at_work = clock

    async def _hop(self, threads: ThreadPoolExecutor, job: Callable[[], T]) -> T:
        self._at_work.busy += 1
        try:
            return await super()._hop(threads, job)
        finally:
            self._at_work.busy -= 1


@dataclass(slots=True)
class _Run:
    """One attempt as its server knows it."""

    model: str
    seconds: float
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    began_at: datetime | None = None
    ended: Ended | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class SimulatedServer:
    """Runs one job at a time, in order, each for as long as its graph says; another model is loaded first.

    spans: when it was at work, loading included. loads: how often it loaded a model. given_at: when it was given its last job.
    """

    def __init__(self, name: str, clock: LeapingClock, *, places: int = 2) -> None:
        self.name = name
        self.spans: list[tuple[float, float]] = []
        self.loads = 0
        self.given_at = 0.0
        self._clock = clock
        self._places = places
        self._model = ""
        self._runs: dict[str, _Run] = {}
        self._waiting: deque[_Run] = deque()
        self._works = False
        self._given = asyncio.Event()

    async def run(self) -> None:
        while True:
            while not self._waiting:
                self._given.clear()
                await self._given.wait()
            await self._work(self._waiting.popleft())

    async def _work(self, run: _Run) -> None:
        since, self._works = self._clock.monotonic(), True
        run.began_at = self._clock.now()
        run.begun.set()
        if run.model != self._model:
            self._model = run.model
            self.loads += 1
            await self._clock.sleep(LOAD_SECONDS)
        await self._clock.sleep(run.seconds)
        self.spans.append((since, self._clock.monotonic()))
        self._works = False
        picture = Output(n=0, node="1", name="words", text="done")
        run.ended = Ended(state="done", outputs=(picture,), started_at=run.began_at, ended_at=self._clock.now())
        run.over.set()

    async def describe(self) -> Description:
        return Description(classes=CLASSES, running=int(self._works), waiting=len(self._waiting), places=self._places)

    async def submit(self, attempt: Attempt) -> str:
        self.given_at = self._clock.monotonic()
        await self._clock.sleep(SUBMIT_SECONDS)
        inputs = attempt.graph["1"]["inputs"]
        self._runs[attempt.id] = run = _Run(inputs["ckpt_name"], inputs["seconds"])
        self._waiting.append(run)
        self._given.set()
        return attempt.id

    async def find(self, attempt: Attempt) -> Literal["waiting", "running", "ended", "absent", "unknown"]:
        run = self._runs.get(attempt.id)
        if run is None:
            return "absent"
        return "ended" if run.ended else "running" if run.began_at else "waiting"

    async def watch(self, attempt: Attempt) -> AsyncIterator[Progress | Ended]:
        run = self._runs[attempt.id]
        if run.began_at is None:
            yield Progress(phase="waiting")
            await run.begun.wait()
        yield Progress(phase="running", started_at=run.began_at)
        await run.over.wait()
        await self._clock.sleep(SUBMIT_SECONDS)
        del self._runs[attempt.id]
        assert run.ended is not None
        yield run.ended

    async def fetch(self, attempt: Attempt, output: Output) -> AsyncIterator[bytes]:
        for _ in ():
            yield b""
        raise Gone("all there is, is its text")

    async def cancel(self, attempt: Attempt) -> None:
        """Nobody does."""


def wanted(model: str, seconds: float) -> Wanted:
    """One job."""
    graph: Mapping[str, Any] = {
        "1": {"class_type": "Simulated", "inputs": {"ckpt_name": model, "seconds": seconds, "text": "a red fox"}}
    }
    workflow = Workflow(
        name=model,
        version="0" * 16,
        title="Make",
        description="",
        category="text to image",
        graph=graph,
        inputs=(),
        outputs=("1",),
    )
    return Wanted(workflow=workflow, values={}, graph=graph)


class World:
    """ended: every job that is over, as it was written last."""

    def __init__(
        self,
        clock: LeapingClock,
        store: WatchedStore,
        servers: Sequence[SimulatedServer],
        placing: Callable[[Fleet, LeapingClock], Placing],
    ) -> None:
        self.clock = clock
        self.store = store
        self.servers = servers
        self.ended: list[Job] = []
        self._moved = asyncio.Event()
        self._events = count()
        backends = {server.name: server for server in servers}
        fleet = Fleet(backends, store, clock, jitter=lambda: 0.5)
        self.placing = placing(fleet, clock)
        self.workshop = Workshop(
            store=store,
            blobs=MemoryBlobs(store),
            backends=backends,
            fleet=fleet,
            placing=self.placing,
            clock=clock,
            owner="simulation",
            attempts=3,
            run_seconds=1e6,
            fetch_seconds=600.0,
            changed=self._changed,
        )

    def _changed(self, job: Job, before: Job) -> None:
        if not job.open:
            self.ended.append(job)
            self._moved.set()

    async def order(self, person: str, jobs: Sequence[Wanted]) -> None:
        """As a handler does."""
        to = Address(chat=ChatRef(platform="simulated", chat=person, direct=True), sender=person)
        event = f"event {next(self._events)}"
        await self.store.atomically(lambda tx: take(tx, person, to, event, jobs, TERMS, command="make"))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The servers and the dispatcher work for as long as the body runs."""
        works = [asyncio.create_task(server.run()) for server in self.servers]
        works.append(asyncio.create_task(Dispatcher(self.workshop).run()))
        try:
            yield
        finally:
            for work in works:
                work.cancel()
            await asyncio.wait(works)

    async def until_ended(self, jobs: int) -> None:
        while len(self.ended) < jobs:
            self._moved.clear()
            await self._moved.wait()


@asynccontextmanager
async def world(
    clock: LeapingClock,
    folder: Path,
    servers: int,
    placing: Callable[[Fleet, LeapingClock], Placing] = Placing,
    *,
    places: int = 2,
) -> AsyncIterator[World]:
    """With a store of its own on the disk."""
    store = WatchedStore(folder / "simulation.db", clock)
    await store.open()
    try:
        fleet = [SimulatedServer(f"server{n:04d}of{servers}", clock, places=places) for n in range(servers)]
        yield World(clock, store, fleet, placing)
    finally:
        await store.close()
