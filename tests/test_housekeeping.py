"""What is kept, and for how long."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from chatelier import JOBS, Blob, ChatRef, Event, Job, OperatorMust, Reply, Result, Retention, Said, refer, store_action
from chatelier.core.chat.buttons import ACTIONS
from chatelier.core.chat.inbox import ARRIVALS, Inbox
from chatelier.core.chat.outbox import MESSAGES, Address, post
from chatelier.core.generation.jobs import ATTEMPTS, ORDERS, RESULTS, AttemptRow, result_owner
from chatelier.core.generation.orders import Bounds, Terms, end, take
from chatelier.core.generation.workflow_commands import wanted_run
from chatelier.core.housekeeping import ROUND_SECONDS, Housekeeping
from chatelier.core.media.made import MADE, note_made
from chatelier.core.media.references import BLOB_REFS, keep
from chatelier.core.media.renditions import RENDITIONS, Copy, Rendition
from chatelier.core.registered import KINDS
from chatelier.core.testing.clock import FakeClock, settle
from chatelier.core.testing.gateway import PICTURE
from chatelier.core.testing.store import FakeStore

CHAT = ChatRef(platform="fake", chat="room", direct=True)
DAY = 86_400.0


class Shelf:
    """Blobs whose sweeps are counted, and may go wrong."""

    def __init__(self) -> None:
        self.sweeps = 0
        self.trouble: Exception | None = None

    async def sweep(self) -> int:
        self.sweeps += 1
        if self.trouble:
            raise self.trouble
        return 0


class House:
    def __init__(self, retention: Retention) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(KINDS, self.clock)
        self.shelf = Shelf()
        self.care = Housekeeping(self.store, self.shelf, retention, self.clock)  # type: ignore[arg-type] # only its sweep
        self._events = 0

    async def count(self, kind: Any, order: str = "created") -> int:
        return (
            len(await self.store.find(kind, order=order, limit=10_000)) if order else len(await self.store.find(kind))
        )

    async def event(self, **native: str) -> Event:
        self._events += 1
        event = Event(keys=(f"e{self._events}",), chat=CHAT, sender="fake:ada", body=Said(text="hi"), native=native)
        await Inbox(self.store, "me").accept(event)
        return event

    async def order(self, event: Event, files: Sequence[Blob] = ()) -> Job:
        wanted = replace(wanted_run(PICTURE, {"prompt": "a fox"}), files={blob.sha256: blob for blob in files})
        terms = Terms(own=Bounds(open_orders=1_000), all_orders=1_000, queue_seconds=60)

        async def work(tx: Any) -> Job:
            order = await take(tx, "ada", Address.of(event), event.keys[0], [wanted], terms, command="make")
            job: Job = await tx.get(JOBS, order.jobs[0])
            return await end(tx, job, "cancelled", "")

        return await self.store.atomically(work)

    async def blob(self, name: str, size: int = 10) -> Blob:
        blob = Blob(sha256=name * 64, size=size, mime="image/png", kind="image")
        await self.store.atomically(lambda tx: keep(blob, name, "", tx))
        return blob

    async def result(self, job: str, n: int, blob: Blob | None, text: str = "") -> None:
        async def work(tx: Any) -> None:
            if blob:
                await refer(tx, result_owner(job, n), blob)
            await tx.insert(
                RESULTS, Result(key=f"{job}.{n}", job=job, n=n, name="a", blob=blob, text=text, created=tx.now)
            )

        await self.store.atomically(work)

    async def owners(self, blob: Blob) -> list[str]:
        return [ref.owner for ref in await self.store.find(BLOB_REFS, {"sha256": blob.sha256})]


@asynccontextmanager
async def house(**retention: Any) -> AsyncIterator[House]:
    house = House(Retention(**retention))
    async with house.store:
        yield house


async def test_each_kind_goes_when_its_time_is_over(tmp_path: Path) -> None:
    async with house(events_days=1, messages_days=2, results_days=3, jobs_days=4) as home:
        event = await home.event()
        job = await home.order(event)
        await home.result(job.key, 0, await home.blob("a"))

        async def more(tx: Any) -> None:
            await store_action(tx, "make", {})
            await tx.insert(ATTEMPTS, AttemptRow(key="1", job=job.key, backend="b", graph={}, created=tx.now))

        await home.store.atomically(more)
        seen = []
        for _ in range(5):
            await home.care.round()
            counts = [await home.count(kind) for kind in (MESSAGES, RESULTS, JOBS, ORDERS, ACTIONS)]
            seen.append([await home.count(ARRIVALS, "received"), *counts])
            await home.clock.advance(DAY + 1)
        assert seen == [
            [1, 2, 1, 1, 1, 1],
            [0, 2, 1, 1, 1, 1],
            [0, 0, 1, 1, 1, 1],
            [0, 0, 0, 1, 1, 1],
            [0, 0, 0, 0, 0, 0],
        ]
        assert await home.store.find(ATTEMPTS, {"job": job.key}, order="created") == []


async def test_a_job_takes_its_results_and_bytes_with_it() -> None:
    async with house(jobs_days=1, results_days=30) as home:
        made, given = await home.blob("a"), await home.blob("b")
        job = await home.order(await home.event(), [given])
        await home.result(job.key, 0, made)
        assert (await home.owners(made), await home.owners(given)) == ([f"job:{job.key}.0"], [f"input:{job.key}"])
        await home.clock.advance(DAY + 1)
        await home.care.round()
        assert (await home.owners(made), await home.owners(given)) == ([], [])
        assert await home.count(RESULTS) == 0


async def test_what_people_sent_goes_before_what_was_made_of_it() -> None:
    async with house(inputs_days=1) as home:
        made, given = await home.blob("a"), await home.blob("b")
        jobs = []
        for _ in range(120):
            jobs.append(await home.order(await home.event(), [given]))
            await home.clock.advance(0.01)
        await home.result(jobs[0].key, 0, made)
        await home.care.round()
        assert len(await home.owners(given)) == 100
        await home.clock.advance(DAY + 1)
        await home.care.round()
        assert await home.owners(given) == []
        assert len(await home.owners(made)) == 1


async def test_when_results_take_too_much_room_the_oldest_go() -> None:
    async with house(results_gigabytes=1e-6) as home:  # a thousand bytes
        job = await home.order(await home.event())
        for n in range(150):
            await home.result(job.key, n, await home.blob("a", 10), "")
            await home.clock.advance(1)
        await home.result(job.key, 150, None, "x" * 20)
        await home.care.round()
        left = [result.n for result in await home.store.find(RESULTS, order="created", limit=1_000)]
        assert left == list(range(150 - 98, 151))


async def test_more_than_one_transaction_takes_is_pruned() -> None:
    async with house(events_days=1) as home:
        for _ in range(250):
            await home.event()
        await home.clock.advance(DAY + 1)
        await home.care.round()
        assert await home.count(ARRIVALS, "received") == 0


async def test_secrets_of_a_network_are_kept_for_twenty_minutes() -> None:
    async with house() as home:
        event = await home.event(**{"secret.token": "t", "guild": "7"})
        await home.order(event)
        await home.store.atomically(lambda tx: post(tx, Address.of(event), [Reply(text="hi")], cause="x"))

        async def natives() -> list[dict[str, str]]:
            arrivals = await home.store.find(ARRIVALS, order="received")
            messages = await home.store.find(MESSAGES, order="created")
            orders = await home.store.find(ORDERS, order="created")
            return [
                *(dict(arrival.event.native) for arrival in arrivals),
                *(dict(message.native) for message in messages),
                *(dict(order.to.native) for order in orders),
            ]

        await home.clock.advance(timedelta(minutes=19).total_seconds())
        await home.care.round()
        assert await natives() == [{"secret.token": "t", "guild": "7"}] * 5
        await home.clock.advance(timedelta(minutes=2).total_seconds())
        await home.care.round()
        assert await natives() == [{"guild": "7"}] * 5


async def test_secrets_of_many_events_of_one_moment_go_too() -> None:
    async with house() as home:
        for _ in range(250):
            await home.event(**{"secret.token": "t"})
        await home.clock.advance(timedelta(minutes=21).total_seconds())
        await home.care.round()
        arrivals = await home.store.find(ARRIVALS, order="received", limit=1_000)
        assert [dict(arrival.event.native) for arrival in arrivals] == [{}] * 250


async def test_it_goes_on_every_five_minutes_whatever_happens() -> None:
    async with house() as home:
        running = asyncio.create_task(home.care.run())
        await settle()
        home.shelf.trouble = OperatorMust("the disk is full")
        await home.clock.advance(ROUND_SECONDS)
        home.shelf.trouble = PermissionError("not yours")
        await home.clock.advance(ROUND_SECONDS)
        home.shelf.trouble = None
        await home.clock.advance(ROUND_SECONDS)
        assert home.shelf.sweeps == 4
        running.cancel()
        await asyncio.wait({running})


async def test_one_old_result_goes_without_the_bytes_of_the_others() -> None:
    async with house(results_gigabytes=0.000_000_15) as home:
        job = await home.order(await home.event())
        old, fresh = await home.blob("a", size=100), await home.blob("b", size=100)
        await home.result(job.key, 0, old)
        await home.clock.advance(1)
        await home.result(job.key, 1, fresh)
        await home.care.round()
        assert await home.count(RESULTS) == 1
        assert (await home.owners(old), await home.owners(fresh)) == ([], [f"job:{job.key}.1"])


async def test_what_commands_made_goes_with_results_and_copies_sooner() -> None:
    async with house(results_days=10, copies_days=2) as here:
        made, copy = await here.blob("a"), await here.blob("b")

        async def keep_both(tx: Any) -> None:
            await note_made(tx, "e1", "ada", [made])
            await refer(tx, "rendition:b.x", copy)
            await tx.insert(RENDITIONS, Rendition(key="b.x", copy=Copy(blob=copy), created=tx.now))

        await here.store.atomically(keep_both)
        await here.clock.advance(3 * DAY)
        await here.care.round()
        assert (await here.count(MADE), await here.count(RENDITIONS)) == (1, 0)
        assert (await here.owners(made), await here.owners(copy)) == (["made:e1"], [])
        await here.clock.advance(8 * DAY)
        await here.care.round()
        assert await here.count(MADE) == 0
        assert await here.owners(made) == []


async def test_where_room_is_short_the_oldest_of_all_kinds_go() -> None:
    async with house(results_gigabytes=25e-9) as here:
        job = await here.order(await here.event())
        for n, name in enumerate("abcdef"):
            blob = await here.blob(name)
            if n % 2:
                await here.result(job.key, n, blob)
            else:
                await here.store.atomically(partial(note_made, key=f"e{n}", person="ada", blobs=[blob]))
            await here.clock.advance(60)
        await here.care.round()
        left = [bool(await here.owners(Blob(sha256=name * 64, size=10, mime="", kind="image"))) for name in "abcdef"]
        assert left == [False, False, False, False, True, True]
