"""What goes wrong in one part leaves the gateway running, and what was registered wrongly is named."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatelier import JOBS, Capabilities, OperatorMust, Published, Said, Settings, Unavailable, hookimpl
from chatelier.core.gateway import Patience, Runtime, open_runtime
from chatelier.core.plugins import Plugins
from chatelier.core.storage import Hints
from chatelier.core.supervise import Supervised
from chatelier.core.testing.backend import FakeBackend
from chatelier.core.testing.clock import FakeClock, settle
from chatelier.core.testing.gateway import PICTURE, Parts, running
from chatelier.core.testing.platform import FakePlatform
from chatelier.core.testing.store import FakeStore


def plugin(hook: str, thing: object) -> object:
    def method(self: object, register: Callable[[Any], None], settings: Any) -> None:
        register(thing)

    return type("Broken", (), {hook: hookimpl(method)})()


class Mute(FakePlatform):
    def capabilities(self, chat: object = None) -> Capabilities:
        raise ZeroDivisionError("a bug in a plugin")


@pytest.mark.parametrize(
    ("hook", "thing"),
    [
        ("register_backends", "x"),
        ("register_platforms", Mute("mute")),
        ("register_commands", "x"),
        ("register_workflow_sources", "x"),
    ],
)
async def test_what_is_registered_wrongly_is_named_and_the_rest_runs(tmp_path: Path, hook: str, thing: object) -> None:
    network, backend = FakePlatform(), FakeBackend()
    async with running(tmp_path, Parts([network], [backend]), plugin(hook, thing)) as runtime:
        assert any("other0" in problem for problem in runtime.problems)
        await network.receive(network.event(Said(text="/make a fox")))
        await network.until(lambda: network.shown and network.last.message.media)


async def test_a_route_that_is_none_is_named_and_left_out(tmp_path: Path) -> None:
    async with opened(tmp_path, Parts(), plugin("register_routes", "x")) as runtime:
        assert runtime.routes() == []
        assert any("part1" in problem for problem in runtime.problems)


async def test_a_part_that_swallows_its_cancellation_is_stopped_all_the_same() -> None:
    begun = asyncio.Event()

    async def stubborn() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    life = asyncio.create_task(Supervised("stubborn", stubborn, FakeClock()).run())
    await begun.wait()
    life.cancel()
    done, _ = await asyncio.wait({life}, timeout=5)
    assert done
    assert life.cancelled()


@asynccontextmanager
async def opened(folder: Path, *parts: object) -> AsyncIterator[Runtime]:
    """A gateway that does not wait long for anybody."""
    plugins = Plugins()
    for n, part in enumerate(parts):
        plugins.add(part, f"part{n}")
    settings = Settings.model_validate({"data_dir": folder, "store": "memory:"})
    async with open_runtime(settings, plugins, patience=Patience(start=0.05, stop=0.05, publish=0.05)) as runtime:
        yield runtime


class Hangs:
    def __init__(self, where: str) -> None:
        self.where = where

    @hookimpl
    def lifespan(self, gateway: Runtime) -> AbstractAsyncContextManager[None]:
        @asynccontextmanager
        async def life() -> AsyncIterator[None]:
            if self.where == "begin":
                await asyncio.Event().wait()
            yield
            await asyncio.Event().wait()

        return life()


@pytest.mark.parametrize("where", ["begin", "stop"])
async def test_a_plugin_that_hangs_is_named_and_holds_up_neither_start_nor_stop(tmp_path: Path, where: str) -> None:
    async with asyncio.timeout(5), opened(tmp_path, Parts(), Hangs(where)) as runtime:
        pass
    assert any("part1" in problem and f"not {where}" in problem for problem in runtime.problems)


class Own(BaseException):
    """Caught by nothing that catches errors."""


async def pass_until(clock: FakeClock, found: Callable[[], Any]) -> None:
    for _ in range(200):
        if found():
            return
        await clock.advance(1)
        await settle()
    raise AssertionError("it never happened")


class Quits(FakePlatform):
    """Its first run ends the program, if nobody is in the way."""

    runs = 0

    async def run(self, gateway: Any) -> None:
        self.runs += 1
        if self.runs == 1:
            sys.exit(3)
        await super().run(gateway)

    async def publish(self, commands: Sequence[Published]) -> None:
        sys.exit(3)


@pytest.mark.parametrize("error", [SystemExit(3), Own()])
async def test_a_network_that_would_end_the_program_ends_nothing(tmp_path: Path, error: BaseException) -> None:
    network, backend = Quits(), FakeBackend()
    faults = [error, error]

    def fail(_: object) -> None:
        if faults:
            raise faults.pop()

    async def fail_always(_: object) -> None:
        raise error

    network.before_send, network.before_signal = fail, fail_always
    clock = FakeClock()
    async with running(tmp_path, Parts([network], [backend]), clock=clock):
        await pass_until(clock, lambda: network.gateway)
        await network.receive(network.event(Said(text="/make a fox")))
        await pass_until(clock, lambda: network.shown and network.last.message.media)
    assert network.runs > 1
    assert not faults


@pytest.mark.parametrize("error", [SystemExit(3), Own()])
async def test_a_backend_that_would_end_the_program_ends_nothing(tmp_path: Path, error: BaseException) -> None:
    network, clock = FakePlatform(), FakeClock()
    good, bad = FakeBackend("good"), FakeBackend("bad")

    async def fail(*_: object) -> None:
        raise error

    bad.before_describe = bad.before_submit = bad.before_find = bad.run = fail  # type: ignore[method-assign] # it never returns
    good.before_fetch = fail
    async with running(tmp_path, Parts([network], [good, bad]), clock=clock) as runtime:
        await pass_until(clock, lambda: network.gateway)
        await network.receive(network.event(Said(text="/make a fox")))
        await pass_until(clock, lambda: good.submissions)
        await pass_until(clock, lambda: runtime.health()["bad"].state == "backoff")
        good.before_fetch = FakeBackend().before_fetch
        await pass_until(clock, lambda: network.last.message.media)


class Slow(FakePlatform):
    async def publish(self, commands: Sequence[Published]) -> None:
        await asyncio.Event().wait()


async def test_a_network_that_takes_no_commands_does_not_keep_them_from_the_next(tmp_path: Path) -> None:
    told = asyncio.Event()

    class Quick(FakePlatform):
        async def publish(self, commands: Sequence[Published]) -> None:
            told.set()

    async with opened(tmp_path, Parts([Slow("slow"), Quick("quick")])) as runtime:
        stop = asyncio.Event()
        serving = asyncio.create_task(runtime.serve(stop))
        await asyncio.wait_for(told.wait(), 5)
        stop.set()
        await serving


async def test_problems_with_workflows_are_those_of_now(tmp_path: Path) -> None:
    bad = replace(PICTURE, name="Not A Name")
    parts = Parts(workflows=[bad])
    async with opened(tmp_path, parts) as runtime:
        before = runtime.problems
        assert before
        runtime.catalogue.listeners[0]()
        assert list(runtime.problems) == list(before)


@pytest.mark.parametrize("error", [Unavailable("busy"), OperatorMust("the disk is full")])
async def test_a_store_that_cannot_be_asked_has_moved_nothing(error: Exception) -> None:
    async def look() -> None:
        raise error

    clock = FakeClock()
    waiting = asyncio.create_task(Hints(clock, look).watch([JOBS], inserted=False).wait(1))
    await clock.advance(2)
    assert await waiting is False


async def test_a_damaged_store_is_said_by_readyz_and_ends_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, Parts()) as runtime:
        assert isinstance(runtime.store, FakeStore)
        runtime.store.trouble = OperatorMust("damaged")
        condition = await runtime.condition()
    assert not condition.ready
    assert condition.store == "damaged"


async def test_a_data_folder_that_cannot_be_used_is_said_in_words_whatever_the_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorMust, match="data_dir"):
        async with opened(tmp_path / "file" / "below", Parts()):
            raise AssertionError("it opened")
