"""Accounts that come and go while a gateway serves: they live as the others do, and what waits for one that went comes to an end."""

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatelier import (
    JOBS,
    BadInput,
    Capabilities,
    FileRef,
    Gateway,
    Refused,
    Reply,
    Said,
    Settings,
    Unavailable,
    hookimpl,
    token,
)
from chatelier.core.chat.inbox import ARRIVALS
from chatelier.core.chat.outbox import MESSAGES, Address, Message, post
from chatelier.core.cli.doctor import findings
from chatelier.core.figures import figures_of
from chatelier.core.gateway import Runtime, open_runtime
from chatelier.core.leases import ACCOUNTS
from chatelier.core.plugins import Plugins
from chatelier.core.roll import LOOK_SECONDS
from chatelier.core.testing.backend import FakeBackend
from chatelier.core.testing.clock import FakeClock, settle
from chatelier.core.testing.gateway import Parts, running, serving
from chatelier.core.testing.platform import FakePlatform
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.plugins.sqlite import Plugin as Sqlite

CLOSED = "Somebody closed the shop."


class Breaks(FakePlatform):
    async def run(self, gateway: Gateway) -> None:
        raise ZeroDivisionError("a bug in a plugin")


class Mute(FakePlatform):
    def capabilities(self, chat: object = None) -> Capabilities:
        raise ZeroDivisionError("a bug in a plugin")


class Arcade:
    """A plugin whose accounts are known only once the store is open."""

    def __init__(self, *shops: FakePlatform) -> None:
        self.shops = shops

    @hookimpl
    def lifespan(self, gateway: Gateway) -> AbstractAsyncContextManager[None]:
        @asynccontextmanager
        async def life() -> AsyncIterator[None]:
            for shop in self.shops:
                await gateway.accounts.add(shop)
            yield

        return life()


@asynccontextmanager
async def gateway(folder: Path, *others: object, backend: FakeBackend | None = None) -> AsyncIterator[Runtime]:
    parts = Parts([FakePlatform()], [backend or FakeBackend()])
    store = {"store": "sqlite:chatelier.db"}
    async with running(folder, parts, Essentials, Sqlite, *others, settings=store) as runtime:
        yield runtime


async def until(runtime: Runtime, found: Callable[[], Any]) -> Any:
    changes = runtime.store.changes(JOBS, MESSAGES)
    async with asyncio.timeout(10):
        while not (value := await found()):
            await changes.wait(0.05)
    return value


async def test_an_account_that_is_added_lives_as_the_others_do(tmp_path: Path) -> None:
    async with gateway(tmp_path) as runtime:
        shop = FakePlatform("fake.shop")
        assert await runtime.accounts.add(shop)
        await shop.receive(shop.event(Said(text="/make a fox")))
        await shop.until(lambda: shop.shown and shop.last.message.media)
        assert runtime.accounts["fake.shop"].is_held
        assert runtime.health()["fake.shop"].state == "up"
        assert (await runtime.condition()).accounts == {"fake": "up", "fake.shop": "up"}
        assert ("fake.shop", "failed") in (await figures_of(runtime.store, runtime.account_names)).messages
        lease = await runtime.store.get(ACCOUNTS, "fake.shop")
        assert lease is not None
        assert lease.owner == runtime.owner
    async with gateway(tmp_path) as runtime:
        assert list(runtime.accounts) == ["fake"], "nothing of it is kept for the next start"


async def test_one_that_is_added_before_the_gateway_serves_is_seen_by_doctor_and_begins_with_the_others(
    tmp_path: Path,
) -> None:
    plugins, shop = Plugins(), FakePlatform("fake.shop")
    for name, plugin in {"parts": Parts([], [FakeBackend()]), "arcade": Arcade(shop), "essentials": Essentials}.items():
        plugins.add(plugin, name)
    settings = Settings.model_validate({"data_dir": tmp_path, "store": "memory:"})
    looked_at = [finding async for finding in findings(settings, plugins, [])]
    assert "account fake.shop" in [finding.what for finding in looked_at]
    assert shop.gateway is None, "doctor asks, and connects to nothing"
    async with open_runtime(settings, plugins) as runtime, serving(runtime):
        await shop.receive(shop.event(Said(text="/help")))
        await shop.until(lambda: shop.shown)


@pytest.mark.parametrize(
    ("shop", "why"),
    [(Mute("mute"), "a bug in a plugin"), (FakePlatform(), "taken"), (FakePlatform(42), "no name")],  # type: ignore[arg-type]
)
async def test_what_cannot_be_added_is_refused_and_nobody_else_is_touched(
    tmp_path: Path, shop: FakePlatform, why: str
) -> None:
    async with gateway(tmp_path) as runtime:
        with pytest.raises(Refused, match=why):
            await runtime.accounts.add(shop)
        await works(runtime.platforms["fake"])
        assert list(runtime.accounts) == list(runtime.platforms) == ["fake"]


async def works(network: Any) -> None:
    seen = len(network.shown)
    await network.receive(replace(network.event(Said(text="/help")), keys=(token(),)))
    await network.until(lambda: len(network.shown) > seen)


async def test_one_that_fails_to_start_ends_neither_the_gateway_nor_the_others(tmp_path: Path) -> None:
    async with gateway(tmp_path) as runtime:
        await runtime.accounts.add(Breaks("fake.broken"))

        async def is_lost() -> bool:
            return runtime.health()["fake.broken"].state == "backoff"

        await until(runtime, is_lost)
        assert "a bug in a plugin" in runtime.health()["fake.broken"].last_error
        await works(runtime.platforms["fake"])
        await runtime.accounts.remove("fake.broken")
        assert "fake.broken" not in runtime.health()


async def test_one_that_goes_for_good_takes_along_what_waits_for_it(tmp_path: Path) -> None:
    """Messages fail with the words, a job costs nothing, and later ones end as well, also after a restart."""
    backend = FakeBackend(hold=True)
    async with gateway(tmp_path, backend=backend) as runtime:
        shop = FakePlatform("fake.shop")
        await runtime.accounts.add(shop)
        await shop.receive(shop.event(Said(text="/make a fox")))
        await shop.until(lambda: shop.shown)
        shop.before_send = refuse_all
        await say(runtime, shop, "one")
        await runtime.accounts.remove("fake.shop", CLOSED)
        assert await words_of(runtime, "one") == ("failed", CLOSED)
        lease = await runtime.store.get(ACCOUNTS, "fake.shop")
        assert lease is not None
        assert not lease.owner, "given back at once"
        with pytest.raises(Unavailable):
            await runtime.receive(shop.event(Said(text="/help")))
        with pytest.raises(BadInput):
            await runtime.intake.read(FileRef(platform="fake.shop", ref="1", name="a.png"), "image")

        async def is_cancelled() -> bool:
            return not await runtime.store.find(JOBS, {"account": "fake.shop", "open": True}, order="created")

        await until(runtime, is_cancelled)
        await say(runtime, shop, "two")
        await works(runtime.platforms["fake"])
    async with gateway(tmp_path, Arcade()) as runtime:
        await runtime.accounts.remove("fake.shop", CLOSED)
        assert await words_of(runtime, "two") == ("failed", CLOSED)


async def test_what_arrives_late_for_one_that_went_ends_soon(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, Parts([FakePlatform()], [FakeBackend()]), clock=clock) as runtime:
        shop = FakePlatform("fake.shop")
        await runtime.accounts.add(shop)
        await runtime.accounts.remove("fake.shop", CLOSED)
        await say(runtime, shop, "late")
        assert await words_of(runtime, "late") == ("pending", "")
        await clock.advance(LOOK_SECONDS)
        await settle()
        assert await words_of(runtime, "late") == ("failed", CLOSED)


async def test_one_that_comes_back_under_its_name_is_heard_and_answers(tmp_path: Path) -> None:
    async with gateway(tmp_path) as runtime:
        for n in range(3):
            shop = FakePlatform("fake.shop")
            await runtime.accounts.add(shop)
            await shop.receive(replace(shop.event(Said(text=f"/make fox {n}")), keys=(token(),)))
            await shop.until(lambda shop=shop: shop.shown and shop.last.message.media)  # type: ignore[misc]
            await runtime.accounts.remove("fake.shop", CLOSED)
            await runtime.accounts.remove("fake.shop", CLOSED)
        assert not await runtime.store.find(ARRIVALS, {"state": "new"}, order="received")


async def test_what_is_unsent_waits_for_one_that_goes_for_a_moment(tmp_path: Path) -> None:
    async with gateway(tmp_path) as runtime:
        shop = FakePlatform("fake.shop")
        await runtime.accounts.add(shop)
        await shop.until(lambda: shop.gateway)
        await runtime.accounts.remove("fake.shop")
        await say(runtime, shop, "one")
        assert await words_of(runtime, "one") == ("pending", "")
        again = FakePlatform("fake.shop")
        await runtime.accounts.add(again)
        await again.until(lambda: again.texts == ["one"])


async def test_a_gateway_that_stops_takes_nobody_in(tmp_path: Path) -> None:
    async with gateway(tmp_path) as runtime:
        pass
    with pytest.raises(Unavailable):
        await runtime.accounts.add(FakePlatform("fake.shop"))


async def test_a_process_with_one_account_of_its_own_takes_nobody_in(tmp_path: Path) -> None:
    plugins, shop = Plugins(), FakePlatform("fake.shop")
    for name, plugin in {"parts": Parts(), "arcade": Arcade(shop)}.items():
        plugins.add(plugin, name)
    settings = Settings.model_validate({"data_dir": tmp_path, "store": "memory:"})
    async with open_runtime(settings, plugins, alone=True) as runtime:
        assert await runtime.attach(FakePlatform())
        async with serving(runtime):
            await works(runtime.platforms["fake"])
            assert list(runtime.accounts) == ["fake"]
            await runtime.accounts.remove("fake.shop", CLOSED)


async def test_coming_and_going_fifty_times_leaks_nothing(tmp_path: Path) -> None:
    def left() -> tuple[int, int, int]:
        gc.collect()
        threads = [thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]
        return len(asyncio.all_tasks()), len(threads), len(os.listdir("/proc/self/fd"))

    async with gateway(tmp_path) as runtime:

        async def live() -> None:
            shop = FakePlatform("fake.shop")
            await runtime.accounts.add(shop)
            await works(shop)
            await runtime.accounts.remove("fake.shop", CLOSED)

            async def is_quiet() -> bool:
                return not runtime.handling._tasks

            await until(runtime, is_quiet)

        await live()
        before = left()
        for _ in range(50):
            await live()
        after = left()
        assert all(now <= then for now, then in zip(after, before, strict=True)), (before, after)


def refuse_all(_: object) -> None:
    raise Unavailable("the network is away")


async def say(runtime: Runtime, network: FakePlatform, text: str) -> None:
    to = Address(chat=network.chat("elsewhere"), sender="fake:ada")
    await runtime.store.atomically(lambda tx: post(tx, to, [Reply(text=text)], cause=text))


async def words_of(runtime: Runtime, text: str) -> tuple[str, str]:
    """State and words of the message, as soon as nobody is about to change them."""

    async def row() -> Message | None:
        rows = await runtime.store.find(MESSAGES, order="created")
        return next((one for one in rows if one.reply.text == text), None)

    found = await until(runtime, row)
    return found.state, found.words
