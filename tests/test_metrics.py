"""`/metrics` as Prometheus reads it: names as documented, numbers as they are, and nobody else's business."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from chatelier import Runtime, Said, Unavailable, figures_of
from chatelier.core.cli.serve import listening
from chatelier.core.figures import COUNTED
from chatelier.core.generation.roster import set_draining, set_standing
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.plugins.metrics import Plugin as Metrics
from chatelier.testing import FakeBackend, FakePlatform, FakeStore, Parts, running
from workday import ended, keep

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
OPENS = "forty characters, or so it may be"
Numbers = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Here:
    runtime: Runtime
    url: str
    network: FakePlatform
    backend: FakeBackend
    headers: dict[str, str] = field(default_factory=dict)

    async def get(self, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            return await client.get("/metrics", headers={**self.headers, **headers})

    async def numbers(self) -> "Read":
        """What is read, once it can have changed."""
        answer = await self.get()
        assert answer.status_code == 200
        return Read(answer.text)

    async def until(self, true: Callable[["Read"], bool]) -> "Read":
        async with asyncio.timeout(20):
            while True:
                self.runtime.fleet.members["fake"].woken.set()
                if true(read := await self.numbers()):
                    return read
                await asyncio.sleep(0.1)

    async def make(self, sender: str = "ada") -> None:
        await self.network.receive(self.network.event(Said(text="/make a fox"), sender=sender))
        await self.network.until(lambda: any(one.message.media for one in self.network.shown.values()))


class Read:
    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._values: Numbers = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        return self._values.get((name, frozenset(labels.items())))


@asynccontextmanager
async def metrics(folder: Path, **http: Any) -> AsyncIterator[Here]:
    network, backend = FakePlatform(), FakeBackend()
    settings = {"http": {"port": 0, **http}, "limits": {"backend_down_minutes": 0.001}}
    async with (
        running(folder, Parts([network], [backend]), Metrics, Essentials, settings=settings) as runtime,
        listening(runtime) as url,
    ):
        yield Here(runtime, url, network, backend)
        backend.finish()


# --- names


async def test_the_page_names_everything_that_is_exported_and_nothing_else(tmp_path: Path) -> None:
    rows = re.findall(r"^\| `(chatelier_\w+)` \| (\w+) \| ([^|]*)\|", PAGE.read_text(), re.MULTILINE)
    documented = {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert len(rows) == len(documented) >= 20
    async with metrics(tmp_path) as here:
        await lost_once(here)
        read = await here.until(lambda read: read("chatelier_jobs_ended_total", workflow="make", state="done") == 1)
    exported: dict[str, tuple[str, frozenset[str]]] = {}
    for family in read.families.values():
        if family.name.startswith("chatelier_") and not family.name.endswith("_created"):
            name = family.name + "_total" * (family.type == "counter")
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            exported[name] = (family.type, frozenset(labels) or documented.get(name, ("", frozenset()))[1])
    assert exported == documented


async def lost_once(here: Here) -> None:
    """A job whose first attempt is lost, after an outage that is told."""
    here.backend.down = True
    await here.until(lambda read: read("chatelier_backend_outages_total", backend="fake") == 1)
    here.backend.down = False
    await here.until(lambda read: read("chatelier_backend_up", backend="fake") == 1)
    here.backend.forgets = True
    here.backend.after_submit = lambda attempt: setattr(here.backend, "forgets", len(here.backend.runs) < 2)
    await here.make()


async def test_an_attempt_that_was_lost_an_outage_and_a_result_are_counted(tmp_path: Path) -> None:
    async with metrics(tmp_path) as here:
        await lost_once(here)
        read = await here.until(lambda read: read("chatelier_jobs_ended_total", workflow="make", state="done") == 1)
        assert read("chatelier_job_retries_total", backend="fake") == 1
        assert read("chatelier_backend_outages_total", backend="fake") == 1
        assert read("chatelier_job_run_seconds_count", workflow="make") == 1
        assert read("chatelier_job_queued_seconds_count", workflow="make") == 1
        assert read("chatelier_events_handled_total") == 1


# --- numbers


async def test_what_waits_and_runs_is_counted_by_state(tmp_path: Path) -> None:
    async with metrics(tmp_path) as here:
        here.backend.hold = True
        for sender in ("ann", "bea", "cyd"):
            await here.network.receive(here.network.event(Said(text="/make a fox"), sender=sender))
        read = await here.until(
            lambda read: (read("chatelier_jobs", state="running"), read("chatelier_jobs", state="queued")) == (2, 1)
        )
        assert read("chatelier_orders_open") == 3
        assert read("chatelier_backend_ours", backend="fake") == 2
        assert read("chatelier_backend_up", backend="fake") == 1
        assert read("chatelier_account_up", account="fake") == 1
        assert (read("chatelier_oldest_job_seconds") or 0) > 0
        here.backend.hold = False
        here.backend.finish()
        read = await here.until(lambda read: read("chatelier_orders_open") == 0)
        assert read("chatelier_oldest_job_seconds") == 0


async def test_drain_and_standing_and_refusals_are_seen(tmp_path: Path) -> None:
    async with metrics(tmp_path) as here:
        read = await here.until(lambda read: read("chatelier_backend_accepting", backend="fake") == 1)
        assert (read("chatelier_draining"), read("chatelier_events_refused_total")) == (0, 0)
        await here.runtime.store.atomically(lambda tx: set_standing(tx, "fake", draining=True))
        await here.runtime.store.atomically(lambda tx: set_draining(tx, draining=True))
        await here.network.receive(here.network.event(Said(text="/make a fox")))
        await here.network.until(lambda: here.network.shown)
        read = await here.until(lambda read: read("chatelier_draining") == 1)
        assert read("chatelier_backend_accepting", backend="fake") == 0
        assert read("chatelier_backend_up", backend="fake") == 1
        assert read("chatelier_events_refused_total") == 1


async def test_a_store_that_is_away_leaves_out_what_it_holds(tmp_path: Path) -> None:
    async with metrics(tmp_path) as here:
        store = here.runtime.store
        assert isinstance(store, FakeStore)
        store.trouble = Unavailable("the store is away")
        read = await here.until(lambda read: read("chatelier_store_up") == 0)
        assert read("chatelier_jobs", state="queued") is None
        assert read("chatelier_backend_places", backend="fake") is not None
        store.trouble = None
        await here.until(lambda read: read("chatelier_store_up") == 1)


async def test_a_long_queue_is_counted_up_to_a_bound(tmp_path: Path) -> None:
    async with metrics(tmp_path) as here:
        now = here.runtime.clock.now()
        later = now + timedelta(hours=1)
        waiting = [
            replace(ended(n, now), state="queued", open=True, due=later, expires=later, ended=None, started=None)
            for n in range(COUNTED + 20)
        ]
        await keep(here.runtime.store, waiting)
        figures = await figures_of(here.runtime.store, ["fake"])
        assert figures.jobs["queued"] == COUNTED


async def test_two_gateways_in_a_process_count_for_themselves(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with metrics(tmp_path / "a") as first, metrics(tmp_path / "b") as second:
        await first.make()
        await first.until(lambda read: read("chatelier_jobs_ended_total", workflow="make", state="done") == 1)
        assert (await second.numbers())("chatelier_jobs_ended_total", workflow="make", state="done") is None


# --- who may read it


async def test_who_may_open_the_console_may_read_it(tmp_path: Path) -> None:
    async with metrics(tmp_path) as here:
        assert (await here.get()).headers["content-type"].startswith("text/plain")
        assert (await here.get(**{"X-Forwarded-For": "203.0.113.9"})).status_code == 403
    async with metrics(tmp_path, console_token=OPENS) as here:
        assert (await here.get()).status_code == 401
        assert (await here.get(Authorization="Bearer wrong")).status_code == 401
        assert (await here.get(Authorization=f"Bearer {OPENS}")).status_code == 200


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    from chatelier.plugins.metrics.plugin import MetricsSettings  # noqa: PLC0415 - for this test alone

    async with metrics(tmp_path) as here:
        off = here.runtime.settings.with_sections({"metrics": MetricsSettings(enabled=False)})
        plugin = Metrics()
        routes: list[Any] = []
        plugin.register_routes(routes.append, off)
        assert (routes, plugin.lifespan(here.runtime, off)) == ([], None)
