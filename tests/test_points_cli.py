"""`chatelier points`: what the operator reads and does."""

import asyncio
import csv
import io
import sqlite3
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from chatelier import Store, SystemClock, Tx
from chatelier.core.cli.commands import program
from chatelier.core.people.people import person_by, person_of
from chatelier.core.points.ledger import BALANCES, free_in, pool_of, purchased_of
from chatelier.core.points.moves import buy, donate, redeem
from chatelier.core.registered import KINDS
from chatelier.plugins.sqlite import open_sqlite


class Desk:
    """A data folder, and the command line on it."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "config.yaml"
        self.config.write_text(yaml.safe_dump({"data_dir": str(folder)}), "utf-8")
        self.url = f"sqlite://{folder}/chatelier.db"

    async def run(self, *arguments: str, fails: int = 0) -> str:
        told = ["points", *arguments, "--config", str(self.config)]
        done = await asyncio.to_thread(CliRunner().invoke, program, told)
        assert done.exit_code == fails, done.output
        return done.output if fails else done.stdout

    def store(self) -> AbstractAsyncContextManager[Store]:
        return open_sqlite(self.url, KINDS, SystemClock())


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    """Ada has bought 100 points and given 30 to her group."""
    here = Desk(tmp_path)

    async def work(tx: Tx) -> None:
        ada = await person_of(tx, "telegram:42", "Ada")
        await buy(tx, ada.key, 100_000, provider="test", charge="1")
        await donate(tx, ada.key, "telegram/-100", 30_000, key="e")

    async with here.store() as store:
        await store.atomically(work)
    return here


async def ada(store: Store) -> str:
    person = await person_by(store, "telegram:42")
    assert person is not None
    return person.key


async def test_show_tells_of_a_person_a_group_and_all(desk: Desk) -> None:
    said = await desk.run("show", "telegram:42")
    assert "allowance 370 of 370" in said
    assert "purchased 70" in said
    assert "pool 30, mode ghost" in await desk.run("show", "group:telegram/-100")
    assert "purchased: 1 accounts, free 70, held 0" in await desk.run("show")
    assert "nobody who was ever here" in await desk.run("show", "telegram:43", fails=1)


async def test_grant_and_revoke_are_entries_with_a_reason(desk: Desk) -> None:
    assert "there are 75.5 now" in await desk.run("grant", "telegram:42", "5.5", "--reason", "sorry")
    assert "there are 15.5 now" in await desk.run("revoke", "telegram:42", "60", "--reason", "too many")
    assert "not 60" in await desk.run("revoke", "telegram:42", "60", "--reason", "again", fails=1)
    assert "no amount" in await desk.run("grant", "telegram:42", "0", "--reason", "x", fails=1)
    said = (await desk.run("history", "telegram:42")).splitlines()
    assert [line.split()[2] for line in said] == ["revocation", "grant", "donation", "purchase"]
    assert "too many" in said[0]


async def test_a_voucher_is_a_code_that_people_redeem(desk: Desk) -> None:
    code = (await desk.run("voucher", "25", "--uses", "2")).strip()
    async with desk.store() as store:
        person = await ada(store)
        assert await store.atomically(lambda tx: redeem(tx, person, code)) == 25_000
        assert await free_in(store, purchased_of(person)) == 95_000


async def test_export_has_a_line_for_each_posting_and_the_sums_are_zero(desk: Desk) -> None:
    await desk.run("grant", "telegram:42", "1", "--reason", "=cmd()")
    rows = list(csv.DictReader(io.StringIO(await desk.run("export"))))
    assert len(rows) == 6
    assert sum(float(row["points"]) for row in rows) == 0
    assert {row["reason"] for row in rows if row["kind"] == "grant"} == {"'=cmd()"}


async def test_audit_names_what_is_off_and_repair_mends_balances_only(desk: Desk) -> None:
    assert "agrees with itself" in await desk.run("audit")
    async with desk.store() as store:

        async def spoil(tx: Tx) -> None:
            pool = await tx.get(BALANCES, pool_of("telegram/-100"))
            assert pool is not None
            await tx.replace(BALANCES, replace(pool, free=10**9))

        await store.atomically(spoil)
    assert "group:telegram/-100.pool" in await desk.run("audit", fails=1)
    assert "made anew: group:telegram/-100.pool" in await desk.run("audit", "--repair")
    assert "agrees with itself" in await desk.run("audit")
    async with desk.store() as store:
        assert await free_in(store, pool_of("telegram/-100")) == 30_000


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE records_ledger SET key = key || 'x' WHERE rowid = 1",
        "UPDATE records_ledger SET doc = json_set(doc, '$.key', 'another') WHERE rowid = 1",
        "UPDATE records_ledger SET doc = json_set(doc, '$.postings[1].amount', 99000) WHERE rowid = 1",
        "UPDATE records_ledger SET doc = json_set(doc, '$.postings[1].account', 'person:eve.purchased') WHERE rowid = 1",
        "DELETE FROM records_ledger WHERE rowid = 2",
        "UPDATE records_balances SET key = 'person:eve.purchased' WHERE key LIKE 'person:%'",
        "UPDATE records_balances SET doc = json_set(doc, '$.free', 1) WHERE key LIKE 'group:%'",
        "DELETE FROM records_balances WHERE key LIKE 'group:%'",
        """INSERT INTO records_holds (key, version, doc) VALUES ('o', 1, json_object('key', 'o', 'version', 1, 'created',
        '2026-01-05T12:00:00.000Z', 'parts', json_array(json_object('account', 'group:telegram/-100.pool', 'left', 5))))""",
    ],
)
async def test_audit_names_what_somebody_changed_in_the_file(desk: Desk, change: str) -> None:
    with closing(sqlite3.connect(desk.url.removeprefix("sqlite://"), isolation_level=None)) as connection:
        assert connection.execute(change).rowcount == 1
    assert "faults" in await desk.run("audit", fails=1)
