"""The ledger: entries of postings that sum to zero, and the balances that follow from them.

Nothing changes or deletes an entry; what was wrong is mended by another one. `audit.py` checks all of this with code of its own.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, Self

from ..errors import BadInput
from ..storage import Kind, Query, Reads, Record, Time, Tx
from ..values import replace
from . import words
from .allowance import CYCLE_SECONDS, Allowance, start_of

MINT, REVENUE, EXPIRED, PROMOTION, WRITTEN_OFF = "mint", "revenue", "expired", "promotion", "written_off"
SYSTEM = frozenset({MINT, REVENUE, EXPIRED, PROMOTION, WRITTEN_OFF})
"""Accounts without a balance: every transaction may post to them, and none waits for another."""

EntryKind = Literal[
    "opening",
    "refill",
    "hold",
    "capture",
    "release",
    "gift",
    "donation",
    "voucher",
    "redemption",
    "grant",
    "revocation",
    "purchase",
    "claim",
    "refund",
    "bonus",
    "migration",
]


_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)


def allowance_of(person: str) -> str:
    return f"person:{person}.allowance"


def purchased_of(person: str) -> str:
    return f"person:{person}.purchased"


def pending_of(person: str) -> str:
    """Points that were bought elsewhere, until their owner claims them."""
    return f"person:{person}.pending"


def pool_of(group: str) -> str:
    """group: its network and the network's own id, "telegram/-100"."""
    return f"group:{group}.pool"


def group_of_pool(account: str) -> str:
    """The group whose pool it is; "" for any other account."""
    return account[len("group:") : -len(".pool")] if account.startswith("group:") and account.endswith(".pool") else ""


def is_allowance(account: str) -> bool:
    return account.endswith(".allowance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """Millipoints into an account, or out of it where they are negative.

    hold: the order that they are set aside for; "" for what is free. line: its number in the account, from 1; 0 in a system account.
    """

    account: str
    amount: int
    hold: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Record):
    """One transaction of the ledger. key: its idempotency key, by which it is entered once.

    actor: who caused it, a person's key, a handle, or "" for the gateway itself. allowance: the rule of the one that it touches.
    cycle: seconds of one, by which what was spent of late is told. lines: "account#number" of each numbered posting: no two entries
    have the same. place: its time, then its key: sorts them all. seal: a digest of all the rest, by which a change shows.
    """

    kind: EntryKind
    postings: tuple[Posting, ...]
    lines: tuple[str, ...] = ()
    actor: str = ""
    reason: str = ""
    order: str = ""
    job: str = ""
    allowance: Allowance | None = None
    cycle: int = CYCLE_SECONDS
    at: Time
    place: str
    seal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance(Record):
    """What the postings of an account come to, in millipoints. key: the account.

    held: set aside for orders. lines: how many postings it has. spent: captured in all. recent: of that, since the cycle `recent_at`.
    allowance: its rule as it was last known. mark: the cycle in which it was last full or empty. given: refilled since then.
    """

    free: int = 0
    held: int = 0
    lines: int = 0
    spent: int = 0
    recent: int = 0
    recent_at: Time | None = None
    allowance: Allowance | None = None
    mark: Time | None = None
    given: int = 0

    @property
    def total(self) -> int:
        return self.free + self.held


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What an order holds of one account."""

    account: str
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(Record):
    """What is set aside for an order. key: the order's. parts: in the order in which they are spent. cycle: seconds of one."""

    parts: tuple[Part, ...]
    cycle: int = CYCLE_SECONDS
    created: Time

    @property
    def left(self) -> int:
        return sum(part.left for part in self.parts)


ENTRIES = Kind(
    name="ledger",
    record=Entry,
    unique=("lines", "place"),
    queries=(Query((), "place"), Query(("order",), "place"), Query(("job",), "place"), Query(("kind",), "place")),
)
BALANCES = Kind(name="balances", record=Balance, queries=(Query((), "key"),))
HOLDS = Kind(name="holds", record=Hold, queries=(Query((), "key"),))


@dataclass(slots=True)
class Books:
    """The ledger in one transaction. `async with` writes the balances and the holds at its end, each once.

    allowances: rules by account; of others the one known last counts. cycle: seconds of one. instead: accounts that others took
    the place of: what was set aside there is spent from there, but nothing comes back to it.
    """

    tx: Tx
    allowances: Mapping[str, Allowance] = field(default_factory=dict)
    cycle: int = CYCLE_SECONDS
    instead: Mapping[str, str] = field(default_factory=dict)
    _balances: dict[str, Balance] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)
    _holds: dict[str, Hold | None] = field(default_factory=dict)
    _held: dict[str, Hold | None] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self._close()

    async def balance(self, account: str) -> Balance:
        """As it is now, with its refill. An allowance that nobody saw before is full."""
        found = self._balances.get(account)
        if found is None:
            found = await self.tx.get(BALANCES, account) or Balance(key=account)
            self._balances[account] = found
            if is_allowance(account):
                found = await self._refilled(found)
        return found

    async def hold(self, order: str) -> Hold | None:
        """What is set aside for an order, as it is now."""
        if order not in self._holds:
            self._holds[order] = self._held[order] = await self.tx.get(HOLDS, order)
        return self._holds[order]

    def keep(self, hold: Hold) -> None:
        """It is this from now on."""
        self._holds[hold.key] = hold

    def drop(self, order: str) -> None:
        """Nothing is set aside for it any more."""
        self._holds[order] = None

    async def _refilled(self, balance: Balance) -> Balance:
        rule = self.allowance(balance)
        if not balance.version:
            await self.post(f"open:{balance.key}", "opening", moved(MINT, balance.key, rule.maximum))
        elif amount := rule.touched(balance, self.tx.now)[1]:
            # By its line, as one cycle may begin twice: the rule changes, or the clock goes back.
            start = int(rule.start_of(self.tx.now).timestamp())
            key = f"refill:{balance.key}:{start}.{balance.lines + 1}"
            await self.post(key, "refill", moved(MINT, balance.key, amount))
        return self._balances[balance.key]

    def allowance(self, balance: Balance) -> Allowance:
        """The rule of an allowance. Raises KeyError for a new one that nobody gave a rule."""
        return self.allowances.get(balance.key) or balance.allowance or self.allowances[balance.key]

    async def has(self, key: str) -> bool:
        """Whether this was entered already."""
        return await self.tx.get(ENTRIES, key) is not None

    async def post(
        self,
        key: str,
        kind: EntryKind,
        postings: Sequence[Posting],
        *,
        actor: str = "",
        reason: str = "",
        order: str = "",
        job: str = "",
    ) -> Entry:
        """Enter it. Raises Exists for a key that was entered, BadInput where an account has too little."""
        if sum(posting.amount for posting in postings) or not postings:
            raise ValueError(f"the postings of {key!r} do not sum to zero")
        numbered: list[Posting] = []
        rule: Allowance | None = None
        for posting in postings:
            if posting.account in SYSTEM:
                numbered.append(posting)
                continue
            before = await self.balance(posting.account)
            if is_allowance(before.key):
                rule = self.allowance(before)
            after = applied(before, posting, kind, rule, self.tx.now, self.cycle)
            if after.free < 0 or after.held < 0:
                raise BadInput(words.too_little(posting.account))
            self._balances[posting.account] = after
            self._changed.add(posting.account)
            numbered.append(replace(posting, line=after.lines))
        entry = Entry(
            key=key,
            kind=kind,
            postings=tuple(numbered),
            lines=tuple(line_of(posting.account, posting.line) for posting in numbered if posting.line),
            actor=actor,
            reason=reason,
            order=order,
            job=job,
            allowance=rule,
            cycle=self.cycle,
            at=self.tx.now,
            place=f"{(self.tx.now - _EPOCH) // _MILLISECOND:013d} {key}",
        )
        return await self.tx.insert(ENTRIES, replace(entry, seal=seal_of(entry)))

    async def _close(self) -> None:
        for account in sorted(self._changed):
            balance = self._balances[account]
            stored = await (
                self.tx.replace(BALANCES, balance) if balance.version else self.tx.insert(BALANCES, balance)
            )
            self._balances[account] = stored
        self._changed.clear()
        for order, hold in self._holds.items():
            before = self._held.get(order)
            if hold is None:
                await self.tx.delete(HOLDS, order)
            elif before is None:
                await self.tx.insert(HOLDS, hold)
            elif hold != before:
                await self.tx.replace(HOLDS, hold)
        self._holds.clear()
        self._held.clear()


def seal_of(entry: Entry) -> str:
    """A digest of what was entered; its place is its time and its key, its lines are those of its postings."""
    rule = entry.allowance
    told = (
        entry.key,
        entry.kind,
        [(posting.account, posting.amount, posting.hold, posting.line) for posting in entry.postings],
        (entry.actor, entry.reason, entry.order, entry.job, entry.cycle),
        (rule.maximum, rule.seconds, rule.cycles) if rule else None,
        (entry.at - _EPOCH) // _MILLISECOND,
    )
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:22]


async def free_in(reads: Reads, account: str) -> int:
    """Of an account whose allowance does not refill."""
    balance = await reads.get(BALANCES, account)
    return balance.free if balance else 0


async def held_in(reads: Reads, account: str) -> int:
    """What is set aside of it for open orders."""
    balance = await reads.get(BALANCES, account)
    return balance.held if balance else 0


def moved(source: str, target: str, amount: int) -> tuple[Posting, Posting]:
    """From what is free in one account to another."""
    return Posting(account=source, amount=-amount), Posting(account=target, amount=amount)


def line_of(account: str, number: int) -> str:
    return f"{account}#{number}"


def applied(
    balance: Balance, posting: Posting, kind: EntryKind, rule: Allowance | None, now: datetime, cycle: int
) -> Balance:
    """The balance after one more posting. rule: of the allowance that the entry touches. cycle: seconds of one."""
    if not is_allowance(balance.key):
        rule = None
    if rule is not None:
        marked, due = rule.touched(balance, now)
        balance = marked if kind == "refill" or not due else balance
    free, held = (0, posting.amount) if posting.hold else (posting.amount, 0)
    after = replace(balance, free=balance.free + free, held=balance.held + held, lines=balance.lines + 1)
    if kind == "capture" and posting.amount < 0:
        start = start_of(now, cycle)
        recent = (after.recent if after.recent_at == start else 0) - posting.amount
        after = replace(after, spent=after.spent - posting.amount, recent=recent, recent_at=start)
    if rule is not None and not after.total:
        after = replace(after, mark=rule.start_of(now), given=0)
    return after


async def history(reads: Reads, account: str, limit: int) -> list[Entry]:
    """The latest entries that touch an account, the newest first, however many there are behind them."""
    balance = await reads.get(BALANCES, account)
    found: dict[str, Entry] = {}
    line = balance.lines if balance else 0
    while line > 0 and len(found) < limit:
        entry = await reads.get(ENTRIES, line_of(account, line), by="lines")
        if entry is not None:
            found.setdefault(entry.key, entry)
        line -= 1
    return list(found.values())


async def histories(reads: Reads, accounts: Sequence[str], limit: int) -> list[Entry]:
    """The same for several accounts together."""
    found = {entry.key: entry for account in accounts for entry in await history(reads, account, limit)}

    def moment(entry: Entry) -> tuple[datetime, int]:
        return entry.at, max(posting.line for posting in entry.postings if posting.account in accounts)

    return sorted(found.values(), key=moment, reverse=True)[:limit]


def accounts_of(person: str) -> tuple[str, ...]:
    return allowance_of(person), purchased_of(person), pending_of(person)
