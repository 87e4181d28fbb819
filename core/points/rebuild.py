"""Balances made anew from the entries, by the ledger's own rule."""

from collections import defaultdict
from dataclasses import replace

from ..storage import Store, Tx
from .audit import every
from .ledger import BALANCES, ENTRIES, Balance, Entry, Posting, applied

Lines = dict[str, dict[int, tuple[Entry, Posting]]]


async def rebuilt(store: Store) -> dict[str, Balance]:
    """What each account comes to, by its name; version 0."""
    lines: Lines = defaultdict(dict)
    async for entry in every(store, ENTRIES, "place"):
        for posting in entry.postings:
            if posting.line:
                lines[posting.account][posting.line] = (entry, posting)
    return {account: _projected(account, found) for account, found in lines.items()}


def _projected(account: str, lines: dict[int, tuple[Entry, Posting]]) -> Balance:
    balance = Balance(key=account)
    for _, (entry, posting) in sorted(lines.items()):
        balance = applied(balance, posting, entry.kind, entry.allowance, entry.at, entry.cycle)
    return balance


async def repair(store: Store) -> list[str]:
    """Write every balance that differs from what its entries come to. Its accounts. No entry is touched."""
    mended = []
    for account, projected in (await rebuilt(store)).items():

        async def work(tx: Tx, account: str = account, projected: Balance = projected) -> bool:
            stored = await tx.get(BALANCES, account)
            if stored is None:
                await tx.insert(BALANCES, projected)
                return True
            if _same(stored, projected):
                return False
            if await tx.get(ENTRIES, f"{account}#{projected.lines + 1}", by="lines") is not None:
                return False  # it moved meanwhile; another time
            await tx.replace(BALANCES, _as(projected, stored))
            return True

        if await store.atomically(work):
            mended.append(account)
    return mended


def _same(stored: Balance, projected: Balance) -> bool:
    return _as(projected, stored) == stored


def _as(projected: Balance, stored: Balance) -> Balance:
    """The projection in place of what is stored."""
    return replace(projected, version=stored.version, extra=stored.extra)
