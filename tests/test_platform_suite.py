"""Every platform that ships passes the published suite, and the suite notices one that does not keep its word."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatelier import Event, FirstAnswer, Outgoing, Receipt
from chatelier.testing import (
    PLATFORM_CHECKS,
    FakePlatform,
    MakeNetwork,
    Network,
    ScriptedGateway,
    exemptions,
    with_capabilities,
)
from networks import OnFake, on_fake, on_line, on_page, on_telegram, on_terminal

Check = Callable[[MakeNetwork], Awaitable[None]]
IDS, REPEATS, RECEIPTS, PROOFS, LEAKS = PLATFORM_CHECKS


PLATFORMS = Path(__file__).parents[1] / "platforms"
NETWORKS: dict[str, Callable[[Path], MakeNetwork]] = {
    "fake": lambda _: on_fake,
    "web": lambda _: on_page,
    "telegram": lambda _: on_telegram,
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


@pytest.mark.parametrize(("network", "check"), list(cases()))
async def test_platform_keeps_the_contract(network: str, check: Check, tmp_path: Path) -> None:
    await check(NETWORKS[network](tmp_path))


def test_every_platform_that_ships_goes_through_the_suite() -> None:
    folders = {file.parent.name for file in PLATFORMS.glob("*/__init__.py")}
    assert folders == {network.split()[0] for network in NETWORKS} - {"fake"}
    assert len(folders) >= 2


def test_an_exemption_names_its_check_and_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "quality.yaml"
    name, reason = PROOFS.__name__, "The network has no test account that may delete messages."
    file.write_text(f"{name}: {reason}")
    assert exemptions(file) == {name: reason}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("deletes_messages: The network has no test account for it.", "no check"),
        (f"{PROOFS.__name__}: no", "without a reason"),
        (f"{PROOFS.__name__}:", "without a reason"),
        (f"- {PROOFS.__name__}", "name_of_a_check"),
        ("", "name_of_a_check"),
    ],
)
def test_an_exemption_that_says_nothing_is_none(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "quality.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=said):
        exemptions(file)


def test_suite_has_all_its_checks() -> None:
    assert len({check.__name__ for check in PLATFORM_CHECKS}) >= 5
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


@pytest.mark.parametrize(
    ("check", "platform"),
    [
        (IDS, Blind),
        (REPEATS, Forgetful),
        (RECEIPTS, Stingy),
        (PROOFS, Boastful),
        (PROOFS, Mute),
        (PROOFS, Scrambling),
        (PROOFS, Modest),
        (PROOFS, Clinging),
        (PROOFS, Credulous),
    ],
)
async def test_suite_notices(check: Check, platform: type[FakePlatform]) -> None:
    @asynccontextmanager
    async def make(gateway: ScriptedGateway) -> AsyncIterator[Network]:
        account = platform()
        async with on_line(account, gateway):
            yield OnFake(account, gateway)

    with pytest.raises(AssertionError):
        await check(make)


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
            await LEAKS(make)
    finally:
        for file in left:
            file.close()
