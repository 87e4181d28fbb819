"""What plugins are told afterwards: in order, within bounds, and nobody waits for a slow one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chatelier import hookimpl
from chatelier.core.plugins import Plugins
from chatelier.core.telling import Telling
from test_plugins import Hooks


class Hears:
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.moved = asyncio.Event()

    @hookimpl
    async def watched(self, job: str) -> None:
        self.heard.append(job)
        self.moved.set()

    async def until(self, count: int) -> list[str]:
        async with asyncio.timeout(5):
            while len(self.heard) < count:
                self.moved.clear()
                await self.moved.wait()
        return self.heard


class Hangs:
    @hookimpl
    async def watched(self, job: str) -> None:
        await asyncio.Event().wait()


class Fails(Hears):
    @hookimpl
    async def watched(self, job: str) -> None:
        await super().watched(job)
        raise RuntimeError("heard enough")


class Deaf:
    @hookimpl
    def price(self, job: str) -> None:
        raise AssertionError("it is asked nothing")


def telling_to(*plugins: object, seconds: float = 5.0, most: int = 10) -> Telling:
    known = Plugins(hooks=Hooks)
    for plugin in plugins:
        known.add(plugin, type(plugin).__name__)
    return Telling(known, seconds=seconds, most=most)


@asynccontextmanager
async def under_way(telling: Telling) -> AsyncIterator[None]:
    task = asyncio.create_task(telling.run())
    yield
    task.cancel()
    await asyncio.wait({task})


async def test_each_is_told_everything_in_order_whatever_another_does() -> None:
    hears, fails = Hears(), Fails()
    telling = telling_to(Hangs(), fails, Deaf(), hears)
    async with under_way(telling):
        for n in range(5):
            telling.tell("watched", job=str(n))
        assert await hears.until(5) == await fails.until(5) == list("01234")


async def test_one_that_hangs_is_told_the_next_thing_after_its_time() -> None:
    class HangsOnce(Hears):
        @hookimpl
        async def watched(self, job: str) -> None:
            await super().watched(job)
            if job == "0":
                await asyncio.Event().wait()

    slow = HangsOnce()
    telling = telling_to(slow, seconds=0.01)
    async with under_way(telling):
        telling.tell("watched", job="0")
        telling.tell("watched", job="1")
        assert await slow.until(2) == ["0", "1"]


@pytest.mark.parametrize("most", [1, 3])
async def test_a_full_queue_drops_the_oldest_and_counts_it(most: int) -> None:
    hears = Hears()
    telling = telling_to(hears, most=most)
    for n in range(5):
        telling.tell("watched", job=str(n))
    assert telling.lost == {"Hears": 5 - most}
    async with under_way(telling):
        assert await hears.until(most) == [str(n) for n in range(5)][-most:]


async def test_telling_returns_at_once_and_a_hook_that_nobody_has_costs_nothing() -> None:
    telling = telling_to(Deaf())
    for n in range(100):
        telling.tell("watched", job=str(n))
    assert telling.lost == {}
