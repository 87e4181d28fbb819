"""Sentences about points."""

from collections.abc import Sequence
from datetime import datetime

from chatelier import Entry, Pack, Report, Sale, escape, in_points, shown, span

CELLS = 12
NOTHING_YET = "Nothing has moved yet. `/account` shows what you have."
NOTHING_WAITS = "No points wait for you. With a code: `/redeem ABCD-EFGH-JKLM-NPQR`."
NO_PAYMENTS = "Nothing is sold here. The operator can give you points, or a code for `/redeem`."
NOT_A_GROUP = (
    "That is for groups. In one, `/donate 50` fills its pool, and its admins say with `/group accounting` how it pays."
)
ADMINS_ONLY = "Only admins of this group may change that."
CODE_IN_PRIVATE = (
    "Say whom: answer a message of theirs. A code that you can pass on I make where we are alone: write to me directly."
)
REFUND_LATER = "Points of theirs are set aside for an open order. Wait until it ends, or cancel it, and give the payment back then."
WHOM = "Say whom: answer a message of theirs with `/gift 50`, or write their handle behind the amount, such as `telegram:42`."
MODES = {
    "house": "the pool pays for everybody",
    "user": "a person's allowance pays first, and the pool pays the rest",
    "ghost": "everybody pays for themselves, as if there were no pool",
}
KINDS = {
    "opening": "your first allowance",
    "refill": "refill",
    "hold": "set aside",
    "capture": "paid",
    "release": "given back",
    "gift": "gift",
    "donation": "donated",
    "voucher": "wrapped as a code",
    "redemption": "redeemed",
    "grant": "granted",
    "revocation": "taken back",
    "purchase": "bought",
    "claim": "claimed",
    "refund": "refunded",
    "bonus": "bonus",
    "migration": "moved with the group",
}


def account(report: Report, now: datetime) -> str:
    maximum = report.allowance.maximum
    full = CELLS * report.free // maximum if maximum else 0
    lines = [
        f"**{shown(report.free)} of {in_points(maximum)}**",
        "▰" * full + "▱" * (CELLS - full),
    ]
    if report.held or report.purchased_held:
        lines.append(f"Set aside for what is being made: {shown(report.held + report.purchased_held)}")
    lines.append(f"Purchased: {shown(report.purchased)}")
    if report.pending_qoints:
        lines.append(f"Bought for you: {shown(report.pending_qoints)}; `/redeem` makes them yours")
    lines.append(f"Level {report.level} · {in_points(report.exp)} spent in all")
    if report.refill:
        lines.append(f"Next refill: {shown(report.refill)} in {span(report.refill_at - now)}")
    return "\n".join(lines)


def kinds(report: Report) -> str:
    rows = (
        ("points", report.points, "of the allowance, spent in this quarter of an hour"),
        ("doints", report.doints, "of the allowance, spent before or set aside; they cool"),
        ("qoints", report.qoints, "purchased; they stay"),
        ("pendingQoints", report.pending_qoints, "bought for you; /redeem"),
        ("boints", report.boints, "purchased points, spent in this quarter of an hour"),
        ("exp", report.exp, "all that was ever spent"),
    )
    lines = [f"- **{name}** {shown(amount)}: {what}" for name, amount, what in rows]
    return "\n".join([*lines, f"- **level** {report.level}"])


def history(entries: Sequence[Entry], accounts: Sequence[str]) -> str:
    return "\n".join(_line(entry, accounts) for entry in entries)


def _line(entry: Entry, accounts: Sequence[str]) -> str:
    mine = [posting for posting in entry.postings if posting.account in accounts]
    amount = sum(posting.amount for posting in mine if entry.kind == "capture" or not posting.hold)
    about = f" · {escape(entry.reason)}" if entry.reason and entry.kind in ("grant", "revocation", "bonus") else ""
    job = f" · `{entry.job}`" if entry.job else ""
    sign = "+" if amount > 0 else ""
    return f"- {entry.at:%d %b %H:%M} · {KINDS[entry.kind]} **{sign}{shown(amount)}**{job}{about}"


def given(amount: int, name: str) -> str:
    return f"{in_points(amount)} given to {escape(name)}."


def wrapped(amount: int, code: str) -> str:
    return f"{in_points(amount)} for whoever has this code first:\n`/redeem {code}`\nYou can redeem it yourself, too."


def unknown(handle: str) -> str:
    return f"{handle!r} was never here. Handles look like telegram:42; the person has to write to me once before."


def donated(amount: int, pool: int, mode: str) -> str:
    told = f"Thank you. The pool has {in_points(pool)} now"
    return (
        f"{told}; {MODES[mode]}."
        if mode != "ghost"
        else (f"{told}. Nobody uses it yet: an admin can say `/group accounting user`, or `house`.")
    )


def redeemed(amount: int) -> str:
    return f"{in_points(amount)} are yours now."


def for_sale(pack: Pack) -> str:
    return f"{in_points(pack.points)} for {pack.price}"


def packs(found: Sequence[tuple[str, Pack]]) -> str:
    lines = [f"- `/buy {n}`: {for_sale(pack)}" for n, (_, pack) in enumerate(found, 1)]
    return "\n".join(["Purchased points stay until you spend them.", *lines])


def bill(pack: Pack) -> str:
    return f"{for_sale(pack)}. They are yours as soon as it is paid."


def no_provider(name: str) -> str:
    return f"Nothing here speaks to {name!r} any more, so the payment must be given back there."


def refunded(sale: Sale, taken: int) -> str:
    spent = "" if taken == sale.points else f" {in_points(sale.points - taken)} were spent already and are written off."
    return f"Given back: {sale.amount} {sale.currency}, and {in_points(taken)} taken.{spent}"


def group(mode: str, pool: int) -> str:
    ways = "\n".join(f"- `/group accounting {name}`: {what}" for name, what in MODES.items())
    return f"**{mode}**: {MODES[mode]}. The pool has {in_points(pool)}.\n{ways}"


def granted(amount: int, name: str, has: int) -> str:
    return f"{in_points(amount)} granted to {escape(name)}, who has {shown(has)} purchased points now."
