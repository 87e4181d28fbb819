"""Who pays: decided by the server from who asks and where, never by what a client sends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import BadInput
from ..storage import Tx
from ..values import replace
from . import words
from .amounts import POINT
from .groups import GROUPS, MODES, Group, Mode, current_group
from .holds import free_in, set_aside
from .ledger import Books, allowance_of, group_of_pool, moved, pool_of, purchased_of

Scenario = Literal["flat", "api", "cook", "house", "user", "standard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """Millipoints. Below these nothing is begun; under `api_warning` the API says so."""

    api: int = 50 * POINT
    api_warning: int = 1_000 * POINT
    cook: int = 100 * POINT


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """scenario: why these accounts pay. sources: in this order. floor: millipoints that they must have in all.

    warn_under: millipoints. warning: said with the order where they had less than that.
    """

    scenario: Scenario
    sources: tuple[str, ...]
    floor: int = 0
    warn_under: int = 0
    warning: str = ""


def payer_of(
    person: str, group: str, mode: Mode, *, origin: Literal["chat", "api", "batch"], purchased: bool, floors: Floors
) -> Payer:
    """group: "" outside of one. purchased: the price is one that only purchased points pay."""
    allowance, own = allowance_of(person), purchased_of(person)
    if purchased:
        return Payer(scenario="flat", sources=(own,))
    if origin == "api":
        return Payer(scenario="api", sources=(own,), floor=floors.api, warn_under=floors.api_warning)
    if origin == "batch":
        return Payer(scenario="cook", sources=(own,), floor=floors.cook)
    if group and mode == "house":
        return Payer(scenario="house", sources=(pool_of(group),))
    if group and mode == "user":
        return Payer(scenario="user", sources=(allowance, pool_of(group)))
    return Payer(scenario="standard", sources=(allowance, own))


async def hold_for(books: Books, order: str, person: str, payer: Payer, amount: int) -> Payer:
    """Set the amount aside. The payer, with a warning where little is left.

    Raises BadInput, in words that say what to do, where it cannot be had.
    """
    free = await free_in(books, payer.sources)
    if free < max(amount, payer.floor):
        own = allowance_of(person)
        balance = await books.balance(own) if own in payer.sources else None
        rule, held = (books.allowance(balance), balance.held) if balance else (None, 0)
        raise BadInput(words.not_enough(payer.scenario, free, amount, payer.floor, rule, books.tx.now, held))
    await set_aside(books, order, payer.sources, amount, actor=person)
    return replace(payer, warning=words.low(free - amount)) if free - amount < payer.warn_under else payer


async def set_mode(tx: Tx, group: str, mode: str) -> None:
    """From now on. Raises BadInput for a mode that there is not."""
    if mode not in MODES:
        raise BadInput(words.no_mode(mode, MODES))
    group = await current_group(tx, group)
    found = await tx.get(GROUPS, group) or Group(key=group)
    chosen = replace(found, mode=MODES[mode])
    await (tx.replace(GROUPS, chosen) if found.version else tx.insert(GROUPS, chosen))


async def migrate(tx: Tx, old: str, new: str) -> None:
    """The network gave the group another id: its pool and its setting go along. Once."""
    found = await tx.get(GROUPS, old) or Group(key=old)
    if old == new or found.moved:
        return
    target = await tx.get(GROUPS, new) or Group(key=new)
    if found.mode != "ghost" or target.moved:  # a key that it had before is its own again
        arrived = replace(target, mode=found.mode, moved="")
        await (tx.replace(GROUPS, arrived) if target.version else tx.insert(GROUPS, arrived))
    left = replace(found, mode="ghost", moved=new)
    await (tx.replace(GROUPS, left) if found.version else tx.insert(GROUPS, left))
    async with Books(tx) as books:
        if free := (await books.balance(pool_of(old))).free:
            await books.post(f"migration:{old}:{new}", "migration", moved(pool_of(old), pool_of(new), free))


async def moved_pools(tx: Tx, sources: Sequence[str]) -> dict[str, str]:
    """Of these accounts the pools whose groups have another key by now, each with the account that took its place."""
    found: dict[str, str] = {}
    for source in sources:
        group = group_of_pool(source)
        current = await current_group(tx, group) if group else ""
        if current != group:
            found[source] = pool_of(current)
    return found


async def mode_of(tx: Tx, group: str) -> Mode:
    """How a group pays; "ghost" where there is no group."""
    found = await tx.get(GROUPS, await current_group(tx, group)) if group else None
    return found.mode if found else "ghost"
