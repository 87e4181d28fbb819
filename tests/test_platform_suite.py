"""Every platform that ships passes the published suite, and the suite notices one that does not keep its word."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatelier import (
    ButtonRules,
    Called,
    ChatRef,
    Defer,
    Document,
    Event,
    FileRef,
    FirstAnswer,
    Outgoing,
    PlainDialect,
    Receipt,
    Refused,
    Retry,
    Said,
    Submitted,
    Unavailable,
)
from chatelier.core.testing import platform_suite
from chatelier.core.testing.network import Check
from chatelier.core.testing.table import capability_table
from chatelier.testing import (
    PLATFORM_CHECKS,
    FakePlatform,
    MakeNetwork,
    Network,
    ScriptedGateway,
    check_platform,
    exemptions,
    with_capabilities,
)
from discord_network import on_discord
from networks import OnFake, on_fake, on_line, on_page, on_telegram, on_terminal
from slack_network import on_slack

CHECKS = {check.__name__: check for check in PLATFORM_CHECKS}

PLATFORMS = Path(__file__).parents[1] / "platforms"
NETWORKS: dict[str, Callable[[Path], MakeNetwork]] = {
    "fake": lambda _: on_fake,
    "web": lambda _: on_page,
    "telegram": lambda _: on_telegram,
    "discord": lambda _: on_discord,
    "slack": lambda _: on_slack,
    "terminal that redraws": lambda folder: on_terminal(folder, redraws=True),
    "terminal in a pipe": lambda folder: on_terminal(folder, redraws=False),
}
"""Each begins with the name of its folder among the platforms."""


def cases() -> Iterator[Any]:
    """Every check on every network. A platform that is exempt has to fail, or it needs the exemption no longer."""
    for network in NETWORKS:
        folder = network.split()[0]
        exempt = {} if folder == "fake" else exemptions(PLATFORMS / folder / "quality.yaml")
        for check in PLATFORM_CHECKS:
            reason = exempt.get(check.__name__)
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            yield pytest.param(network, check, id=f"{network}-{check.__name__}", marks=marks)


async def test_the_page_shows_what_is_declared(tmp_path: Path) -> None:
    declared = {}
    for name in COLUMNS:
        (tmp_path / name).mkdir()
        async with NETWORKS[name](tmp_path / name)(ScriptedGateway()) as network:
            declared[name] = network.platform.capabilities()
    assert capability_table(declared) in TABLES


def test_the_page_shows_every_check() -> None:
    for check in CHECKS:
        assert row_of(check.replace("_", " "))


@pytest.mark.parametrize(("network", "check"), list(cases()))
async def test_platform_keeps_the_contract(network: str, check: Check, tmp_path: Path) -> None:
    said = await check(NETWORKS[network](tmp_path))
    if not network.startswith("fake"):
        row = row_of(check.__name__.replace("_", " "))
        assert row[COLUMNS.index(network)] == (said or "proved"), "docs/testing-a-platform.md says something else"


TABLES = (Path(__file__).parents[1] / "docs" / "testing-a-platform.md").read_text(encoding="utf-8")
COLUMNS = ["web", "telegram", "discord", "slack", "terminal that redraws", "terminal in a pipe"]


def row_of(check: str) -> list[str]:
    """The cells of a check, in the page that shows what was proved of whom."""
    (line,) = [line for line in TABLES.splitlines() if line.startswith(f"| {check} ")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_every_platform_that_ships_goes_through_the_suite() -> None:
    folders = {file.parent.name for file in PLATFORMS.glob("*/__init__.py")}
    assert folders == {network.split()[0] for network in NETWORKS} - {"fake"}
    assert len(folders) >= 2


def test_an_exemption_names_its_check_and_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "quality.yaml"
    name, reason = next(iter(CHECKS)), "The network has no test account that may delete messages."
    file.write_text(f"{name}: {reason}")
    assert exemptions(file) == {name: reason}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("deletes_messages: The network has no test account for it.", "no check"),
        ("texts_are_edited: no", "without a reason"),
        ("texts_are_edited:", "without a reason"),
        ("- texts_are_edited", "name_of_a_check"),
        ("", "name_of_a_check"),
    ],
)
def test_an_exemption_that_says_nothing_is_none(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "quality.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=said):
        exemptions(file)


def test_suite_has_all_its_checks() -> None:
    assert len(CHECKS) == len(PLATFORM_CHECKS) >= 28
    assert all(check.__doc__ for check in PLATFORM_CHECKS)


# --- platforms that do not keep their word


class Forgetful(FakePlatform):
    """Makes up a new id for each event, so that repeats look new."""

    async def receive(self, event: Event) -> FirstAnswer:
        return await super().receive(replace(event, keys=self.event(event.body).keys))


class Blind(FakePlatform):
    """Gives the same id to all that it shows."""

    async def send(self, message: Outgoing) -> Receipt:
        return replace(await super().send(message), ids=("7",))


class Stingy(FakePlatform):
    """Shows only the first file of an album."""

    async def send(self, message: Outgoing) -> Receipt:
        return await super().send(replace(message, media=message.media[:1]))


class Boastful(FakePlatform):
    """Cuts what it declared to be able to show."""

    def __init__(self) -> None:
        super().__init__(can=with_capabilities(text=4_000))

    async def send(self, message: Outgoing) -> Receipt:
        assert message.text is not None or message.media
        receipt = await super().send(message)
        shown = self.shown[receipt.ids[0]]
        if len(shown.text) > 3_000:
            shown.message = replace(message, text=None)
        return receipt


class Mute(FakePlatform):
    """Accepts edits and changes nothing."""

    async def edit(self, receipt: Receipt, message: Outgoing) -> Receipt:
        return receipt


class Scrambling(FakePlatform):
    """Brings back another payload than the button carried."""

    async def send(self, message: Outgoing) -> Receipt:
        rows = [[replace(button, payload=button.payload.upper()) for button in row] for row in message.buttons]
        return await super().send(replace(message, buttons=rows))


class Modest(FakePlatform):
    """Can edit and says that it cannot."""

    def __init__(self) -> None:
        super().__init__(can=with_capabilities(edit_text=False, edit_media=False))


class Clinging(FakePlatform):
    """Its messages stay when they are deleted."""

    async def delete(self, receipt: Receipt) -> None:
        pass


class Credulous(FakePlatform):
    """Finds whatever it is asked for."""

    async def find(self, message: Outgoing) -> Receipt:
        return Receipt(chat=message.chat, ids=("1",))


class Talkative(FakePlatform):
    """Takes what it said itself for somebody's message."""

    async def receive(self, event: Event) -> FirstAnswer:
        assert self.gateway is not None
        return await self.gateway.receive(event)


class Selfmade(FakePlatform):
    """Goes by event ids alone, which change when the network repeats itself."""

    async def receive(self, event: Event) -> FirstAnswer:
        return await super().receive(replace(event, keys=event.keys[:1]))


class Cutting(FakePlatform):
    """Shows no more than the first twenty buttons and 1,000 characters, and says nothing of it."""

    def __init__(self) -> None:
        super().__init__(can=with_capabilities(text=4_000))

    async def send(self, message: Outgoing) -> Receipt:
        receipt = await super().send(message)
        shown = self.shown[receipt.ids[0]]
        if len(shown.text) > 1_000:
            shown.message = replace(message, text=None)
        return receipt


class Curt(FakePlatform):
    """Believes that every event has an answer of its own."""

    async def receive(self, event: Event) -> FirstAnswer:
        first = await super().receive(event)
        assert not isinstance(first, Defer) or not first.private
        return first


class Shuffling(FakePlatform):
    """Shows the newest first."""

    async def send(self, message: Outgoing) -> Receipt:
        receipt = await super().send(message)
        self.shown = dict(sorted(self.shown.items(), key=lambda item: -int(item[0])))
        return receipt


class Impatient(FakePlatform):
    """Waits a second less than it was told to."""

    async def send(self, message: Outgoing) -> Receipt:
        try:
            return await super().send(message)
        except Retry as later:
            raise Retry(later.after - 1) from later


class Stubborn(FakePlatform):
    """Tries again by itself when the network asks for a pause."""

    async def send(self, message: Outgoing) -> Receipt:
        try:
            return await super().send(message)
        except Retry:
            return await super().send(message)


class Careless(FakePlatform):
    """Acknowledges what could not be stored."""

    async def receive(self, event: Event) -> FirstAnswer:
        try:
            return await super().receive(event)
        except Unavailable:
            return None


class Silent(FakePlatform):
    """Leaves out the numbers that stand in for buttons, and private answers."""

    def __init__(self) -> None:
        super().__init__(can=with_capabilities(buttons=ButtonRules()))

    async def send(self, message: Outgoing) -> Receipt:
        hidden = message.private_to or "2." in PlainDialect().render(message.text or Document(()))
        return await super().send(replace(message, text=None) if hidden else message)


class Wordy(FakePlatform):
    """Edits the words and never the picture."""

    async def edit(self, receipt: Receipt, message: Outgoing) -> Receipt:
        return await super().edit(receipt, replace(message, media=self.shown[receipt.ids[0]].message.media))


class Unmoved(FakePlatform):
    """Declares signs that it does not know."""

    async def signal(self, chat: ChatRef, what: str, message_id: str = "") -> None:
        raise AssertionError(what)


class Greedy(FakePlatform):
    """Sends whatever it is given, however large."""

    def __init__(self) -> None:
        super().__init__(can=with_capabilities(upload={"": 1_000}))


class Reading(Greedy):
    """Looks at a file's size only once it has all of it."""

    async def send(self, message: Outgoing) -> Receipt:
        assert self.gateway is not None
        for media in message.media:
            data = [piece async for piece in self.gateway.blobs.open(media.blob.sha256)]
            if len(b"".join(data)) > 1_000:
                raise Refused("too large")
        return await super().send(message)


class Skilled(FakePlatform):
    """Says that it can do all the rest, and does each a little wrong, as its person below sees it."""

    def __init__(self) -> None:
        super().__init__(
            can=with_capabilities(forms=True, typed_options=True, attachments=True, completion=True, threads=True)
        )

    async def read(self, file: FileRef) -> AsyncIterator[bytes]:
        """Once only."""
        yield self.files.pop(file.ref, b"")


class OnSkilled(OnFake):
    """Loses a field of a form, the quotes of an option, the thread of a message, and who an answer was for."""

    acknowledge_seconds = 0.01

    async def submit(self, values: Mapping[str, str]) -> None:
        first = dict(list(values.items())[:1])
        await self.platform.receive(self.platform.event(Submitted(form="a.form", values=first)))

    async def call(self, command: str, options: Mapping[str, str]) -> None:
        bare = {name: value.replace('"', "") for name, value in options.items()}
        await self.platform.receive(self.platform.event(Called(command=command, options=bare)))

    async def attach(self, data: bytes, name: str) -> None:
        self.platform.files[name] = data
        file = FileRef(platform=self.platform.name, ref=name, name=name)
        await self.platform.receive(self.platform.event(Said(files=(file,))))

    async def complete(self, command: str, option: str, typed: str) -> Sequence[str]:
        return ["make", "made up"]

    async def acknowledged(self) -> None:
        await asyncio.Event().wait()

    def in_thread(self) -> Network:
        return self

    def in_group(self) -> Network:
        return InRoom(self.platform, self._gateway)


class InRoom(OnFake):
    """A group in which everybody sees everything."""

    async def say(self, text: str) -> None:
        await self.platform.receive(self.platform.event(Said(text=text), chat="group", direct=False))


BROKEN: Sequence[tuple[str, type[FakePlatform], type[OnFake]]] = (
    ("ids_come_back_as_they_are_seen", Blind, OnFake),
    ("what_the_account_says_itself_is_no_event", Talkative, OnFake),
    ("what_the_network_repeats_is_handled_once", Forgetful, OnFake),
    ("what_the_network_repeats_is_handled_once", Selfmade, OnFake),
    ("all_that_is_visible_has_a_receipt", Stingy, OnFake),
    ("class_and_declaration_agree", Modest, OnFake),
    ("texts_and_captions_arrive_whole", Boastful, OnFake),
    ("buttons_bring_back_what_they_carry", Scrambling, OnFake),
    ("numbers_stand_in_for_buttons", Silent, OnFake),
    ("texts_are_edited", Mute, OnFake),
    ("pictures_are_edited", Wordy, OnFake),
    ("a_text_becomes_a_picture", Wordy, OnFake),
    ("messages_are_deleted", Clinging, OnFake),
    ("messages_are_found_again", Credulous, OnFake),
    ("albums_arrive_in_order", Stingy, OnFake),
    ("private_answers_reach_who_asked", Silent, OnFake),
    ("signs_are_taken", Unmoved, OnFake),
    ("forms_come_back_filled_in", Skilled, OnSkilled),
    ("typed_options_arrive_as_given", Skilled, OnSkilled),
    ("attached_files_can_be_read", Skilled, OnSkilled),
    ("completion_proposes_what_there_is", Skilled, OnSkilled),
    ("what_does_not_fit_is_shown_another_way", Cutting, OnFake),
    ("every_first_answer_is_taken", Curt, OnFake),
    ("presses_are_acknowledged_in_time", Skilled, OnSkilled),
    ("threads_are_conversations_of_their_own", Skilled, OnSkilled),
    ("private_answers_are_kept_from_the_others", Skilled, OnSkilled),
    ("what_is_too_large_is_refused_unread", Greedy, OnFake),
    ("what_is_too_large_is_refused_unread", Reading, OnFake),
    ("what_is_said_comes_in_order", Shuffling, OnFake),
    ("a_pause_that_the_network_asks_for_is_told_exactly", Impatient, OnFake),
    ("a_pause_that_the_network_asks_for_is_told_exactly", Stubborn, OnFake),
    ("what_cannot_be_stored_is_not_acknowledged", Careless, OnFake),
)
BELOW = {"a_broken_connection_is_made_anew", "nonsense_is_set_aside", "starts_and_stops_leave_nothing_behind"}
"""These have tests of their own."""


def test_every_check_has_a_platform_that_fails_it() -> None:
    assert {check for check, *_ in BROKEN} | BELOW == CHECKS.keys()


def making(platform: type[FakePlatform], side: type[OnFake] = OnFake) -> MakeNetwork:
    @asynccontextmanager
    async def make(gateway: ScriptedGateway) -> AsyncIterator[Network]:
        account = platform()
        async with on_line(account, gateway):
            yield side(account, gateway)

    return make


@pytest.mark.parametrize(("check", "platform", "side"), BROKEN)
async def test_suite_notices(check: str, platform: type[FakePlatform], side: type[OnFake]) -> None:
    with pytest.raises((AssertionError, TimeoutError)):
        await CHECKS[check](making(platform, side))


class OnFragile(OnFake):
    """A network that can be cut off and that talks nonsense, and an account that does not get over it."""

    async def cut(self) -> None:
        self._gateway.answer = never

    async def garble(self) -> None:
        self._gateway.answer = never


async def never(_: Event) -> FirstAnswer:
    raise AssertionError("deaf")


@pytest.mark.parametrize("check", ["a_broken_connection_is_made_anew", "nonsense_is_set_aside"])
async def test_suite_notices_an_account_that_goes_deaf(check: str) -> None:
    with pytest.raises(AssertionError):
        await CHECKS[check](making(FakePlatform, OnFragile))


async def test_the_whole_suite_gives_findings_and_stops_at_none(monkeypatch: pytest.MonkeyPatch) -> None:
    few = [CHECKS[name] for name in ("texts_are_edited", "forms_come_back_filled_in", "messages_are_deleted")]
    monkeypatch.setattr(platform_suite, "PLATFORM_CHECKS", few)
    found = await check_platform(making(Clinging))
    assert [(each.check, each.outcome) for each in found] == [
        ("texts_are_edited", "proved"),
        ("forms_come_back_filled_in", "not asked"),
        ("messages_are_deleted", "failed"),
    ]
    assert found[1].said == "not declared"


def pytest_of(*arguments: str) -> tuple[int, str]:
    """Another run of pytest, from the folder of the tests; its exit code and what it printed."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-q", *arguments]
    done = subprocess.run(  # noqa: S603 - our own words
        command,
        cwd=Path(__file__).parent,
        env=os.environ | {"CI": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_pytest_runs_the_suite_on_a_platform_and_prints_what_was_proved() -> None:
    code, printed = pytest_of("--chatelier-platform", "networks:on_fake")
    assert code == 0, printed
    table = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in printed.splitlines() if line[:1] == "|"}
    assert {name.replace(" ", "_") for name in table} >= CHECKS.keys()
    assert (table["texts are edited"], table["forms come back filled in"]) == ("proved", "not declared")


def test_a_part_of_the_suite_can_be_chosen() -> None:
    code, printed = pytest_of("--chatelier-platform", "networks:on_fake", "-k", "texts_are_edited")
    assert code == 0, printed
    assert "1 passed" in printed


def test_pytest_tells_what_failed() -> None:
    code, printed = pytest_of("--chatelier-platform", "test_platform_suite:on_clinging")
    assert code == 1
    assert "| messages are deleted " in printed
    assert "| failed: " in printed


on_clinging = making(Clinging)


@pytest.mark.parametrize("name", ["no_such_module:make", "networks:no_such_function", "networks", ":"])
def test_pytest_says_how_to_name_a_platform(name: str) -> None:
    code, printed = pytest_of("--chatelier-platform", name)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "MODULE:FUNCTION" in printed
    assert "INTERNALERROR" not in printed


def test_other_runs_of_pytest_do_not_import_chatelier() -> None:
    program = "import sys, chatelier_pytest; sys.exit('chatelier' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0  # noqa: S603 - as above


async def test_suite_notices_what_is_left_open() -> None:
    """A descriptor for each life of the account."""
    left = []

    @asynccontextmanager
    async def make(gateway: ScriptedGateway) -> AsyncIterator[Network]:
        left.append(Path(__file__).open())  # noqa: ASYNC230, SIM115 - that is the leak
        async with on_fake(gateway) as network:
            yield network

    try:
        with pytest.raises(AssertionError, match="open files"):
            await CHECKS["starts_and_stops_leave_nothing_behind"](make)
    finally:
        for file in left:
            file.close()
