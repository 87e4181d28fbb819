"""`chatelier store copy`: everything, once, from any engine into any other, though it is killed on the way."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chatelier import Copyable, Kind, OperatorMust, Record, Store, SystemClock, Tx, token
from chatelier.core.cli.store import backup_store, copy_store
from chatelier.core.generation.jobs import RUNS, Runs
from chatelier.core.leases import ACCOUNTS, take
from chatelier.core.people.people import PEOPLE, Person
from chatelier.core.points.ledger import BALANCES, purchased_of
from chatelier.core.points.moves import buy
from chatelier.core.registered import KINDS as CORE_KINDS
from chatelier.core.storage.copying import COPYINGS, copy, refuse_half
from chatelier.core.testing.store_suite import KINDS, SAMPLES, TALLIES, Loose, Newer, Sample, Tally, add, bend, put
from chatelier.plugins.mongo import open_mongo
from chatelier.plugins.sqlite import open_sqlite
from mongod import Mongod

ALL: Sequence[Kind[Any]] = (*KINDS, COPYINGS, ACCOUNTS)


def opener(url: str) -> Any:
    return open_mongo if url.startswith("mongodb") else open_sqlite


def opened(url: str, kinds: Sequence[Kind[Any]] = ALL) -> AbstractAsyncContextManager[Store]:
    store: AbstractAsyncContextManager[Store] = opener(url)(url, kinds, SystemClock())
    return store


@asynccontextmanager
async def both(source: str, target: str) -> AsyncIterator[tuple[Store, Store]]:
    async with opened(source) as first, opened(target) as second:
        yield first, second


@pytest.fixture(params=["sqlite to mongodb", "mongodb to sqlite", "sqlite to sqlite"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    first, _, second = request.param.split()
    where = {"sqlite": lambda name: f"sqlite://{tmp_path}/{name}.db"}
    if "mongodb" in (first, second):
        url = request.getfixturevalue("mongo_url")
        where["mongodb"] = lambda _: url
    return where[first]("a"), where[second]("b")


async def fill(store: Store) -> None:
    await put(
        store,
        [
            Sample(key=f"{n:04}", name=f"name {n}", tags=(f"tag {n}",), amount=n, due=datetime(2026, 1, 1, tzinfo=UTC))
            for n in range(450)
        ],
    )
    for _ in range(3):
        await add(store)
    newer = Kind(name="tallies", record=Newer)

    async def work(tx: Tx) -> None:
        await tx.insert(newer, Newer(key="new", unit="mm", limits={"a.$b": [2**80]}))

    await store.atomically(work)


async def everything(store: Store) -> tuple[list[Sample], list[Record | None]]:
    return await store.find(SAMPLES, limit=10_000), [await store.get(TALLIES, key) for key in ("t", "new")]


async def test_everything_is_copied_as_it_is(urls: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    async with both(*urls) as (source, target):
        await fill(source)
        await copy_store(source, target, ALL, "the source")
        assert await everything(target) == await everything(source)
        assert await target.get(TALLIES, "t") == Tally(key="t", amount=3, version=3)
        assert await target.check() == []
        await refuse_half(target)
        await add(target)
        said = capsys.readouterr().out
        assert "samples: 450 copied" in said
        assert "452 records are the same in both" in said


async def test_a_copy_that_was_cut_off_goes_on_where_it_was(urls: tuple[str, str]) -> None:
    said: list[str] = []

    def cut(words: str) -> None:
        said.append(words)
        if len(said) == 2:
            raise KeyboardInterrupt

    async with both(*urls) as (source, target):
        await fill(source)
        with pytest.raises(KeyboardInterrupt):
            await copy(source, target, ALL, "the source", cut)
        with pytest.raises(OperatorMust, match="from the source was cut off"):
            await refuse_half(target)
    assert said == ["samples: 200 copied", "samples: 400 copied"]
    async with both(*urls) as (source, target):
        with pytest.raises(OperatorMust, match="Name the same source"):
            await copy(source, target, ALL, "another one", said.append)
        assert await copy(source, target, ALL, "the source", said.append) == 452
        assert said[2:] == ["Going on where the copy was cut off.", "samples: 50 copied", "tallies: 2 copied"]
        assert await everything(target) == await everything(source)


async def test_a_target_that_holds_other_data_is_refused(urls: tuple[str, str]) -> None:
    async with both(*urls) as (source, target):
        await fill(source)
        await add(target)
        with pytest.raises(OperatorMust, match="other data already \\(tallies\\)"):
            await copy(source, target, ALL, "the source", print)
        assert await target.find(SAMPLES) == []


async def test_records_of_a_plugin_that_is_off_are_not_left_behind(urls: tuple[str, str]) -> None:
    async with both(*urls) as (source, _):
        await fill(source)
    some = [kind for kind in ALL if kind is not TALLIES]
    async with opened(urls[0], some) as source, opened(urls[1], some) as target:
        with pytest.raises(OperatorMust, match="tallies"):
            await copy(source, target, some, "the source", print)


async def test_a_source_that_changes_meanwhile_is_found_out(urls: tuple[str, str]) -> None:
    async with both(*urls) as (source, target):
        await fill(source)
        changed: list[asyncio.Task[None]] = []

        class Changing:
            """Stands in front of the source: it changes behind the copy."""

            def __getattr__(self, name: str) -> Any:
                return getattr(source, name)

            async def page(self, kind: Kind[Any], *, after: str | None = None, limit: int = 100) -> Any:
                assert isinstance(source, Copyable)
                page = await source.page(kind, after=after, limit=limit)
                if kind is TALLIES and not changed:
                    changed.append(asyncio.create_task(add(source)))
                    await changed[0]
                return page

        with pytest.raises(OperatorMust, match="tallies 't' is not the same"):
            await copy(Changing(), target, ALL, "the source", print)


async def test_what_cannot_be_read_is_said_before_half_of_it_is_gone(urls: tuple[str, str]) -> None:
    async with both(*urls) as (source, target):
        await bend(source, Loose(key="bent"))
        with pytest.raises(OperatorMust, match="store check"):
            await copy(source, target, ALL, "the source", print)


async def test_nothing_to_copy_is_a_wrong_name(urls: tuple[str, str]) -> None:
    async with both(*urls) as (source, target):
        with pytest.raises(OperatorMust, match="no records at all"):
            await copy(source, target, ALL, "the source", print)
        await refuse_half(target)


async def test_a_source_that_is_in_use_is_refused(urls: tuple[str, str]) -> None:
    async with both(*urls) as (source, target):
        await fill(source)
        await take(source, ACCOUNTS, "web", owner="a-gateway", seconds=30)
        with pytest.raises(OperatorMust, match=r"a-gateway"):
            await copy_store(source, target, ALL, "the source")
        lease = await source.get(ACCOUNTS, "web")
        assert lease is not None
        assert lease.due is not None
        assert lease.due > datetime.now(UTC) - timedelta(hours=1)


# --- the command


async def test_a_backup_says_where_it_is_without_the_password(
    mongod: Mongod, mongo_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = token()
    target = f"mongodb://{name}:pa%2Fss-word@{mongod.host}/{name}?replicaSet=tests&authSource={name}"

    def change(how: str) -> None:
        with mongod.client() as client:
            if how == "make":
                client[name].command("createUser", name, pwd="pa/ss-word", roles=["readWrite"])
            else:
                client[name].command("dropUser", name)
                client.drop_database(name)

    await asyncio.to_thread(change, "make")
    try:
        async with opened(mongo_url) as store:
            await add(store)
            await backup_store(store, target)
        said = capsys.readouterr().out
        assert f"{mongod.host}/{name}" in said
        assert "ss-word" not in said
    finally:
        await asyncio.to_thread(change, "drop")


def command(folder: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "CHATELIER_DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1", **more}
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "chatelier", "store", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(folder: Path, *words: str, **more: str) -> tuple[int, str, str]:
    running = command(folder, *words, **more)
    out, err = running.communicate(timeout=120)
    return running.returncode, out, err


async def people(store: Store, count: int) -> None:
    async def work(tx: Tx) -> None:
        for n in range(count):
            await tx.insert(PEOPLE, Person(key=f"{n:05}", handles=(f"web:{n}",), name="Ada", created=tx.now))
            await tx.insert(RUNS, Runs(key=f"{n:05}", workflow="make", backend="", run_ms=(n,)))

    await store.atomically(work)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["there", "back"])
def test_the_command_goes_on_after_a_kill(tmp_path: Path, mongo_url: str, way: str) -> None:
    async def prepare(url: str) -> None:
        async with opened(url, CORE_KINDS) as store:
            await people(store, 3_000)

    urls = {"there": ("sqlite:a.db", mongo_url), "back": (mongo_url, "sqlite:b.db")}[way]
    asyncio.run(prepare(f"sqlite://{tmp_path}/a.db" if way == "there" else mongo_url))
    for _ in range(2):
        running = command(tmp_path, "copy", *urls)
        assert running.stdout is not None
        assert any("people:" in line or "runs:" in line for line in running.stdout)
        running.kill()
        running.communicate()
    code, out, _ = said(tmp_path, "check", CHATELIER_STORE=urls[1])
    assert code == 2, "half of a copy is no store"
    code, out, err = said(tmp_path, "copy", *urls)
    assert (code, err) == (0, "")
    assert "Going on" in out
    assert "6000 records are the same in both" in out
    assert "The ledger agrees with itself." in out
    assert said(tmp_path, "check", CHATELIER_STORE=urls[1])[:2] == (0, "All is well.\n")
    code, _, err = said(tmp_path, "copy", *urls)
    assert code == 2
    assert "other data" in err


def test_a_ledger_that_is_off_is_said_after_the_copy(tmp_path: Path) -> None:
    async def prepare() -> None:
        async with opened(f"sqlite://{tmp_path}/a.db", CORE_KINDS) as store:
            await store.atomically(lambda tx: buy(tx, "ada", 5_000, provider="test", charge="1"))
            await store.atomically(spoil)

    async def spoil(tx: Tx) -> None:
        balance = await tx.get(BALANCES, purchased_of("ada"))
        assert balance is not None
        await tx.replace(BALANCES, replace(balance, free=7_000))

    asyncio.run(prepare())
    code, out, err = said(tmp_path, "copy", "sqlite:a.db", "sqlite:b.db")
    assert (code, err) == (1, "")
    assert "person:ada.purchased" in out
    assert "points audit --repair" in out


def test_a_dash_is_the_configured_store_and_no_password_is_said(tmp_path: Path, mongo_url: str) -> None:
    async def prepare() -> None:
        async with opened(f"sqlite://{tmp_path}/chatelier.db", CORE_KINDS) as store:
            await people(store, 3)

    asyncio.run(prepare())
    code, out, err = said(tmp_path, "copy", "-", mongo_url)
    assert (code, err) == (0, "")
    assert "6 records are the same" in out
    wrong = mongo_url.replace("//", "//ada:pa%2Fss-word@").replace("?", "?authSource=admin&")
    code, out, err = said(tmp_path, "copy", "sqlite:chatelier.db", wrong)
    assert code == 2
    assert "password" in err
    assert "ss-word" not in out + err
