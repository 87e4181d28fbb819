"""Backends that are down for long: the operators are told, once an outage, and once more when it is over.

An outage is a record from when it is first seen, so that it is told once by one of several processes, whichever is restarted meanwhile.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ..clock import Clock
from ..errors import ChatelierError
from ..log import get_logger
from ..people.operators import Operators, tell
from ..storage import Kind, Query, Record, Store, Time, Tx
from ..supervise import in_time
from ..telling import Telling
from ..values import replace
from . import words
from .fleet import Fleet, Member, State

log = get_logger(__name__)

LOOK_SECONDS = 5.0
"""Between two looks at how long a backend has been down."""


FORGOTTEN_AFTER = timedelta(days=7)
"""Of backends that this process does not have. Another one may have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage(Record):
    """key: the backend's name. told: when the operators were, None for not yet."""

    since: Time
    told: Time | None = None


OUTAGES = Kind(name="outages", record=Outage, queries=(Query((), "since"),))


class Outages:
    """minutes: that a backend may be down before anybody is told.

    What is known of a backend that was looked at is its outage, None for none.
    """

    def __init__(
        self, fleet: Fleet, store: Store, clock: Clock, operators: Operators, telling: Telling, minutes: float
    ) -> None:
        self._fleet = fleet
        self._store = store
        self._clock = clock
        self._operators = operators
        self._telling = telling
        self._patience = timedelta(minutes=minutes)
        self._moved = asyncio.Event()
        self._known: dict[str, Outage | None] = {}
        self._are_others_forgotten = False

    async def run(self) -> None:
        """Until cancelled."""
        self._fleet.listeners.append(self._note)
        try:
            while True:
                self._moved.clear()
                await self._forget_others()
                for member in self._fleet.members.values():
                    try:
                        await self._look(member)
                    except ChatelierError as away:
                        log.warning("operators not told yet", backend=member.name, error=str(away))
                with suppress(TimeoutError):
                    await in_time(self._moved.wait(), self._clock.sleep(LOOK_SECONDS))
        finally:
            self._fleet.listeners.remove(self._note)

    def _note(self, member: Member, before: State) -> None:
        self._moved.set()

    async def _look(self, member: Member) -> None:
        """Raises Unavailable. Of a backend that stays well, the store is asked once."""
        name = member.name
        if member.state == "up":
            if name not in self._known or self._known[name] is not None:
                await self._over(member)
                self._known[name] = None
        elif member.state == "down":
            outage = self._known.get(name) or await self._begun(member)
            self._known[name] = outage
            is_due = outage.told is None and self._clock.now() - outage.since >= self._patience
            if is_due and member.standing.is_open:
                self._known[name] = await self._tell(member)

    async def _forget_others(self) -> None:
        """Those of backends that nobody configures any more: one that comes back a month later was not away for a month."""
        if self._are_others_forgotten:
            return
        try:
            found = await self._store.find(OUTAGES, order="since", limit=10_000)
            before = self._clock.now() - FORGOTTEN_AFTER
            others = [one.key for one in found if one.key not in self._fleet.members and one.since < before]

            async def work(tx: Tx) -> None:
                for key in others:
                    if await tx.get(OUTAGES, key):
                        await tx.delete(OUTAGES, key)

            if others:
                await self._store.atomically(work)
            self._are_others_forgotten = True
        except ChatelierError as away:
            log.warning("old outages not forgotten yet", error=str(away))

    async def _begun(self, member: Member) -> Outage:
        async def work(tx: Tx) -> Outage:
            known = await tx.get(OUTAGES, member.name)
            return known or await tx.insert(OUTAGES, Outage(key=member.name, since=min(member.since, tx.now)))

        return await self._store.atomically(work)

    async def _tell(self, member: Member) -> Outage | None:
        """Unless another process did. None when another one saw it well meanwhile."""
        addresses, error = await self._operators.addresses(), member.error

        async def work(tx: Tx) -> tuple[Outage | None, bool]:
            outage = await tx.get(OUTAGES, member.name)
            if outage is None or outage.told is not None:
                return outage, False
            sentence = words.backend_down(member.name, (tx.now - outage.since).total_seconds(), error)
            await tell(tx, addresses, sentence, cause=f"outage {member.name} {outage.since}")
            return await tx.replace(OUTAGES, replace(outage, told=tx.now)), True

        outage, is_ours = await self._store.atomically(work)
        if outage is not None and is_ours:
            log.error("backend is down for long", backend=member.name, reason=error, told=len(addresses))
            self._changed(member.name, "down", outage.since, error)
        return outage

    async def _over(self, member: Member) -> None:
        """It is up. Only an outage that was told is told to be over, by who ends it."""
        if await self._store.get(OUTAGES, member.name) is None:
            return
        addresses = await self._operators.addresses()

        async def work(tx: Tx) -> Outage | None:
            outage = await tx.get(OUTAGES, member.name)
            if outage is None:
                return None
            await tx.delete(OUTAGES, member.name)
            if outage.told is not None:
                sentence = words.backend_back(member.name, (tx.now - outage.since).total_seconds())
                await tell(tx, addresses, sentence, cause=f"outage over {member.name} {outage.since}")
            return outage

        outage = await self._store.atomically(work)
        if outage is not None and outage.told is not None:
            log.info("backend is back", backend=member.name, told=len(addresses))
            self._changed(member.name, "up", member.since, "")

    def _changed(self, backend: str, state: Literal["down", "up"], since: datetime, why: str) -> None:
        self._telling.tell("backend_changed", backend=backend, state=state, since=since, reason=why)
