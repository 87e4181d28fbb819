"""How much of everything there is now, in numbers: what the store holds, counted by its indexes and never beyond a bound."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .chat.inbox import ARRIVALS
from .chat.outbox import MESSAGES
from .generation.jobs import ALL, CROWDS, JOBS
from .generation.roster import is_draining
from .storage import Kind, Scalar, Store, Tx

COUNTED = 500
"""Records of a sort that are counted: this many stands for "this many or more". To count, an engine reads them."""
JOB_STATES = ("queued", "submitting", "submitted", "running", "storing")
EVENT_STATES = ("new", "aside")
MESSAGE_STATES = ("pending", "sending", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """jobs: the open ones by state. orders: open ones, exactly. oldest_seconds: since the oldest open job was asked for, 0 without one.

    events: by state. messages: by account and state. What is counted is so up to `COUNTED` of each.
    """

    draining: bool
    orders: int
    jobs: Mapping[str, int]
    oldest_seconds: float
    events: Mapping[str, int]
    messages: Mapping[tuple[str, str], int]


async def figures_of(store: Store, accounts: Iterable[str]) -> Figures:
    """Raises Unavailable."""
    crowd = await store.get(CROWDS, ALL)
    return Figures(
        draining=await is_draining(store),
        orders=crowd.orders if crowd else 0,
        jobs={state: await _count(store, JOBS, {"state": state}, "created") for state in JOB_STATES},
        oldest_seconds=await _oldest_seconds(store),
        events={state: await _count(store, ARRIVALS, {"state": state}, "received") for state in EVENT_STATES},
        messages={
            (account, state): await _count(store, MESSAGES, {"account": account, "state": state}, "place")
            for account in accounts
            for state in MESSAGE_STATES
        },
    )


async def _count(store: Store, kind: Kind[Any], where: Mapping[str, Scalar], order: str) -> int:
    return len(await store.find(kind, where, order=order, limit=COUNTED))


async def _oldest_seconds(store: Store) -> float:
    async def work(tx: Tx) -> float:
        oldest = await tx.find(JOBS, {"open": True}, order="created", limit=1)
        return max(0.0, (tx.now - oldest[0].created).total_seconds()) if oldest else 0.0

    return await store.atomically(work)
