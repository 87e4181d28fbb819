"""From a message to a picture, through every part of the core, with a network and a backend in memory."""

from pathlib import Path

from chatelier import Pressed, Said, hookimpl
from chatelier.core.testing.backend import FakeBackend
from chatelier.core.testing.gateway import Parts, running
from chatelier.core.testing.platform import FakePlatform
from chatelier.plugins.essentials import Plugin as Essentials


async def test_a_prompt_becomes_a_picture_with_buttons(tmp_path: Path) -> None:
    network, backend = FakePlatform(), FakeBackend()
    async with running(tmp_path, Parts([network], [backend]), Essentials):
        await network.receive(network.event(Said(text="/make a red fox in the snow")))
        await network.until(lambda: network.shown and network.last.message.media)
        assert len(network.shown) == 1, "the card becomes the result"
        assert "a red fox in the snow" in network.last.text
        assert network.last.button("again")
        await network.until(lambda: "done" in network.signals)
        assert network.signals[0] == "seen"


async def test_again_makes_another_one_with_a_new_seed(tmp_path: Path) -> None:
    network, backend = FakePlatform(), FakeBackend()
    async with running(tmp_path, Parts([network], [backend]), Essentials):
        await network.receive(network.event(Said(text="/make a fox")))
        await network.until(lambda: network.shown and network.last.message.media)
        await network.receive(network.event(Pressed(payload=network.last.button("again"), message_id=network.last.id)))
        await network.until(lambda: len(network.shown) == 2 and network.last.message.media)
    seeds = {run.attempt.graph["1"]["inputs"]["seed"] for run in backend.runs.values()}
    assert len(seeds) == 2


class Curfew:
    """A plugin that lets nobody make anything."""

    @hookimpl
    def admit(self, command: str) -> str | None:
        return "It is too late for pictures." if self.closed and command == "make" else None

    closed = False


async def test_a_plugin_that_refuses_a_command_refuses_its_buttons_too(tmp_path: Path) -> None:
    network, backend, curfew = FakePlatform(), FakeBackend(), Curfew()
    async with running(tmp_path, Parts([network], [backend]), Essentials, curfew):
        await network.receive(network.event(Said(text="/make a fox")))
        await network.until(lambda: network.shown and network.last.message.media)
        curfew.closed = True
        await network.receive(network.event(Pressed(payload=network.last.button("again"), message_id=network.last.id)))
        await network.until(lambda: "too late" in network.last.text)
    assert backend.submissions == 1
