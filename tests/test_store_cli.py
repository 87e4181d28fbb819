"""`chatelier store`: what the operator reads."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chatelier import SystemClock
from chatelier.core.cli.store import backup_store, check_store
from chatelier.core.testing.store_suite import KINDS, SAMPLES, Sample, put
from chatelier.plugins.sqlite import open_sqlite


async def test_check_says_that_all_is_well_or_what_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_sqlite(f"sqlite://{tmp_path}/a.db", KINDS, SystemClock()) as store:
        await put(store, [Sample(key="a", name="Ada")])
        assert await check_store(store)
        assert capsys.readouterr().out == "All is well.\n"
        with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as connection:
            connection.execute("DELETE FROM uniques")
        assert not await check_store(store)
        said = capsys.readouterr().out
        assert "'Ada'" in said
        assert "backup" in said


async def test_backup_says_where_the_copy_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_sqlite(f"sqlite://{tmp_path}/a.db", KINDS, SystemClock()) as store:
        await put(store, [Sample(key="a")])
        await backup_store(store, f"{tmp_path}/b.db")
    assert str(tmp_path / "b.db") in capsys.readouterr().out
    async with open_sqlite(f"sqlite://{tmp_path}/b.db", KINDS, SystemClock()) as copy:
        assert await copy.get(SAMPLES, "a") is not None
