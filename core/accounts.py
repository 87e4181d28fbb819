"""An account is held by one process at a time: it connects, sends, edits and keeps the rate, all under one lease."""

import asyncio
from collections.abc import Mapping

from .chat.line import Line
from .chat.outbox import Message
from .chat.platform import Gateway, Platform
from .clock import Clock
from .errors import ChatelierError, Lost
from .generation.cards import Cards
from .generation.queue import Queue
from .leases import ACCOUNTS, LEASE_SECONDS, AccountLease, Lease, give_back, take
from .log import get_logger
from .media.renditions import Renditions
from .storage import Store, Tx
from .supervise import Supervised, apart

log = get_logger(__name__)

RETRY_SECONDS = 2.0
"""Until a process asks again for an account that another one holds, or that failed."""


class Account:
    """One platform object and everything that only its holder does."""

    def __init__(
        self,
        platform: Platform,
        gateway: Gateway,
        store: Store,
        owner: str,
        *,
        clock: Clock,
        previews: Mapping[str, bytes],
        queue: Queue,
        renditions: Renditions | None = None,
    ) -> None:
        self.platform = platform
        self._store = store
        self._owner = owner
        self._clock = clock
        self._previews = previews
        self._queue = queue
        self._renditions = renditions
        self._lease: AccountLease | None = None
        self._line: Line | None = None
        self.connection = Supervised(platform.name, lambda: platform.run(gateway), clock, announces=True)

    @property
    def name(self) -> str:
        return self.platform.name

    @property
    def is_held(self) -> bool:
        return self._lease is not None

    async def take(self) -> bool:
        """Take the lease, unless another process has it."""
        self._lease = await take(self._store, ACCOUNTS, self.name, owner=self._owner, seconds=LEASE_SECONDS)
        return self._lease is not None

    async def run(self) -> None:
        """Hold the account whenever it is free, until cancelled; `release` gives it back then."""
        while True:
            try:
                if self._lease is not None or await self.take():
                    await apart(self._serve())
            except* Lost:
                log.warning("another process holds the account now", account=self.name)
                self._lease = None
            except* ChatelierError as away:
                log.warning("account interrupted", account=self.name, error=str(away.exceptions[0]))
            except* Exception:  # one account's trouble never stops another
                log.exception("account interrupted", account=self.name)
            await self.release()
            await self._clock.sleep(RETRY_SECONDS)

    async def _serve(self) -> None:
        assert self._lease is not None  # noqa: S101 - `run` took it
        async with Lease(self._store, ACCOUNTS, self._lease, clock=self._clock, seconds=LEASE_SECONDS) as lease:
            line = self._line = Line(self._store, self.platform, lease.held, self._clock, self._renditions)
            cards = Cards(self._store, self._queue, line, self.name, self._previews, self._clock)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.connection.run(), name=f"connection {self.name}")
                tasks.create_task(self._send(line), name=f"line {self.name}")
                tasks.create_task(cards.run(), name=f"cards {self.name}")

    async def _send(self, line: Line) -> None:
        try:
            await line.run()
        finally:
            self._line = None  # nothing more is begun for it

    async def begin(self, tx: Tx, row: Message, before: Message | None) -> Message:
        """`Line.begin`, where the account is held here."""
        return row if self._lease is None or self._line is None else await self._line.begin(tx, row, before)

    def heard(self) -> None:
        """Something came from its network."""
        if self._line is not None:
            self._line.heard()

    async def release(self) -> None:
        """Let another process have it at once. Where the store is away, it has it when the lease lapses."""
        self._lease = None
        try:
            # Read again: a stop may have come while the lease was being taken, and then only the store knows of it.
            lease = await self._store.get(ACCOUNTS, self.name)
            if lease is not None and lease.owner == self._owner:
                await give_back(self._store, ACCOUNTS, lease)
        except Exception as away:  # noqa: BLE001 - a plugin's store; the lease lapses by itself
            log.warning("lease not given back", account=self.name, error=str(away))
