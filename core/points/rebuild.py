"""Balances and holds made anew from the entries, by the ledger's own rule; entries are never touched."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from ..storage import Store, Tx, Unreadable
from ..values import replace
from .audit import every
from .ledger import BALANCES, ENTRIES, HOLDS, Balance, Hold, Part, applied, line_of


@dataclass(slots=True)
class Extent:
    """The lines of an account. last: the highest number. count: how many there are; fewer than that, and some are gone."""

    last: int = 0
    count: int = 0

    @property
    def is_whole(self) -> bool:
        return self.last == self.count


async def extents(store: Store) -> Mapping[str, Extent]:
    found: dict[str, Extent] = defaultdict(Extent)
    async for entry in every(store, ENTRIES, "place"):
        for posting in entry.postings:
            if posting.line:
                extent = found[posting.account]
                extent.last, extent.count = max(extent.last, posting.line), extent.count + 1
    return found


async def rebuilt(store: Store) -> dict[str, Balance]:
    """What each account comes to that has all of its lines, by its name; version 0."""
    found = await extents(store)
    return {
        account: await _projected(store, account, extent.last) for account, extent in found.items() if extent.is_whole
    }


async def _projected(store: Store, account: str, last: int) -> Balance:
    balance = Balance(key=account)
    for line in range(1, last + 1):
        entry = await store.get(ENTRIES, line_of(account, line), by="lines")
        posting = (
            next((each for each in entry.postings if (each.account, each.line) == (account, line)), None)
            if entry
            else None
        )
        if entry is None or posting is None:
            return balance
        balance = applied(balance, posting, entry.kind, entry.allowance, entry.at, entry.cycle)
    return balance


async def repair(store: Store) -> list[str]:
    """Write every balance and every hold that differs from what its entries come to; what they are. An account that lost entries
    is left as it is: the next one would take a number that is there already."""
    found = await extents(store)
    mended = []
    for account, extent in found.items():
        if extent.is_whole and await _mend_balance(store, account, await _projected(store, account, extent.last)):
            mended.append(account)
    unknown = [balance.key async for balance in every(store, BALANCES, "key") if balance.key not in found]
    mended += [key for key in unknown if await store.atomically(lambda tx, key=key: _clear(tx, key))]  # type: ignore[misc]
    return [*mended, *await _mend_holds(store)]


async def _mend_balance(store: Store, account: str, projected: Balance) -> bool:
    async def work(tx: Tx) -> bool:
        try:
            stored = await tx.get(BALANCES, account)
        except Unreadable:
            await tx.delete(BALANCES, account)
            stored = None
        if await tx.get(ENTRIES, line_of(account, projected.lines + 1), by="lines") is not None:
            return False  # it moved meanwhile; another time
        if stored is None:
            await tx.insert(BALANCES, projected)
            return True
        if _as(projected, stored) == stored:
            return False
        await tx.replace(BALANCES, _as(projected, stored))
        return True

    return await store.atomically(work)


async def _clear(tx: Tx, account: str) -> bool:
    """A balance that nothing was ever entered for."""
    if await tx.get(ENTRIES, line_of(account, 1), by="lines") is not None:
        return False
    return await tx.delete(BALANCES, account)


async def _mend_holds(store: Store) -> list[str]:
    left: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    async for entry in every(store, ENTRIES, "place"):
        for posting in entry.postings:
            if posting.hold:
                parts = left[posting.hold]
                parts[posting.account] += posting.amount
                if not any(parts.values()):
                    del left[posting.hold]
    orders = {hold.key async for hold in every(store, HOLDS, "key")} | left.keys()
    return [
        f"hold of {order}"
        for order in sorted(orders)
        if await store.atomically(lambda tx, order=order: _mend_hold(tx, order))  # type: ignore[misc]
    ]


async def _mend_hold(tx: Tx, order: str) -> bool:
    found: dict[str, int] = defaultdict(int)
    cycle, created = 0, tx.now
    async for entry in every(tx, ENTRIES, "place", {"order": order}):
        if entry.kind == "hold":
            cycle, created = entry.cycle, entry.at
        for posting in entry.postings:
            if posting.hold == order:
                found[posting.account] += posting.amount
    parts = tuple(Part(account=account, left=amount) for account, amount in found.items() if amount)
    hold = await tx.get(HOLDS, order)
    if hold is None:
        if parts:
            await tx.insert(HOLDS, Hold(key=order, parts=parts, cycle=cycle, created=created))
        return bool(parts)
    if {part.account: part.left for part in hold.parts} == {part.account: part.left for part in parts}:
        return False
    await tx.replace(HOLDS, replace(hold, parts=parts))
    return True


def _as(projected: Balance, stored: Balance) -> Balance:
    """The projection in place of what is stored."""
    return replace(projected, version=stored.version, extra=stored.extra)
