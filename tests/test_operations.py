"""What operators do while the gateway runs, and what it tells them: drain, enable, disable, set; outages."""

import asyncio
import io
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatelier import ChatRef, Job, Runtime, Said, Tx, Unavailable, hookimpl
from chatelier.core.cli.main import main
from chatelier.core.cli.serve import listening
from chatelier.core.generation import words
from chatelier.core.generation.outages import OUTAGES, Outage
from chatelier.core.generation.roster import is_draining, set_draining, set_standing
from chatelier.core.people.operators import Operators
from chatelier.core.registered import KINDS
from chatelier.core.testing.logs import sent_to
from chatelier.platforms.web.people import Visitor, direct_chat
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.testing import FakeBackend, FakeClock, FakePlatform, FakeStore, Parts, running
from gateways import CHATELIER, PATIENCE, configured, gateway, gateway_process, guest

OPERATOR = "fake:ada"
HEARS = {"operators": [OPERATOR], "limits": {"backend_down_minutes": 5}}


async def chatelier(*arguments: str) -> tuple[int, str, str]:
    """A command in a process of its own: exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        *CHATELIER, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    return process.returncode or 0, out.decode(), err.decode()


def row_of(table: str, name: str) -> dict[str, str]:
    """A line of `chatelier backends`, by its headings."""
    head, *lines = table.splitlines()
    (line,) = [line for line in lines if line.split()[0] == name]
    starts = [head.index(word) for word in head.split()]
    ends = [*starts[1:], None]
    return {head.split()[n]: line[a:b].strip() for n, (a, b) in enumerate(zip(starts, ends, strict=True))}


class Command:
    """The same in this process, which is quicker; for tests without a loop of their own."""

    def __init__(self, patch: pytest.MonkeyPatch, heard: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._heard = heard

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._patch.setattr(sys, "argv", ["chatelier", *arguments])
        self._heard.readouterr()
        with sent_to(io.StringIO()), pytest.raises(SystemExit) as ended:
            main()
        said = self._heard.readouterr()
        return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


# --- backends


def test_what_is_set_for_a_backend_is_shown_and_kept(tmp_path: Path, command: Command) -> None:
    config = ("--config", str(configured(tmp_path)))
    code, out, _ = command("backends", *config)
    first = row_of(out, "sketch")
    assert (code, first["state"], first["standing"], first["weight"], first["places"]) == (0, "up", "open", "1", "2")
    for arguments, changes in (
        (("drain", "sketch"), {"standing": "draining"}),
        (("disable", "sketch"), {"standing": "disabled"}),
        (("set", "sketch", "--weight", "2.5", "--tags", "gpu, fast,gpu"), {"weight": "2.5", "tags": "gpu, fast"}),
        (("enable", "sketch"), {"standing": "open", "weight": "2.5"}),
        (("set", "sketch", "--tags", ""), {"tags": "", "weight": "2.5"}),
        (("set", "sketch", "--default"), {"weight": "1", "tags": ""}),
    ):
        code, said, err = command("backends", *arguments, *config)
        assert (code, err) == (0, "")
        assert "sketch" in said
        _, out, _ = command("backends", *config)
        row = row_of(out, "sketch")
        assert {name: row[name] for name in changes} == changes, arguments


@pytest.mark.parametrize(
    ("arguments", "code", "words_"),
    [
        (("drain", "nobody"), 1, ["no backend nobody", "sketch"]),
        (("set", "nobody", "--weight", "2"), 1, ["sketch"]),
        (("set", "sketch", "--weight", "0"), 2, ["above 0"]),
        (("set", "sketch", "--weight", "-1"), 2, ["above 0"]),
        (("set", "sketch", "--weight", "nan"), 2, ["above 0"]),
        (("set", "sketch", "--weight", "inf"), 2, ["above 0"]),
        (("set", "sketch"), 2, ["--weight", "--tags", "--default"]),
    ],
)
def test_what_cannot_be_set_is_refused_in_words(
    tmp_path: Path, command: Command, arguments: Sequence[str], code: int, words_: Sequence[str]
) -> None:
    path = configured(tmp_path)
    ended, out, err = command("backends", *arguments, "--config", str(path))
    assert (ended, out) == (code, "")
    assert all(word in err for word in words_)
    assert row_of(command("backends", "--config", str(path))[1], "sketch")["weight"] == "1"


async def until(true: Any, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - another process sets no event here
            await asyncio.sleep(0.02)


async def test_a_gateway_that_runs_follows_what_another_process_sets(tmp_path: Path) -> None:
    path = configured(tmp_path)
    async with gateway(path) as here:
        member = here.runtime.fleet.members["sketch"]
        await until(lambda: member.takes_jobs)
        for arguments, is_so in (
            (("drain", "sketch"), lambda: not member.takes_jobs and member.answers),
            (("enable", "sketch"), lambda: member.takes_jobs),
            (
                ("set", "sketch", "--weight", "3", "--tags", "fast"),
                lambda: (member.weight, member.tags) == (3.0, frozenset({"fast"})),
            ),
            (("set", "sketch", "--default"), lambda: (member.weight, member.tags) == (1.0, frozenset())),
        ):
            code, _, err = await chatelier("backends", *arguments, "--config", str(path))
            assert (code, err) == (0, "")
            await until(is_so, 2.0)


async def test_a_drained_backend_finishes_what_it_has_and_is_given_nothing_new(tmp_path: Path) -> None:
    network, first, second = FakePlatform(), FakeBackend("first", hold=True), FakeBackend("second", hold=True)
    async with running(tmp_path, Parts([network], [first, second])) as runtime:
        await runtime.store.atomically(lambda tx: set_standing(tx, "second", draining=True))
        await until(lambda: runtime.fleet.members["first"].answers and not runtime.fleet.members["second"].takes_jobs)
        await network.receive(network.event(Said(text="/make a fox"), sender="ann"))
        await until(lambda: first.submissions == 1)
        await runtime.store.atomically(lambda tx: set_standing(tx, "first", draining=True))
        await runtime.store.atomically(lambda tx: set_standing(tx, "second", draining=False))
        await until(lambda: runtime.fleet.members["second"].takes_jobs)
        await network.receive(network.event(Said(text="/make a lighthouse"), sender="bea"))
        await until(lambda: second.submissions == 1)
        first.finish()
        second.finish()
        await network.until(lambda: sum(bool(one.message.media) for one in network.shown.values()) == 2)
    assert (first.submissions, second.submissions) == (1, 1)


# --- the whole gateway


async def test_drain_waits_for_what_is_open_and_lasts_over_a_restart(tmp_path: Path) -> None:
    path = configured(tmp_path, backends={"sketch": {"seconds": 10}})
    small = "/make a fox --width 64 --height 64 --steps 1"
    with gateway_process(path) as process:
        async with guest(process.url) as me:
            await me.card(small)
            code, out, _ = await chatelier("drain", "--config", str(path))
            assert code == 0
            assert "1 order is still open." in out
            assert "No order is open." in out
            await me.until(lambda: any(message.media for message in me.heard))
            assert (await me.ask(small)).text == words.DRAINING
        process.stop()
    with gateway_process(path) as process:
        async with guest(process.url) as me, httpx.AsyncClient(base_url=process.url, trust_env=False) as client:
            assert (await me.ask(small)).text == words.DRAINING
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["draining"]) == (200, True)
            _, told, _ = await chatelier("doctor", "--config", str(path))
            assert "! gateway: draining" in told
            code, out, _ = await chatelier("drain", "--off", "--config", str(path))
            assert (code, "takes orders again" in out) == (0, True)
            assert (await me.ask(small)).media


async def test_drain_can_be_left_to_itself(tmp_path: Path) -> None:
    """With --no-wait at once; with Ctrl-C it says that the gateway goes on draining."""
    path = configured(tmp_path, backends={"sketch": {"seconds": 60}})
    async with gateway(path) as here, guest(here.url) as me:
        await me.card("/make a fox --width 64 --height 64 --steps 1")
        code, out, _ = await chatelier("drain", "--no-wait", "--config", str(path))
        assert (code, "1 order is still open." in out) == (0, True)
        waiting = await asyncio.create_subprocess_exec(
            *CHATELIER, "drain", "--config", str(path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        assert waiting.stdout is not None
        assert b"still open" in await asyncio.wait_for(waiting.stdout.readline(), PATIENCE)
        waiting.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(waiting.communicate(), PATIENCE)
        assert waiting.returncode == 130
        assert "goes on draining" in err.decode()
        assert "Traceback" not in err.decode()
        assert await is_draining(here.runtime.store)


async def test_readyz_says_whether_it_is_drained_to_who_may_know(tmp_path: Path) -> None:
    async with (
        running(tmp_path, Parts(), settings={"http": {"port": 0}}) as runtime,
        listening(runtime) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        assert (await client.get("/readyz")).json()["draining"] is False
        await runtime.store.atomically(lambda tx: set_draining(tx, draining=True))
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["draining"]) == (200, True)
        stranger = await client.get("/readyz", headers={"X-Forwarded-For": "203.0.113.9"})
        assert (stranger.status_code, stranger.json()) == (200, {"ready": True})


# --- outages


class Watches:
    """What a plugin is told of backends."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, datetime, str]] = []

    @hookimpl
    async def backend_changed(self, backend: str, state: str, since: datetime, reason: str) -> None:
        self.told.append((backend, state, since, reason))


class Studio:
    """One store, one network, and gateways that come and go."""

    def __init__(self, folder: Path, network: FakePlatform | None = None) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.store = FakeStore(KINDS, self.clock)
        self.backend = FakeBackend()
        self.network = network or FakePlatform()
        self.is_shared = network is None

    @asynccontextmanager
    async def gateway(self, *others: object, name: str = "one") -> AsyncIterator[Runtime]:
        network = FakePlatform() if self.is_shared else self.network
        network.share(self.network)
        parts = Parts([network], [self.backend], store=self.store)
        (self.folder / name).mkdir(exist_ok=True)
        async with running(self.folder / name, parts, Essentials, *others, clock=self.clock, settings=HEARS) as runtime:
            await self.clock.advance(1)
            yield runtime

    async def said_by_ada(self, runtime: Runtime, *, direct: bool = True) -> None:
        network = runtime.platforms["fake"]
        assert isinstance(network, FakePlatform)
        await network.receive(network.event(Said(text="/help"), chat="ada's", direct=direct))
        await self.settled(1)

    async def settled(self, count: int) -> list[str]:
        """What is visible, once it is so much."""
        async with asyncio.timeout(5):
            while len(self.network.shown) < count:
                await self.clock.advance(0.1)
                await asyncio.sleep(0)
        return self.network.texts

    async def minutes(self, count: float) -> None:
        for _ in range(round(count * 12)):
            await self.clock.advance(5)


async def test_backend_changed_and_the_operators_are_told_once_an_outage_and_once_when_it_is_over(
    tmp_path: Path,
) -> None:
    studio, watches = Studio(tmp_path), Watches()
    async with studio.gateway(watches) as runtime:
        await studio.said_by_ada(runtime)
        studio.backend.down = True
        await studio.minutes(4.5)
        assert (len(studio.network.shown), watches.told) == (1, [])
        await studio.minutes(10)
        _, told = await studio.settled(2)
        assert "fake" in told
        assert "has not answered for 5 min" in told
        assert "chatelier backends disable fake" in told
        assert studio.network.last.message.chat == ChatRef(platform="fake", chat="ada's", direct=True)
        studio.backend.down = False
        await studio.minutes(1)
        back = (await studio.settled(3))[-1]
        assert "answers again" in back
        await studio.minutes(20)
        assert len(studio.network.shown) == 3
        assert [(backend, state) for backend, state, _, _ in watches.told] == [("fake", "down"), ("fake", "up")]
        assert watches.told[0][3] == "fake does not answer"
        assert watches.told[0][2] < watches.told[1][2]
        studio.backend.down = True
        await studio.minutes(8)
        assert len(await studio.settled(4)) == 4, "the next outage is another one"


async def test_of_several_processes_one_tells_and_a_restart_tells_nothing_again(tmp_path: Path) -> None:
    studio, watches = Studio(tmp_path), Watches()
    async with studio.gateway(watches) as runtime, studio.gateway(watches, name="two"):
        await studio.said_by_ada(runtime)
        studio.backend.down = True
        await studio.minutes(3)
    assert len(studio.network.shown) == 1
    async with studio.gateway(watches), studio.gateway(watches, name="two"):
        await studio.minutes(3)
        assert len(await studio.settled(2)) == 2, "five minutes after it went down, whoever saw it go"
        await studio.minutes(10)
    async with studio.gateway(watches), studio.gateway(watches, name="two"):
        await studio.minutes(10)
        assert len(studio.network.shown) == 2
        studio.backend.down = False
        await studio.minutes(2)
        assert len(await studio.settled(3)) == 3
    async with studio.gateway(watches):
        await studio.minutes(10)
    assert len(studio.network.shown) == 3
    assert [state for _, state, _, _ in watches.told] == ["down", "up"]


async def test_an_outage_that_nobody_was_told_of_is_not_told_to_be_over(tmp_path: Path) -> None:
    studio, watches = Studio(tmp_path), Watches()
    async with studio.gateway(watches) as runtime:
        await studio.said_by_ada(runtime)
        studio.backend.down = True
        await studio.minutes(4)
        studio.backend.down = False
        await studio.minutes(10)
        assert (len(studio.network.shown), watches.told) == (1, [])


async def test_an_outage_of_a_backend_that_was_taken_out_of_the_config_is_forgotten(tmp_path: Path) -> None:
    studio, watches = Studio(tmp_path), Watches()
    long_ago = studio.clock.now() - timedelta(days=30)

    async def away_since_then(tx: Tx) -> None:
        await tx.insert(OUTAGES, Outage(key="removed", since=long_ago, told=long_ago))

    async with studio.gateway(watches) as runtime:
        await studio.said_by_ada(runtime)
        await studio.store.atomically(away_since_then)
    async with studio.gateway(watches):
        await studio.minutes(1)
        assert await studio.store.find(OUTAGES, order="since") == []


@pytest.mark.parametrize("change", [{"draining": True}, {"disabled": True}])
async def test_a_backend_that_is_meant_to_be_away_is_no_fault(tmp_path: Path, change: Any) -> None:
    studio, watches = Studio(tmp_path), Watches()
    async with studio.gateway(watches) as runtime:
        await studio.said_by_ada(runtime)
        await studio.store.atomically(lambda tx: set_standing(tx, "fake", **change))
        studio.backend.down = True
        await studio.minutes(20)
        assert (len(studio.network.shown), watches.told) == (1, [])
        await studio.store.atomically(lambda tx: set_standing(tx, "fake", draining=False, disabled=False))
        await studio.minutes(1)
        assert len(await studio.settled(2)) == 2


async def test_what_is_said_to_everybody_is_no_place_to_tell_an_operator(tmp_path: Path) -> None:
    """Where nobody can be told, the plugins still are."""
    studio, watches = Studio(tmp_path), Watches()
    async with studio.gateway(watches) as runtime:
        await studio.said_by_ada(runtime, direct=False)
        studio.backend.down = True
        await studio.minutes(7)
        assert len(studio.network.shown) == 1
        assert [state for _, state, _, _ in watches.told] == ["down"]


class Opens(FakePlatform):
    """A network that opens direct chats by itself."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error

    async def direct(self, handle: str) -> ChatRef | None:
        if self.error is not None:
            raise self.error
        return ChatRef(platform=self.name, chat=f"opened for {handle}", direct=True)


async def test_where_a_network_opens_direct_chats_nobody_needs_to_have_written(tmp_path: Path) -> None:
    network = Opens()
    studio = Studio(tmp_path, network)
    async with studio.gateway():
        studio.backend.down = True
        await studio.minutes(6)
        await studio.settled(1)
        assert network.last.message.chat.chat == "opened for fake:ada"


async def test_a_network_that_cannot_open_one_now_is_written_to_where_the_operator_wrote(tmp_path: Path) -> None:
    network = Opens(Unavailable("the network is away"))
    studio = Studio(tmp_path, network)
    async with studio.gateway() as runtime:
        await studio.said_by_ada(runtime)
        studio.backend.down = True
        await studio.minutes(6)
        await studio.settled(2)
        assert network.last.message.chat.chat == "ada's"


async def test_a_store_that_is_away_just_then_delays_it(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    async with studio.gateway() as runtime:
        await studio.said_by_ada(runtime)
        studio.backend.down = True
        await studio.minutes(4)
        studio.store.trouble = Unavailable("the store is away")
        await studio.clock.advance(90)
        studio.store.trouble = None
        await studio.minutes(2)
        assert "has not answered" in (await studio.settled(2))[-1]


def test_a_person_of_the_chat_page_is_written_to_by_their_handle() -> None:
    person = Visitor("x" * 32, known=True)
    assert direct_chat(person.handle) == person.chat
    for other in ("telegram:42", "web:", "web:../..", "web", f"web:{person.id}0"):
        assert direct_chat(other) is None


# --- jobs


class Follows:
    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []

    @hookimpl
    def job_changed(self, job: Job, before: Job) -> None:
        assert job.key == before.key
        self.steps.append((before.state, job.state))


async def test_job_changed_is_told_of_every_state_that_this_process_moved_a_job_to(tmp_path: Path) -> None:
    network, backend, follows = FakePlatform(), FakeBackend(hold=True), Follows()
    async with running(tmp_path, Parts([network], [backend]), follows) as runtime:
        await network.receive(network.event(Said(text="/make a fox")))
        await until(lambda: ("submitting", "running") in follows.steps)
        backend.hold, backend.after_submit = False, lambda _: setattr(backend, "forgets", False)
        backend.forgets = True
        backend.wake()
        await network.until(lambda: network.last.message.media)
        await until(lambda: follows.steps[-1][1] == "done")
        assert runtime.telling.lost == {}
    befores, afters = [step[0] for step in follows.steps], [step[1] for step in follows.steps]
    assert befores[0] == "queued"
    assert ("running", "queued") in follows.steps, "its first attempt was lost"
    assert befores[1:] == afters[:-1], "each begins where the one before ended"


async def test_a_plugin_that_fails_or_hangs_when_it_is_told_stops_no_job(tmp_path: Path) -> None:
    class Crooked:
        @hookimpl
        async def job_changed(self, job: Job) -> None:
            if job.state == "done":
                raise ZeroDivisionError("a bug")
            await asyncio.Event().wait()

    network, backend, follows = FakePlatform(), FakeBackend(), Follows()
    async with running(tmp_path, Parts([network], [backend]), Crooked, follows):
        await network.receive(network.event(Said(text="/make a fox")))
        await network.until(lambda: network.shown and network.last.message.media)
        await until(lambda: follows.steps and follows.steps[-1][1] == "done")


async def test_an_operator_whose_handle_names_a_place_of_the_network_is_written_to_there() -> None:
    class Opens(FakePlatform):
        async def direct(self, handle: str) -> ChatRef | None:
            return self.chat("ada's") if handle == "fake/T01:ada" else None

    store = FakeStore(KINDS)
    platforms = {"other": Opens("other"), "fake.shop": Opens("fake.shop")}
    operators = Operators(["fake/T01:ada", "fake/T02:ada"], platforms, store, FakeClock())
    assert [to.chat.platform for to in await operators.addresses()] == ["fake.shop"]
