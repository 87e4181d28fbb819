"""The commands that every gateway has, as somebody in a chat sees them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chatelier import Called, Ended, Output, Pressed, Runtime, Said
from chatelier.core.testing.platform import Shown
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.testing import FakeBackend, FakePlatform, Parts, running


@dataclass
class Room:
    """A chat with the gateway in it."""

    runtime: Runtime
    network: FakePlatform
    backend: FakeBackend

    async def say(self, text: str, sender: str = "ada") -> Shown:
        """What is answered first."""
        before = len(self.network.shown)
        await self.network.receive(self.network.event(Said(text=text), sender=sender))
        await self.network.until(lambda: len(self.network.shown) > before)
        return self.network.last

    async def press(self, shown: Shown, label: str, sender: str = "ada") -> None:
        body = Pressed(payload=shown.button(label), message_id=shown.id)
        await self.network.receive(self.network.event(body, sender=sender))

    async def make(self, prompt: str = "a red fox", sender: str = "ada") -> Shown:
        """The result's message; the card's while the backend holds."""
        shown = await self.say(f"/make {prompt}", sender)
        if not self.backend.hold:
            await self.network.until(lambda: shown.message.media)
        return shown

    async def shows_another(self, before: int) -> None:
        """A picture more than there were messages before."""
        await self.network.until(lambda: len(self.network.shown) > before and self.network.last.message.media)

    def job(self, shown: Shown) -> str:
        return next(b.payload for row in shown.message.buttons for b in row).split(".")[1]

    def seeds(self) -> set[Any]:
        return {run.attempt.graph["1"]["inputs"]["seed"] for run in self.backend.runs.values()}


@asynccontextmanager
async def room(folder: Path, **settings: Any) -> AsyncIterator[Room]:
    network, backend = FakePlatform(), FakeBackend()
    async with running(folder, Parts([network], [backend]), Essentials, settings=settings) as runtime:
        yield Room(runtime, network, backend)
        backend.finish()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Room]:
    async with room(tmp_path, operators=["fake:root"]) as opened:
        yield opened


# --- /start and /help


async def test_start_has_examples_that_make_pictures_when_tapped(here: Room) -> None:
    shown = await here.say("/start")
    assert "/make" in shown.text
    labels = [button.label for row in shown.message.buttons for button in row]
    assert len(labels) >= 2
    await here.press(shown, labels[0])
    await here.network.until(lambda: here.network.last.message.media)
    assert labels[0] in here.network.last.text


async def test_examples_may_be_tapped_by_everybody_and_again(here: Room) -> None:
    shown = await here.say("/start")
    label = shown.message.buttons[0][0].label
    for sender in ("ada", "bob"):
        before = len(here.network.shown)
        await here.press(shown, label, sender)
        await here.shows_another(before)


async def test_start_without_workflows_is_a_greeting(tmp_path: Path) -> None:
    network = FakePlatform()
    async with running(tmp_path, Parts([network], [FakeBackend()], workflows=[]), Essentials) as runtime:
        shown = await Room(runtime, network, FakeBackend()).say("/start")
        assert "Welcome" in shown.text
        assert shown.message.buttons == ()


async def test_help_lists_every_command_and_operators_see_theirs(here: Room) -> None:
    mine = (await here.say("/help")).text
    for command in here.runtime.registry:
        assert (f"/{command.name}" in mine) is not command.operators
    assert "/refresh" in (await here.say("/help", "root")).text


@pytest.mark.parametrize("asked", ["/help make", "/help /make", "/help MAKE"])
async def test_help_tells_all_about_one_command(here: Room, asked: str) -> None:
    text = (await here.say(asked)).text
    assert "seed" in text
    assert "prompt" in text


async def test_help_about_what_there_is_not(here: Room) -> None:
    assert "Did you mean /make" in (await here.say("/help mkae")).text
    assert "no command" in (await here.say("/help refresh")).text, "operators' commands are not told"
    assert "Load the workflows" in (await here.say("/help refresh", "root")).text


# --- /status, /cancel


async def test_status_lists_own_jobs_with_a_button_for_each(here: Room) -> None:
    assert "Nothing of yours" in (await here.say("/status")).text
    here.backend.hold = True
    cards = [await here.make("a red fox"), await here.make("a lighthouse")]
    jobs = [here.job(card) for card in cards]
    shown = await here.say("/status")
    assert all(job in shown.text for job in jobs)
    assert [button.label[-4:] for row in shown.message.buttons for button in row][:2] == [job[:4] for job in jobs]
    theirs = await here.say("/status", "bob")
    assert not any(job in theirs.text for job in jobs)
    await here.press(shown, jobs[0][:4])
    await here.network.until(lambda: "Cancelled" in cards[0].text)
    assert "Cancelled" not in cards[1].text


async def test_status_tells_place_and_time_and_cancels_all_at_once(here: Room) -> None:
    here.backend.hold = True
    first = await here.make("one that took eight seconds")
    await here.network.until(lambda: here.backend.runs)
    begun = datetime(2026, 11, 22, tzinfo=UTC)
    made = Output(n=0, node="1", name="fox.png")
    here.backend.finish(
        "", Ended(state="done", outputs=(made,), started_at=begun, ended_at=begun + timedelta(seconds=8))
    )
    await here.network.until(lambda: first.message.media)
    cards = [await here.make(prompt) for prompt in ("a red fox", "a lighthouse", "a forest")]
    theirs = await here.make("an owl", "bob")
    shown = await here.say("/status")
    lines = [line for line in shown.text.splitlines() if "Make" in line]
    assert len(lines) == 3
    assert all("about" in line for line in lines)
    assert "place" in lines[-1]
    await here.press(shown, "Cancel all", "bob")
    await here.network.until(lambda: "somebody else" in here.network.last.text)
    await here.press(shown, "Cancel all")
    await here.network.until(lambda: all("Cancelled" in card.text for card in cards))
    assert "Cancelled" not in theirs.text


async def test_cancel_takes_one_job_or_all_of_ones_own(here: Room) -> None:
    assert "Nothing of yours" in (await here.say("/cancel")).text
    here.backend.hold = True
    mine = [await here.make("one"), await here.make("two"), await here.make("three")]
    theirs = await here.make("four", "bob")
    await here.network.receive(here.network.event(Said(text=f"/cancel {here.job(mine[1])}")))
    await here.network.until(lambda: "Cancelled" in mine[1].text)
    assert "Cancelled" not in mine[0].text
    await here.network.receive(here.network.event(Said(text="/cancel")))
    await here.network.until(lambda: all("Cancelled" in card.text for card in mine))
    assert "Cancelled" not in theirs.text
    refused = await here.say(f"/cancel {here.job(theirs)}")
    assert "Only the person" in refused.text
    assert "no such job" in (await here.say("/cancel nothing")).text.lower() or "too old" in here.network.last.text


# --- /again, /show


async def test_again_repeats_the_last_run_with_a_new_seed(here: Room) -> None:
    assert "not made anything yet" in (await here.say("/again")).text
    await here.make("a red fox --seed 7")
    shown = await here.say("/again")
    await here.network.until(lambda: shown.message.media)
    assert "a red fox" in shown.text
    assert len(here.seeds()) == 2
    assert "not made anything yet" in (await here.say("/again", "bob")).text


async def test_again_repeats_any_of_the_last_five(here: Room) -> None:
    for prompt in ("a red fox", "a blue owl"):
        await here.make(prompt)
    shown = await here.say("/regen 2")
    await here.network.until(lambda: shown.message.media)
    assert "a red fox" in shown.text
    assert "You have made 3" in (await here.say("/again 5")).text
    assert "run" in (await here.say("/again two")).text


async def test_show_brings_a_result_back_with_live_buttons(here: Room) -> None:
    made = await here.make("a red fox")
    shown = await here.say(f"/show {here.job(made)}")
    assert shown.id != made.id
    assert [media.blob for media in shown.message.media] == [media.blob for media in made.message.media]
    await here.press(shown, "again")
    await here.network.until(lambda: len(here.backend.runs) == 2)
    assert "Only the person" in (await here.say(f"/show {here.job(made)}", "bob")).text
    assert (await here.say(f"/show {here.job(made)}", "root")).message.media


async def test_show_of_a_job_that_still_runs_or_gave_nothing(here: Room) -> None:
    here.backend.hold = True
    card = await here.make()
    job = here.job(card)
    assert job in (await here.say(f"/show {job}")).text
    assert not here.network.last.message.media
    await here.network.receive(here.network.event(Said(text="/cancel")))
    await here.network.until(lambda: "Cancelled" in card.text)
    assert "cancelled" in (await here.say(f"/show {job.upper()}")).text


async def test_show_needs_to_know_what(here: Room) -> None:
    assert "job" in (await here.say("/show")).text.lower()


# --- /quit, /refresh


async def test_quit_leaves_an_open_question(here: Room) -> None:
    assert "no open question" in (await here.say("/quit")).text
    await here.say("/make")
    assert "forgotten" in (await here.say("/quit")).text
    assert "slash" in (await here.say("a red fox")).text
    assert not here.backend.runs


async def test_refresh_loads_workflows_and_names_bad_ones(tmp_path: Path) -> None:
    folder = tmp_path / "workflows"
    folder.mkdir()
    async with room(tmp_path, operators=["fake:root"], workflows={"folder": str(folder)}) as here:
        (folder / "bad.json").write_text("{not json")
        text = (await here.say("/refresh", "root")).text
        assert "make" in text
        assert "bad.json" in text


async def test_operators_commands_are_refused_to_others(here: Room) -> None:
    assert "Only the operator" in (await here.say("/refresh")).text
    before = len(here.network.shown)
    await here.network.receive(here.network.event(Called(command="refresh")))
    await here.network.until(lambda: len(here.network.shown) > before)
    assert "Only the operator" in here.network.last.text
