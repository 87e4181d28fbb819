"""The account on Slack: what it tells the core, what it makes of the core's messages, and Slack's rules on the way."""

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError
from starlette.responses import JSONResponse, Response

from chatelier import (
    Ask,
    Button,
    ChatChanged,
    ChatRef,
    Choice,
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
    Receipt,
    Refused,
    Retry,
    Said,
    Submitted,
    Unavailable,
    Uncertain,
    token,
)
from chatelier.core.generation.jobs import JOBS
from chatelier.core.http.application import application
from chatelier.core.http.server import serve
from chatelier.core.people.people import PEOPLE
from chatelier.core.settings import Http
from chatelier.core.testing.backend import PIXEL
from chatelier.core.testing.network import plain
from chatelier.core.testing.scripted import COMMANDS
from chatelier.platforms.slack import words
from chatelier.platforms.slack.adapter import Slack
from chatelier.platforms.slack.manifest import EVENTS, SCOPES, manifest
from chatelier.platforms.slack.modals import modal
from chatelier.platforms.slack.records import KINDS
from chatelier.platforms.slack.settings import AccountSettings, SlackSettings
from chatelier.platforms.slack.webhook import route
from chatelier.testing import ScriptedGateway
from networks import healthy
from peers import slack as vendor
from peers.slack import (
    ADA,
    BOB,
    BOT,
    DM,
    GENERAL,
    TEAM,
    SlackPeer,
    broken,
    signed,
    text_of,
    too_many,
    unheard,
)
from slack_network import hurried, on_line, slack, slack_settings

FORM = Form(
    key="a.form",
    title="A picture of something that has a long name",
    fields=(
        Option(name="prompt", required=True, rest=True),
        Option(name="width", type="integer", minimum=64, maximum=2048, default=512),
        Option(name="style", type="choice", choices=tuple(Choice(value=f"style {n}") for n in range(250))),
        Option(name="tile", type="boolean", default=True),
        Option(name="photo", type="image"),
    ),
    values={"prompt": "a fox"},
)


class Here:
    """The account on line, and who it talks to."""

    def __init__(self, account: Slack, peer: SlackPeer, gateway: ScriptedGateway) -> None:
        self.account = account
        self.peer = peer
        self.gateway = gateway

    async def event(self) -> Event:
        return await self.gateway.next_event()

    def message(self, text: str = "", *media: Media, channel: str = DM, **more: Any) -> Outgoing:
        chat = ChatRef(platform="slack", chat=channel, direct=channel == DM)
        return Outgoing(key=token(), chat=chat, text=plain(text) if text else None, media=media, **more)

    async def media(self, data: bytes = PIXEL, *, document: bool = False) -> Media:
        blob = await self.gateway.blobs.keep(data)
        return Media(blob=blob, name="fox.png", alt="a fox", document=document)

    def ask_with(self, form: Form) -> None:
        async def ask(event: Event) -> FirstAnswer:
            return None if isinstance(event.body, Submitted) else Ask(form=form)

        self.gateway.answer = ask


@asynccontextmanager
async def living(peer: SlackPeer, account: Slack | None = None) -> AsyncIterator[Here]:
    gateway = ScriptedGateway(KINDS)
    account = account or slack(peer)
    async with on_line(account, gateway):
        yield Here(account, peer, gateway)


@pytest.fixture
async def peer() -> AsyncIterator[SlackPeer]:
    async with hurried().live() as peer:
        yield peer


@pytest.fixture
async def here(peer: SlackPeer) -> AsyncIterator[Here]:
    async with living(peer) as here:
        yield here


# --- what comes in


async def test_a_command_of_the_manifest_is_a_command(here: Here) -> None:
    delivery = here.peer.types("/chatelier", "make a &lt;red&gt; fox")
    event = await here.event()
    assert event.body == Said(text="/make a <red> fox")
    assert (event.chat, event.sender, event.name) == (
        ChatRef(platform="slack", chat=DM, direct=True),
        f"slack/{TEAM}:{ADA}",
        "Ada",
    )
    assert set(event.native) == {"secret.trigger", "secret.response_url"}
    await here.peer.until(delivery.done.is_set)
    assert not delivery.answer, "an empty answer says nothing in the channel"
    here.peer.types("/chatelier")
    assert (await here.event()).body == Said(text="/help")
    here.peer.types("/make", "a fox")
    assert (await here.event()).body == Said(text="/make a fox")


@pytest.mark.parametrize(
    ("text", "channel", "heard"),
    [
        (f"<@{BOT}> make a fox", GENERAL, "/make a fox"),
        (f"<@{BOT}>: /make a fox", GENERAL, "/make a fox"),
        (f"<@{BOT}>", GENERAL, "/help"),
        (f"<@{BOT}> good morning", GENERAL, "good morning"),
        ("make hay", GENERAL, "make hay"),
        ("make a fox", DM, "/make a fox"),
        ("maker", DM, "maker"),
    ],
)
async def test_what_is_said_to_it_may_leave_the_slash_out(text: str, channel: str, heard: str, here: Here) -> None:
    here.peer.says(text, channel=channel)
    assert (await here.event()).body == Said(text=heard)
    here.peer.says("and now", channel=channel)
    assert (await here.event()).body == Said(text="and now"), "a mention is told twice and heard once"


async def test_bots_joins_and_previews_are_not_heard(here: Here) -> None:
    for event in (
        {"subtype": "channel_join", "user": ADA, "text": "joined"},
        {"subtype": "bot_message", "bot_id": "B2", "text": "I am one too"},
        {"user": "U2", "bot_id": "B2", "text": "and I"},
        {
            "subtype": "message_changed",
            "message": {"text": "x", "ts": "1.1", "user": ADA},
            "previous_message": {"text": "x"},
        },
        {"subtype": "message_deleted", "deleted_ts": "1.1"},
    ):
        here.peer.tell({"type": "message", "channel": DM, "channel_type": "im", "ts": here.peer.ts(), **event})
    here.peer.says("hello")
    assert (await here.event()).body == Said(text="hello")


async def test_an_edited_message_takes_the_place_of_the_first(here: Here) -> None:
    message = here.peer.says("/mkae a fox")
    first = await here.event()
    here.gateway.events.clear()
    here.peer.edits(message, "/make a fox")
    event = await here.event()
    assert event.body == Said(text="/make a fox", edited=True)
    assert event.keys[-1] == first.keys[-1]


async def test_a_message_in_a_thread_answers_the_one_above(here: Here) -> None:
    receipt = await here.account.send(here.message("a result", channel=GENERAL))
    root = receipt.ids[0].partition(".")[2]
    here.peer.says(f"<@{BOT}> mirror", channel=GENERAL, thread=root)
    event = await here.event()
    assert event.chat.thread == root
    assert isinstance(event.body, Said)
    assert (event.body.reply_to, event.body.answered) == (receipt.ids[0], "")
    other = here.peer.says("mine", channel=GENERAL, user=BOB)
    await here.event()
    here.peer.says(f"<@{BOT}> gift 5", channel=GENERAL, thread=other["ts"])
    body = (await here.event()).body
    assert isinstance(body, Said)
    assert body.answered == f"slack/{TEAM}:{BOB}"


async def test_owners_of_the_workspace_administrate_its_channels(here: Here) -> None:
    here.peer.admins.add(ADA)
    here.peer.says("hello", channel=GENERAL)
    assert (await here.event()).admin
    here.peer.says("hello", channel=GENERAL, user=BOB)
    assert not (await here.event()).admin


async def test_who_somebody_is_holds_nobody_up(here: Here) -> None:
    here.peer.fault = lambda method, _: broken() if method == "users.info" else None
    here.peer.says("hello")
    assert (await here.event()).body == Said(text="hello")


async def test_chats_that_change_are_told(here: Here) -> None:
    here.peer.tell({"type": "member_joined_channel", "user": BOT, "channel": GENERAL, "inviter": ADA})
    assert (await here.event()).body == ChatChanged(what="joined")
    here.peer.tell({"type": "member_joined_channel", "user": BOB, "channel": GENERAL})
    here.peer.tell({"type": "channel_left", "channel": GENERAL, "actor_id": ADA})
    assert (await here.event()).body == ChatChanged(what="left")
    here.peer.tell({"type": "channel_id_changed", "old_channel_id": GENERAL, "new_channel_id": "C2"})
    assert (await here.event()).body == ChatChanged(what="migrated", to="C2")


async def test_a_redelivery_with_another_event_id_is_a_repeat(here: Here) -> None:
    here.peer.says("hello")
    await here.event()
    here.peer.repeat(as_other=True)
    here.peer.repeat()
    here.peer.says("and now")
    assert (await here.event()).body == Said(text="and now")
    await here.peer.until(lambda: all(each.done.is_set() for each in here.peer.deliveries))
    assert here.gateway.repeats == 2


async def test_a_button_that_opens_a_page_is_acknowledged_and_nothing_more(here: Here) -> None:
    await here.account.send(here.message("look", buttons=[[Button(label="Page", url="https://a.example")]]))
    delivery = here.peer.presses(here.peer.sent()[-1], "Page")
    await here.peer.until(delivery.done.is_set)
    assert not here.gateway.events


async def test_the_pictures_of_any_message_become_an_input(here: Here) -> None:
    theirs = here.peer.says("look", channel=GENERAL, user=BOB, files=[here.peer.keeps(PIXEL)])
    await here.event()
    here.peer.uses(theirs, "use_as_input", channel=GENERAL)
    await here.peer.until(lambda: here.peer.views)
    here.peer.submits(here.peer.views[0], {"command": "effect", "words": "in ink"})
    event = await here.event()
    assert isinstance(event.body, Said)
    assert (event.body.text, event.chat) == ("/effect in ink", ChatRef(platform="slack", chat=DM, direct=True))
    (file,) = event.body.files
    assert b"".join([piece async for piece in here.account.read(file)]) == PIXEL
    await here.account.send(here.message("a result", await here.media()))
    here.peer.uses(here.peer.sent()[-1], "use_as_input")
    await here.peer.until(lambda: len(here.peer.views) == 2)
    assert here.peer.views[1]["private_metadata"] != "[]", "a picture in a block of ours is one, too"
    here.peer.uses(here.peer.says("only words"), "use_as_input")
    await here.peer.until(lambda: here.peer.responses)
    assert here.peer.responses[0]["text"] == words.NO_FILES


async def test_the_home_tab_shows_jobs_and_brings_commands_to_the_direct_chat(here: Here) -> None:
    here.gateway.declare([*KINDS, JOBS, PEOPLE])
    here.peer.opens_home()
    await here.peer.until(lambda: ADA in here.peer.homes)
    home = here.peer.homes[ADA]
    assert words.HOME_NONE in text_of(home)
    here.peer.presses_home(ADA, words.HOME_STATUS)
    event = await here.event()
    assert (event.body, event.chat.chat, event.chat.direct) == (Said(text="/status"), DM, True)


# --- while the store is away


async def test_who_asks_while_nothing_can_be_stored_is_told_so(here: Here) -> None:
    async def refuse(_: Event) -> FirstAnswer:
        raise Unavailable("the store is down")

    await here.account.send(here.message("choose", buttons=[[Button(label="Again", payload="a.1")]]))
    here.gateway.answer = refuse
    command = here.peer.types("/chatelier", "help")
    await here.peer.until(command.done.is_set)
    assert command.answer == {"response_type": "ephemeral", "text": words.NOT_READY}
    press = here.peer.presses(here.peer.sent()[-1], "Again")
    await here.peer.until(lambda: here.peer.responses)
    assert press.done.is_set()
    assert here.peer.responses[0]["text"] == words.NOT_READY
    assert here.peer.responses[0]["response_type"] == "ephemeral"


async def test_a_form_stays_open_while_it_cannot_be_stored(here: Here) -> None:
    here.ask_with(FORM)
    here.peer.types("/chatelier", "make")
    await here.peer.until(lambda: here.peer.views)

    async def refuse(_: Event) -> FirstAnswer:
        raise Unavailable("the store is down")

    here.gateway.answer = refuse
    delivery = here.peer.submits(here.peer.views[0], {})
    await here.peer.until(delivery.done.is_set)
    assert delivery.answer == {"response_action": "errors", "errors": {"prompt": words.NOT_READY}}


# --- forms


async def test_a_form_opens_within_the_life_of_its_trigger(here: Here) -> None:
    here.ask_with(FORM)
    here.peer.types("/chatelier", "make")
    await here.peer.until(lambda: here.peer.views)
    here.gateway.answer = None
    await here.event()
    here.peer.submits(here.peer.views[0], {"prompt": "a &lt;green&gt; fox", "tile": "false", "style": "style 240"})
    body = (await here.event()).body
    assert body == Submitted(
        form="a.form",
        values={"prompt": "a &lt;green&gt; fox", "width": "512", "style": "style 240", "tile": False},
    )
    assert not here.peer.sent(), "nothing else was said"


async def test_what_was_filled_in_can_be_taken_away(here: Here) -> None:
    here.ask_with(FORM)
    here.peer.types("/chatelier", "make")
    await here.peer.until(lambda: here.peer.views)
    await here.event()
    here.peer.submits(here.peer.views[0], {"prompt": ""})
    body = (await here.event()).body
    assert isinstance(body, Submitted)
    assert body.values["prompt"] == ""


async def test_a_form_that_came_too_late_waits_behind_a_button(peer: SlackPeer) -> None:
    """The first trigger is too old; a restart later the button still opens it, in a channel for one person alone."""
    gateway = ScriptedGateway(KINDS)
    async with on_line(slack(peer), gateway):
        here = Here(slack(peer), peer, gateway)
        here.ask_with(FORM)
        peer.fault = lambda method, _: peer.expire() if method == "views.open" else None
        peer.types("/chatelier", "make", channel=GENERAL)
        await peer.until(lambda: peer.ephemerals)
        peer.fault = None
        (offer,) = peer.ephemerals
        assert offer["to"] == ADA
        assert not peer.sent(GENERAL)
    gateway.online.clear()
    async with on_line(slack(peer), gateway):
        peer.presses(offer, words.OPEN_FORM_BUTTON, channel=GENERAL)
        await peer.until(lambda: peer.views)
        assert json.loads(peer.views[0]["private_metadata"])["chat"] == GENERAL


async def test_a_form_that_is_gone_says_so(here: Here) -> None:
    here.ask_with(FORM)
    here.peer.says("make")
    await here.peer.until(here.peer.sent)
    here.gateway.declare(KINDS)
    here.peer.presses(here.peer.sent()[-1], words.OPEN_FORM_BUTTON)
    await here.peer.until(lambda: here.peer.responses)
    assert here.peer.responses[0]["text"] == words.FORM_GONE


def test_a_form_keeps_slacks_limits() -> None:
    fields = tuple(
        Option(name=f"o{n}", label="x" * 3_000, description="y" * 500, max_length=10_000, default="z" * 5_000)
        for n in range(120)
    )
    chat = ChatRef(platform="slack", chat=DM, direct=True)
    vendor._checked_view(modal(Form(key="a.f", title="t" * 90, fields=fields), chat))
    vendor._checked_view(modal(FORM, chat))


# --- what goes out


async def test_a_result_is_one_message_with_pictures_words_and_buttons(here: Here) -> None:
    media = await here.media()
    receipt = await here.account.send(
        here.message("a fox", media, media, buttons=[[Button(label="Again", payload="a.1", style="primary")]])
    )
    (shown,) = here.peer.sent()
    assert receipt == Receipt(chat=here.message().chat, ids=(f"{DM}.{shown['ts']}",), editable=True, deletable=True)
    assert [block["type"] for block in shown["blocks"]] == ["image", "image", "rich_text", "actions"]
    assert here.peer.count("files.getUploadURLExternal") <= 2
    await here.account.send(here.message("once more", media))
    assert here.peer.count("files.getUploadURLExternal") <= 2, "its bytes are there already"


async def test_a_file_that_slack_deleted_is_uploaded_again(here: Here) -> None:
    media = await here.media()
    await here.account.send(here.message("a fox", media))
    here.peer.files.clear()
    await here.account.send(here.message("a fox", media))
    assert here.peer.bytes_of(here.peer.sent()[-1]) == [PIXEL]


async def test_files_are_a_message_of_their_own_that_is_found(here: Here) -> None:
    file = await here.media(document=True)
    message = here.message("the original", file, buttons=[[Button(label="Again", payload="a.1")]])
    receipt = await here.account.send(message)
    files, said = here.peer.sent()
    assert receipt.ids == (f"{DM}.{files['ts']}", f"{DM}.{said['ts']}")
    assert here.peer.bytes_of(files) == [PIXEL]
    assert await here.account.find(message) == receipt
    with pytest.raises(Refused):
        await here.account.edit(receipt, message)


async def test_a_share_that_was_begun_is_not_shown_twice(here: Here) -> None:
    """The words below it are refused for a while; the file is there once."""
    message = here.message("the original", await here.media(document=True))
    left = [too_many(2)]
    here.peer.fault = lambda method, _: left.pop() if left and method == "chat.postMessage" else None
    with pytest.raises(Retry) as later:
        await here.account.send(message)
    assert later.value.after == 2
    assert await here.account.find(message) == "absent"
    receipt = await here.account.send(message)
    assert len(here.peer.sent()) == 2
    assert len(receipt.ids) == 2


async def test_a_share_whose_answer_was_lost_is_found(here: Here) -> None:
    message = here.message("", await here.media(document=True))
    here.peer.after = lambda method, _: unheard() if method == "files.completeUploadExternal" else None
    with pytest.raises(Uncertain):
        await here.account.send(message)
    here.peer.after = None
    assert isinstance(await here.account.find(message), Receipt)
    await here.account.send(message)
    assert len(here.peer.sent()) == 1


async def test_a_message_whose_answer_was_lost_is_found_by_its_metadata(here: Here) -> None:
    message = here.message("a fox")
    here.peer.after = lambda method, _: unheard() if method == "chat.postMessage" else None
    with pytest.raises(Uncertain):
        await here.account.send(message)
    (shown,) = here.peer.sent()
    found = await here.account.find(message)
    assert isinstance(found, Receipt)
    assert found.ids == (f"{DM}.{shown['ts']}",)
    assert await here.account.find(replace(message, key=token())) == "absent"
    thread = replace(message, key=token(), chat=replace(message.chat, thread=shown["ts"]))
    assert await here.account.find(thread) == "absent"


async def test_a_long_history_that_was_not_read_to_its_end_proves_nothing(here: Here) -> None:
    page = {"ok": True, "messages": [], "response_metadata": {"next_cursor": "more"}}
    here.peer.fault = lambda method, _: JSONResponse(page) if method == "conversations.history" else None
    assert await here.account.find(here.message("a fox")) == "unknown"
    assert here.peer.count("conversations.history") == 5


async def test_the_library_tries_nothing_again_by_itself(here: Here) -> None:
    """A dropped connection after a message may have shown it: a second call would show it twice."""

    def cut(method: str, _: Mapping[str, Any]) -> Response | None:
        if method == "chat.postMessage":
            here.peer.drop()
        return None

    here.peer.after = cut
    with pytest.raises(Uncertain):
        await here.account.send(here.message("once"))
    assert here.peer.count("chat.postMessage") == 1
    assert len(here.peer.sent()) == 1


async def test_a_private_answer_stands_in_no_channel(here: Here) -> None:
    asked = here.message("ten points", channel=GENERAL, private_to=f"slack/{TEAM}:{ADA}")
    receipt = await here.account.send(asked)
    assert not here.peer.sent(GENERAL)
    (shown,) = here.peer.ephemerals
    assert (shown["to"], text_of(shown)) == (ADA, "ten points")
    assert not receipt.editable
    assert not receipt.deletable
    assert await here.account.find(asked) == "unknown"
    await here.account.send(replace(asked, key=token(), media=(await here.media(document=True),)))
    assert not here.peer.sent(GENERAL)
    assert len(here.peer.sent()) == 2, "a file for one person comes in the direct chat"


@pytest.mark.parametrize("private", [True, False])
async def test_where_it_was_not_invited_it_answers_by_the_commands_own_address(private: bool, here: Here) -> None:
    here.peer.channels[GENERAL].members.discard(BOT)
    here.peer.types("/chatelier", "help", channel=GENERAL)
    event = await here.event()
    to = event.sender if private else ""
    answer = here.message("there", channel=GENERAL, native=event.native, private_to=to)
    receipt = await here.account.send(answer)
    assert not receipt.editable
    assert here.peer.responses[0]["response_type"] == ("ephemeral" if private else "in_channel")
    with pytest.raises(Gone):
        await here.account.send(here.message("without a command", channel=GENERAL))


async def test_what_is_seen_gives_way_to_what_is_done(here: Here) -> None:
    asked = here.peer.says("make a fox")
    event = await here.event()
    for _ in range(2):
        await here.account.signal(event.chat, "seen", event.keys[-1])
    assert here.peer.reactions[DM, asked["ts"]] == ["eyes"]
    for _ in range(2):
        await here.account.signal(event.chat, "done", event.keys[-1])
    assert here.peer.reactions[DM, asked["ts"]] == ["white_check_mark"]
    await here.account.signal(event.chat, "busy")
    await here.account.signal(event.chat, "seen", "slash.1")


async def test_a_card_shows_previews_and_leaves_no_files_behind(here: Here) -> None:
    receipt = await here.account.send(here.message("waiting"))
    for n in range(3):
        preview = replace(await here.media(PIXEL + bytes([n])), inline=PIXEL)
        preview = replace(preview, blob=replace(preview.blob, mime="image/png", kind="image"))
        await here.account.edit(receipt, here.message(f"{n}", preview))
    await here.account.edit(receipt, here.message("a fox", await here.media()))
    await here.peer.until(lambda: len(here.peer.files) == 1)
    assert here.peer.bytes_of(here.peer.sent()[0]) == [PIXEL]


async def test_opening_a_direct_chat(here: Here) -> None:
    assert await here.account.direct(f"slack/{TEAM}:{ADA}") == ChatRef(platform="slack", chat=DM, direct=True)
    for nobody in (f"slack/{TEAM}:U404", f"slack/{TEAM}:{BOT}", "slack/T02:U0ADA", "telegram:42"):
        assert await here.account.direct(nobody) is None


# --- files that people send


async def test_a_page_in_place_of_a_file_is_no_file(here: Here) -> None:
    """Without the right to read files Slack answers with a page to log in, status 200."""
    file = here.peer.keeps(PIXEL)
    ref = FileRef(platform="slack", ref=file["id"], name="fox.png")
    here.peer.files_closed = True
    with pytest.raises(Refused, match="files:read"):
        _ = [piece async for piece in here.account.read(ref)]
    with pytest.raises(Gone):
        _ = [piece async for piece in here.account.read(replace(ref, ref="F404"))]


# --- errors


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (too_many(7), Retry),
        (broken(), Unavailable),
        (unheard(), Uncertain),
        (Response("<html>", 502, media_type="text/html"), Uncertain),
        (Response("{", 500, media_type="application/json"), Uncertain),
        (JSONResponse({"ok": False, "error": "channel_not_found"}), Gone),
        (JSONResponse({"ok": False, "error": "token_revoked"}), OperatorMust),
        (JSONResponse({"ok": False, "error": "missing_scope", "needed": "chat:write"}), OperatorMust),
        (JSONResponse({"ok": False, "error": "invalid_blocks"}), Refused),
    ],
)
async def test_an_error_says_who_must_act(answer: Response, kind: type[Exception], here: Here) -> None:
    here.peer.fault = lambda method, _: answer if method == "chat.postMessage" else None
    with pytest.raises(kind) as raised:
        await here.account.send(here.message("x"))
    assert type(raised.value) is kind
    assert here.peer.bot_token not in str(raised.value)
    if isinstance(raised.value, Retry):
        assert raised.value.after == 7
    if kind is OperatorMust:
        assert "chat:write" in str(raised.value) or "token_revoked" in str(raised.value)


async def test_nothing_goes_out_before_it_is_on_line(peer: SlackPeer) -> None:
    account = slack(peer)
    with pytest.raises(Unavailable):
        await account.send(Outgoing(key=token(), chat=ChatRef(platform="slack", chat=DM), text=plain("x")))


# --- what the operator must mend


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bot_token": SecretStr("xoxb-wrong")}, words.NOT_KNOWN),
        ({"app_token": SecretStr("xapp-wrong")}, words.APP_NOT_KNOWN),
        ({"app_token": SecretStr("")}, words.SOCKET_NEEDS_MORE),
        ({"mode": "http", "signing_secret": SecretStr("")}, words.HTTP_NEEDS_MORE),
    ],
)
async def test_a_wrong_token_is_said_once(changes: dict[str, Any], said: str, peer: SlackPeer) -> None:
    settings = slack_settings(peer).model_copy(update=changes)
    account = Slack("slack", settings)
    with pytest.raises(OperatorMust) as must:
        await account.run(ScriptedGateway(KINDS))
    assert str(must.value) == said.format(account="slack")


async def test_doctor_names_the_scopes_that_are_lacking(peer: SlackPeer) -> None:
    account = slack(peer)
    assert await account.check() == []
    peer.scopes = ",".join(scope for scope in SCOPES if scope not in {"files:read", "im:write"})
    assert await account.check() == [words.LACKS.format(account="slack", scopes="files:read, im:write")]
    assert "the bot of slack lacks" in words.LACKS.format(account="slack", scopes="").lower()
    with pytest.raises(OperatorMust):
        await Slack("slack", slack_settings(peer).model_copy(update={"app_token": SecretStr("x")})).check()


def test_an_app_is_one_account_and_commands_have_names() -> None:
    with pytest.raises(ValidationError, match="same bot_token"):
        SlackSettings(bot_token=SecretStr("x"), accounts={"shop": AccountSettings(bot_token=SecretStr("x"))})
    with pytest.raises(ValidationError, match="a slash"):
        SlackSettings(commands=("Paint me",))
    two = SlackSettings(bot_token=SecretStr("x"), accounts={"shop": AccountSettings(bot_token=SecretStr("y"))})
    assert list(two.by_name) == ["slack", "slack.shop"]
    assert SlackSettings(base_url="http://a/api").base_url == "http://a/api/"


# --- the manifest


def test_the_manifest_has_what_the_account_needs() -> None:
    settings = AccountSettings(commands=("/chatelier", "/make"))
    made = manifest(settings, COMMANDS)
    assert set(vendor.SCOPES.split(",")) == set(made["oauth_config"]["scopes"]["bot"])
    assert made["settings"]["event_subscriptions"]["bot_events"] == list(EVENTS)
    every, make = made["features"]["slash_commands"]
    assert "effect, help, make, status" in every["usage_hint"]
    assert (make["command"], make["description"]) == ("/make", "A picture from words")
    assert make["usage_hint"] == "[prompt] [width] [height] [style] [tile]"
    assert made["settings"]["socket_mode_enabled"]
    hooked = manifest(AccountSettings(mode="http"), COMMANDS, url="https://a.example/hooks/slack")
    assert hooked["features"]["slash_commands"][0]["url"] == "https://a.example/hooks/slack"
    assert hooked["settings"]["interactivity"]["request_url"] == "https://a.example/hooks/slack"


# --- by HTTP


@asynccontextmanager
async def hooked(peer: SlackPeer) -> AsyncIterator[Here]:
    account = slack(peer, mode="http")
    app = application(Http(port=0), [route(account)], healthy)
    async with serve(app, "127.0.0.1", 0) as address, living(peer, account) as here:
        peer.request_url = f"{address.url}{account.hook_path}"
        yield here


async def test_events_commands_and_presses_come_by_http(peer: SlackPeer) -> None:
    async with hooked(peer) as here:
        peer.says("hello")
        assert (await here.event()).body == Said(text="hello")
        delivery = peer.types("/chatelier", "make a fox")
        assert (await here.event()).body == Said(text="/make a fox")
        await here.account.send(here.message("choose", buttons=[[Button(label="Again", payload="a.1")]]))
        peer.presses(peer.sent()[-1], "Again")
        assert isinstance((await here.event()).body, Pressed)
        assert delivery.answer is None
        assert not peer.count("apps.connections.open")


async def test_what_slack_did_not_sign_just_now_is_refused(peer: SlackPeer) -> None:
    async with hooked(peer) as here, httpx.AsyncClient(trust_env=False) as client:
        body = json.dumps({"type": "url_verification", "challenge": "c"}).encode()

        async def post(**headers: str) -> httpx.Response:
            given = {"Content-Type": "application/json", **headers}
            return await client.post(peer.request_url, content=body, headers=given)

        now = time.time()
        assert (await post(**signed(body, peer.signing_secret))).json() == {"challenge": "c"}
        for headers in (
            {},
            signed(body, "another secret"),
            signed(body + b" ", peer.signing_secret),
            signed(body, peer.signing_secret, now - 301),
            signed(body, peer.signing_secret, now + 302),
        ):
            assert (await post(**headers)).status_code == 401
        assert (await post(**signed(body, peer.signing_secret, now - 290))).status_code == 200
        assert not here.gateway.events


async def test_a_storm_of_http_retries_is_heard_once(peer: SlackPeer) -> None:
    """The store fails twice, and answers come late: each event is told again and again, and heard once."""
    async with hooked(peer) as here:
        left = [2]

        async def refuse(_: Event) -> FirstAnswer:
            if left[0]:
                left[0] -= 1
                raise Unavailable("the store is down")
            return None

        here.gateway.answer = refuse
        peer.says("hello")
        for n in range(20):
            peer.repeat(as_other=bool(n % 3))
        await peer.until(lambda: all(each.done.is_set() for each in peer.deliveries))
        assert [event.body for event in here.gateway.events] == [Said(text="hello")]


async def test_while_it_is_off_line_slack_is_asked_to_come_again(peer: SlackPeer) -> None:
    account = slack(peer, mode="http")
    app = application(Http(port=0), [route(account)], healthy)
    async with serve(app, "127.0.0.1", 0) as address, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            f"{address.url}/hooks/slack", content=b"{}", headers=signed(b"{}", peer.signing_secret)
        )
    assert answer.status_code == 503


def test_a_gateway_without_slack_loads_nothing_of_it() -> None:
    code = (
        "import sys; from chatelier import Settings; from chatelier.platforms.slack.plugin import Plugin, SlackSettings\n"
        "from chatelier.platforms.slack import commands, manifest\n"
        "assert not SlackSettings().by_name\n"
        "assert not {'slack_bolt', 'slack_sdk', 'aiohttp'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)  # noqa: S603 - our own interpreter
