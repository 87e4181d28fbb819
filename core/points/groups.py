"""How a group pays, and under which key it is known by now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..storage import Kind, Record, Tx

Mode = Literal["house", "user", "ghost"]
MODES: Mapping[str, Mode] = {"house": "house", "user": "user", "ghost": "ghost"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Record):
    """How a group pays. key: its network and the network's own id, "telegram/-100".

    mode: house: the pool pays all. user: the person's allowance pays first, the pool the rest. ghost: as if there were no pool.
    moved: the key that the network gave it instead, "" for none: its orders go on with that one's pool.
    """

    mode: Mode = "ghost"
    moved: str = ""


GROUPS = Kind(name="groups", record=Group)


async def current_group(tx: Tx, group: str) -> str:
    """The key that the network gave it last."""
    while (found := await tx.get(GROUPS, group)) is not None and found.moved:
        group = found.moved
    return group
