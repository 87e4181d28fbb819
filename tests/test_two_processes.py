"""Two `chatelier` processes on one store: each thing happens once, and whoever is left goes on."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

import httpx
import pytest
from PIL import Image

from chatelier import Kind, Store, Tx
from chatelier.core.chat.inbox import ARRIVALS
from chatelier.core.chat.outbox import MESSAGES, Message
from chatelier.core.cli.context import open_store
from chatelier.core.generation.jobs import JOBS, Job
from chatelier.core.leases import ACCOUNTS
from gateways import (
    Guest,
    Process,
    configured,
    finished,
    gateway_process,
    guest,
    on_server,
    say_process,
    sketch_process,
)

GRAPH = Path(__file__).parent / "data" / "workflows" / "png_one_tiny.json"
SLOW = {"sketch": {"seconds": 1}}


@pytest.fixture(params=["sqlite", "mongodb"])
def stored(request: pytest.FixtureRequest) -> dict[str, str]:
    """What the configuration says of the store."""
    return {} if request.param == "sqlite" else {"store": request.getfixturevalue("mongo_url")}


def prepared(folder: Path, **more: Any) -> Path:
    config = configured(folder, **more)
    (folder / "workflows" / GRAPH.name).write_bytes(GRAPH.read_bytes())
    return config


@asynccontextmanager
async def pair(config: Path) -> AsyncIterator[tuple[Process, Process]]:
    """Two gateways; the first one holds the accounts."""
    with gateway_process(config) as first:
        async with guest(first.url):
            pass
        with gateway_process(config) as second:
            yield first, second


async def half_a_minute_later(store: Store, owner: str) -> None:
    """The leases of a process that is dead have run out."""

    async def work(tx: Tx) -> None:
        kinds: tuple[tuple[Kind[Any], str], ...] = ((ACCOUNTS, ""), (JOBS, "created"), (ARRIVALS, "received"))
        for kind, order in kinds:
            for record in await tx.find(kind, order=order, limit=100):
                if record.owner == owner:
                    await tx.replace(kind, replace(record, due=tx.now))

    await store.atomically(work)


async def holder(store: Store, account: str = "web") -> str:
    lease = await store.get(ACCOUNTS, account)
    return lease.owner if lease else ""


async def jobs_of(store: Store) -> Sequence[Job]:
    return await store.find(JOBS, order="created", limit=100)


def sniff(path: str) -> str | None:
    with Image.open(path) as image:
        return image.format


def texts(me: Guest) -> Counter[str]:
    return Counter(message.text for message in me.heard)


async def settled(store: Store) -> list[Message]:
    """All messages, once none is on its way: one that is visible has its receipt a moment later."""
    changes = store.changes(MESSAGES)
    while True:
        messages = await store.find(MESSAGES, order="created", limit=100)
        if not any(message.state in ("pending", "sending") for message in messages):
            return messages
        assert await changes.wait(30)


async def test_each_event_is_handled_once_and_each_message_sent_once(tmp_path: Path, stored: dict[str, str]) -> None:
    config = prepared(tmp_path, backends=SLOW, **stored)
    async with pair(config) as (first, _), open_store(config) as store, guest(first.url) as me:
        for n in range(12):
            await me.say(f"/nothing{n}")
        await me.until(lambda: len(me.heard) == 12)
        cards = [await me.card(f"/png_one_tiny --seed {n}") for n in range(3)]
        await me.until(lambda: all(card.media for card in cards))
        assert all(job.attempts == 1 for job in await jobs_of(store))
        answers = texts(me)
        assert len(answers) == 12 + 1, "the cards of three jobs end with the same words"
        assert all(times == 1 for text, times in answers.items() if "/nothing" in text)
        events = await store.find(ARRIVALS, order="received", limit=100)
        assert {(event.state, event.tries) for event in events} == {("handled", 1)}
        sent = await settled(store)
        assert {message.state for message in sent} == {"sent"}
        assert not any(message.again for message in sent)


async def test_the_account_moves_when_its_holder_stops_and_nothing_is_said_twice(
    tmp_path: Path, stored: dict[str, str]
) -> None:
    config = prepared(tmp_path, backends=SLOW, **stored)
    async with pair(config) as (first, second), open_store(config) as store:
        async with guest(first.url) as me:
            before = await holder(store)
            done = await me.ask("/png_one_tiny")
            open_card = await me.card("/png_one_tiny --seed 2")
            repeated = await me.say("/help")
        said_by_the_first = first.stop()
        assert "Traceback" not in said_by_the_first
        async with guest(second.url, me.cookie) as me:
            assert await holder(store) not in ("", before)
            assert me.messages[done.key].media == done.media
            await me.until(lambda: me.messages[open_card.key].media)
            known = len(me.messages)
            await me.say("/help", key=repeated)  # as a page does that did not hear whether it had arrived
            fresh = await me.ask("/nothing")
            assert len(me.messages) == known + 2, "the repeat was none"
            assert "no command" in fresh.text
        assert {job.attempts for job in await jobs_of(store)} == {1}


async def test_jobs_of_a_killed_process_are_taken_over_and_run_once(tmp_path: Path, stored: dict[str, str]) -> None:
    with sketch_process(tmp_path / "server", "--seconds", "4") as server:
        config = prepared(tmp_path, backends=on_server(server.url), **stored)
        async with pair(config) as (first, second), open_store(config) as store:
            async with guest(first.url) as me:
                card = await me.card("/png_one_tiny")
                await me.until(lambda: "%" in card.text)
            before = await holder(store)
            (job,) = await jobs_of(store)
            first.kill()
            await half_a_minute_later(store, before)
            await half_a_minute_later(store, job.owner)
            async with guest(second.url, me.cookie) as me:
                assert await holder(store) not in ("", before)
                await me.until(lambda: me.messages[card.key].media)
                assert len(me.heard) == 1, "the same card became the result"
                assert (await me.ask("/png_one_tiny --seed 9")).media
            (job, _) = await jobs_of(store)
            assert (job.state, job.attempts) == ("done", 1)
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
            assert len((await client.get("/history")).json()) == 2, "what the dead one had sent was not sent again"


async def test_the_terminal_beside_a_running_gateway_is_an_account_of_its_own(tmp_path: Path) -> None:
    config = prepared(tmp_path / "data", backends=SLOW)
    with gateway_process(config) as gateway_:
        async with guest(gateway_.url) as me, open_store(config) as store:
            told = [
                await say_process(config, "/png_one_tiny", "--as", "ann", "--out", str(tmp_path / str(n)))
                for n in range(2)
            ]
            answers = [await finished(one) for one in told]
            for n, (code, answer, err) in enumerate(answers):
                assert (code, answer["state"], err) == (0, "done", "")
                assert [Path(path).parent.name for path in answer["files"]] == [str(n)]
                assert all(sniff(path) == "PNG" for path in answer["files"])
            assert {account.key for account in await store.find(ACCOUNTS, limit=9)} == {
                "web",
                "terminal.ann",
                "terminal.ann.2",
            }
            sent = await store.find(MESSAGES, order="created", limit=100)
            assert Counter(message.account for message in sent if message.job) == {
                "terminal.ann": 1,
                "terminal.ann.2": 1,
            }
            assert not me.heard, "what was said in the terminal stays there"
            shown, _, _ = await finished(
                await say_process(config, f"/show {answers[1][1]['job']}", "--as", "ann", "--out", str(tmp_path))
            )
            assert shown == 0, "her jobs are hers in every terminal"


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """The first one would let the running job come to its end."""
    config = prepared(tmp_path, backends={"sketch": {"seconds": 30}})
    with gateway_process(config) as process:
        async with guest(process.url) as me:
            card = await me.card("/png_one_tiny")
            await me.until(lambda: "Waiting" not in card.text)
        process.running.terminate()
        with pytest.raises(TimeoutExpired):
            await asyncio.to_thread(process.running.wait, 1)
        process.running.terminate()
        assert await asyncio.to_thread(process.running.wait, 5) == 128 + signal.SIGTERM
