"""`chatelier points show|history|grant|revoke|voucher|audit|export`."""

import csv
import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from ..clock import SystemClock
from ..errors import BadInput
from ..generation.agreement import disagreements, release_left
from ..keys import token
from ..people.people import PEOPLE, Person, person_by
from ..points.amounts import POINT, in_points, shown
from ..points.audit import audit, every
from ..points.groups import GROUPS
from ..points.ledger import (
    BALANCES,
    ENTRIES,
    Entry,
    accounts_of,
    free_in,
    histories,
    pool_of,
    purchased_of,
)
from ..points.moves import grant, issue, new_code, revoke
from ..points.rebuild import repair
from ..points.service import Points
from ..points.typed import millipoints
from ..registered import open_store_of
from ..storage import Store, Tx, Unreadable
from .context import begin, open_store, run_command
from .options import EXIT_FAILED

COLUMNS = ("at", "entry", "kind", "account", "hold", "line", "points", "actor", "order", "job", "reason")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom WHO means: a person, or a group by its key."""

    person: Person | None = None
    group: str = ""

    @property
    def account(self) -> str:
        """Where what is granted goes."""
        return purchased_of(self.person.key) if self.person else pool_of(self.group)


async def owner_of(store: Store, who: str) -> Owner:
    """Raises BadInput for nobody."""
    if who.startswith("group:"):
        group = who.removeprefix("group:")
        if await store.get(GROUPS, group) is None and await store.get(BALANCES, pool_of(group)) is None:
            raise BadInput(f"{who!r} is no group that was ever set up or has a pool; write group:NETWORK/CHAT.")
        return Owner(group=group)
    person = await person_by(store, who) or await store.get(PEOPLE, who)
    if person is None:
        raise BadInput(f"{who!r} is nobody who was ever here; write a handle such as telegram:42, or a person's key.")
    return Owner(person=person)


def show(config: Path | None, who: str) -> None:
    run_command(_show(config, who))


async def _show(config: Path | None, who: str) -> None:
    settings, plugins = begin(config)
    clock = SystemClock()
    async with open_store_of(settings, plugins, clock) as store:
        if not who:
            await show_sums(store)
            return
        owner = await owner_of(store, who)
        if owner.person is None:
            group = await store.get(GROUPS, owner.group)
            click.echo(f"pool {shown(await free_in(store, owner.account))}, mode {group.mode if group else 'ghost'}")
            return
        report = await Points(settings.points, plugins, store, clock, settings.limits.run_seconds).report(owner.person)
        click.echo(f"{owner.person.name} {', '.join(owner.person.handles)}, person {owner.person.key}")
        click.echo(f"allowance {shown(report.free)} of {shown(report.allowance.maximum)}, held {shown(report.held)}")
        click.echo(f"purchased {shown(report.purchased)}, held {shown(report.purchased_held)}")
        click.echo(
            f"points {shown(report.points)}, doints {shown(report.doints)}, qoints {shown(report.qoints)}, "
            f"pendingQoints {shown(report.pending_qoints)}, boints {shown(report.boints)}, exp {shown(report.exp)}, "
            f"level {report.level}"
        )


async def show_sums(store: Store) -> None:
    """Of all accounts, by what they are."""
    free, held, count = Counter[str](), Counter[str](), Counter[str]()
    async for balance in every(store, BALANCES, "key"):
        what = balance.key.rpartition(".")[2]
        free[what] += balance.free
        held[what] += balance.held
        count[what] += 1
    for what in sorted(count):
        click.echo(f"{what}: {count[what]} accounts, free {shown(free[what])}, held {shown(held[what])}")
    if not count:
        click.echo("Nothing has moved yet.")


def show_history(config: Path | None, who: str, limit: int) -> None:
    run_command(_history(config, who, limit))


async def _history(config: Path | None, who: str, limit: int) -> None:
    async with open_store(config) as store:
        owner = await owner_of(store, who)
        accounts = accounts_of(owner.person.key) if owner.person else (owner.account,)
        entries = await histories(store, accounts, limit)
        for entry in entries:
            click.echo(_line(entry, accounts))
        if not entries:
            click.echo("Nothing has moved there yet.")


def _line(entry: Entry, accounts: Sequence[str]) -> str:
    mine = [posting for posting in entry.postings if posting.account in accounts]
    amount = sum(posting.amount for posting in mine if entry.kind == "capture" or not posting.hold)
    about = " ".join(filter(None, (entry.order, entry.job, entry.actor, entry.reason)))
    return f"{entry.at:%Y-%m-%d %H:%M:%S}  {entry.kind:<10}  {shown(amount):>12}  {about}".rstrip()


def change(config: Path | None, who: str, amount: str, reason: str, *, takes: bool) -> None:
    run_command(_change(config, who, amount, reason, takes=takes))


async def _change(config: Path | None, who: str, amount: str, reason: str, *, takes: bool) -> None:
    async with open_store(config) as store:
        owner, points = await owner_of(store, who), millipoints(amount)
        deed = revoke if takes else grant
        work = partial(deed, account=owner.account, amount=points, key=token(), actor="command line", reason=reason)
        await store.atomically(work)
        click.echo(
            f"{'Revoked' if takes else 'Granted'}: {in_points(points)}; there are {shown(await free_in(store, owner.account))} now."
        )


def make_voucher(config: Path | None, amount: str, uses: int, days: int) -> None:
    run_command(_voucher(config, amount, uses, days))


async def _voucher(config: Path | None, amount: str, uses: int, days: int) -> None:
    async with open_store(config) as store:
        points, code = millipoints(amount), new_code()

        async def work(tx: Tx) -> None:
            await issue(tx, code, points, uses, days=days)

        await store.atomically(work)
        click.echo(code)
        click.echo(f"{in_points(points)} for each of {uses} who send /redeem {code} within {days} days.", err=True)


def check(config: Path | None, *, mends: bool) -> None:
    if not run_command(_check(config, mends)):
        raise click.exceptions.Exit(EXIT_FAILED)


async def _check(config: Path | None, mends: bool) -> bool:
    async with open_store(config) as store:
        if mends:
            for account in await repair(store):
                click.echo(f"made anew: {account}")
            for order in await release_left(store):
                click.echo(f"given back: what was set aside for order {order}")
        return await check_points(store)


async def check_points(store: Store) -> bool:
    """Print what does not agree, and what is wrong with the records themselves, a line each. True when all is right."""
    faults = list(await store.check())
    try:
        faults += [*await audit(store), *await disagreements(store)]
    except Unreadable as error:  # the rest cannot be added up
        faults += [error.fault] if error.fault not in faults else []
    for fault in faults:
        click.echo(fault)
    click.echo(
        f"{len(faults)} faults. `chatelier points audit --repair` makes balances and holds anew from the entries, which are never changed, "
        "and gives back what is set aside for orders that are over. What is left then has to be looked into."
        if faults
        else "The ledger agrees with itself."
    )
    return not faults


def export(config: Path | None) -> None:
    run_command(_export(config))


async def _export(config: Path | None) -> None:
    async with open_store(config) as store:
        writer = csv.writer(sys.stdout)
        writer.writerow(COLUMNS)
        async for entry in every(store, ENTRIES, "place"):
            for posting in entry.postings:
                writer.writerow(
                    (
                        entry.at.isoformat(),
                        entry.key,
                        entry.kind,
                        posting.account,
                        posting.hold,
                        posting.line or "",
                        _decimal(posting.amount),
                        entry.actor,
                        entry.order,
                        entry.job,
                        _harmless(entry.reason),
                    )
                )


def _harmless(text: str) -> str:
    """A spreadsheet takes what begins so for a formula."""
    first = unicodedata.normalize("NFKC", text.strip())[:1]
    return f"'{text}" if first in ("=", "+", "-", "@") else text


def _decimal(amount: int) -> str:
    """Points, exactly."""
    whole, rest = divmod(abs(amount), POINT)
    return f"{'-' if amount < 0 else ''}{whole}.{rest:03d}"
