"""One line an account: who holds it, how it changes hands, and what is left when a gateway stops."""

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chatelier import OperatorMust, Outgoing, Reply, Said, Unavailable
from chatelier.core.accounts import RETRY_SECONDS, Account
from chatelier.core.chat.outbox import MESSAGES, Address, post
from chatelier.core.errors import Lost
from chatelier.core.generation.fleet import Fleet
from chatelier.core.generation.queue import Queue
from chatelier.core.leases import ACCOUNTS, LEASE_SECONDS
from chatelier.core.registered import KINDS
from chatelier.core.testing.backend import FakeBackend
from chatelier.core.testing.clock import FakeClock, settle
from chatelier.core.testing.gateway import Parts, running
from chatelier.core.testing.platform import FakePlatform
from chatelier.core.testing.store import FakeStore
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.plugins.sqlite import Plugin as Sqlite


class Lobby:
    """A gateway that is only told who is connected."""

    def __init__(self) -> None:
        self.connections = 0
        self.now = 0


class Network(FakePlatform):
    """The same network, as each process sees it: what is shown is shared."""

    def __init__(self, shared: FakePlatform) -> None:
        super().__init__()
        self.share(shared)
        self.connected = False
        self.bug_at_the_end: Exception | None = None

    async def run(self, gateway: Any) -> None:
        self.connected = True
        try:
            await asyncio.Event().wait()
        finally:
            self.connected = False
            if self.bug_at_the_end:
                raise self.bug_at_the_end


class View(FakeStore):
    """One process's way to the shared store; it may be away, or nobody's any more."""

    def __init__(self, store: FakeStore) -> None:
        super().__init__(KINDS)
        self.__dict__.update(store.__dict__)


class Town:
    """Two processes with one account on one store."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(KINDS, self.clock)
        self.network = FakePlatform()
        self.networks = [Network(self.network) for _ in range(2)]
        self.views = [View(self.store) for _ in range(2)]
        self.accounts = [
            Account(
                network,
                Lobby(),  # type: ignore[arg-type] # only told
                view,
                f"process {n}",
                clock=self.clock,
                previews={},
                queue=Queue(view, self.clock, Fleet({}, view, self.clock)),
            )
            for n, (network, view) in enumerate(zip(self.networks, self.views, strict=True))
        ]
        self.tasks = [asyncio.create_task(account.run()) for account in self.accounts]

    async def say(self, text: str) -> None:
        to = Address(chat=self.network.chat(), sender="fake:ada")
        await self.store.atomically(lambda tx: post(tx, to, [Reply(text=text)], cause=text))
        await self.quiet()

    async def quiet(self, seconds: float = 0.0) -> None:
        await self.clock.advance(seconds)
        for _ in range(4):
            await settle()

    @property
    def connected(self) -> list[bool]:
        return [network.connected for network in self.networks]

    async def stop(self, n: int) -> None:
        self.tasks[n].cancel()
        await asyncio.wait({self.tasks[n]})
        await self.accounts[n].release()


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    town = Town()
    await town.quiet()
    yield town
    for n in range(2):
        await town.stop(n)


async def test_one_process_connects_and_sends_and_the_other_one_waits(town: Town) -> None:
    await town.say("hello")
    assert town.connected == [True, False]
    assert [account.is_held for account in town.accounts] == [True, False]
    await town.quiet(10 * LEASE_SECONDS)
    assert town.connected == [True, False], "the lease is kept"
    assert town.network.texts == ["hello"]


async def test_a_process_that_stops_gives_the_account_back_at_once(town: Town) -> None:
    await town.stop(0)
    await town.say("hello")
    await town.quiet(RETRY_SECONDS)
    assert town.connected == [False, True]
    assert town.network.texts == ["hello"]


async def test_a_process_that_is_cut_off_lets_go_before_another_one_takes_over(town: Town) -> None:
    town.views[0].trouble = Unavailable("cut off")
    for _ in range(int(LEASE_SECONDS) + 5):
        await town.quiet(1)
        assert town.connected != [True, True]
    assert town.connected == [False, True]
    await town.say("hello")
    town.views[0].trouble = None
    await town.quiet(2 * LEASE_SECONDS)
    assert town.connected == [False, True]
    assert town.network.texts == ["hello"]


@pytest.mark.parametrize("seconds", [1, 15])
async def test_a_store_that_is_away_for_a_moment_cuts_no_connection(town: Town, seconds: int) -> None:
    town.views[0].trouble = OperatorMust("the disk is full")
    await town.quiet(seconds)
    assert town.connected == [True, False]
    town.views[0].trouble = None
    await town.quiet(LEASE_SECONDS)
    assert town.connected == [True, False]
    await town.say("hello")
    assert town.network.texts == ["hello"]


async def test_a_lease_that_is_lost_in_the_middle_of_a_send_leaves_one_message(town: Town) -> None:
    town.networks[0].answering.clear()
    await town.say("hello")
    assert town.network.texts == ["hello"]
    town.views[0].trouble = Unavailable("cut off")
    await town.quiet(LEASE_SECONDS + 5)
    town.networks[0].answering.set()
    await town.quiet(LEASE_SECONDS)
    town.views[0].trouble = None
    await town.quiet(LEASE_SECONDS)
    assert town.network.texts == ["hello"]
    (row,) = await town.store.find(MESSAGES, order="created")
    assert (row.state, row.again) == ("sent", False)


async def test_an_account_whose_lease_somebody_took_stops_and_waits(town: Town) -> None:
    async def rob(tx: Any) -> None:
        (lease,) = await tx.find(ACCOUNTS)
        await tx.replace(
            ACCOUNTS, type(lease)(key=lease.key, version=lease.version, owner="robber", fence=99, due=tx.now)
        )

    await town.store.atomically(rob)
    await town.say("hello")
    await town.quiet(LEASE_SECONDS)
    assert town.connected.count(True) == 1
    assert town.network.texts == ["hello"]


async def test_a_bug_of_a_platform_stops_neither_the_account_nor_the_gateway(town: Town) -> None:
    def bug() -> None:
        raise ZeroDivisionError("a bug in a plugin")

    town.networks[0].before_capabilities = bug
    await town.say("hello")
    assert not any(task.done() for task in town.tasks)
    town.networks[0].before_capabilities = lambda: None
    await town.quiet(70)
    assert town.network.texts == ["hello"]


async def test_an_account_that_fails_as_it_is_stopped_stops_all_the_same() -> None:
    town = Town()
    town.networks[0].bug_at_the_end = ZeroDivisionError("a bug in a plugin")
    await town.quiet()
    town.tasks[0].cancel()
    await town.quiet(RETRY_SECONDS)
    assert town.tasks[0].cancelled()
    await town.accounts[0].release()
    await town.stop(1)


async def test_a_lease_that_cannot_be_given_back_lapses() -> None:
    town = Town()
    await town.quiet()
    town.views[0].trouble = Lost("gone")
    await town.stop(0)
    assert not town.accounts[0].is_held
    await town.quiet(LEASE_SECONDS + RETRY_SECONDS)
    assert town.connected == [False, True]
    await town.stop(1)


# --- whole gateways


@asynccontextmanager
async def gateway(folder: Path, network: FakePlatform) -> AsyncIterator[Any]:
    parts = Parts([network], [FakeBackend()])
    async with running(folder, parts, Essentials, Sqlite, settings={"store": "sqlite:chatelier.db"}) as runtime:
        yield runtime


async def test_a_gateway_that_starts_and_stops_leaks_nothing(tmp_path: Path) -> None:
    def left() -> tuple[int, int, int]:
        gc.collect()
        # The loop's own pool for `to_thread` grows to its size and stays.
        threads = [thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]
        return len(asyncio.all_tasks()), len(threads), len(os.listdir("/proc/self/fd"))

    network = FakePlatform()

    async def live() -> None:
        network.gateway = None
        network.shown.clear()
        async with gateway(tmp_path, network):
            await network.receive(network.event(Said(text="/help")))
            await network.until(lambda: network.shown)

    await live()
    before = left()
    for _ in range(50):
        await live()
    after = left()
    assert after[0] == before[0]
    assert after[1] <= before[1]
    assert after[2] <= before[2]


async def test_a_stop_gives_the_account_back_at_once(tmp_path: Path) -> None:
    first, second = FakePlatform(), FakePlatform()
    async with gateway(tmp_path, first):
        await first.until(lambda: first.gateway)
        async with gateway(tmp_path, second) as waiting:
            assert not waiting.accounts["fake"].is_held
    async with gateway(tmp_path, second) as later:
        await second.until(lambda: second.gateway)
        assert later.accounts["fake"].is_held


async def test_two_gateways_on_one_file_handle_and_send_everything_once(tmp_path: Path) -> None:
    shared = FakePlatform()
    networks = [FakePlatform(), FakePlatform()]
    sent: list[str] = []
    for network in networks:
        network.share(shared)

        def note(message: Outgoing) -> None:
            sent.append(message.key)

        network.before_send = note
    async with gateway(tmp_path, networks[0]) as one, gateway(tmp_path, networks[1]) as two:
        await networks[0].until(lambda: networks[0].gateway)
        events = [networks[0].event(Said(text=f"/make fox {n}"), sender=f"p{n}", chat=f"c{n}") for n in range(6)]
        # Both processes see each event, as with webhooks behind a balancer.
        await asyncio.gather(*(runtime.receive(event) for event in events for runtime in (one, two)))
        await networks[0].until(lambda: sum(bool(shown.message.media) for shown in shared.shown.values()) == 6, 30)
    assert len(shared.shown) == 6
    assert len(sent) == len(set(sent)) == 6
