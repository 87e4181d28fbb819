"""What the postings alone come to, computed with code of its own, and whatever does not agree with it.

It shares only the records with `ledger.py`, so that a mistake there does not hide itself here.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..storage import Kind, R, Reads, Scalar, Store, Tx
from .ledger import BALANCES, ENTRIES, HOLDS, Balance, Entry, Hold, Posting, seal_of

PAGE = 1_000
SYSTEM = {"mint", "revenue", "expired", "promotion", "written_off"}
SIGNS: dict[str, tuple[str, dict[str, int]]] = {
    "opening": ("open", {"mint": -1}),
    "refill": ("refill", {"mint": -1}),
    "hold": ("hold", {}),
    "capture": ("capture", {"revenue": 1, "written_off": -1}),
    "release": ("release", {"expired": 1}),
    "gift": ("gift", {}),
    "donation": ("donation", {}),
    "voucher": ("voucher", {}),
    "redemption": ("redemption", {"promotion": -1}),
    "grant": ("grant", {"promotion": -1}),
    "revocation": ("revocation", {"promotion": 1}),
    "purchase": ("payment", {"mint": -1}),
    "claim": ("claim", {}),
    "refund": ("refund", {"mint": 1, "written_off": -1}),
    "bonus": ("bonus", {"promotion": -1}),
    "migration": ("migration", {}),
}
"""Of each kind: how its key begins, and which system accounts it posts to, with the sign."""


@dataclass(slots=True)
class Sum:
    """What the postings of one account come to, in millipoints. mark: seconds since 1970 at which its cycle count began."""

    free: int = 0
    held: int = 0
    spent: int = 0
    lines: int = 0
    recent: int = 0
    recent_at: int = 0
    maximum: int | None = None
    seconds: int = 0
    cycles: int = 0
    mark: int = 0
    given: int = 0

    def differs(self, stored: Balance, *, refills: bool) -> list[str]:
        """Each thing that the stored balance says differently."""
        pairs: list[tuple[str, Any, Any]] = [
            ("free", stored.free, self.free),
            ("held", stored.held, self.held),
            ("spent", stored.spent, self.spent),
            ("recent", stored.recent, self.recent),
            ("recent_at", int(stored.recent_at.timestamp()) if stored.recent_at else 0, self.recent_at),
        ]
        if refills and stored.allowance is not None and stored.mark is not None:
            rule = stored.allowance
            pairs += [
                ("maximum", rule.maximum, self.maximum),
                ("cycle", (rule.seconds, rule.cycles), (self.seconds, self.cycles)),
                ("mark", int(stored.mark.timestamp()), self.mark),
                ("given", stored.given, self.given),
            ]
        elif refills != (stored.allowance is not None):
            pairs.append(("allowance", stored.allowance, "another"))
        return [f"{name} is {said}, its postings say {known}" for name, said, known in pairs if said != known]


@dataclass(slots=True)
class _Read:
    """All entries so far."""

    sums: dict[str, Sum] = field(default_factory=lambda: defaultdict(Sum))
    early: dict[tuple[str, int], tuple[Entry, Posting]] = field(default_factory=dict)
    holds: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    faults: list[str] = field(default_factory=list)
    entries: int = 0


async def audit(store: Store) -> list[str]:
    """A line for each account, entry or hold that is off; empty when all agree. The gateway may go on meanwhile."""
    balances = {balance.key: balance async for balance in every(store, BALANCES, "key")}
    read = _Read()
    checked: set[str] = set()
    async for entry in every(store, ENTRIES, "place"):
        _check_entry(read, entry)
        for account in _apply(read, entry):
            balance = balances.get(account)
            # Later entries are not in the balance that was read before them.
            if balance is not None and balance.lines == read.sums[account].lines:
                checked.add(account)
                read.faults += _compare(balance, read.sums[account])
    for (account, line), (entry, _) in sorted(read.early.items(), key=lambda one: one[0]):
        read.faults.append(f"account {account!r}: no line before {line}, entry {entry.key!r}")
    moved = {
        account
        for account, known in read.sums.items()
        if account in balances and balances[account].lines != known.lines
    }
    for account in sorted((balances.keys() | read.sums.keys()) - checked | moved):
        read.faults += await store.atomically(lambda tx, account=account: _alone(tx, account, read))  # type: ignore[misc]
    orders = {hold.key async for hold in every(store, HOLDS, "key")}
    held = {order for order, parts in read.holds.items() if any(parts.values())}
    for order in sorted(orders | held):
        read.faults += await store.atomically(lambda tx, order=order: _check_hold(tx, order))  # type: ignore[misc]
    return read.faults


async def every(reads: Reads, kind: Kind[R], order: str, where: dict[str, Scalar] | None = None) -> AsyncIterator[R]:
    """All records of a kind, or those where this holds, a page at a time. order: a field that no two of them share."""
    since, page = "", await reads.find(kind, where or {}, order=order, limit=PAGE, strict=True)
    while page:
        for record in page:
            if (place := getattr(record, order)) != since:
                yield record
            since = place
        is_full = len(page) == PAGE
        page = await reads.find(kind, where or {}, order=order, since=since, limit=PAGE, strict=True) if is_full else []


def _check_entry(read: _Read, entry: Entry) -> None:
    read.entries += 1
    total = sum(posting.amount for posting in entry.postings)
    if total or not entry.postings:
        read.faults.append(f"entry {entry.key!r}: its postings come to {total}, not to 0")
    if entry.place != f"{_milliseconds(entry.at):013d} {entry.key}":
        read.faults.append(f"entry {entry.key!r}: it was entered under another key or at another time")
    lines = tuple(f"{posting.account}#{posting.line}" for posting in entry.postings if posting.account not in SYSTEM)
    if lines != entry.lines:
        read.faults.append(f"entry {entry.key!r}: its lines are not those of its postings")
    for posting in entry.postings:
        if (posting.account in SYSTEM) != (posting.line == 0) or (posting.account in SYSTEM and posting.hold):
            read.faults.append(
                f"entry {entry.key!r}: {posting.account} has the line {posting.line} of {posting.hold!r}"
            )
    if entry.seal != seal_of(entry):
        read.faults.append(f"entry {entry.key!r}: it is not what was entered")
    start, (first, signs) = entry.key.partition(":")[0], SIGNS.get(entry.kind, ("", {}))
    if start != first:
        read.faults.append(f"entry {entry.key!r}: its key is not that of a {entry.kind}")
    for posting in entry.postings:
        if posting.account in SYSTEM and posting.amount * signs.get(posting.account, 0) <= 0:
            read.faults.append(
                f"entry {entry.key!r}: a {entry.kind} does not post {posting.amount} to {posting.account}"
            )
    subject = {"hold": entry.order, "capture": entry.job, "release": entry.job or entry.order}.get(entry.kind)
    if subject is not None and entry.key != f"{start}:{subject}":
        read.faults.append(f"entry {entry.key!r}: it is not about {subject!r}")


def _apply(read: _Read, entry: Entry) -> Iterator[str]:
    """Add its postings in the order of their lines, which may not be that of their times. Yields each account that grew by one."""
    for posting in entry.postings:
        if posting.hold:
            _note_hold(read.holds, posting)
        if posting.account in SYSTEM:
            continue
        place = (posting.account, posting.line)
        if posting.line <= read.sums[posting.account].lines or place in read.early:
            read.faults.append(f"account {posting.account!r}: line {posting.line} twice, entry {entry.key!r}")
            continue
        read.early[place] = (entry, posting)
        while found := read.early.pop((posting.account, read.sums[posting.account].lines + 1), None):
            _add(read, *found)
            yield posting.account


def _note_hold(holds: dict[str, dict[str, int]], posting: Posting) -> None:
    """What is over takes no room."""
    parts = holds[posting.hold]
    parts[posting.account] += posting.amount
    if not parts[posting.account]:
        del parts[posting.account]
    if not parts:
        del holds[posting.hold]


def _add(read: _Read, entry: Entry, posting: Posting) -> None:
    account = read.sums[posting.account]
    account.lines += 1
    refills = posting.account.endswith(".allowance") and entry.allowance is not None
    if refills:
        _mark(read, account, entry, posting)
    if posting.hold:
        account.held += posting.amount
    else:
        account.free += posting.amount
    if entry.kind == "capture" and posting.amount < 0:
        start = _start(entry.at, entry.cycle)
        account.recent = (account.recent if account.recent_at == start else 0) - posting.amount
        account.recent_at = start
        account.spent -= posting.amount
    if account.free < 0 or account.held < 0:
        read.faults.append(f"account {posting.account!r}: below zero after entry {entry.key!r}")
    if refills and account.free + account.held == 0:
        account.mark, account.given = _start(entry.at, account.seconds), 0


def _mark(read: _Read, account: Sum, entry: Entry, posting: Posting) -> None:
    """Where the count of cycles stands, and whether a refill is what the rule gives."""
    rule = entry.allowance
    assert rule is not None  # noqa: S101 - the caller looked
    first, total = account.maximum is None, account.free + account.held
    known = account.maximum if account.maximum is not None else rule.maximum
    fullest = min(known, rule.maximum)
    changed = (known, account.seconds, account.cycles) != (rule.maximum, rule.seconds, rule.cycles)
    due = 0
    if not first and total < fullest:
        passed = max(0, (_start(entry.at, account.seconds) - account.mark) // account.seconds)
        due = max(0, min(known * passed // account.cycles - account.given, fullest - total))
    if entry.kind == "refill" and posting.amount != due:
        read.faults.append(f"entry {entry.key!r}: it refills {posting.amount}, the rule gives {due}")
    if entry.kind == "opening" and posting.amount != rule.maximum:
        read.faults.append(f"entry {entry.key!r}: it opens with {posting.amount}, the rule gives {rule.maximum}")
    if first or total >= fullest or changed:
        account.mark, account.given = _start(entry.at, rule.seconds), 0
    elif entry.kind == "refill":
        account.given += due
    account.maximum, account.seconds, account.cycles = rule.maximum, rule.seconds, rule.cycles


def _compare(balance: Balance, account: Sum) -> list[str]:
    refills = balance.key.endswith(".allowance")
    return [f"account {balance.key!r}: {what}" for what in account.differs(balance, refills=refills)]


async def _alone(tx: Tx, account: str, read: _Read) -> list[str]:
    """An account whose postings and balance were not seen together."""
    balance, known = await tx.get(BALANCES, account), read.sums.get(account)
    if balance is None:
        return [f"account {account!r}: it has {known.lines} postings and no balance"] if known else []
    if known is None or balance.lines < known.lines:
        return [
            f"account {account!r}: its balance counts {balance.lines} postings, there are {known.lines if known else 0}"
        ]
    last = await tx.get(ENTRIES, f"{account}#{balance.lines}", by="lines")
    return [] if last is not None else [f"account {account!r}: its line {balance.lines} is missing"]


async def _check_hold(tx: Tx, order: str) -> list[str]:
    """What its entries hold, and what its record says."""
    found: dict[str, int] = defaultdict(int)
    async for entry in every(tx, ENTRIES, "place", {"order": order}):
        for posting in entry.postings:
            if posting.hold == order:
                found[posting.account] += posting.amount
    hold: Hold | None = await tx.get(HOLDS, order)
    said = {part.account: part.left for part in hold.parts} if hold else {}
    known = {account: amount for account, amount in found.items() if amount}
    return [] if said == known else [f"hold of order {order!r}: it is {_told(said)}, its postings say {_told(known)}"]


def _told(parts: dict[str, int]) -> str:
    return ", ".join(f"{amount} of {account}" for account, amount in sorted(parts.items())) or "nothing"


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _start(at: datetime, seconds: int) -> int:
    moment = _milliseconds(at) // 1000
    return moment - moment % (seconds or 1)
