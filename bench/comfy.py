"""How many pictures a second come from one ComfyUI server: to a bare client, our backend alone, the whole gateway, and public clients.

All take turns with the same server and the same tiny job, so that the figures can be compared; the server is a process of its own.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import aiohttp

from chatelier import Attempt, Ended, Input, Store, SystemClock, Workflow
from chatelier.core import interpreter, log
from chatelier.core.registered import KINDS
from chatelier.plugins.comfyui.server import ComfyServer
from chatelier.plugins.comfyui.settings import ServerSettings
from chatelier.plugins.sqlite import open_sqlite
from chatelier.testing import Parts, running
from environment import environment
from jobs import Counted, Room, no_files

PEERS = {"comfy-api-simplified": "1.6.0", "comfykit": "0.1.12"}
"""The best public clients of those that were measured, and their versions."""
PEER_SECONDS = 15.0
"""Some peers stall for ten seconds at a time: they begin no job after so long."""
JOB_SECONDS = 60.0
"""One that takes longer has failed."""
STALL_SECONDS = 10.0
STALL_MEDIANS = 20
"""A job has stalled that took longer than these seconds, or so many times the median."""
ROUNDS = 3
"""All clients take a turn in each, so that what else the machine does meanwhile meets them alike."""
BARE, PLUGIN, GATEWAY = "bare client", "our backend", "our gateway"
AIMS = {PLUGIN: 0.85, GATEWAY: 0.60}
"""The part of the bare client's jobs a second."""
AIM_SPREAD = 2.0
"""p95 by median, at most."""

Make = Callable[[int], Awaitable[None]]
"""Makes one picture and has its bytes. The number is the asking person's."""
Open = Callable[[str, Path], AbstractAsyncContextManager[Make]]


@dataclass(slots=True)
class Cell:
    """What one client did at one width."""

    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    failed: int = 0

    def add(self, seconds: float, waits: Sequence[float], failed: int) -> None:
        self.seconds += seconds
        self.waits += waits
        self.failed += failed

    @property
    def rate(self) -> float:
        return len(self.waits) / self.seconds

    @property
    def median(self) -> float:
        return statistics.median(self.waits)

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.waits, n=20)[-1] if len(self.waits) > 1 else self.waits[0]

    @property
    def spread(self) -> float:
        return self.p95 / self.median

    @property
    def stalled(self) -> int:
        return sum(wait > min(STALL_SECONDS, STALL_MEDIANS * self.median) for wait in self.waits)


def tiny(seed: int) -> dict[str, Any]:
    """Three nodes, 64 x 64. In a folder of its day under a name of its own, as the gateway has it."""
    prefix = f"chatelier/bench/{uuid.uuid4()}"
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0x336699},
            "_meta": {"title": "Canvas"},
        },
        "2": {
            "class_type": "ImageAddNoise",
            "inputs": {"image": ["1", 0], "seed": seed, "strength": 0.5},
            "_meta": {"title": "Noise"},
        },
        "3": {
            "class_type": "SaveImage",
            "inputs": {"images": ["2", 0], "filename_prefix": prefix},
            "_meta": {"title": "Save Image"},
        },
    }


SEEDS = itertools.count(random.SystemRandom().getrandbits(48))
"""Never the same twice, here or on a server that has seen this before: a cached picture costs nothing."""


def checked(picture: bytes) -> None:
    if not picture.startswith(b"\x89PNG"):
        raise ValueError(f"no picture but {picture[:20]!r}")


# --- the clients


@asynccontextmanager
async def bare(url: str, folder: Path) -> AsyncIterator[Make]:
    """What ComfyUI's protocol allows when nothing is kept and nothing goes wrong: one socket for all, one pool of connections."""
    client, ended, outputs = str(uuid.uuid4()), dict[str, asyncio.Future[None]](), dict[str, Mapping[str, Any]]()
    async with aiohttp.ClientSession() as session:

        async def listen(socket: aiohttp.ClientWebSocketResponse) -> None:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    match json.loads(message.data):
                        case {"type": "executed", "data": {"prompt_id": key, "output": found}}:
                            outputs[key] = found
                        case {"type": "executing", "data": {"node": None, "prompt_id": key}} if key in ended:
                            ended[key].set_result(None)

        async def make(_: int) -> None:
            key = str(uuid.uuid4())
            ended[key] = asyncio.get_running_loop().create_future()
            body = {"prompt": tiny(next(SEEDS)), "client_id": client, "prompt_id": key}
            async with session.post(f"{url}/prompt", json=body) as answer:
                answer.raise_for_status()
            await ended[key]
            del ended[key]
            async with session.get(f"{url}/view", params=outputs.pop(key)["images"][0]) as answer:
                checked(await answer.read())

        async with session.ws_connect(f"{url}/ws", params={"clientId": client}, max_msg_size=0) as socket:
            listening = asyncio.create_task(listen(socket))
            yield make
            await socket.close()
            await listening


@asynccontextmanager
async def plugin(url: str, folder: Path) -> AsyncIterator[Make]:
    """submit, watch and fetch, as a gateway calls them, with nothing kept."""
    server = ComfyServer(ServerSettings(url=url))

    async def make(_: int) -> None:
        attempt = Attempt(id=str(uuid.uuid4()), graph=tiny(next(SEEDS)), read=no_files)
        await server.submit(attempt)
        async with aclosing(cast("Any", server.watch(attempt))) as items:
            async for item in items:
                if isinstance(item, Ended):
                    if item.state != "done":
                        raise ValueError(f"{item.state}: {item.words}")
                    checked(b"".join([piece async for piece in server.fetch(attempt, item.outputs[0])]))

    living = asyncio.create_task(server.run())
    try:
        yield make
    finally:
        living.cancel()
        await asyncio.wait({living})


WORKFLOW = Workflow(
    name="make",
    version="0" * 16,
    title="Make",
    description="Noise.",
    category="text to image",
    graph=tiny(0),
    inputs=(
        Input(
            name="seed",
            type="integer",
            targets=(("2", "seed"),),
            role="seed",
            default=-1,
            minimum=-1,
            maximum=2**63,
        ),
    ),
    outputs=("3",),
)


class Asked(Counted):
    """The store, and how often it was read beside that."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.reads = 0

    async def get(self, *what: Any, **options: Any) -> Any:
        self.reads += 1
        return await self._store.get(*what, **options)

    async def find(self, *what: Any, **options: Any) -> Any:
        self.reads += 1
        return await self._store.find(*what, **options)


class Gateway:
    """From handing in an order to the picture being visible, on a real SQLite file with real blobs."""

    def __init__(self) -> None:
        self.transactions = self.reads = self.jobs = 0

    @asynccontextmanager
    async def __call__(self, url: str, folder: Path) -> AsyncIterator[Make]:
        room = Room()
        limits = {"open_orders": 1_000, "all_orders": 1_000}
        async with open_sqlite(f"sqlite:{folder / 'gateway.db'}", KINDS, SystemClock()) as store:
            asked = Asked(store)
            server = ComfyServer(ServerSettings(url=url))
            parts = Parts([room.network], [server], [WORKFLOW], store=cast("Store", asked))
            async with running(folder, parts, settings={"limits": limits}):

                async def make(person: int) -> None:
                    await room.order(f"person{person}", "/make")
                    self.jobs += 1

                yield make
            self.transactions += asked.transactions
            self.reads += asked.reads

    @property
    def line(self) -> str:
        transactions, reads = self.transactions / self.jobs, self.reads / self.jobs
        return f"{transactions:.1f} transactions and {reads:.1f} other reads of the store a job, all widths together"


async def measure(make: Make, people: int, jobs: int) -> tuple[float, list[float], int]:
    """Seconds of the whole, of each job, and how many failed. Everybody asks again as soon as they have their picture."""
    waits: list[float] = []
    failed = 0
    left = iter(range(jobs))

    async def person(n: int) -> None:
        nonlocal failed
        for _ in left:
            since = time.perf_counter()
            try:
                async with asyncio.timeout(JOB_SECONDS):
                    await make(n)
            except Exception as error:  # noqa: BLE001 - a bench counts whatever goes wrong
                print(f"failed: {type(error).__name__}: {error}", file=sys.stderr)
                failed += 1
            else:
                waits.append(time.perf_counter() - since)

    begun = time.perf_counter()
    await asyncio.gather(*(person(n) for n in range(people)))
    return time.perf_counter() - begun, waits, failed


# --- the server, and the peers' environment


@dataclass(frozen=True, slots=True)
class Server:
    """outputs: where it saves, None for one that is not ours."""

    url: str
    outputs: Path | None = None

    def sweep(self) -> None:
        """A server lists the folder that it saves into: each client finds it as empty as the others did."""
        if self.outputs is not None:
            shutil.rmtree(self.outputs / "chatelier", ignore_errors=True)


@contextmanager
def sketch(folder: Path) -> Iterator[Server]:
    """The sketch server in a process of its own."""
    command = [sys.executable, "-m", "chatelier", "sketch", "--port", "0", "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own program
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            yield Server(said.split()[3].rstrip(","), folder / "output")
        finally:
            process.terminate()


async def through_peer(python: Path, name: str, url: str, people: int, jobs: int) -> tuple[float, list[float], int]:
    script = Path(__file__).with_name("comfy_peers.py")
    arguments = (name, url, str(people), str(jobs), str(PEER_SECONDS))
    process = await asyncio.create_subprocess_exec(
        python, script, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    said, _ = await process.communicate(json.dumps(tiny(0)).encode())
    found = json.loads(said.splitlines()[-1])
    return found["seconds"], found["waits"], found["failed"]


# --- the run


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """jobs: of each client at each width. peers: the Python that has them, None for without."""

    server: Server
    folder: Path
    jobs: int
    widths: Sequence[int]
    peers: Path | None


async def run(plan: Plan, gateway: Gateway) -> Mapping[tuple[int, str], Cell]:
    """By width and client, in the order of the table."""
    ours: Mapping[str, Open] = {BARE: bare, PLUGIN: plugin, GATEWAY: gateway}
    names = [*ours, *(PEERS if plan.peers else ())]
    cells = {(width, name): Cell() for width in plan.widths for name in names}
    for width, turn in itertools.product(plan.widths, range(ROUNDS)):
        jobs = plan.jobs // ROUNDS + (turn < plan.jobs % ROUNDS)
        for name, opened in ours.items():
            with tempfile.TemporaryDirectory(dir=plan.folder) as folder:
                async with opened(plan.server.url, Path(folder)) as make:
                    await measure(make, width, max(width, jobs // 5))  # warm
                    cells[width, name].add(*await measure(make, width, jobs))
            plan.server.sweep()
        for name in PEERS if plan.peers and turn == 0 else ():
            cells[width, name].add(
                *await through_peer(cast("Path", plan.peers), name, plan.server.url, width, plan.jobs)
            )
            plan.server.sweep()
    return cells


def table(cells: Mapping[tuple[int, str], Cell]) -> Iterator[str]:
    headings = ("at a time", "client", "jobs/s", "of bare", "p50 ms", "p95 ms", "p95/p50", "failed", "stalled")
    yield "{:>9}  {:20}  {:>7}  {:>7}  {:>7}  {:>7}  {:>7}  {:>6}  {:>7}".format(*headings)
    for (width, name), cell in cells.items():
        if not cell.waits:
            yield f"{width:9}  {name:20}  {'no job came out':>43}  {cell.failed:6}"
            continue
        share = cell.rate / cells[width, BARE].rate
        yield (
            f"{width:9}  {name:20}  {cell.rate:7.1f}  {share:7.0%}  {cell.median * 1000:7.1f}  {cell.p95 * 1000:7.1f}  "
            f"{cell.spread:7.2f}  {cell.failed:6}  {cell.stalled:7}"
        )


def verdicts(cells: Mapping[tuple[int, str], Cell]) -> Iterator[str]:
    """Each aim, and where it is missed."""
    for name, aim in AIMS.items():
        mine = {width: cell for (width, client), cell in cells.items() if client == name and cell.waits}
        shares = {width: cell.rate / cells[width, BARE].rate for width, cell in mine.items()}
        slow = [f"{share:.0%} at {width}" for width, share in shares.items() if share < aim]
        wide = [f"{cell.spread:.2f} at {width}" for width, cell in mine.items() if cell.spread >= AIM_SPREAD]
        bad = sum(cell.failed + cell.stalled for (_, client), cell in cells.items() if client == name)
        yield _verdict(f"{name}, {aim:.0%} of the bare client", slow)
        yield _verdict(f"{name}, p95 under {AIM_SPREAD:g} times p50", wide)
        yield _verdict(f"{name}, no failure and no stall", [f"{bad} jobs"] if bad else [])


def _verdict(aim: str, missed: Sequence[str]) -> str:
    return f"{aim}: {'missed, ' + ', '.join(missed) if missed else 'met'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=300, help="of each client at each width")
    parser.add_argument("--at-a-time", type=int, nargs="+", default=[1, 8, 32], help="the widths")
    parser.add_argument("--url", help="a ComfyUI server that is there; without it the sketch is started as one")
    parser.add_argument(
        "--peers", action="store_true", help="install public clients into a temporary folder, and measure them too"
    )
    parser.add_argument("--folder", type=Path, help="where all files go; a temporary folder by default")
    asked = parser.parse_args()
    log.configure("ERROR", stream=sys.stderr)
    interpreter.settle()  # as `chatelier run` does
    with tempfile.TemporaryDirectory(prefix="chatelier-bench-", dir=asked.folder) as kept:
        folder, gateway = Path(kept), Gateway()
        peers = (
            environment(folder / "peers", [f"{name}=={version}" for name, version in PEERS.items()])
            if asked.peers
            else None
        )
        print(
            f"{asked.jobs} jobs a client and width; Python {sys.version.split()[0]}, {os.cpu_count()} cores", flush=True
        )
        with nullcontext(Server(asked.url)) if asked.url else sketch(folder / "sketch") as server:
            plan = Plan(server=server, folder=folder, jobs=asked.jobs, widths=asked.at_a_time, peers=peers)
            cells = asyncio.run(run(plan, gateway))
    for line in (*table(cells), *verdicts(cells), f"{GATEWAY}: {gateway.line}"):
        print(line)
    if peers is None:
        print(f"{' and '.join(PEERS)} were left out; --peers measures them too")


if __name__ == "__main__":
    main()
