"""`chatelier store check|backup|copy`."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkstemp
from typing import Any

import click

from ..clock import SystemClock
from ..errors import OperatorMust
from ..leases import ACCOUNTS
from ..log import hide, redact
from ..media.references import BLOB_REFS, BLOBS
from ..points.audit import audit
from ..registered import KINDS, open_store_at, open_store_of
from ..settings import Settings
from ..storage import Kind, Store, Tx, Unreadable, copying, words
from .context import begin, open_store, run_command
from .options import EXIT_FAILED

CONFIGURED = "-"
"""In the place of a URL: the store of the configuration."""
FILE_KINDS = frozenset({BLOBS.name, BLOB_REFS.name})
"""What these records speak of would be deleted after an hour if they went, so they stay."""


def check(config: Path | None, *, set_aside: bool) -> None:
    if not run_command(_check(config, set_aside)):
        raise click.exceptions.Exit(EXIT_FAILED)


def backup(config: Path | None, target: str) -> None:
    run_command(_backup(config, target))


def copy(config: Path | None, source: str, target: str) -> None:
    if not run_command(_copy(config, source, target)):
        raise click.exceptions.Exit(EXIT_FAILED)


async def check_store(store: Store) -> bool:
    """Print what is wrong, a line each. True when nothing is."""
    problems = await store.check()
    for problem in problems:
        click.echo(problem)
    click.echo(
        f"{len(problems)} problems. `chatelier store check --set-aside` moves records that cannot be read out of the way; "
        "put the last backup in its place if you cannot mend the rest."
        if problems
        else "All is well."
    )
    return not problems


async def set_aside_in(store: Store, folder: Path) -> None:
    """Move what cannot be read to a new file in the folder, and name it. Raises OperatorMust."""
    files: list[Path] = []

    def keep(found: Sequence[Unreadable]) -> Sequence[Unreadable]:
        kept = [error for error in found if error.kind not in FILE_KINDS]
        if kept:
            files.append(written(folder, kept))
        return kept

    moved = await store.set_aside(keep)
    for error in moved:
        click.echo(f"moved {error.kind} {error.key!r}: {error.reason}")
    if moved:
        click.echo(f"{len(moved)} records that could not be read are in {files[-1]} now.")


def written(folder: Path, records: Sequence[Unreadable]) -> Path:
    """A new file with a line of JSON for each, durable when this returns, for its owner's eyes. Raises OperatorMust."""
    lines = "".join(json.dumps(_line(record), default=str) + "\n" for record in records)
    stamp = SystemClock().now().strftime("%Y%m%dT%H%M%SZ")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number, name = mkstemp(prefix=f"set-aside-{stamp}-", suffix=".jsonl", dir=folder)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
            _sync(folder)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OperatorMust(f"{folder} cannot be written to ({error.strerror}), so nothing was moved.") from error
    return Path(name)


def _line(record: Unreadable) -> dict[str, Any]:
    document = record.document
    if isinstance(document, bytes):
        document = document.decode("utf-8", "surrogateescape")  # \udcff in the line is the byte ff
    return {"kind": record.kind, "key": record.key, "reason": record.reason, "document": document}


def _sync(folder: Path) -> None:
    """The file's name is durable too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


async def backup_store(store: Store, target: str) -> None:
    await store.backup(target)
    click.echo(f"Copied to {redact(target)}.")


async def _check(config: Path | None, set_aside: bool) -> bool:
    settings, plugins = begin(config)
    async with open_store_of(settings, plugins, SystemClock()) as store:
        if set_aside:
            await set_aside_in(store, settings.data_dir)
        return await check_store(store)


async def copy_store(source: Store, target: Store, kinds: Sequence[Kind[Any]], name: str) -> None:
    """Copy one into the other and compare them, and say how far it is. Raises OperatorMust."""
    await _refuse_running(source)
    count = await copying.copy(source, target, kinds, name, click.echo)
    click.echo(f"{count} records are the same in both. Write the target into `store:` of the configuration now.")


async def _refuse_running(source: Store) -> None:
    async def work(tx: Tx) -> None:
        for lease in await tx.find(ACCOUNTS, limit=1_000):
            if lease.owner and lease.due is not None and lease.due > tx.now:
                raise OperatorMust(words.RUNNING.format(owner=lease.owner))

    await source.atomically(work)


async def _copy(config: Path | None, source: str, target: str) -> bool:
    settings, plugins = begin(config)
    urls = [settings.store if url == CONFIGURED else beside_data(settings, url) for url in (source, target)]
    async with (
        open_store_at(urls[0], plugins, SystemClock()) as first,
        open_store_at(urls[1], plugins, SystemClock()) as second,
    ):
        await copy_store(first, second, plugins.kinds(KINDS), redact(urls[0]))
        return await audit_copy(second)


async def audit_copy(store: Store) -> bool:
    """Print what is off in the ledger, a line each. True when nothing is."""
    faults = await audit(store)
    for fault in faults:
        click.echo(fault)
    click.echo(words.LEDGER_OFF.format(count=len(faults)) if faults else words.LEDGER_FINE)
    return not faults


def beside_data(settings: Settings, url: str) -> str:
    """As the configuration would have it, its password hidden from now on."""
    read = Settings(data_dir=settings.data_dir, store=url)
    hide(read.secrets())
    return read.store


async def _backup(config: Path | None, target: str) -> None:
    async with open_store(config) as store:
        await backup_store(store, target)
