"""How many messages a second go from a network's receive path to its send, and how long each takes, with 1, 50 and 500 commands.

The whole gateway runs in this process: an event is stored, parsed and handled, its answer is stored and sent by the line. The network
is in memory and the command echoes its text, so what is measured is Chatelier and its store.
"""

import argparse
import asyncio
import itertools
import json
import os
import selectors
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from chatelier import (
    Call,
    Capabilities,
    ChatRef,
    Command,
    Event,
    FileRef,
    Gateway,
    Gone,
    Option,
    Outgoing,
    PlainDialect,
    Receipt,
    Reply,
    Said,
    Store,
    SystemClock,
)
from chatelier.core import interpreter, log
from chatelier.core.registered import KINDS
from chatelier.plugins.sqlite import open_sqlite
from chatelier.testing import FakeStore, Parts, running
from environment import environment

COMMANDS = (1, 50, 500)
ROOMS = 50
"""Conversations at saturation, each with one message under way."""
SHARE = 0.5
"""Of the rate at saturation, for the latencies."""
AIM_RATE = 5_000.0
AIM_P99_MS = 1.0
AIM_FLAT = 0.8
"""With the most commands, the part of the rate with one."""
SECONDS = 10.0
"""The longest that the messages of one latency are spread over."""
PLAIN = Capabilities(dialect=PlainDialect())
Open = Callable[[Path], AbstractAsyncContextManager[Store]]


class Wire:
    """A network that shows nothing; it tells when an answer goes out."""

    name = "wire"

    def __init__(self) -> None:
        self._gateway: asyncio.Future[Gateway] = asyncio.get_running_loop().create_future()
        self._events = itertools.count()
        self._waiting: dict[str, asyncio.Future[float]] = {}

    def capabilities(self, chat: ChatRef | None = None) -> Capabilities:
        return PLAIN

    async def run(self, gateway: Gateway) -> None:
        self._gateway.set_result(gateway)
        gateway.connected(self.name)
        await asyncio.Event().wait()

    async def send(self, message: Outgoing) -> Receipt:
        text = PLAIN.dialect.render(message.text) if message.text else ""
        self._waiting.pop(text).set_result(time.perf_counter())
        return Receipt(chat=message.chat, ids=(message.key,))

    def read(self, file: FileRef) -> AsyncIterator[bytes]:
        raise Gone(file.ref)

    async def echo(self, text: str, room: str) -> float:
        """Seconds from handing in a message to the send of its answer."""
        gateway = await self._gateway
        chat, n = ChatRef(platform=self.name, chat=room, direct=True), next(self._events)
        said = Said(text=f"/echo0 {text}")
        event = Event(keys=(f"event-{n}", f"said-{n}"), chat=chat, sender=f"wire:{room}", name=room, body=said)
        self._waiting[text] = asyncio.get_running_loop().create_future()
        answer, begun = self._waiting[text], time.perf_counter()
        await gateway.receive(event)
        return await answer - begun


async def echo(call: Call) -> None:
    await call.commit(None, Reply(text=call.values["text"]))


def commands(count: int) -> list[Command]:
    text = Option(name="text", type="text", description="What to say.", rest=True, required=True)
    return [Command(name=f"echo{n}", summary="Says it again.", options=(text,), handler=echo) for n in range(count)]


def percentile(waits: Sequence[float], percent: int) -> float:
    """In milliseconds."""
    return statistics.quantiles(waits, n=100, method="inclusive")[percent - 1] * 1000


@dataclass(frozen=True, slots=True)
class Row:
    """rate: messages a second at saturation. alone: the same in one conversation, one after the other. p50, p99: ms, below it."""

    who: str
    commands: int
    rate: float
    alone: float
    p50: float
    p99: float

    def __str__(self) -> str:
        figures = f"{self.rate:12,.0f} {self.alone:12,.0f} {self.p50:9.2f} {self.p99:9.2f}"
        return f"{self.who:22} {self.commands:8} {figures}"


async def saturated(wire: Wire, rooms: int, messages: int) -> float:
    """Messages a second, in each room one after the other."""

    async def room(name: int) -> None:
        for n in range(messages // rooms):
            await wire.echo(f"{rooms}-{name}-{n}", f"room{name}")

    begun = time.perf_counter()
    await asyncio.gather(*(room(name) for name in range(rooms)))
    return messages // rooms * rooms / (time.perf_counter() - begun)


def punctual() -> asyncio.AbstractEventLoop:
    """A loop that sleeps to the microsecond. With epoll it sleeps whole milliseconds, and several messages come at once."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


async def paced(wire: Wire, rate: float, messages: int) -> list[float]:
    """Seconds that each took, when so many a second come in, whatever became of those before."""
    begun, under_way = time.perf_counter(), []
    for n in range(min(messages, int(rate * SECONDS))):
        await asyncio.sleep(max(0.0, begun + n / rate - time.perf_counter()))
        under_way.append(asyncio.create_task(wire.echo(f"paced-{n}", f"room{n % ROOMS}")))
    return await asyncio.gather(*under_way)


async def ours(name: str, open_store: Open, folder: Path, count: int, messages: int) -> Row:
    wire = Wire()
    async with open_store(folder) as store:
        parts = Parts([wire], workflows=(), commands=commands(count), store=store)
        async with running(folder, parts):
            for n in range(ROOMS):
                await wire.echo(f"warm-{n}", f"room{n}")
            rate = await saturated(wire, min(ROOMS, messages), messages)
            alone = await saturated(wire, 1, messages)
            waits = await paced(wire, rate * SHARE, messages)
    return Row(name, count, rate, alone, percentile(waits, 50), percentile(waits, 99))


def in_memory(_: Path) -> AbstractAsyncContextManager[Store]:
    return FakeStore(KINDS, SystemClock(), strict=False)


def on_disk(folder: Path) -> AbstractAsyncContextManager[Store]:
    return open_sqlite(f"sqlite:{folder / 'dispatch.db'}", KINDS, SystemClock())


def peer(name: str, python: Path, count: int, messages: int) -> Row:
    """A framework in its own environment; see `dispatch_peers.py`."""
    script = Path(__file__).with_name("dispatch_peers.py")
    arguments = (name, str(count), str(messages * PEER_TIMES), str(ROOMS), str(SHARE), str(SECONDS))
    ran = subprocess.run([python, script, *arguments], capture_output=True, text=True)  # noqa: S603, PLW1510 - our own script; see below
    if ran.returncode:
        raise SystemExit(f"{name} with {count} commands: {ran.stderr}")
    found = json.loads(ran.stdout.splitlines()[-1])
    waits = found["waits"]
    return Row(name, count, found["rate"], found["alone"], percentile(waits, 50), percentile(waits, 99))


PEER_TIMES = 10
"""So many more messages for a peer: the quick ones would be done before anything shows."""
PEERS: Mapping[str, Sequence[str]] = {
    "nonebot2": ["nonebot2==2.5.0"],
    "errbot": ["errbot==6.2.0"],
    "opsdroid": ["opsdroid==0.31.0", "setuptools<81"],
}
"""What each is installed as, in an environment of its own: their requirements contradict each other."""
STORES: Mapping[str, Open] = {"ours, store in memory": in_memory, "ours, SQLite, durable": on_disk}


def judged(rows: Sequence[Row]) -> Iterator[str]:
    """What came of each aim, a line each."""
    mine = [row for row in rows if row.who == next(iter(STORES))]
    least, slowest = min(row.rate for row in mine), max(row.p99 for row in mine)
    flat = mine[-1].rate / mine[0].rate
    aims = (
        (f"{AIM_RATE:,.0f} messages/s, store in memory", least >= AIM_RATE, f"{least:,.0f}"),
        (f"p99 under {AIM_P99_MS:g} ms, store in memory", slowest < AIM_P99_MS, f"{slowest:.2f} ms"),
        (f"flat from 1 to {mine[-1].commands} commands", flat >= AIM_FLAT, f"{flat:.0%} of the rate with 1"),
    )
    return (f"{aim}: {'met' if is_met else 'missed'}, {found}" for aim, is_met, found in aims)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2_000, help="of each figure")
    parser.add_argument("--quick", action="store_true", help="a hundred messages, to see that it runs")
    parser.add_argument("--folder", type=Path, help="where the databases go; a temporary folder by default")
    parser.add_argument(
        "--peers", action="store_true", help="install public frameworks into a temporary folder, and measure them too"
    )
    asked = parser.parse_args()
    log.configure("WARNING", stream=sys.stderr)
    interpreter.settle()  # as `chatelier run` does
    messages, rows = 100 if asked.quick else asked.messages, []
    print(
        f"{messages} messages a figure; Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores"
    )
    print(f"{'':22} commands   messages/s  one by one    p50 ms    p99 ms", flush=True)
    for name, open_store in STORES.items():
        for count in COMMANDS:
            with (
                tempfile.TemporaryDirectory(prefix="chatelier-bench-", dir=asked.folder) as folder,
                asyncio.Runner(loop_factory=punctual) as runner,
            ):
                rows.append(runner.run(ours(name, open_store, Path(folder), count, messages)))
            print(rows[-1], flush=True)
    for name, wanted in PEERS.items() if asked.peers else ():
        with tempfile.TemporaryDirectory(prefix="chatelier-bench-", dir=asked.folder) as folder:
            python = environment(Path(folder), wanted)
            for count in COMMANDS:
                print(peer(name, python, count, messages), flush=True)
    for line in judged(rows):
        print(line)
    if not asked.peers:
        print(f"{', '.join(PEERS)} were left out; --peers measures them too")


if __name__ == "__main__":
    main()
