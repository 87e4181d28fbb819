"""What must always run runs again after a loss, and what stands in its way is named."""

import asyncio
import io
import json
import threading
import time
import types
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from chatelier import OperatorMust, Retry
from chatelier.core.clock import Timer
from chatelier.core.supervise import HEALTHY_SECONDS, LONGEST_SECONDS, Supervised, Watchdog, guarded, reason
from chatelier.core.testing.logs import sent_to

START = datetime(2026, 1, 1, tzinfo=UTC)


class HandClock:
    """Turned by hand; a sleep passes at once and is noted."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return START + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += seconds
        await asyncio.sleep(0)

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        raise NotImplementedError


class Scripted:
    """A part that does one step a run, then stays on line."""

    def __init__(self, *steps: Callable[[], Awaitable[None]] | Exception) -> None:
        self.steps = list(steps)
        self.steady = asyncio.Event()

    async def __call__(self) -> None:
        if not self.steps:
            self.steady.set()
            await asyncio.Event().wait()
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        await step()


def supervised(part: Callable[[], Awaitable[None]], clock: HandClock, *, announces: bool = False) -> Supervised:
    return Supervised("web", part, clock, announces=announces, jitter=lambda: 1.0)


async def settle(task: asyncio.Task[None], supervised: Supervised, state: str) -> None:
    """Let the loop turn until the part is in this state."""
    while supervised.health.state != state:
        assert not task.done()
        await asyncio.sleep(0)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def run_until_steady(part: Scripted, clock: HandClock) -> Supervised:
    one = supervised(part, clock)
    task = asyncio.create_task(one.run())
    await part.steady.wait()
    health = one.health
    await stop(task)
    assert one.health.state == "stopped"
    one.health = health
    return one


async def test_each_loss_waits_twice_as_long_up_to_a_minute() -> None:
    clock = HandClock()
    part = Scripted(*[ConnectionError("reset")] * 9)
    one = await run_until_steady(part, clock)
    assert clock.slept[0] == 1
    assert all(
        later == min(2 * earlier, LONGEST_SECONDS) for earlier, later in zip(clock.slept, clock.slept[1:], strict=False)
    )
    assert clock.slept[-1] == LONGEST_SECONDS
    assert (one.health.state, one.health.restarts) == ("up", 9)
    assert one.health.last_error == "ConnectionError: reset"
    assert one.health.since == clock.now()


async def test_a_pause_is_shortened_by_chance_so_that_not_all_come_back_at_once() -> None:
    clock = HandClock()
    part = Scripted(ConnectionError("reset"))
    one = Supervised("web", part, clock, jitter=lambda: 0.0)
    task = asyncio.create_task(one.run())
    await part.steady.wait()
    await stop(task)
    assert clock.slept == [0.5]


async def test_a_minute_of_health_forgets_the_losses_before() -> None:
    clock = HandClock()

    async def healthy() -> None:
        clock.passed += HEALTHY_SECONDS
        raise ConnectionError("reset")

    loss = ConnectionError("reset")
    await run_until_steady(Scripted(loss, loss, healthy, loss), clock)
    assert clock.slept == [1, 2, 1, 2]


async def test_ending_by_itself_is_a_loss_too() -> None:
    async def ends() -> None: ...

    one = await run_until_steady(Scripted(ends), HandClock())
    assert one.health.last_error == "it ended by itself"
    assert one.health.restarts == 1


async def test_the_other_sides_wish_to_wait_is_honoured() -> None:
    clock = HandClock()
    await run_until_steady(Scripted(Retry(300), ExceptionGroup("two", [OSError("x"), Retry(400)])), clock)
    assert clock.slept == [300, 400]


async def test_a_cancelled_part_of_the_part_is_a_loss_not_the_end() -> None:
    async def awaits_cancelled() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    one = await run_until_steady(Scripted(awaits_cancelled), HandClock())
    assert one.health.last_error == "it was cancelled from within"


class Own(BaseException):
    """Of a plugin's own."""


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), Own("odd")])
@pytest.mark.parametrize("is_plain", [False, True])
async def test_what_would_end_the_program_is_a_loss_not_the_end(error: BaseException, *, is_plain: bool) -> None:
    async def ends() -> None:
        raise error

    def ends_when_called() -> Awaitable[None]:
        raise error

    one = await run_until_steady(Scripted(ends_when_called if is_plain else ends), HandClock())
    assert type(error).__name__ in one.health.last_error


async def test_work_that_is_closed_in_the_middle_ends_quietly() -> None:
    gone = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()

    work = guarded(waits())
    work.send(None)
    work.close()
    assert gone.is_set()


async def test_an_interruption_by_the_operator_passes() -> None:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await guarded(interrupted())


def test_the_reason_of_an_error_without_words_is_its_name() -> None:
    class Wordless(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    assert reason(BaseExceptionGroup("tasks", [Wordless(), Own("later")])).startswith("Wordless")
    assert reason(OperatorMust("set a token")) == "set a token"


@pytest.mark.parametrize("group", [False, True])
async def test_a_wrong_setting_is_said_once_and_not_tried_again(*, group: bool) -> None:
    error: Exception = OperatorMust("platforms.web.token: the network does not know it")
    clock, stream = HandClock(), io.StringIO()
    part = Scripted(ExceptionGroup("tasks", [error]) if group else error)
    one = supervised(part, clock)
    with sent_to(stream):
        task = asyncio.create_task(one.run())
        await settle(task, one, "stopped by a setting")
        for _ in range(20):
            await asyncio.sleep(0)
    assert one.health.last_error == str(error)
    assert not one.health.well
    assert not clock.slept
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["level"] for line in said].count("error") == 1
    await stop(task)


async def test_a_part_that_announces_is_up_only_when_it_says_so() -> None:
    clock = HandClock()
    part = Scripted()
    one = supervised(part, clock, announces=True)
    assert one.health.well
    task = asyncio.create_task(one.run())
    await part.steady.wait()
    assert one.health.state == "starting"
    clock.passed += 5
    one.up("as @fox")
    clock.passed += 5
    one.up("as @vixen")
    one.up()
    assert (one.health.state, one.health.detail) == ("up", "as @vixen")
    assert one.health.since == START + timedelta(seconds=5)
    await stop(task)


async def test_an_error_is_shown_without_its_secrets() -> None:
    url = "https://api.telegram.org/bot123456:AAFcanary/getMe"
    one = await run_until_steady(Scripted(RuntimeError(f"no route to {url}")), HandClock())
    assert "canary" not in one.health.last_error
    assert "no route" in one.health.last_error


async def test_the_backoff_says_when_it_ends() -> None:
    class Held(HandClock):
        async def sleep(self, seconds: float) -> None:
            await asyncio.Event().wait()

    one = supervised(Scripted(ConnectionError("reset")), Held())
    task = asyncio.create_task(one.run())
    await settle(task, one, "backoff")
    assert one.health.again_at == START + timedelta(seconds=1)
    await stop(task)


def blocking_plugin() -> types.ModuleType:
    module = types.ModuleType("blocking_plugin")
    code = """
import time

def block(noticed):
    until = time.monotonic() + 20
    while not noticed() and time.monotonic() < until:
        time.sleep(0.005)
"""
    exec(compile(code, "blocking_plugin.py", "exec"), module.__dict__)  # noqa: S102 - a module of the test's own
    return module


def owner_of(module: str) -> str:
    return "sleepy" if module == "blocking_plugin" else ""


async def test_the_plugin_that_blocks_the_loop_is_named_once_a_stall() -> None:
    stream = io.StringIO()
    plugin = blocking_plugin()
    with sent_to(stream):
        async with Watchdog(owner_of, seconds=0.05) as watchdog:
            plugin.block(lambda: len(watchdog.stalls) == 1)
            later = time.monotonic() + 0.15
            plugin.block(lambda: time.monotonic() > later)
            await asyncio.sleep(0.03)
            plugin.block(lambda: len(watchdog.stalls) == 2)
    first, second = watchdog.stalls
    assert first.plugin == second.plugin == "sleepy"
    assert first.where.startswith("blocking_plugin.py:")
    assert first.where.endswith("block")
    assert first.seconds >= 0.05
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["plugin"] for line in said] == ["sleepy", "sleepy"]


async def test_a_stall_of_the_gateways_own_is_named_by_its_place() -> None:
    async with Watchdog(lambda _: "", seconds=0.05) as watchdog:
        until = time.monotonic() + 20
        while not watchdog.stalls and time.monotonic() < until:
            pause = time.monotonic() + 0.2
            while time.monotonic() < pause:  # busy, so that it stands here and in nobody's `sleep`
                pass
    assert watchdog.stalls[0].plugin == ""
    assert __file__ in watchdog.stalls[0].where


async def test_a_loop_that_turns_is_left_alone_and_the_thread_ends() -> None:
    before = threading.active_count()
    async with Watchdog(owner_of, seconds=5) as watchdog:
        await asyncio.sleep(0)
        assert not watchdog.stalled
    assert not watchdog.stalls
    assert threading.active_count() <= before + 1  # asyncio.to_thread keeps one worker
