"""The account on Slack against a Slack that others wrote: npm's `emulate`, with a layer for what it lacks."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatelier import Progress
from chatelier.core.testing.backend import PIXEL
from chatelier.core.testing.network import Check
from chatelier.platforms.slack.records import KINDS
from chatelier.testing import PLATFORM_CHECKS, Network, ScriptedGateway
from emulated import Emulate, emulate
from files import decoded
from peers.slack import ADA, BOT, DM, GENERAL, text_of
from peers.slack_emulate import WORKSPACE, EmulatePeer
from slack_network import OnSlack, on_line, slack
from slack_people import Workspace
from test_scenario import a_day
from test_slack_gateway import living
from test_slack_peer import PNG, TOO_MUCH, error, view

CHECKS = {
    check.__name__: check for check in PLATFORM_CHECKS if check.__name__ != "starts_and_stops_leave_nothing_behind"
}
"""What fifty lives leave behind does not depend on who answers, and takes long."""
NOT_DECLARED = {"numbers_stand_in_for_buttons", "typed_options_arrive_as_given", "completion_proposes_what_there_is"}


@pytest.fixture(scope="module")
def server() -> Iterator[Emulate]:
    with emulate(WORKSPACE) as server:
        yield server


@pytest.fixture
async def peer(server: Emulate) -> AsyncIterator[EmulatePeer]:
    async with hurried(server).live() as peer:
        yield peer


def hurried(server: Emulate) -> EmulatePeer:
    return EmulatePeer(server, ack_seconds=0.5, retry_seconds=(0.0, 1.0, 3.0))


@pytest.mark.parametrize("check", CHECKS)
async def test_the_account_keeps_the_contract_there_too(check: str, server: Emulate) -> None:
    @asynccontextmanager
    async def there(gateway: ScriptedGateway) -> AsyncIterator[Network]:
        gateway.declare(list(KINDS))
        async with hurried(server).live() as peer:
            account = slack(peer)
            async with on_line(account, gateway):
                yield OnSlack(account, peer)

    asked: Check = CHECKS[check]
    assert bool(await asked(there)) is (check in NOT_DECLARED)


@pytest.mark.slow
async def test_a_day_is_the_same_there_too(peer: EmulatePeer, tmp_path: Path) -> None:
    await a_day(Workspace(peer), tmp_path)


# --- what a person sees there


async def test_a_card_becomes_the_result_in_its_thread(peer: EmulatePeer, tmp_path: Path) -> None:
    root = peer.says("a thread begins", channel=GENERAL, user=BOT)
    async with living(tmp_path, peer, hold=True) as chat:
        asked = peer.says(f"<@{BOT}> make a fox", channel=GENERAL, thread=root["ts"])
        await peer.until(lambda: peer.sent(GENERAL, root["ts"]))
        await peer.until(lambda: chat.backend.runs and peer.signs(GENERAL, asked["ts"]) == ["eyes"])
        (card,) = peer.sent(GENERAL, root["ts"])
        assert not [each for each in peer.sent(GENERAL) if each is not root], "in its thread and nowhere else"
        (run,) = chat.backend.runs.values()
        run.progress = Progress(phase="running", fraction=0.8, title="Sampling", preview=PIXEL)
        chat.backend.wake()
        await peer.until(lambda: "80 %" in text_of(card))
        chat.backend.finish()
        await peer.until(lambda: chat.results(GENERAL, root["ts"]))
        assert [each["ts"] for each in peer.sent(GENERAL, root["ts"])] == [card["ts"]], (
            "one message, from first to last"
        )
        assert [decoded(data).size for data in peer.bytes_of(card)] == [(1, 1)]
        await peer.until(lambda: peer.signs(GENERAL, asked["ts"]) == ["white_check_mark"])
        peer.presses(card, "Again", channel=GENERAL)
        await peer.until(lambda: len(chat.backend.runs) == 2)


async def test_what_is_private_is_seen_by_one(peer: EmulatePeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer):
        peer.types("/chatelier", "account", channel=GENERAL)
        await peer.until(lambda: peer.ephemerals)
        assert [each["to"] for each in peer.ephemerals] == [ADA]
        assert not peer.sent(GENERAL)


# --- and what it refuses, asked with plain HTTP


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        ("chat.postMessage", {"channel": DM}, "no_text"),
        ("chat.postMessage", {"channel": "C404", "text": "x"}, "channel_not_found"),
        ("chat.update", {"channel": DM, "ts": "1.1", "text": "x"}, "message_not_found"),
        ("chat.delete", {"channel": DM, "ts": "1.1"}, "message_not_found"),
        ("chat.postEphemeral", {"channel": GENERAL, "user": "U404", "text": "x"}, "user_not_found"),
        ("users.info", {"user": "U404"}, "user_not_found"),
        ("files.info", {"file": "F404"}, "file_not_found"),
        ("files.upload", {}, "unknown_method"),
        ("views.open", {"trigger_id": "never", "view": view()}, "invalid_trigger_id"),
        ("reactions.add", {"channel": DM, "timestamp": "1.1", "name": "eyes"}, "message_not_found"),
    ],
)
async def test_what_is_not_there_has_the_vendors_name(
    method: str, given: dict[str, Any], said: str, peer: EmulatePeer
) -> None:
    assert await error(peer, method, **given) == said


@pytest.mark.parametrize("what", TOO_MUCH)
async def test_the_layer_has_the_limits_that_it_lacks(what: str, peer: EmulatePeer) -> None:
    blocks, said = TOO_MUCH[what]
    assert await error(peer, "chat.postMessage", channel=DM, text="x", blocks=blocks) == said
    assert not peer.sent()


async def test_only_ones_own_messages_are_changed_there(peer: EmulatePeer) -> None:
    theirs = peer.says("mine")
    assert await error(peer, "chat.update", channel=DM, ts=theirs["ts"], text="x") == "cant_update_message"
    assert await error(peer, "chat.delete", channel=DM, ts=theirs["ts"]) == "cant_delete_message"


async def test_a_trigger_is_used_once_there(peer: EmulatePeer) -> None:
    trigger = peer.trigger()
    assert not await error(peer, "views.open", trigger_id=trigger, view=view())
    assert await error(peer, "views.open", trigger_id=trigger, view=view()) == "exchanged_trigger_id"


async def test_a_file_is_read_with_the_token_alone(peer: EmulatePeer) -> None:
    said = peer.says(files=[peer.keeps(PNG)])
    url = said["files"][0]["url_private"]
    assert url.startswith(peer.url), "nobody asks emulate by another way than the layer's"
    async with httpx.AsyncClient(trust_env=False) as client:
        page = await client.get(url)
        assert (page.status_code, page.headers["content-type"].split(";")[0]) == (200, "text/html")
        assert (await client.get(url, headers={"Authorization": f"Bearer {peer.bot_token}"})).content == PNG
