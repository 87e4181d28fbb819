"""What the operator decided about backends, and about the whole gateway, while it runs: records that win over the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..storage import Kind, Query, Reads, Record, Time, Tx
from ..values import replace

GATEWAY = "gateway"
"""The only key of `CLOSINGS`."""
MOST = 10_000
"""Backends whose standing is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing(Record):
    """How a backend stands with the operator. key: its name.

    draining: what it has is finished, nothing new is given to it. disabled: the same, and it is not told as a fault.
    weight, tags: in place of the configured ones; None for these. changed: when, None for never.
    """

    draining: bool = False
    disabled: bool = False
    weight: float | None = None
    tags: tuple[str, ...] | None = None
    changed: Time | None = None

    @property
    def is_open(self) -> bool:
        """Whether it may be given jobs."""
        return not (self.draining or self.disabled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing(Record):
    """That the gateway takes no more orders, and finishes those that it has. There is one, under the key `GATEWAY`."""

    draining: bool = False
    changed: Time | None = None


ROSTER = Kind(name="roster", record=Standing, queries=(Query(),))
CLOSINGS = Kind(name="closings", record=Closing)


async def standings(reads: Reads) -> Mapping[str, Standing]:
    """By backend. One that the operator said nothing about is not there."""
    return {one.key: one for one in await reads.find(ROSTER, limit=MOST)}


async def set_standing(tx: Tx, backend: str, **changes: Any) -> Standing:
    """Change these fields of it."""
    known = await tx.get(ROSTER, backend)
    if known is None:
        return await tx.insert(ROSTER, Standing(key=backend, changed=tx.now, **changes))
    return await tx.replace(ROSTER, replace(known, changed=tx.now, **changes))


async def is_draining(reads: Reads) -> bool:
    """Whether the gateway as a whole is being drained."""
    closing = await reads.get(CLOSINGS, GATEWAY)
    return closing is not None and closing.draining


async def set_draining(tx: Tx, *, draining: bool) -> Closing:
    known = await tx.get(CLOSINGS, GATEWAY)
    if known is None:
        return await tx.insert(CLOSINGS, Closing(key=GATEWAY, draining=draining, changed=tx.now))
    return await tx.replace(CLOSINGS, replace(known, draining=draining, changed=tx.now))
