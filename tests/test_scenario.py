"""One day of one person, told once and lived on every network: nothing that they do depends on which it is."""

import asyncio
import re
from pathlib import Path

import pytest

from chatelier import Ended, Progress
from chatelier.testing import FakeBackend
from discord_people import on_discord
from files import decoded, encoded, gradient
from gateways import PATIENCE
from people import NETWORKS as FIRST
from people import Network, Person, Seen
from slack_people import on_slack

NETWORKS = {**FIRST, "discord": on_discord, "slack": on_slack}


class Day:
    """Where it is told: a person, and the server that paints for them."""

    def __init__(self, person: Person, backend: FakeBackend, submitted: asyncio.Event) -> None:
        self.person = person
        self.backend = backend
        self.submitted = submitted

    async def sees(self, words: str) -> Seen:
        """The latest message that says so."""
        await self.person.until(lambda: self._saying(words))
        return self._saying(words)[-1]

    async def result(self, words: str, count: int = 1) -> Seen:
        """The latest of so many results: a message that can be made again."""
        await self.person.until(lambda: len(self.results(words)) >= count)
        assert len(self.results(words)) == count
        return self.results(words)[-1]

    def results(self, words: str) -> list[Seen]:
        return [seen for seen in self._saying(words) if any("Again" in label for label in seen.labels)]

    def _saying(self, words: str) -> list[Seen]:
        return [seen for seen in self.person.seen() if re.search(words, seen.text)]

    async def card(self, said: str) -> Seen:
        """Of the job that these words begin."""
        before = len(self.person.seen())
        await self.person.says(said)

        def cards() -> list[Seen]:
            return [seen for seen in self.person.seen()[before:] if any("Cancel" in label for label in seen.labels)]

        await self.person.until(cards)
        return cards()[-1]

    async def begun(self, jobs: int) -> None:
        """The server was given so many in all."""
        async with asyncio.timeout(PATIENCE):
            while self.backend.submissions < jobs:
                self.submitted.clear()
                await self.submitted.wait()

    def paints_on(self) -> None:
        """What runs goes on to its end, and so does what comes."""
        self.backend.hold = False
        self.backend.finish()

    async def pictures(self, seen: Seen) -> list[tuple[int, int]]:
        """The sizes of those that it shows."""
        return [decoded(data).size for data in await self.person.bytes_of(seen)]


def photo(width: int, height: int) -> bytes:
    return encoded(gradient(width, height), "PNG")


async def a_first_picture(day: Day) -> Seen:
    """Start; a command without its prompt; progress while another job is cancelled; the result."""
    await day.person.says("/start")
    await day.sees("/make")
    day.backend.hold = True
    await day.person.says("/make")
    await day.person.fills("prompt", "a red fox")
    await day.begun(1)
    (run,) = day.backend.runs.values()
    run.progress = Progress(phase="running", fraction=0.8, title="Sampling")
    day.backend.wake()
    await day.sees("80 %")
    other = await day.card("/make a blue cat")
    await day.person.presses(other, "Cancel")
    await day.sees("Cancelled")
    assert run.ended is None, "only the other one was cancelled"
    day.paints_on()
    shown = await day.result("a red fox")
    assert await day.pictures(shown) == [(1, 1)]
    assert not day.results("a blue cat")
    return shown


async def the_key_of(day: Day, shown: Seen) -> str:
    """As Info tells it."""
    await day.person.presses(shown, "Info")
    told = re.search(r"job (\w+)", (await day.sees("workflow: make")).text)
    assert told is not None
    return told[1]


async def the_same_otherwise_and_once_more(day: Day, shown: Seen) -> None:
    await day.person.presses(shown, "Tweak")
    await day.person.changes("prompt", "a green fox")
    tweaked = await day.result("a green fox")
    await day.person.presses(tweaked, "Again")
    await day.result("a green fox", 2)
    seeds = [run.attempt.graph["1"]["inputs"]["seed"] for run in list(day.backend.runs.values())[-2:]]
    assert len(set(seeds)) == 2, "again is another picture of the same"


async def pictures_of_their_own(day: Day) -> None:
    """One, and an album, which is one request."""
    await day.person.says("/effect", photo(60, 40))
    assert await day.pictures(await day.result("Effect")) == [(60, 40)]
    await day.person.says("/blend", photo(30, 20), photo(20, 30))
    await day.result("Blend")
    (*_, run) = day.backend.runs.values()
    assert [decoded(data).size for data in run.sent] == [(30, 20), (20, 30)]


async def bad_news(day: Day) -> None:
    day.backend.hold = True
    jobs = day.backend.submissions
    await day.person.says("/make a tower")
    await day.begun(jobs + 1)
    day.backend.finish(ended=Ended(state="failed", words="The paint is out."))
    said = await day.sees("The paint is out")
    assert "Traceback" not in said.text
    assert not day.results("a tower")


async def a_day(there: Network, folder: Path) -> None:
    backend = FakeBackend()
    submitted = asyncio.Event()
    backend.after_submit = lambda _: submitted.set()
    async with there.life(folder, backend) as person:
        day = Day(person, backend, submitted)
        shown = await a_first_picture(day)
        key = await the_key_of(day, shown)
        await the_same_otherwise_and_once_more(day, shown)
        await pictures_of_their_own(day)
        await bad_news(day)
        jobs = backend.submissions
        await person.says("/make a castle")
        await day.begun(jobs + 1)
    async with there.life(folder, backend) as person:
        day = Day(person, backend, submitted)
        day.paints_on()
        castle = await day.result("a castle")
        assert backend.submissions == jobs + 1, "what ran at the restart is not begun again"
    async with there.life(folder, backend) as person:
        day = Day(person, backend, submitted)
        before = len(day.results("a castle"))
        assert before <= 1, "a new terminal is empty; elsewhere it came once"
        await person.presses(castle, "Again")
        await day.result("a castle", before + 1)
        assert backend.submissions == jobs + 2
        async with person.elsewhere() as other:
            elsewhere = Day(other, backend, submitted)
            before = len(elsewhere.results("a red fox"))
            await other.says(f"/show {key}")
            again = await elsewhere.result("a red fox", before + 1)
            assert await elsewhere.pictures(again) == [(1, 1)]


def test_every_platform_that_ships_lives_the_day() -> None:
    folders = {file.parent.name for file in (Path(__file__).parents[1] / "platforms").glob("*/__init__.py")}
    assert folders == NETWORKS.keys()
    assert len(folders) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
async def test_a_day_is_the_same_on_every_network(network: str, tmp_path: Path) -> None:
    async with NETWORKS[network]() as there:
        await a_day(there, tmp_path)
