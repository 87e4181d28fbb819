"""A whole gateway on Slack: from what somebody types to the picture that they see, in its place and for their eyes."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from chatelier import Progress
from chatelier.core.cli.commands import program
from chatelier.core.gateway import Runtime
from chatelier.core.generation.jobs import JOBS
from chatelier.core.testing.backend import PIXEL, FakeBackend
from chatelier.core.testing.gateway import Parts, running
from chatelier.platforms.slack.plugin import Plugin as SlackPlugin
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.plugins.points import Plugin as Points
from chatelier.plugins.sqlite import Plugin as Sqlite
from gateways import configured
from peers.slack import ADA, BOT, DM, GENERAL, SlackPeer, buttons_of, text_of
from people import WORKFLOWS
from slack_network import hurried, slack


class Chat:
    """What people see of it."""

    def __init__(self, peer: SlackPeer, backend: FakeBackend, runtime: Runtime) -> None:
        self.peer = peer
        self.backend = backend
        self.runtime = runtime

    async def sees(self, words: str, channel: str = DM, thread: str = "") -> dict[str, Any]:
        await self.peer.until(lambda: self.found(words, channel, thread), 30)
        return self.found(words, channel, thread)[-1]

    def found(self, words: str, channel: str = DM, thread: str = "") -> list[dict[str, Any]]:
        return [each for each in self.peer.sent(channel, thread) if re.search(words, text_of(each))]

    def results(self, channel: str = DM, thread: str = "") -> list[dict[str, Any]]:
        return [
            each
            for each in self.peer.sent(channel, thread)
            if any("Again" in button["text"]["text"] for button in buttons_of(each))
        ]


@asynccontextmanager
async def living(folder: Path, peer: SlackPeer, **options: Any) -> AsyncIterator[Chat]:
    """A gateway on a real database; beginning it again with the same folder is a restart."""
    backend = FakeBackend(**options)
    parts = Parts([slack(peer)], [backend], WORKFLOWS)
    store = {"store": f"sqlite:{folder / 'chatelier.db'}"}
    async with running(folder, parts, SlackPlugin(), Essentials(), Points(), Sqlite(), settings=store) as runtime:
        yield Chat(peer, backend, runtime)
        backend.hold = False
        backend.finish()  # a stop waits for what runs


@pytest.fixture
async def peer() -> AsyncIterator[SlackPeer]:
    async with hurried().live() as peer:
        yield peer


async def test_a_card_shows_the_picture_so_far_and_becomes_the_result(peer: SlackPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer, hold=True) as chat:
        asked = peer.says("make a fox")
        card = await chat.sees("")
        await peer.until(lambda: peer.reactions[DM, asked["ts"]] == ["eyes"])
        await peer.until(lambda: chat.backend.runs)
        (run,) = chat.backend.runs.values()
        run.progress = Progress(phase="running", fraction=0.8, title="Sampling", preview=PIXEL)
        chat.backend.wake()
        await peer.until(lambda: "80 %" in text_of(card))
        chat.backend.finish()
        await peer.until(chat.results)
        assert [each["ts"] for each in peer.sent()] == [card["ts"]], "one message, from first to last"
        assert peer.bytes_of(card)
        await peer.until(lambda: peer.reactions[DM, asked["ts"]] == ["white_check_mark"])


async def test_a_job_that_outlives_its_triggers_and_addresses_arrives(peer: SlackPeer, tmp_path: Path) -> None:
    """What came with the command is good for seconds and for half an hour; the picture takes longer."""
    async with living(tmp_path, peer, hold=True) as chat:
        peer.types("/chatelier", "make a slow fox", channel=GENERAL)
        await peer.until(lambda: chat.backend.runs)
        peer.expire()
        peer.expire_addresses()
        chat.backend.finish()
        await peer.until(lambda: chat.results(GENERAL))
        peer.presses(chat.results(GENERAL)[0], "Again", channel=GENERAL)
        await peer.until(lambda: len(chat.backend.runs) == 2)


async def test_a_job_of_the_direct_chat_is_opened_in_a_channel_with_buttons_that_work(
    peer: SlackPeer, tmp_path: Path
) -> None:
    async with living(tmp_path, peer) as chat:
        peer.says("make a fox")
        await peer.until(chat.results)
        (job,) = await chat.runtime.store.find(JOBS, order="created")
        peer.says(f"<@{BOT}> show {job.key}", channel=GENERAL)
        await peer.until(lambda: chat.results(GENERAL))
        assert peer.bytes_of(chat.results(GENERAL)[0]) == peer.bytes_of(chat.results()[0])
        peer.presses(chat.results(GENERAL)[0], "Again", channel=GENERAL)
        await peer.until(lambda: len(chat.results(GENERAL)) == 2)


async def test_in_a_channel_only_what_is_meant_for_it_is_answered(peer: SlackPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer) as chat:
        peer.says("good morning", channel=GENERAL)
        peer.says("make hay", channel=GENERAL)
        peer.says(f"<@{BOT}> make a fox", channel=GENERAL)
        await peer.until(lambda: chat.results(GENERAL))
        assert len(peer.sent(GENERAL)) == 1


async def test_a_thread_is_answered_in_it_and_works_on_the_picture_above(peer: SlackPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer) as chat:
        peer.says(f"<@{BOT}> make a fox", channel=GENERAL)
        await peer.until(lambda: chat.results(GENERAL))
        root = chat.results(GENERAL)[0]["ts"]
        peer.says(f"<@{BOT}> make another fox", channel=GENERAL, thread=root)
        await peer.until(lambda: chat.results(GENERAL, root))
        assert len(peer.sent(GENERAL)) == 1


async def test_an_account_in_a_channel_is_seen_by_nobody_else(peer: SlackPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer):
        peer.types("/chatelier", "account", channel=GENERAL)
        await peer.until(lambda: peer.ephemerals)
        assert peer.ephemerals[0]["to"] == ADA
        assert not peer.sent(GENERAL)


async def test_tweak_opens_a_form_in_time_and_buttons_live_after_a_restart(peer: SlackPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer) as chat:
        peer.says("make a fox")
        await peer.until(chat.results)
    async with living(tmp_path, peer) as chat:
        peer.presses(chat.results()[0], "Tweak")
        await peer.until(lambda: peer.views)
        peer.submits(peer.views[0], {"prompt": "a green fox"})
        await peer.until(lambda: len(chat.results()) == 2)
        assert "a green fox" in text_of(chat.results()[1])


async def test_a_command_works_on_the_pictures_of_any_message(peer: SlackPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer) as chat:
        theirs = peer.says("look", channel=GENERAL, user="U0BOB", files=[peer.keeps(PIXEL)])
        peer.uses(theirs, "use_as_input", channel=GENERAL)
        await peer.until(lambda: peer.views)
        assert "effect: " in str(peer.views[0]["blocks"][0])
        peer.submits(peer.views[0], {"command": "effect"})
        await peer.until(chat.results, 30)
        (run,) = chat.backend.runs.values()
        assert run.sent == [PIXEL]


async def test_the_home_tab_shows_what_is_being_made(peer: SlackPeer, tmp_path: Path) -> None:
    async with living(tmp_path, peer, hold=True) as chat:
        peer.says("make a fox")
        await peer.until(lambda: chat.backend.runs)
        peer.opens_home()
        await peer.until(lambda: ADA in peer.homes)
        assert "Make · " in text_of(peer.homes[ADA])
        peer.presses_home(ADA, "account")
        await chat.sees("(?i)point")


async def test_a_command_is_answered_where_the_bot_was_not_invited(peer: SlackPeer, tmp_path: Path) -> None:
    peer.channels[GENERAL].members.discard(BOT)
    async with living(tmp_path, peer):
        peer.types("/chatelier", "help", channel=GENERAL)
        await peer.until(lambda: peer.responses)
        assert "/make" in str(peer.responses)


def test_the_manifest_is_printed_from_what_the_gateway_has(tmp_path: Path) -> None:
    config = configured(tmp_path, platforms={"slack": {"commands": ["/chatelier", "/make"]}})
    printed = CliRunner().invoke(program, ["slack", "manifest", "--config", str(config)], catch_exceptions=False)
    assert printed.exit_code == 0
    made = yaml.safe_load(printed.output)
    hint = made["features"]["slash_commands"][0]["usage_hint"]
    assert "help" in hint
    assert made["features"]["slash_commands"][1]["description"] != made["features"]["slash_commands"][0]["description"]
    as_json = CliRunner().invoke(program, ["slack", "manifest", "--json", "--config", str(config)])
    assert json.loads(as_json.output) == made
    unknown = CliRunner().invoke(program, ["slack", "manifest", "--account", "slack.shop", "--config", str(config)])
    assert unknown.exit_code == 2
