"""The Bot API server of the tests refuses what Telegram refuses, in Telegram's words: asked with plain HTTP, without any adapter."""

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from PIL import Image

from peers.telegram import CAPTION, PHOTO_BYTES, TEXT, TelegramPeer, parsed, too_many

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde\x00\x00\x00\x0cIDATx"
    b"\xdac\xf8\xcf\xc0\x00\x00\x03\x01\x01\x00\x18\xdd\x8d\xb0\x00\x00\x00\x00IEND\xaeB`\x82"
)


@pytest.fixture
async def peer() -> AsyncIterator[TelegramPeer]:
    async with TelegramPeer().live() as peer:
        peer.chat(42)
        yield peer


async def ask(peer: TelegramPeer, method: str, files: dict[str, bytes] | None = None, **given: Any) -> httpx.Response:
    data = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"{peer.url}/bot{peer.token}/{method}", data=data, files=files)


def picture(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, "PNG")
    return out.getvalue()


def buttons(count: int, row: int, data: str = "x") -> dict[str, Any]:
    every = [{"text": str(n), "callback_data": data} for n in range(count)]
    return {"inline_keyboard": [every[start : start + row] for start in range(0, count, row)]}


@pytest.mark.parametrize(
    ("method", "given", "words"),
    [
        ("sendMessage", {"text": "x" * (TEXT + 1)}, "message is too long"),
        ("sendMessage", {"text": "😀" * (TEXT // 2 + 1)}, "message is too long"),
        ("sendMessage", {"text": " \n "}, "message text is empty"),
        ("sendMessage", {"text": "<b>x", "parse_mode": "HTML"}, "can't parse entities: can't find end tag"),
        ("sendMessage", {"text": "<h1>x</h1>", "parse_mode": "HTML"}, "can't parse entities: unsupported start tag"),
        ("sendMessage", {"text": "x", "chat_id": 7}, "chat not found"),
        ("sendMessage", {"text": "x", "reply_parameters": {"message_id": 99}}, "message to be replied not found"),
        ("sendMessage", {"text": "x", "reply_markup": buttons(1, 1, "x" * 65)}, "button_data_invalid"),
        ("sendMessage", {"text": "x", "reply_markup": buttons(1, 1, "é" * 33)}, "button_data_invalid"),
        ("sendMessage", {"text": "x", "reply_markup": buttons(101, 8)}, "reply_markup_too_long"),
        ("sendMessage", {"text": "x", "reply_markup": buttons(9, 9)}, "reply_markup_too_long"),
        ("sendPhoto", {"photo": "no such id"}, "wrong file identifier"),
        ("editMessageText", {"message_id": 99, "text": "x"}, "message to edit not found"),
        ("deleteMessage", {"message_id": 99}, "message to delete not found"),
        ("setMessageReaction", {"message_id": 1, "reaction": [{"type": "emoji", "emoji": "✅"}]}, "reaction_invalid"),
        ("setMyCommands", {"commands": [{"command": "Make", "description": "x"}]}, "bot_command_invalid"),
        ("setMyCommands", {"commands": [{"command": "make", "description": ""}]}, "bot_command_description_invalid"),
        ("getChatAdministrators", {}, "there are no administrators in the private chat"),
        ("getFile", {"file_id": "no such id"}, "wrong file_id"),
    ],
)
async def test_what_telegram_refuses(peer: TelegramPeer, method: str, given: dict[str, Any], words: str) -> None:
    answer = await ask(peer, method, **{"chat_id": 42, **given})
    assert answer.status_code == 400
    assert words in answer.json()["description"].lower()


async def test_exactly_the_limit_is_taken(peer: TelegramPeer) -> None:
    whole = "x" * TEXT
    answer = await ask(peer, "sendMessage", chat_id=42, text=f"<b>{whole}</b>", parse_mode="HTML")
    assert answer.json()["result"]["text"] == whole, "markup does not count"
    assert (await ask(peer, "sendMessage", chat_id=42, text="😀" * (TEXT // 2))).status_code == 200
    markup = buttons(100, 8, "é" * 32)
    assert (await ask(peer, "sendMessage", chat_id=42, text="x", reply_markup=markup)).status_code == 200


async def test_captions_and_photos_have_limits_of_their_own(peer: TelegramPeer) -> None:
    async def photo(data: bytes, **given: Any) -> tuple[int, str]:
        answer = await ask(peer, "sendPhoto", files={"photo": data}, chat_id=42, **given)
        return answer.status_code, answer.json().get("description", "")

    assert (await photo(PNG, caption="x" * CAPTION))[0] == 200
    assert await photo(PNG, caption="x" * (CAPTION + 1)) == (400, "Bad Request: message caption is too long")
    assert await photo(b"no picture") == (400, "Bad Request: IMAGE_PROCESS_FAILED")
    assert await photo(picture(9_000, 1_001)) == (400, "Bad Request: PHOTO_INVALID_DIMENSIONS")
    assert await photo(picture(2_101, 100)) == (400, "Bad Request: PHOTO_INVALID_DIMENSIONS")
    assert (await photo(picture(2_000, 100)))[0] == 200
    assert await photo(PNG + bytes(PHOTO_BYTES)) == (400, "Bad Request: file is too big")


async def test_albums_are_of_one_sort_and_carry_no_buttons(peer: TelegramPeer) -> None:
    def items(*kinds: str) -> list[dict[str, str]]:
        return [{"type": kind, "media": "attach://a"} for kind in kinds]

    async def album(*kinds: str, **given: Any) -> httpx.Response:
        return await ask(peer, "sendMediaGroup", files={"a": PNG}, chat_id=42, media=items(*kinds), **given)

    assert len((await album("photo", "video")).json()["result"]) == 2
    for kinds in (("photo",), ("photo",) * 11, ("photo", "document"), ("audio", "document")):
        assert (await album(*kinds)).status_code == 400
    assert (await album("photo", "photo", reply_markup=buttons(1, 1))).status_code == 400


async def test_a_text_stays_a_text_and_the_same_again_is_refused(peer: TelegramPeer) -> None:
    told = (await ask(peer, "sendMessage", chat_id=42, text="x")).json()["result"]
    where = {"chat_id": 42, "message_id": told["message_id"]}
    same = await ask(peer, "editMessageText", **where, text="x")
    assert "message is not modified" in same.json()["description"]
    media = await ask(peer, "editMessageMedia", {"a": PNG}, **where, media={"type": "photo", "media": "attach://a"})
    assert "there is no media" in media.json()["description"]
    assert (await ask(peer, "editMessageText", **where, text="y")).status_code == 200


async def test_people_who_stopped_the_bot_and_groups_that_grew(peer: TelegramPeer) -> None:
    peer.chat(42).blocked = True
    blocked = await ask(peer, "sendMessage", chat_id=42, text="x")
    assert (blocked.status_code, blocked.json()["description"]) == (403, "Forbidden: bot was blocked by the user")
    peer.chat(-5).migrated_to = -1005
    grown = await ask(peer, "sendMessage", chat_id=-5, text="x")
    assert grown.json()["parameters"] == {"migrate_to_chat_id": -1005}


async def test_a_storm_of_429_says_how_long(peer: TelegramPeer) -> None:
    peer.fault = lambda method, _: too_many(7) if method == "sendMessage" else None
    answer = await ask(peer, "sendMessage", chat_id=42, text="x")
    assert (answer.status_code, answer.json()["parameters"]) == (429, {"retry_after": 7})


async def test_the_token_and_the_method_must_be_known(peer: TelegramPeer) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        wrong = await client.get(f"{peer.url}/bot1:x/getMe")
    assert (wrong.status_code, wrong.json()["description"]) == (401, "Unauthorized")
    assert (await ask(peer, "makeTea")).status_code == 404


async def test_a_webhook_and_asking_exclude_each_other(peer: TelegramPeer) -> None:
    await ask(peer, "setWebhook", url="https://cat.example/telegram")
    answer = await ask(peer, "getUpdates")
    assert (answer.status_code, "webhook is active" in answer.json()["description"]) == (409, True)


async def test_updates_come_again_until_they_are_confirmed(peer: TelegramPeer) -> None:
    peer.says("hello")
    (first,) = (await ask(peer, "getUpdates")).json()["result"]
    assert (await ask(peer, "getUpdates")).json()["result"] == [first]
    assert (await ask(peer, "getUpdates", offset=first["update_id"] + 1)).json()["result"] == []


async def test_a_callback_is_answered_once_and_in_few_words(peer: TelegramPeer) -> None:
    assert (await ask(peer, "answerCallbackQuery", callback_query_id="1", text="x" * 201)).status_code == 400
    assert (await ask(peer, "answerCallbackQuery", callback_query_id="1")).status_code == 200
    late = await ask(peer, "answerCallbackQuery", callback_query_id="1")
    assert "query is too old" in late.json()["description"]


def test_lengths_and_places_are_utf_16() -> None:
    text, entities = parsed("😀<b>é</b>", "HTML")
    assert text == "😀é"
    assert [(each["offset"], each["length"]) for each in entities] == [(2, 1)]
