"""Where people write, and how far it was read: what came while the connection was lost is read again from there."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import discord

from chatelier import ChatelierError, Store, Tx

from .inbound import is_direct
from .records import PLACES, Place

FLUSH_SECONDS = 20.0
MOST = 200
"""Channels that are read again; those where people wrote last."""
READ_AGAIN = timedelta(days=1)
FORGOTTEN = timedelta(days=30)


class Places:
    """Of one account. What is noted is written now and then: to read a message again is harmless."""

    def __init__(self, store: Store, account: str) -> None:
        self._store = store
        self._account = account
        self._noted: dict[str, Place] = {}
        self._met: set[int] = set()

    async def meet(self, message: discord.Message) -> None:
        """Before the first message of a channel is stored: should that fail, it is read again."""
        if message.channel.id not in self._met:
            self._met.add(message.channel.id)
            self.note(message, last=message.id - 1)
            await self.flush()

    def note(self, message: discord.Message, last: int = 0) -> None:
        """That everything was taken up to this message, or up to another one."""
        channel, guild = message.channel, message.guild
        guild_id = guild.id if guild else getattr(channel, "guild_id", None)
        self._noted[str(channel.id)] = Place(
            key=f"{self._account}.{channel.id}",
            account=self._account,
            channel=str(channel.id),
            guild="" if is_direct(message) else str(guild_id or ""),
            parent=str(channel.parent_id) if isinstance(channel, discord.Thread) else "",
            last=str(last or message.id),
            at=datetime.now(UTC),
        )

    async def flush(self) -> None:
        noted, self._noted = self._noted, {}
        if not noted:
            return
        try:
            await self._store.atomically(partial(_write, list(noted.values())))
        except ChatelierError:  # the next time
            self._noted = {**noted, **self._noted}

    async def recent(self) -> Sequence[Place]:
        """The newest last. Raises Unavailable."""
        since = datetime.now(UTC) - READ_AGAIN
        found = await self._store.find(
            PLACES, {"account": self._account}, order="at", since=since, descending=True, limit=MOST
        )
        return found[::-1]

    async def forget_old(self) -> None:
        before = datetime.now(UTC) - FORGOTTEN
        with suppress(ChatelierError):
            while old := await self._store.find(PLACES, {"account": self._account}, order="at", until=before):
                await self._store.atomically(partial(_delete, old))


async def _write(places: Sequence[Place], tx: Tx) -> None:
    for place in places:
        known = await tx.get(PLACES, place.key)
        if known is None:
            await tx.insert(PLACES, place)
        elif int(known.last) < int(place.last):
            await tx.replace(PLACES, replace(place, version=known.version))


async def _delete(places: Sequence[Place], tx: Tx) -> None:
    for place in places:
        await tx.delete(PLACES, place.key)
