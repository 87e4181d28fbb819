"""The operator's page over the real port, and in a real browser."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import BaseRoute

from chatelier import JOBS, Backend, Register, Runtime, Said, Unavailable, hookimpl
from chatelier.core.cli.serve import listening
from chatelier.plugins.console import Plugin as Console
from chatelier.plugins.console.charts import averages, charts
from chatelier.plugins.console.history import MOST_AT_ONCE, History, busy_seconds
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.testing import FakeBackend, FakeClock, FakePlatform, FakeStore, Parts, running
from workday import ended, keep

if TYPE_CHECKING:
    from playwright.async_api import Browser

EVIL = "<script>alert('fox')</script>' onerror='alert(1)"
ODD = "<b>a/b c</b>"
OPENS = "forty characters, or so it may be"


class Elements(HTMLParser):
    """Every element with its attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, name: str) -> list[str]:
        return [attributes[name] for found, attributes in self.found if found == tag and name in attributes]


@dataclass
class Here:
    runtime: Runtime
    url: str
    network: FakePlatform
    backend: FakeBackend
    headers: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        async with self._client() as client:
            return await client.get(path, headers={**self.headers, **headers})

    async def post(self, path: str, **kwargs: Any) -> httpx.Response:
        async with self._client() as client:
            return await client.post(path, headers={"Origin": self.url, **self.headers}, **kwargs)

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, trust_env=False)

    async def page(self) -> Elements:
        answer = await self.get("/console")
        assert answer.status_code == 200
        return Elements(answer.text)

    async def page_with(self, words: str) -> Elements:
        """The page, once it says so; the gateway looks at its backends meanwhile."""
        async with asyncio.timeout(10):
            while True:
                for member in self.runtime.fleet.members.values():
                    member.woken.set()
                page = await self.page()
                if words in page.text:
                    return page
                await asyncio.sleep(0.05)

    async def make(self, prompt: str = "a red fox") -> None:
        """Ask for a picture; returns when it is shown, or, of a backend that holds, when it runs."""
        submitted = asyncio.Event()
        self.backend.after_submit = lambda _: submitted.set()
        await self.network.receive(self.network.event(Said(text=f"/make {prompt}")))
        await submitted.wait()
        if not self.backend.hold:
            await self.network.until(lambda: self.network.last.message.media)


@asynccontextmanager
async def console(folder: Path, *others: object, **http: Any) -> AsyncIterator[Here]:
    network, backend = FakePlatform(), FakeBackend()
    settings = {"http": {"port": 0, **http}, "workflows": {"folder": str(folder / "workflows")}}
    (folder / "workflows").mkdir(exist_ok=True)
    parts = Parts([network], [backend])
    async with (
        running(folder, parts, Console, Essentials, *others, settings=settings) as runtime,
        listening(runtime) as url,
    ):
        yield Here(runtime, url, network, backend)
        backend.finish()


# --- who may open it


async def test_without_a_token_it_answers_on_this_machine_only(tmp_path: Path) -> None:
    async with console(tmp_path) as here:
        assert (await here.get("/console")).status_code == 200
        from_outside = await here.get("/console", **{"X-Forwarded-For": "203.0.113.9"})
        assert from_outside.status_code == 403
        assert "http.console_token" in from_outside.text


async def test_with_a_token_every_part_of_it_is_locked(tmp_path: Path) -> None:
    async with console(tmp_path, console_token=OPENS) as here:
        for path in ("/console", "/console/now", "/console/thumbnail/x.0", "/console/page/console.css"):
            answer = await here.get(path)
            assert answer.status_code == 401, path
            assert "token" in answer.text
        for path in ("/console/cancel/x", "/console/refresh"):
            assert (await here.post(path)).status_code == 401, path
        here.headers = {"Authorization": f"Bearer {OPENS}"}
        assert (await here.get("/console")).status_code == 200


async def test_the_login_opens_it(tmp_path: Path) -> None:
    async with console(tmp_path, console_token=OPENS) as here:
        form = await here.get("/console", Accept="text/html")
        assert "<form" in form.text
        wrong = await here.post("/login/console", data={"token": "wrong", "next": "/console"})
        assert wrong.status_code == 401
        right = await here.post("/login/console", data={"token": OPENS, "next": "/console"})
        assert (right.status_code, right.headers["location"]) == (303, "/console")
        here.headers = {"Cookie": right.headers["set-cookie"].partition(";")[0]}
        assert (await here.get("/console")).status_code == 200


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    from chatelier.plugins.console.plugin import ConsoleSettings  # noqa: PLC0415 - for this test alone

    settings_off = ConsoleSettings(enabled=False)
    plugin = Console()
    routes: list[BaseRoute] = []
    async with console(tmp_path) as here:
        plugin.register_routes(routes.append, here.runtime.settings.with_sections({"console": settings_off}))
    assert routes == []


# --- what it shows


async def test_it_shows_jobs_backends_workflows_plugins_and_health(tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "broken.json").write_text("{not json")
    async with console(tmp_path) as here:
        await here.make("a red fox")
        here.backend.hold = True
        await here.make("a lighthouse")
        page = await here.page()
        for words in ("a red fox", "a lighthouse", "done", "fake", "/make", "broken.json", "loaded", "up"):
            assert words in page.text, words
        (thumbnail,) = page.all("img", "src")
        picture = await here.get(thumbnail)
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/webp")


async def test_what_people_type_is_text(tmp_path: Path) -> None:
    async with console(tmp_path) as here:
        await here.make(EVIL)
        page = await here.page()
        assert EVIL.split("' ", maxsplit=1)[0] in page.text
        assert page.all("script", "src") == ["/console/page/console.js"]
        assert sum(tag == "script" for tag, _ in page.found) == 1
        assert not any(name.startswith("on") for _, attributes in page.found for name in attributes)


async def test_nothing_comes_from_anywhere_else(tmp_path: Path) -> None:
    async with console(tmp_path) as here:
        await here.make()
        page = await here.page()
        addresses = [value for name in ("src", "href", "action") for tag in ("script", "link", "img", "a", "form")
                     for value in page.all(tag, name)]  # fmt: skip
        assert len(addresses) >= 5
        assert all(address.startswith("/") and not address.startswith("//") for address in addresses)
        for part in ("console.css", "console.js"):
            answer = await here.get(f"/console/page/{part}")
            assert answer.status_code == 200
            assert "//" not in answer.text.replace("// ", "")
        for wrong in ("view.py", "..%2Fview.py", "nothing.css"):
            assert (await here.get(f"/console/page/{wrong}")).status_code == 404


async def test_a_job_is_cancelled_by_its_button(tmp_path: Path) -> None:
    async with console(tmp_path) as here:
        here.backend.hold = True
        await here.make()
        (action,) = [action for action in (await here.page()).all("form", "action") if "cancel" in action]
        assert (await here.post(action)).status_code == 303
        await here.network.until(lambda: "Cancelled" in here.network.last.text)
        assert "Nothing waits or runs." in (await here.page()).text
        assert (await here.post("/console/cancel/nothing")).status_code == 303


async def test_a_foreign_page_cannot_press_its_buttons(tmp_path: Path) -> None:
    async with console(tmp_path) as here:
        here.headers = {"Origin": "https://elsewhere.example"}
        for path in ("/console/cancel/x", "/console/refresh"):
            assert (await here.post(path)).status_code == 403


async def test_workflows_are_loaded_again(tmp_path: Path) -> None:
    async with console(tmp_path) as here:
        (tmp_path / "workflows" / "late.json").write_text("{not json")
        assert (await here.post("/console/refresh")).status_code == 303
        assert "late.json" in (await here.page()).text


async def bug() -> None:
    raise ZeroDivisionError("division by zero")


async def test_a_backend_that_is_down_or_broken_is_shown_and_stops_nobody(tmp_path: Path) -> None:
    async with console(tmp_path) as here:
        here.backend.down = True
        await here.page_with("fake does not answer")
        here.backend.down = False
        here.backend.before_describe = bug
        await here.page_with("division by zero")


async def test_secrets_in_what_plugins_say_are_not_shown(tmp_path: Path) -> None:
    async def leak() -> None:
        raise ValueError("GET https://h/hunter3pw failed")

    async with console(tmp_path, console_token="hunter3pw") as here:
        here.headers = {"Authorization": "Bearer hunter3pw"}
        here.backend.before_describe = leak
        page = await here.page_with("https://h/*** failed")
        assert "hunter3pw" not in page.text


async def test_text_that_no_utf_8_can_hold_is_shown_all_the_same(tmp_path: Path) -> None:
    async def odd() -> None:
        raise ValueError("a \udcff b")

    async with console(tmp_path) as here:
        here.backend.before_describe = odd
        await here.page_with("a ? b")
        assert "a ? b" in (await here.get("/console/now")).text


async def test_pictures_that_went_are_no_error(tmp_path: Path) -> None:
    async with console(tmp_path) as here:
        await here.make()
        (address,) = (await here.page()).all("img", "src")
        for file in [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]:
            file.unlink()
        assert (await here.get(address)).status_code == 404
        assert (await here.get("/console/thumbnail/nothing.0")).status_code == 404


async def test_a_store_that_is_away_is_said(tmp_path: Path) -> None:
    async with console(tmp_path) as here:
        store = here.runtime.store
        assert isinstance(store, FakeStore)
        store.trouble = Unavailable("the store is away")
        answer = await here.get("/console/now")
        store.trouble = None
        assert answer.status_code == 503
        assert "the store is away" in answer.text


# --- backends and the gateway, while they run


async def test_a_backend_is_drained_disabled_and_enabled_by_its_buttons(tmp_path: Path) -> None:
    async with console(tmp_path) as here:
        for action, word in (("drain", "draining"), ("enable", "up"), ("disable", "disabled")):
            (address,) = [one for one in (await here.page()).all("form", "action") if f"/backends/{action}/" in one]
            assert (await here.post(address)).status_code == 303
            await here.page_with(word)
            assert here.runtime.fleet.members["fake"].takes_jobs is (action == "enable")
        standing = here.runtime.fleet.members["fake"].standing
        assert (standing.draining, standing.disabled) == (False, True)
        for wrong in ("/console/backends/drain/nobody", "/console/backends/burn/fake", "/console/drain/maybe"):
            assert (await here.post(wrong)).status_code == 404


async def test_the_gateway_is_drained_by_a_button_and_people_are_told(tmp_path: Path) -> None:
    async with console(tmp_path) as here:
        assert (await here.post("/console/drain/on")).status_code == 303
        page = await here.page()
        assert "no orders are taken" in page.text
        assert "/console/drain/on" not in page.all("form", "action")
        await here.network.receive(here.network.event(Said(text="/make a fox")))
        await here.network.until(lambda: here.network.shown and "try again" in here.network.last.text)
        assert (await here.post("/console/drain/off")).status_code == 303
        assert "no orders are taken" not in (await here.page()).text
        await here.make()


class Oddly:
    @hookimpl
    def register_backends(self, register: Register[Backend]) -> None:
        register(FakeBackend(ODD))


async def test_a_name_of_a_backend_is_text_and_one_address(tmp_path: Path) -> None:
    async with console(tmp_path, Oddly) as here:
        page = await here.page_with(ODD)
        (address,) = [one for one in page.all("form", "action") if "/drain/%3C" in one]
        assert (await here.post(address)).status_code == 303
        await here.page_with("draining")
        assert not here.runtime.fleet.members[ODD].takes_jobs


async def test_the_table_of_backends_asks_none_of_them(tmp_path: Path) -> None:
    asked = 0

    async def count() -> None:
        nonlocal asked
        asked += 1

    async with console(tmp_path) as here:
        await here.page_with("up")
        here.backend.before_describe = count
        for _ in range(5):
            await here.page()
        assert asked <= 1, "what the gateway looks itself"


# --- charts


def cells(page: str, figure: str) -> list[list[str]]:
    """The rows of a chart's table."""
    part = page.partition(f"<figure class='{figure}'>")[2].partition("</figure>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", part.partition("<tbody>")[2])
    return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td>(.*?)</td>", row)] for row in rows]


async def test_the_charts_tell_what_the_records_say(tmp_path: Path) -> None:
    async with console(tmp_path) as here:
        now = here.runtime.clock.now()
        hour = now.replace(minute=0, second=0, microsecond=0)
        half = timedelta(minutes=30)
        jobs = [
            *(ended(n, hour - half, seconds=600 + n) for n in range(3)),
            ended(3, hour - half, state="failed", seconds=5),
            ended(4, hour - timedelta(hours=5), workflow="<i>odd</i>", seconds=8),
            ended(5, now - timedelta(hours=30)),
        ]
        await keep(here.runtime.store, jobs)
        text = (await here.get("/console")).text
        finished = {row[0]: row[1:] for row in cells(text, "finished")}
        assert len(finished) == 24
        assert finished[f"{hour - half:%H:00}"] == ["3", "1"]
        assert finished[f"{hour - timedelta(hours=5):%H:00}"] == ["1", "0"]
        assert sum(int(row[0]) + int(row[1]) for row in finished.values()) == 5, (
            "the one of yesterday is none of today's"
        )
        assert cells(text, "seconds") == [
            ["/make", "", "601.0 s", "601.8 s", "3"],
            ["/&lt;i&gt;odd&lt;/i&gt;", "", "8.0 s", "8.0 s", "1"],
        ]


async def test_a_backend_is_used_for_as_long_as_any_job_ran_there(tmp_path: Path) -> None:
    async with console(tmp_path) as here:
        now = here.runtime.clock.now()
        minute = timedelta(minutes=1)
        jobs = [
            ended(0, now - 10 * minute, seconds=600),
            ended(1, now - 15 * minute, seconds=600),  # half of it beside the other
            ended(2, now - 50 * minute, seconds=1200),  # half of it before the last hour
            ended(3, now, backend="gone", seconds=60),
        ]
        await keep(here.runtime.store, jobs)
        assert cells((await here.get("/console")).text, "use") == [["fake", "", "42%", "3"]]


async def test_the_queue_is_as_long_as_jobs_waited(tmp_path: Path) -> None:
    async with console(tmp_path) as here:
        at = here.runtime.clock.now().replace(second=0, microsecond=0) - timedelta(hours=1)
        at -= timedelta(minutes=at.minute % 5)
        await keep(here.runtime.store, [ended(n, at, waited=150, seconds=150) for n in range(4)])
        rows = {row[0]: row[1:] for row in cells((await here.get("/console")).text, "queue")}
        assert len(rows) == 36
        assert rows[f"{at - timedelta(minutes=5):%H:%M}"] == ["2.0", "2.0"]
        assert rows[f"{at:%H:%M}"] == ["0.0", "0.0"]


@given(spans=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 60)), max_size=12))
def test_averages_add_up_to_the_time_that_the_spans_took(spans: list[tuple[int, int]]) -> None:
    """Whatever the spans are: what they took within three hours is what the averages say, and busy is at most that."""
    first = datetime(2026, 1, 1, tzinfo=UTC)
    end = first + timedelta(minutes=180)
    minutes = [(first + timedelta(minutes=begin), first + timedelta(minutes=begin + long)) for begin, long in spans]
    total = sum(max(0.0, (min(stop, end) - start).total_seconds()) for start, stop in minutes)
    assert sum(averages(minutes, first, end)) * 300 == pytest.approx(total)
    busy = busy_seconds(minutes, first, end)
    assert busy <= min(total, 10_800) + 1e-6
    covered = {minute for begin, long in spans for minute in range(begin, begin + long) if minute < 180}
    assert busy == pytest.approx(60 * len(covered))


async def test_charts_say_from_when_they_count_where_too_much_ended() -> None:
    clock = FakeClock()
    store = FakeStore([JOBS], clock)
    history = History(store, clock)
    now = clock.now()
    await keep(store, [ended(n, now - timedelta(seconds=10 * n)) for n in range(MOST_AT_ONCE + 700)])
    look = await history.look()
    assert not look.is_whole
    assert len(look.ended) >= MOST_AT_ONCE
    assert f"since {look.since:%H:%M} UTC only" in charts(look, ["fake"])
    assert look.since > now - timedelta(hours=24)
    await clock.advance(60)
    await keep(store, [ended(999_999, clock.now())])
    later = await history.look()
    assert len(later.ended) == len(look.ended) + 1
    assert later.ended[-1].key == "past999999"


async def test_looking_again_reads_only_what_is_new() -> None:
    clock = FakeClock()
    store = FakeStore([JOBS], clock)
    history = History(store, clock)
    await keep(store, [ended(n, clock.now()) for n in range(3)])
    first = await history.look()
    assert await history.look() is first, "fresh enough"
    await clock.advance(60)
    await keep(store, [ended(n, clock.now()) for n in range(3, 5)])
    assert [job.key for job in (await history.look()).ended] == [f"past{n:06d}" for n in range(5)]
    await clock.advance(24 * 3600 + 30)
    assert [job.key for job in (await history.look()).ended] == []


# --- in a browser


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
async def test_the_page_in_a_browser(tmp_path: Path, browser: "Browser", width: int) -> None:
    """Nothing wider than the screen, what moves is seen without a reload, and its buttons work from the page itself."""
    async with console(tmp_path) as here:
        await here.make(f"{EVIL} {'word' * 100}")
        here.backend.hold = True
        await here.make("a lighthouse")
        page = await browser.new_page(viewport={"width": width, "height": 800})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: errors.append(dialog.message))
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        await page.goto(f"{here.url}/console")
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await page.get_by_role("button", name="Cancel").click()
        await here.network.until(lambda: "Cancelled" in here.network.last.text)
        await page.get_by_text("Nothing waits or runs.").wait_for(timeout=10_000)
        here.backend.hold = False
        await here.make("a forest at night")
        await page.mouse.move(0, 0)
        await page.evaluate("document.activeElement.blur()")
        await page.get_by_text("a forest at night").wait_for(timeout=10_000)
        await page.get_by_role("button", name="Load workflows again").click()
        await page.get_by_text("Nothing waits or runs.").wait_for()
        assert errors == []
        assert all(request.startswith(here.url) for request in requests)
        await page.close()
