"""`chatelier backends`: what can run workflows now, and what the operator says about each of them while the gateway runs."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import click

from ..clock import SystemClock
from ..errors import BadInput, ChatelierError
from ..generation.backend import Backend, Description
from ..generation.roster import Standing, set_standing, standings
from ..log import redact
from ..plugins import Plugins
from ..registered import backends_of, open_store_of
from ..settings import Settings
from ..storage import Tx
from ..supervise import guarded, reason
from .context import begin, run_command
from .options import EXIT_FAILED
from .tables import write_table

ANSWER_SECONDS = 10.0
HEAD = (
    "backend", "state", "standing", "waiting", "running", "places", "weight", "tags", "memory", "nodes", "detail",
)  # fmt: skip
OPEN, DRAINING, DISABLED = "open", "draining", "disabled"


@dataclass(frozen=True, slots=True)
class Asked:
    """How a backend is. found: what it says of itself, None when it does not answer. detail: in words, without secrets."""

    name: str
    state: Literal["up", "down", "broken"]
    found: Description | None = None
    detail: str = ""


def list_backends(config: Path | None) -> None:
    settings, plugins = begin(config)
    backends = list(backends_of(settings, plugins, _say).values())
    asked, found = run_command(_look(settings, plugins, backends))
    write_table(HEAD, (_row(one, found.get(one.name, Standing(key=one.name))) for one in asked))
    if not any(one.state == "up" for one in asked):
        raise click.exceptions.Exit(EXIT_FAILED)


def drain(config: Path | None, name: str) -> None:
    _set(config, name, draining=True)
    click.echo(
        f"{name} is drained: it is given nothing new, and finishes what it has. "
        f"`chatelier backends enable {name}` takes it back."
    )


def disable(config: Path | None, name: str) -> None:
    _set(config, name, disabled=True)
    click.echo(
        f"{name} is disabled: it is given nothing new, and nobody is told when it does not answer. "
        f"`chatelier backends enable {name}` takes it back."
    )


def enable(config: Path | None, name: str) -> None:
    _set(config, name, draining=False, disabled=False)
    click.echo(f"{name} is given jobs again.")


def change(config: Path | None, name: str, weight: float | None, tags: str | None, *, default: bool) -> None:
    _set(config, name, **_wanted(weight, tags, default=default))
    click.echo(f"{name} is changed; a gateway that runs follows within a second or two.")


def _wanted(weight: float | None, tags: str | None, *, default: bool) -> Mapping[str, Any]:
    """The fields of a standing. Fails the command, in words."""
    changes: dict[str, Any] = {}
    if default:
        changes = {"weight": None, "tags": None}
    if weight is not None:
        if not (weight > 0 and isfinite(weight)):
            raise click.BadParameter("a weight is a number above 0, such as 2.0", param_hint="--weight")
        changes["weight"] = weight
    if tags is not None:
        changes["tags"] = tuple(dict.fromkeys(tag.strip() for tag in tags.split(",") if tag.strip()))
    if not changes:
        raise click.BadParameter("say what to set: --weight, --tags or --default")
    return changes


def _set(config: Path | None, name: str, **changes: Any) -> None:
    settings, plugins = begin(config)
    known = sorted(backends_of(settings, plugins, _say))
    if name not in known:
        raise BadInput(f"There is no backend {name}. There is: {', '.join(known) or 'none'}.")

    async def work(tx: Tx) -> None:
        await set_standing(tx, name, **changes)

    async def change() -> None:
        async with open_store_of(settings, plugins, SystemClock()) as store:
            await store.atomically(work)

    run_command(change())


def _say(problem: str) -> None:
    click.echo(redact(problem), err=True)


async def _look(
    settings: Settings, plugins: Plugins, backends: Sequence[Backend]
) -> tuple[Sequence[Asked], Mapping[str, Standing]]:
    """Backends answer whether the store does or not."""
    asked = await ask_all(backends)
    try:
        async with open_store_of(settings, plugins, SystemClock()) as store:
            return asked, await standings(store)
    except ChatelierError as away:
        _say(f"What was set for them is not known: {away}")
        return asked, {}


async def ask_all(backends: Sequence[Backend]) -> list[Asked]:
    """All at once, so that one that is down keeps nobody waiting."""
    return await asyncio.gather(*map(ask, backends))


async def ask(backend: Backend) -> Asked:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            found = await guarded(backend.describe())
    except TimeoutError:
        return Asked(backend.name, "down", detail=f"no answer within {ANSWER_SECONDS:g} s")
    except ChatelierError as away:
        return Asked(backend.name, "down", detail=redact(str(away)))
    except Exception as error:  # noqa: BLE001 - a plugin's code; its bug must not hide how the others are
        return Asked(backend.name, "broken", detail=reason(error))
    return Asked(backend.name, "up", found, redact(found.detail))


def standing_word(standing: Standing) -> str:
    """In one word, for tables."""
    if standing.disabled:
        return DISABLED
    return DRAINING if standing.draining else OPEN


def _row(asked: Asked, standing: Standing) -> tuple[str, ...]:
    found = asked.found
    weight = standing.weight or (found.weight if found else None)
    tags = standing.tags if standing.tags is not None else (found.tags if found else ())
    return (
        asked.name,
        asked.state,
        standing_word(standing),
        *((str(found.waiting), str(found.running), str(found.places)) if found else ("", "", "")),
        f"{weight:g}" if weight else "",
        ", ".join(tags),
        f"{found.memory / 1e9:.1f} GB" if found and found.memory else "",
        str(len(found.classes)) if found else "",
        asked.detail,
    )
