"""MongoDB as a server: its errors, its layout, the care of the data, and what is left when it is closed."""

import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import pymongo
import pytest

from chatelier import (
    Exists,
    Kind,
    OperatorMust,
    Query,
    Question,
    Record,
    Store,
    StoreOpener,
    StoreTooNew,
    SystemClock,
    Tx,
    Unavailable,
    Unreadable,
)
from chatelier.core.log import redact
from chatelier.core.testing.clock import FakeClock
from chatelier.core.testing.store_suite import (
    KINDS,
    NEWER_TALLIES,
    SAMPLES,
    STORE_CHECKS,
    TALLIES,
    MakeStore,
    Newer,
    Sample,
    Tally,
    add,
    now,
    put,
)
from chatelier.plugins.mongo import Plugin, open_mongo
from chatelier.plugins.mongo.layout import Shelf
from chatelier.plugins.mongo.opening import MIGRATIONS
from mongod import Mongod, free_port

R = TypeVar("R", bound=Record)
PASSWORD = "p@ss:w/rd-of-ada"  # noqa: S105 - of nobody


def opened(url: str) -> Any:
    return open_mongo(url, KINDS, SystemClock())


def raw(url: str) -> AbstractContextManager[pymongo.MongoClient[dict[str, Any]]]:
    return pymongo.MongoClient(url)


async def insert(store: Store, kind: Kind[R], *records: R) -> None:
    async def work(tx: Tx) -> None:
        for record in records:
            await tx.insert(kind, record)

    await store.atomically(work)


async def change(url: str, job: Callable[[Any], object]) -> None:
    """Do something to the database that no gateway would do."""

    def work() -> None:
        with raw(url) as client:
            job(client.get_default_database())

    await asyncio.to_thread(work)


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_store_keeps_the_contract(check: Callable[[MakeStore], Awaitable[None]], mongo_url: str) -> None:
    await check(lambda kinds, clock: open_mongo(mongo_url, kinds, clock))


def test_plugin_offers_both_schemes() -> None:
    offered: dict[str, StoreOpener] = {}
    Plugin().register_stores(offered.__setitem__)
    assert offered == {"mongodb": open_mongo, "mongodb+srv": open_mongo}


# --- what the operator is told


@pytest.fixture
def alone(tmp_path: Path) -> Any:
    """A server of its own, not started yet."""
    server = Mongod(tmp_path / "mongod", replica_set="")
    server.folder.mkdir()
    yield server
    server.stop()


async def refused(error: type[Exception], url: str, **more: Any) -> str:
    """The words of the refusal, which name no password; nor does its traceback, as it would be logged."""
    with pytest.raises(error) as caught:
        async with open_mongo(url, KINDS, SystemClock(), **more):
            pass
    whole = "".join(traceback.format_exception(caught.value))
    for spelling in (PASSWORD, quote(PASSWORD, safe="")):
        assert spelling not in redact(whole)
        assert spelling not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("query", ["", "?replicaSet=rs0"])
async def test_a_standalone_server_is_refused_with_the_command_that_helps(alone: Mongod, query: str) -> None:
    await asyncio.to_thread(alone.start)
    said = await refused(OperatorMust, alone.url("x") + query, patience=1)
    assert "standalone" in said
    assert "--replSet" in said
    assert f"mongosh --host {alone.host} --eval 'rs.initiate()'" in said


async def test_a_set_that_was_not_initiated_is_said(tmp_path: Path) -> None:
    server = Mongod(tmp_path / "mongod")
    server.folder.mkdir()
    await asyncio.to_thread(server.start, initiate=False)
    try:
        assert "rs.initiate()" in await refused(OperatorMust, server.url("x"), patience=1)
    finally:
        await asyncio.to_thread(server.stop)


async def test_another_replica_set_is_named(mongod: Mongod) -> None:
    said = await refused(OperatorMust, f"mongodb://{mongod.host}/x?replicaSet=other", patience=1)
    assert "'tests'" in said
    assert "'other'" in said


async def test_a_server_that_is_away_is_unavailable() -> None:
    place = f"127.0.0.1:{free_port()}"
    async with asyncio.timeout(30):
        assert place in await refused(Unavailable, f"mongodb://{place}/x?replicaSet=rs0", patience=0.3)


async def test_a_wrong_password_is_said_without_the_password(mongod: Mongod) -> None:
    url = f"mongodb://ada:{quote(PASSWORD, safe='')}@{mongod.host}/x?replicaSet=tests&authSource=admin"
    said = await refused(OperatorMust, url)
    assert "does not accept the name or the password" in said
    assert mongod.host in said


@pytest.mark.parametrize(
    "url",
    [
        f"mongodb://ada:{PASSWORD}@host/x",
        f"mongodb://ada:{PASSWORD}@host:port/x",
        "mongodb://ada:p@ss/word@host/x",
        "mongodb://",
        "mongodb://host:99999/x",
        "mongodb://host/x?replicaSet",
        f"mongodb://ada:{quote(PASSWORD, safe='')}@host",
        "mongodb://host:27017",
    ],
)
async def test_a_url_that_cannot_be_used_is_refused_with_an_example(url: str) -> None:
    assert "mongodb://host:27017/chatelier?replicaSet=rs0" in await refused(OperatorMust, url)


async def test_a_name_that_is_not_in_dns_is_said() -> None:
    url = f"mongodb+srv://ada:{quote(PASSWORD, safe='')}@nowhere.invalid/x"
    assert "cannot be looked up" in await refused(Unavailable, url)


def test_without_the_extra_it_says_what_to_install() -> None:
    program = (
        "import asyncio, sys\n"
        "sys.modules['motor'] = None\n"
        "from chatelier import OperatorMust, SystemClock\n"
        "from chatelier.plugins.mongo import open_mongo\n"
        "async def main():\n"
        "    async with open_mongo('mongodb://host/x', [], SystemClock()): pass\n"
        "try:\n    asyncio.run(main())\nexcept OperatorMust as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 - ours
    assert "pip install 'chatelier[mongo]'" in done.stdout


async def test_the_database_of_another_program_is_left_alone(mongo_url: str) -> None:
    await change(mongo_url, lambda database: database.bookmarks.insert_one({"_id": 1}))
    assert "another program" in await refused(OperatorMust, mongo_url)
    with raw(mongo_url) as client:
        assert client.get_default_database().list_collection_names() == ["bookmarks"]


async def test_a_newer_database_is_refused_with_words(mongo_url: str) -> None:
    async with opened(mongo_url):
        pass
    await change(mongo_url, lambda one: one.chatelier.update_one({"_id": "layout"}, {"$set": {"number": 999}}))
    said = await refused(StoreTooNew, mongo_url)
    assert "999" in said
    assert "Upgrade" in said


async def test_a_server_that_goes_is_unavailable_and_one_that_comes_back_is_used(tmp_path: Path) -> None:
    server = Mongod(tmp_path / "mongod")
    server.folder.mkdir()
    await asyncio.to_thread(server.start)
    try:
        async with open_mongo(server.url("x"), KINDS, SystemClock(), patience=0.5) as store:
            await add(store)
            await asyncio.to_thread(server.kill)
            async with asyncio.timeout(30):
                with pytest.raises(Unavailable, match="does not answer"):
                    await store.get(TALLIES, "t")
                with pytest.raises(Unavailable, match="does not answer"):
                    await add(store)
            await asyncio.to_thread(server.start)
            await add(store)
            assert (await tally(store)).amount == 2
    finally:
        await asyncio.to_thread(server.stop)


async def tally(store: Store) -> Tally:
    found = await store.get(TALLIES, "t")
    assert found is not None
    return found


# --- the layout


def test_migrations_say_what_they_do() -> None:
    assert len(MIGRATIONS) >= 1
    assert all(one.__doc__ for one in MIGRATIONS)


async def test_data_outlive_the_store(mongo_url: str) -> None:
    async with opened(mongo_url) as store:
        await add(store, 3)
    async with opened(mongo_url) as store:
        assert (await tally(store)).amount == 3


async def test_every_declared_question_is_answered_from_its_index(mongo_url: str) -> None:
    asked = 0
    shelf = Shelf(SAMPLES)
    async with opened(mongo_url) as store:
        await put(store, [Sample(key="a")])
        with raw(mongo_url) as client:
            collection = client.get_default_database()[shelf.name]
            for query in SAMPLES.queries:
                for value in ("x", None, True):
                    for bounds in ({}, {"since": 1, "until": 2}) if query.order else ({},):
                        for descending in (False, True):
                            where = dict.fromkeys(query.equal, value)
                            question = Question.of(SAMPLES, where, order=query.order, descending=descending, **bounds)
                            cursor = collection.find(shelf.filter(question)).sort(shelf.sort(question))
                            cursor = cursor.hint(shelf.index(question))
                            plan = json.dumps(cursor.explain()["queryPlanner"]["winningPlan"], default=str)
                            assert '"IXSCAN"' in plan
                            assert '"SORT"' not in plan
                            if query.equal:
                                assert f'{{"q.{query.equal[0].replace(".", ":")}": ["[MinKey' not in plan
                            asked += 1
    assert asked >= 40


async def test_an_index_that_is_gone_is_named_and_made_again(mongo_url: str) -> None:
    async with opened(mongo_url) as store:
        await change(mongo_url, lambda database: database.records_samples.drop_index("state,due"))
        assert await store.check() == ["the index state,due of records_samples is gone"]
        with pytest.raises(OperatorMust, match="lost an index"):
            await store.find(SAMPLES, {"state": "open"}, order="due")
    async with opened(mongo_url) as store:
        assert await store.check() == []


async def test_a_field_that_becomes_unique_is_filled_in(mongo_url: str) -> None:
    plain = Kind(name="samples", record=Sample)
    async with open_mongo(mongo_url, [plain], SystemClock()) as store:
        await insert(store, plain, Sample(key="a", name="Ada", tags=("x",), amount=7), Sample(key="b"))
    async with opened(mongo_url) as store:
        found = await store.get(SAMPLES, "x", by="tags")
        assert found is not None
        assert found.key == "a"
        assert [one.key for one in await store.find(SAMPLES, {"state": "open"}, order="amount", since=1)] == ["a"]
        with pytest.raises(Exists):
            await put(store, [Sample(key="c", name="Ada")])
        assert await store.check() == []


async def test_a_field_cannot_become_unique_while_two_share_it(mongo_url: str) -> None:
    plain = Kind(name="samples", record=Sample, queries=SAMPLES.queries)
    async with open_mongo(mongo_url, [plain], SystemClock()) as store:
        await insert(store, plain, *(Sample(key=key, name="Ada") for key in "ab"))
    said = await refused(OperatorMust, mongo_url)
    assert "'a' and 'b' share the name 'Ada'" in said


async def test_two_kinds_of_one_name_are_refused(mongo_url: str) -> None:
    with pytest.raises(ValueError, match="one name"):
        async with open_mongo(mongo_url, [TALLIES, TALLIES], SystemClock()):
            pass


async def test_who_opens_waits_for_a_process_that_changes_the_layout_until_it_is_dead(mongo_url: str) -> None:
    until = datetime.now(UTC) + timedelta(seconds=0.5)
    lock = {"_id": "opening", "by": "somebody", "until": until}
    await change(mongo_url, lambda database: database.chatelier.insert_one(lock))
    async with opened(mongo_url) as store:
        assert datetime.now(UTC) >= until - timedelta(milliseconds=1)
        await add(store)


async def test_processes_that_open_a_new_database_at_once_all_succeed(mongo_url: str) -> None:
    async def one() -> None:
        async with opened(mongo_url) as store:
            await add(store)

    await asyncio.gather(*(one() for _ in range(4)))
    async with opened(mongo_url) as store:
        assert (await tally(store)).amount == 4


# --- values


async def test_names_and_numbers_that_bson_has_no_place_for_are_kept(mongo_url: str) -> None:
    odd = {"a.b": [1], "$set": [2**80, -(2**70)], "": [], "\x00": [0], "ü\U0001f98a": [3]}
    async with open_mongo(mongo_url, [NEWER_TALLIES, SAMPLES], SystemClock()) as store:
        await insert(store, NEWER_TALLIES, Newer(key="$a.b\x00", amount=2**100, limits=odd))
        found = await store.get(NEWER_TALLIES, "$a.b\x00")
        assert found == Newer(key="$a.b\x00", version=1, amount=2**100, limits=odd)


async def test_numbers_over_64_bits_are_compared_as_numbers(mongo_url: str) -> None:
    amounts = {"a": 2**70, "b": 2**63, "c": 5, "d": -(2**70), "e": 2**63 - 1}
    async with opened(mongo_url) as store:
        await put(store, [Sample(key=key, amount=amount) for key, amount in amounts.items()])

        async def ask(tx: Tx) -> list[str]:
            await tx.insert(SAMPLES, Sample(key="f", amount=2**69))
            found = await tx.find(SAMPLES, {"state": "open"}, order="amount", since=-(2**70), until=2**70)
            return [sample.key for sample in found]

        assert await store.atomically(ask) == ["d", "c", "e", "b", "f"]
        with pytest.raises(ValueError, match="34 digits in amount"):
            await put(store, [Sample(key="g", amount=10**40)])


async def test_a_record_that_mongodb_has_no_room_for_is_refused_alone(mongo_url: str) -> None:
    async with opened(mongo_url) as store:
        large = put(store, [Sample(key="large", state="x" * (16 << 20))])
        results = await asyncio.gather(large, put(store, [Sample(key="small")]), return_exceptions=True)
        assert isinstance(results[0], ValueError)
        assert "too large" in str(results[0])
        assert results[1] is None
        assert await store.get(SAMPLES, "small") is not None


async def test_moments_are_the_servers(mongo_url: str) -> None:
    clock = FakeClock()
    async with open_mongo(mongo_url, KINDS, clock) as store:
        before = datetime.now(UTC) - timedelta(milliseconds=1)
        moment = await now(store)
        assert before <= moment <= datetime.now(UTC)
        assert abs(moment - clock.now()) > timedelta(hours=1)


# --- care


async def test_check_names_what_is_wrong(mongo_url: str) -> None:
    async with opened(mongo_url) as store:
        await put(store, [Sample(key="a", name="Ada"), Sample(key="b", name="Bob"), Sample(key="c")])
        await insert(store, TALLIES, *(Tally(key=key) for key in ("gone", "other")))

        def damage(database: Any) -> None:
            database.records_samples.update_one({"_id": "a"}, {"$set": {"u": ["name=Eve"]}})
            database.records_samples.update_one({"_id": "b"}, {"$set": {"q.state": "shut"}})
            database.records_tallies.update_one({"_id": "gone"}, {"$set": {"doc": "{"}})
            database.records_tallies.update_one({"_id": "other"}, {"$set": {"v": 7}})
            database.records_of_a_plugin_that_is_off.insert_one({"_id": "x"})

        await change(mongo_url, damage)
        wrong = await store.check()
    assert len(wrong) == 4
    for words in (
        "samples 'a' is known by other unique values",
        "samples 'b' is filed under other values",
        "tallies 'gone' cannot be read",
        "tallies 'other' cannot be read: it says of itself",
    ):
        assert any(words in line for line in wrong), words


DAMAGES: dict[str, dict[str, Any]] = {
    "json": {"doc": "{"},
    "type": {"doc": '{"key": "bent", "version": 1, "amount": "many"}'},
    "list": {"doc": "[]"},
    "no text": {"doc": b"\x00\xff"},
    "key": {"doc": '{"key": "other", "version": 1, "amount": 1}'},
    "version": {"v": 7},
    "no version": {"v": None},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_an_unreadable_record_is_left_out_and_can_be_set_aside(mongo_url: str, damage: dict[str, Any]) -> None:
    asked = Kind(name="tallies", record=Tally, queries=(Query(),))
    async with open_mongo(mongo_url, [asked], SystemClock()) as store:
        await insert(store, asked, *(Tally(key=key) for key in ("a", "bent", "c")))
        await change(mongo_url, lambda one: one.records_tallies.update_one({"_id": "bent"}, {"$set": damage}))
        with pytest.raises(OperatorMust, match=r"'bent' of tallies.*store check"):
            await store.get(asked, "bent")
        assert [tally.key for tally in await store.find(asked, limit=2)] == ["a", "c"]
        kept: list[Unreadable] = []

        def keep(found: Any) -> Any:
            kept.extend(found)
            return found

        assert [error.key for error in await store.set_aside(keep)] == ["bent"]
        assert [error.key for error in kept] == ["bent"]
        assert await store.check() == []
        await insert(store, asked, Tally(key="bent"))


async def test_a_record_that_somebody_changed_by_hand_is_not_overwritten(mongo_url: str) -> None:
    """A gateway knows it from before, and finds out when it writes."""
    async with opened(mongo_url) as store:
        await add(store)
        document = '{"key": "t", "version": 2, "amount": 40}'
        by_hand = {"$set": {"v": 2, "doc": document}}
        await change(mongo_url, lambda database: database.records_tallies.update_one({"_id": "t"}, by_hand))
        await add(store)
        assert await tally(store) == Tally(key="t", version=3, amount=41)


async def test_a_backup_is_whole_while_the_store_is_in_use(mongod: Mongod, mongo_url: str) -> None:
    target = mongo_url.replace("?", "-copy?")
    try:
        async with opened(mongo_url) as store:
            await put(store, [Sample(key=f"{n:03}", name=f"{n}") for n in range(100)])
            await asyncio.gather(store.backup(target), *(add(store) for _ in range(50)))
            assert (await tally(store)).amount == 50
            with pytest.raises(OperatorMust, match="holds something already"):
                await store.backup(target)
        async with opened(target) as copy:
            assert len(await copy.find(SAMPLES)) == 100
            assert await copy.check() == []
            with pytest.raises(Exists):
                await put(copy, [Sample(key="new", name="7")])
    finally:
        await change(target, lambda database: database.client.drop_database(database.name))


async def test_a_backup_to_a_file_says_what_does_that(mongo_url: str, tmp_path: Path) -> None:
    async with opened(mongo_url) as store:
        with pytest.raises(OperatorMust, match="chatelier store copy"):
            await store.backup(f"{tmp_path}/copy.db")


async def test_a_copy_that_was_cut_off_is_not_taken_for_a_store(mongo_url: str) -> None:
    await change(mongo_url, lambda database: database.records_samples.insert_one({"_id": "a"}))
    assert "not finished" in await refused(OperatorMust, mongo_url)


# --- closing


async def test_a_closed_store_is_unavailable(mongo_url: str) -> None:
    async with opened(mongo_url) as store:
        pass
    for call in (add(store), store.get(TALLIES, "t"), store.find(SAMPLES), store.check(), store.backup(mongo_url)):
        with pytest.raises(Unavailable, match="closed"):
            await call
    await store.close()


async def test_closing_waits_for_the_transaction_under_way(mongo_url: str) -> None:
    async with opened(mongo_url) as store:
        running = asyncio.create_task(put(store, [Sample(key="late")]))
        await asyncio.sleep(0)
    await running
    async with opened(mongo_url) as store:
        assert await store.get(SAMPLES, "late") is not None


@pytest.mark.slow
async def test_opening_and_closing_leaves_nothing_behind(mongo_url: str) -> None:
    """But the driver's own pool of threads, which is one a process; and its monitors, which end within a second."""

    def left() -> tuple[int, int, int]:
        threads = [one for one in threading.enumerate() if not one.name.startswith("ThreadPoolExecutor-")]
        sockets = [one for one in os.listdir("/proc/self/fd") if _is_socket(one)]
        return len(threads), len(sockets), len(asyncio.all_tasks())

    async with opened(mongo_url):
        pass
    before = await settled(left)
    for _ in range(50):
        async with opened(mongo_url) as store:
            changes = store.changes(TALLIES)
            await asyncio.gather(add(store), store.find(SAMPLES), changes.wait(0))
    gc.collect()
    assert await settled(left) <= before
    async with opened(mongo_url) as store:
        assert (await tally(store)).amount == 50


def _is_socket(number: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    except FileNotFoundError:
        return False


async def settled(left: Callable[[], tuple[int, int, int]]) -> tuple[int, int, int]:
    """As soon as it has not changed for a second."""
    last, since = left(), asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() - since < 1:
        await asyncio.sleep(0.1)
        if (found := left()) != last:
            last, since = found, asyncio.get_running_loop().time()
    return last


async def test_a_version_of_a_record_is_replaced_once(mongo_url: str) -> None:
    async with opened(mongo_url) as store:
        await add(store)
        first = await tally(store)

        async def work(tx: Tx) -> Tally:
            return await tx.replace(TALLIES, replace(first, amount=9))

        results = await asyncio.gather(*(store.atomically(work) for _ in range(8)), return_exceptions=True)
        assert len([one for one in results if isinstance(one, Tally)]) == 1
