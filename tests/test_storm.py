"""Three servers and 300 jobs, while servers and the gateway are killed, frozen, slowed down and restarted: each job is delivered once."""

import asyncio
import signal
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatelier import Kind, Store, Tx
from chatelier.core.chat.inbox import ARRIVALS
from chatelier.core.chat.outbox import MESSAGES
from chatelier.core.cli.context import open_store
from chatelier.core.generation.agreement import disagreements
from chatelier.core.generation.jobs import ATTEMPTS, JOBS
from chatelier.core.leases import ACCOUNTS
from chatelier.core.points.audit import audit, every
from chatelier.core.points.ledger import BALANCES, HOLDS
from gateways import Guest, Process, configured, guest

GRAPH = Path(__file__).parent / "data" / "workflows" / "png_one_tiny.json"
ALL = 300
PEOPLE = 20
QUICK, SLOW = "0.5", "3"
"""Seconds of a job."""
FROZEN_SECONDS = 15.0
"""Longer than a server is waited for that is asked how it is."""
LONGEST_SECONDS = 420.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@dataclass
class Server:
    """One sketch server in a process of its own, always on the same port."""

    name: str
    folder: Path
    port: int = field(default_factory=free_port)
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, seconds: str) -> None:
        arguments = ("sketch", "--port", str(self.port), "--folder", str(self.folder), "--seconds", seconds)
        self.process = await asyncio.to_thread(Process, *arguments)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.running.send_signal(number)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()

    async def busy(self) -> Sequence[Sequence[str]]:
        """Waits until at least one job runs and one is queued; their ids."""
        async with asyncio.timeout(LONGEST_SECONDS), httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            while True:
                queue = (await client.get("/queue")).json()
                running, queued = ([item[1] for item in queue[f"queue_{state}"]] for state in ("running", "pending"))
                if running and queued:
                    return running, queued
                await asyncio.sleep(0.05)  # a server does not tell strangers when its queue moves


@dataclass
class Storm:
    """The gateway, its servers and its people. told: what each gateway that was killed had logged."""

    config: Path
    store: Store
    servers: Sequence[Server]
    people: list[Guest] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    gateway: Process | None = None

    async def start(self) -> None:
        self.gateway = await asyncio.to_thread(Process, "run", "--config", str(self.config))

    async def kill_gateway(self, beside: Server) -> None:
        """While this server has jobs of it. The next one need not wait half a minute for the dead one's leases."""
        await self.note("the gateway is killed", beside)
        assert self.gateway is not None
        self.gateway.kill()
        self.told.append(self.gateway.end())
        await self.store.atomically(lapse)
        await self.start()

    async def note(self, what: str, server: Server) -> Sequence[str]:
        running, queued = await server.busy()
        assert running
        assert queued
        self.log.append(f"{what}: {server.name} runs {len(running)} and has {len(queued)} queued")
        return (*running, *queued)

    async def open_jobs(self) -> list[Any]:
        return await self.store.find(JOBS, {"open": True}, order="created", limit=2 * ALL)

    async def progress(self, jobs: int) -> None:
        """Waits until so many more jobs are done."""
        await self.until_open(max(0, len(await self.open_jobs()) - jobs))

    async def until_open(self, most: int) -> None:
        changes = self.store.changes(JOBS)
        async with asyncio.timeout(LONGEST_SECONDS):
            while len(await self.open_jobs()) > most:
                await changes.wait(0.5)


async def lapse(tx: Tx) -> None:
    """What the dead process held is free, as it will be half a minute later."""
    held: tuple[tuple[Kind[Any], dict[str, Any], str], ...] = (
        (ACCOUNTS, {}, ""),
        (JOBS, {"open": True}, "due"),
        (ARRIVALS, {"state": "new"}, "received"),
    )
    for kind, where, order in held:
        for record in await tx.find(kind, where, order=order, limit=2 * ALL):
            if record.owner:
                await tx.replace(kind, replace(record, due=tx.now))


@asynccontextmanager
async def storm(folder: Path) -> AsyncIterator[Storm]:
    servers = [Server(name, folder / name) for name in ("anvil", "bellows", "crucible")]
    config = configured(
        folder / "gateway",
        http={"port": free_port()},
        limits={"open_orders": ALL},
        points={"allowance": {"base": 10**9}},
        backends={
            "comfyui": {"servers": [{"url": server.url, "name": server.name} for server in servers]},
            "sketch": {"enabled": False},
        },
    )
    (config.parent / "workflows" / GRAPH.name).write_bytes(GRAPH.read_bytes())
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(config))
        here = Storm(config, store, servers)
        try:
            await asyncio.gather(*(server.start(QUICK) for server in servers))
            await here.start()
            assert here.gateway is not None
            here.people = [await stack.enter_async_context(guest(here.gateway.url)) for _ in range(PEOPLE)]
            yield here
        finally:
            for process in (here.gateway, *(server.process for server in servers)):
                if process is not None:
                    process.running.send_signal(signal.SIGCONT)
                    process.kill()
            if here.gateway is not None:
                here.told.append(here.gateway.end())
            for n, told in enumerate(here.told):
                bad = [line for line in told.splitlines() if '"level": "info"' not in line]
                print(f"gateway {n}:", *bad, sep="\n")  # noqa: T201 - pytest shows it with a failure


async def order_all(here: Storm) -> None:
    async def order(person: Guest, first: int) -> None:
        for seed in range(first, ALL, PEOPLE):
            await person.say(f"/png_one_tiny --seed {seed}")

    await asyncio.gather(*(order(person, n) for n, person in enumerate(here.people)))


@pytest.mark.slow
async def test_of_300_jobs_none_is_lost_and_none_is_delivered_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    async with storm(tmp_path) as here:
        anvil, bellows, crucible = here.servers
        await order_all(here)

        on_the_dead_one = await here.note("anvil is killed for good", anvil)
        anvil.kill()
        await here.kill_gateway(beside=bellows)
        await here.progress(ALL // 10)

        await here.note("bellows is frozen", bellows)
        bellows.signal(signal.SIGSTOP)
        thaw = asyncio.get_running_loop().call_later(FROZEN_SECONDS, bellows.signal, signal.SIGCONT)
        await here.kill_gateway(beside=crucible)

        await here.until_open(ALL * 2 // 3)
        await here.note("crucible is restarted as a slow one", crucible)
        crucible.kill()
        await crucible.start(SLOW)
        await here.until_open(ALL // 3)
        await here.kill_gateway(beside=bellows)

        await here.until_open(0)
        assert thaw.when() < asyncio.get_running_loop().time()
        await delivered(here)
        jobs = await here.store.find(JOBS, order="created", limit=2 * ALL)
        assert Counter(job.state for job in jobs) == {"done": ALL}
        assert "will run again" not in "".join(here.told), "no part of any gateway failed"
        moved = [await here.store.get(ATTEMPTS, attempt) for attempt in on_the_dead_one]
        by_key = {job.key: job for job in jobs}
        assert {row.backend for row in moved if row} == {"anvil"}
        assert all(by_key[row.job].backend != "anvil" for row in moved if row)
        finals = [row for row in await here.store.find(MESSAGES, order="created", limit=4 * ALL) if row.reply.media]
        assert Counter(row.job for row in finals) == Counter(by_key.keys()), "each job has one result message"
        assert {row.state for row in finals} == {"sent"}
        assert await audit(here.store) == []
        assert await disagreements(here.store) == []
        assert await here.store.find(HOLDS, order="key") == []
        spent = [balance.spent async for balance in every(here.store, BALANCES, "key")]
        assert sum(spent) == sum(job.cost for job in jobs) > 0

        seconds = time.monotonic() - began
        with capsys.disabled():
            print("", *here.log, f"{seconds:.0f} s; attempts of each job:", sep="\n")  # noqa: T201 - the figures are what this is run for
            for attempts, count in sorted(Counter(job.attempts for job in jobs).items()):
                several = [job.key for job in jobs if job.attempts == attempts and attempts > 1]
                print(f"  {attempts}: {count} jobs", *several)  # noqa: T201 - as above


async def delivered(here: Storm) -> None:
    """Everybody sees a picture for each of their orders, and none twice."""

    def pictures(person: Guest) -> Callable[[], Counter[str] | None]:
        def found() -> Counter[str] | None:
            seen = Counter(message.job for message in person.heard if message.media)
            return seen if len(seen) == ALL // PEOPLE else None

        return found

    for person in here.people:
        seen = await person.until(pictures(person))
        assert set(seen.values()) == {1}
