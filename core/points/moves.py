"""Points from one to another: gifts, donations, vouchers, grants, purchases. Each once under its key, and whole or not at all."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from ..errors import BadInput
from ..storage import Kind, Query, Record, Time, Tx
from ..values import replace
from . import words
from .groups import current_group
from .ledger import (
    BALANCES,
    MINT,
    PROMOTION,
    SYSTEM,
    WRITTEN_OFF,
    Books,
    EntryKind,
    Posting,
    moved,
    pending_of,
    pool_of,
    purchased_of,
)

CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""None looks like another."""
CODE_LENGTH = 16
"""80 bits: nobody guesses one."""
VOUCHER_DAYS = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class Voucher(Record):
    """A code that gives points. key: a digest of the code, which stands in the one message that shows it and nowhere else.

    amount: millipoints each time. left: how often it can still be used, by each person once. giver: the person who paid for it
    beforehand, "" for one of an operator's.
    """

    amount: int
    left: int
    giver: str = ""
    until: Time
    created: Time


VOUCHERS = Kind(name="vouchers", record=Voucher, queries=(Query((), "created"),))


def new_code() -> str:
    """In groups of four, as people copy it."""
    letters = "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))
    return "-".join(letters[start : start + 4] for start in range(0, CODE_LENGTH, 4))


def voucher_key(code: str) -> str:
    letters = "".join(letter for letter in code.upper() if letter.isalnum())
    return hashlib.sha256(f"chatelier voucher {letters}".encode()).hexdigest()[:22]


def account_of(voucher: str) -> str:
    """Of a voucher that somebody paid for; its points are there until they are redeemed."""
    return f"voucher:{voucher}.gift"


async def give(tx: Tx, giver: str, to: str, amount: int, *, key: str) -> bool:
    """Purchased points from one person to another. False when it was done before. Raises BadInput."""
    if giver == to:
        raise BadInput(words.GIFT_TO_SELF)
    return await _move(tx, f"gift:{key}", "gift", purchased_of(giver), purchased_of(to), amount, actor=giver)


async def donate(tx: Tx, giver: str, group: str, amount: int, *, key: str) -> bool:
    """Purchased points into a group's pool. False when it was done before. Raises BadInput."""
    pool = pool_of(await current_group(tx, group))
    return await _move(tx, f"donation:{key}", "donation", purchased_of(giver), pool, amount, actor=giver)


async def grant(tx: Tx, account: str, amount: int, *, key: str, actor: str, reason: str) -> bool:
    """Points out of nothing, by an operator. account: a person's purchased points or a pool. False when it was done before."""
    return await _move(tx, f"grant:{key}", "grant", PROMOTION, account, amount, actor=actor, reason=reason)


async def revoke(tx: Tx, account: str, amount: int, *, key: str, actor: str, reason: str) -> bool:
    """The contrary. Raises BadInput where the account has less."""
    return await _move(tx, f"revocation:{key}", "revocation", account, PROMOTION, amount, actor=actor, reason=reason)


async def bonus(tx: Tx, person: str, amount: int, *, what: str) -> bool:
    """Given once for each `what`. False when it was."""
    return await _move(tx, f"bonus:{what}:{person}", "bonus", PROMOTION, purchased_of(person), amount, reason=what)


async def buy(
    tx: Tx, person: str, amount: int, *, provider: str, charge: str, actor: str = "", waits: bool = False
) -> bool:
    """A payment, known by the provider's own id. waits: its owner must claim it. False when it was recorded before."""
    target = pending_of(person) if waits else purchased_of(person)
    return await _move(
        tx, payment_key(provider, charge), "purchase", MINT, target, amount, actor=actor or person, reason=provider
    )


def payment_key(provider: str, charge: str) -> str:
    return f"payment:{provider}:{charge}"


def refund_key(provider: str, charge: str) -> str:
    return f"refund:{provider}:{charge}"


async def claim(tx: Tx, person: str, *, key: str) -> int:
    """All that waits for them; the millipoints. 0 for nothing, or when it was done before."""
    balance = await tx.get(BALANCES, pending_of(person))
    waiting = balance.free if balance else 0
    if not waiting:
        return 0
    done = await _move(tx, f"claim:{key}", "claim", pending_of(person), purchased_of(person), waiting, actor=person)
    return waiting if done else 0


async def refund(tx: Tx, person: str, amount: int, *, provider: str, charge: str, actor: str, reason: str) -> int:
    """Take back what a payment brought; what is spent already is written off. What was there; 0 when it was done before."""
    key, account = refund_key(provider, charge), purchased_of(person)
    async with Books(tx) as books:
        if await books.has(key):
            return 0
        there = min(amount, (await books.balance(account)).free)
        postings = [Posting(account=MINT, amount=amount)]
        if there:
            postings.append(Posting(account=account, amount=-there))
        if there < amount:
            postings.append(Posting(account=WRITTEN_OFF, amount=there - amount))
        await books.post(key, "refund", postings, actor=actor, reason=reason)
    return there


async def issue(tx: Tx, code: str, amount: int, uses: int, *, days: int = VOUCHER_DAYS) -> Voucher:
    """An operator's voucher."""
    until = tx.now + timedelta(days=days)
    voucher = Voucher(key=voucher_key(code), amount=amount, left=uses, until=until, created=tx.now)
    return await tx.insert(VOUCHERS, voucher)


async def wrap(tx: Tx, giver: str, code: str, amount: int, *, key: str) -> bool:
    """A gift for whoever has the code, paid now. False when it was done before. Raises BadInput."""
    voucher = voucher_key(code)
    if not await _move(tx, f"voucher:{key}", "voucher", purchased_of(giver), account_of(voucher), amount, actor=giver):
        return False
    until = tx.now + timedelta(days=VOUCHER_DAYS)
    await tx.insert(VOUCHERS, Voucher(key=voucher, amount=amount, left=1, giver=giver, until=until, created=tx.now))
    return True


async def redeem(tx: Tx, person: str, code: str) -> int:
    """What a code gives, in millipoints. Raises BadInput for one that is unknown, used up, too old or used by this person before."""
    voucher = await tx.get(VOUCHERS, voucher_key(code))
    if voucher is None:
        raise BadInput(words.NO_VOUCHER)
    key = f"redemption:{voucher.key}:{person}"
    if await Books(tx).has(key):
        raise BadInput(words.VOUCHER_TWICE)
    if voucher.left < 1:
        raise BadInput(words.VOUCHER_USED)
    if voucher.until <= tx.now and person != voucher.giver:
        raise BadInput(words.VOUCHER_OLD)
    source = account_of(voucher.key) if voucher.giver else PROMOTION
    await _move(tx, key, "redemption", source, purchased_of(person), voucher.amount, actor=person)
    await tx.replace(VOUCHERS, replace(voucher, left=voucher.left - 1))
    return voucher.amount


async def _move(
    tx: Tx, key: str, kind: EntryKind, source: str, target: str, amount: int, *, actor: str = "", reason: str = ""
) -> bool:
    async with Books(tx) as books:
        if await books.has(key):
            return False
        free = amount if source in SYSTEM else (await books.balance(source)).free
        if free < amount:
            raise BadInput(words.not_that_much(free, amount))
        await books.post(key, kind, moved(source, target, amount), actor=actor, reason=reason)
    return True
