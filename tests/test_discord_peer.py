"""Discord's servers of the tests refuse what Discord refuses, with its codes: asked with plain HTTP and sockets, without any adapter."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from discord_network import GUILD, SQUARE
from peers.discord import APPLICATION, MESSAGE_CONTENT, UPLOAD, DiscordPeer, Waiting, too_many
from peers.discord_simcord import SimcordPeer

BOOSTED, LOUNGE = 6_000, 6_100
HEARD = 1 | 1 << 9 | 1 << 12
"""Servers, and messages in them and in direct chats."""


@pytest.fixture(params=["ours", "simcord"])
async def peer(request: pytest.FixtureRequest) -> AsyncIterator[DiscordPeer]:
    peer: DiscordPeer = SimcordPeer() if request.param == "simcord" else DiscordPeer()
    peer.guild(GUILD, SQUARE)
    peer.guild(BOOSTED, LOUNGE, tier=2)
    async with peer.live():
        yield peer


async def ask(
    peer: DiscordPeer, method: str, path: str, body: Any = None, files: dict[str, bytes] | None = None, token: str = ""
) -> httpx.Response:
    headers = {"Authorization": f"Bot {token or peer.token}"}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
        if files:
            sent = {f"files[{n}]": file for n, file in enumerate(files.items())}
            return await client.request(
                method, f"{peer.api}{path}", data={"payload_json": json.dumps(body or {})}, files=sent
            )
        return await client.request(method, f"{peer.api}{path}", json=body)


async def say(peer: DiscordPeer, channel: int = SQUARE, files: dict[str, bytes] | None = None, **body: Any) -> Any:
    return await ask(peer, "POST", f"/channels/{channel}/messages", body, files)


def rows(count: int, row: int, *, label: str = "x", custom_id: str = "") -> list[dict[str, Any]]:
    every = [{"type": 2, "style": 2, "label": label, "custom_id": custom_id or f"c{n}"} for n in range(count)]
    return [{"type": 1, "components": every[start : start + row]} for start in range(0, count, row)]


def menu(count: int, *, label: str = "x", value: str = "", custom_id: str = "c", **more: Any) -> dict[str, Any]:
    options = [{"label": label, "value": value or f"v{n}"} for n in range(count)]
    return {"type": 1, "components": [{"type": 3, "custom_id": custom_id, "options": options, **more}]}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"content": "x", "components": [menu(26)]}, 50035),
        ({"content": "x", "components": [menu(0)]}, 50035),
        ({"content": "x", "components": [menu(1, label="x" * 101)]}, 50035),
        ({"content": "x", "components": [menu(1, value="x" * 101)]}, 50035),
        ({"content": "x", "components": [menu(2, value="same")]}, 50035),
        ({"content": "x", "components": [menu(1, custom_id="x" * 101)]}, 50035),
        ({"content": "x", "components": [menu(1, placeholder="x" * 151)]}, 50035),
        ({"content": "x", "components": [menu(1), menu(1)]}, 50035),
        ({"content": "x", "components": [menu(1, custom_id=f"c{n}") for n in range(6)]}, 50035),
        ({"content": "x" * 2_001}, 50035),
        ({"content": " "}, 50006),
        ({"content": "x", "embeds": [{}] * 11}, 50035),
        ({"content": "x", "embeds": [{"description": "x" * 4_000}, {"description": "x" * 2_001}]}, 50035),
        (
            {
                "content": "x",
                "components": [{**menu(25), "components": [*menu(25)["components"], *rows(1, 1)[0]["components"]]}],
            },
            50035,
        ),
        ({"content": "x", "flags": 1 << 15, "components": [{"type": 10, "content": "x"}]}, 50035),
        ({"content": "x", "components": rows(26, 5)}, 50035),
        ({"content": "x", "components": rows(6, 6)}, 50035),
        ({"content": "x", "components": rows(1, 1, label="x" * 81)}, 50035),
        ({"content": "x", "components": rows(1, 1, custom_id="x" * 101)}, 50035),
        ({"content": "x", "components": rows(2, 2, custom_id="same")}, 50035),
        ({"content": "x", "nonce": "x" * 26}, 50035),
        ({"content": "x", "message_reference": {"message_id": "7"}}, 50035),
        ({"content": "x", "attachments": [{"id": n} for n in range(11)]}, 50035),
        ({"content": "x", "attachments": [{"id": 0, "description": "x" * 1_025}]}, 50035),
    ],
)
async def test_a_message_that_breaks_a_rule_is_refused(peer: DiscordPeer, body: dict[str, Any], code: int) -> None:
    answer = await say(peer, **body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert not peer.messages


async def test_a_file_is_as_large_as_its_server_allows(peer: DiscordPeer) -> None:
    large = {"a.png": bytes(UPLOAD + 1)}
    answer = await say(peer, files=large)
    assert (answer.status_code, answer.json()["code"]) == (413, 40005)
    assert (await say(peer, LOUNGE, files=large)).status_code == 200
    assert (await say(peer, files={f"{n}.png": b"x" for n in range(11)})).json()["code"] == 50035


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/channels/7/messages", 404, 10003),
        ("PATCH", f"/channels/{SQUARE}/messages/7", 404, 10008),
        ("DELETE", f"/channels/{SQUARE}/messages/7", 404, 10008),
        ("GET", "/nowhere", 404, 0),
    ],
)
async def test_what_is_not_there_is_said(peer: DiscordPeer, method: str, path: str, status: int, code: int) -> None:
    answer = await ask(peer, method, path, {"content": "x"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_wrong_token_another_persons_message_and_closed_direct_messages_are_refused(peer: DiscordPeer) -> None:
    assert (await ask(peer, "GET", "/users/@me", token="wrong")).status_code == 401
    theirs = peer.says("mine", channel=SQUARE)
    assert (await ask(peer, "PATCH", f"/channels/{SQUARE}/messages/{theirs['id']}", {"content": "x"})).json()[
        "code"
    ] == 50005
    peer.closed_to.add(42)
    assert (await say(peer, peer.direct(42), content="x")).json()["code"] == 50007


async def test_a_nonce_makes_two_messages_one_for_five_minutes(peer: DiscordPeer) -> None:
    once: dict[str, Any] = {"content": "x", "nonce": "n1", "enforce_nonce": True}
    first, again = (await say(peer, **once)).json(), (await say(peer, **once)).json()
    assert first["id"] == again["id"]
    assert (await say(peer, **{**once, "enforce_nonce": False})).json()["id"] != first["id"]
    peer.later = 301
    assert (await say(peer, **once)).json()["id"] != first["id"]


async def test_an_edit_keeps_the_files_that_it_lists(peer: DiscordPeer) -> None:
    said = (await say(peer, files={"a.png": b"a", "b.png": b"b"})).json()
    path, (_, second) = f"/channels/{SQUARE}/messages/{said['id']}", said["attachments"]
    body = {"content": "x", "attachments": [{"id": second["id"]}, {"id": "0", "filename": "c.png"}]}
    shown = (await ask(peer, "PATCH", path, body, {"c.png": b"c"})).json()
    assert [each["filename"] for each in shown["attachments"]] == ["b.png", "c.png"]
    assert not (await ask(peer, "PATCH", path, {"content": "x", "attachments": []})).json()["attachments"]


async def test_an_address_of_a_file_is_not_for_ever(peer: DiscordPeer) -> None:
    said = peer.says(files={"a.png": b"a"})
    before = said["attachments"][0]["url"]
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(before)).content == b"a"
        peer.moves_file(said)
        assert (await client.get(before)).status_code == 404
        assert (await client.get(peer.messages[int(said["id"])]["attachments"][0]["url"])).content == b"a"


async def test_components_of_the_second_kind_stay() -> None:
    """On simcord: the account sends none."""
    async with SimcordPeer().live() as there:
        there.guild(GUILD, SQUARE)
        texts = [{"type": 10, "content": "x"}]
        assert (await say(there, flags=1 << 15, components=texts * 41)).json()["code"] == 50035
        assert (await say(there, flags=1 << 15, components=[{"type": 10, "content": "x" * 4_001}])).json()[
            "code"
        ] == 50035
        said = (await say(there, flags=1 << 15, components=texts)).json()
        path = f"/channels/{SQUARE}/messages/{said['id']}"
        assert (await ask(there, "PATCH", path, {"content": "x"})).json()["code"] == 50035


# --- interactions


async def first(peer: DiscordPeer, waiting: Waiting, type_: int, **data: Any) -> httpx.Response:
    body = {"type": type_, **({"data": data} if data else {})}
    return await ask(peer, "POST", f"/interactions/{waiting.id}/{waiting.token}/callback", body)


async def test_a_first_answer_has_three_seconds_and_comes_once(peer: DiscordPeer) -> None:
    late, other = peer.interact(2, {"name": "make"}), peer.interact(2, {"name": "make"})
    assert (await first(peer, other, 5)).status_code == 200
    assert (await first(peer, other, 5)).json()["code"] == 40060
    peer.later = 4
    assert (await first(peer, late, 5)).json()["code"] == 10062


async def test_an_interaction_is_answered_for_a_quarter_of_an_hour(peer: DiscordPeer) -> None:
    waiting = peer.interact(2, {"name": "make"}, channel=SQUARE)
    path = f"/webhooks/{APPLICATION}/{waiting.token}"
    assert (await ask(peer, "POST", path, {"content": "x"})).json()["code"] == 10015, "before its first answer"
    await first(peer, waiting, 5, flags=64)
    assert (await ask(peer, "GET", f"{path}/messages/@original")).json()["flags"] == 64 | 128
    assert (await ask(peer, "PATCH", f"{path}/messages/@original", {"content": "x"})).json()["flags"] == 64
    assert not peer.public(SQUARE), "private by its first answer"
    peer.later = 901
    answer = await ask(peer, "POST", path, {"content": "x"})
    assert (answer.status_code, answer.json()["code"]) == (401, 50027)


FIELD = {"type": 18, "label": "x", "component": {"type": 4, "custom_id": "x", "style": 1}}


@pytest.mark.parametrize(
    "modal",
    [
        {"title": "x" * 46, "components": [FIELD]},
        {"title": "x", "components": [FIELD] * 6},
        {"title": "x", "components": []},
        {"title": "x", "components": [{**FIELD, "label": "x" * 46}]},
        {"title": "x", "components": [{**FIELD, "component": {**FIELD["component"], "value": "x" * 4_001}}]},  # type: ignore[dict-item]
        {"title": "x", "components": [{**FIELD, "component": {"type": 3, "custom_id": "x", "options": [{}] * 26}}]},
    ],
)
async def test_a_modal_has_its_limits(peer: DiscordPeer, modal: dict[str, Any]) -> None:
    answer = await first(peer, peer.interact(2, {"name": "make"}), 9, custom_id="f", **modal)
    assert (answer.status_code, answer.json()["code"]) == (400, 50035)


async def test_no_modal_comes_after_a_first_answer(peer: DiscordPeer) -> None:
    waiting = peer.interact(2, {"name": "make"})
    await first(peer, waiting, 5)
    assert (await first(peer, waiting, 9, custom_id="f", title="x", components=[FIELD])).json()["code"] == 40060


# --- commands


def command(**changes: Any) -> dict[str, Any]:
    return {"type": 1, "name": "make", "description": "x", "options": [], **changes}


def option(**changes: Any) -> dict[str, Any]:
    return {"type": 3, "name": "o", "description": "x", **changes}


@pytest.mark.parametrize(
    "commands",
    [
        [command(name="Make")],
        [command(name="x" * 33)],
        [command(description="")],
        [command(description="x" * 101)],
        [command(), command()],
        [command(options=[option(name=f"o{n}") for n in range(26)])],
        [command(options=[option(choices=[{"name": str(n), "value": str(n)} for n in range(26)])])],
        [command(options=[option(name="a"), option(name="b", required=True)])],
        [command(options=[option(type=4, max_value=2**54)])],
        [command(options=[option(choices=[{"name": "x" * 100, "value": f"{n}" * 100} for n in range(10)])] * 5)],
        [command(name=f"c{n}") for n in range(101)],
    ],
)
async def test_commands_have_their_limits(peer: DiscordPeer, commands: list[dict[str, Any]]) -> None:
    answer = await ask(peer, "PUT", f"/applications/{APPLICATION}/commands", commands)
    assert answer.status_code == 400
    assert answer.json()["code"] in (50035, 30032)
    assert not peer.commands


async def test_a_pause_is_asked_for_as_discord_does(peer: DiscordPeer) -> None:
    peer.fault = lambda *_: too_many(3.5, everywhere=True)
    answer = await say(peer, content="x")
    assert (answer.status_code, answer.json()["retry_after"], answer.json()["global"]) == (429, 3.5, True)
    assert answer.headers["via"], "without it the library takes it for a ban"


async def test_a_route_has_a_bucket_and_tells_of_it(peer: DiscordPeer) -> None:
    peer.bucket = (2, 60.0)
    answers = [await say(peer, content=str(n)) for n in range(3)]
    assert [each.headers["x-ratelimit-remaining"] for each in answers] == ["1", "0", "0"]
    refused = answers[-1]
    assert (refused.status_code, refused.json()["global"]) == (429, False)
    assert 59 < refused.json()["retry_after"] <= 60
    other = (await ask(peer, "POST", "/users/@me/channels", {"recipient_id": "42"})).json()["id"]
    assert (await say(peer, int(other), content="x")).status_code == 200, "another channel has its own"


async def test_an_interaction_takes_files_as_large_as_it_says(peer: DiscordPeer) -> None:
    waiting = peer.interact(2, {"name": "make"}, channel=SQUARE, limit=UPLOAD + 2)
    await first(peer, waiting, 5)
    path = f"/webhooks/{APPLICATION}/{waiting.token}"
    fits = await ask(peer, "POST", path, {"content": "x"}, {"a.png": bytes(UPLOAD + 1)})
    assert fits.status_code == 200
    answer = await ask(peer, "POST", path, {"content": "x"}, {"a.png": bytes(UPLOAD + 3)})
    assert (answer.status_code, answer.json()["code"]) == (413, 40005)


async def test_more_than_fifty_requests_a_second_are_too_many(peer: DiscordPeer) -> None:
    async with httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bot {peer.token}"}) as client:
        answers = await asyncio.gather(*(client.get(f"{peer.api}/users/@me") for _ in range(60)))
    refused = [each for each in answers if each.status_code == 429]
    assert refused
    assert all(each.json()["global"] and 0 < each.json()["retry_after"] <= 1 for each in refused)


async def test_who_is_wrong_too_often_is_shut_out(peer: DiscordPeer) -> None:
    assert peer.invalid == 10_000
    peer.invalid = 3
    answers = [await ask(peer, "GET", "/users/@me", token="wrong") for _ in range(4)]
    assert [each.status_code for each in answers] == [401, 401, 401, 429]
    assert "via" not in answers[-1].headers
    assert (await ask(peer, "GET", "/users/@me")).status_code == 429
    peer.later = 601
    assert (await ask(peer, "GET", "/users/@me")).status_code == 200


async def test_two_hundred_commands_are_made_a_day(peer: DiscordPeer) -> None:
    path = f"/applications/{APPLICATION}/commands"
    for letter in "aab":
        assert (await ask(peer, "PUT", path, [command(name=f"{letter}{n}") for n in range(100)])).status_code == 200
    assert (await ask(peer, "PUT", path, [command(name="c")])).json()["code"] == 30034
    peer.later = 86_401
    assert (await ask(peer, "PUT", path, [command(name="c")])).status_code == 200


# --- the gateway


async def test_sessions_are_counted(peer: DiscordPeer) -> None:
    assert peer.starts == 1_000
    peer.starts = 1
    first = await identified(peer)
    await told(first, "READY")
    second = await identified(peer)
    with pytest.raises(ConnectionClosed) as closed:
        await second.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4004
    await first.close()


async def identified(peer: DiscordPeer, *, intents: int = HEARD, token: str = "") -> ClientConnection:
    socket = await connect(peer.gateway, proxy=None)
    assert json.loads(await socket.recv())["op"] == 10
    await socket.send(json.dumps({"op": 2, "d": {"token": token or peer.token, "intents": intents, "properties": {}}}))
    return socket


@pytest.mark.parametrize(("given", "code"), [({"token": "wrong"}, 4004), ({"intents": MESSAGE_CONTENT}, 4014)])
async def test_a_wrong_token_or_intent_closes_the_connection(peer: DiscordPeer, given: Any, code: int) -> None:
    peer.privileged = False
    socket = await identified(peer, **given)
    with pytest.raises(ConnectionClosed) as closed:
        await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


async def told(socket: ClientConnection, name: str) -> dict[str, Any]:
    while (said := json.loads(await socket.recv()))["t"] != name:
        assert said["op"] == 0
    found: dict[str, Any] = said
    return found


async def test_what_was_missed_is_told_when_the_session_is_resumed(peer: DiscordPeer) -> None:
    socket = await identified(peer)
    ready = await told(socket, "READY")
    last = await told(socket, "GUILD_CREATE")
    last = await told(socket, "GUILD_CREATE")
    await socket.close()
    peer.says("while you were away", channel=peer.direct(42))
    async with connect(peer.gateway, proxy=None) as again:
        await again.recv()
        resume = {"token": peer.token, "session_id": ready["d"]["session_id"], "seq": last["s"]}
        await again.send(json.dumps({"op": 6, "d": resume}))
        assert (await told(again, "MESSAGE_CREATE"))["d"]["content"] == "while you were away"
        assert json.loads(await again.recv())["t"] == "RESUMED"
    peer.forgets = True
    async with connect(peer.gateway, proxy=None) as late:
        await late.recv()
        await late.send(json.dumps({"op": 6, "d": resume}))
        assert json.loads(await late.recv())["op"] == 9


async def test_without_the_intent_only_what_is_meant_for_the_bot_has_content(peer: DiscordPeer) -> None:
    socket = await identified(peer)
    await told(socket, "READY")
    peer.says("a secret", channel=SQUARE)
    assert (await told(socket, "MESSAGE_CREATE"))["d"]["content"] == ""
    peer.says("<@110201543> hello", channel=SQUARE)
    assert (await told(socket, "MESSAGE_CREATE"))["d"]["content"] == "<@110201543> hello"
    peer.says("in private")
    assert (await told(socket, "MESSAGE_CREATE"))["d"]["content"] == "in private"
    await socket.close()
