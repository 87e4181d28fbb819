"""What people read about points. Markdown; what people typed is escaped."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .amounts import in_points, shown

if TYPE_CHECKING:
    from .allowance import Allowance
    from .payments import Sale
    from .scenarios import Scenario

OFF = "Points are switched off here: everything is free."


GIFT_TO_SELF = "You cannot give points to yourself."
BILL_GONE = "That bill is not open any more. /buy makes a new one."
BILL_OTHERS = "That bill is somebody else's. /buy makes one of your own."
NO_SALE = "There is no such payment here. Write its id as the provider has it, behind the provider's name: stars:ABC."
REFUNDED_BEFORE = "That payment was given back already."
NO_VOUCHER = "There is no such code. Copy it whole, as it was given to you."
VOUCHER_TWICE = "You have redeemed that code already."
VOUCHER_USED = "That code was redeemed already."
VOUCHER_OLD = "That code is too old."


def not_that_much(have: int, wanted: int) -> str:
    return f"You have {in_points(have)} that can be moved, not {shown(wanted)}. An allowance cannot; get more with /buy or /redeem."


def no_mode(mode: str, modes: Iterable[str]) -> str:
    return f"{mode!r} is no way to pay; there are {', '.join(modes)}."


def no_amount(typed: str) -> str:
    return (
        f"{typed!r} is no amount of points. Write a number above zero with at most three decimals, such as 25 or 2.5."
    )


def about(likely: int) -> str:
    """On the card of an order that is not cheap."""
    return f"about {in_points(likely)}; it costs nothing while it waits, or if you cancel it"


def welcome(amount: int) -> str:
    return f"{in_points(amount)} are yours for a start, beside an allowance that comes back by itself. `/account` shows both."


def pack(points: int) -> str:
    return in_points(points)


def paid(sale: "Sale") -> str:
    if sale.state == "stray":
        return f"Your payment came, and nobody here knows the bill. The operator is told; keep its id: `{sale.paid}`."
    return f"Thank you. {in_points(sale.points)} are yours now. The payment's id is `{sale.paid}`."


def given_back(taken: int) -> str:
    return f"Your payment was given back, and {in_points(taken)} with it."


def quote(likely: int, held: int) -> str:
    aside = "" if held == likely else f" {in_points(held)} would be set aside, and what is not used comes back."
    return f"That will likely cost {in_points(likely)}.{aside}"


def cost(amount: int, written_off: int) -> str:
    return in_points(amount) + (f", of which {shown(written_off)} were written off" if written_off else "")


def low(left: int) -> str:
    return f"{in_points(left)} are left; get more with /buy or /redeem before they are used up."


def too_little(account: str) -> str:
    return f"There are too few points in {account}."


def not_enough(
    scenario: "Scenario", free: int, need: int, floor: int, allowance: "Allowance | None", now: datetime, held: int = 0
) -> str:
    """Why, and what to do. free, need, floor: millipoints. allowance: of a person, where it would pay; held: what is set aside of it."""
    if free < floor and need <= floor:
        return f"{_WHO[scenario]} {in_points(free)}, and at least {in_points(floor)} are asked for to begin. {_WAYS[scenario]}"
    why = f"That needs {in_points(need)}, and {_HAVE[scenario]} {shown(free)}."
    when = ""
    if allowance is not None and free < need <= allowance.maximum - held:
        when = f" Your allowance will do in about {_refilled(allowance, need - free, now)}."
    elif held and allowance is not None and need <= allowance.maximum:
        when = f" {in_points(held)} are set aside for open orders; what is left of them comes back when those end."
    return f"{why}{when} {_WAYS[scenario]}"


def _refilled(allowance: "Allowance", missing: int, now: datetime) -> str:
    """The time until so much more has been refilled."""
    a_cycle = max(1, allowance.maximum // allowance.cycles)
    more = timedelta(seconds=allowance.seconds) * (-(-missing // a_cycle) - 1)
    return span(allowance.next_refill(now) - now + more)


def span(wait: timedelta) -> str:
    minutes = max(1, round(wait.total_seconds() / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min".replace(" 0 min", "")


_WHO = {"api": "The account of this key has", "cook": "You have purchased"}
_HAVE = {
    "flat": "you have purchased",
    "api": "the account of this key has purchased",
    "cook": "you have purchased",
    "house": "the pool of this group has",
    "user": "your allowance and the pool of this group have",
    "standard": "you have",
}
_WAYS = {
    "flat": "Only purchased points pay for this; get some with /buy or /redeem.",
    "api": "Get more with /buy or /redeem.",
    "cook": "Get more with /buy or /redeem.",
    "house": "Anybody may fill the pool with /donate, or write to me alone.",
    "user": "Anybody may fill the pool with /donate, or write to me alone.",
    "standard": "Get more with /buy or /redeem, or ask for something smaller.",
}
