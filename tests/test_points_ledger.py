"""The ledger, whatever happens to it: sums, balances, holds, repeats, crashes, and an audit that names what is off."""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatelier import BadInput, Kind, Tx
from chatelier.core.points.allowance import Allowance
from chatelier.core.points.audit import audit, every
from chatelier.core.points.charging import Charges, Run, accept, settle
from chatelier.core.points.groups import GROUPS, Group
from chatelier.core.points.ledger import (
    BALANCES,
    ENTRIES,
    HOLDS,
    Balance,
    Books,
    allowance_of,
    history,
    moved,
    pool_of,
    purchased_of,
)
from chatelier.core.points.moves import VOUCHERS, buy, donate, give, grant, redeem, refund, revoke, wrap
from chatelier.core.points.prices import Price, Quote, quoted
from chatelier.core.points.rebuild import rebuilt, repair
from chatelier.core.points.scenarios import Floors, Payer, migrate, mode_of, set_mode
from chatelier.testing import FakeClock, FakeStore

KINDS: list[Kind[Any]] = [ENTRIES, BALANCES, HOLDS, GROUPS, VOUCHERS]
POINT = 1_000
ALLOWANCE = Allowance(maximum=370 * POINT)
A_SECOND = Price(second=3 * POINT)
GROUP = "telegram/-100"


@dataclass
class Desk:
    """A ledger, and what orders it took."""

    store: FakeStore
    clock: FakeClock
    allowance: Allowance = ALLOWANCE
    payers: dict[str, Payer] = field(default_factory=dict)

    async def run(self, work: Callable[[Tx], Awaitable[Any]]) -> Any:
        return await self.store.atomically(work)

    async def order(self, key: str, person: str, *holds: int, group: str = "", origin: Any = "chat") -> None:
        quotes = [Quote(price=A_SECOND, likely=hold, hold=hold) for hold in holds]
        charges = Charges(quotes=quotes, allowance=self.allowance, floors=Floors(), group=group)
        self.payers[key] = await self.run(lambda tx: accept(tx, key, person, charges, origin))

    async def end(self, order: str, job: str, share: int, cost: int, *, last: bool = True) -> Any:
        run = Run(job=job, share=share, cost=cost)
        charged = await self.run(lambda tx: settle(tx, order, self.payers[order], [run], actor="ada", is_last=last))
        return charged[0]

    async def free(self, account: str) -> int:
        balance = await self.store.get(BALANCES, account)
        return balance.free if balance else 0

    async def fill(self, person: str, points: int, charge: str = "1") -> None:
        await self.run(lambda tx: buy(tx, person, points * POINT, provider="test", charge=charge))

    async def check(self) -> None:
        assert await audit(self.store) == []
        stored = {one.key: replace(one, version=0) async for one in every(self.store, BALANCES, "key")}
        assert stored == await rebuilt(self.store)


@contextlib.asynccontextmanager
async def desk() -> Any:
    clock = FakeClock()
    async with FakeStore(KINDS, clock) as store:
        one = Desk(store, clock)
        yield one
        await one.check()


async def test_a_newcomer_has_the_whole_allowance_and_pays_what_a_run_costs() -> None:
    async with desk() as here:
        await here.order("o", "ada", 90 * POINT)
        assert await here.free(allowance_of("ada")) == 280 * POINT
        charged = await here.end("o", "j", 90 * POINT, 40 * POINT)
        assert (charged.cost, charged.written_off) == (40 * POINT, 0)
        assert await here.free(allowance_of("ada")) == 330 * POINT
        assert await here.store.get(HOLDS, "o") is None


async def test_nothing_is_captured_where_nothing_came_of_it() -> None:
    async with desk() as here:
        await here.order("o", "ada", 90 * POINT)
        await here.end("o", "j", 90 * POINT, 0)
        assert await here.free(allowance_of("ada")) == 370 * POINT


async def test_the_allowance_pays_first_and_is_given_back_last() -> None:
    async with desk() as here:
        await here.fill("ada", 100)
        await here.order("o", "ada", 200 * POINT, 200 * POINT)
        assert (await here.free(allowance_of("ada")), await here.free(purchased_of("ada"))) == (0, 70 * POINT)
        await here.end("o", "j1", 200 * POINT, 20 * POINT, last=False)
        # 180 come back: the purchased 30 first.
        assert (await here.free(allowance_of("ada")), await here.free(purchased_of("ada"))) == (
            150 * POINT,
            100 * POINT,
        )
        await here.end("o", "j2", 200 * POINT, 100 * POINT)
        assert await here.free(purchased_of("ada")) == 100 * POINT
        assert await here.free(allowance_of("ada")) == 250 * POINT


async def test_a_run_that_takes_longer_takes_what_there_is_and_the_rest_is_written_off() -> None:
    async with desk() as here:
        await here.order("o", "ada", 100 * POINT)
        charged = await here.end("o", "j", 100 * POINT, 400 * POINT)
        assert (charged.cost, charged.written_off) == (400 * POINT, 30 * POINT)
        assert await here.free(allowance_of("ada")) == 0


async def test_one_job_does_not_eat_the_share_of_another() -> None:
    async with desk() as here:
        await here.order("o", "ada", 180 * POINT, 180 * POINT)
        charged = await here.end("o", "j1", 180 * POINT, 300 * POINT, last=False)
        assert charged.written_off == 110 * POINT
        charged = await here.end("o", "j2", 180 * POINT, 180 * POINT)
        assert charged.written_off == 0


async def test_what_is_done_twice_counts_once() -> None:
    async with desk() as here:
        await here.fill("ada", 100)
        await here.fill("ada", 100)
        await here.order("o", "ada", 90 * POINT, 90 * POINT)
        for _ in range(3):
            await here.end("o", "j1", 90 * POINT, 60 * POINT, last=False)
        assert await here.free(allowance_of("ada")) == 220 * POINT
        for _ in range(3):
            await here.end("o", "j2", 90 * POINT, 60 * POINT)
            await here.run(lambda tx: give(tx, "ada", "bob", 10 * POINT, key="e"))
        assert await here.free(allowance_of("ada")) == 250 * POINT
        assert await here.free(purchased_of("bob")) == 10 * POINT
        assert await here.free(purchased_of("ada")) == 90 * POINT


async def test_who_has_too_little_is_told_what_to_do_and_nothing_is_held() -> None:
    async with desk() as here:
        await here.order("o1", "ada", 300 * POINT)
        with pytest.raises(BadInput, match=r"needs 90 points.*you have 70.*300 points are set aside"):
            await here.order("o2", "ada", 90 * POINT)
        with pytest.raises(BadInput, match=r"needs 500 points.*you have 70\. Get more"):
            await here.order("o2", "ada", 500 * POINT)
        assert await here.store.get(HOLDS, "o2") is None
        await here.end("o1", "j1", 300 * POINT, 300 * POINT)
        with pytest.raises(BadInput, match=r"needs 90 points.*you have 70.*allowance will do in about.*min"):
            await here.order("o2", "ada", 90 * POINT)


@pytest.mark.parametrize(
    ("origin", "has", "needs", "said"),
    [
        ("api", 49, 1, "at least 50 points"),
        ("batch", 99, 1, "at least 100 points"),
        ("api", 60, 70, "needs 70 points.*purchased 60"),
    ],
)
async def test_the_api_and_batches_are_paid_from_what_was_purchased(
    origin: str, has: int, needs: int, said: str
) -> None:
    async with desk() as here:
        await here.fill("ada", has)
        with pytest.raises(BadInput, match=said):
            await here.order("o", "ada", needs * POINT, origin=origin)
        await here.fill("ada", 200, "2")
        await here.order("o", "ada", needs * POINT, origin=origin)
        assert await here.free(purchased_of("ada")) == (has + 200 - needs) * POINT
        assert await here.free(allowance_of("ada")) == 0  # nobody looked at it
        assert bool(here.payers["o"].warning) is (origin == "api")


@pytest.mark.parametrize(
    ("mode", "pool", "need", "own", "left"),
    [("house", 100, 60, 370, 40), ("user", 100, 400, 0, 70), ("ghost", 100, 60, 310, 100)],
)
async def test_a_group_pays_as_its_admins_say(mode: Any, pool: int, need: int, own: int, left: int) -> None:
    async with desk() as here:
        await here.fill("bob", pool)
        await here.run(lambda tx: donate(tx, "bob", GROUP, pool * POINT, key="e"))
        await here.run(lambda tx: tx.insert(GROUPS, Group(key=GROUP, mode=mode)))
        assert await read(here) == 370 * POINT
        await here.order("o", "ada", need * POINT, group=GROUP)
        assert await here.free(pool_of(GROUP)) == left * POINT
        assert await here.free(allowance_of("ada")) == own * POINT


async def test_a_group_that_moves_takes_what_is_set_aside_along() -> None:
    async with desk() as at:
        await at.fill("bob", 300)
        await at.run(lambda tx: donate(tx, "bob", GROUP, 300 * POINT, key="1"))
        await at.run(lambda tx: set_mode(tx, GROUP, "house"))
        await at.order("short", "ada", 100 * POINT, group=GROUP)
        await at.order("long", "ada", 100 * POINT, group=GROUP)
        for old, new in ((GROUP, "telegram/-200"), (GROUP, "telegram/-200"), ("telegram/-200", "telegram/-300")):
            await at.run(lambda tx, old=old, new=new: migrate(tx, old, new))
        await at.end("short", "j1", 100 * POINT, 30 * POINT)
        await at.end("long", "j2", 100 * POINT, 150 * POINT)
        assert await at.free(pool_of(GROUP)) == await at.free(pool_of("telegram/-200")) == 0
        assert await at.free(pool_of("telegram/-300")) == 120 * POINT
        await at.run(lambda tx: migrate(tx, "telegram/-300", GROUP))
        await at.order("back", "ada", 100 * POINT, group=GROUP)
        await at.end("back", "j3", 100 * POINT, 20 * POINT)
        assert await at.free(pool_of(GROUP)) == 100 * POINT


async def test_a_pool_that_is_empty_refuses_and_stays_at_zero() -> None:
    async with desk() as here:
        await here.run(lambda tx: tx.insert(GROUPS, Group(key=GROUP, mode="house")))
        with pytest.raises(BadInput, match=r"pool of this group has 0.*/donate"):
            await here.order("o", "ada", POINT, group=GROUP)


# --- the allowance


async def read(here: Desk, person: str = "ada") -> int:
    async def work(tx: Tx) -> int:
        async with Books(tx, {allowance_of(person): here.allowance}) as books:
            return (await books.balance(allowance_of(person))).free

    return int(await here.run(work))


async def test_it_is_full_again_after_four_and_a_half_hours_and_never_more() -> None:
    async with desk() as here:
        await here.order("o", "ada", 370 * POINT)
        await here.end("o", "j", 370 * POINT, 370 * POINT)
        for cycle in range(1, 19):
            await here.clock.advance(timedelta(minutes=15).total_seconds())
            assert await read(here) == 370 * POINT * cycle // 18
        await here.clock.advance(timedelta(days=3).total_seconds())
        assert await read(here) == 370 * POINT


async def test_what_is_held_counts_against_the_maximum() -> None:
    async with desk() as here:
        await here.order("o", "ada", 100 * POINT)
        await here.clock.advance(timedelta(hours=5).total_seconds())
        assert await read(here) == 270 * POINT
        await here.end("o", "j", 100 * POINT, 0)
        assert await read(here) == 370 * POINT


async def test_what_a_release_would_lift_above_a_smaller_maximum_expires() -> None:
    async with desk() as here:
        await here.order("o", "ada", 100 * POINT)
        here.allowance = Allowance(maximum=300 * POINT)
        await here.order("o2", "ada", 10 * POINT)
        await here.end("o", "j", 100 * POINT, 0)
        await here.end("o2", "j2", 10 * POINT, 0)
        assert await read(here) == 300 * POINT


async def test_it_is_posted_by_the_next_who_touches_it_once_a_cycle() -> None:
    async with desk() as here:
        await here.order("o", "ada", 180 * POINT)
        await here.end("o", "j", 180 * POINT, 180 * POINT)
        await here.clock.advance(900)
        for n in range(3):
            await here.order(f"o{n}", "ada", POINT)
        kinds = [entry.kind for entry in await history(here.store, allowance_of("ada"), 50)]
        assert kinds.count("refill") == 1
        assert kinds.count("opening") == 1


# --- vouchers, refunds


async def test_a_code_gives_once_to_each_and_only_while_there_is_some_left() -> None:
    async with desk() as here:
        await here.fill("ada", 100)
        assert await here.run(lambda tx: wrap(tx, "ada", "AAAA-BBBB", 40 * POINT, key="e"))
        assert not await here.run(lambda tx: wrap(tx, "ada", "AAAA-BBBB", 40 * POINT, key="e"))
        assert await here.free(purchased_of("ada")) == 60 * POINT
        assert await here.run(lambda tx: redeem(tx, "bob", " aaaa bbbb ")) == 40 * POINT
        with pytest.raises(BadInput, match="already"):
            await here.run(lambda tx: redeem(tx, "bob", "AAAA-BBBB"))
        with pytest.raises(BadInput, match="already"):
            await here.run(lambda tx: redeem(tx, "cy", "AAAA-BBBB"))
        with pytest.raises(BadInput, match="no such code"):
            await here.run(lambda tx: redeem(tx, "cy", "AAAA-BBBC"))


async def test_a_refund_takes_what_is_there_and_writes_off_the_rest() -> None:
    async with desk() as here:
        await here.fill("ada", 100)
        await here.run(lambda tx: give(tx, "ada", "bob", 70 * POINT, key="e"))
        for _ in range(2):
            await here.run(
                lambda tx: refund(tx, "ada", 100 * POINT, provider="test", charge="1", actor="op", reason="asked")
            )
        assert await here.free(purchased_of("ada")) == 0


# --- anything in any order

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["order", "end", "fill", "give", "donate", "grant", "revoke", "wait", "back", "mode", "again", "limit"]
        ),
        st.sampled_from(["ada", "bob"]),
        st.integers(0, 500 * POINT),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=40,
)


@given(steps=STEPS)
@settings(max_examples=150)
async def test_whatever_happens_the_sums_hold(steps: list[tuple[str, str, int, int, bool]]) -> None:
    """Repeats of anything that was done, and works that die in the middle, change nothing."""
    async with desk() as here:
        done: list[Callable[[Tx], Awaitable[Any]]] = []
        open_jobs: list[tuple[str, str, int, bool]] = []

        async def do(work: Callable[[Tx], Awaitable[Any]], dies: bool) -> Any:
            async def dying(tx: Tx) -> None:
                await work(tx)
                raise RuntimeError("killed")

            if dies:
                with contextlib.suppress(RuntimeError, BadInput):
                    await here.run(dying)
            with contextlib.suppress(BadInput):
                value = await here.run(work)
                done.append(work)
                return value

        for n, (what, person, amount, small, flag) in enumerate(steps):
            other = "bob" if person == "ada" else "ada"
            some = max(1, amount)
            match what:
                case "order":
                    key, shares = f"o{n}", [amount // (small + 1)] * (small + 1)
                    quotes = [Quote(price=A_SECOND, likely=one, hold=one) for one in shares]
                    charges = Charges(
                        quotes=quotes, allowance=here.allowance, floors=Floors(), group=GROUP if flag else ""
                    )
                    origin: Any = ("chat", "chat", "api", "batch")[small]
                    with contextlib.suppress(BadInput):
                        here.payers[key] = await here.run(
                            partial(accept, order=key, person=person, charges=charges, origin=origin)
                        )
                        jobs = len(shares)
                        open_jobs += [(key, f"{key}.{j}", share, j == jobs - 1) for j, share in enumerate(shares)]
                case "end" if open_jobs:
                    order, job, share, is_last = open_jobs.pop(0)
                    run = Run(job=job, share=share, cost=0 if small == 0 else amount)
                    payer = here.payers[order]
                    end = partial(settle, order=order, payer=payer, runs=[run], actor="", is_last=is_last)
                    await do(end, flag)
                case "fill":
                    await do(partial(buy, person=person, amount=some, provider="t", charge=str(n)), flag)
                case "give":
                    await do(partial(give, giver=person, to=other, amount=some, key=str(n)), flag)
                case "donate":
                    await do(partial(donate, giver=person, group=GROUP, amount=some, key=str(n)), flag)
                case "grant" | "revoke":
                    deed = grant if what == "grant" else revoke
                    account = purchased_of(person)
                    await do(partial(deed, account=account, amount=some, key=str(n), actor="op", reason="r"), flag)
                case "wait":
                    await here.clock.advance(amount / 100)
                case "back":
                    here.clock.set_back(amount / 100)
                case "limit":
                    seconds = (600, 900, 3_600, 7_200)[small]
                    here.allowance = Allowance(maximum=amount, seconds=seconds, cycles=18 - small)
                case "mode":
                    mode: Any = ("house", "user", "ghost", "ghost")[small]

                    async def set_mode(tx: Tx, mode: Any = mode) -> None:
                        found = await tx.get(GROUPS, GROUP)
                        if found is None:
                            await tx.insert(GROUPS, Group(key=GROUP, mode=mode))
                        else:
                            await tx.replace(GROUPS, replace(found, mode=mode))

                    await here.run(set_mode)
                case "again" if done:
                    before = [one async for one in every(here.store, ENTRIES, "place")]
                    with contextlib.suppress(BadInput):
                        await here.run(done[small % len(done)])
                    assert [one async for one in every(here.store, ENTRIES, "place")] == before
        await here.check()


# --- what somebody changed


async def busy(here: Desk) -> None:
    await here.fill("ada", 100)
    await here.fill("bob", 50, "2")
    await here.order("o1", "ada", 90 * POINT)
    await here.end("o1", "j1", 90 * POINT, 33 * POINT)
    await here.clock.advance(1_000)
    await here.order("o2", "ada", 80 * POINT, 20 * POINT)
    await here.end("o2", "j2", 80 * POINT, 10 * POINT, last=False)
    await here.run(lambda tx: give(tx, "ada", "bob", 5 * POINT, key="e"))


async def tampered(kind: Kind[Any], change: Callable[[Any], Any], n: int) -> list[str]:
    clock = FakeClock()
    async with FakeStore(KINDS, clock) as store:
        here = Desk(store, clock)
        await busy(here)
        await here.check()
        records = [one async for one in every(store, kind, "place" if kind is ENTRIES else "key")]
        affected = [one for one in records if change(one) != one]
        target = affected[n % len(affected)]
        changed = change(target)

        async def work(tx: Tx) -> None:
            await tx.delete(kind, target.key)
            if changed is not None:
                await tx.insert(kind, replace(changed, version=0))

        await store.atomically(work)
        return await audit(store)


def bend_posting(name: str) -> Callable[[Any], Any]:
    def bend(entry: Any) -> Any:
        first, *rest = entry.postings
        value = getattr(first, name)
        return replace(
            entry, postings=(replace(first, **{name: value + 1 if isinstance(value, int) else value + "x"}), *rest)
        )

    return bend


def elsewhere(entry: Any) -> Any:
    """What went to or came from a system account does so with another one."""
    others = {
        "mint": "promotion",
        "revenue": "expired",
        "expired": "revenue",
        "promotion": "mint",
        "written_off": "mint",
    }
    moved_ = tuple(replace(each, account=others.get(each.account, each.account)) for each in entry.postings)
    return replace(entry, postings=moved_)


NUMBERS = ("free", "held", "spent", "lines", "recent")
CHANGES: list[tuple[str, Kind[Any], Callable[[Any], Any]]] = [
    *((f"balance {name}", BALANCES, lambda one, name=name: replace(one, **{name: getattr(one, name) + 1})) for name in NUMBERS),
    ("balance given", BALANCES, lambda one: replace(one, given=one.given + 1) if one.allowance else one),
    ("balance mark", BALANCES, lambda one: replace(one, mark=one.mark - timedelta(hours=1)) if one.mark else one),
    ("balance maximum", BALANCES, lambda one: replace(one, allowance=replace(one.allowance, maximum=1)) if one.allowance else one),
    ("balance key", BALANCES, lambda one: replace(one, key=one.key + "x")),
    ("balance gone", BALANCES, lambda one: None),
    *((f"posting {name}", ENTRIES, bend_posting(name)) for name in ("amount", "account", "hold", "line")),
    ("system account", ENTRIES, elsewhere),
    *((f"entry {name}", ENTRIES, lambda one, name=name: replace(one, **{name: "x"})) for name in ("actor", "reason", "order", "job")),
    ("entry kind", ENTRIES, lambda one: replace(one, kind="gift" if one.kind != "gift" else "claim")),
    ("entry cycle", ENTRIES, lambda one: replace(one, cycle=one.cycle + 1)),
    ("entry time", ENTRIES, lambda one: replace(one, at=one.at + timedelta(seconds=1))),
    ("posting gone", ENTRIES, lambda one: replace(one, postings=one.postings[1:])),
    ("entry key", ENTRIES, lambda one: replace(one, key=one.key + "x")),
    ("entry gone", ENTRIES, lambda one: None),
    ("hold part", HOLDS, lambda one: replace(one, parts=(replace(one.parts[0], left=one.parts[0].left - 1),))),
    ("hold account", HOLDS, lambda one: replace(one, parts=(replace(one.parts[0], account="person:eve.purchased"),))),
    ("hold key", HOLDS, lambda one: replace(one, key="other")),
    ("hold gone", HOLDS, lambda one: None),
]  # fmt: skip


@pytest.mark.parametrize("n", range(12))
@pytest.mark.parametrize(("what", "kind", "change"), CHANGES, ids=[what for what, *_ in CHANGES])
async def test_an_audit_names_whatever_was_changed(
    what: str, kind: Kind[Any], change: Callable[[Any], Any], n: int
) -> None:
    assert await tampered(kind, change, n)


async def test_a_balance_can_be_made_anew_from_the_entries() -> None:
    async with desk() as here:
        await busy(here)

        async def spoil(tx: Tx) -> None:
            balance = await tx.get(BALANCES, purchased_of("ada"))
            assert balance is not None
            await tx.replace(BALANCES, replace(balance, free=10**9))
            await tx.delete(BALANCES, purchased_of("bob"))

        await here.run(spoil)
        assert len(await audit(here.store)) == 2
        assert sorted(await repair(here.store)) == [purchased_of("ada"), purchased_of("bob")]
        assert await repair(here.store) == []


async def test_what_does_not_sum_to_zero_is_never_entered() -> None:
    async with desk() as here:

        async def work(tx: Tx) -> None:
            first, second = moved("mint", purchased_of("ada"), 5)
            async with Books(tx) as books:
                await books.post("k", "grant", (first, replace(second, amount=4)))

        with pytest.raises(ValueError, match="sum to zero"):
            await here.run(work)


async def test_history_is_read_from_its_end() -> None:
    async with desk() as here:
        for n in range(30):
            await here.fill("ada", 1, str(n))
        found = await history(here.store, purchased_of("ada"), 3)
        assert [entry.key for entry in found] == [f"payment:test:{n}" for n in (29, 28, 27)]


async def test_a_refill_is_entered_though_its_cycle_began_before() -> None:
    """The operator made the cycles longer; and the clock went back and forth."""
    async with desk() as here:
        await here.order("o0", "ada", 370 * POINT)
        await here.end("o0", "j0", 370 * POINT, 370 * POINT)
        await here.clock.advance(900)
        await here.order("o1", "ada", 1 * POINT)
        here.allowance = replace(ALLOWANCE, seconds=3_600)
        await here.clock.advance(2_700)
        await here.order("o2", "ada", 1 * POINT)
        here.clock.set_back(3_000)
        await here.order("o3", "ada", 1 * POINT)
        await here.clock.advance(6_000)
        await here.order("o4", "ada", 1 * POINT)


async def test_a_repair_leaves_an_account_that_lost_entries_and_clears_what_nothing_was_entered_for() -> None:
    clock = FakeClock()
    async with FakeStore(KINDS, clock) as store:
        here = Desk(store, clock)
        for n in range(4):
            await here.fill("ada", 10, str(n))
        lost = await store.get(ENTRIES, "payment:test:1")
        assert lost is not None

        async def spoil(tx: Tx) -> None:
            await tx.delete(ENTRIES, lost.key)
            await tx.insert(BALANCES, Balance(key=purchased_of("eve"), free=10**6))

        await store.atomically(spoil)
        assert await repair(store) == [purchased_of("eve")]
        assert await here.free(purchased_of("eve")) == 0
        await here.fill("ada", 10, "5")
        assert await here.free(purchased_of("ada")) == 50 * POINT
        assert any("no line before" in fault for fault in await audit(store))


async def test_a_hold_is_made_anew_from_its_entries() -> None:
    async with desk() as here:
        await busy(here)
        whole = await here.store.get(HOLDS, "o2")
        assert whole is not None

        async def lose(tx: Tx) -> None:
            await tx.delete(HOLDS, "o2")

        async def shrink(tx: Tx) -> None:
            found = await tx.get(HOLDS, "o2")
            assert found is not None
            await tx.replace(HOLDS, replace(found, parts=()))

        for spoil in (lose, shrink):
            await here.run(spoil)
            assert await repair(here.store) == ["hold of o2"]
            again = await here.store.get(HOLDS, "o2")
            assert again is not None
            assert again.parts == whole.parts


async def test_what_is_said_of_a_group_by_its_old_name_is_said_of_the_new_one() -> None:
    async with desk() as here:
        await here.fill("bob", 100)
        await here.run(lambda tx: migrate(tx, GROUP, "telegram/-200"))
        await here.run(lambda tx: donate(tx, "bob", GROUP, 60 * POINT, key="late"))
        await here.run(lambda tx: set_mode(tx, GROUP, "house"))
        assert await here.free(pool_of("telegram/-200")) == 60 * POINT
        assert await here.run(lambda tx: mode_of(tx, "telegram/-200")) == "house"


@pytest.mark.parametrize(
    ("known", "tokens", "expect", "likely", "hold"),
    [
        ((), (), 30, 30, 30),
        ((10_000,), (), 30, 10, 15),
        ((1_000,) * 9 + (60_000,), (), 30, 6.9, 6.9),
        ((3_000_000,), (), 30, 3_000, 3_000),
    ],
)
def test_never_less_is_held_than_is_likely_and_never_more_than_the_longest_run(
    known: tuple[int, ...], tokens: tuple[int, ...], expect: float, likely: float, hold: float
) -> None:
    quote = quoted(Price(second=1_000), known, tokens, expect, most_seconds=1_800)
    assert (quote.likely, quote.hold) == (likely * 1_000, hold * 1_000)


def test_tokens_are_quoted_by_what_runs_took_and_before_by_what_is_expected() -> None:
    price = Price(thousand_tokens=900, expect_tokens=1_000)
    assert quoted(price, (), (), 0) == Quote(price=price, likely=900, hold=900)
    assert quoted(price, (1,), (2_000,), 0) == Quote(price=price, likely=1_800, hold=2_700)
    assert price.cost(0, 1) == 1, "rounded up, once"
