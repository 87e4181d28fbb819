"""The bot, by the real library, against a Bot API server that keeps the vendor's rules."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import SecretStr, ValidationError
from starlette.responses import JSONResponse, Response

from chatelier import (
    Blob,
    Button,
    ChatChanged,
    ChatRef,
    Checks,
    Event,
    FileRef,
    FirstAnswer,
    Gone,
    Media,
    OperatorMust,
    Outgoing,
    Platform,
    Pressed,
    Refused,
    Reply,
    Retry,
    Said,
    Settings,
    Tx,
    Unavailable,
    Uncertain,
)
from chatelier.core.chat.fit import fit
from chatelier.core.chat.markup import document
from chatelier.core.chat.split import flat
from chatelier.core.http.application import application
from chatelier.core.http.server import serve
from chatelier.core.keys import token
from chatelier.core.settings import Http
from chatelier.core.testing.scripted import Offer
from chatelier.platforms.telegram import Plugin
from chatelier.platforms.telegram.adapter import Telegram
from chatelier.platforms.telegram.dialect import TelegramDialect
from chatelier.platforms.telegram.limits import TEXT
from chatelier.platforms.telegram.records import FILES, MENUS, SentFile
from chatelier.platforms.telegram.settings import AccountSettings, TelegramSettings, Webhook
from chatelier.testing import ScriptedGateway
from networks import healthy, on_line, telegram_settings
from peers.telegram import TelegramPeer, parsed, too_many, utf16

ADA, GROUP = 42, -1001
PREVIEW = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018dd8db00000000049454e44ae426082"
)
PUBLIC = "https://art.example"
DIALECT = TelegramDialect()


class Desk:
    """A bot that is on line, and a person who writes to it."""

    def __init__(self, peer: TelegramPeer, gateway: ScriptedGateway, account: Telegram) -> None:
        self.peer = peer
        self.gateway = gateway
        self.account = account

    async def event(self, text: str = "", **said: Any) -> Event:
        self.peer.says(text, **said)
        return await self.gateway.next_event()

    async def send(self, reply: Reply, chat: int = ADA, thread: str = "", **options: Any) -> list[dict[str, Any]]:
        """What the bot shows of it."""
        where = ChatRef(platform="telegram", chat=str(chat), thread=thread, direct=chat > 0)
        parts = fit(reply, token(), where, self.account.capabilities(where), native={}, **options)
        before = len(self.peer.sent(chat))
        for part in parts:
            await self.account.send(part)
        return self.peer.sent(chat)[before:]

    async def picture(self, width: int = 30, height: int = 20, colour: str = "red", **options: Any) -> Media:
        out = io.BytesIO()
        Image.new("RGB", (width, height), colour).save(out, "PNG")
        return Media(blob=await self.gateway.blobs.keep(out.getvalue()), name=f"{colour}.png", **options)

    def text(self, words: str = "hello", chat: int = ADA) -> Outgoing:
        where = ChatRef(platform="telegram", chat=str(chat), direct=chat > 0)
        return Outgoing(key=token(), chat=where, text=document(words))


def scripted() -> ScriptedGateway:
    gateway = ScriptedGateway()
    gateway.declare([FILES, MENUS])
    return gateway


@asynccontextmanager
async def at_work(peer: TelegramPeer, **changes: Any) -> AsyncIterator[Desk]:
    gateway = scripted()
    account = Telegram("telegram", telegram_settings(peer, **changes))
    async with on_line(account, gateway):
        yield Desk(peer, gateway, account)


@pytest.fixture
async def peer() -> AsyncIterator[TelegramPeer]:
    async with TelegramPeer().live() as peer:
        peer.chat(ADA)
        yield peer


@pytest.fixture
async def desk(peer: TelegramPeer) -> AsyncIterator[Desk]:
    async with at_work(peer) as desk:
        yield desk


def said(event: Event) -> Said:
    assert isinstance(event.body, Said)
    return event.body


# --- what comes in


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("/make@chatelier_bot a fox", "/make a fox"),
        ("/make@Chatelier_Bot\na fox", "/make\na fox"),
        ("/make a@b.example", "/make a@b.example"),
        ("mail a@chatelier_bot", "mail a@chatelier_bot"),
    ],
)
async def test_our_name_behind_a_command_is_left_out(desk: Desk, typed: str, read: str) -> None:
    assert said(await desk.event(typed, chat=GROUP)).text == read


async def test_what_is_for_another_bot_and_what_bots_say_is_not_for_us(desk: Desk) -> None:
    desk.peer.says("/make@other_bot a fox", chat=GROUP)
    robot: dict[str, Any] = {"from": {"id": 9, "is_bot": True, "first_name": "Robot"}}
    desk.peer.says("beep", **robot)
    desk.peer.says(new_chat_title="a service message")
    assert said(await desk.event("the next")).text == "the next"


async def test_people_are_the_same_in_every_chat_and_chats_are_told_apart(desk: Desk) -> None:
    alone, together = await desk.event("hi"), await desk.event("hi", chat=GROUP)
    assert alone.sender == together.sender == "telegram:42"
    assert (alone.chat.direct, together.chat.direct) == (True, False)
    assert alone.keys[-1] != together.keys[-1], "message ids are unique in their chat only"


async def test_topics_are_conversations_and_their_first_message_is_no_question(desk: Desk) -> None:
    opened = {"message_id": 5, "date": 1, "chat": desk.peer.chat(GROUP, is_forum=True).wire()}
    opened["forum_topic_created"] = {"name": "Foxes", "icon_color": 1}
    event = await desk.event("hi", chat=GROUP, message_thread_id=5, is_topic_message=True, reply_to_message=opened)
    assert (event.chat.thread, said(event).reply_to) == ("5", "")
    (shown,) = await desk.send(Reply(text="hello"), GROUP, "5")
    assert shown["message_thread_id"] == 5


async def test_admins_are_who_telegram_says(desk: Desk) -> None:
    desk.peer.chat(GROUP).admins = (7,)
    assert not (await desk.event("hi", chat=GROUP)).admin
    assert (await desk.event("hi", chat=GROUP, sender=7)).admin
    anonymous: dict[str, Any] = {"from": {"id": 1087968824, "is_bot": True, "first_name": "Group"}}
    event = await desk.event("hi", chat=GROUP, sender_chat=desk.peer.chat(GROUP).wire(), **anonymous)
    assert (event.admin, event.sender) == (True, f"telegram:{GROUP}")
    assert desk.peer.count("getChatAdministrators") == 1


async def test_files_of_every_sort_can_be_read(desk: Desk) -> None:
    def file(**more: Any) -> dict[str, Any]:
        return {"file_id": desk.peer.keeps(b"bytes"), "file_unique_id": "u", "file_size": 5, **more}

    sizes = {"width": 1, "height": 1, "duration": 1}
    small = {**file(), "width": 1, "height": 1}
    for body, name, mime in (
        ({"photo": [small, {**file(), "width": 9, "height": 9}]}, "photo.jpg", "image/jpeg"),
        ({"document": file(file_name="a.pdf", mime_type="application/pdf")}, "a.pdf", "application/pdf"),
        ({"video": file(file_name="a.mp4", mime_type="video/mp4", **sizes)}, "a.mp4", "video/mp4"),
        ({"voice": file(mime_type="audio/ogg", duration=1)}, "voice.ogg", "audio/ogg"),
        ({"video_note": file(length=1, duration=1)}, "video.mp4", "video/mp4"),
        (
            {
                "sticker": file(width=1, height=1, is_animated=False, is_video=False, type="regular"),
            },
            "sticker.webp",
            "image/webp",
        ),
    ):
        (found,) = said(await desk.event(**body)).files
        assert (found.name, found.mime, found.size) == (name, mime, 5)
        assert b"".join([piece async for piece in desk.account.read(found)]) == b"bytes"


async def test_a_caption_is_the_text_and_an_album_is_told_as_one(desk: Desk) -> None:
    photo = [{"file_id": desk.peer.keeps(b"x"), "file_unique_id": "u", "width": 1, "height": 1}]
    first = said(await desk.event(photo=photo, caption="/effect", media_group_id="77"))
    second = said(await desk.event(photo=photo, media_group_id="77"))
    assert (first.text, first.album, second.album) == ("/effect", "77", "77")


async def test_a_picture_that_is_answered_comes_along_though_the_bot_never_saw_it(desk: Desk) -> None:
    answered = desk.peer.says("unseen", chat=GROUP)
    await desk.gateway.next_event()
    answered = {**answered, "photo": [{"file_id": "F", "file_unique_id": "u", "width": 1, "height": 1}]}
    found = said(await desk.event("/effect", chat=GROUP, reply_to_message=answered))
    assert [file.ref for file in found.files] == ["F"]
    assert found.reply_to == f"{GROUP}.{answered['message_id']}"
    own = {**answered, "from": desk.peer.me}
    assert said(await desk.event("/effect", chat=GROUP, reply_to_message=own)).files == ()


async def test_groups_that_grow_and_bots_that_are_put_out_are_told(desk: Desk) -> None:
    event = await desk.event(chat=-5, migrate_to_chat_id=-1005)
    assert event.body == ChatChanged(what="migrated", to="-1005")
    member = {"user": desk.peer.me, "status": "member"}
    gone = {"user": desk.peer.me, "status": "left"}
    changed = {"chat": desk.peer.chat(GROUP).wire(), "from": {"id": 1, "is_bot": False, "first_name": "A"}, "date": 1}
    desk.peer.tell({"my_chat_member": {**changed, "old_chat_member": member, "new_chat_member": gone}})
    assert (await desk.gateway.next_event()).body == ChatChanged(what="left")


async def test_a_press_brings_its_payload_and_is_acknowledged(desk: Desk) -> None:
    (shown,) = await desk.send(Reply(text="well?", buttons=((Button(label="Again", payload="j.x.again"),),)))
    desk.peer.presses(shown, "j.x.again")
    event = await desk.gateway.next_event()
    assert event.body == Pressed(payload="j.x.again", message_id=f"{ADA}.{shown['message_id']}")
    await desk.peer.until(lambda: desk.peer.answered)


async def test_a_press_that_cannot_be_stored_says_so_and_comes_again(desk: Desk) -> None:
    (shown,) = await desk.send(Reply(text="well?", buttons=((Button(label="Again", payload="j.x.again"),),)))
    away = failing(desk.gateway, 1)
    desk.peer.presses(shown, "j.x.again")
    assert isinstance((await desk.gateway.next_event()).body, Pressed)
    assert away == []
    assert "Press it again" in desk.peer.answered[0]["text"]


def failing(gateway: ScriptedGateway, times: int) -> list[Exception]:
    """The store is away so many times."""
    left: list[Exception] = [Unavailable("the store is away")] * times

    async def answer(_: Event) -> FirstAnswer:
        if left:
            raise left.pop()
        return None

    gateway.answer = answer
    return left


async def test_an_update_is_confirmed_only_once_it_is_stored(desk: Desk) -> None:
    left = failing(desk.gateway, 2)
    assert said(await desk.event("hold me")).text == "hold me"
    assert left == [], "it was offered three times"
    await desk.peer.until(lambda: not desk.peer.unconfirmed)


async def test_what_a_killed_process_did_not_confirm_comes_to_the_next_one(peer: TelegramPeer) -> None:
    peer.says("before anybody listened")
    async with at_work(peer) as desk:
        assert said(await desk.gateway.next_event()).text == "before anybody listened"


@pytest.mark.parametrize(
    "poison",
    [
        {"message": "no object"},
        {"message": {"message_id": 1, "date": 1, "chat": {"id": 1}}},
        {"callback_query": {"id": "1", "from": {"id": 1, "is_bot": False, "first_name": "A"}, "chat_instance": "1"}},
        {"a_newer_kind": {"of": "update"}},
    ],
)
async def test_an_update_that_nobody_can_read_stops_no_other(desk: Desk, poison: dict[str, Any]) -> None:
    with structlog.testing.capture_logs():
        desk.peer.tell(poison)
        assert said(await desk.event("the next")).text == "the next"


async def test_a_press_that_is_not_acknowledged_holds_up_nobody(desk: Desk) -> None:
    (shown,) = await desk.send(Reply(text="well?", buttons=((Button(label="Again", payload="j.x.again"),),)))
    desk.peer.fault = lambda method, _: (
        refusal(500, "Internal Server Error") if method == "answerCallbackQuery" else None
    )
    desk.peer.presses(shown, "j.x.again")
    assert isinstance((await desk.gateway.next_event()).body, Pressed)
    assert said(await desk.event("the next")).text == "the next"


async def test_a_group_whose_administrators_are_not_told_is_asked_for_once(desk: Desk) -> None:
    desk.peer.fault = lambda method, _: refusal(400, "Bad Request: x") if method == "getChatAdministrators" else None
    for _ in range(3):
        assert not (await desk.event("hi", chat=GROUP)).admin
    assert desk.peer.count("getChatAdministrators") == 1


async def test_another_poller_is_named_and_survived(desk: Desk) -> None:
    with structlog.testing.capture_logs() as logs:
        async with httpx.AsyncClient(trust_env=False) as other:
            await desk.peer.until(lambda: desk.peer.count("getUpdates"))
            asked = desk.peer.count("getUpdates")
            await other.get(f"{desk.peer.url}/bot{desk.peer.token}/getUpdates")
            await desk.peer.until(lambda: desk.peer.count("getUpdates") > asked + 1)
        assert said(await desk.event("still here")).text == "still here"
    assert [each["account"] for each in logs if each["event"] == "two pollers"] == ["telegram"]


async def test_a_network_that_was_away_is_found_again(desk: Desk) -> None:
    await desk.event("before")
    await desk.peer.stop()
    with pytest.raises(Unavailable):
        await desk.account.send(desk.text())
    await desk.peer.start()
    assert said(await desk.event("after")).text == "after"


async def test_a_wrong_token_is_the_operators_affair(peer: TelegramPeer) -> None:
    account = Telegram("telegram", telegram_settings(peer).model_copy(update={"token": SecretStr("1:wrong")}))
    with pytest.raises(OperatorMust, match="@BotFather"):
        await account.run(scripted())


async def test_the_doctor_is_told_what_keeps_updates_away(peer: TelegramPeer) -> None:
    polls, hooked, unknown = (
        Telegram("telegram", telegram_settings(peer).model_copy(update=changed))
        for changed in ({}, {"mode": "webhook"}, {"token": SecretStr("1:wrong")})
    )
    assert isinstance(polls, Checks)
    assert await polls.check() == []
    peer.webhook = {"url": "https://elsewhere.example/hook"}
    (elsewhere,) = await polls.check()
    assert "https://elsewhere.example/hook" in elsewhere
    assert await hooked.check() == []
    peer.webhook_trouble = {"last_error_date": 1, "last_error_message": "Connection refused"}
    (failed,) = await hooked.check()
    assert "Connection refused" in failed
    with pytest.raises(OperatorMust, match="does not know the token"):
        await unknown.check()


async def test_a_connection_on_which_nothing_is_heard_is_made_anew(peer: TelegramPeer) -> None:
    account = Telegram("telegram", telegram_settings(peer), deaf_seconds=0.2)
    with pytest.raises(Unavailable, match="gave no answer"):
        await account.run(scripted())


async def test_without_a_connection_nothing_is_sent(peer: TelegramPeer) -> None:
    account = Telegram("telegram", telegram_settings(peer))
    with pytest.raises(Unavailable, match="not on line"):
        await account.send(Outgoing(key=token(), chat=ChatRef(platform="telegram", chat="42", direct=True)))


# --- what goes out


async def test_words_look_as_they_were_written(desk: Desk) -> None:
    (shown,) = await desk.send(Reply(text="**bold** `a<b` [here](https://a.example)\n\n```python\nx < 1\n```"))
    assert shown["text"] == "bold a<b here\n\nx < 1"
    kinds = [each["type"].removeprefix("textEntityType") for each in shown["entities"]]
    assert kinds == ["Bold", "Code", "TextUrl", "PreCode"]


async def test_a_long_text_comes_whole_in_several_messages(desk: Desk) -> None:
    text = " ".join(f"word{n}😀" for n in range(1500))
    shown = await desk.send(Reply(text=text))
    assert " ".join(each["text"] for each in shown) == text
    assert all(utf16(each["text"]) <= TEXT for each in shown)


async def test_pictures_go_as_photos_and_originals_as_files(desk: Desk) -> None:
    shown = await desk.send(Reply(text="look", media=(await desk.picture(spoiler=True),)))
    assert (shown[0]["caption"], shown[0]["has_media_spoiler"]) == ("look", True)
    assert "photo" in shown[0]
    (original,) = await desk.send(Reply(media=(await desk.picture(document=True),)))
    assert original["document"]["file_name"] == "red.png"


@pytest.mark.parametrize("size", [(9_990, 20), (2_200, 100)])
async def test_a_picture_that_is_no_photo_for_telegram_goes_as_a_file(desk: Desk, size: tuple[int, int]) -> None:
    (shown,) = await desk.send(Reply(media=(await desk.picture(*size),)))
    assert "document" in shown
    album = await desk.send(Reply(media=(await desk.picture(*size), await desk.picture(colour="blue"))))
    assert ["document" in each for each in album] == [True, True]


async def test_an_album_comes_before_the_words_that_carry_its_buttons(desk: Desk) -> None:
    pictures = [await desk.picture(colour=colour) for colour in ("red", "green", "blue")]
    button = Button(label="Again", payload="j.x.again")
    shown = await desk.send(Reply(text="three", media=tuple(pictures), buttons=((button,),)))
    assert [("photo" in each, "reply_markup" in each) for each in shown] == [(True, False)] * 3 + [(False, True)]
    assert shown[-1]["text"] == "three"


async def test_a_file_is_uploaded_once(desk: Desk) -> None:
    picture = await desk.picture()
    await desk.send(Reply(media=(picture,)))
    (again,) = await desk.send(Reply(media=(picture,)))
    *_, (_, given) = [call for call in desk.peer.calls if call[0] == "sendPhoto"]
    assert given["photo"] == again["photo"][-1]["file_id"]
    assert (await desk.send(Reply(media=(await desk.picture(document=True),))))[0]["document"]


async def test_the_ids_of_files_are_forgotten_after_a_month(peer: TelegramPeer) -> None:
    gateway = scripted()

    async def work(tx: Tx) -> None:
        for n in range(250):
            age = timedelta(days=31 if n else 29)
            await tx.insert(FILES, SentFile(key=str(n), file_id="x", created=datetime.now(UTC) - age))

    await gateway.store.atomically(work)
    async with on_line(Telegram("telegram", telegram_settings(peer)), gateway):
        await peer.until(lambda: peer.count("getUpdates"))
        assert [each.key for each in await gateway.store.find(FILES, order="created")] == ["0"]


async def test_a_file_that_telegram_forgot_is_uploaded_again(desk: Desk) -> None:
    picture = await desk.picture()
    (first,) = await desk.send(Reply(media=(picture,)))
    del desk.peer.files[first["photo"][-1]["file_id"]]
    (again,) = await desk.send(Reply(media=(picture,)))
    assert desk.peer.bytes_of(again) == [desk.gateway.blobs.kept[picture.blob.sha256]]


async def test_an_answer_for_one_person_does_not_appear_in_the_group(desk: Desk) -> None:
    desk.peer.chat(GROUP)
    await desk.send(Reply(text="10 points", private=True), GROUP, private_to="telegram:42")
    assert desk.peer.sent(GROUP) == []
    assert [each["text"] for each in desk.peer.sent(ADA)] == ["10 points"]
    desk.peer.chat(ADA).blocked = True
    (hint,) = await desk.send(Reply(text="10 points", private=True), GROUP, private_to="telegram:42")
    assert "@chatelier_bot" in hint["text"]
    assert "points" not in hint["text"]


async def test_an_answer_stands_alone_where_the_question_is_gone(desk: Desk) -> None:
    (shown,) = await desk.send(Reply(text="here", quote=True), reply_to=f"{ADA}.999")
    assert "reply_to_message" not in shown


@pytest.mark.parametrize("seconds", [3, 47])
async def test_a_pause_is_exactly_as_long_as_telegram_says(desk: Desk, seconds: int) -> None:
    desk.peer.fault = lambda method, _: too_many(seconds) if method == "sendMessage" else None
    with pytest.raises(Retry) as later:
        await desk.account.send(desk.text())
    assert later.value.after == seconds
    assert desk.peer.count("sendMessage") == 1, "nothing extra is sent into a storm"


def refusal(code: int, description: str, **more: Any) -> JSONResponse:
    return JSONResponse({"ok": False, "error_code": code, "description": description, **more}, code)


@pytest.mark.parametrize(
    ("code", "words", "error"),
    [
        (403, "Forbidden: bot was blocked by the user", Gone),
        (400, "Bad Request: chat not found", Gone),
        (400, "Bad Request: message thread not found", Gone),
        (400, "Bad Request: not enough rights to send text messages to the chat", Refused),
        (413, "Request Entity Too Large", Refused),
        (500, "Internal Server Error", Unavailable),
        (502, "Bad Gateway", Uncertain),
    ],
)
async def test_what_telegram_says_is_told_in_the_words_of_the_core(
    desk: Desk, code: int, words: str, error: type[Exception]
) -> None:
    desk.peer.fault = lambda method, _: refusal(code, words) if method == "sendMessage" else None
    with pytest.raises(error):
        await desk.account.send(desk.text())


async def test_what_is_for_a_group_that_grew_comes_to_its_new_self(desk: Desk) -> None:
    desk.peer.chat(-5).migrated_to = -1005
    desk.peer.chat(-1005)
    receipt = await desk.account.send(desk.text(chat=-5))
    assert [each["text"] for each in desk.peer.sent(-1005)] == ["hello"]
    assert (receipt.chat.chat, receipt.ids) == ("-1005", ("-1005.1",))


async def test_cards_change_and_the_same_once_more_is_no_error(desk: Desk) -> None:
    receipt = await desk.account.send(desk.text("waiting"))
    for words in ("half", "half", "done"):
        await desk.account.edit(receipt, desk.text(words))
    assert [each["text"] for each in desk.peer.sent()] == ["done"]
    where = ChatRef(platform="telegram", chat=str(ADA), direct=True)
    picture = Outgoing(key=token(), chat=where, text=document("a"), media=(await desk.picture(),))
    card = await desk.account.send(picture)
    await desk.account.edit(card, desk.text("only its words"))
    assert desk.peer.sent()[-1]["caption"] == "only its words"
    preview = Media(
        blob=Blob(sha256="", size=len(PREVIEW), mime="image/png", kind="image", width=1, height=1),
        name="preview.png",
        inline=PREVIEW,
    )
    await desk.account.edit(card, Outgoing(key=token(), chat=where, text=document("50 %"), media=(preview,)))
    assert desk.peer.bytes_of(desk.peer.sent()[-1]) == [PREVIEW]


async def test_a_deleted_card_is_gone_for_edits_and_no_error_for_deletes(desk: Desk) -> None:
    receipt = await desk.account.send(desk.text())
    await desk.account.delete(receipt)
    await desk.account.delete(receipt)
    with pytest.raises(Gone):
        await desk.account.edit(receipt, desk.text("too late"))


async def test_signs_are_reactions_and_busy_is_an_action(desk: Desk) -> None:
    event = await desk.event("hi")
    for what in ("busy", "seen", "done"):
        await desk.account.signal(event.chat, what, event.keys[-1])
    assert desk.peer.reactions == {(ADA, 1): ["👍"]}
    assert desk.peer.count("sendChatAction") == 1


async def test_the_list_of_commands_is_told_only_when_it_changed(desk: Desk) -> None:
    offers = [Offer("make", "A picture"), Offer("not-a-name", "No"), Offer("help", "x" * 300)]
    await desk.account.publish(offers)
    await desk.account.publish(offers)
    assert desk.peer.count("setMyCommands") == 1
    assert [each["command"] for each in desk.peer.commands["default", ""]] == ["make", "help"]
    await desk.account.publish([Offer("make", "Another picture")])
    assert desk.peer.count("setMyCommands") == 2


async def test_operators_have_their_own_commands_in_their_list_and_nobody_else(desk: Desk) -> None:
    desk.gateway.operators = (f"telegram:{ADA}", "telegram:999", "discord:42", "telegram:odd")
    offers = [Offer("make", "A picture"), Offer("refresh", "Load the workflows again", operators=True)]
    for _ in range(2):
        await desk.account.publish(offers)
    lists = {scope: [each["command"] for each in commands] for (scope, _), commands in desk.peer.commands.items()}
    assert lists == {"default": ["make"], f"chat {ADA}": ["make", "refresh"]}


async def test_who_is_an_operator_no_more_loses_the_list_that_was_theirs(desk: Desk) -> None:
    desk.gateway.operators = (f"telegram:{ADA}",)
    offers = [Offer("make", "A picture"), Offer("refresh", "Load the workflows again", operators=True)]
    await desk.account.publish(offers)
    desk.gateway.operators = ()
    for _ in range(2):
        await desk.account.publish(offers)
    assert list(desk.peer.commands) == [("default", "")]
    assert desk.peer.count("deleteMyCommands") == 1


async def test_a_file_that_is_gone_or_too_large_is_told_in_words(desk: Desk) -> None:
    with pytest.raises(Gone, match="Send it again"):
        await anext(desk.account.read(FileRef(platform="telegram", ref="unknown")))
    with pytest.raises(Refused, match="20 MB"):
        await anext(desk.account.read(FileRef(platform="telegram", ref="x", size=21 << 20)))
    large = desk.peer.keeps(bytes((20 << 20) + 1))
    with pytest.raises(Refused, match="20 MB"):
        await anext(desk.account.read(FileRef(platform="telegram", ref=large)))


async def test_a_file_of_a_server_on_this_machine_is_read_from_its_folder(peer: TelegramPeer, tmp_path: Path) -> None:
    kept = tmp_path / "photo.jpg"
    kept.write_bytes(bytes(30 << 20))

    def on_disk(method: str, given: Any) -> Response | None:
        told = {"file_id": given.get("file_id"), "file_unique_id": "u", "file_path": str(kept)}
        return JSONResponse({"ok": True, "result": told}) if method == "getFile" else None

    peer.fault = on_disk
    async with at_work(peer, local_server=True) as desk:
        assert desk.account.capabilities().download == {}
        file = FileRef(platform="telegram", ref="F", size=30 << 20)
        pieces = [len(piece) async for piece in desk.account.read(file)]
        assert sum(pieces) == 30 << 20
        assert len(pieces) > 10, "never whole in memory"
        kept.unlink()
        with pytest.raises(Gone):
            await anext(desk.account.read(file))


async def test_the_token_stands_in_no_log_and_no_error(desk: Desk) -> None:
    await desk.peer.stop()
    with structlog.testing.capture_logs() as logs, pytest.raises(Unavailable) as away:
        await desk.account.send(desk.text())
    assert desk.peer.token not in f"{logs} {away.value!r} {away.value.__cause__!r}"
    await desk.peer.start()


# --- the webhook


@asynccontextmanager
async def hooked(peer: TelegramPeer, **webhook: Any) -> AsyncIterator[tuple[Desk, str]]:
    """A bot that Telegram writes to, and the address of its gateway."""
    account = telegram_settings(peer, mode="webhook", webhook=Webhook(**webhook))
    section = TelegramSettings(**dict(account))
    whole = Settings(http=Http(port=0, public_url=PUBLIC)).with_sections({"platforms.telegram": section})
    plugin, platforms, routes, gateway = Plugin(), list[Platform](), list[Any](), scripted()
    plugin.register_routes(routes.append, whole)
    plugin.register_platforms(platforms.append, whole)
    (platform,) = platforms
    assert isinstance(platform, Telegram)
    async with serve(application(whole.http, routes, healthy), "127.0.0.1", 0) as address, on_line(platform, gateway):
        await peer.until(lambda: peer.webhook)
        yield Desk(peer, gateway, platform), f"{address.url}/hooks/telegram"


async def sent_here(url: str, update: Any, secret: str) -> int:
    """As Telegram does it."""
    headers = {"X-Telegram-Bot-Api-Secret-Token": secret, "Host": "art.example"}
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.post(url, json=update, headers=headers)).status_code


async def test_updates_that_telegram_sends_are_taken_with_its_secret_only(peer: TelegramPeer) -> None:
    async with hooked(peer) as (desk, url):
        assert peer.webhook["url"] == f"{PUBLIC}/hooks/telegram"
        secret = peer.webhook["secret_token"]
        update = peer.tell({"message": {**peer.says("hello"), "text": "hello"}})
        for wrong in ("", "wrong", secret[:-1]):
            assert await sent_here(url, update, wrong) == 403
        assert await sent_here(url, update, secret) == 200
        assert said(await desk.gateway.next_event()).text == "hello"
        for nonsense in (["no update"], 5, {}, {"update_id": "x"}):
            assert await sent_here(url, nonsense, secret) == 400
        with structlog.testing.capture_logs():
            assert await sent_here(url, {"update_id": 5, "message": "no object"}, secret) == 200, "never again"
        assert secret not in peer.token, "the secret does not give the token away"


async def test_an_update_that_cannot_be_stored_is_not_acknowledged(peer: TelegramPeer) -> None:
    async with hooked(peer, secret=SecretStr("chosen"), url="https://elsewhere.example/hook") as (desk, url):
        assert (peer.webhook["url"], peer.webhook["secret_token"]) == ("https://elsewhere.example/hook", "chosen")
        failing(desk.gateway, 1)
        update = peer.tell({"message": peer.says("hello")})
        assert await sent_here(url, update, "chosen") == 503
        assert await sent_here(url, update, "chosen") == 200
        assert said(await desk.gateway.next_event()).text == "hello"


async def test_a_webhook_without_an_address_is_the_operators_affair(peer: TelegramPeer) -> None:
    account = Telegram("telegram", telegram_settings(peer, mode="webhook"))
    with pytest.raises(OperatorMust, match="public_url"):
        await account.run(scripted())


# --- the configuration


def test_each_account_is_a_bot_of_its_own() -> None:
    section = TelegramSettings(token=SecretStr("1:a"), accounts={"shop": AccountSettings(token=SecretStr("2:b"))})
    assert list(section.by_name) == ["telegram", "telegram.shop"]
    assert list(TelegramSettings().by_name) == []
    assert list(TelegramSettings(enabled=False, token=SecretStr("1:a")).by_name) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": "1:a", "accounts": {"shop": {"token": "1:a"}}},
        {"accounts": {"My Shop": {"token": "1:a"}}},
        {"webhook": {"secret": "not allowed: a blank"}},
        {"mode": "both"},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TelegramSettings.model_validate(wrong)


# --- the markup


@settings(max_examples=10_000, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab <>&\"'`*_~[]()#->!|\\\n\t😀é1."), max_size=120))
def test_no_markdown_makes_a_message_that_telegram_refuses_or_changes(markdown: str) -> None:
    read = document(markdown)
    text, _ = parsed(DIALECT.render(read), "HTML")
    assert utf16(text) == DIALECT.length(read)
    assert letters(flat(read)) == letters(text)


def letters(text: str) -> list[str]:
    """What somebody reads, without the blanks and the signs that stand for lists, quotes and lines."""
    return [each for each in text if each.isalpha() or each == "😀"]
