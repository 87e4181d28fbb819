"""The one port: what it lets through, and what it says when it does not."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from chatelier import OperatorMust, guard
from chatelier.core.http.application import Health, application
from chatelier.core.http.hosts import host_name, is_loopback
from chatelier.core.http.server import Address, serve
from chatelier.core.http.tokens import WRONG_A_MINUTE, Entrance, closed, login_routes
from chatelier.core.settings import Http
from chatelier.core.testing.clock import FakeClock

SECRET = "correct horse battery staple"  # noqa: S105 - opens nothing but the tests' own port


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"hello by {request.method}")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


async def healthy() -> Health:
    return Health(ready=True, store="fine")


async def ill() -> Health:
    return Health(ready=False, store="does not answer", stalls=["plugin x"])


@asynccontextmanager
async def port(http: Http, health: Any = healthy) -> AsyncIterator[Address]:
    routes = [
        Route("/open", hello, methods=["GET", "POST"]),
        Route("/hooks/vendor", hello, methods=["POST"]),
        Route("/page", hello, methods=["GET", "POST"], middleware=[guard(http, "chat")]),
        Route("/console", hello, middleware=[guard(http, "console")]),
        WebSocketRoute("/socket", echo, middleware=[guard(http, "chat")]),
    ]
    async with serve(application(http, routes, health), http.host, http.port) as address:
        yield address


@asynccontextmanager
async def client(http: Http, health: Any = healthy) -> AsyncIterator[httpx.AsyncClient]:
    async with port(http, health) as address, httpx.AsyncClient(base_url=address.url, trust_env=False) as browser:
        yield browser


def locked() -> Http:
    return Http(port=0, token=SecretStr(SECRET))


async def test_health_is_there_for_everybody_and_its_reasons_only_for_operators() -> None:
    async with client(Http(port=0), ill) as here:
        assert (await here.get("/healthz")).status_code == 200
        answer = await here.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["stalls"] == ["plugin x"]
    async with client(Http(port=0, console_token=SecretStr(SECRET))) as stranger:
        answer = await stranger.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"ready": True})
        told = await stranger.get("/readyz", headers={"Authorization": f"Bearer {SECRET}"})
        assert told.json()["store"] == "fine"


@pytest.mark.parametrize(
    "host", ["localhost:9", "127.0.0.1", "127.8.8.8:80", "[::1]:8080", "art.localhost", "studio.example"]
)
async def test_its_own_names_are_answered(host: str) -> None:
    async with client(Http(port=0, public_url="https://studio.example")) as browser:
        assert (await browser.get("/open", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "user@localhost", "192.0.2.7", "localhost/x", ""]
)
async def test_a_foreign_name_is_refused_in_one_sentence(host: str) -> None:
    async with client(Http(port=0, public_url="https://studio.example")) as browser:
        answer = await browser.get("/open", headers={"Host": host})
        assert answer.status_code in {400, 421}
        if host:
            assert "http.host" in answer.text
            assert answer.headers["x-content-type-options"] == "nosniff"


async def test_on_all_networks_the_address_that_was_called_is_its_name() -> None:
    async with client(Http(host="0.0.0.0", port=0)) as browser:  # noqa: S104 - what is tested
        assert (await browser.get("/open")).status_code == 200
        assert (await browser.get("/open", headers={"Host": "10.9.9.9"})).status_code == 421


async def test_another_sites_page_may_neither_write_nor_read() -> None:
    async with client(Http(port=0, public_url="https://studio.example")) as browser:
        own = str(browser.base_url).rstrip("/")
        for origin in ("https://evil.example", "null", "http://localhost:1"):
            assert (await browser.post("/open", headers={"Origin": origin})).status_code == 403
            assert (await browser.get("/open", headers={"Origin": origin})).status_code == 403
        assert (await browser.post("/open", headers={"Origin": own})).status_code == 200
        assert (await browser.post("/open", headers={"Origin": "https://studio.example"})).status_code == 200
        assert (await browser.post("/open")).status_code == 403
        assert (await browser.get("/open")).status_code == 200


async def test_programs_that_bring_their_own_proof_need_no_origin() -> None:
    async with client(locked()) as program:
        assert (await program.post("/hooks/vendor")).status_code == 200
        assert (await program.post("/page", headers={"Authorization": f"Bearer {SECRET}"})).status_code == 200
        assert (await program.post("/page", headers={"Authorization": "Bearer no"})).status_code == 401


async def test_every_answer_forbids_foreign_scripts_and_frames() -> None:
    async with client(Http(port=0)) as browser:
        for path in ("/open", "/healthz", "/nothing", "/login/style.css"):
            headers = (await browser.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert headers["referrer-policy"] == "no-referrer"


async def test_without_a_token_the_page_is_for_this_machine_alone() -> None:
    async with client(Http(port=0)) as here:
        assert (await here.get("/page")).status_code == 200
        for name in ("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "X-Real-IP", "Via", "CF-Connecting-IP"):
            through_a_proxy = await here.get("/page", headers={name: "127.0.0.1"})
            assert through_a_proxy.status_code == 403
            assert "http.token" in through_a_proxy.text


async def test_what_the_world_can_reach_is_closed_without_its_token() -> None:
    """A plain proxy sends its own address as the host and says nothing of who asks."""
    http = Http(port=0, public_url="https://studio.example", console_token=SecretStr(SECRET))
    async with port(http) as address, httpx.AsyncClient(base_url=address.url, trust_env=False) as browser:
        for accept in ("text/html", "*/*"):
            answer = await browser.get("/page", headers={"Accept": accept})
            assert answer.status_code == 403
            assert "http.token" in answer.text
            assert "<form" not in answer.text
        url = address.url.replace("http", "ws") + "/socket"
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, origin="https://studio.example", proxy=None)  # type: ignore[arg-type] # a plain str
        assert refused.value.response.status_code == 403
        assert (await browser.get("/console")).status_code == 401
        assert (await browser.get("/console", headers={"Authorization": f"Bearer {SECRET}"})).status_code == 200
        assert (await browser.get("/healthz")).status_code == 200
    async with client(Http(port=0, public_url="https://studio.example", token=SecretStr(SECRET)), ill) as browser:
        console = await browser.get("/console")
        assert (console.status_code, "http.console_token" in console.text) == (403, True)
        assert (await browser.get("/readyz")).json() == {"ready": False}


@pytest.mark.parametrize("url", ["", "http://localhost:8080", "http://127.0.0.1", "http://[::1]:9"])
async def test_a_public_url_of_this_machine_closes_nothing(url: str) -> None:
    assert closed(Http(port=0, public_url=url)) == []
    async with client(Http(port=0, public_url=url)) as here:
        assert (await here.get("/page")).status_code == 200


@given(st.ip_addresses(), st.sampled_from(["localhost", "studio.example"]))
def test_only_loopback_counts_as_this_machine(address: Any, host: str) -> None:
    http = Http(port=0)
    scope = {"type": "http", "path": "/", "headers": [(b"host", host.encode())], "client": (str(address), 5)}
    plain = getattr(address, "ipv4_mapped", None) or address
    expected = plain.is_loopback and host == "localhost"
    assert Entrance(http, "chat").lets_in(HTTPConnection(scope)) == expected


async def test_without_the_token_a_browser_gets_a_form_and_a_program_a_sentence() -> None:
    async with client(locked()) as browser:
        page = await browser.get("/page", headers={"Accept": "text/html"})
        assert page.status_code == 401
        assert 'action="/login/chat"' in page.text
        assert "http.token" in page.text
        plain = await browser.get("/page")
        assert plain.status_code == 401
        assert plain.text.count("\n") == 0
        assert SECRET not in page.text + plain.text


def header_of(browser: httpx.AsyncClient) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}


async def log_in(browser: httpx.AsyncClient, token: str, back: str = "/page") -> httpx.Response:
    own = str(browser.base_url).rstrip("/")
    fields = {"token": token, "next": back}
    return await browser.post("/login/chat", data=fields, headers={"Origin": own, "Accept": "text/html"})


async def test_the_token_opens_the_page_by_a_cookie_that_is_not_the_token() -> None:
    async with client(locked()) as browser:
        assert (await log_in(browser, "wrong")).status_code == 401
        answer = await log_in(browser, SECRET)
        assert (answer.status_code, answer.headers["location"]) == (303, "/page")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert "secure" not in cookie.lower()
        assert SECRET not in cookie
        assert (await browser.get("/page")).status_code == 200
        assert (await browser.get("/page", headers={"Cookie": "chatelier_chat=forged"})).status_code == 401


async def test_a_cookie_outlives_a_restart_but_not_its_token() -> None:
    async with client(locked()) as browser:
        await log_in(browser, SECRET)
        cookie = header_of(browser)
    async with client(locked()) as again:
        assert (await again.get("/page", headers=cookie)).status_code == 200
    async with client(Http(port=0, token=SecretStr("another"))) as changed:
        assert (await changed.get("/page", headers=cookie)).status_code == 401


async def test_each_token_opens_its_own_door() -> None:
    http = Http(port=0, token=SecretStr(SECRET), console_token=SecretStr("for the operator"))
    async with client(http) as browser:
        await log_in(browser, SECRET)
        assert (await browser.get("/page")).status_code == 200
        assert (await browser.get("/console")).status_code == 401
        operator = await browser.get("/console", headers={"Authorization": "Bearer for the operator"})
        assert operator.status_code == 200


async def test_behind_https_the_cookie_travels_by_https_only() -> None:
    http = Http(port=0, token=SecretStr(SECRET), public_url="https://studio.example")
    async with client(http) as browser:
        answer = await log_in(browser, SECRET)
        assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/\\evil.example", "evil", "", "/\tx"])
async def test_a_login_never_leads_to_another_site(back: str) -> None:
    async with client(locked()) as browser:
        assert (await log_in(browser, SECRET, back)).headers["location"] == "/"


async def test_guessing_is_slowed_down_but_does_not_lock_others_out() -> None:
    async with client(locked()) as browser:
        await log_in(browser, SECRET)
        cookie = header_of(browser)
        browser.cookies.clear()
        for _ in range(WRONG_A_MINUTE):
            assert (await log_in(browser, "guess")).status_code in {401, 429}
        barred = await log_in(browser, SECRET)
        assert barred.status_code == 429
        assert "minute" in barred.text
        assert (await browser.get("/page", headers=cookie)).status_code == 200


async def test_an_endless_login_and_an_unknown_door_are_refused() -> None:
    async with client(locked()) as browser:
        assert (await log_in(browser, "x" * 50_000)).status_code == 401
        own = str(browser.base_url).rstrip("/")
        assert (await browser.post("/login/cellar", headers={"Origin": own})).status_code == 404


async def test_a_socket_needs_the_token_and_the_right_origin() -> None:
    async with port(locked()) as address:
        url = address.url.replace("http", "ws") + "/socket"
        bearer = {"Authorization": f"Bearer {SECRET}"}
        async with connect(url, origin=address.url, additional_headers=bearer, proxy=None) as socket:  # type: ignore[arg-type] # a plain str
            await socket.send("hello")
            assert await socket.recv() == "hello"
        for origin, headers, status in (
            (address.url, {}, 401),
            ("https://evil.example", bearer, 403),
            (None, {}, 403),
        ):
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, origin=origin, additional_headers=headers, proxy=None)  # type: ignore[arg-type] # a plain str
            assert refused.value.response.status_code == status


async def test_a_port_in_use_is_named_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(OperatorMust, match=rf"{taken}.*127\.0\.0\.1.*http\.port"):
            async with serve(hello_app, "127.0.0.1", taken):
                pass


async def test_a_host_that_is_not_this_machine_is_named() -> None:
    for host in ("192.0.2.1", "no.such.host.invalid"):
        with pytest.raises(OperatorMust, match=r"http\.host"):
            async with serve(hello_app, host, 0):
                pass


async def hello_app(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("hello")(scope, receive, send)


async def test_an_error_in_the_block_comes_out_as_it_is_and_frees_the_port() -> None:
    with pytest.raises(OperatorMust, match="mine"):
        async with serve(hello_app, "127.0.0.1", 0) as address:
            raise OperatorMust("mine")
    async with serve(hello_app, "127.0.0.1", address.port) as again:
        assert again.port == address.port


async def test_signals_stay_the_gateways() -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with serve(hello_app, "localhost", 0) as address, httpx.AsyncClient(trust_env=False) as browser:
        assert signal.getsignal(signal.SIGTERM) is before
        assert (await browser.get(address.url)).text == "hello"


async def test_stopping_ends_open_sockets() -> None:
    async with port(Http(port=0)) as address:
        url = address.url.replace("http", "ws") + "/socket"
        socket_ = await connect(url, origin=address.url, proxy=None)  # type: ignore[arg-type] # a plain str
    async with asyncio.timeout(5):
        await socket_.wait_closed()


def test_addresses_open_from_this_machine() -> None:
    assert Address("0.0.0.0", 80).url == "http://127.0.0.1:80"  # noqa: S104 - what is tested
    assert Address("::1", 80).url == "http://[::1]:80"


@given(st.text())
def test_any_host_header_is_read_without_an_error(header: str) -> None:
    name = host_name(header)
    assert "@" not in name
    is_loopback(name)


async def test_wrong_tokens_are_forgotten_after_a_minute() -> None:
    clock = FakeClock()
    entrance = Entrance(locked(), "chat", clock)
    here = HTTPConnection({"type": "http", "path": "/", "headers": [], "client": ("192.0.2.9", 1)})
    for _ in range(WRONG_A_MINUTE):
        assert not entrance.accepts("guess", here)
    assert not entrance.accepts(SECRET, here)
    await clock.advance(61)
    assert entrance.accepts(SECRET, here)
    assert len(login_routes(locked())) == 2
