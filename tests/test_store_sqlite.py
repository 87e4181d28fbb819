"""SQLite as a file on a disk: its layout, its errors, its threads, and several processes at once."""

import asyncio
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

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
from chatelier.core.testing.store_suite import KINDS, SAMPLES, TALLIES, Sample, Tally, add, claim, put
from chatelier.plugins.sqlite import Plugin, open_sqlite
from chatelier.plugins.sqlite.connection import path_of
from chatelier.plugins.sqlite.layout import Table, migrations
from chatelier.plugins.sqlite.store import SqliteStore
from chatelier.plugins.sqlite.transaction import SqliteTx
from chatelier.plugins.sqlite.wal import CHECKPOINT_BYTES, CHECKPOINT_COMMITS

R = TypeVar("R", bound=Record)

CHILD = """
import asyncio, sys
from chatelier import SystemClock
from chatelier.core.testing.store_suite import KINDS, add, claim
from chatelier.plugins.sqlite import open_sqlite

async def main(url, what, count):
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        for _ in range(int(count)):
            if what == "add":
                await add(store)
                print("added", flush=True)
            elif (sample := await claim(store, what, 3600)) is not None:
                print(sample.key, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/store.db"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def child(url: str, what: str, count: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, url, what, str(count), stdout=asyncio.subprocess.PIPE
    )


async def lines(process: asyncio.subprocess.Process) -> list[str]:
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().split()


async def count(store: Store) -> int:
    tally = await store.get(TALLIES, "t")
    return tally.amount if tally else 0


async def insert(store: Store, kind: Kind[R], *records: R) -> None:
    async def work(tx: Tx) -> None:
        for record in records:
            await tx.insert(kind, record)

    await store.atomically(work)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


def scribble(file: Path, text: str) -> None:
    file.write_text(text)


def test_plugin_offers_the_scheme() -> None:
    offered: dict[str, StoreOpener] = {}
    Plugin().register_stores(offered.__setitem__)
    assert offered == {"sqlite": open_sqlite}


def test_urls_name_a_file() -> None:
    assert path_of("sqlite:///var/lib/a%20b.db") == Path("/var/lib/a b.db")
    assert path_of("sqlite:/var/lib/x.db") == Path("/var/lib/x.db")
    assert path_of("sqlite:var/x.db") == Path.cwd() / "var/x.db"
    assert path_of("sqlite:~/x.db") == Path.home() / "x.db"


@pytest.mark.parametrize(
    "url", ["sqlite:", "sqlite://", "sqlite://host/x.db", "sqlite:folder/", "sqlite::memory:", "sqlite:///:memory:"]
)
async def test_a_url_without_a_file_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(OperatorMust, match=r"sqlite:///absolute/path\.db"):
        async with open_sqlite(url, KINDS, SystemClock()):
            pass


# Questions use their index


async def test_every_declared_question_is_answered_from_its_index(url: str, file: Path) -> None:
    asked = 0
    async with open_sqlite(url, KINDS, SystemClock()):
        connection = sqlite3.connect(file)
        for query in SAMPLES.queries:
            for value in ("x", None, True):
                for bounds in ({}, {"since": 1, "until": 2}) if query.order else ({},):
                    for descending in (False, True):
                        question = Question.of(
                            SAMPLES,
                            dict.fromkeys(query.equal, value),
                            order=query.order,
                            descending=descending,
                            **bounds,
                        )
                        statement, parameters = Table(SAMPLES).find(question)
                        plan = " ".join(
                            row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                        )
                        assert "USING INDEX" in plan
                        assert "TEMP B-TREE" not in plan
                        if query.equal:
                            assert plan.startswith("SEARCH")
                        asked += 1
        connection.close()
    assert asked >= 40


# The file


async def test_the_file_is_set_up_for_safety(url: str, file: Path) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        await put(store, [Sample(key="a", due=datetime(2026, 1, 1, tzinfo=UTC))])
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA user_version").fetchone() == (len(await asyncio.to_thread(migrations)),)
            assert connection.execute("SELECT doc ->> 'due' FROM records_samples").fetchone() == (
                "2026-01-01T00:00:00.000Z",
            )
    assert names(file.parent) == {"store.db"}


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))
    assert len(migrations()) >= 1


async def test_data_outlives_the_store(url: str) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        await add(store, 3)
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        assert await count(store) == 3


async def test_a_newer_database_is_refused_with_words(url: str, file: Path) -> None:
    async with open_sqlite(url, KINDS, SystemClock()):
        pass
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version=999")
    with pytest.raises(StoreTooNew, match=r"newer Chatelier .*999.*Upgrade"):
        async with open_sqlite(url, KINDS, SystemClock()):
            pass


async def test_the_database_of_another_program_is_left_alone(url: str, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    before = digest(file)
    with pytest.raises(OperatorMust, match="another program"):
        async with open_sqlite(url, KINDS, SystemClock()):
            pass
    assert digest(file) == before


async def test_a_file_that_is_no_database_is_refused(url: str, file: Path) -> None:
    scribble(file, "a shopping list, much longer than the header of a database would be\n" * 40)
    with pytest.raises(OperatorMust, match="damaged"):
        async with open_sqlite(url, KINDS, SystemClock()):
            pass


async def test_a_folder_that_cannot_be_made_is_said(file: Path) -> None:
    scribble(file, "")
    with pytest.raises(OperatorMust, match="cannot be opened"):
        async with open_sqlite(f"sqlite://{file}/store.db", KINDS, SystemClock()):
            pass


async def test_a_full_disk_is_said_and_nothing_is_half_written(url: str) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        await add(store)
        await limit_pages(store, 40)
        with pytest.raises(OperatorMust, match="full"):
            await put(store, [Sample(key=f"{n}", name=f"{n}" * 4000) for n in range(100)])
        assert await store.find(SAMPLES) == []
        await limit_pages(store, 1_000_000)
        await add(store)
        assert await count(store) == 2
        assert await store.check() == []


async def limit_pages(store: Store, pages: int) -> None:
    """SQLite's own stand-in for a disk that is full."""

    async def work(tx: Tx) -> None:
        assert isinstance(tx, SqliteTx)
        tx._connection.execute(f"PRAGMA max_page_count={pages}")

    await store.atomically(work)


async def test_a_database_that_stays_busy_is_unavailable(url: str, file: Path) -> None:
    async with open_sqlite(url, KINDS, SystemClock(), patience=0.1) as store:
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable, match="in use"):
                await add(store)
            assert await store.find(SAMPLES) == []
            other.execute("ROLLBACK")
        await add(store)
        assert await count(store) == 1


async def test_a_field_that_becomes_unique_is_filled_in(url: str) -> None:
    plain = Kind(name="samples", record=Sample, queries=SAMPLES.queries)
    async with open_sqlite(url, [plain], SystemClock()) as store:
        await insert(store, plain, Sample(key="a", name="Ada", tags=("x",)))
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        found = await store.get(SAMPLES, "x", by="tags")
        assert found is not None
        assert found.key == "a"
        with pytest.raises(Exists):
            await put(store, [Sample(key="b", name="Ada")])
        assert await store.check() == []


async def test_a_field_cannot_become_unique_while_two_share_it(url: str) -> None:
    plain = Kind(name="samples", record=Sample, queries=SAMPLES.queries)
    async with open_sqlite(url, [plain], SystemClock()) as store:
        await insert(store, plain, *(Sample(key=key, name="Ada") for key in "ab"))
    with pytest.raises(OperatorMust, match="share the name 'Ada'"):
        async with open_sqlite(url, KINDS, SystemClock()):
            pass


async def test_two_kinds_of_one_name_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="one name"):
        async with open_sqlite(url, [TALLIES, TALLIES], SystemClock()):
            pass


# Care


async def test_check_names_what_is_wrong(url: str, file: Path) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        await put(store, [Sample(key="a", name="Ada"), Sample(key="b", name="Bob")])
        await insert(store, TALLIES, *(Tally(key=key) for key in ("gone", "bent", "other")))
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("INSERT INTO uniques VALUES ('samples', 'name', 'Eve', 'nobody')")
            connection.execute("DELETE FROM uniques WHERE value = 'Bob'")
            connection.execute("UPDATE records_tallies SET doc = '{' WHERE key = 'gone'")
            connection.execute("UPDATE records_tallies SET doc = json_set(doc, '$.amount', 'many') WHERE key = 'bent'")
            connection.execute("UPDATE records_tallies SET version = 7 WHERE key = 'other'")
            connection.execute("CREATE TABLE records_of_a_plugin_that_is_off (key TEXT)")
        wrong = await store.check()
    assert len(wrong) == 5
    for words in ("'Eve' for samples 'nobody'", "samples 'b' has the name 'Bob'", "tallies 'gone' cannot be read"):
        assert any(words in line for line in wrong), words
    assert any("tallies 'bent' cannot be read" in line for line in wrong)
    assert any("tallies 'other' cannot be read: it says of itself" in line for line in wrong)


DAMAGES = {
    "json": "'{'",
    "type": "json_set(doc, '$.amount', 'many')",
    "list": "'[]'",
    "bytes": "CAST(x'7bff7d' AS TEXT)",
    "blob": "x'00ff'",
    "key": "json_set(doc, '$.key', 'other')",
    "version": "json_set(doc, '$.version', 7)",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_an_unreadable_record_is_said_to_the_operator_and_left_out(url: str, file: Path, damage: str) -> None:
    asked = Kind(name="tallies", record=Tally, queries=(Query(),))
    async with open_sqlite(url, [asked], SystemClock()) as store:
        await insert(store, asked, *(Tally(key=key) for key in ("a", "bent", "c")))
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute(f"UPDATE records_tallies SET doc = {damage} WHERE key = 'bent'")  # noqa: S608 - the test's own words
        with pytest.raises(OperatorMust, match=r"'bent' of tallies.*store check"):
            await store.get(asked, "bent")
        assert [tally.key for tally in await store.find(asked, limit=2)] == ["a", "c"]
        (fault,) = await store.check()
        assert fault.startswith("tallies 'bent' cannot be read: ")
        (moved,) = await store.set_aside(lambda found: found)
        assert moved.fault == fault
        assert await store.check() == []
        await insert(store, asked, Tally(key="bent"))


def lose_bytes(file: Path, there: bytes, instead: bytes) -> None:
    """A disk that forgets: the row changes, and its entries in the indexes do not."""
    content = file.read_bytes()
    assert content.count(there) == 1
    assert len(there) == len(instead)
    file.write_bytes(content.replace(there, instead))


@pytest.mark.parametrize(("there", "instead"), [(b'"amount":4321', b'"amount"=4321'), (b"4321", b"\xff\xfe21")])
async def test_a_row_that_the_disk_lost_stops_no_claim(url: str, file: Path, there: bytes, instead: bytes) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        await put(store, [Sample(key=key, name=key, due=past, amount=n) for n, key in enumerate("xyz", 4320)])
    lose_bytes(file, there, instead)
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        assert [taken and taken.key for taken in [await claim(store, "me", 3600) for _ in range(3)]] == ["x", "z", None]
        assert [sample.key for sample in await store.find(SAMPLES, {"state": "open"}, order="amount")] == ["x", "z"]
        with pytest.raises(OperatorMust, match="'y' of samples"):
            await store.get(SAMPLES, "y", by="name")
        (fault,) = await store.check()
        assert fault.startswith("samples 'y' cannot be read: not JSON")
        (moved,) = await store.set_aside(lambda found: found)
        assert instead in moved.document
        assert await store.check() == []
        await put(store, [Sample(key="y", name="y", due=past)])
        again = await claim(store, "me", 3600)
        assert again is not None
        assert again.key == "y"
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        assert len(await store.find(SAMPLES, {"state": "open"}, order="amount")) == 3


async def test_a_lost_row_can_be_deleted_and_stops_no_new_question(url: str, file: Path) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        await put(store, [Sample(key="x", amount=1), Sample(key="y", amount=4321)])
    lose_bytes(file, b'"amount":4321', b'"amount"=4321')
    wider = Kind(name="samples", record=Sample, queries=(*SAMPLES.queries, Query(("amount",), "version")))
    async with open_sqlite(url, [wider], SystemClock()) as store:
        (found,) = await store.find(wider, {"amount": 1}, order="version")
        assert found.key == "x"
        assert await store.atomically(lambda tx: tx.delete(wider, "y"))
        assert await store.check() == []


async def test_a_file_from_before_the_columns_is_brought_up_to_date(url: str, file: Path) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        await put(
            store,
            [
                Sample(key=key, name=key, amount=n, due=datetime(2020, 1, n + 1, tzinfo=UTC))
                for n, key in enumerate("abc")
            ],
        )
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        old = Table(SAMPLES)
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'records_samples' AND sql IS NOT NULL"
        ).fetchall():
            connection.execute(f'DROP INDEX "{name}"')
        for path in old.paths:
            connection.execute(f'ALTER TABLE records_samples DROP COLUMN "={path}"')
        connection.execute(
            """CREATE INDEX "samples:state,amount" ON records_samples (json_extract(doc, '$.state'), json_extract(doc, '$.amount'), key)"""
        )
        connection.execute("PRAGMA user_version=1")
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        assert [sample.key for sample in await store.find(SAMPLES, {"state": "open"}, order="amount")] == [
            "a",
            "b",
            "c",
        ]
        first = await claim(store, "me", 3600)
        assert first is not None
        assert first.key == "a"
        assert await store.check() == []


async def test_check_names_what_questions_miss(url: str, file: Path) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        await put(store, [Sample(key="a"), Sample(key="b", amount=2)])
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("UPDATE records_samples SET doc = json_set(doc, '$.amount', 3) WHERE key = 'b'")
        (wrong,) = await store.check()
        assert wrong.startswith("samples 'b' is filed under other values")


async def test_nothing_is_deleted_when_it_could_not_be_kept(url: str, file: Path) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        await put(store, [Sample(key="y", name="Yua")])
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("UPDATE records_samples SET doc = json_set(doc, '$.amount', 'many')")

        def keep(_: Sequence[Unreadable]) -> Sequence[Unreadable]:
            raise OSError("no room")

        with pytest.raises(OSError, match="no room"):
            await store.set_aside(keep)
        with pytest.raises(OperatorMust):
            await store.get(SAMPLES, "Yua", by="name")
        assert len(await store.check()) == 1


async def test_setting_aside_wakes_those_who_wait(url: str, file: Path) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        await add(store)
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("UPDATE records_tallies SET doc = '{'")
        changes = store.changes(TALLIES)
        while await changes.wait(0.3):
            pass
        await store.set_aside(lambda found: found)
        assert await changes.wait(10)


async def test_a_field_that_becomes_unique_is_filled_in_past_what_is_bent(url: str, file: Path) -> None:
    plain = Kind(name="samples", record=Sample)
    async with open_sqlite(url, [plain], SystemClock()) as store:
        await insert(store, plain, Sample(key="a", name="Ada"), Sample(key="b", name="Bob"))
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("UPDATE records_samples SET doc = '[' WHERE key = 'a'")
    strict = Kind(name="samples", record=Sample, unique=("name",))
    async with open_sqlite(url, [strict], SystemClock()) as store:
        assert await store.get(strict, "Ada", by="name") is None
        found = await store.get(strict, "Bob", by="name")
        assert found is not None
        assert found.key == "b"


async def test_a_backup_is_whole_while_the_store_is_in_use(url: str, tmp_path: Path) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        await put(store, [Sample(key=f"{n:03}", name=f"{n}") for n in range(100)])
        target = f"sqlite://{tmp_path}/copy.db"
        await asyncio.gather(store.backup(target), *(add(store) for _ in range(50)))
        assert await count(store) == 50
        with pytest.raises(OperatorMust, match="there already"):
            await store.backup(f"{tmp_path}/copy.db")
    async with open_sqlite(target, KINDS, SystemClock()) as copy:
        assert len(await copy.find(SAMPLES)) == 100
        assert await copy.check() == []
    assert names(tmp_path) == {"store.db", "copy.db"}


# Threads


async def test_work_that_awaits_something_else_is_told_so(url: str) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:

        async def work(tx: Tx) -> None:
            await tx.insert(SAMPLES, Sample(key="a"))
            await asyncio.sleep(0)

        with pytest.raises(RuntimeError, match="not `tx`"):
            await store.atomically(work)
        assert await store.get(SAMPLES, "a") is None


async def test_work_sees_the_callers_context(url: str) -> None:
    event: ContextVar[str] = ContextVar("event")
    event.set("e1")
    async with open_sqlite(url, KINDS, SystemClock()) as store:

        async def work(_: Tx) -> str:
            return event.get()

        assert await store.atomically(work) == "e1"


async def test_cancelling_the_caller_lets_the_transaction_finish(url: str) -> None:
    """The one under way commits, and is hinted at; the one behind it does not start."""
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        changes = store.changes(SAMPLES)

        async def cut_off(tx: Tx) -> None:
            await tx.insert(SAMPLES, Sample(key="under way"))
            running.cancel()
            queued.cancel()

        running = asyncio.create_task(store.atomically(cut_off))
        queued = asyncio.create_task(put(store, [Sample(key="queued")]))
        await asyncio.gather(running, queued, return_exceptions=True)
        assert running.cancelled()
        assert await changes.wait(10)
        assert [sample.key for sample in await store.find(SAMPLES)] == ["under way"]


async def test_works_that_wait_together_fail_and_succeed_apart(url: str) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:

        async def fails(tx: Tx) -> None:
            await tx.insert(SAMPLES, Sample(key="never"))
            raise RuntimeError("no")

        async def sees(tx: Tx) -> list[str]:
            return [sample.key for sample in await tx.find(SAMPLES)]

        async def breaks_all(tx: Tx) -> None:
            assert isinstance(tx, SqliteTx)
            await tx.insert(SAMPLES, Sample(key="broken"))
            tx._connection.execute("ROLLBACK")
            raise sqlite3.OperationalError("the disk is gone")

        async def insert_one(tx: Tx, key: str) -> Sample:
            return await tx.insert(SAMPLES, Sample(key=key))

        first, failed, between, broken, last = await asyncio.gather(
            store.atomically(lambda tx: insert_one(tx, "a")),
            store.atomically(fails),
            store.atomically(sees),
            store.atomically(breaks_all),
            store.atomically(lambda tx: insert_one(tx, "b")),
            return_exceptions=True,
        )
        assert isinstance(failed, RuntimeError)
        assert between == ["a"]
        assert isinstance(broken, sqlite3.OperationalError)
        assert [first, last] == await store.find(SAMPLES)


async def test_while_another_process_writes_the_loop_goes_on(url: str, file: Path) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            adding = asyncio.create_task(add(store))
            assert await store.find(SAMPLES) == []
            assert not adding.done()
            other.execute("ROLLBACK")
        await adding
        assert await count(store) == 1


async def test_closing_waits_for_the_transaction_under_way(url: str) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        running = asyncio.create_task(put(store, [Sample(key="late")]))
        await asyncio.sleep(0)
    await running
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        assert await store.get(SAMPLES, "late") is not None


async def test_a_closed_store_is_unavailable(url: str) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        pass
    with pytest.raises(Unavailable, match="closed"):
        await add(store)
    with pytest.raises(Unavailable, match="closed"):
        await store.get(SAMPLES, "a")
    assert isinstance(store, SqliteStore)
    await store.close()


async def test_opening_and_closing_leaves_nothing_behind(url: str, file: Path) -> None:
    def left() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    before = left()
    for _ in range(50):
        async with open_sqlite(url, KINDS, SystemClock()) as store:
            await asyncio.gather(add(store), store.find(SAMPLES), store.find(SAMPLES))
    assert left() == before
    assert names(file.parent) == {"store.db"}


# Changes


async def test_changes_of_other_kinds_wake_nobody(url: str) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        changes = store.changes(SAMPLES)
        await add(store)
        assert not await changes.wait(0.3)


async def test_a_replaced_record_wakes_nobody_who_waits_for_new_ones(url: str) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        await put(store, [Sample(key="a")])
        new, any_ = store.changes(SAMPLES, inserted=True), store.changes(SAMPLES)
        found = await store.get(SAMPLES, "a")
        assert found is not None
        await store.atomically(lambda tx: tx.replace(SAMPLES, replace(found, name="other")))
        assert await any_.wait(60)
        assert not await new.wait(0.3)


async def test_what_another_process_wrote_is_read_though_the_record_was_known(url: str) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        await add(store)
        assert await count(store) == 1
        await lines(await child(url, "add", 3))
        assert await count(store) == 4
        await add(store)
        assert await count(store) == 5


async def test_changes_of_another_process_are_seen(url: str) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        changes = store.changes(TALLIES)
        waiting = asyncio.create_task(changes.wait(60))
        await lines(await child(url, "add", 1))
        assert await asyncio.wait_for(waiting, 5)


# The log


async def test_the_log_is_folded_into_the_database_while_the_gateway_runs(url: str, file: Path) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        for n in range(6):
            await put(store, [Sample(key=f"{n}.{m}", extra={"long": "x" * 100_000}) for m in range(20)])
        for n in range(2 * CHECKPOINT_COMMITS):
            await put(store, [Sample(key=f"small {n}")])
        assert log_bytes(file) < 4 * CHECKPOINT_BYTES, "nearly twice as much was written"
    assert not file.with_name("store.db-wal").exists()


async def test_a_commit_that_the_disk_may_not_have_is_told_as_one(url: str) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        await add(store)
        assert isinstance(store, SqliteStore)
        store._wal.close()  # nothing can be synced any more
        with pytest.raises(OperatorMust, match="gives errors"):
            await add(store)


async def test_what_is_written_soon_does_not_wait_for_the_disk_and_what_saw_it_does(url: str) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        new = store.changes(SAMPLES, inserted=True)
        assert isinstance(store, SqliteStore)
        store._wal.close()  # nothing can be synced any more
        await store.atomically(lambda tx: tx.insert(SAMPLES, Sample(key="a")), soon=True)
        assert await store.get(SAMPLES, "a") is not None
        with pytest.raises(OperatorMust, match="gives errors"):
            await store.atomically(lambda tx: tx.get(SAMPLES, "a"))
        assert await new.wait(60)
        assert new.fresh() == ([], False), "nobody knows whether it lasts"


async def test_what_is_written_soon_is_brought_to_the_disk_though_nothing_follows(url: str) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        new = store.changes(SAMPLES, inserted=True)
        written = await store.atomically(lambda tx: tx.insert(SAMPLES, Sample(key="a")), soon=True)
        assert await new.wait(60)
        assert new.fresh() == ([written], True)


def log_bytes(file: Path) -> int:
    return file.with_name("store.db-wal").stat().st_size


# Several processes


async def test_processes_that_open_a_new_file_at_once_all_succeed(url: str) -> None:
    children = await asyncio.gather(*(child(url, "add", 200) for _ in range(4)))
    added = await asyncio.gather(*map(lines, children))
    assert [len(one) for one in added] == [200] * 4
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        assert await count(store) == 800
        assert await store.check() == []


async def test_processes_never_claim_one_record_twice(url: str) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        await put(store, [Sample(key=f"{n:03}", due=past) for n in range(200)])
        children = await asyncio.gather(*(child(url, name, 150) for name in ("one", "two")))
        claimed = [key for keys in await asyncio.gather(*map(lines, children)) for key in keys]
    assert len(claimed) == 200
    assert len(set(claimed)) == 200


async def test_a_killed_writer_loses_nothing_it_was_told_of(url: str) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        for round_ in range(1, 4):
            writer = await child(url, "add", 100_000)
            assert writer.stdout is not None
            before = await count(store)
            acknowledged = [await writer.stdout.readline() for _ in range(50 * round_)]
            writer.send_signal(signal.SIGKILL)
            acknowledged += (await writer.communicate())[0].splitlines()
            # One more may have been committed, and killed before it could say so.
            assert len(acknowledged) <= await count(store) - before <= len(acknowledged) + 1
        assert await store.check() == []


async def test_what_this_process_inserted_is_handed_over_though_another_one_wrote_too(url: str) -> None:
    async with open_sqlite(url, KINDS, SystemClock()) as store:
        changes = store.changes(SAMPLES, inserted=True)
        await put(store, [Sample(key="mine")])
        await lines(await child(url, "add", 1))
        assert await changes.wait(60)
        fresh, is_all = changes.fresh()
        assert [record.key for record in fresh] == ["mine"]
        assert not is_all
        await put(store, [Sample(key="more")])
        assert await changes.wait(60)
        assert [record.key for record in changes.fresh()[0]] == ["more"]


async def test_a_value_that_sqlite_cannot_hold_leaves_no_unique_key_behind(tmp_path: Path) -> None:
    async with open_sqlite(f"sqlite://{tmp_path}/x.db", KINDS, SystemClock()) as store:

        async def work(tx: Tx) -> None:
            with pytest.raises(OverflowError):
                await tx.insert(SAMPLES, Sample(key="a", name="taken", amount=2**70))
            await tx.insert(SAMPLES, Sample(key="b", name="taken"))

        await store.atomically(work)
        assert await store.check() == []
