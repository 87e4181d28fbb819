"""What is kept goes when its time is over; bytes go when nobody refers to them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from .chat.buttons import ACTIONS
from .chat.inbox import ARRIVALS, Arrival
from .chat.outbox import MESSAGES, Message
from .clock import Clock
from .errors import ChatelierError
from .generation.jobs import ATTEMPTS, JOBS, ORDERS, RESULTS, Job, Order, Result, result_owner, results_of
from .log import get_logger
from .media.blobs import FolderBlobs
from .media.made import MADE, Made, drop_made
from .media.references import release
from .media.renditions import RENDITIONS, Rendition, drop_rendition
from .settings import Retention
from .storage import Kind, Scalar, Store, Tx
from .values import replace

log = get_logger(__name__)

Work = Callable[[Tx, Any], Awaitable[None]]

ROUND_SECONDS = 300.0
SECRETS_KEPT = timedelta(minutes=20)
"""Discord's interaction tokens are good for 15 minutes, the longest of the networks'."""
SECRET = "secret."  # noqa: S105 - what the names of secrets begin with
GIGABYTE = 10**9
MOMENT = timedelta(milliseconds=1)
"""Stores keep no less."""
AT_ONCE = 100
"""Records in one transaction."""


class Housekeeping:
    """Several processes may do it at once."""

    def __init__(self, store: Store, blobs: FolderBlobs, keep: Retention, clock: Clock) -> None:
        self._store = store
        self._blobs = blobs
        self._keep = keep
        self._clock = clock
        self._walked: dict[str, datetime] = {}

    async def run(self) -> None:
        """A round every five minutes, until cancelled."""
        while True:
            try:
                await self.round()
            except (ChatelierError, OSError) as error:
                log.warning("housekeeping put off", error=str(error))
            await self._clock.sleep(ROUND_SECONDS)

    async def round(self) -> None:
        """One look at everything."""
        now, keep = self._clock.now(), self._keep
        await self._prune(ARRIVALS, "received", now - timedelta(days=keep.events_days))
        await self._prune(MESSAGES, "created", now - timedelta(days=keep.messages_days))
        await self._prune(ACTIONS, "created", now - timedelta(days=keep.jobs_days))
        await self._prune(RESULTS, "created", now - timedelta(days=keep.results_days), _drop_result)
        await self._prune(MADE, "created", now - timedelta(days=keep.results_days), drop_made)
        await self._prune(RENDITIONS, "created", now - timedelta(days=keep.copies_days), drop_rendition)
        full_at = await self._full_at(keep.results_gigabytes * GIGABYTE)
        await self._prune(RESULTS, "created", full_at, _drop_result)
        await self._prune(MADE, "created", full_at, drop_made)
        await self._prune(RENDITIONS, "created", full_at, drop_rendition)
        await self._prune(JOBS, "created", now - timedelta(days=keep.jobs_days), _drop_job, where={"open": False})
        await self._prune(ORDERS, "created", now - timedelta(days=keep.jobs_days), where={"state": "closed"})
        await self._walk("inputs", JOBS, "created", now - timedelta(days=keep.inputs_days), _drop_inputs)
        await self._walk("events", ARRIVALS, "received", now - SECRETS_KEPT, _hide_in_event)
        await self._walk("messages", MESSAGES, "created", now - SECRETS_KEPT, _hide_in_message)
        await self._walk("orders", ORDERS, "created", now - SECRETS_KEPT, _hide_in_order)
        await self._blobs.sweep()

    async def _prune(
        self,
        kind: Kind[Any],
        order: str,
        before: datetime | None,
        also: Work | None = None,
        *,
        where: Mapping[str, Scalar] | None = None,
    ) -> None:
        async def work(tx: Tx) -> int:
            old = await tx.find(kind, where or {}, order=order, until=before, limit=AT_ONCE)
            for record in old:
                if also is not None:
                    await also(tx, record)
                await tx.delete(kind, record.key)
            return len(old)

        while before is not None and await self._store.atomically(work) == AT_ONCE:
            pass

    async def _full_at(self, limit: float) -> datetime | None:
        """What was made before this moment no longer fits, counted from the newest on; None when all does."""
        heads = [_Sizes(self._store, kind, size_of) for kind, size_of in MADE_HERE]
        size = 0
        while True:
            fresh = [(moment, head) for head in heads if (moment := await head.moment()) is not None]
            if not fresh:
                return None
            moment, head = max(fresh, key=lambda one: one[0])
            size += head.take()
            if size > limit:
                return moment + MOMENT

    async def _walk(self, name: str, kind: Kind[Any], order: str, before: datetime, change: Work) -> None:
        """Look once at each record that is older than this; after a restart, once more."""
        since, limit = self._walked.get(name), AT_ONCE
        while True:
            page = await self._store.find(kind, order=order, since=since, until=before, limit=limit)
            await self._store.atomically(partial(_each, kind, [record.key for record in page], change))
            if len(page) < limit:
                break
            reached: datetime = getattr(page[-1], order)
            limit = AT_ONCE if reached != since else 2 * limit  # more of one moment than fit on a page
            since = reached
        self._walked[name] = before


class _Sizes:
    """What records of one kind take, from the newest on, a page at a time."""

    def __init__(self, store: Store, kind: Kind[Any], size_of: Callable[[Any], int]) -> None:
        self._store = store
        self._kind = kind
        self._size_of = size_of
        self._seen = frozenset[str]()
        self._until: datetime | None = None
        self._page: list[Any] = []

    async def moment(self) -> datetime | None:
        """When the next one was made; None at the end."""
        if not self._page:
            page = await self._store.find(
                self._kind, order="created", until=self._until, descending=True, limit=AT_ONCE
            )
            self._page = [record for record in page if record.key not in self._seen]
            self._seen = frozenset(record.key for record in page)
            self._until = page[-1].created + MOMENT if page else None
        return self._page[0].created if self._page else None

    def take(self) -> int:
        """Its size in bytes."""
        return self._size_of(self._page.pop(0))


async def _each(kind: Kind[Any], keys: Sequence[str], change: Work, tx: Tx) -> None:
    for key in keys:
        record = await tx.get(kind, key)
        if record is not None:
            await change(tx, record)


async def _drop_result(tx: Tx, result: Result) -> None:
    await release(tx, result_owner(result.job, result.n))


def _size_of_result(result: Result) -> int:
    return result.blob.size if result.blob else len(result.text)


def _size_of_made(made: Made) -> int:
    return made.size


def _size_of_rendition(rendition: Rendition) -> int:
    return rendition.copy.blob.size if rendition.copy else 0


MADE_HERE: Sequence[tuple[Kind[Any], Callable[[Any], int]]] = (
    (RESULTS, _size_of_result),
    (MADE, _size_of_made),
    (RENDITIONS, _size_of_rendition),
)
"""What counts as results where room is short."""


async def _drop_job(tx: Tx, job: Job) -> None:
    await _drop_inputs(tx, job)
    for result in await results_of(tx, job.key):
        await _drop_result(tx, result)
        await tx.delete(RESULTS, result.key)
    for attempt in await tx.find(ATTEMPTS, {"job": job.key}, order="created", limit=1_000):
        await tx.delete(ATTEMPTS, attempt.key)


async def _drop_inputs(tx: Tx, job: Job) -> None:
    if job.files and not job.open:
        await release(tx, f"input:{job.key}")


async def _hide_in_event(tx: Tx, arrival: Arrival) -> None:
    if (native := _public(arrival.event.native)) != arrival.event.native:
        await tx.replace(ARRIVALS, replace(arrival, event=replace(arrival.event, native=native)))


async def _hide_in_message(tx: Tx, message: Message) -> None:
    if (native := _public(message.native)) != message.native:
        await tx.replace(MESSAGES, replace(message, native=native))


async def _hide_in_order(tx: Tx, order: Order) -> None:
    if (native := _public(order.to.native)) != order.to.native:
        await tx.replace(ORDERS, replace(order, to=replace(order.to, native=native)))


def _public(native: Mapping[str, str]) -> Mapping[str, str]:
    """What may be kept for long."""
    return {name: value for name, value in native.items() if not name.startswith(SECRET)}
