"""The Slack of the tests refuses what the vendor refuses, asked with plain HTTP and a plain socket, without any adapter."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from websockets.asyncio.client import ClientConnection, connect

from chatelier.core.http.server import serve
from peers.slack import ACK_SECONDS, ADA, BOT, BURST, DM, GENERAL, RETRY_SECONDS, SlackPeer, signed

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde\x00\x00\x00\x0cIDATx"
    b"\xdac\xf8\xcf\xc0\x00\x00\x03\x01\x01\x00\x18\xdd\x8d\xb0\x00\x00\x00\x00IEND\xaeB`\x82"
)
SOON = 0.2


@pytest.fixture
async def peer() -> AsyncIterator[SlackPeer]:
    async with SlackPeer(ack_seconds=SOON, retry_seconds=(0.0, SOON, SOON)).live() as peer:
        yield peer


async def ask(peer: SlackPeer, method: str, token: str = SlackPeer.bot_token, **given: Any) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await client.post(f"{peer.base_url}{method}", json=given, headers=headers)


async def error(peer: SlackPeer, method: str, **given: Any) -> str:
    answer = (await ask(peer, method, **given)).json()
    assert answer["ok"] is ("error" not in answer)
    return str(answer.get("error", ""))


def button(n: int = 0, **changes: Any) -> dict[str, Any]:
    return {"type": "button", "action_id": f"a{n}", "text": {"type": "plain_text", "text": "x"}, "value": "v"} | changes


def section(text: str, kind: str = "section") -> dict[str, Any]:
    return {"type": kind, "text": {"type": "plain_text", "text": text}}


def rich(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(elements)}]}


TOO_MUCH = {
    "51 blocks": ([section("x")] * 51, "invalid_blocks"),
    "a section of 3,001": ([section("x" * 3_001)], "invalid_blocks"),
    "a header of 151": ([section("x" * 151, "header")], "invalid_blocks"),
    "a markdown block of 12,001": ([{"type": "markdown", "text": "x" * 12_001}], "invalid_blocks"),
    "26 elements": ([{"type": "actions", "elements": [button(n) for n in range(26)]}], "invalid_blocks"),
    "a button's text of 76": (
        [{"type": "actions", "elements": [button(text={"type": "plain_text", "text": "x" * 76})]}],
        "invalid_blocks",
    ),
    "a value of 2,001": ([{"type": "actions", "elements": [button(value="v" * 2_001)]}], "invalid_blocks"),
    "an action_id of 256": ([{"type": "actions", "elements": [button(action_id="a" * 256)]}], "invalid_blocks"),
    "an action_id twice": ([{"type": "actions", "elements": [button(1), button(1)]}], "invalid_blocks"),
    "an empty text": ([rich({"type": "text", "text": ""})], "invalid_blocks"),
    "a style that there is not": ([rich({"type": "text", "text": "x", "style": {"big": True}})], "invalid_blocks"),
    "an unknown block": ([{"type": "poem"}], "invalid_blocks"),
    "an unknown file": ([{"type": "image", "slack_file": {"id": "F0"}, "alt_text": "x"}], "invalid_blocks"),
    "14,000 characters in all": ([section("x" * 2_800)] * 5, "msg_blocks_too_long"),
}


@pytest.mark.parametrize("what", TOO_MUCH)
async def test_blocks_have_limits(what: str, peer: SlackPeer) -> None:
    blocks, said = TOO_MUCH[what]
    assert await error(peer, "chat.postMessage", channel=DM, text="x", blocks=blocks) == said
    assert not peer.sent()


async def test_what_is_just_within_the_limits_is_taken(peer: SlackPeer) -> None:
    blocks = [
        section("x" * 3_000),
        section("x" * 150, "header"),
        *[{"type": "actions", "elements": [button(25 * row + n) for n in range(25)]} for row in range(2)],
        rich({"type": "text", "text": "x", "style": {"bold": True}}),
    ]
    assert not await error(peer, "chat.postMessage", channel=DM, text="x" * 40_000, blocks=blocks)
    markdown = [{"type": "markdown", "text": "x" * 12_000}]
    assert not await error(peer, "chat.postMessage", channel=GENERAL, text="x", blocks=markdown)


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        ("chat.postMessage", {"channel": DM}, "no_text"),
        ("chat.postMessage", {"channel": DM, "text": "x" * 40_001}, "msg_too_long"),
        ("chat.postMessage", {"channel": "C404", "text": "x"}, "channel_not_found"),
        ("chat.update", {"channel": DM, "ts": "1.1", "text": "x"}, "message_not_found"),
        ("chat.delete", {"channel": DM, "ts": "1.1"}, "message_not_found"),
        ("chat.postEphemeral", {"channel": GENERAL, "user": "U404", "text": "x"}, "user_not_in_channel"),
        ("users.info", {"user": "U404"}, "user_not_found"),
        ("conversations.open", {"users": BOT}, "cannot_dm_bot"),
        ("files.info", {"file": "F404"}, "file_not_found"),
        ("files.upload", {}, "unknown_method"),
        ("views.open", {"trigger_id": "never", "view": {}}, "invalid_trigger_id"),
        ("reactions.add", {"channel": DM, "timestamp": "1.1", "name": "eyes"}, "message_not_found"),
    ],
)
async def test_what_is_not_there_has_the_vendors_name(
    method: str, given: dict[str, Any], said: str, peer: SlackPeer
) -> None:
    assert await error(peer, method, **given) == said


async def test_only_ones_own_messages_are_changed_and_private_ones_never(peer: SlackPeer) -> None:
    theirs = peer.says("mine")
    assert await error(peer, "chat.update", channel=DM, ts=theirs["ts"], text="x") == "cant_update_message"
    assert await error(peer, "chat.delete", channel=DM, ts=theirs["ts"]) == "cant_delete_message"
    private = (await ask(peer, "chat.postEphemeral", channel=GENERAL, user=ADA, text="for you")).json()
    gone = await error(peer, "chat.update", channel=GENERAL, ts=private["message_ts"], text="x")
    assert gone == "message_not_found"


async def test_who_is_not_invited_does_not_write(peer: SlackPeer) -> None:
    peer.channels[GENERAL].members.discard(BOT)
    assert await error(peer, "chat.postMessage", channel=GENERAL, text="x") == "not_in_channel"


@pytest.mark.parametrize(
    ("method", "token", "said"),
    [
        ("auth.test", "", "not_authed"),
        ("auth.test", "xoxb-wrong", "invalid_auth"),
        ("auth.test", SlackPeer.app_token, "not_allowed_token_type"),
        ("apps.connections.open", SlackPeer.bot_token, "not_allowed_token_type"),
    ],
)
async def test_a_token_opens_what_it_is_for(method: str, token: str, said: str, peer: SlackPeer) -> None:
    assert (await ask(peer, method, token)).json()["error"] == said


async def test_a_scope_that_is_lacking_is_named(peer: SlackPeer) -> None:
    peer.scopes = "commands"
    answer = (await ask(peer, "chat.postMessage", channel=DM, text="x")).json()
    assert (answer["error"], answer["needed"]) == ("missing_scope", "chat:write")


# --- rates


async def test_a_channel_takes_one_message_a_second_after_a_burst(peer: SlackPeer) -> None:
    answers = [await ask(peer, "chat.postMessage", channel=DM, text="x") for _ in range(BURST + 1)]
    assert [each.status_code for each in answers] == [200] * BURST + [429]
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert (await ask(peer, "chat.postMessage", channel=GENERAL, text="x")).status_code == 200


async def test_a_message_is_changed_fifty_times_a_minute(peer: SlackPeer) -> None:
    ts = (await ask(peer, "chat.postMessage", channel=DM, text="x")).json()["ts"]
    answers = [await ask(peer, "chat.update", channel=DM, ts=ts, text="x") for _ in range(51)]
    assert [each.status_code for each in answers] == [200] * 50 + [429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 61
    assert answers[-1].json()["error"] == "ratelimited"


@pytest.mark.parametrize(
    ("method", "most", "given"),
    [("apps.connections.open", 20, {}), ("files.delete", 50, {"file": "F404"}), ("users.info", 100, {"user": ADA})],
)
async def test_methods_have_their_tiers(method: str, most: int, given: dict[str, Any], peer: SlackPeer) -> None:
    token = peer.app_token if method.startswith("apps.") else peer.bot_token
    answers = [await ask(peer, method, token, **given) for _ in range(most + 1)]
    assert [each.status_code for each in answers] == [200] * most + [429]


# --- files


async def uploaded(peer: SlackPeer, data: bytes, said: int = 0) -> tuple[str, int]:
    given = (await ask(peer, "files.getUploadURLExternal", filename="a.png", length=said or len(data))).json()
    async with httpx.AsyncClient(trust_env=False) as client:
        status = (await client.post(given["upload_url"], content=data)).status_code
    return given["file_id"], status


async def test_a_share_is_told_later_and_by_the_file(peer: SlackPeer) -> None:
    file, status = await uploaded(peer, PNG)
    assert status == 200
    answer = (await ask(peer, "files.completeUploadExternal", files=[{"id": file}], channel_id=DM)).json()
    assert "ts" not in json.dumps(answer)
    (shown,) = peer.sent()
    told = (await ask(peer, "files.info", file=file)).json()["file"]
    assert told["shares"]["public"][DM] == [{"ts": shown["ts"]}]


async def test_a_file_is_as_long_as_it_was_said_to_be(peer: SlackPeer) -> None:
    assert (await uploaded(peer, PNG, said=len(PNG) + 1))[1] == 400
    assert (await error(peer, "files.getUploadURLExternal", filename="a", length=(1 << 30) + 1)).startswith(
        "file_upload"
    )


async def test_the_file_of_a_message_is_not_swapped(peer: SlackPeer) -> None:
    file, _ = await uploaded(peer, PNG)
    await ask(peer, "files.completeUploadExternal", files=[{"id": file}], channel_id=DM)
    (shown,) = peer.sent()
    given = {"channel": DM, "ts": shown["ts"], "text": "x", "blocks": [section("x")]}
    assert await error(peer, "chat.update", **given) == "cant_update_message"


async def test_a_picture_is_shown_once_slack_is_done_with_it(peer: SlackPeer) -> None:
    file, _ = await uploaded(peer, PNG)
    await ask(peer, "files.completeUploadExternal", files=[{"id": file}])
    blocks = [{"type": "image", "slack_file": {"id": file}, "alt_text": "x"}]
    assert await error(peer, "chat.postMessage", channel=DM, text="x", blocks=blocks) == "invalid_blocks"
    await ask(peer, "files.info", file=file)
    assert await error(peer, "chat.postMessage", channel=DM, text="x", blocks=blocks) == ""
    del blocks[0]["alt_text"]
    assert await error(peer, "chat.postMessage", channel=DM, text="x", blocks=blocks) == "invalid_blocks"


async def test_a_file_without_the_token_is_a_page_to_log_in(peer: SlackPeer) -> None:
    url = peer.keeps(PNG)["url_private"]
    async with httpx.AsyncClient(trust_env=False) as client:
        page = await client.get(url)
        assert (page.status_code, page.headers["content-type"].split(";")[0]) == (200, "text/html")
        assert (await client.get(url, headers={"Authorization": f"Bearer {peer.bot_token}"})).content == PNG


async def test_metadata_is_told_to_who_asks_for_it(peer: SlackPeer) -> None:
    mark = {"event_type": "m", "event_payload": {"key": "k"}}
    await ask(peer, "chat.postMessage", channel=DM, text="x", metadata=mark)
    plain = (await ask(peer, "conversations.history", channel=DM)).json()["messages"]
    marked = (await ask(peer, "conversations.history", channel=DM, include_all_metadata=True)).json()["messages"]
    assert [each.get("metadata") for each in (*plain, *marked)] == [None, mark]


# --- forms


def view(**changes: Any) -> dict[str, Any]:
    words = {"type": "plain_text", "text": "x"}
    element = {"type": "plain_text_input", "action_id": "value"}
    block = {"type": "input", "block_id": "prompt", "label": words, "element": element}
    shown = {
        "type": "modal",
        "title": words,
        "submit": words,
        "close": words,
        "private_metadata": "",
        "blocks": [block],
    }
    return shown | changes


def choices(count: int) -> list[dict[str, Any]]:
    element = {"type": "static_select", "options": [{"text": {"text": str(n)}, "value": str(n)} for n in range(count)]}
    return [{"type": "input", "block_id": "x", "label": {"text": "x"}, "element": element}]


@pytest.mark.parametrize(
    "changes",
    [
        {"title": {"type": "plain_text", "text": "x" * 25}},
        {"private_metadata": "x" * 3_001},
        {"blocks": view()["blocks"] * 101},
        {"blocks": choices(101)},
    ],
    ids=["a title of 25", "metadata of 3,001", "101 blocks", "101 options"],
)
async def test_forms_have_limits(changes: dict[str, Any], peer: SlackPeer) -> None:
    trigger = peer.trigger()
    assert await error(peer, "views.open", trigger_id=trigger, view=view(**changes)) == "invalid_arguments"
    assert await error(peer, "views.open", trigger_id=trigger, view=view(blocks=choices(100))) == ""
    assert await error(peer, "views.open", trigger_id=trigger, view=view()) == "exchanged_trigger_id"


async def test_a_trigger_is_good_for_three_seconds(peer: SlackPeer) -> None:
    trigger = peer.trigger()
    peer.expire()
    assert await error(peer, "views.open", trigger_id=trigger, view=view()) == "expired_trigger_id"


async def test_an_address_for_answers_is_good_for_five(peer: SlackPeer) -> None:
    url = peer.response_url(DM, ADA)
    async with httpx.AsyncClient(trust_env=False) as client:
        assert [(await client.post(url, json={"text": "x"})).status_code for _ in range(6)] == [200] * 5 + [404]


async def test_an_address_for_answers_is_good_for_half_an_hour(peer: SlackPeer) -> None:
    url = peer.response_url(DM, ADA)
    peer.expire_addresses()
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(url, json={"text": "x"})
    assert (answer.status_code, answer.json()["error"]) == (404, "expired_url")


# --- sockets


async def dial(peer: SlackPeer) -> ClientConnection:
    url = (await ask(peer, "apps.connections.open", SlackPeer.app_token)).json()["url"]
    return await connect(url, proxy=None)


async def heard(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        told: dict[str, Any] = json.loads(await socket.recv())
        return told


async def test_what_is_not_acknowledged_is_told_three_times_more(peer: SlackPeer) -> None:
    assert list(RETRY_SECONDS) == [0, 60, 300], "at once, after a minute, after five"
    assert ACK_SECONDS == 3
    async with await dial(peer) as socket:
        assert (await heard(socket))["type"] == "hello"
        peer.says("hello")
        told = [await heard(socket) for _ in range(4)]
    assert len({each["payload"]["event_id"] for each in told}) == 1
    assert [each.get("retry_attempt") for each in told] == [None, 1, 2, 3]
    assert len({each["envelope_id"] for each in told}) == 4


async def test_a_command_is_told_once(peer: SlackPeer) -> None:
    async with await dial(peer) as socket:
        await heard(socket)
        peer.types("/chatelier", "help")
        assert (await heard(socket))["type"] == "slash_commands"
        peer.says("and now")
        assert (await heard(socket))["type"] == "events_api"


async def test_a_press_is_told_once(peer: SlackPeer) -> None:
    blocks = [{"type": "actions", "elements": [button()]}]
    await ask(peer, "chat.postMessage", channel=DM, text="x", blocks=blocks)
    async with await dial(peer) as socket:
        await heard(socket)
        peer.presses(peer.sent()[-1], "x")
        assert (await heard(socket))["type"] == "interactive"
        peer.says("and now")
        assert (await heard(socket))["type"] == "events_api"


async def test_a_server_refreshes_its_sockets(peer: SlackPeer) -> None:
    async with await dial(peer) as socket:
        await heard(socket)
        await peer.until(lambda: peer.sockets)
        await peer.refresh()
        assert await heard(socket) == {"type": "disconnect", "reason": "refresh_requested"}


async def test_an_acknowledged_event_is_told_to_one_socket_and_once(peer: SlackPeer) -> None:
    async with await dial(peer) as one, await dial(peer) as other:
        await heard(one)
        await heard(other)
        peer.says("hello")
        (delivery,) = peer.deliveries
        first = {asyncio.create_task(heard(one)): one, asyncio.create_task(heard(other)): other}
        (done,), (left,) = await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        await first[done].send(json.dumps({"envelope_id": done.result()["envelope_id"]}))
        async with asyncio.timeout(5):
            await delivery.done.wait()
        left.cancel()
        await asyncio.wait([left])


async def test_the_eleventh_socket_is_one_too_many_and_a_ticket_is_for_once(peer: SlackPeer) -> None:
    sockets = [await dial(peer) for _ in range(11)]
    told = [await heard(each) for each in sockets]
    assert [each["type"] for each in told] == ["hello"] * 10 + ["disconnect"]
    assert told[-1]["reason"] == "too_many_websockets"
    for each in sockets:
        await each.close()


# --- by HTTP


async def test_what_is_sent_by_http_is_signed_and_sent_again(peer: SlackPeer) -> None:
    got: list[Request] = []
    bodies: list[bytes] = []
    answers = [500, 404, 200]

    async def take(request: Request) -> Response:
        got.append(request)
        bodies.append(await request.body())
        return PlainTextResponse("", answers[len(got) - 1])

    async with serve(Starlette(routes=[Route("/slack", take, methods=["POST"])]), "127.0.0.1", 0) as address:
        peer.request_url = f"{address.url}/slack"
        peer.says("hello")
        await peer.until(peer.deliveries[-1].done.is_set)
    assert [each.headers.get("x-slack-retry-num") for each in got] == [None, "1", "2"]
    at = float(got[0].headers["x-slack-request-timestamp"])
    assert signed(bodies[0], peer.signing_secret, at)["X-Slack-Signature"] == got[0].headers["x-slack-signature"]


async def test_a_mention_is_told_twice_under_two_ids(peer: SlackPeer) -> None:
    peer.says(f"<@{BOT}> help", channel=GENERAL)
    told = [each.payload for each in peer.deliveries]
    assert [each["event"]["type"] for each in told] == ["app_mention", "message"]
    assert len({each["event_id"] for each in told}) == 2
    assert len({each["event"]["ts"] for each in told}) == 1
