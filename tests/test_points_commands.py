"""Points as people meet them: what a picture costs, who pays it, and the commands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from chatelier import JOBS, ChatChanged, Job, Kind, Record, Runtime, Said, Store, Tx
from chatelier.core.chat.outbox import Address
from chatelier.core.generation.agreement import disagreements
from chatelier.core.generation.backend import Ended, Output
from chatelier.core.generation.jobs import ATTEMPTS, ORDERS
from chatelier.core.generation.orders import Bounds, Terms, Wanted, draft, take
from chatelier.core.people.people import PEOPLE
from chatelier.core.points.audit import audit
from chatelier.core.points.ledger import HOLDS, free_in, pool_of, purchased_of
from chatelier.core.points.moves import VOUCHERS, buy, donate
from chatelier.core.points.payments import SALES, Sale
from chatelier.core.points.scenarios import set_mode
from chatelier.core.settings import Settings
from chatelier.core.workflows.workflow import Workflow
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.plugins.points import Plugin as PointsPlugin
from chatelier.testing import PICTURE, FakeBackend, FakePlatform, Parts, running

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
POINT = 1_000
FILM = replace(PICTURE, name="film", title="Film", category="to video")
SCULPT = replace(PICTURE, name="sculpt", title="Sculpt")


@dataclass
class Town:
    """People who talk to one gateway, alone or in the group "square"."""

    runtime: Runtime
    network: FakePlatform
    backend: FakeBackend

    async def say(self, text: str, who: str = "ada", *, group: bool = False, admin: bool = False, **said: Any) -> str:
        before = set(self.network.shown)
        chat = "square" if group else f"{who}'s"
        event = self.network.event(Said(text=text, **said), sender=who, chat=chat, direct=not group)
        await self.network.receive(replace(event, admin=admin))
        await self.network.until(lambda: set(self.network.shown) - before)
        return "\n".join(shown.text for key, shown in self.network.shown.items() if key not in before)

    async def account(self) -> str:
        before = set(self.network.shown)
        await self.network.receive(self.network.event(Said(text="/account"), chat="ada's"))

        def told() -> list[str]:
            return [one.text for key, one in self.network.shown.items() if key not in before and " of 370" in one.text]

        await self.network.until(told)
        return told()[0]

    async def make(self, seconds: float, text: str = "/make a fox", **how: Any) -> Job:
        """Order it, and let it run so long."""
        await self.say(text, **how)
        return await self.end(seconds)

    async def end(self, seconds: float = 0, **ended: Any) -> Job:
        (job,) = await self.runtime.store.find(JOBS, {"open": True}, order="created")
        await self.network.until(lambda: any(run.ended is None for run in self.backend.runs.values()))
        told: dict[str, Any] = {
            "state": "done",
            "outputs": (Output(n=0, node="1", name="fake.png"),),
            "started_at": START,
            "ended_at": START + timedelta(seconds=seconds),
        }
        before = len(self.network.shown)
        self.backend.finish(ended=Ended(**{**told, **ended}))
        await self.network.until(lambda: len(self.network.shown) >= before and not self._is_open(job.key))
        found = await self.runtime.store.get(JOBS, job.key)
        assert found is not None
        while found.open:
            await self.network.moved.wait()
            found = await self.runtime.store.get(JOBS, job.key)
            assert found is not None
        return found

    async def is_for(self, attempt: str, job: str) -> bool:
        row = await self.runtime.store.get(ATTEMPTS, attempt)
        return row is not None and row.job == job

    async def closed(self, key: str) -> None:
        changes = self.runtime.store.changes(JOBS)
        while (job := await self.runtime.store.get(JOBS, key)) is not None and job.open:
            await changes.wait(5)

    def _is_open(self, job: str) -> bool:
        return job in self.runtime.dispatcher.running

    async def person(self, who: str = "ada") -> str:
        return (await self.runtime.handling._who(self.network.event(Said(text=""), sender=who)))[0].key

    async def fill(self, points: int, who: str = "ada") -> None:
        person = await self.person(who)
        await self.runtime.store.atomically(
            lambda tx: buy(tx, person, points * POINT, provider="test", charge=f"{who} {points}")
        )

    async def purchased(self, who: str = "ada") -> int:
        return await free_in(self.runtime.store, purchased_of(await self.person(who)))

    async def pool(self) -> int:
        return await free_in(self.runtime.store, pool_of("fake/square"))


@asynccontextmanager
async def town(tmp_path: Path, *, hold: bool = True, **settings: Any) -> AsyncIterator[Town]:
    network, backend = FakePlatform(), FakeBackend(hold=hold)
    parts = Parts([network], [backend], [PICTURE, FILM, SCULPT])
    async with running(tmp_path, parts, Essentials(), PointsPlugin(), settings=settings) as runtime:
        yield Town(runtime, network, backend)
        assert await audit(runtime.store) == []
        assert await disagreements(runtime.store) == []


async def test_a_picture_costs_what_it_took_and_no_more(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        job = await at.make(10.0004)
        assert (job.run_ms, job.cost) == (10_000, 30 * POINT)
        assert "340 of 370 points" in await at.say("/account")
        assert await at.runtime.store.find(HOLDS, order="key") == []


@pytest.mark.parametrize(
    "ended",
    [{"state": "failed", "words": "no"}, {"outputs": ()}, {"state": "cancelled"}],
    ids=["failed", "nothing came of it", "stopped there"],
)
async def test_no_output_no_charge(tmp_path: Path, ended: dict[str, Any]) -> None:
    async with town(tmp_path) as at:
        await at.say("/make a fox")
        assert "280 of 370" in await at.say("/account")
        job = await at.end(100, **ended)
        assert (job.state, job.cost) == ("failed", 0)
        assert "370 of 370" in await at.say("/account")


async def test_a_backend_that_never_said_that_it_began_makes_no_price(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        job = await at.make(10, text="/make a fox")
        assert job.cost == 30 * POINT
        await at.say("/make another")
        job = await at.end(started_at=None, ended_at=None)
        assert job.cost >= 0
        assert "of 370" in await at.say("/account")


async def test_what_nobody_can_pay_is_refused_with_a_way_out(tmp_path: Path) -> None:
    async with town(tmp_path, points={"workflows": {"make": {"second": 20}}}) as at:
        said = await at.say("/make a fox")
        assert "needs 600 points" in said
        assert "/redeem" in said
        assert await at.runtime.store.find(JOBS, order="created") == []


async def test_a_cancelled_one_gives_everything_back(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        await at.say("/make a fox")
        await at.say("/cancel")
        await at.network.until(lambda: any("cost nothing" in one.text for one in at.network.shown.values()))
        assert "370 of 370" in await at.say("/account")


@pytest.mark.parametrize(
    ("points", "command", "seconds", "cost"),
    [
        ({}, "film", 10, 90),
        ({"workflows": {"sculpt": {"second": 1, "run": 5}}}, "sculpt", 7, 12),
        ({"workflows": {"sculpt": {"second": 2, "multiplier": 1.5}}}, "sculpt", 3, 9),
        ({"workflows": {"sculpt": {"gpu": "A10G"}}}, "sculpt", 10, 10),
        ({"price": {"token": 0.01}}, "sculpt", 10, 1.2),
        ({"price": {"second": 0.002}}, "sculpt", 1.001, 0.003),
    ],
)
async def test_prices(tmp_path: Path, points: dict[str, Any], command: str, seconds: float, cost: float) -> None:
    async with town(tmp_path, points=points) as at:
        await at.say(f"/{command} a fox")
        job = await at.end(seconds, tokens=120)
        assert job.cost == -int(-cost * POINT // 1)


async def test_a_flat_price_takes_purchased_points_only(tmp_path: Path) -> None:
    async with town(tmp_path, points={"workflows": {"sculpt": {"flat": 50}}}) as at:
        assert "Only purchased points" in await at.say("/sculpt a fox")
        await at.fill(60)
        job = await at.make(200, text="/sculpt a fox")
        assert job.cost == 50 * POINT
        assert await at.purchased() == 10 * POINT
        assert "370 of 370" in await at.say("/account")


async def test_a_quote_says_what_it_costs_and_makes_nothing(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        assert "likely cost 90 points" in await at.say("/make --quote a fox")
        for seconds in (2, 4):
            await at.make(seconds)
        said = await at.say("/make a fox --quote")
        assert "likely cost 9 points" in said
        assert "18 points would be set aside" in said
        assert len(await at.runtime.store.find(JOBS, order="created")) == 2


async def test_an_order_that_is_not_cheap_says_so_on_its_card(tmp_path: Path) -> None:
    async with town(tmp_path, points={"quote_over": 80}) as at:
        assert "about 90 points" in await at.say("/make a fox")


async def test_switched_off_everything_is_free_and_nothing_is_written(tmp_path: Path) -> None:
    async with town(tmp_path, points={"enabled": False}) as at:
        job = await at.make(1_000)
        assert (job.cost, job.price) == (0, None)
        assert "everything is free" in await at.say("/make a fox --quote")
        assert "no command" in (await at.say("/account")).lower()


# --- groups


async def test_an_admin_says_how_a_group_pays(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        assert "ghost" in await at.say("/group", group=True)
        assert "Only admins" in await at.say("/group accounting house", group=True)
        assert "the pool pays for everybody" in await at.say("/group accounting house", group=True, admin=True)
        assert "pool of this group has 0" in await at.say("/make a fox", group=True)
        await at.fill(200, "bob")
        assert "The pool has 150 points" in await at.say("/donate 150", "bob", group=True)
        job = await at.make(10, group=True)
        assert job.cost == 30 * POINT
        assert await at.pool() == 120 * POINT
        assert "370 of 370" in await at.say("/account")
        assert "for groups" in await at.say("/donate 5", "bob")


async def test_who_pays_is_decided_by_where_it_was_said(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        await at.fill(500, "bob")
        bob = await at.person("bob")
        await at.runtime.store.atomically(lambda tx: donate(tx, bob, "fake/square", 400 * POINT, key="e"))
        await at.runtime.store.atomically(lambda tx: set_mode(tx, "fake/square", "user"))
        await at.make(10)
        assert await at.pool() == 400 * POINT
        job = await at.make(20, group=True)
        assert job.cost == 60 * POINT
        assert await at.pool() == 400 * POINT
        assert "280 of 370" in await at.say("/account")
        await at.make(200, group=True)  # more than the allowance has
        assert await at.pool() == 80 * POINT


async def test_a_group_that_moves_keeps_its_pool_and_its_setting(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        await at.fill(200, "bob")
        await at.say("/group accounting house", group=True, admin=True)
        await at.say("/donate 150", "bob", group=True)
        for _ in range(2):
            moved = at.network.event(
                ChatChanged(what="migrated", to="forum"), sender="bob", chat="square", direct=False
            )
            await at.network.receive(moved)
        await at.runtime.handling.drained()
        assert await at.pool() == 0
        assert await free_in(at.runtime.store, pool_of("fake/forum")) == 150 * POINT
        asked = at.network.event(Said(text="/group"), chat="forum", direct=False)
        await at.network.receive(asked)
        await at.network.until(lambda: any("house: the pool pays" in one.text for one in at.network.shown.values()))


async def test_the_limits_of_a_group_are_shared_by_its_people(tmp_path: Path) -> None:
    limits = {"group_open_orders": 2, "group_daily_orders": 3}
    async with town(tmp_path, hold=True, limits=limits) as at:
        await at.say("/make a fox", "ada", group=True)
        await at.say("/make a fox", "bob", group=True)
        assert "people of this group have 2 orders open" in await at.say("/make a fox", "cy", group=True)
        await at.say("/make a fox", "cy")  # alone they are not bound by it
        assert len(await at.runtime.store.find(ORDERS, order="created")) == 3
        at.backend.hold = False
        at.backend.finish()
        await at.network.until(lambda: not at.runtime.dispatcher.running)
        await at.say("/make a fox", "cy", group=True)
        said = await at.say("/make a fox", "cy", group=True)
        assert "3 orders today" in said
        assert "00:00 UTC" in said


# --- moving them


async def test_a_gift_goes_to_who_is_answered_or_named_or_becomes_a_code(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        await at.fill(100)
        await at.say("/account", "bob")
        assert "10 points given to bob" in await at.say("/gift 10", answered="fake:bob")
        assert "5.5 points given to bob" in await at.say("/gift 5.5 fake:bob")
        assert await at.purchased("bob") == 15_500
        assert "was never here" in await at.say("/gift 5 fake:nobody")
        code = (await at.say("/gift 20")).split("/redeem ")[1].split()[0]
        assert await at.purchased() == 64_500
        assert "20 points are yours" in await at.say(f"/redeem {code.lower()}", "bob")
        assert "already" in await at.say(f"/redeem {code}")
        assert await at.purchased("bob") == 35_500


async def test_a_code_is_made_where_nobody_else_reads(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        await at.fill(100)
        assert "write to me directly" in await at.say("/gift 60", group=True)
        assert await at.purchased() == 100 * POINT
        assert "/redeem" in await at.say("/gift 60")


@pytest.mark.parametrize("amount", ["0", "-5", "1.2345", "many", "1e9", "99999999999999", "NaN", "0,500", "12,50"])
async def test_what_is_no_amount_moves_nothing(tmp_path: Path, amount: str) -> None:
    async with town(tmp_path) as at:
        await at.fill(100)
        assert "no amount" in await at.say(f"/gift {amount} fake:bob")
        assert await at.purchased() == 100 * POINT


async def test_nobody_gives_what_they_have_not(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        await at.say("/account", "bob")
        assert "You have 0 points that can be moved, not 10" in await at.say("/gift 10 fake:bob")
        assert "cannot give points to yourself" in await at.say("/gift 10 fake:ada")


async def test_an_operator_grants_and_nobody_else(tmp_path: Path) -> None:
    async with town(tmp_path, operators=["fake:op"]) as at:
        await at.say("/account", "bob")
        assert "operator" in (await at.say("/grant fake:bob 10")).lower()
        assert "10 points granted to bob" in await at.say('/grant fake:bob 10 --reason "for the wait"', "op")
        assert "for the wait" in await at.say("/history", "bob")


async def test_everybody_is_given_points_once_for_a_start(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        await at.say("/start")
        await at.network.until(lambda: any("1,000 points are yours" in one.text for one in at.network.shown.values()))
        await at.say("/start")
        assert await at.purchased() == 1_000 * POINT


async def test_history_says_what_was_paid_for_which_job(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        job = await at.make(10)
        said = await at.say("/history")
        assert f"paid -30 · {job.key}" in said
        assert said.index("paid") < said.index("your first allowance")


async def test_the_kinds_are_told_by_their_names(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        await at.fill(100)
        await at.make(10)
        said = await at.say("/points")
        for kind in ("points 30:", "doints 0:", "qoints 100:", "boints 0:", "exp 30:", "level 3"):
            assert kind in said


# --- orders that come otherwise


async def order(at: Town, origin: Any, settles: Any = "each", jobs: int = 1) -> Any:
    """As the API and batches will make them."""
    (person,) = [await at.person()]
    workflow: Workflow = PICTURE
    wanted = [Wanted(workflow=workflow, values={}, graph=workflow.graph) for _ in range(jobs)]
    event = at.network.event(Said(text=""))
    who = await at.runtime.store.get(PEOPLE, person)
    assert who is not None
    to = Address.of(event)
    now = at.runtime.clock.now()
    quotes = [await at.runtime.points.quote(workflow, draft(one, person, to, now), None) for one in wanted]
    charges = await at.runtime.points.charges(who, event.chat, quotes)
    terms = Terms(own=Bounds(), all_orders=100, queue_seconds=600, charges=charges, settles=settles)
    return await at.runtime.store.atomically(
        lambda tx: take(tx, person, to, event.keys[0], wanted, terms, command="make", origin=origin)
    )


@pytest.mark.parametrize(("origin", "floor"), [("api", 50), ("batch", 100)])
async def test_what_comes_by_the_api_or_in_a_batch_takes_purchased_points(
    tmp_path: Path, origin: Any, floor: int
) -> None:
    async with town(tmp_path, points={"price": {"run": 1}}) as at:
        with pytest.raises(Exception, match=f"at least {floor} points"):
            await order(at, origin)
        await at.fill(floor)
        await order(at, origin)
        await at.end(5)
        assert await at.purchased() == (floor - 1) * POINT


@pytest.mark.parametrize("ends_well", [True, False])
async def test_what_settles_as_a_whole_is_paid_when_all_of_it_is_there(tmp_path: Path, ends_well: bool) -> None:
    async with town(tmp_path, points={"price": {"second": 1}}) as at:
        taken = await order(at, "chat", settles="whole", jobs=2)
        assert "310 of 370" in await at.account()
        first, second = taken.jobs
        for job, well in ((first, True), (second, ends_well)):
            await at.network.until(lambda: any(run.ended is None for run in at.backend.runs.values()))
            (attempt,) = [one for one in at.backend.runs if await at.is_for(one, job)]
            outputs = (Output(n=0, node="1", name="fake.png"),) if well else ()
            ended = Ended(state="done", outputs=outputs, started_at=START, ended_at=START + timedelta(seconds=5))
            at.backend.finish(attempt, ended)
            await at.closed(job)
            if job == first:
                assert "310 of 370" in await at.account()
        found = [await at.runtime.store.get(JOBS, job) for job in taken.jobs]
        assert [job.cost for job in found if job] == ([5 * POINT] * 2 if ends_well else [0, 0])
        assert ("360 of 370" if ends_well else "370 of 370") in await at.account()


def test_settings_refuse_prices_that_contradict_themselves(tmp_path: Path) -> None:
    for price in ({"flat": 5, "second": 1}, {"gpu": "A100", "second": 1}, {"second": -1}, {"second": "0.00001"}):
        with pytest.raises(ValueError, match="price"):
            Settings.model_validate({"points": {"price": price}})
    assert Settings().points.price.second == Decimal(3)


# --- what the ledger is about


async def test_the_audit_compares_the_ledger_with_orders_jobs_sales_and_vouchers(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        store = at.runtime.store
        await at.fill(100)
        await at.say("/gift 40")
        done = await at.make(10)
        await at.say("/make another")
        sale = Sale(
            key="bill", provider="test", account="fake", person=await at.person(), sender="ada", points=100 * POINT,
            amount=1, currency="XTR", charge="ada 100", paid="test:ada 100", state="paid", created=START,
        )  # fmt: skip
        await store.atomically(lambda tx: tx.insert(SALES, sale))
        assert await disagreements(store) == []
        (hold,) = await store.find(HOLDS, order="key")
        (order,) = [one for one in await store.find(ORDERS, order="created") if one.state == "open"]
        (voucher,) = await store.find(VOUCHERS, order="created")
        changed: list[tuple[Kind[Any], Record, str]] = [
            (ORDERS, replace(order, state="closed"), f"hold of order {hold.key!r}"),
            (JOBS, replace(done, cost=done.cost - 1), f"job {done.key!r}"),
            (SALES, replace(sale, points=101 * POINT), "sale 'bill'"),
            (SALES, replace(sale, state="open"), "sale 'bill'"),
            (VOUCHERS, replace(voucher, left=2), f"voucher {voucher.key!r}"),
        ]
        for kind, record, named in changed:
            before = await store.get(kind, record.key)
            assert before is not None
            await put(store, kind, record)
            (fault,) = await disagreements(store)
            assert fault.startswith(named)
            await put(store, kind, before)
        await store.atomically(lambda tx: tx.delete(HOLDS, hold.key))
        (fault,) = await disagreements(store)
        assert fault.startswith(f"order {order.key!r}: it is open")
        await store.atomically(lambda tx: tx.insert(HOLDS, replace(hold, version=0)))
        await at.end(5)


async def put(store: Store, kind: Kind[Any], record: Record) -> None:
    async def work(tx: Tx) -> None:
        stored = await tx.get(kind, record.key)
        assert stored is not None
        await tx.replace(kind, replace(record, version=stored.version))

    await store.atomically(work)
