"""One process of the kill test: a whole gateway whose every operation is counted, and which kills itself at the n-th.

Started as a script it is a nursery: it imports everything once, then forks a gateway for each line it reads. Network and backend
are the parent's, over a socket, so that what became visible and what was submitted outlives this process.
"""

import asyncio
import base64
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

from chatelier import (
    Attempt,
    Capabilities,
    ChatRef,
    Description,
    Ended,
    Event,
    FileRef,
    Gateway,
    Outgoing,
    Output,
    PlainDialect,
    Progress,
    Receipt,
    Said,
    Settings,
    Store,
    Tx,
    outcome_of,
)
from chatelier.core.chat.capabilities import ButtonRules, RateRules
from chatelier.core.chat.inbox import ARRIVALS
from chatelier.core.chat.outbox import MESSAGES
from chatelier.core.clock import Timer, to_millisecond
from chatelier.core.gateway import Runtime, open_runtime
from chatelier.core.generation.agreement import disagreements
from chatelier.core.generation.fetching import QUICK_SECONDS
from chatelier.core.generation.jobs import JOBS, ORDERS, RESULTS, WORKLOADS
from chatelier.core.leases import ACCOUNTS
from chatelier.core.log import configure
from chatelier.core.plugins import Plugins
from chatelier.core.points.audit import audit, every
from chatelier.core.points.ledger import BALANCES, HOLDS
from chatelier.core.registered import KINDS
from chatelier.core.storage import Changes, Kind
from chatelier.core.storage.records import adapter
from chatelier.core.testing.backend import CLASSES
from chatelier.core.testing.clock import START
from chatelier.core.testing.gateway import Parts
from chatelier.plugins.sqlite import Plugin as Sqlite

T = TypeVar("T")
SPEED = 20.0
"""Seconds of the gateway's clock in one of the machine's, so that a lease lapses in 1.5 s."""
LIFE = ("event ", "job ", "lane ")
"""Names of the tasks that carry a job through its life; what others read is not counted, what they write is."""
HEART = "lease of "
"""Name of the tasks that extend leases: when they do depends on how fast the machine is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What one process is told. at: the operation it dies at, 0 for none. side: of that operation."""

    port: int
    folder: str
    epoch: float
    at: int = 0
    side: Literal["before", "after"] = "before"
    finds: bool = True
    edits: bool = True


class Deeds:
    """Counts operations between the event's arrival and the end of everything it caused."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self.labels: list[str] = []
        self.counting = False

    def begin(self, label: str) -> int:
        """The number of this operation, 0 when nothing is counted."""
        if not self.counting:
            return 0
        self.labels.append(label)
        self._die(len(self.labels), "before")
        return len(self.labels)

    def end(self, number: int) -> None:
        self._die(number, "after")

    def _die(self, number: int, side: str) -> None:
        if number and (number, side) == (self._life.at, self._life.side):
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)  # a signal to oneself may take a moment; nothing else happens on this thread until then


class FastClock:
    """The machine's clock, `SPEED` times as fast. epoch: `time.time()` when it showed the start."""

    def __init__(self, epoch: float) -> None:
        self._epoch = epoch

    def now(self) -> datetime:
        return to_millisecond(START + timedelta(seconds=(time.time() - self._epoch) * SPEED))

    def monotonic(self) -> float:
        return time.monotonic() * SPEED

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(_passing(seconds))

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(_passing(seconds), call)


def _passing(seconds: float) -> float:
    """What is less than a second is about how fast the machine is, and takes as long as it says."""
    return seconds if seconds < 1 else seconds / SPEED


class CountedTx:
    """Notes which kinds a transaction writes."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.kinds: dict[str, None] = {}

    @property
    def now(self) -> datetime:
        return self._tx.now

    async def get(self, kind: Kind[Any], key: str, *, by: str = "") -> Any:
        return await self._tx.get(kind, key, by=by)

    async def find(self, kind: Kind[Any], where: Mapping[str, Any] | None = None, **options: Any) -> list[Any]:
        return await self._tx.find(kind, where, **options)

    async def insert(self, kind: Kind[Any], record: Any) -> Any:
        self.kinds[f"+{kind.name}"] = None
        return await self._tx.insert(kind, record)

    async def replace(self, kind: Kind[Any], record: Any) -> Any:
        self.kinds[kind.name] = None
        return await self._tx.replace(kind, record)

    async def delete(self, kind: Kind[Any], key: str) -> bool:
        self.kinds[f"-{kind.name}"] = None
        return await self._tx.delete(kind, key)

    async def claim(self, kind: Kind[Any], where: Mapping[str, Any], *, owner: str, seconds: float) -> Any:
        found = await self._tx.claim(kind, where, owner=owner, seconds=seconds)
        if found is not None:
            self.kinds[f"claim {kind.name}"] = None
        return found


class CountedStore:
    """Stands in front of the store: dies inside of a transaction, when all is written and nothing committed, or just after it."""

    def __init__(self, store: Store, deeds: Deeds) -> None:
        self._store = store
        self._deeds = deeds

    async def get(self, kind: Kind[Any], key: str, *, by: str = "") -> Any:
        return await self._read(f"get {kind.name}", self._store.get(kind, key, by=by))

    async def find(self, kind: Kind[Any], where: Mapping[str, Any] | None = None, **options: Any) -> list[Any]:
        return await self._read(f"find {kind.name}", self._store.find(kind, where, **options))

    async def _read(self, label: str, reading: Awaitable[T]) -> T:
        number = self._deeds.begin(label) if task_name().startswith(LIFE) else 0
        answer = await reading
        self._deeds.end(number)
        return answer

    async def atomically(self, work: Callable[[Tx], Awaitable[T]], *, soon: bool = False) -> T:
        is_heart = task_name().startswith(HEART)
        numbers: list[int] = []

        async def counted(tx: Tx) -> T:
            noted = CountedTx(tx)
            result = await work(noted)
            if noted.kinds and not is_heart:
                numbers.append(self._deeds.begin(f"commit {' '.join(noted.kinds)}"))
            return result

        result = await self._store.atomically(counted, soon=soon)
        for number in numbers:
            self._deeds.end(number)
        return result

    def changes(self, *kinds: Kind[Any], inserted: bool = False) -> Changes:
        return self._store.changes(*kinds, inserted=inserted)

    async def check(self) -> list[str]:
        return await self._store.check()

    async def set_aside(self, keep: Any) -> Any:
        return await self._store.set_aside(keep)

    async def backup(self, target: str) -> None:
        await self._store.backup(target)


def task_name() -> str:
    task = asyncio.current_task()
    return task.get_name() if task else ""


@dataclass(slots=True)
class Link:
    """Calls to the parent, a JSON line each; events come the other way."""

    deeds: Deeds
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    events: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    _numbers: Any = field(default_factory=itertools.count)
    _answers: dict[int, asyncio.Future[Any]] = field(default_factory=dict)

    async def listen(self) -> None:
        with suppress(ConnectionError, ValueError):  # the test was killed: a reset, or half a line
            async for line in self.reader:
                said = json.loads(line)
                if "event" in said:
                    self.events.put_nowait(said["event"])
                elif not (answer := self._answers.pop(said["n"])).done():  # who asked may have given up meanwhile
                    answer.set_result(said["answer"])
        os._exit(1)  # the test is gone, and without it nothing here would ever end

    async def call(self, what: str, **details: Any) -> Any:
        """Not counted."""
        n = next(self._numbers)
        self._answers[n] = answer = asyncio.get_running_loop().create_future()
        self.writer.write(json.dumps({"n": n, "what": what, **details}).encode() + b"\n")
        return await answer

    async def do(self, what: str, **details: Any) -> Any:
        number = self.deeds.begin(what)
        answer = await self.call(what, **details)
        self.deeds.end(number)
        return answer


class Network:
    """The plainest network there is. It redelivers an event that was not acknowledged."""

    name = "net"
    can = Capabilities(
        dialect=PlainDialect(),
        buttons=ButtonRules(per_row=5, total=25, label=80, payload=100),
        album=10,
        inline_types=frozenset({"image/png"}),
        rate=RateRules(edit_seconds=1000),
    )

    def __init__(self, link: Link) -> None:
        self.link = link

    def capabilities(self, chat: ChatRef | None = None) -> Capabilities:
        return self.can

    async def run(self, gateway: Gateway) -> None:
        gateway.connected(self.name)
        await self.link.call("connected")
        chat = ChatRef(platform=self.name, chat="room", direct=True)
        while True:
            key = await self.link.events.get()
            self.link.deeds.counting = True
            body = Said(text="/make a red fox in the snow")
            await gateway.receive(Event(keys=(key, f"said {key}"), chat=chat, sender="net:ada", body=body))
            await self.link.do("acknowledge", event=key)

    async def send(self, message: Outgoing) -> Receipt:
        return self.receipt(message, await self.link.do("send", **self.shown(message)))

    def shown(self, message: Outgoing) -> dict[str, Any]:
        text = self.can.dialect.render(message.text) if message.text else ""
        return {"key": message.key, "text": text, "pictures": len(message.media)}

    def receipt(self, message: Outgoing, key: str) -> Receipt:
        return Receipt(chat=message.chat, ids=(key,), editable=isinstance(self, Edits))

    async def read(self, file: FileRef) -> AsyncIterator[bytes]:
        nothing: tuple[bytes, ...] = ()
        for piece in nothing:
            yield piece


class Edits(Network):
    can = replace(Network.can, edit_text=True, edit_media=True)

    async def edit(self, receipt: Receipt, message: Outgoing) -> Receipt:
        await self.link.do("edit", id=receipt.ids[0], **self.shown(message))
        return receipt


class FindsOnly(Network):
    can = replace(Network.can, finds=True)

    async def find(self, message: Outgoing) -> Receipt | Literal["absent", "unknown"]:
        key = await self.link.do("find", key=message.key)
        return self.receipt(message, key) if key else "absent"


class Whole(Edits, FindsOnly):
    can = replace(Edits.can, finds=True)


class Server:
    """A backend that has done the work as soon as it is asked how far it is. slow: not so with handing it out."""

    name = "server"

    def __init__(self, link: Link, *, slow: bool) -> None:
        self.link = link
        self.slow = slow

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def describe(self) -> Description:
        return Description(classes=CLASSES)

    async def submit(self, attempt: Attempt) -> str:
        await self.link.do("submit", attempt=attempt.id)
        return attempt.id

    async def find(self, attempt: Attempt) -> Any:
        return await self.link.do("look up", attempt=attempt.id)

    async def watch(self, attempt: Attempt) -> AsyncIterator[Progress | Ended]:
        if await self.link.do("watch", attempt=attempt.id) == "absent":
            yield Ended(state="lost")
            return
        yield Progress(phase="running", fraction=0.5)
        yield Ended(state="done", outputs=tuple(Output(n=n, node="1", name=f"{n}.png") for n in range(2)))

    async def fetch(self, attempt: Attempt, output: Output) -> AsyncIterator[bytes]:
        if self.slow:
            await asyncio.sleep(2 * QUICK_SECONDS)
        yield base64.b64decode(await self.link.do("fetch", attempt=attempt.id, output=output.n))

    async def cancel(self, attempt: Attempt) -> None:
        await self.link.do("cancel", attempt=attempt.id)


async def live(life: Life) -> None:
    deeds = Deeds(life)
    reader, writer = await asyncio.open_connection("127.0.0.1", life.port)
    link = Link(deeds, reader, writer)
    listening = asyncio.create_task(link.listen())
    kinds = {(True, True): Whole, (True, False): FindsOnly, (False, True): Edits, (False, False): Network}
    network = kinds[life.finds, life.edits](link)
    plugins = Plugins()
    plugins.add(Sqlite, "sqlite")
    plugins.add(Parts([network], [Server(link, slow=not life.finds)]), "parts")
    settings = Settings.model_validate({"data_dir": Path(life.folder)})
    clock = FastClock(life.epoch)
    async with open_runtime(settings, plugins, clock=clock, wrap=lambda store: CountedStore(store, deeds)) as runtime:
        stop = asyncio.Event()
        serving = asyncio.create_task(runtime.serve(stop))
        while not runtime.accounts[network.name].is_held:  # a dead process has it until its lease lapses
            await clock.sleep(1)
        outcome = await outcome_of(runtime, network.name, "event")
        deeds.counting = False
        stop.set()
        await serving
        await link.call("report", outcome=outcome.state, labels=deeds.labels, **await left(runtime))
    listening.cancel()
    await asyncio.wait({listening})
    writer.close()


async def left(runtime: Runtime) -> dict[str, Any]:
    """What the store says at the end."""
    store = runtime.store
    jobs = await store.find(JOBS, order="created")
    messages = await store.find(MESSAGES, order="created")
    arrivals = await store.find(ARRIVALS, order="received")
    loads = [await store.get(WORKLOADS, job.person) for job in jobs]
    leases = [*jobs, *arrivals, *await store.find(ACCOUNTS)]
    return {
        "jobs": [job.state for job in jobs],
        "orders": [order.state for order in await store.find(ORDERS, order="created")],
        "messages": sorted(message.state for message in messages),
        "again": sum(message.again for message in messages),
        "arrivals": [arrival.state for arrival in arrivals],
        "results": [result.n for job in jobs for result in await store.find(RESULTS, {"job": job.key}, order="n")],
        "loads": [len(load.orders) for load in loads if load],
        "leases": [record.key for record in leases if record.owner],
        "check": await store.check(),
        "audit": [*await audit(store), *await disagreements(store)],
        "holds": [hold.key for hold in await store.find(HOLDS, order="key")],
        "paid": [job.cost for job in jobs],
        "earned": sum([balance.spent async for balance in every(store, BALANCES, "key")]),
    }


def nursery() -> None:
    """A line of JSON, a process. They are forked before there is any thread or event loop here."""
    configure(os.environ.get("KILL_LOG", "CRITICAL"), pretty=False)
    for kind in KINDS:
        adapter(kind.record)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        life = Life(**json.loads(line))
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                asyncio.run(live(life))
            finally:
                os._exit(0)


if __name__ == "__main__":
    nursery()
