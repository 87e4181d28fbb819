"""Installing an app on the Slack of the tests goes by the vendor's rules, asked with plain HTTP."""

import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from peers.slack import ADA, BOT, DM, TEAM, SlackPeer
from peers.slack_teams import Refusal

BACK = "https://art.example/back"
OTHER = "T02"


@pytest.fixture
async def peer() -> AsyncIterator[SlackPeer]:
    async with SlackPeer(ack_seconds=0.2, retry_seconds=()).live() as peer:
        peer.redirect_urls = {BACK}
        peer.joined(OTHER)
        yield peer


def authorize(peer: SlackPeer, **changes: str) -> str:
    asked = {"client_id": peer.client_id, "scope": "chat:write", "redirect_uri": BACK, "state": "s1", **changes}
    return f"{peer.url}/oauth/v2/authorize?{urlencode(asked)}"


def code_in(address: str) -> str:
    return parse_qs(urlsplit(address).query)["code"][0]


async def call(peer: SlackPeer, method: str, credentials: str = "", **given: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"Authorization": credentials} if credentials else {}
        answer = await client.post(f"{peer.base_url}{method}", data=given, headers=headers)
    found: dict[str, Any] = answer.json()
    return found


async def exchange(peer: SlackPeer, code: str, **changes: str) -> dict[str, Any]:
    known = {"client_id": peer.client_id, "client_secret": peer.client_secret, "redirect_uri": BACK}
    return await call(peer, "oauth.v2.access", code=code, **(known | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"client_id": "9.9"}, "invalid_client_id"),
        ({"scope": ""}, "invalid_scope"),
        ({"redirect_uri": "https://evil.example"}, "bad_redirect_uri"),
    ],
)
async def test_nobody_is_asked_for_what_the_app_may_not_ask(
    changes: dict[str, str], said: str, peer: SlackPeer
) -> None:
    with pytest.raises(Refusal, match=said):
        peer.allows(authorize(peer, **changes), OTHER)


async def test_the_state_comes_back_whatever_was_decided(peer: SlackPeer) -> None:
    for address, name in ((peer.allows(authorize(peer), OTHER), "code"), (peer.denies(authorize(peer)), "error")):
        found = parse_qs(urlsplit(address).query)
        assert address.startswith(BACK)
        assert found["state"] == ["s1"]
        assert set(found) == {"state", name}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"client_id": "9.9"}, "invalid_client_id"),
        ({"client_secret": "guessed"}, "bad_client_secret"),
        ({"redirect_uri": "https://other.example"}, "bad_redirect_uri"),
        ({"redirect_uri": ""}, "bad_redirect_uri"),
        ({"code": "guessed"}, "invalid_code"),
    ],
)
async def test_a_code_is_good_only_for_its_client_and_address(
    changes: dict[str, str], said: str, peer: SlackPeer
) -> None:
    code = code_in(peer.allows(authorize(peer), OTHER))
    assert (await exchange(peer, changes.pop("code", code), **changes))["error"] == said
    assert not peer.teams[OTHER].token
    assert (await exchange(peer, code))["ok"], "what was refused did not use it up"


async def test_a_code_is_good_once_and_for_ten_minutes(peer: SlackPeer) -> None:
    code = code_in(peer.allows(authorize(peer), OTHER))
    assert (await exchange(peer, code))["ok"]
    assert (await exchange(peer, code))["error"] == "invalid_code"
    late = code_in(peer.allows(authorize(peer), OTHER))
    peer.expire_codes()
    assert (await exchange(peer, late))["error"] == "invalid_code"


async def test_the_client_may_prove_itself_by_the_basic_scheme(peer: SlackPeer) -> None:
    code = code_in(peer.allows(authorize(peer), OTHER))
    wrong = base64.b64encode(f"{peer.client_id}:guessed".encode()).decode()
    right = base64.b64encode(f"{peer.client_id}:{peer.client_secret}".encode()).decode()
    asked = {"code": code, "redirect_uri": BACK}
    assert (await call(peer, "oauth.v2.access", f"Basic {wrong}", **asked))["error"] == "bad_client_secret"
    found = await call(peer, "oauth.v2.access", f"Basic {right}", **asked)
    assert (found["team"], found["token_type"], found["scope"], found["bot_user_id"]) == (
        {"id": OTHER, "name": "Potters"},
        "bot",
        "chat:write",
        peer.bot_in(OTHER),
    )


async def installed(peer: SlackPeer) -> str:
    found = await exchange(peer, code_in(peer.allows(authorize(peer), OTHER)))
    return str(found["access_token"])


async def test_a_token_is_of_one_workspace(peer: SlackPeer) -> None:
    token = await installed(peer)
    hers = f"D{OTHER}{ADA}"
    assert token != peer.bot_token
    assert (await call(peer, "auth.test", f"Bearer {token}"))["team_id"] == OTHER
    assert (await call(peer, "auth.test", f"Bearer {peer.bot_token}"))["team_id"] == TEAM
    for credentials, channel, ok in (
        (token, hers, True),
        (token, DM, False),
        (peer.bot_token, hers, False),
        (peer.bot_token, DM, True),
    ):
        said = await call(peer, "chat.postMessage", f"Bearer {credentials}", channel=channel, text="x")
        assert said["ok"] is ok, said
        assert ok or said["error"] == "channel_not_found"
    theirs = peer.keeps(b"x", team=OTHER)
    assert (await call(peer, "files.info", f"Bearer {peer.bot_token}", file=theirs["id"]))["error"] == "file_not_found"


async def test_what_is_told_names_the_workspace(peer: SlackPeer) -> None:
    hers = f"D{OTHER}{ADA}"
    peer.says("hello", channel=hers)
    peer.types("/chatelier", channel=hers)
    said, typed = (each.payload for each in peer.deliveries)
    assert (said["team_id"], said["authorizations"][0]["team_id"], said["is_ext_shared_channel"]) == (
        OTHER,
        OTHER,
        False,
    )
    assert said["authorizations"][0]["user_id"] == peer.bot_in(OTHER) != BOT
    assert typed["team_id"] == OTHER
    shared = peer.tell({"type": "message"}, team=TEAM, by=OTHER).payload
    assert (shared["team_id"], shared["authorizations"][0]["team_id"], shared["is_ext_shared_channel"]) == (
        OTHER,
        TEAM,
        True,
    )


async def test_a_token_that_was_revoked_is_nobodys_and_another_one_is_given(peer: SlackPeer) -> None:
    token = await installed(peer)
    assert await installed(peer) == token, "as long as it is installed there is one"
    wrong = await call(peer, "apps.uninstall", f"Bearer {token}", client_id=peer.client_id, client_secret="x")
    assert wrong["error"] == "bad_client_secret"
    known = {"client_id": peer.client_id, "client_secret": peer.client_secret}
    assert (await call(peer, "apps.uninstall", f"Bearer {token}", **known))["ok"]
    assert (await call(peer, "auth.test", f"Bearer {token}"))["error"] == "account_inactive"
    assert (await call(peer, "auth.test", "Bearer xoxb-nobodys"))["error"] == "invalid_auth"
    assert await installed(peer) != token
