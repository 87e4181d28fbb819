"""What an order sets aside, what each of its jobs takes of it, and what comes back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..values import replace
from .ledger import EXPIRED, REVENUE, WRITTEN_OFF, Books, Hold, Part, Posting, is_allowance


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """Millipoints. cost: what the job was worth. written_off: of that, what nobody had."""

    cost: int
    written_off: int


async def free_in(books: Books, sources: Sequence[str]) -> int:
    """What can be set aside of these accounts together."""
    return sum([(await books.balance(account)).free for account in sources])


async def set_aside(books: Books, order: str, sources: Sequence[str], amount: int, *, actor: str) -> None:
    """Hold so much for an order, of the first account what it has, of the next one the rest. Raises BadInput for too little.

    The hold is there with nothing in it, too: what the jobs cost beyond it is taken from the same accounts.
    """
    parts = await _from_free(books, sources, amount)
    missing = amount - sum(part.left for part in parts)
    if missing:  # the last one is refused, with its name
        parts.append(Part(account=sources[-1], left=missing))
    postings = [
        posting
        for part in parts
        for posting in (
            Posting(account=part.account, amount=-part.left),
            Posting(account=part.account, amount=part.left, hold=order),
        )
    ]
    if postings:
        await books.post(f"hold:{order}", "hold", postings, actor=actor, order=order)
    books.keep(Hold(key=order, parts=tuple(parts), cycle=books.cycle, created=books.tx.now))


async def capture(
    books: Books, order: str, sources: Sequence[str], job: str, share: int, cost: int, *, actor: str
) -> Charged:
    """A job is paid: of its share of the hold first, then of what the sources have, and the rest is written off. Once."""
    key = f"capture:{job}"
    hold = await books.hold(order)
    if hold is None or not cost or await books.has(key):
        return Charged(cost=0, written_off=0)
    held = list(_first(hold.parts, min(share, cost)))
    left = cost - sum(part.left for part in held)
    more = await _from_free(books, sources, left)
    lost = left - sum(part.left for part in more)
    postings = [Posting(account=part.account, amount=-part.left, hold=order) for part in held]
    postings += [Posting(account=part.account, amount=-part.left) for part in more]
    if lost:
        postings.append(Posting(account=WRITTEN_OFF, amount=-lost))
    postings.append(Posting(account=REVENUE, amount=cost))
    await books.post(key, "capture", postings, actor=actor, order=order, job=job)
    books.keep(replace(hold, parts=_without(hold.parts, held)))
    return Charged(cost=cost, written_off=lost)


async def release(books: Books, order: str, key: str, amount: int, *, job: str = "") -> None:
    """Give back so much of the hold, of the last account first, so that the first one pays. Once.

    key: the job's or the order's. What would lift an allowance above its maximum expires.
    """
    entered = f"release:{key}"
    hold = await books.hold(order)
    if hold is None or amount <= 0 or not hold.left or await books.has(entered):
        return
    back = list(_first(tuple(reversed(hold.parts)), amount))
    postings: list[Posting] = []
    for part in back:
        balance = await books.balance(part.account)
        surplus = 0
        if is_allowance(part.account):
            surplus = min(part.left, max(0, balance.total - books.allowance(balance).maximum))
        postings.append(Posting(account=part.account, amount=-part.left, hold=order))
        if part.left > surplus:
            back_to = books.instead.get(part.account, part.account)
            postings.append(Posting(account=back_to, amount=part.left - surplus))
        if surplus:
            postings.append(Posting(account=EXPIRED, amount=surplus))
    await books.post(entered, "release", postings, order=order, job=job)
    books.keep(replace(hold, parts=_without(hold.parts, back)))


async def finish(books: Books, order: str) -> None:
    """The order is closed: whatever is left goes back, and the hold with it."""
    hold = await books.hold(order)
    if hold is None:
        return
    await release(books, order, order, hold.left)
    books.drop(order)


async def _from_free(books: Books, sources: Sequence[str], amount: int) -> list[Part]:
    """As much of the amount as they have, in this order."""
    parts: list[Part] = []
    for account in (books.instead.get(source, source) for source in sources):
        if taken := min(amount, (await books.balance(account)).free):
            parts.append(Part(account=account, left=taken))
            amount -= taken
    return parts


def _first(parts: Sequence[Part], amount: int) -> Iterator[Part]:
    """Of these, in this order, so much."""
    for part in parts:
        if taken := min(amount, part.left):
            yield Part(account=part.account, left=taken)
            amount -= taken


def _without(parts: Sequence[Part], taken: Sequence[Part]) -> tuple[Part, ...]:
    gone = {part.account: part.left for part in taken}
    return tuple(replace(part, left=left) for part in parts if (left := part.left - gone.get(part.account, 0)) > 0)
