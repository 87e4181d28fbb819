"""`chatelier store`: what the operator reads."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from chatelier import Blob, OperatorMust, SystemClock, Tx
from chatelier.core.cli.store import backup_store, check_store, set_aside_in
from chatelier.core.media.references import BLOB_REFS, BLOBS, keep, refer
from chatelier.core.testing.store_suite import KINDS, SAMPLES, Sample, add, put
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


def bend(file: Path, *kinds: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for kind in kinds:
            connection.execute(f"UPDATE records_{kind} SET doc = CAST(x'7bff' AS TEXT)")  # noqa: S608 - the test's own words


async def test_set_aside_moves_what_cannot_be_read_to_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_sqlite(f"sqlite://{tmp_path}/a.db", KINDS, SystemClock()) as store:
        await add(store)
        bend(tmp_path / "a.db", "tallies")
        folder = tmp_path / "data"
        await set_aside_in(store, folder)
        said = capsys.readouterr().out
        (file,) = folder.iterdir()
        assert str(file) in said
        assert "tallies 't'" in said
        (line,) = map(json.loads, file.read_text("utf-8").splitlines())
        assert (line["kind"], line["key"]) == ("tallies", "t")
        assert "not JSON" in line["reason"]
        assert line["document"].encode("utf-8", "surrogateescape") == b"{\xff"
        assert file.stat().st_mode & 0o077 == 0
        assert await check_store(store)
        await set_aside_in(store, folder)
        assert list(folder.iterdir()) == [file]


async def test_nothing_is_moved_when_the_file_cannot_be_written(tmp_path: Path) -> None:
    async with open_sqlite(f"sqlite://{tmp_path}/a.db", KINDS, SystemClock()) as store:
        await add(store)
        bend(tmp_path / "a.db", "tallies")
        (tmp_path / "data").write_text("a file where the folder should be", encoding="utf-8")
        with pytest.raises(OperatorMust, match="nothing was moved"):
            await set_aside_in(store, tmp_path / "data")
        assert len(await store.check()) == 1


async def test_records_of_files_stay_so_that_no_file_is_swept(tmp_path: Path) -> None:
    sha256 = "0" * 64
    blob = Blob(sha256=sha256, size=1, mime="image/png", kind="image")
    async with open_sqlite(f"sqlite://{tmp_path}/a.db", [*KINDS, BLOBS, BLOB_REFS], SystemClock()) as store:

        async def work(tx: Tx) -> None:
            await keep(blob, "00/0", "", tx)
            await refer(tx, "job:1", blob)

        await store.atomically(work)
        with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as connection:
            for kind, field in ((BLOBS, "stored_at"), (BLOB_REFS, "created")):
                connection.execute(f"UPDATE records_{kind.name} SET doc = json_set(doc, '$.{field}', 'x')")  # noqa: S608 - as above
        await set_aside_in(store, tmp_path / "data")
        assert not (tmp_path / "data").exists()
        assert len(await store.check()) == 2


def test_the_option_mends_a_store_and_the_exit_code_says_so(tmp_path: Path) -> None:
    def chatelier(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "CHATELIER_DATA_DIR": str(tmp_path)}
        command = [sys.executable, "-m", "chatelier", "store", "check", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours

    assert chatelier().returncode == 0
    with closing(sqlite3.connect(tmp_path / "chatelier.db", isolation_level=None)) as connection:
        document = json.dumps({"key": "web:1", "version": 1, "roles": 7})
        connection.execute("INSERT INTO records_people (key, version, doc) VALUES ('web:1', 1, ?)", (document,))
    found = chatelier()
    assert found.returncode == 1
    assert "people 'web:1' cannot be read" in found.stdout
    assert "--set-aside" in found.stdout
    mended = chatelier("--set-aside")
    assert mended.returncode == 0
    assert mended.stdout.endswith("All is well.\n")
    (file,) = tmp_path.glob("set-aside-*.jsonl")
    assert json.loads(file.read_text("utf-8"))["document"] == json.loads(document)
