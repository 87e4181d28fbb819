"""Workspaces that install the app by themselves: each is an account, on line at once and after a restart, until it uninstalls it."""

import asyncio
import io
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import structlog
import yaml
from click.testing import CliRunner
from pydantic import SecretStr, ValidationError

from chatelier import ChatRef, Gone, Outgoing, Reply, Unavailable, token
from chatelier.core.chat.inbox import ARRIVALS
from chatelier.core.chat.outbox import MESSAGES, Address, post
from chatelier.core.cli.commands import program
from chatelier.core.cli.context import load_config
from chatelier.core.cli.doctor import findings
from chatelier.core.gateway import Runtime
from chatelier.core.http.application import application
from chatelier.core.http.server import serve
from chatelier.core.people.people import PEOPLE
from chatelier.core.settings import Http
from chatelier.core.testing.logs import sent_to
from chatelier.core.testing.network import NOT_DECLARED, PROVED, Check, plain
from chatelier.platforms.slack import words
from chatelier.platforms.slack.install import STATE_SECONDS, STATES_KEPT, States
from chatelier.platforms.slack.manifest import EVENTS, GOING, SCOPES
from chatelier.platforms.slack.records import INSTALLATIONS, KINDS, STATES, Installation, State
from chatelier.platforms.slack.settings import AccountSettings, SlackSettings
from chatelier.platforms.slack.webhook import route
from chatelier.platforms.slack.workspaces import App, followed
from chatelier.testing import PLATFORM_CHECKS, FakeClock, FakeStore, Network, ScriptedGateway
from gateways import configured, gateway
from networks import healthy
from peers.slack import ADA, BOB, DM, GENERAL, TEAM, SlackPeer, text_of, unheard
from slack_network import PING_SECONDS, OnSlack, hurried, on_line, slack_settings

PUBLIC = "https://art.example"
REDIRECT = f"{PUBLIC}/slack/oauth_redirect"
OTHER = "T02"
CONSOLE, HOME, ANOTHER = "open-sesame-please", "xoxb-home", "xoxb-another"


class Browser:
    """Of somebody who may install apps. It keeps cookies as a browser does that came by https."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies: dict[str, str] = {}

    async def get(self, path: str) -> httpx.Response:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": cookie} if cookie else {}
        async with httpx.AsyncClient(trust_env=False, base_url=self.url) as client:
            answer = await client.get(path, headers=headers)
        for line in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if "1970" in morsel["expires"]:
                    del self.cookies[name]
        return answer

    async def begin(self) -> str:
        """Where the page leads to."""
        page = await self.get("/slack/install")
        assert page.status_code == 200
        found = re.search(r'href="(https?://[^"]+/oauth/v2/authorize[^"]+)"', page.text)
        assert found
        return found[1].replace("&amp;", "&")

    async def back(self, address: str) -> httpx.Response:
        parts = urlsplit(address)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == REDIRECT
        return await self.get(f"{parts.path}?{parts.query}")


class Place:
    """A gateway, Slack, and somebody's browser."""

    def __init__(self, peer: SlackPeer, runtime: Runtime) -> None:
        self.peer = peer
        self.runtime = runtime
        self.url = f"http://127.0.0.1:{runtime.settings.http.port}"
        self.browser = Browser(self.url)

    async def install(self, team: str = OTHER) -> httpx.Response:
        return await self.browser.back(self.peer.allows(await self.browser.begin(), team))

    async def row(self, team: str = OTHER) -> Installation | None:
        return await self.runtime.store.get(INSTALLATIONS, f"slack.{team}")

    async def is_here(self, team: str = OTHER, *, there: bool = True) -> None:
        """Until its account is on line, or gone."""
        changes = self.runtime.store.changes(INSTALLATIONS)
        async with asyncio.timeout(15):
            while (f"slack.{team}" in self.runtime.accounts) is not there:
                await changes.wait(0.05)
            while there and self.runtime.accounts[f"slack.{team}"].connection.health.state != "up":
                await changes.wait(0.05)

    async def is_here_or_there(self, other: Runtime) -> None:
        """Until one of two gateways has the account on line."""
        changes = self.runtime.store.changes(INSTALLATIONS)
        name = f"slack.{OTHER}"
        async with asyncio.timeout(15):
            while not any(
                name in each.accounts and each.accounts[name].connection.health.state == "up"
                for each in (self.runtime, other)
            ):
                await changes.wait(0.05)

    async def answers(self, channel: str, words_: str = "help") -> None:
        before = len(self.peer.sent(channel))
        self.peer.says(words_, channel=channel)
        await self.peer.until(lambda: len(self.peer.sent(channel)) > before, 20)

    async def keeps_nothing(self) -> None:
        assert await self.row() is None
        assert list(self.runtime.accounts) == ["slack"]


def config(folder: Path, peer: SlackPeer, **more: Any) -> Path:
    own = {
        "client_id": peer.client_id,
        "client_secret": peer.client_secret,
        "app_token": peer.app_token,
        "signing_secret": peer.signing_secret,
        "base_url": peer.base_url,
        **more,
    }
    http = {"port": free_port(), "public_url": PUBLIC, "token": "t" * 12, "console_token": CONSOLE}
    return configured(folder, platforms={"slack": own, "web": {"enabled": False}}, http=http)


def free_port() -> int:
    with socket.socket() as listening_:
        listening_.bind(("127.0.0.1", 0))
        return int(listening_.getsockname()[1])


@asynccontextmanager
async def living(folder: Path, peer: SlackPeer, **more: Any) -> AsyncIterator[Place]:
    async with gateway(config(folder, peer, **more)) as here:
        place = Place(peer, here.runtime)
        if more.get("mode") == "http":
            peer.request_url = f"{place.url}/hooks/slack"
        await until_up(here.runtime, "slack")
        yield place


async def until_up(runtime: Runtime, account: str) -> None:
    changes = runtime.store.changes(INSTALLATIONS)
    async with asyncio.timeout(15):
        while runtime.accounts[account].connection.health.state != "up":
            await changes.wait(0.05)


@pytest.fixture
async def peer() -> AsyncIterator[SlackPeer]:
    async with hurried().live() as peer:
        peer.redirect_urls = {REDIRECT}
        peer.revoke(TEAM)
        peer.joined(OTHER)
        yield peer


@pytest.fixture
async def place(peer: SlackPeer, tmp_path: Path) -> AsyncIterator[Place]:
    async with living(tmp_path, peer) as place:
        yield place


HERS, THEIRS = f"D{OTHER}{ADA}", f"C{OTHER}"


# --- the way in


async def test_the_page_leads_to_slack_with_the_scopes_of_the_manifest(place: Place) -> None:
    page = await place.browser.get("/slack/install")
    cookie = page.headers["set-cookie"]
    assert all(part in cookie.lower() for part in ("secure", "httponly", "samesite=lax", f"max-age={STATE_SECONDS}"))
    assert page.headers["cache-control"] == "no-store"
    url = await place.browser.begin()
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert url.startswith(place.peer.url)
    assert (asked["client_id"], asked["redirect_uri"]) == (place.peer.client_id, REDIRECT)
    assert asked["scope"].split(",") == list(SCOPES)
    assert asked["state"] in place.browser.cookies.values()
    assert asked["state"] not in str(await place.runtime.store.find(STATES, order="created")), "only its digest is kept"


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_workspaces_work_at_once_side_by_side_and_after_a_restart(
    mode: str, peer: SlackPeer, tmp_path: Path
) -> None:
    async with living(tmp_path, peer, mode=mode) as place:
        for team in (TEAM, OTHER):
            done = await place.install(team)
            assert done.status_code == 200
            assert place.peer.teams[team].name in done.text
            assert not place.browser.cookies, "what bound the browser is used up"
            await place.is_here(team)
        assert peer.count("oauth.v2.access") == 2
        for channel in (DM, HERS):
            await place.answers(channel)
        peer.says(f"<@{peer.bot_in(OTHER)}> help", channel=THEIRS, user=BOB)
        peer.types("/chatelier", "help", channel=HERS)
        await peer.until(lambda: peer.sent(THEIRS) and len(peer.sent(HERS)) == 2, 20)
        said = {one for method, one in peer.tokens if method == "chat.postMessage"}
        assert said == {peer.teams[TEAM].token, peer.teams[OTHER].token}
        handles = {handle for person in await people(place.runtime) for handle in person.handles}
        assert handles >= {f"slack/{TEAM}:{ADA}", f"slack/{OTHER}:{ADA}"}
        assert (await place.runtime.condition()).accounts == {
            "slack": "up",
            f"slack.{TEAM}": "up",
            f"slack.{OTHER}": "up",
        }
        assert mode == "http" or len(peer.sockets) == 1, "one socket for all"
    async with living(tmp_path, peer, mode=mode) as place:
        for team, channel in ((TEAM, DM), (OTHER, HERS)):
            await place.is_here(team)
            await place.answers(channel)
        assert not peer.sent(GENERAL)


async def people(runtime: Runtime) -> list[Any]:
    found = [await runtime.store.get(PEOPLE, f"slack/{team}:{ADA}", by="handles") for team in (TEAM, OTHER)]
    assert all(found)
    assert len({one.key for one in found if one}) == 2, "the same id in two workspaces is two persons"
    return found


async def test_a_picture_a_form_and_a_button_in_an_installed_workspace(place: Place) -> None:
    await place.install()
    await place.is_here()
    place.peer.says("make a fox", channel=HERS)

    def results() -> list[dict[str, Any]]:
        return [each for each in place.peer.sent(HERS) if place.peer.bytes_of(each) and "Tweak" in str(each)]

    await place.peer.until(results, 40)
    place.peer.presses(results()[0], "Tweak", channel=HERS)
    await place.peer.until(lambda: place.peer.views)
    place.peer.submits(place.peer.views[0], {"prompt": "a green fox"}, team=OTHER)
    await place.peer.until(lambda: any("green" in text_of(each) for each in results()), 40)
    place.peer.uses(place.peer.says("look", channel=THEIRS), "use_as_input", channel=THEIRS)
    await place.peer.until(lambda: words.NO_FILES in str(place.peer.responses))
    used = {one for method, one in place.peer.tokens if method != "apps.connections.open" and one}
    assert {one for one in used if one.startswith("xoxb")} == {place.peer.teams[OTHER].token}


# --- what does not get in


async def test_who_does_not_allow_it_is_told_so_and_nothing_is_kept(place: Place) -> None:
    refused = place.peer.denies(await place.browser.begin())
    said = await place.browser.back(refused)
    assert words.NOT_DONE["access_denied"].split(",")[0] in said.text
    assert not place.peer.count("oauth.v2.access")
    assert not await place.runtime.store.find(STATES, order="created")
    await place.keeps_nothing()


async def test_a_state_is_good_once_in_its_own_browser_and_for_ten_minutes(place: Place) -> None:
    stranger = Browser(place.url)
    address = place.peer.allows(await place.browser.begin(), OTHER)
    cookies = dict(place.browser.cookies)
    for other, address_ in ((stranger, address), (place.browser, re.sub("state=[^&]*", "state=", address))):
        said = await other.back(address_)
        assert said.status_code == 400
        assert "did not begin in this browser" in said.text
    place.browser.cookies = dict(cookies)
    assert (await place.browser.back(address)).status_code == 200
    place.browser.cookies = dict(cookies)
    again = await place.browser.back(address)
    assert again.status_code == 401
    assert "used before" in again.text
    assert place.peer.count("oauth.v2.access") == 1


async def test_a_state_is_forgotten_in_time_and_a_flood_of_them_is_bounded() -> None:
    clock = FakeClock()
    store = FakeStore(KINDS, clock)
    states = States(store, "slack")
    old = await states.async_issue()
    assert not await States(store, "slack.shop").async_consume(old), "it is another app's"
    await clock.advance(STATE_SECONDS + 1)
    assert not await states.async_consume(old)
    await states.async_issue()
    await clock.advance(STATE_SECONDS + 1)
    new = await states.async_issue()
    assert len(await store.find(STATES, order="created")) == 1
    assert await states.async_consume(new)
    assert not await states.async_consume(new)

    async def flood(tx: Any) -> None:
        for n in range(STATES_KEPT):
            await tx.insert(STATES, State(key=str(n), created=tx.now))

    await store.atomically(flood)
    await states.async_issue()
    assert len(await store.find(STATES, order="created", limit=2 * STATES_KEPT)) == STATES_KEPT


@pytest.mark.parametrize(
    ("what", "reason", "status"),
    [
        ("code", "invalid_code", 400),
        ("old", "invalid_code", 400),
        ("address", "bad_redirect_uri", 400),
        ("secret", "bad_client_secret", 400),
        ("no code", "missing_code", 401),
        ("organization", "whole_organization", 400),
        ("rotation", "token_rotation", 400),
        ("no token", "no_bot", 400),
        ("team", "no_bot", 400),
        ("away", "no_answer", 503),
    ],
)
async def test_what_slack_refuses_is_told_and_nothing_is_kept(
    what: str, reason: str, status: int, place: Place
) -> None:
    peer = place.peer
    address = peer.allows(await place.browser.begin(), OTHER)
    match what:
        case "code":
            address = re.sub("code=[^&]*", "code=guessed", address)
        case "no code":
            address = re.sub("code=[^&]*&", "", address)
        case "old":
            peer.expire_codes()
        case "address":
            next(iter(peer.codes.values())).redirect_uri = "https://other.example"
        case "secret":
            peer.client_secret = ANOTHER
        case "organization":
            peer.answers_more = {"is_enterprise_install": True, "team": None, "enterprise": {"id": "E1", "name": "x"}}
        case "rotation":
            peer.answers_more = {"expires_in": 43_200, "refresh_token": "xoxe-1"}
        case "no token":
            peer.answers_more = {"access_token": None}
        case "team":
            peer.answers_more = {"team": {"id": "T1.x/..", "name": "x"}}
        case "away":
            peer.fault = lambda method, _: unheard_503() if method == "oauth.v2.access" else None
    said = await place.browser.back(address)
    assert said.status_code == status
    told = words.NOT_DONE.get(reason, reason)
    assert told in said.text
    assert peer.count("oauth.v2.access") == (what != "no code"), "never asked twice"
    await place.keeps_nothing()
    peer.fault = None
    assert (await place.browser.back(address)).status_code == 400, "the browser is not bound to it any more"


def unheard_503() -> Any:
    answer = unheard()
    answer.status_code = 503
    return answer


async def test_an_error_of_the_address_is_never_html(place: Place) -> None:
    said = await place.browser.get("/slack/oauth_redirect?error=<script>alert(1)</script>")
    assert "<script>" not in said.text
    assert words.NOT_DONE_OTHER.format(reason="unknown") in said.text
    said = await place.browser.get("/slack/oauth_redirect?error=invalid_scope")
    assert "invalid_scope" in said.text


async def test_without_a_public_address_the_page_says_who_must_do_what(peer: SlackPeer, tmp_path: Path) -> None:
    path = config(tmp_path, peer)
    whole = yaml.safe_load(path.read_text())
    whole["http"] = {"port": 0}
    path.write_text(yaml.safe_dump(whole))
    async with gateway(path) as here:
        said = await Browser(here.url).get("/slack/install")
        assert said.status_code == 503
        assert "http.public_url" in said.text


async def test_the_workspace_of_the_bot_token_is_no_second_account(peer: SlackPeer, tmp_path: Path) -> None:
    peer.joined("T03")
    peer.teams[OTHER].token = HOME
    async with living(tmp_path, peer, bot_token=HOME) as place:
        said = await place.install(OTHER)
        assert words.NOT_DONE["already_here"].replace("'", "'") in said.text
        assert list(place.runtime.accounts) == ["slack"]
        await place.install("T03")
        await place.is_here("T03")
        await place.answers(HERS)
        await place.answers(f"DT03{ADA}")
        rows = await place.runtime.store.find(ARRIVALS, order="received")
        assert {row.account for row in rows} == {"slack", "slack.T03"}


async def test_a_bot_token_that_is_lost_takes_no_other_workspace_along(peer: SlackPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer) as place:
        await place.install()
    async with living(tmp_path, peer, bot_token=HOME) as place:
        assert "does not know the bot token" in place.runtime.health()["slack"].detail
        await place.is_here()
        await place.answers(HERS)


async def test_two_gateways_on_one_store_answer_once_and_take_over_from_each_other(
    peer: SlackPeer, tmp_path: Path
) -> None:
    """The page is the other one's, which has neither the socket nor, at first, any account."""
    name = f"slack.{OTHER}"
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(living(tmp_path, peer))
        async with gateway(config(tmp_path, peer)) as second:
            place = Place(peer, second.runtime)
            assert (await place.install()).status_code == 200
            await first.is_here_or_there(second.runtime)
            await place.answers(HERS)
            assert len(peer.sent(HERS)) == 1
            held = [each.accounts[name].is_held for each in (first.runtime, second.runtime)]
            assert sorted(held) == [False, True]
            await stack.aclose()
            await until_up(second.runtime, "slack")
            await until_up(second.runtime, name)
            await place.answers(HERS)
            assert len(peer.sent(HERS)) == 2


# --- what comes in


@asynccontextmanager
async def listening(peer: SlackPeer, *teams: str, **more: Any) -> AsyncIterator[tuple[App, ScriptedGateway]]:
    """The app with these workspaces, and a gateway that only listens."""
    gateway_ = ScriptedGateway(KINDS)
    for team in teams:
        peer.teams[team].token = peer.teams[team].token or f"xoxb-of-{team}"
        await insert(gateway_, peer, team)
    async with app_running(peer, gateway_, **more) as app:
        yield app, gateway_


@asynccontextmanager
async def app_running(peer: SlackPeer, gateway_: ScriptedGateway, **more: Any) -> AsyncIterator[App]:
    settings = slack_settings(peer, **more).model_copy(
        update={"client_id": peer.client_id, "client_secret": SecretStr(peer.client_secret), "bot_token": SecretStr("")}
    )
    app = App("slack", settings, PUBLIC, ping_seconds=PING_SECONDS)
    async with followed([app], gateway_), on_line(app, gateway_):
        yield app


async def insert(gateway_: ScriptedGateway, peer: SlackPeer, team: str) -> None:
    row = Installation(
        key=f"slack.{team}",
        app="slack",
        team=team,
        title=peer.teams[team].name,
        user=peer.bot_in(team),
        token=peer.teams[team].token,
        installed=datetime.now(UTC) - timedelta(hours=1),
    )
    await gateway_.store.atomically(lambda tx: tx.insert(INSTALLATIONS, row))


async def test_what_is_for_nobody_is_acknowledged_and_counted_and_stored_nowhere(peer: SlackPeer) -> None:
    peer.joined("T03")
    async with listening(peer, OTHER) as (app, gateway_):
        told = [peer.tell({"type": "message", "channel": "C9", "user": ADA, "text": "x", "ts": "1.1"}, team="T03")]
        told.append(peer.types("/chatelier", "help", channel=f"DT03{ADA}"))
        told.append(peer.tell({"type": "app_uninstalled"}, team="T03"))
        peer.says("help", channel=HERS)
        event = await gateway_.next_event()
        assert event.chat.platform == f"slack.{OTHER}"
        await peer.until(lambda: all(each.done.is_set() for each in told))
        assert app.strangers == {"T03": 2}
        assert len(gateway_.events) == 1
        assert not peer.dead - {"xoxb-1"}


async def test_in_a_shared_channel_it_is_for_who_installed_the_app(peer: SlackPeer) -> None:
    """Slack Connect: the envelope names the team of whoever spoke, and `authorizations` the one that it is for."""
    async with listening(peer, TEAM, OTHER) as (_, gateway_):
        said = {
            "type": "message",
            "channel": GENERAL,
            "user": "U9",
            "text": "make a fox",
            "ts": "1.1",
            "user_team": OTHER,
        }
        peer.tell(said, team=TEAM, by=OTHER)
        event = await gateway_.next_event()
        assert event.chat == ChatRef(platform=f"slack.{TEAM}", chat=GENERAL)
        assert event.sender == f"slack/{OTHER}:U9"


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_it_is_durable_before_it_is_acknowledged_for_each_workspace(mode: str, peer: SlackPeer) -> None:
    refusals = {f"slack.{TEAM}": 1, f"slack.{OTHER}": 2}

    async def away(event: Any) -> None:
        if refusals[event.chat.platform]:
            refusals[event.chat.platform] -= 1
            raise Unavailable("the store is away")

    async with listening(peer, TEAM, OTHER, mode=mode) as (app, gateway_):
        gateway_.answer = away
        async with served(app) as url:
            peer.request_url = url if mode == "http" else ""
            peer.says("one")
            peer.says("two", channel=HERS)
            heard = {(await gateway_.next_event()).chat.platform for _ in range(2)}
        assert heard == set(refusals)
        assert not any(refusals.values()), "it was told again until it was stored"


@asynccontextmanager
async def served(app: App) -> AsyncIterator[str]:
    async with serve(application(Http(), [route(app)], healthy), "127.0.0.1", 0) as address:
        yield f"{address.url}{app.hook_path}"


async def test_another_processs_installation_is_heard_at_once(peer: SlackPeer) -> None:
    """Its first message may be here before the store has hinted at it."""
    async with listening(peer) as (app, gateway_):
        peer.teams[OTHER].token = ANOTHER
        await insert(gateway_, peer, OTHER)
        peer.says("help", channel=HERS)
        assert (await gateway_.next_event()).chat.platform == f"slack.{OTHER}"
        assert [one.name for one in app.installations.known] == [f"slack.{OTHER}"]


@asynccontextmanager
async def on_workspace(gateway_: ScriptedGateway) -> AsyncIterator[Network]:
    """A person in a workspace that installed the app."""
    gateway_.declare(list(KINDS))
    async with hurried().live() as peer:
        await insert(gateway_, peer, TEAM)
        async with app_running(peer, gateway_) as app:
            (workspace,) = app.installations.known
            gateway_.online.clear()
            async with on_line(workspace, gateway_):
                yield OnSlack(workspace, peer)


@pytest.mark.parametrize("check", PLATFORM_CHECKS, ids=lambda check: check.__name__)
async def test_a_workspace_is_an_account_by_the_published_suite(check: Check) -> None:
    assert await check(on_workspace) in {PROVED, NOT_DECLARED}


# --- how they go, and come back


@pytest.mark.parametrize(
    "event", [{"type": "app_uninstalled"}, {"type": "tokens_revoked", "tokens": {"bot": ["UT02BOT"], "oauth": []}}]
)
async def test_a_workspace_that_uninstalls_it_goes_and_comes_back_with_its_name(
    event: Mapping[str, Any], place: Place
) -> None:
    peer, runtime = place.peer, place.runtime
    await place.install()
    await place.is_here()
    await place.answers(HERS)
    old = peer.teams[OTHER].token
    peer.fault = lambda method, _: unheard_503() if method == "chat.postMessage" else None
    await say(runtime, HERS, "never sent")
    peer.revoke(OTHER)
    told = peer.tell(dict(event), team=OTHER)
    await peer.until(told.done.is_set)
    row = await place.row()
    assert row is not None
    assert row.ended, "marked before it was acknowledged"
    assert (row.token, row.why) == ("", words.UNINSTALLED.format(title="Potters"))
    await place.is_here(there=False)
    assert await failed(runtime, "never sent") == row.why
    sends = peer.count("chat.postMessage")
    await say(runtime, HERS, "nor this")
    peer.repeat()
    await peer.until(lambda: all(each.done.is_set() for each in peer.deliveries))
    assert peer.count("chat.postMessage") == sends

    peer.fault = None
    assert (await place.install()).status_code == 200
    await place.is_here()
    assert peer.teams[OTHER].token != old
    stale = peer.tell(dict(event), team=OTHER)
    late = peer.tell(dict(event), team=OTHER, at=datetime.now(UTC).timestamp() - 3_600)
    await peer.until(lambda: stale.done.is_set() and late.done.is_set())
    await place.answers(HERS)
    row = await place.row()
    assert row is not None
    assert row.ended is None


async def test_coming_and_going_leaves_nothing_behind(place: Place) -> None:
    async def come_and_go() -> None:
        await place.install()
        await place.is_here()
        await place.answers(HERS)
        place.peer.revoke(OTHER)
        place.peer.tell({"type": "app_uninstalled"}, team=OTHER)
        await place.is_here(there=False)
        await place.peer.until(lambda: all(each.done.is_set() for each in place.peer.deliveries))

    def alive() -> set[str]:
        return {re.sub(r"\d+", "", task.get_name()) for task in asyncio.all_tasks() if OTHER in task.get_name()}

    for _ in range(5):
        await come_and_go()
        async with asyncio.timeout(10):
            while alive():
                await asyncio.wait([task for task in asyncio.all_tasks() if OTHER in task.get_name()], timeout=0.1)
    rows = await place.runtime.store.find(INSTALLATIONS, {"app": "slack"}, order="installed")
    assert len(rows) == 1
    assert not place.runtime.accounts["slack"].platform.installations.known  # type: ignore[attr-defined]


async def test_tokens_of_people_are_none_of_ours(place: Place) -> None:
    await place.install()
    told = place.peer.tell({"type": "tokens_revoked", "tokens": {"oauth": [ADA], "bot": []}}, team=OTHER)
    await place.peer.until(told.done.is_set)
    await place.is_here()
    await place.answers(HERS)


@pytest.mark.parametrize("when", ["away", "sending"])
async def test_who_uninstalled_it_unheard_is_noticed_when_slack_refuses_the_token(
    when: str, peer: SlackPeer, tmp_path: Path
) -> None:
    async with living(tmp_path, peer) as place:
        await place.install()
        await place.is_here()
        if when == "sending":
            peer.revoke(OTHER)
            await say(place.runtime, HERS, "hello")
            await place.is_here(there=False)
            assert await failed(place.runtime, "hello") == words.UNINSTALLED.format(title="Potters")
    if when == "away":
        peer.revoke(OTHER)
        async with living(tmp_path, peer) as place:
            await place.is_here(there=False)
            row = await place.row()
            assert row is not None
            assert row.ended


async def test_a_new_token_of_a_workspace_takes_the_place_of_the_old_one(place: Place) -> None:
    await place.install()
    await place.is_here()
    place.peer.revoke(OTHER)
    await place.install()
    await place.is_here()
    await place.answers(HERS)
    assert list(place.runtime.accounts) == ["slack", f"slack.{OTHER}"]


async def say(runtime: Runtime, channel: str, text: str) -> None:
    to = Address(chat=ChatRef(platform=f"slack.{OTHER}", chat=channel, direct=True), sender=f"slack/{OTHER}:{ADA}")
    await runtime.store.atomically(lambda tx: post(tx, to, [Reply(text=text)], cause=text))


async def failed(runtime: Runtime, text: str) -> str:
    """Why, once it is."""
    changes = runtime.store.changes(MESSAGES)
    async with asyncio.timeout(15):
        while True:
            rows = await runtime.store.find(MESSAGES, order="created")
            row = next(one for one in rows if one.reply.text == text)
            if row.state == "failed":
                return row.words
            await changes.wait(0.1)


# --- for the operator


async def test_the_tokens_stand_in_no_log_no_metric_and_no_repr(peer: SlackPeer, tmp_path: Path) -> None:
    heard = io.StringIO()
    with sent_to(heard):
        async with living(tmp_path, peer) as place:
            await place.install()
            await place.is_here()
            secret = peer.teams[OTHER].token
            row = await place.row()
            assert row is not None
            assert row.token == secret
            assert secret not in repr(row)
            structlog.stdlib.get_logger("test").warning("it slipped out", what=f"a {secret}", row=vars_of(row))
            await place.answers(HERS)
            headers = {"Authorization": f"Bearer {CONSOLE}"}
            async with httpx.AsyncClient(trust_env=False, base_url=place.url, headers=headers) as client:
                metrics = await client.get("/metrics")
    assert "it slipped out" in heard.getvalue()
    assert f'account="slack.{OTHER}"' in metrics.text
    for hidden in (secret, peer.client_secret, next(iter(peer.codes))):
        assert hidden not in heard.getvalue()
        assert hidden not in metrics.text


def vars_of(row: Installation) -> dict[str, Any]:
    return {each.name: getattr(row, each.name) for each in fields(row)}


async def test_doctor_looks_at_each_workspace(peer: SlackPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer) as place:
        await place.install()
        await place.is_here()
    assert await looked_at(tmp_path, peer) == {"slack": "its network answers", f"slack.{OTHER}": "its network answers"}
    peer.scopes = "chat:write"
    assert "files:read" in (await looked_at(tmp_path, peer))[f"slack.{OTHER}"]
    peer.client_secret = ANOTHER
    assert "bad_client_secret" in (await looked_at(tmp_path, peer, client_secret="wrong"))["slack"]
    peer.revoke(OTHER)
    assert "Potters must install the app again" in (await looked_at(tmp_path, peer))[f"slack.{OTHER}"]
    assert "signing_secret" in (await looked_at(tmp_path, peer, mode="http", signing_secret=""))["slack"]


async def looked_at(folder: Path, peer: SlackPeer, **more: Any) -> dict[str, str]:
    settings, plugins = load_config(config(folder, peer, **more))
    found = [one async for one in findings(settings, plugins, [])]
    return {one.what.removeprefix("account "): one.words for one in found if one.what.startswith("account slack")}


def chatelier(folder: Path, *arguments: str) -> Any:
    command = ["slack", *arguments, "--config", str(folder / "config.yaml")]
    return CliRunner().invoke(program, command, catch_exceptions=False)


async def test_an_operator_sees_the_workspaces_and_takes_the_app_out_of_one(peer: SlackPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer) as place:
        none = await asyncio.to_thread(chatelier, tmp_path, "workspaces")
        assert "No workspace" in none.output
        await place.install()
        await place.is_here()
        listed = await asyncio.to_thread(chatelier, tmp_path, "workspaces")
        assert re.search(rf"slack\.{OTHER}  Potters  installed \d{{4}}-", listed.output)
        unknown = await asyncio.to_thread(chatelier, tmp_path, "remove", "slack.T99")
        assert unknown.exit_code == 2
        gone = await asyncio.to_thread(chatelier, tmp_path, "remove", f"slack.{OTHER}")
        assert gone.exit_code == 0
        assert "is removed" in gone.output
        assert peer.count("apps.uninstall") == 1
        assert not peer.teams[OTHER].token
        await place.is_here(there=False)
        listed = await asyncio.to_thread(chatelier, tmp_path, "workspaces")
        assert words.REMOVED in listed.output
        await place.install()
        await place.is_here()
        peer.client_secret = ANOTHER
        gone = await asyncio.to_thread(chatelier, tmp_path, "remove", f"slack.{OTHER}")
        assert "bad_client_secret" in gone.output
        await place.is_here(there=False)


def test_the_manifest_has_the_redirect_and_the_events_of_going(tmp_path: Path) -> None:
    own = {"client_id": "1.2", "client_secret": "secret"}
    configured(tmp_path, platforms={"slack": own}, http={"port": 0, "public_url": PUBLIC})
    made = yaml.safe_load(chatelier(tmp_path, "manifest").output)
    assert made["oauth_config"]["redirect_urls"] == [REDIRECT]
    assert made["settings"]["event_subscriptions"]["bot_events"] == sorted([*EVENTS, *GOING])
    configured(tmp_path, platforms={"slack": own})
    refused = chatelier(tmp_path, "manifest")
    assert refused.exit_code == 2
    assert "http.public_url" in refused.output
    configured(tmp_path, platforms={"slack": {"bot_token": "xoxb-1"}})
    made = yaml.safe_load(chatelier(tmp_path, "manifest").output)
    assert "redirect_urls" not in made["oauth_config"]
    assert made["settings"]["event_subscriptions"]["bot_events"] == list(EVENTS)


def test_an_id_and_its_secret_belong_together_and_to_one_account() -> None:
    own = {"client_id": "1.2", "client_secret": "secret"}
    for alone in own.items():
        with pytest.raises(ValidationError, match="belong together"):
            AccountSettings.model_validate(dict([alone]))
    with pytest.raises(ValidationError, match="same client_id"):
        SlackSettings.model_validate({**own, "accounts": {"shop": own}})
    both = SlackSettings.model_validate({**own, "accounts": {"shop": {"bot_token": "xoxb-1"}}})
    assert list(both.by_name) == ["slack", "slack.shop"]


async def test_what_the_environment_says_to_the_library_changes_nothing(
    peer: SlackPeer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library would keep installations in files of its own, where these are set; operators keep the secrets there."""
    monkeypatch.setenv("SLACK_CLIENT_ID", peer.client_id)
    monkeypatch.setenv("SLACK_CLIENT_SECRET", peer.client_secret)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    async with living(tmp_path, peer, mode="http") as place:
        await place.install()
        await place.is_here()
        await place.answers(HERS)
    assert not (tmp_path / "home").exists()


async def test_the_app_itself_has_no_conversations(peer: SlackPeer) -> None:
    async with listening(peer) as (app, _):
        message = Outgoing(key=token(), chat=ChatRef(platform="slack", chat=DM, direct=True), text=plain("x"), media=())
        with pytest.raises(Gone, match="no bot token"):
            await app.send(message)
