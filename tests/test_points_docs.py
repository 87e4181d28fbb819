"""The examples of docs/points.md come to what is said there."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chatelier.core.points.allowance import Allowance
from chatelier.core.points.charging import Charges, Run, accept, settle
from chatelier.core.points.ledger import BALANCES, Balance, allowance_of, pool_of, purchased_of
from chatelier.core.points.moves import buy, donate, give
from chatelier.core.points.prices import Price, Quote
from chatelier.core.points.report import free_now
from chatelier.core.points.scenarios import Floors, Payer, set_mode
from chatelier.testing import FakeClock, FakeStore
from points_script import LEDGER

PAGE = (Path(__file__).parents[1] / "docs" / "points.md").read_text("utf-8")
LINES = re.search(r"```points\n(.*?)```", PAGE, re.DOTALL)
POINT = 1_000
ALLOWANCE = Allowance(maximum=370 * POINT)
PRICE = Price(second=3 * POINT)
GROUP = "square"


@dataclass
class Tale:
    store: FakeStore
    clock: FakeClock
    number: int = 0
    order: str = ""
    hold: int = 0
    payer: Payer = field(default_factory=lambda: Payer(scenario="standard", sources=()))
    written_off: int = 0

    async def tell(self, what: str) -> None:
        self.number += 1
        n = self.number
        match what.split():
            case [_, "orders", points, *group]:
                self.order, self.hold = f"order {n}", int(points) * POINT
                quote = Quote(price=PRICE, likely=self.hold, hold=self.hold)
                charges = Charges(quotes=[quote], allowance=ALLOWANCE, floors=Floors(), group=GROUP if group else "")
                self.payer = await self.store.atomically(lambda tx: accept(tx, self.order, "ada", charges, "chat"))
            case ["it", "ran", "for", seconds, "s"]:
                await self._end(PRICE.cost(int(seconds) * 1_000))
            case ["it", "failed"]:
                await self._end(0)
            case ["@", *moment]:
                found = re.findall(r"(\d+) (h|min)", " ".join(moment))
                at = sum(int(number) * {"h": 3600, "min": 60}[unit] for number, unit in found)
                await self.clock.advance(at - self.clock.monotonic())
            case [who, "buys", points]:
                await self.store.atomically(
                    lambda tx: buy(tx, who, int(points) * POINT, provider="test", charge=str(n))
                )
            case [who, "gives", other, points]:
                await self.store.atomically(lambda tx: give(tx, who, other, int(points) * POINT, key=str(n)))
            case [who, "donates", points]:
                await self.store.atomically(lambda tx: donate(tx, who, GROUP, int(points) * POINT, key=str(n)))
            case ["the", "group", "is", "set", "to", mode]:
                await self.store.atomically(lambda tx: set_mode(tx, GROUP, mode))
            case _:
                raise AssertionError(f"nobody knows what it means: {what}")

    async def _end(self, cost: int) -> None:
        run = Run(job=f"job {self.number}", share=self.hold, cost=cost)
        (charged,) = await self.store.atomically(
            lambda tx: settle(tx, self.order, self.payer, [run], actor="ada", is_last=True)
        )
        self.written_off += charged.written_off

    async def has(self, what: str) -> float:
        match what.split():
            case ["allowance"]:
                balance = await self.store.get(BALANCES, allowance_of("ada")) or Balance(key=allowance_of("ada"))
                return free_now(balance, ALLOWANCE, self.clock.now()) / POINT
            case ["purchased"]:
                return await self._free(purchased_of("ada"))
            case ["bob's", "purchased"]:
                return await self._free(purchased_of("bob"))
            case ["pool"]:
                return await self._free(pool_of(GROUP))
        raise AssertionError(f"nobody knows what it means: {what}")

    async def _free(self, account: str) -> float:
        balance = await self.store.get(BALANCES, account)
        return balance.free / POINT if balance else 0


async def test_the_examples_come_to_what_they_say() -> None:
    assert LINES is not None
    clock = FakeClock()
    async with FakeStore(LEDGER, clock) as store:
        assert clock.now().timestamp() % 900 == 0  # a cycle begins as the clock does
        tale = Tale(store, clock)
        for line in LINES.group(1).splitlines():
            happens, _, comes_to = line.partition("|")
            await tale.tell(happens.strip())
            for one in comes_to.split(","):
                what, _, amount = one.strip().rpartition(" ")
                assert await tale.has(what) == pytest.approx(float(amount), abs=0.0005), line
    assert tale.written_off == 20 * POINT
