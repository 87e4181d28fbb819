"""Every account of a gateway, by name. They may come and go while it serves; one that goes for good takes what waits with it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial

from .accounts import Account
from .chat.inbox import Inbox, finish
from .chat.outbox import MESSAGES
from .chat.platform import Platform
from .clock import Clock
from .errors import ChatelierError, Refused, Unavailable
from .generation.jobs import JOBS
from .generation.orders import cancel_job
from .log import get_logger
from .registered import add_named, undeclared
from .storage import Store, Tx
from .supervise import reason
from .values import replace

log = get_logger(__name__)

LOOK_SECONDS = 30.0
"""Between two looks at what still arrives for accounts that went: a result that was on its way, another process's message."""
UNSENT = ("pending", "sending")


class Roll(Mapping[str, Account]):
    """platforms: theirs, for who only asks networks something; kept in step. make: an account of a platform object.

    end: cancels a task and waits for it, but not for ever. alone: the gateway serves one account that lives in its own process.
    """

    def __init__(
        self,
        platforms: dict[str, Platform],
        make: Callable[[Platform], Account],
        end: Callable[[asyncio.Task[None]], Awaitable[None]],
        *,
        store: Store,
        inbox: Inbox,
        clock: Clock,
        alone: bool,
    ) -> None:
        self._platforms = platforms
        self._make = make
        self._end_task = end
        self._store = store
        self._inbox = inbox
        self._clock = clock
        self._alone = alone
        self._accounts: dict[str, Account] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._gone: dict[str, str] = {}
        self._changing = asyncio.Lock()
        self._is_serving = False
        self._is_over = False

    def __getitem__(self, name: str) -> Account:
        return self._accounts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._accounts))

    def __len__(self) -> int:
        return len(self._accounts)

    # --- who is there

    def hold(self, account: Account) -> None:
        """One more, whatever its platform declares; its name is free."""
        self._gone.pop(account.name, None)
        self._platforms[account.name] = account.platform
        self._accounts[account.name] = account
        if self._is_serving:
            self._start(account)

    def enter(self, platform: Platform) -> str:
        """Why it was not taken, "" when it was. May raise whatever the platform's code does."""
        refusal = undeclared(platform) or add_named(self._platforms, platform)
        if not refusal:
            self.hold(self._make(platform))
        return refusal

    async def add(self, platform: Platform) -> bool:
        """As `Accounts.add`."""
        async with self._changing:
            if self._alone:
                return False
            if self._is_over:
                raise Unavailable("the gateway stops")
            try:
                refusal = self.enter(platform)
            except Exception as error:
                raise Refused(reason(error)) from error
            if refusal:
                raise Refused(refusal)
            log.info("account added", account=platform.name)
            return True

    async def remove(self, name: str, why: str = "") -> None:
        """As `Accounts.remove`."""
        async with self._changing:
            account = self._accounts.pop(name, None)
            self._platforms.pop(name, None)
            if (task := self._running.pop(name, None)) is not None:
                await self._end_task(task)
            if account is not None:
                await account.release()
                log.info("account removed", account=name, reason=why)
            if why and not self._alone:
                is_news = self._gone.get(name) != why
                self._gone[name] = why
                if is_news and self._is_serving:
                    await self._say_farewell(name, why)

    # --- their life

    def begin(self) -> None:
        """Each runs from now on, and whoever is added too. An account catches everything itself, so none ends before it is told to."""
        self._is_serving = True
        for account in self._accounts.values():
            self._start(account)

    async def end(self) -> None:
        """None runs any more, and none is added."""
        self._is_serving, self._is_over = False, True
        async with self._changing:
            for task in self._running.values():
                await self._end_task(task)
            self._running.clear()

    async def release(self) -> None:
        """Let another process have them at once."""
        for account in self._accounts.values():
            await account.release()

    def _start(self, account: Account) -> None:
        name = account.name
        self._running[name] = asyncio.create_task(account.run(), name=f"account {name}")

    # --- who went

    async def farewells(self) -> None:
        """Ends what waits for accounts that went, until cancelled."""
        while True:
            for name, why in list(self._gone.items()):
                await self._say_farewell(name, why)
            await self._clock.sleep(LOOK_SECONDS)

    async def _say_farewell(self, name: str, why: str) -> None:
        """Its messages fail with these words, its events are over, its jobs are cancelled. The store away: at the next look."""
        try:
            await self._fail_messages(name, why)
            while arrival := await self._inbox.claim([name]):
                await self._store.atomically(partial(finish, arrival=arrival, owner=self._inbox.owner, words=why))
            for job in await self._store.find(JOBS, {"account": name, "open": True}, order="created"):
                if not job.cancel:
                    await self._store.atomically(partial(cancel_job, key=job.key))
        except ChatelierError as away:
            log.warning("what waits for an account that went is ended later", account=name, reason=str(away))

    async def _fail_messages(self, name: str, why: str) -> None:
        for state in UNSENT:
            while rows := await self._store.find(MESSAGES, {"account": name, "state": state}, order="place"):
                await self._store.atomically(partial(_fail, keys=[row.key for row in rows], why=why))


async def _fail(tx: Tx, keys: Sequence[str], why: str) -> None:
    for key in keys:
        row = await tx.get(MESSAGES, key)
        if row is not None and row.state in UNSENT:
            await tx.replace(MESSAGES, replace(row, state="failed", words=why))
