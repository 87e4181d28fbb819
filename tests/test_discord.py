"""A bot on Discord by its real library: what comes in, what goes out, and when."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.responses import JSONResponse, Response

from chatelier import (
    Ask,
    Button,
    Called,
    ChatRef,
    Choice,
    Defer,
    Event,
    FileRef,
    FirstAnswer,
    Form,
    Gone,
    Media,
    OperatorMust,
    Option,
    Outgoing,
    Pressed,
    Refused,
    Reply,
    Retry,
    Said,
    Submitted,
    Unavailable,
    Uncertain,
)
from chatelier.core.chat.fit import fit
from chatelier.core.chat.markup import document
from chatelier.core.chat.messages import FieldType
from chatelier.core.keys import token
from chatelier.core.testing.scripted import COMMANDS, Offer
from chatelier.platforms.discord import commands, words
from chatelier.platforms.discord.adapter import Discord
from chatelier.platforms.discord.records import KINDS
from chatelier.testing import ScriptedGateway
from discord_network import ADA, CORNER, GUILD, SQUARE, discord_account, discord_peer, png
from networks import on_line
from peers.discord import BOT, EPHEMERAL, DiscordPeer, Waiting, labels_of, seen, too_many


class Desk:
    """A bot that is on line, and people who write to it."""

    def __init__(self, peer: DiscordPeer, gateway: ScriptedGateway, account: Discord) -> None:
        self.peer = peer
        self.gateway = gateway
        self.account = account

    async def event(self) -> Event:
        return await self.gateway.next_event()

    async def said(self, text: str = "", **how: Any) -> Event:
        self.peer.says(text, **how)
        return await self.event()

    def answers(self, first: FirstAnswer) -> None:
        async def answer(_: Event) -> FirstAnswer:
            return first

        self.gateway.answer = answer

    async def published(self) -> None:
        await self.account.publish(self.gateway.commands)

    async def called(self, name: str, options: Any = None, **how: Any) -> tuple[Event, Waiting]:
        await self.published()
        waiting = self.peer.calls_command(name, options, **how)
        event = await self.event()
        await self.peer.until(lambda: waiting.first)
        return event, waiting

    def to(self, event: Event, text: str = "an answer", *media: Media, private: bool = False) -> Outgoing:
        return Outgoing(
            key=token(),
            chat=event.chat,
            text=document(text),
            media=media,
            private_to=event.sender if private else "",
            native=event.native,
        )

    async def picture(self, colour: str = "red") -> Media:
        return Media(blob=await self.gateway.blobs.keep(png(colour=colour)), name=f"{colour}.png", alt=f"all {colour}")

    def texts(self, channel: int = 0) -> list[str]:
        return [seen(each["content"]) for each in self.peer.sent(channel)]

    def public(self, channel: int = SQUARE) -> list[str]:
        return [seen(each["content"]) for each in self.peer.public(channel)]


def scripted(*offers: Offer) -> ScriptedGateway:
    return ScriptedGateway(KINDS, commands=[*COMMANDS, *offers])


@asynccontextmanager
async def at_work(peer: DiscordPeer, gateway: ScriptedGateway | None = None, **changes: Any) -> AsyncIterator[Desk]:
    gateway = gateway or scripted()
    gateway.online.clear()
    account = discord_account(peer, **changes)
    async with on_line(account, gateway):
        yield Desk(peer, gateway, account)


@pytest.fixture
async def peer() -> AsyncIterator[DiscordPeer]:
    async with discord_peer() as peer:
        yield peer


@pytest.fixture
async def desk(peer: DiscordPeer) -> AsyncIterator[Desk]:
    async with at_work(peer) as desk:
        yield desk


def body(event: Event) -> Said:
    assert isinstance(event.body, Said)
    return event.body


# --- messages


async def test_people_are_the_same_everywhere_and_chats_are_told_apart(desk: Desk) -> None:
    direct, square = await desk.said("a"), await desk.said("b", channel=SQUARE)
    corner = await desk.said("c", channel=CORNER)
    assert {direct.sender, square.sender, corner.sender} == {"discord:42"}
    assert direct.chat == ChatRef(platform="discord", chat=str(desk.peer.direct(ADA)), direct=True)
    assert square.chat == ChatRef(platform="discord", chat=str(SQUARE))
    assert corner.chat == ChatRef(platform="discord", chat=str(SQUARE), thread=str(CORNER))


async def test_admins_are_who_may_manage_the_server(desk: Desk) -> None:
    assert not (await desk.said("a", channel=SQUARE)).admin
    assert (await desk.said("b", channel=SQUARE, as_admin=True)).admin
    desk.answers(Defer())
    assert (await desk.called("status", channel=SQUARE, admin=True))[0].admin
    assert not (await desk.called("status", channel=SQUARE))[0].admin


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (f"<@{BOT}> make a fox", "/make a fox"),
        (f"<@!{BOT}>, /make a fox", "/make a fox"),
        (f"<@{BOT}> what is this?", "what is this?"),
        ("/make a fox", "/make a fox"),
    ],
)
async def test_behind_our_name_a_command_needs_no_slash(desk: Desk, typed: str, read: str) -> None:
    assert body(await desk.said(typed, channel=SQUARE)).text == read


async def test_without_the_intent_our_name_and_direct_messages_are_enough(peer: DiscordPeer) -> None:
    async with at_work(peer, message_content=False) as desk:
        peer.says("not for the bot", channel=SQUARE)
        assert body(await desk.said(f"<@{BOT}> help", channel=SQUARE)).text == "/help"
        assert body(await desk.said("hello")).text == "hello"


async def test_bots_and_webhooks_are_not_people(desk: Desk) -> None:
    desk.peer.says("from a webhook", channel=SQUARE, webhook_id="9")
    desk.peer.says("somebody joined", channel=SQUARE, type=7)
    assert body(await desk.said("from ada", channel=SQUARE)).text == "from ada"


async def test_files_are_read_by_todays_address(desk: Desk) -> None:
    event = await desk.said("look", files={"a.png": png(), "b.png": png(colour="blue")})
    first, second = body(event).files
    assert (first.name, first.mime, first.size) == ("a.png", "image/png", len(png()))
    assert b"".join([piece async for piece in desk.account.read(second)]) == png(colour="blue")
    message = desk.peer.messages[int(event.keys[-1])]
    desk.peer.moves_file(message)
    assert b"".join([piece async for piece in desk.account.read(first)]) == png()
    desk.peer.unsays(message)
    with pytest.raises(Gone):
        await anext(desk.account.read(first))


async def test_a_message_that_is_answered_brings_its_author_and_its_pictures(desk: Desk) -> None:
    theirs = desk.peer.says("my picture", by=43, channel=SQUARE, files={"a.png": png()})
    await desk.event()
    said = body(await desk.said("/effect", channel=SQUARE, message_reference={"message_id": theirs["id"]}))
    assert (said.reply_to, said.answered, [file.name for file in said.files]) == (theirs["id"], "discord:43", ["a.png"])


async def test_what_is_corrected_is_read_again(desk: Desk) -> None:
    message = desk.peer.says("/mkae")
    first = await desk.event()
    desk.peer.edits(message, "/make")
    await desk.said("and now")
    assert desk.gateway.repeats == 1, "the same message, told to the core once more"
    assert first.keys[-1] == message["id"]


async def test_a_message_waits_until_it_can_be_stored_and_the_next_one_behind_it(desk: Desk) -> None:
    left = [3]

    async def refuse(_: Event) -> FirstAnswer:
        if left[0]:
            left[0] -= 1
            raise Unavailable("the store is down")
        return None

    desk.gateway.answer = refuse
    desk.peer.says("first")
    desk.peer.says("second")
    assert [body(await desk.event()).text, body(await desk.event()).text] == ["first", "second"]
    assert not left[0]


# --- commands


async def test_options_come_as_they_are_typed(desk: Desk) -> None:
    event, waiting = await desk.called("make", {"prompt": "a fox", "width": 640, "tile": True, "style": "ink"})
    assert event.body == Called(command="make", options={"prompt": "a fox", "width": 640, "tile": True, "style": "ink"})
    assert waiting.first == 5
    event, _ = await desk.called("effect", {"image": ("fox.png", png())})
    assert isinstance(event.body, Called)
    file = event.body.options["image"]
    assert isinstance(file, FileRef)
    assert b"".join([piece async for piece in desk.account.read(file)]) == png()


async def test_the_token_of_an_interaction_is_a_secret(desk: Desk) -> None:
    event, waiting = await desk.called("status")
    assert [name for name, value in event.native.items() if waiting.token in value] == ["secret.token"]


async def test_the_first_answer_stands_in_the_kept_place_and_the_others_behind_it(desk: Desk) -> None:
    event, waiting = await desk.called("make", {"prompt": "a fox"}, channel=SQUARE)
    first = desk.to(event, "first", await desk.picture())
    shown = [await desk.account.send(first), await desk.account.send(first)]
    assert shown[0] == shown[1], "again is no second message"
    assert shown[0].ids == (str(waiting.original),)
    await desk.account.send(desk.to(event, "second"))
    assert desk.public() == ["first", "second"]
    assert (await desk.account.edit(shown[0], desk.to(event, "changed"))) == shown[0]
    assert desk.public() == ["changed", "second"]
    assert not desk.peer.messages[waiting.original]["attachments"], "an edit without a picture takes it away"


async def test_a_private_answer_is_seen_by_nobody_else(desk: Desk) -> None:
    desk.answers(Defer(private=True))
    event, waiting = await desk.called("status", channel=SQUARE)
    assert (waiting.first, waiting.flags) == (5, EPHEMERAL)
    for text in ("ten points", "and more"):
        receipt = await desk.account.send(desk.to(event, text, private=True))
        assert not receipt.editable
    assert desk.texts(SQUARE) == ["ten points", "and more"]
    assert not desk.public()


async def test_an_answer_for_one_gives_up_a_place_that_all_see(desk: Desk) -> None:
    event, waiting = await desk.called("make", channel=SQUARE)
    await desk.account.send(desk.to(event, "not so", private=True))
    assert not desk.public()
    assert desk.texts(SQUARE) == ["not so"]
    assert waiting.original not in desk.peer.messages


async def test_an_answer_for_all_gives_up_a_place_that_one_sees(desk: Desk) -> None:
    desk.answers(Defer(private=True))
    event, _ = await desk.called("status", channel=SQUARE)
    await desk.account.send(desk.to(event, "for all"))
    assert desk.public() == ["for all"]


async def test_in_a_direct_chat_nothing_has_to_be_hidden(desk: Desk) -> None:
    desk.answers(Defer(private=True))
    event, waiting = await desk.called("status")
    assert waiting.flags == 0
    receipt = await desk.account.send(desk.to(event, "ten points", private=True))
    assert receipt.editable


@pytest.mark.parametrize("private", [False, True])
async def test_after_a_quarter_of_an_hour_an_answer_comes_another_way(desk: Desk, private: bool) -> None:
    desk.peer.later = -1_000
    event, _ = await desk.called("make", {"prompt": "a fox"}, channel=SQUARE)
    desk.peer.later = 0
    await desk.account.send(desk.to(event, "late", private=private))
    assert desk.public() == ([] if private else ["late"])
    assert desk.texts() == (["late"] if private else [])


async def test_an_interaction_that_discord_forgot_is_no_reason_to_say_nothing(desk: Desk) -> None:
    event, _ = await desk.called("make", channel=SQUARE)
    desk.peer.interactions.clear()
    await desk.account.send(desk.to(event, "all the same"))
    assert desk.public() == ["all the same"]


async def test_another_process_fills_the_place_that_the_first_one_kept(peer: DiscordPeer) -> None:
    gateway = scripted()
    async with at_work(peer, gateway) as desk:
        event, waiting = await desk.called("make", {"prompt": "a fox"}, channel=SQUARE)
    async with at_work(peer, gateway) as desk:
        message = desk.to(event, "made by the second")
        receipt = await desk.account.send(message)
        assert receipt.ids == (str(waiting.original),)
    async with at_work(peer, gateway) as desk:
        await desk.account.send(message)
        await desk.account.send(desk.to(event, "and more"))
        assert desk.public() == ["made by the second", "and more"]


async def test_who_takes_no_direct_messages_is_told_where_they_asked(desk: Desk) -> None:
    event = await desk.said("/account", channel=SQUARE)
    desk.peer.closed_to.add(ADA)
    await desk.account.send(desk.to(event, "ten points", private=True))
    assert desk.public() == [words.OPEN_PRIVATE]


async def slow(desk: Desk) -> Callable[[], None]:
    """The store answers when it is let."""
    let = asyncio.Event()

    async def answer(_: Event) -> FirstAnswer:
        await let.wait()
        return Defer()

    desk.gateway.answer = answer
    return let.set


async def test_a_store_that_takes_its_time_costs_no_command(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatelier.platforms.discord.line.STORED_SECONDS", 0.05)
    let = await slow(desk)
    await desk.published()
    waiting = desk.peer.calls_command("status", channel=SQUARE)
    await desk.peer.until(lambda: waiting.first)
    let()
    event = await desk.event()
    await desk.account.send(desk.to(event, "here"))
    assert desk.public() == ["here"]


async def test_a_store_that_fails_late_is_said_in_the_place_that_was_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatelier.platforms.discord.line.STORED_SECONDS", 0.05)
    let = asyncio.Event()

    async def fail(_: Event) -> FirstAnswer:
        await let.wait()
        raise Unavailable("the store is down")

    desk.gateway.answer = fail
    await desk.published()
    waiting = desk.peer.calls_command("status", channel=SQUARE)
    await desk.peer.until(lambda: waiting.first)
    let.set()
    await desk.peer.until(lambda: desk.texts(SQUARE) == [words.NOT_READY])
    assert not desk.public()


async def test_a_form_that_comes_late_has_a_button(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatelier.platforms.discord.line.STORED_SECONDS", 0.05)
    let = asyncio.Event()

    async def ask(_: Event) -> FirstAnswer:
        await let.wait()
        return Ask(form=replace(FORM, values={}))

    desk.gateway.answer = ask
    await desk.published()
    waiting = desk.peer.calls_command("make", channel=SQUARE)
    await desk.peer.until(lambda: waiting.first)
    let.set()
    await desk.peer.until(lambda: any(words.FORM_BUTTON in str(each["components"]) for each in desk.peer.sent(SQUARE)))


async def test_a_store_that_is_away_is_said_to_who_asked_alone(desk: Desk) -> None:
    async def refuse(_: Event) -> FirstAnswer:
        raise Unavailable("the store is down")

    desk.gateway.answer = refuse
    await desk.published()
    waiting = desk.peer.calls_command("status", channel=SQUARE)
    await desk.peer.until(lambda: waiting.first)
    assert (waiting.first, waiting.flags & EPHEMERAL) == (4, EPHEMERAL)
    assert desk.texts(SQUARE) == [words.NOT_READY]


async def test_commands_are_told_only_when_they_changed(peer: DiscordPeer) -> None:
    gateway = scripted()
    for _ in range(2):
        async with at_work(peer, gateway) as desk:
            await desk.published()
            await desk.published()
    assert peer.upserts == 1
    gateway.commands = [*COMMANDS, Offer("new", "Something new")]
    async with at_work(peer, gateway) as desk:
        await desk.published()
    assert peer.upserts == 2
    assert "new" in [each["name"] for each in peer.commands]


async def test_whatever_a_command_is_like_discord_takes_it(desk: Desk) -> None:
    kinds: list[tuple[FieldType, int]] = [("integer", 0), ("number", 0), ("boolean", 0), ("image", 0), ("file", 0)]
    kinds += [("choice", 2), ("choice", 25), ("choice", 26)]
    kinds += [("text", 0)] * 30
    options = tuple(
        Option(
            name=f"o{n}",
            type=kind,
            required=n % 2 == 0,
            description="d" * 300,
            choices=tuple(Choice(value=f"{m}" * 90, label="l" * 200) for m in range(size)),
        )
        for n, (kind, size) in enumerate(kinds)
    )
    seed = Option(name="seed", type="integer", minimum=0, maximum=2**64)
    desk.gateway.commands = [
        Offer("large", "s" * 300, options),
        Offer("seeded", "", (seed, Option(name="Upper")), operators=True),
        Offer("No Name", "left out"),
    ]
    await desk.published()
    large, seeded = (each for each in desk.peer.commands if each["type"] == 1)
    assert len(large["options"]) <= 25
    assert [each["name"] for each in seeded["options"]] == ["seed"]
    assert seeded["options"][0]["type"] == commands.STRING, "Discord carries no number so large"
    assert seeded["default_member_permissions"] == "0"


async def test_commands_beyond_a_hundred_stand_behind_one_more(peer: DiscordPeer) -> None:
    offers = [Offer(f"flow{n:03d}", "A workflow", (Option(name="prompt", rest=True),)) for n in range(150)]
    async with at_work(peer, scripted(*offers)) as desk:
        await desk.published()
        names = [each["name"] for each in peer.commands if each["type"] == 1]
        assert len(names) == 100
        assert names[-1] == commands.MORE
        waiting = peer.types(commands.MORE, "command", "flow14")
        await peer.until(lambda: waiting.first)
        assert [each["value"] for each in waiting.given["choices"]] == [f"flow14{n}" for n in range(10)]
        event, _ = await desk.called(commands.MORE, {"command": "flow149", "text": "a fox", "file": ("a.png", png())})
        assert (body(event).text, [file.name for file in body(event).files]) == ("/flow149 a fox", ["a.png"])


async def test_long_lists_are_completed_as_one_types(peer: DiscordPeer) -> None:
    choices = tuple(Choice(value=f"style {n}") for n in range(60))
    async with at_work(
        peer, scripted(Offer("paint", "x", (Option(name="style", type="choice", choices=choices),)))
    ) as desk:
        await desk.published()
        waiting = peer.types("paint", "style", "style 5")
        await peer.until(lambda: waiting.first)
        assert waiting.first == 8
        assert [each["value"] for each in waiting.given["choices"]] == ["style 5", *(f"style 5{n}" for n in range(10))]
        assert not desk.gateway.events, "what is typed is no event"


async def test_the_menu_of_a_message_takes_its_pictures_and_tells_about_a_result(desk: Desk) -> None:
    theirs = desk.peer.says("look", by=43, channel=SQUARE, files={"a.png": png()})
    await desk.event()
    desk.peer.uses_menu(words.USE_AS_INPUT, theirs, channel=SQUARE)
    said = body(await desk.event())
    assert (said.text, [file.name for file in said.files], said.reply_to) == ("", ["a.png"], theirs["id"])
    assert b"".join([piece async for piece in desk.account.read(said.files[0])]) == png()
    reply = Reply(text="done", buttons=((Button(label="ⓘ Info", payload="j.job.info"),),))
    event = await desk.said("x", channel=SQUARE)
    (part,) = fit(reply, token(), event.chat, desk.account.capabilities(event.chat), native={})
    receipt = await desk.account.send(part)
    waiting = desk.peer.uses_menu(words.INFO, desk.peer.messages[int(receipt.ids[0])], channel=SQUARE)
    assert (await desk.event()).body == Pressed(payload="j.job.info", message_id=receipt.ids[0])
    await desk.peer.until(lambda: waiting.first)
    assert waiting.flags & EPHEMERAL
    waiting = desk.peer.uses_menu(words.INFO, theirs, channel=SQUARE)
    await desk.peer.until(lambda: waiting.first)
    assert waiting.given["content"] == words.NO_RESULT


# --- buttons and forms


async def a_button(desk: Desk) -> dict[str, Any]:
    event = await desk.said("x", channel=SQUARE)
    reply = Reply(text="choose", buttons=((Button(label="Again", payload="a.1"),),))
    (part,) = fit(reply, token(), event.chat, desk.account.capabilities(event.chat), native={})
    return desk.peer.messages[int((await desk.account.send(part)).ids[0])]


@pytest.mark.parametrize(("private", "first"), [(False, 6), (True, 5)])
async def test_a_press_just_stops_turning_unless_its_answer_is_private(desk: Desk, private: bool, first: int) -> None:
    message = await a_button(desk)
    desk.answers(Defer(private=private))
    waiting = desk.peer.presses(message, "a.1")
    event = await desk.event()
    assert event.body == Pressed(payload="a.1", message_id=message["id"])
    await desk.peer.until(lambda: waiting.first)
    assert waiting.first == first
    await desk.account.send(desk.to(event, "pressed", private=private))
    await desk.account.send(desk.to(event, "for you", private=True))
    assert desk.public() == ["choose"] + ([] if private else ["pressed"])


async def shown(desk: Desk, buttons: tuple[tuple[Button, ...], ...]) -> dict[str, Any]:
    event = await desk.said("x", channel=SQUARE)
    reply = Reply(text="choose", buttons=buttons)
    (part,) = fit(reply, token(), event.chat, desk.account.capabilities(event.chat), native={})
    return desk.peer.messages[int((await desk.account.send(part)).ids[0])]


@pytest.mark.parametrize("count", [26, 60, 100])
async def test_what_is_too_much_for_buttons_stands_in_menus(desk: Desk, count: int) -> None:
    choices = tuple((Button(label=f"model {n}.", payload=f"q.k.{n}"),) for n in range(count))
    message = await shown(desk, ((Button(label="Help", url="https://example.org"),), *choices[:-1]))
    assert {each["type"] for row in message["components"][:-1] for each in row["components"]} == {3}
    assert set(labels_of(message)) == {"Help", *[f"model {n}." for n in range(count - 1)]}
    waiting = desk.peer.presses_on(message, f"model {count - 2}.")
    event = await desk.event()
    assert event.body == Pressed(payload=f"q.k.{count - 2}", message_id=message["id"])
    await desk.peer.until(lambda: waiting.first)


async def test_rows_of_few_buttons_are_filled_up(desk: Desk) -> None:
    message = await shown(desk, tuple((Button(label=f"{n}.", payload=f"a.{n}"),) for n in range(8)))
    assert [len(row["components"]) for row in message["components"]] == [5, 3]


@pytest.mark.parametrize("count", [3, 30])
async def test_two_buttons_that_carry_the_same_are_both_there_and_carry_it(desk: Desk, count: int) -> None:
    message = await shown(desk, tuple((Button(label=f"button {n}.", payload="a.same"),) for n in range(count)))
    for label in ("button 0.", f"button {count - 1}."):
        desk.peer.presses_on(message, label)
        event = await desk.event()
        assert event.body == Pressed(payload="a.same", message_id=message["id"])


async def test_a_routes_bucket_is_kept_to_before_it_overflows(desk: Desk) -> None:
    desk.peer.bucket = (2, 0.5)
    event = await desk.said("x", channel=SQUARE)
    for n in range(6):
        await desk.account.send(desk.to(event, f"message {n}"))
    assert desk.public()[-6:] == [f"message {n}" for n in range(6)]
    asked = [path for method, path, _ in desk.peer.calls if method == "POST" and path.endswith("/messages")]
    assert len(asked) == 6, "none was refused and asked for again"


FIELDS = (
    Option(name="prompt", required=True, label="Prompt"),
    Option(name="width", type="integer", minimum=64, maximum=2048),
    Option(name="tile", type="boolean"),
    Option(name="style", type="choice", choices=(Choice(value="ink", label="Ink"), Choice(value="oil"))),
    Option(name="seed", type="integer", advanced=True),
    Option(name="photo", type="image"),
    Option(name="tail", advanced=True),
)
FORM = Form(
    key="a.f", title="T" * 60, fields=FIELDS, values={"prompt": "a fox", "width": 512, "tile": True, "style": "oil"}
)


async def test_a_form_is_the_first_answer_to_a_press_and_comes_back(desk: Desk) -> None:
    message = await a_button(desk)
    desk.answers(Ask(form=FORM))
    waiting = desk.peer.presses(message, "a.1")
    await desk.event()
    await desk.peer.until(lambda: desk.peer.modals)
    assert waiting.first == 9
    shown = [row["component"]["custom_id"].partition(".")[2] for row in desk.peer.modals[-1]["components"]]
    assert shown == ["prompt", "width", "tile", "style", "photo"], "five places; what is for experts goes first"
    desk.answers(Defer())
    submission = desk.peer.submits({"prompt": "a wolf", "style": "ink"})
    event = await desk.event()
    assert event.body == Submitted(
        form="a.f", values={"prompt": "a wolf", "width": "512", "tile": "true", "style": "ink"}
    )
    await desk.peer.until(lambda: submission.first)
    await desk.account.send(desk.to(event, "made"))
    assert desk.public() == ["choose", "made"]


async def test_a_message_opens_a_form_by_a_button_that_lasts(peer: DiscordPeer) -> None:
    gateway = scripted()
    async with at_work(peer, gateway) as desk:
        desk.answers(Ask(form=replace(FORM, values={})))
        await desk.said("/make")
        await peer.until(peer.sent)
        (offer,) = peer.sent()
        assert "Prompt" in offer["content"]
        button = offer["components"][0]["components"][0]["custom_id"]
    async with at_work(peer, gateway) as desk:
        peer.presses(offer, button)
        await peer.until(lambda: peer.modals)
        desk.answers(Defer())
        peer.submits({"prompt": "a fox"})
        submitted = (await desk.event()).body
        assert isinstance(submitted, Submitted)
        assert submitted.values["prompt"] == "a fox"
        waiting = peer.presses(offer, f"{button}x")
        await peer.until(lambda: waiting.first)
        assert waiting.given["content"] == words.FORM_GONE


# --- what goes out


async def test_nobody_is_called_by_what_others_typed(desk: Desk) -> None:
    event = await desk.said("x", channel=SQUARE)
    await desk.account.send(desk.to(event, "@everyone <@42>"))
    sent = [given for method, path, given in desk.peer.calls if method == "POST" and path.endswith("/messages")]
    assert all(each["allowed_mentions"] == {"parse": []} for each in sent)


async def test_pictures_have_words_for_who_does_not_see_them(desk: Desk) -> None:
    event = await desk.said("x")
    await desk.account.send(desk.to(event, "two", await desk.picture("red"), await desk.picture("blue")))
    (message,) = desk.peer.sent()
    assert [each["description"] for each in message["attachments"]] == ["all red", "all blue"]
    spoiler = replace(await desk.picture(), spoiler=True)
    receipt = await desk.account.send(desk.to(event, "", spoiler))
    assert desk.peer.messages[int(receipt.ids[0])]["attachments"][0]["filename"] == "SPOILER_red.png"


async def test_a_file_is_as_large_as_the_server_and_the_interaction_say(peer: DiscordPeer) -> None:
    peer.guild(7_000, 7_100, tier=3)
    async with at_work(peer) as desk:
        boosted = await desk.said("x", channel=7_100)
        assert desk.account.capabilities(boosted.chat).upload == {"": 100 << 20}
        plain = await desk.said("x", channel=SQUARE)
        assert desk.account.capabilities(plain.chat).upload == {"": 10 << 20}
        event, _ = await desk.called("status", channel=SQUARE, limit=50 << 20)
        assert desk.account.capabilities(event.chat).upload == {"": 50 << 20}
        large = await desk.picture()
        large = replace(large, blob=replace(large.blob, size=(50 << 20) + 1, sha256="0" * 64))
        with pytest.raises(Refused, match="larger than Discord"):
            await desk.account.send(desk.to(event, "x", large))
        assert not desk.public(), "the kept place is given up"


async def test_what_was_sent_is_found_and_what_may_be_there_can_be_sent_again(desk: Desk) -> None:
    event = await desk.said("x")
    message = desk.to(event)
    assert await desk.account.find(message) == "absent", "nothing younger than its event is older than its nonce"
    receipt = await desk.account.send(message)
    assert await desk.account.find(message) == receipt
    desk.peer.after = lambda method, path: JSONResponse({}, 502) if path.endswith("/messages") else None
    old = replace(message, key=token(), native={"event": "4194304"})
    assert await desk.account.find(old) == "unknown", "it may be there for days"
    desk.peer.after = None


async def test_a_message_whose_answer_was_lost_is_there_once(desk: Desk) -> None:
    event = await desk.said("x")
    message, left = desk.to(event), [2]

    def lost(method: str, path: str) -> Response | None:
        if left[0] and (method, path[-9:]) == ("POST", "/messages"):
            left[0] -= 1
            return JSONResponse({"code": 0, "message": "bad"}, 503)
        return None

    desk.peer.after = lost
    for _ in range(2):
        with pytest.raises(Uncertain):
            await desk.account.send(message)
        assert await desk.account.find(message) == "absent"
    await desk.account.send(message)
    assert desk.texts() == ["an answer"]


async def test_signs_stand_under_the_message_and_the_last_one_stays(desk: Desk) -> None:
    event = await desk.said("x")
    await desk.account.signal(event.chat, "busy")
    assert desk.peer.typing == [desk.peer.direct(ADA)]
    await desk.account.signal(event.chat, "seen", event.keys[-1])
    await desk.account.signal(event.chat, "done", event.keys[-1])
    assert desk.peer.reactions[int(event.keys[-1])] == ["✅"]
    await desk.account.signal(event.chat, "done", "interaction.7")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (too_many(8), Retry),
        (JSONResponse({"code": 10003, "message": "Unknown Channel"}, 404), Gone),
        (JSONResponse({"code": 50001, "message": "Missing Access"}, 403), Gone),
        (JSONResponse({"code": 50013, "message": "Missing Permissions"}, 403), Refused),
        (JSONResponse({"code": 40005, "message": "too large"}, 413), Refused),
        (JSONResponse({"code": 50035, "message": "Invalid Form Body"}, 400), Refused),
        (JSONResponse({"code": 0, "message": "401: Unauthorized"}, 401), OperatorMust),
        (JSONResponse({"code": 0, "message": "no"}, 503), Uncertain),
        (Response("<html>barred</html>", 429), Retry),
    ],
)
async def test_what_discord_says_is_told_in_the_words_of_the_core(
    desk: Desk, answer: Response, error: type[Exception]
) -> None:
    event = await desk.said("x")
    desk.peer.fault = lambda method, path: answer if path.endswith("/messages") else None
    with pytest.raises(error) as told:
        await desk.account.send(desk.to(event))
    if isinstance(told.value, Retry) and answer.headers.get("via"):
        assert told.value.after == 8


async def test_where_nothing_can_be_reached_nothing_was_sent(desk: Desk) -> None:
    event = await desk.said("x")
    await desk.peer.stop()
    with pytest.raises(Unavailable):
        await desk.account.send(desk.to(event))
    await desk.peer.start()


async def test_what_is_deleted_already_is_no_error_and_what_is_gone_cannot_be_edited(desk: Desk) -> None:
    event = await desk.said("x")
    receipt = await desk.account.send(desk.to(event))
    await desk.account.delete(receipt)
    await desk.account.delete(receipt)
    with pytest.raises(Gone):
        await desk.account.edit(receipt, desk.to(event))


async def test_too_many_refusals_end_the_asking_before_discord_bars_us(desk: Desk) -> None:
    event = await desk.said("x")
    for _ in range(8_000):
        desk.account._guard.note()
    with pytest.raises(Unavailable, match="bans at 10,000"):
        await desk.account.send(desk.to(event))


async def test_refusals_of_every_request_are_counted(desk: Desk) -> None:
    event = await desk.said("x")
    desk.peer.fault = lambda *_: JSONResponse({"code": 50013, "message": "Missing Permissions"}, 403)
    for _ in range(3):
        with pytest.raises(Refused):
            await desk.account.send(desk.to(event))
    assert desk.account._guard.count == 3


# --- the connection


async def test_a_wrong_token_and_a_missing_intent_are_the_operators_affair(peer: DiscordPeer) -> None:
    with pytest.raises(OperatorMust, match="does not know the token"):
        await discord_account(peer, token=SecretStr("wrong")).run(scripted())
    peer.privileged = False
    with pytest.raises(OperatorMust, match="Message Content Intent"):
        await discord_account(peer).run(scripted())


async def test_a_first_connection_that_fails_is_tried_again_by_who_runs_it(peer: DiscordPeer) -> None:
    peer.fault = lambda *_: JSONResponse({"code": 0, "message": "no"}, 503)
    with pytest.raises(Unavailable):
        await discord_account(peer).run(scripted())


async def test_what_was_said_while_nobody_listened_is_read_from_the_history(peer: DiscordPeer) -> None:
    gateway = scripted()
    async with at_work(peer, gateway) as desk:
        await desk.said("before", channel=SQUARE)
        await desk.said("in private")
    peer.says("while you were away", channel=SQUARE)
    peer.says("in private, too")
    async with at_work(peer, gateway) as desk:
        missed = {body(await desk.event()).text: None for _ in range(2)}
        assert missed.keys() == {"while you were away", "in private, too"}
        after = await desk.said("after", channel=SQUARE)
        assert body(after).text == "after"
        assert not after.chat.direct


async def test_however_much_was_said_meanwhile_all_of_it_is_read(peer: DiscordPeer) -> None:
    gateway = scripted()
    async with at_work(peer, gateway) as desk:
        await desk.said("before", channel=SQUARE)
    for n in range(130):
        peer.says(f"m{n}", channel=SQUARE)
    async with at_work(peer, gateway) as desk:
        assert [body(await desk.event()).text for _ in range(130)] == [f"m{n}" for n in range(130)]


async def test_a_session_that_is_resumed_brings_what_was_missed(desk: Desk) -> None:
    await desk.said("before")
    await desk.peer.cut()
    assert body(await desk.said("while the line was down")).text == "while the line was down"
    assert desk.peer.resumes == 1


async def test_a_session_that_discord_forgot_is_begun_anew_and_the_history_read(desk: Desk) -> None:
    await desk.said("before", channel=SQUARE)
    await desk.account._line._places.flush()  # type: ignore[union-attr] # as it does every few seconds
    desk.peer.forgets = True
    await desk.peer.cut()
    missed = desk.peer.says("lost with the session", channel=SQUARE)
    for session in desk.peer._sessions.values():
        session.sent.clear()
    assert (await desk.event()).keys[-1] == missed["id"]
    assert desk.peer.identifies == 2


async def test_a_gateway_that_froze_is_left_and_joined_again(peer: DiscordPeer) -> None:
    peer.heartbeat_ms = 200
    gateway = scripted()
    account = discord_account(peer, deaf_seconds=0.5)
    async with on_line(account, gateway):
        peer.is_frozen = True
        await peer.until(lambda: not peer.is_heard)
        peer.is_frozen = False
        await peer.until(lambda: peer.is_heard)
        peer.says("are you there?")
        assert body(await gateway.next_event()).text == "are you there?"


async def test_the_doctor_is_told_what_the_bot_lacks(peer: DiscordPeer) -> None:
    account = discord_account(peer)
    assert await account.check() == []
    peer.allow(GUILD, 1 << 10 | 1 << 11)
    peer.privileged = False
    intent, lacks = await account.check()
    assert "Message Content Intent" in intent
    assert f"In g{GUILD} the bot lacks" in lacks
    assert "Attach Files" in lacks
    assert "View Channels" not in lacks
    peer.leave(GUILD)
    assert words.NOT_INVITED in await account.check()
    with pytest.raises(OperatorMust, match="does not know the token"):
        await discord_account(peer, token=SecretStr("wrong")).check()


async def test_one_program_knows_one_discord(desk: Desk) -> None:
    async with discord_peer() as other:
        with pytest.raises(OperatorMust, match="one program knows one"):
            await discord_account(other, "discord.shop").run(scripted())


async def test_shards_share_the_work(peer: DiscordPeer) -> None:
    async with at_work(peer, shards=2) as desk:
        await peer.until(lambda: peer.identifies == 2)
        assert body(await desk.said("hello")).text == "hello"
