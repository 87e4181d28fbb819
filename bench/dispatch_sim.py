"""What the dispatcher makes of a fleet: how busy it keeps the servers, how often they load models, who waits, what a decision costs.

Dispatcher, placing, line and store are the product's own; only the servers and the clock are simulated (`simulation.py`).
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chatelier import JOBS, Job, Tx
from chatelier.core import log
from chatelier.core.generation.fleet import Fleet, Member
from chatelier.core.generation.jobs import turn_of
from chatelier.core.generation.orders import Wanted
from chatelier.core.generation.placing import Candidate, Choice, Placing
from chatelier.core.generation.waiting import Waiting
from simulation import LeapingClock, World, simulate, wanted, world

SHORTEST_SECONDS, LONGEST_SECONDS = 6.0, 30.0
"""Of a job, without loading its model."""
MODELS = ("dreamshaper.safetensors", "flux.safetensors", "juggernaut.safetensors", "sdxl.safetensors")
AN_ORDER = 4
"""Jobs that are ordered at once."""
AIM_USE = 0.98
AIM_MICROSECONDS = 1_000.0
A_BATCH = 2_000
"""Jobs that are put into the store in one transaction."""


class Naive(Placing):
    """What is compared with: the first in line goes to the server with the fewest jobs."""

    def next(self, waiting: Sequence[Candidate], roomy: Sequence[Member]) -> Choice | None:
        for candidate in waiting:
            free = [member for member in roomy if member.name in self.able(candidate)]
            if free:
                return Choice(candidate, min(free, key=lambda member: (len(member.given), member.name)))
        return None


def some(chance: random.Random, jobs: int, models: Sequence[str] = MODELS) -> list[Wanted]:
    return [wanted(chance.choice(models), chance.uniform(SHORTEST_SECONDS, LONGEST_SECONDS)) for _ in range(jobs)]


# --- use, and loading


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """use: of the servers' time while work waited. seconds: simulated, until all was done. real: what the gateway took for it."""

    jobs: int
    use: float
    loads: int
    seconds: float
    real: float


def use(folder: Path, servers: int, jobs: int, placing: Callable[[Fleet, LeapingClock], Placing] = Placing) -> Use:
    """Everything is ordered before the first server is looked at."""

    async def work(clock: LeapingClock) -> Use:
        async with world(clock, folder, servers, placing) as made:
            all_jobs = some(random.Random(7), jobs)  # noqa: S311 - the same ones each time
            for n in range(0, jobs, AN_ORDER):
                await made.order(f"person{n % 400}", all_jobs[n : n + AN_ORDER])
            since = time.perf_counter()
            async with made.running():
                await made.until_ended(jobs)
                real = time.perf_counter() - since
            assert all(job.state == "done" for job in made.ended)
            return _used(made, real)

    return simulate(work)


def _used(made: World, real: float) -> Use:
    until = max(server.given_at for server in made.servers)
    at_work = sum(min(end, until) - min(begin, until) for server in made.servers for begin, end in server.spans)
    return Use(
        jobs=len(made.ended),
        use=at_work / (until * len(made.servers)),
        loads=sum(server.loads for server in made.servers),
        seconds=made.clock.monotonic(),
        real=real,
    )


# --- fairness


def fairness(folder: Path, heavy: int, *, turns: bool) -> tuple[list[float], list[float]]:
    """Seconds until a job began: of one who orders one at a time, and of ten who order `heavy` jobs each at the start.

    turns: without, each job counts as somebody else's, so that who came first is first.
    """

    async def work(clock: LeapingClock) -> tuple[list[float], list[float]]:
        chance = random.Random(11)  # noqa: S311 - the same ones each time
        light = heavy // AN_ORDER
        async with world(clock, folder, 8) as made:
            for n in range(10 * heavy // AN_ORDER):
                jobs = some(chance, AN_ORDER, MODELS[:1])
                orders = [jobs] if turns else [[job] for job in jobs]
                for m, order in enumerate(orders):
                    await made.order(f"heavy{n % 10}" if turns else f"somebody{n}.{m}", order)
            async with made.running():
                for _ in range(light):
                    await clock.sleep(chance.uniform(15, 45))
                    await made.order("light", some(chance, 1, MODELS[:1]))
                await made.until_ended(10 * heavy // AN_ORDER * AN_ORDER + light)
            waits = [(job.person == "light", _waited(job)) for job in made.ended]
            return [wait for is_light, wait in waits if is_light], [wait for is_light, wait in waits if not is_light]

    return simulate(work)


def _waited(job: Job) -> float:
    assert job.started is not None
    return (job.started - job.created).total_seconds()


# --- what a decision costs


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Microseconds. decision, p95: of choosing job and server. window: of reading the head of the line. step: of all until it is begun,
    in a process that has just started."""

    decision: float
    p95: float
    window: float
    step: float


def fill(folder: Path, waiting: int) -> None:
    """A store in which so many wait, for `cost`."""

    async def work(clock: LeapingClock) -> None:
        async with world(clock, folder, 1) as made:
            await made.order("somebody", some(random.Random(13), 1))  # noqa: S311 - the same ones each time
            (first,) = await made.store.find(JOBS, {"ready": True}, order="turn", limit=1)
            await _fill(made, first, waiting - 1)

    simulate(work)


def cost(folder: Path, servers: int, steps: int) -> Cost:
    """steps: jobs that are begun."""

    async def work(clock: LeapingClock) -> Cost:
        places = max(2, -(-steps // servers))
        async with world(clock, folder, servers, places=places) as made:
            window, took = await _window(made), await _decisions(made, steps)
        async with world(clock, folder, servers, places=places) as made:
            since = time.perf_counter()
            async with made.running():
                while sum(len(member.given) for member in made.workshop.fleet.members.values()) < steps:
                    await clock.sleep(0.001)
                step = (time.perf_counter() - since) / steps
        return Cost(
            decision=statistics.median(took) * 1e6,
            p95=statistics.quantiles(took, n=20)[-1] * 1e6,
            window=window * 1e6,
            step=step * 1e6,
        )

    return simulate(work)


async def _decisions(made: World, steps: int) -> list[float]:
    """Seconds of each, with all servers up. What is chosen is given to its server, as far as the fleet knows."""
    fleet, placing, took = made.workshop.fleet, made.workshop.placing, list[float]()
    line = Waiting(made.store, placing, made.clock, "")
    looking = asyncio.create_task(fleet.run())
    while not (fleet.is_known and fleet.roomy()):
        await made.clock.sleep(0.001)
    for _ in range(steps):
        if not line.candidates:
            await line.read(fleet.generation)
        since = time.perf_counter()
        choice = placing.next(line.candidates, fleet.roomy())
        took.append(time.perf_counter() - since)
        assert choice is not None
        line.remove(choice.candidate)
        choice.member.models = choice.candidate.models
        place = choice.member.free_place(made.clock.monotonic())
        fleet.give(f"{choice.candidate.job.key} {len(took)}", choice.member.name, place)
    looking.cancel()
    await asyncio.wait({looking})
    return took


async def _fill(made: World, like: Job, jobs: int) -> None:
    """More jobs, of many people, without an order of their own: they are only waited for here."""
    chance = random.Random(17)  # noqa: S311 - as above
    for begin in range(0, jobs, A_BATCH):
        numbers = range(begin, min(jobs, begin + A_BATCH))

        async def batch(tx: Tx, numbers: Sequence[int] = numbers) -> None:
            for n in numbers:
                graph = wanted(chance.choice(MODELS), LONGEST_SECONDS).graph
                turn = turn_of("chat", chance.randrange(40), f"{1_700_000_000_000 + n}", 0)
                workflow = graph["1"]["inputs"]["ckpt_name"]
                await tx.insert(
                    JOBS, replace(like, key=f"job{n}", turn=turn, graph=graph, workflow=workflow, version=0)
                )

        await made.store.atomically(batch)


async def _window(made: World) -> float:
    """Seconds; the median of twenty reads."""
    took = []
    for _ in range(20):
        line = Waiting(made.store, Placing(made.workshop.fleet, made.clock), made.clock, "")
        since = time.perf_counter()
        await line.read(made.workshop.fleet.generation)
        took.append(time.perf_counter() - since)
    return statistics.median(took)


# --- the run


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """fleets: numbers of servers and jobs. compared: the fleet that the naive rule has too. heavy: jobs of each of ten people.

    deciding: numbers of servers to decide between. steps: jobs that are begun then, while so many are waiting.
    """

    fleets: Sequence[tuple[int, int]]
    compared: tuple[int, int]
    heavy: int
    deciding: Sequence[int]
    waiting: int
    steps: int


FULL = Plan(
    fleets=((1, 30), (8, 160), (64, 448), (1_000, 2_200)),
    compared=(8, 160),
    heavy=20,
    deciding=(8, 1_000),
    waiting=100_000,
    steps=200,
)
SMALL = Plan(fleets=((1, 8), (3, 24)), compared=(3, 24), heavy=4, deciding=(3,), waiting=300, steps=30)


class Bench:
    """missed: the aims that were."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.missed: list[str] = []
        self._folder = folder

    def fresh(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._folder))

    def lines(self) -> Iterator[str]:
        yield from self._uses()
        yield from self._loads()
        yield from self._fairness()
        yield from self._costs()
        yield f"aims: {'missed: ' + '; '.join(self.missed) if self.missed else 'met'}"

    def _uses(self) -> Iterator[str]:
        yield "use of the servers while work waits"
        for servers, jobs in self.plan.fleets:
            found = use(self.fresh(), servers, jobs)
            own = f"{found.real * 1000 / found.jobs:.1f} ms of its own a job"
            pace = f"{found.real / found.seconds:.1%} of the time that passed"
            yield f"{servers:8,} servers  {found.use:7.2%}  {found.jobs:6,} jobs in {found.seconds:7,.0f} s; {own}, {pace}"
            if found.use < AIM_USE:
                self.missed.append(f"use of {servers} servers under {AIM_USE:.0%}")

    def _loads(self) -> Iterator[str]:
        servers, jobs = self.plan.compared
        yield f"loading of {len(MODELS)} models on {servers} servers, {jobs} jobs"
        for name, placing in (("ours", Placing), ("least busy", Naive)):
            found = use(self.fresh(), servers, jobs, placing)
            yield f"{name:>16}  {found.loads:6,} loads, {found.seconds:7,.0f} s until all is done"

    def _fairness(self) -> Iterator[str]:
        yield f"seconds until a job begins: one at a time, beside ten people with {self.plan.heavy} each on 8 servers"
        for name, turns in (("ours", True), ("first come", False)):
            light, heavy = fairness(self.fresh(), self.plan.heavy, turns=turns)
            middle = f"{statistics.median(light):6,.0f} median of {len(light)}"
            yield f"{name:>16}  {max(light):6,.0f} longest, {middle}; of the ten {max(heavy):6,.0f} longest"

    def _costs(self) -> Iterator[str]:
        yield f"microseconds with {self.plan.waiting:,} jobs waiting"
        fill(folder := self.fresh(), self.plan.waiting)
        for servers in self.plan.deciding:
            found = cost(folder, servers, self.plan.steps)
            chosen = f"{found.decision:8,.0f} a decision ({found.p95:,.0f} p95)"
            yield f"{servers:8,} servers  {chosen}, {found.window:6,.0f} to read the window, {found.step:6,.0f} in all until begun"
            if found.decision >= AIM_MICROSECONDS:
                self.missed.append(f"{AIM_MICROSECONDS:,.0f} microseconds a decision for {servers} servers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a few jobs of each, to see that it works")
    parser.add_argument("--folder", type=Path, help="where the databases go; a temporary folder by default")
    asked = parser.parse_args()
    log.configure("ERROR", stream=sys.stderr)
    print(f"simulated servers, simulated time; Python {sys.version.split()[0]}, {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory(prefix="chatelier-bench-", dir=asked.folder) as folder:
        for line in Bench(SMALL if asked.small else FULL, Path(folder)).lines():
            print(line, flush=True)


if __name__ == "__main__":
    main()
