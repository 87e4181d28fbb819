"""What happens to a ledger in the kill tests: the same things in the same order for one seed, each of which may be done again."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from chatelier import BadInput, Clock, Exists, Kind, Store, Tx
from chatelier.core.points.allowance import Allowance
from chatelier.core.points.charging import Charges, Run, accept, settle
from chatelier.core.points.groups import GROUPS
from chatelier.core.points.ledger import BALANCES, ENTRIES, HOLDS, allowance_of, pool_of, purchased_of
from chatelier.core.points.moves import VOUCHERS, buy, donate, give, issue, redeem, refund, wrap
from chatelier.core.points.prices import Price, Quote
from chatelier.core.points.scenarios import Floors, Payer, set_mode
from chatelier.plugins.mongo import open_mongo
from chatelier.plugins.sqlite import open_sqlite

LEDGER: list[Kind[Any]] = [ENTRIES, BALANCES, HOLDS, GROUPS, VOUCHERS]
POINT = 1_000
PEOPLE = ("ada", "bob", "cy")
GROUP = "telegram/-100"
PRICE = Price(second=3 * POINT)

Work = Callable[[Tx], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Rules:
    """allowance: of everybody."""

    allowance: Allowance = field(default_factory=lambda: Allowance(maximum=370 * POINT))

    @classmethod
    def of(cls, url: str) -> "Rules":
        """MongoDB has a clock of its own, which nobody turns: nothing is refilled there within a cycle that lasts for ever."""
        lasting = {} if url.startswith("sqlite:") else {"seconds": 10**9}
        return cls(Allowance(maximum=370 * POINT, **lasting))


def script(seed: int, length: int, rules: Rules) -> Iterator[list[Work]]:
    """Each step is one or several works, one after the other."""
    rng = random.Random(seed)  # noqa: S311 - the same each time, on purpose
    yield [partial(buy, person=person, amount=400 * POINT, provider="t", charge=f"first {person}") for person in PEOPLE]
    yield [partial(set_mode, group=GROUP, mode="user")]
    for n in range(length):
        person, other = rng.sample(PEOPLE, 2)
        amount = rng.randint(1, 90 * POINT)
        match rng.randrange(8):
            case 0 | 1 | 2:
                yield _order(f"o{n}", person, rng.choice(("", GROUP)), amount, rng.randint(0, 2 * amount), rules)
            case 3:
                yield [partial(give, giver=person, to=other, amount=amount, key=str(n))]
            case 4:
                code = f"CODE{n}"
                yield [
                    partial(wrap, giver=person, code=code, amount=amount, key=str(n)),
                    partial(redeem, person=other, code=code),
                ]
            case 5:
                yield [partial(donate, giver=person, group=GROUP, amount=amount, key=str(n))]
            case 6:
                code = f"OFFER{n}"
                yield [
                    partial(issue, code=code, amount=amount, uses=2),
                    *(partial(redeem, person=who, code=code) for who in PEOPLE),
                ]
            case _:
                yield [
                    partial(buy, person=person, amount=amount, provider="t", charge=str(n)),
                    partial(
                        refund, person=person, amount=amount, provider="t", charge=str(n), actor="op", reason="asked"
                    ),
                ]


def _order(key: str, person: str, group: str, hold: int, cost: int, rules: Rules) -> list[Work]:
    """Accepted, and its two jobs ended one after the other."""
    quote = Quote(price=PRICE, likely=hold, hold=hold)
    charges = Charges(quotes=[quote, quote], allowance=rules.allowance, floors=Floors(), group=group)
    sources = (allowance_of(person), pool_of(GROUP) if group else purchased_of(person))
    payer = Payer(scenario="user" if group else "standard", sources=sources)

    def end(job: str, cost: int, *, is_last: bool) -> Work:
        runs = [Run(job=f"{key}.{job}", share=hold, cost=cost)]
        return partial(settle, order=key, payer=payer, runs=runs, actor=person, is_last=is_last)

    return [
        partial(accept, order=key, person=person, charges=charges, origin="chat"),
        end("1", cost, is_last=False),
        end("2", cost // 2, is_last=True),
    ]


async def do(store: Store, step: list[Work]) -> bool:
    """What is refused, or was done before, leaves no trace. Whether anything was refused: later it might not be."""
    refused = False
    for work in step:
        try:
            await store.atomically(work)
        except BadInput:
            refused = True
        except Exists:
            continue
    return refused


@asynccontextmanager
async def opened(url: str, clock: Clock) -> AsyncIterator[Store]:
    """The ledger's store, by the engine of its URL."""
    engine = open_sqlite if url.startswith("sqlite:") else open_mongo
    async with engine(url, LEDGER, clock) as store:
        yield store
