"""What each hook does, seen through a plugin that uses it; one test a hook, with its name."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route

from chatelier import (
    JOBS,
    Backend,
    Call,
    Clock,
    Command,
    Entry,
    Event,
    Job,
    Kind,
    Option,
    Payments,
    Person,
    Platform,
    Query,
    Record,
    Register,
    Reply,
    Runtime,
    Said,
    Section,
    Settings,
    Store,
    StoreOpener,
    Tx,
    WorkflowSource,
    escape,
    hookimpl,
    token,
)
from chatelier.core.cli.serve import listening
from chatelier.core.errors import SettingsError
from chatelier.core.people.people import PEOPLE
from chatelier.core.plugins import Plugins
from chatelier.core.settings import load
from chatelier.core.workflows.workflow import Loaded
from chatelier.plugins.points import Plugin as PointsPlugin
from chatelier.plugins.sqlite import Plugin as Sqlite
from chatelier.testing import PICTURE, FakeBackend, FakeClock, FakePayments, FakePlatform, FakeStore, Parts, running


async def said(network: FakePlatform, text: str, *, picture: bool = False) -> str:
    """The answer; with a picture: once it has one."""
    before = len(network.shown)
    await network.receive(network.event(Said(text=text)))
    await network.until(lambda: len(network.shown) > before and (network.last.message.media or not picture))
    return network.last.text


async def hello(call: Call) -> None:
    await call.commit(None, Reply(text="Hello from a plugin."))


HELLO = Command(name="hello", summary="Says hello", handler=hello)


# --- before the store opens


class NotebookSettings(Section):
    shown: int = Field(default=5, ge=1, description="How many notes `/notes` shows.")


class Notebook:
    @hookimpl
    def register_settings(self, register: Callable[[str, type[BaseModel]], None]) -> None:
        register("notebook", NotebookSettings)


def test_register_settings_claims_a_section_that_is_checked_and_handed_back(tmp_path: Path) -> None:
    plugins, config = Plugins(), tmp_path / "config.yaml"
    plugins.add(Notebook, "notebook")
    config.write_text("notebook: {shown: 7}\n")
    assert load(config, plugins.settings_models(), {}).of("notebook", NotebookSettings).shown == 7
    for wrong, mend in (("{shwon: 7}", 'did you mean "shown"'), ("{shown: 0}", "notebook.shown")):
        config.write_text(f"notebook: {wrong}\n")
        with pytest.raises(SettingsError, match=mend):
            load(config, plugins.settings_models(), {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Record):
    words: str


NOTES = Kind(name="notebook_notes", record=Note, queries=(Query((), ""),))


async def note(call: Call) -> None:
    async def work(tx: Tx) -> None:
        await tx.insert(NOTES, Note(key=token(), words=str(call.values["words"])))

    await call.commit(work, Reply(text="Noted."))


async def notes(call: Call) -> None:
    found = await call.runtime.store.find(NOTES)
    await call.commit(None, Reply(text=escape(", ".join(each.words for each in found))))


class Notes:
    @hookimpl
    def register_kinds(self, register: Register[Kind[Any]]) -> None:
        register(NOTES)


async def test_register_kinds_lets_a_plugin_keep_records_of_its_own(tmp_path: Path) -> None:
    network = FakePlatform()
    words = Option(name="words", description="What to keep", required=True, rest=True)
    commands = [
        Command(name="note", summary="Keeps a note", handler=note, options=(words,)),
        Command(name="notes", summary="All notes", handler=notes),
    ]
    async with running(tmp_path, Parts([network], commands=commands), Notes):
        assert await said(network, "/note buy blue paint") == "Noted."
        assert await said(network, "/notes") == "buy blue paint"


class Attic:
    """An engine of its own for `attic:`."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.store: Store | None = None
        self.is_open = False

    @hookimpl
    def register_stores(self, register: Callable[[str, StoreOpener], None]) -> None:
        register("attic", self.open)

    @asynccontextmanager
    async def open(self, url: str, kinds: Sequence[Kind[Any]], clock: Clock) -> AsyncIterator[Store]:
        self.opened.append(url)
        async with FakeStore(kinds, clock) as store:
            self.store, self.is_open = store, True
            yield store
        self.is_open = False


async def test_register_stores_offers_an_engine_for_a_scheme(tmp_path: Path) -> None:
    attic = Attic()
    async with running(tmp_path, Parts([]), attic, settings={"store": "attic:under the roof"}) as runtime:
        assert attic.opened == [f"attic:{tmp_path / 'under the roof'}"]
        assert runtime.store is attic.store
        assert attic.is_open
    assert not attic.is_open


# --- what a gateway is made of


class Pigeons:
    def __init__(self) -> None:
        self.network = FakePlatform("pigeons")

    @hookimpl
    def register_platforms(self, register: Register[Platform], settings: Settings) -> None:
        register(self.network)


async def test_register_platforms_adds_an_account_on_which_people_are_heard_and_answered(tmp_path: Path) -> None:
    pigeons = Pigeons()
    async with running(tmp_path, Parts(commands=[HELLO]), pigeons) as runtime:
        assert await said(pigeons.network, "/hello") == "Hello from a plugin."
        assert runtime.accounts["pigeons"].is_held


class Studio:
    def __init__(self) -> None:
        self.server = FakeBackend("studio")

    @hookimpl
    def register_backends(self, register: Register[Backend], settings: Settings) -> None:
        register(self.server)


async def test_register_backends_adds_a_server_that_is_given_jobs(tmp_path: Path) -> None:
    network, studio = FakePlatform(), Studio()
    async with running(tmp_path, Parts([network]), studio):
        await said(network, "/make a red fox", picture=True)
    assert studio.server.submissions == 1


class Shelf:
    """A place that workflows come from."""

    name = "shelf"

    async def load(self) -> Loaded:
        return Loaded(workflows=(replace(PICTURE, name="fox", title="Fox"),))

    async def changes(self) -> AsyncIterator[None]:
        return
        yield

    @hookimpl
    def register_workflow_sources(self, register: Register[WorkflowSource], settings: Settings) -> None:
        register(self)


async def test_register_workflow_sources_makes_commands_of_what_it_finds(tmp_path: Path) -> None:
    network, backend = FakePlatform(), FakeBackend()
    async with running(tmp_path, Parts([network], [backend], workflows=()), Shelf):
        await said(network, "/fox in the snow", picture=True)
    (run,) = backend.runs.values()
    assert run.attempt.graph["1"]["inputs"]["text"] == "in the snow"


class Greets:
    @hookimpl
    def register_commands(self, register: Register[Command], settings: Settings) -> None:
        register(HELLO)


async def other(call: Call) -> None:
    await call.commit(None, Reply(text="Hello from the second."))


class GreetsToo:
    @hookimpl
    def register_commands(self, register: Register[Command], settings: Settings) -> None:
        register(replace(HELLO, handler=other))


async def test_register_commands_adds_a_command_and_refuses_a_second_of_its_name(tmp_path: Path) -> None:
    network = FakePlatform()
    async with running(tmp_path, Parts([network]), Greets, GreetsToo) as runtime:
        assert await said(network, "/hello") == "Hello from a plugin."
        assert any("hello" in problem and "other1" in problem for problem in runtime.problems)


async def greet(_: Request) -> PlainTextResponse:
    return PlainTextResponse("Hello over HTTP.")


class Door:
    @hookimpl
    def register_routes(self, register: Register[BaseRoute], settings: Settings) -> None:
        register(Route("/hello", greet))


async def test_register_routes_adds_to_the_one_port_behind_the_check_of_its_host(tmp_path: Path) -> None:
    async with (
        running(tmp_path, Parts(), Door, settings={"http": {"port": 0}}) as runtime,
        listening(runtime) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        assert (await client.get("/hello")).text == "Hello over HTTP."
        assert (await client.get("/hello", headers={"Host": "evil.example"})).is_client_error


# --- while it runs


class Lives:
    """Notes what the store was like when its life began and ended."""

    def __init__(self) -> None:
        self.lives: list[str] = []

    @hookimpl
    def lifespan(self, gateway: Runtime, settings: Settings) -> AbstractAsyncContextManager[None]:
        return self._live(gateway.store)

    @asynccontextmanager
    async def _live(self, store: Store) -> AsyncIterator[None]:
        self.lives.append(f"began, the store has {len(await store.check())} faults")
        try:
            yield
        finally:
            self.lives.append(f"ended, the store has {len(await store.check())} faults")


async def test_lifespan_begins_after_the_store_opens_and_ends_before_it_closes(tmp_path: Path) -> None:
    network, plugin = FakePlatform(), Lives()
    async with running(tmp_path, Parts([network], commands=[HELLO]), plugin):
        await said(network, "/hello")
        assert plugin.lives == ["began, the store has 0 faults"]
    assert plugin.lives[1:] == ["ended, the store has 0 faults"]


class Doorkeeper:
    def __init__(self, *refusals: str) -> None:
        self.refusals = list(refusals)
        self.asked: list[tuple[str, str]] = []

    @hookimpl
    async def admit(self, event: Event, command: str) -> str | None:
        self.asked.append((event.name, command))
        return self.refusals.pop(0) if self.refusals else None


async def test_admit_is_asked_about_each_call_and_the_first_refusal_is_shown(tmp_path: Path) -> None:
    network, lenient, strict, late = FakePlatform(), Doorkeeper(), Doorkeeper("Members only."), Doorkeeper("Never.")
    async with running(tmp_path, Parts([network], commands=[HELLO]), lenient, strict, late):
        assert await said(network, "/hello") == "Members only."
        assert await said(network, "/hello") == "Hello from a plugin."
    assert lenient.asked == strict.asked == [("ada", "hello")] * 2


# --- points


class Club:
    """Everybody is a member; what they hold, what a run costs and their tier is said by the test."""

    def __init__(self, holding: int | None = None, price: int | None = None, tier: str | None = None) -> None:
        self.said: dict[str, Any] = {"holding": holding, "price": price, "tier": tier}
        self.asked: list[str] = []
        self.moved: list[Entry] = []

    def _answer(self, hook: str) -> Any:
        self.asked.append(hook)
        answer = self.said[hook]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @hookimpl
    async def holding(self, person: Person) -> Any:
        return self._answer("holding")

    @hookimpl
    def price(self, job: Job) -> Any:
        return self._answer("price")

    @hookimpl
    def tier(self, person: Person) -> Any:
        return self._answer("tier")

    @hookimpl
    def points_moved(self, entry: Entry) -> None:
        self.moved.append(entry)


async def allowance_there(runtime: Runtime) -> int:
    (person,) = await runtime.store.find(PEOPLE, order="created")
    return (await runtime.points.allowance(person)).maximum


async def test_holding_makes_the_allowance_larger_and_is_kept_for_a_while(tmp_path: Path) -> None:
    network, one, other = FakePlatform(), Club(holding=1_000_000), Club(holding=540)
    async with running(tmp_path, Parts([network], commands=[HELLO]), one, other) as runtime:
        await said(network, "/hello")
        assert await allowance_there(runtime) == 2_222_000
        one.said["holding"] = 0
        assert await allowance_there(runtime) == 2_222_000
        assert one.asked.count("holding") == 1


async def test_holding_that_fails_is_what_it_was(tmp_path: Path) -> None:
    network, club = FakePlatform(), Club(holding=1_000_000)
    clock = FakeClock()
    async with running(tmp_path, Parts([network], commands=[HELLO]), club, clock=clock) as runtime:
        await said(network, "/hello")
        assert await allowance_there(runtime) == 2_221_000
        club.said["holding"] = RuntimeError("away")
        await clock.advance(901)
        assert await allowance_there(runtime) == 2_221_000
        club.said["holding"] = -5
        await clock.advance(901)
        assert await allowance_there(runtime) == 2_221_000
        club.said["holding"] = None
        await clock.advance(901)
        assert await allowance_there(runtime) == 370_000


async def test_holding_that_fails_right_after_a_start_is_what_the_ledger_knows(tmp_path: Path) -> None:
    network, club = FakePlatform(), Club(holding=1_000_000)
    kept = {"store": f"sqlite:{tmp_path / 'chatelier.db'}"}
    async with running(tmp_path, Parts([network], backends=[FakeBackend()]), club, Sqlite(), settings=kept):
        await said(network, "/make a fox", picture=True)
    club.said["holding"] = RuntimeError("away")
    async with running(tmp_path, Parts([FakePlatform()]), club, Sqlite(), settings=kept) as runtime:
        assert await allowance_there(runtime) == 2_221_000
        club.said["holding"] = 0
        assert await allowance_there(runtime) == 370_000, "what failed is asked again"


async def test_points_moved_is_told_of_each_entry_and_price_is_charged_as_it_is(tmp_path: Path) -> None:
    network, club = FakePlatform(), Club(price=7_500)
    async with running(tmp_path, Parts([network], backends=[FakeBackend()]), club) as runtime:
        await said(network, "/make a fox", picture=True)
        (job,) = await runtime.store.find(JOBS, order="created")
        assert (job.share, job.cost) == (7_500, 7_500)
        await network.until(lambda: any(entry.kind == "capture" for entry in club.moved))
        assert [entry.kind for entry in club.moved] == ["opening", "hold", "capture"]


@pytest.mark.parametrize("price", [RuntimeError("away"), -1, "much", 10**13])
async def test_price_that_is_none_leaves_the_workflows_own(price: Any, tmp_path: Path) -> None:
    network, club = FakePlatform(), Club(price=price)
    async with running(tmp_path, Parts([network], backends=[FakeBackend()]), club) as runtime:
        await said(network, "/make a fox", picture=True)
        (job,) = await runtime.store.find(JOBS, order="created")
        assert job.price is not None
        assert job.price.second == 3_000


async def test_tier_has_limits_of_its_own(tmp_path: Path) -> None:
    network, club = FakePlatform(), Club(tier="gold")
    tiers = {"gold": {"daily_orders": 1}}
    async with running(tmp_path, Parts([network], backends=[FakeBackend()]), club, settings={"tiers": tiers}):
        await said(network, "/make a fox", picture=True)
        assert "one order today" in await said(network, "/make a fox")
        club.said["tier"] = "nobody knows it"
        await said(network, "/make a fox", picture=True)


class Till:
    def __init__(self) -> None:
        self.payments = FakePayments()

    @hookimpl
    def register_payments(self, register: Callable[[Payments], None], settings: Settings) -> None:
        register(self.payments)


async def test_register_payments_sells_points_and_gives_the_money_back(tmp_path: Path) -> None:
    network, till = FakePlatform(), Till()
    settings = {"operators": ["fake:op"]}
    async with running(tmp_path, Parts([network]), PointsPlugin(), till, settings=settings) as runtime:
        await network.receive(network.event(Said(text="/buy")))
        await network.until(lambda: any(shown.message.invoice for shown in network.shown.values()))
        (invoice,) = [shown.message.invoice for shown in network.shown.values() if shown.message.invoice]
        chat = network.event(Said(text="")).chat
        assert await runtime.approve(chat, "fake:ada", invoice.key, 100, "PLAY") is None
        for _ in range(2):
            await network.receive(network.event(till.payments.paid(invoice, "c1")))
        await network.until(lambda: sum("100 points are yours" in shown.text for shown in network.shown.values()) == 2)
        assert "qoints 100" in await said(network, "/points")
        assert await runtime.approve(chat, "fake:ada", invoice.key, 100, "PLAY") is not None
        till.payments.refuses = "Too long ago."
        await network.receive(network.event(Said(text="/refund play:c1"), sender="op", chat="op"))
        await network.until(lambda: any("Too long ago" in shown.text for shown in network.shown.values()))
        till.payments.refuses = ""
        await network.receive(network.event(Said(text="/refund play:c1"), sender="op", chat="op"))
        await network.until(lambda: till.payments.refunds == ["c1"])
        await network.until(lambda: any("Given back" in shown.text for shown in network.shown.values()))
        assert "qoints 0" in await said(network, "/points")
