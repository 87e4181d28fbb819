"""An account is held by one process at a time: it connects, sends, edits and keeps the rate, all under one lease."""

import asyncio
from collections.abc import Mapping

from .chat.line import Line
from .chat.platform import Gateway, Platform
from .clock import Clock
from .errors import Lost, Unavailable
from .generation.cards import Cards
from .leases import ACCOUNTS, AccountLease, extend, give_back, held, take
from .log import get_logger
from .storage import Store, Tx
from .supervise import Supervised

log = get_logger(__name__)

LEASE_SECONDS = 30
RETRY_SECONDS = 2.0


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
    ) -> None:
        self.platform = platform
        self._gateway = gateway
        self._store = store
        self._owner = owner
        self._clock = clock
        self._previews = previews
        self._lease: AccountLease | None = None
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
        """Hold the account whenever it is free, until cancelled; the lease is given back then."""
        while True:
            try:
                if self._lease is not None or await self.take():
                    await self._serve()
            except* Lost:
                log.warning("another process holds the account now", account=self.name)
                self._lease = None
            except* Unavailable as away:
                log.warning("store away", account=self.name, error=str(away.exceptions[0]))
            await self._clock.sleep(RETRY_SECONDS)

    async def _serve(self) -> None:
        line = Line(self._store, self.platform, self._check, self._clock)
        cards = Cards(self._store, line, self.name, self._previews, self._clock)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat(), name=f"lease {self.name}")
            tasks.create_task(self.connection.run(), name=f"connection {self.name}")
            tasks.create_task(line.run(), name=f"line {self.name}")
            tasks.create_task(cards.run(), name=f"cards {self.name}")

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(LEASE_SECONDS / 3)
            assert self._lease is not None
            self._lease = await extend(self._store, ACCOUNTS, self._lease, LEASE_SECONDS)

    async def _check(self, tx: Tx) -> object:
        if self._lease is None:
            raise Lost(f"the account {self.name} is not held")
        return await held(tx, ACCOUNTS, self.name, self._owner, self._lease.fence)

    async def release(self) -> None:
        """Let another process have it at once."""
        lease, self._lease = self._lease, None
        if lease is not None:
            await give_back(self._store, ACCOUNTS, lease)
