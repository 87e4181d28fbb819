"""Workers of jobs that can die or stop in the middle of everything, and the world they live in."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from chatelier import JOBS, Attempt, Backend, BadInput, ChatRef, Job, Refused, Retry, Tx, Unavailable, Uncertain
from chatelier.core.chat.outbox import Address
from chatelier.core.generation import words
from chatelier.core.generation.dispatcher import Dispatcher
from chatelier.core.generation.fleet import Fleet
from chatelier.core.generation.jobs import ORDERS
from chatelier.core.generation.orders import Bounds, Terms, cancel_job, take
from chatelier.core.generation.placing import Placing
from chatelier.core.generation.run import Workshop
from chatelier.core.generation.workflow_commands import wanted_run
from chatelier.core.registered import KINDS
from chatelier.core.storage import Changes, Kind, Store, Unreadable
from chatelier.core.testing.backend import FakeBackend
from chatelier.core.testing.blobs import MemoryBlobs
from chatelier.core.testing.clock import FakeClock
from chatelier.core.testing.gateway import PICTURE
from chatelier.core.testing.store import FakeStore

T = TypeVar("T")
ATTEMPTS_AT_MOST = 3
OPEN_ORDERS = 3
QUEUE_SECONDS = 900.0
RUN_SECONDS = 600.0
FETCH_SECONDS = 120.0
CHAT = ChatRef(platform="fake", chat="room", direct=True)
Submission = Literal["taken", "refused", "later", "lost on the way", "answer lost"]


class View:
    """A process's view of the store: it can die with its process, or stop in the middle of everything.

    finds: unless this is set, what it looks for takes long, and all else goes on.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.is_dead = False
        self.trouble: Exception | None = None
        self.thawed = asyncio.Event()
        self.thawed.set()
        self.finds = asyncio.Event()
        self.finds.set()

    async def _pass(self) -> None:
        await self.thawed.wait()
        if self.is_dead:
            raise Unavailable("this process is dead")
        if self.trouble:
            raise self.trouble

    async def get(self, kind: Kind[Any], key: str, *, by: str = "") -> Any:
        await self._pass()
        return await self._store.get(kind, key, by=by)

    async def find(self, kind: Kind[Any], where: Mapping[str, Any] | None = None, **options: Any) -> list[Any]:
        await self._pass()
        await self.finds.wait()
        return await self._store.find(kind, where, **options)

    async def atomically(self, work: Callable[[Tx], Awaitable[T]], *, soon: bool = False) -> T:
        await self._pass()
        return await self._store.atomically(work, soon=soon)

    def changes(self, *kinds: Kind[Any], inserted: bool = False) -> Changes:
        return self._store.changes(*kinds, inserted=inserted)

    async def check(self) -> list[str]:
        return await self._store.check()

    async def set_aside(self, keep: Callable[[Sequence[Unreadable]], Sequence[Unreadable]]) -> Sequence[Unreadable]:
        return await self._store.set_aside(keep)

    async def backup(self, target: str) -> None:
        await self._store.backup(target)


class Server(FakeBackend):
    """Notes an attempt that it is given twice, and how often it let go of what it keeps."""

    def __init__(self, name: str = "fake") -> None:
        super().__init__(name, hold=True)
        self.given_twice: list[str] = []
        self.knew: set[str] = set()
        self.freed = 0

    async def free(self) -> None:
        self.freed += 1

    async def submit(self, attempt: Attempt) -> str:
        if attempt.id in self.knew:
            self.given_twice.append(attempt.id)
        try:
            return await super().submit(attempt)
        finally:
            self.knew |= set(self.runs)


class Worker:
    """A process that takes jobs."""

    def __init__(self, name: str, store: Store, servers: Mapping[str, Backend], clock: FakeClock, account: str) -> None:
        self.view = View(store)
        self.servers = tuple(servers.values())
        self.blobs = MemoryBlobs(self.view)
        fleet = Fleet(servers, self.view, clock, jitter=lambda: 1.0)
        shop = Workshop(
            store=self.view,
            blobs=self.blobs,
            backends=servers,
            fleet=fleet,
            placing=Placing(fleet, clock),
            clock=clock,
            owner=name,
            attempts=ATTEMPTS_AT_MOST,
            run_seconds=RUN_SECONDS,
            fetch_seconds=FETCH_SECONDS,
        )
        self.dispatcher = Dispatcher(shop, account)
        self.task = asyncio.create_task(self.dispatcher.run())

    @property
    def is_frozen(self) -> bool:
        return not self.view.thawed.is_set()

    async def stop(self) -> None:
        self.view.thawed.set()
        self.task.cancel()
        await asyncio.wait({self.task})

    async def crash(self) -> None:
        self.view.is_dead = True
        await self.stop()


class World:
    """The store, the server and the clock of one example, and what was asked of them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(KINDS, self.clock)
        self.server = Server()
        self.workers: dict[str, Worker] = {}
        self.events = 0
        self.started = 0
        self.cancelled_in_time: set[str] = set()
        self.too_late: set[str] = set()

    async def take(self, person: str, all_orders: int = 1_000) -> None:
        """Raises BadInput."""
        self.events += 1
        event = f"event {self.events}"
        terms = Terms(own=Bounds(open_orders=OPEN_ORDERS), all_orders=all_orders, queue_seconds=QUEUE_SECONDS)
        to = Address(chat=CHAT, sender=f"fake:{person}", reply_to="1")
        wanted = wanted_run(PICTURE, {"prompt": event})

        async def work(tx: Tx) -> None:
            await take(tx, person, to, event, [wanted], terms, command="make")

        await self.store.atomically(work)

    async def order(self, person: str) -> None:
        open_before = await self.store.find(ORDERS, {"person": person, "state": "open"}, order="created")
        try:
            await self.take(person)
        except BadInput:
            assert len(open_before) == OPEN_ORDERS
        else:
            assert len(open_before) < OPEN_ORDERS

    async def cancel(self, job: str) -> None:
        said = await self.store.atomically(lambda tx: cancel_job(tx, job))
        if said in (words.CANCELLED, words.CANCELLING):
            self.cancelled_in_time.add(job)
        elif said == words.TOO_LATE:
            self.too_late.add(job)

    def start(self, *servers: Backend, account: str = "") -> Worker:
        """servers: what this process is configured with, the world's own if none are named."""
        self.started += 1
        name = f"worker {self.started}"
        known = {server.name: server for server in servers or (self.server,)}
        self.workers[name] = Worker(name, self.store, known, self.clock, account)
        return self.workers[name]

    def submissions_are(self, how: Submission) -> None:
        errors = {"refused": Refused("bad graph"), "later": Retry(3.0), "lost on the way": Uncertain("sent?")}

        async def before(_: Attempt) -> None:
            if how in errors:
                raise errors[how]

        def after(_: Attempt) -> None:
            if how == "answer lost":
                raise Uncertain("no answer")

        self.server.before_submit, self.server.after_submit = before, after

    async def jobs(self) -> list[Job]:
        return await self.store.find(JOBS, order="created", limit=1_000)

    async def heal(self) -> None:
        """All is well again, for as long as it takes."""
        self.server.down = self.server.cut_off = False
        self.submissions_are("taken")
        for worker in self.workers.values():
            worker.view.thawed.set()
        self.start()
        for _ in range(40):
            self.server.wake()
            self.server.finish()
            await self.clock.advance(20)
            if not any(job.open for job in await self.jobs()):
                return
        raise AssertionError(f"still open: {[job for job in await self.jobs() if job.open]}")

    async def end(self) -> None:
        for worker in self.workers.values():
            await worker.crash()
