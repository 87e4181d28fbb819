"""Points of a running gateway: what plugins say of people and prices, asked before a transaction and never in one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from ..chat.messages import ChatRef, Reply
from ..clock import Clock
from ..log import get_logger
from ..people.people import Person
from ..plugins import Plugins
from ..settings.points import PointsSettings, PriceSettings
from ..storage import Store, Tx
from ..values import replace
from ..workflows.workflow import Workflow
from . import words
from .allowance import Allowance
from .amounts import POINT
from .charging import Charges
from .ledger import BALANCES, ENTRIES, Entry, accounts_of, allowance_of, histories
from .moves import bonus
from .prices import Price, Quote, listed, quoted
from .report import Report, report
from .scenarios import Floors

if TYPE_CHECKING:
    from ..generation.jobs import Job, Runs

log = get_logger(__name__)

HOLDING_SECONDS = 900.0
"""So long what plugins said of somebody's holding counts."""
HOOK_SECONDS = 2.0
LOOK_SECONDS = 3600.0
LARGEST_HOLDING = 10**15
LARGEST_PRICE = 10**12
"""Millipoints that a plugin may ask for a run."""


@dataclass(slots=True)
class _Held:
    """What each plugin said last of a person. until: by the monotonic clock."""

    until: float
    said: dict[str, int] = field(default_factory=dict)


class Points:
    """enabled: whether anything costs points at all. run_seconds: the longest run of a workflow that says nothing else."""

    def __init__(
        self, settings: PointsSettings, plugins: Plugins, store: Store, clock: Clock, run_seconds: float
    ) -> None:
        self.settings = settings
        self._run_seconds = run_seconds
        self._plugins = plugins
        self._store = store
        self._clock = clock
        self._holdings: dict[str, _Held] = {}
        self._prices: dict[tuple[str, str], Price] = {}

    @property
    def enabled(self) -> bool:
        return self.settings.enabled

    async def watch(self, tell: Callable[..., None]) -> None:
        """Tell plugins what this process entered, until cancelled."""
        changes = self._store.changes(ENTRIES, inserted=True)
        while True:
            await changes.wait(LOOK_SECONDS)
            for entry in changes.fresh()[0]:
                tell("points_moved", entry=entry)

    # --- the allowance

    async def allowance(self, person: Person) -> Allowance:
        """As it is for this person now. Asks plugins what they hold, at most every quarter of an hour."""
        rule = self.settings.allowance
        holding = await self._holding(person) if self._plugins.implementers("holding") else 0
        if holding is None:
            balance = await self._store.get(BALANCES, allowance_of(person.key))
            if balance is not None and balance.allowance is not None:
                return replace(balance.allowance, seconds=rule.cycle_minutes * 60, cycles=rule.cycles)
        maximum = max(0, ((holding or 0) + rule.base) // rule.divisor) * POINT
        return Allowance(maximum=maximum, seconds=rule.cycle_minutes * 60, cycles=rule.cycles)

    async def _holding(self, person: Person) -> int | None:
        """The sum of what plugins say. None where one fails of which nothing was known: it may have said more before."""
        now = self._clock.monotonic()
        known = self._holdings.get(person.key)
        if known is not None and now < known.until:
            return sum(known.said.values())
        said: dict[str, int] = {}
        is_unsure = False
        for answer in await self._plugins.every("holding", seconds=HOOK_SECONDS, person=person):
            if isinstance(answer.value, int) and 0 <= answer.value <= LARGEST_HOLDING:
                said[answer.plugin] = answer.value
            elif known is not None and answer.plugin in known.said:
                said[answer.plugin] = known.said[answer.plugin]
            elif answer.error is not None:
                is_unsure = True
            if answer.error is None and answer.plugin not in said:
                log.error("holding is no whole number from 0 on", plugin=answer.plugin)
        if is_unsure:
            return None
        self._holdings = {key: held for key, held in self._holdings.items() if now < held.until + HOLDING_SECONDS}
        self._holdings[person.key] = _Held(now + HOLDING_SECONDS, said)
        return sum(said.values())

    async def tier(self, person: Person) -> str:
        """The name of the person's tier, "" for none."""
        if not self._plugins.implementers("tier"):
            return ""
        answer = await self._plugins.first("tier", seconds=HOOK_SECONDS, person=person)
        return str(answer.value) if answer else ""

    async def welcome(self, person: Person, tx: Tx) -> Reply | None:
        """The points that everybody is given once, and words about them; None where they were given already."""
        amount = _up(self.settings.tutorial) if self.enabled else 0
        if not amount or not await bonus(tx, person.key, amount, what="tutorial"):
            return None
        return Reply(text=words.welcome(amount))

    async def report(self, person: Person) -> Report:
        """What they have now."""
        return await report(self._store, person.key, await self.allowance(person), self._clock.now())

    async def history(self, person: Person, limit: int) -> tuple[list[Entry], tuple[str, ...]]:
        """The latest entries that touch the person's accounts, the newest first; and those accounts."""
        accounts = accounts_of(person.key)
        return await histories(self._store, accounts, limit), accounts

    # --- prices

    def price(self, workflow: Workflow) -> Price:
        """As the operator set it: for the workflow, else for its category, else for all."""
        known, points = (workflow.name, workflow.category), self.settings
        if known not in self._prices:
            said = points.workflows.get(workflow.name) or points.categories.get(workflow.category) or points.price
            self._prices[known] = self._read(said)
        return self._prices[known]

    def _read(self, said: PriceSettings) -> Price:
        times = Decimal(str(said.multiplier))
        if said.flat is not None:
            return Price(run=_up(said.flat * times), purchased=True)
        second = _up(said.second * times)
        if said.gpu:
            second = listed(self.settings.gpu_prices[said.gpu], self.settings.gpu_point_dollars, said.multiplier)
        return Price(
            second=second,
            thousand_tokens=_up(said.token * times * 1_000),
            run=_up(said.run * times),
            expect_tokens=said.expect_tokens if said.token else 0,
        )

    async def quote(self, workflow: Workflow, draft: "Job", runs: "Runs | None") -> Quote:
        """What a run will likely cost, and what is held for it. draft: the job as it would be; runs: the last ones."""
        if self._plugins.implementers("price"):
            answer = await self._plugins.first("price", seconds=HOOK_SECONDS, job=draft)
            if answer is not None and answer.error is None:
                if isinstance(answer.value, int) and 0 <= answer.value <= LARGEST_PRICE:
                    return Quote(price=Price(run=answer.value), likely=answer.value, hold=answer.value)
                log.error("price is no whole number of millipoints from 0 on", plugin=answer.plugin)
        return quoted(
            self.price(workflow),
            runs.run_ms if runs else (),
            runs.tokens if runs else (),
            workflow.expect_seconds,
            workflow.run_seconds or self._run_seconds,
        )

    async def charges(self, person: Person, chat: ChatRef, quotes: Sequence[Quote]) -> Charges:
        """How an order from there is charged."""
        floors = Floors(
            api=_up(self.settings.api_floor),
            api_warning=_up(self.settings.api_warning),
            cook=_up(self.settings.cook_floor),
        )
        return Charges(quotes=quotes, allowance=await self.allowance(person), floors=floors, group=group_of(chat))

    @property
    def quote_over(self) -> int:
        return _up(self.settings.quote_over)


def group_of(chat: ChatRef) -> str:
    """A group by its network, so that all accounts of one see the same; "" for a direct chat."""
    return "" if chat.direct else f"{chat.platform.partition('.')[0]}/{chat.chat}"


def _up(points: Decimal) -> int:
    """Millipoints, rounded up."""
    return int((points * POINT).to_integral_value(ROUND_CEILING))
