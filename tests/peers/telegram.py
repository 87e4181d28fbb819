"""A Bot API server to test against: it keeps the vendor's rules, answers with the vendor's words, and has its faults.

It imports nothing of ours. What a text looks like is decided by TDLib's own parser, the one that the vendor's servers run.
"""

import asyncio
import contextlib
import io
import itertools
import json
import random
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import tdjson
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from peers.serving import PeerServer

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"  # noqa: S105 - the example of the vendor's own documentation
TEXT, CAPTION = 4096, 1024
PHOTO_BYTES, FILE_BYTES, DOWNLOAD_BYTES = 10 << 20, 50 << 20, 20 << 20
ALBUM = 10
REACTIONS = (
    "👍👎❤🔥🥰👏😁🤔🤯😱🤬😢🎉🤩🤮💩🙏👌🕊🤡🥱🥴😍🐳🌚🌭💯🤣⚡🍌🏆💔🤨😐"
    "🍓🍾💋🖕😈😴😭🤓👻👀🎃🙈😇😨🤝✍🤗🫡🎅🎄☃💅🤪🗿🆒💘🙉🦄😘💊🙊😎👾🤷😡"
)
GROUPS = {
    "photo": "visual",
    "video": "visual",
    "document": "document",
    "audio": "audio",
}

tdjson.td_execute(b'{"@type": "setLogVerbosityLevel", "new_verbosity_level": 0}')

Message = dict[str, Any]
Fault = Callable[[str, Mapping[str, Any]], Response | None]


class Refusal(Exception):
    def __init__(self, code: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.code, self.description, self.parameters = code, description, parameters


def bad(description: str) -> Refusal:
    return Refusal(400, f"Bad Request: {description}")


def parsed(text: str, mode: str) -> tuple[str, list[Message]]:
    """The visible text and its entities, by TDLib."""
    if not mode:
        return text, []
    if mode != "HTML":
        raise bad("unsupported parse_mode")
    asked = {"@type": "parseTextEntities", "text": text, "parse_mode": {"@type": "textParseModeHTML"}}
    answer = tdjson.td_execute(json.dumps(asked).encode())
    assert answer is not None
    found = json.loads(answer)
    if found["@type"] == "error":
        raise bad(found["message"][0].lower() + found["message"][1:])
    entities = [
        {"type": each["type"]["@type"], "offset": each["offset"], "length": each["length"]}
        for each in found["entities"]
    ]
    return found["text"], entities


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@dataclass(slots=True)
class Chat:
    """A person's direct chat, or a group. forum: with topics. blocked: the person stopped the bot, or it was put out of the group."""

    id: int
    type: str = "private"
    title: str = "Ada"
    is_forum: bool = False
    blocked: bool = False
    migrated_to: int = 0
    admins: tuple[int, ...] = ()
    reactions: bool = True
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def wire(self) -> Message:
        told: Message = {"id": self.id, "type": self.type}
        told |= {"first_name": self.title} if self.type == "private" else {"title": self.title}
        return told | ({"is_forum": True} if self.is_forum else {})


class TelegramPeer:
    """messages: what is visible, by chat and id, in order. calls: every method that was called, with its parameters.

    fault: asked first, with the method and its parameters; what it answers is the answer. after: asked once it was done.
    shuffle: waiting updates are told in an order of its own.
    """

    def __init__(self, token: str = TOKEN) -> None:
        self.token = token
        self.port = 0
        self.messages: dict[tuple[int, int], Message] = {}
        self.files: dict[str, tuple[str, bytes]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.chats: dict[int, Chat] = {}
        self.commands: dict[tuple[str, str], list[Message]] = {}
        self.reactions: dict[tuple[int, int], list[str]] = {}
        self.answered: list[Message] = []
        self.bills: dict[int, Message] = {}
        self.charges: dict[str, str] = {}
        self.checkouts: dict[str, Message] = {}
        self.webhook: Message = {}
        self.webhook_trouble: Message = {}
        self.fault: Fault | None = None
        self.after: Fault | None = None
        self.shuffle: random.Random | None = None
        self.moved = asyncio.Event()
        self._updates: list[Message] = []
        self._repeated: list[Message] = []
        self._last: Message = {}
        self._update_ids = itertools.count(700_000_001)
        self._file_ids = itertools.count(1)
        self._polls = 0
        self._server: PeerServer | None = None

    # --- what a test does

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def live(self) -> AsyncIterator["TelegramPeer"]:
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def start(self) -> None:
        """On the same port as before, if there was one."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(self._app(), log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        self._server = PeerServer(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        await self._server.up.wait()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.should_exit = self._server.force_exit = True
        self._move()
        self.drop()
        await self._serving

    def drop(self) -> None:
        """Every connection breaks."""
        assert self._server is not None
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    def chat(self, id_: int = 42, **options: Any) -> Chat:
        if id_ not in self.chats:
            self.chats[id_] = Chat(id_, **({"type": "supergroup", "title": "Painters"} if id_ < 0 else {}) | options)
        return self.chats[id_]

    def says(self, text: str = "", *, chat: int = 42, sender: int = 42, name: str = "Ada", **more: Any) -> Message:
        """A person's message, and the update that tells of it."""
        where = self.chat(chat)
        message: Message = {
            "message_id": next(where.ids),
            "date": int(time.time()),
            "chat": where.wire(),
            "from": {"id": sender, "is_bot": False, "first_name": name},
            **({"text": text} if text else {}),
            **more,
        }
        if text.startswith("/"):
            command = text.split(maxsplit=1)[0]
            message.setdefault("entities", [{"type": "bot_command", "offset": 0, "length": len(command)}])
        self.tell({"message": message})
        return message

    def presses(self, message: Message, data: str, *, sender: int = 42) -> Message:
        query = {
            "id": str(next(self._file_ids)),
            "from": {"id": sender, "is_bot": False, "first_name": "Ada"},
            "message": message,
            "chat_instance": "1",
            "data": data,
        }
        return self.tell({"callback_query": query})

    def tell(self, update: Message) -> Message:
        update = {"update_id": next(self._update_ids), **update}
        self._updates.append(update)
        self._last = update
        self._move()
        return update

    def repeat(self, *, as_other: bool = False) -> None:
        """The last update once more, as after a crash before its confirmation, under its own number or another one."""
        self._repeated.append(self._last | ({"update_id": next(self._update_ids)} if as_other else {}))
        self._move()

    def keeps(self, data: bytes, name: str = "file") -> str:
        """A file that somebody uploaded; its id."""
        file_id = f"AgACAgIAAxk{next(self._file_ids):08d}"
        self.files[file_id] = (name, data)
        return file_id

    def sent(self, chat: int = 42) -> list[Message]:
        """What the bot said there, as it looks now."""
        return [message for (where, _), message in self.messages.items() if where == chat]

    def bytes_of(self, message: Message) -> list[bytes]:
        """Of the files that a message shows."""
        photos = message.get("photo") or [
            message[kind] for kind in ("video", "animation", "audio", "document") if kind in message
        ]
        return [self.files[shown["file_id"]][1] for shown in photos[-1:]]

    async def until(self, true: Callable[[], object], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                self.moved.clear()
                await self.moved.wait()

    @property
    def unconfirmed(self) -> int:
        return len(self._updates)

    def count(self, method: str) -> int:
        return sum(called == method for called, _ in self.calls)

    # --- the server

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/bot{token}/{method}", self._call, methods=["GET", "POST"]),
                Route("/file/bot{token}/{path:path}", self._file),
            ]
        )

    async def _call(self, request: Request) -> Response:
        if request.path_params["token"] != self.token:
            return _answer(Refusal(401, "Unauthorized"))
        method, given = request.path_params["method"], await _parameters(request)
        self.calls.append((method, given))
        if self.fault is not None and (answer := self.fault(method, given)) is not None:
            return answer
        handler = getattr(self, f"_do_{method.lower()}", None)
        if handler is None:
            return _answer(Refusal(404, "Not Found"))
        try:
            result = await handler(given)
        except Refusal as refusal:
            return _answer(refusal)
        finally:
            self._move()
        if self.after is not None and (answer := self.after(method, given)) is not None:
            return answer
        return JSONResponse({"ok": True, "result": result})

    async def _file(self, request: Request) -> Response:
        if request.path_params["token"] != self.token:
            return Response(status_code=404)
        found = self.files.get(request.path_params["path"].removeprefix("files/"))
        return Response(found[1]) if found else Response(status_code=404)

    def _move(self) -> None:
        self.moved.set()

    # --- getting updates

    async def _do_getme(self, given: Message) -> Message:
        return self.me

    @property
    def me(self) -> Message:
        return {"id": 110201543, "is_bot": True, "first_name": "Chatelier", "username": "chatelier_bot"}

    async def _do_getupdates(self, given: Message) -> list[Message]:
        if self.webhook:
            raise Refusal(
                409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
            )  # fmt: skip
        offset, until = int(given.get("offset", 0)), time.monotonic() + float(given.get("timeout", 0))
        if offset:
            self._updates = [update for update in self._updates if update["update_id"] >= offset]
        self._polls += 1
        mine = self._polls
        self._move()
        while not (self._updates or self._repeated) and time.monotonic() < until and not self._stopping:
            self.moved.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.moved.wait(), max(0.0, until - time.monotonic()))
            if self._polls != mine:
                raise Refusal(
                    409,
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                )
        repeated, self._repeated = self._repeated, []
        told = [*repeated, *self._updates][: int(given.get("limit", 100))]
        if self.shuffle is not None:
            self.shuffle.shuffle(told)
        return told

    @property
    def _stopping(self) -> bool:
        return self._server is not None and self._server.should_exit

    async def _do_setwebhook(self, given: Message) -> bool:
        self.webhook = given
        return True

    async def _do_getwebhookinfo(self, given: Message) -> Message:
        told = {"url": self.webhook.get("url", ""), "has_custom_certificate": False}
        return {**told, "pending_update_count": len(self._updates), **self.webhook_trouble}

    async def _do_deletewebhook(self, given: Message) -> bool:
        self.webhook = {}
        return True

    # --- sending

    async def _do_sendmessage(self, given: Message) -> Message:
        text, entities = parsed(str(given.get("text", "")), given.get("parse_mode", ""))
        if not text.strip():
            raise bad("message text is empty")
        if utf16(text) > TEXT:
            raise bad("message is too long")
        return self._say(given, {"text": text, "entities": entities})

    async def _do_sendphoto(self, given: Message) -> Message:
        return self._say(given, {**self._media("photo", given), **_caption(given)})

    async def _do_senddocument(self, given: Message) -> Message:
        return self._say(given, {**self._media("document", given), **_caption(given)})

    async def _do_sendvideo(self, given: Message) -> Message:
        return self._say(given, {**self._media("video", given), **_caption(given)})

    async def _do_sendanimation(self, given: Message) -> Message:
        return self._say(given, {**self._media("animation", given), **_caption(given)})

    async def _do_sendaudio(self, given: Message) -> Message:
        return self._say(given, {**self._media("audio", given), **_caption(given)})

    async def _do_sendmediagroup(self, given: Message) -> list[Message]:
        items = given["media"]
        if not 2 <= len(items) <= ALBUM:
            raise bad("can't use the number of media in an album") if len(items) > ALBUM else bad("there are no media")
        if len({GROUPS.get(item["type"]) for item in items}) > 1:
            raise bad("document can't be mixed with other media types")
        if "reply_markup" in given:
            raise bad("reply markup isn't allowed in an album")
        bodies = [{**self._media(item["type"], given, item["media"], item), **_caption(item)} for item in items]
        group = str(next(self._file_ids))
        return [self._say(given, {**body, "media_group_id": group}) for body in bodies]

    def _say(self, given: Message, body: Message) -> Message:
        chat = self._where(given)
        message = {
            "message_id": next(chat.ids),
            "date": int(time.time()),
            "chat": chat.wire(),
            "from": self.me,
            **body,
            **_markup(given),
        }
        if given.get("message_thread_id"):
            message |= {"message_thread_id": int(given["message_thread_id"]), "is_topic_message": True}
        self._answers(chat, given, message)
        self.messages[chat.id, message["message_id"]] = message
        return message

    def _answers(self, chat: Chat, given: Message, message: Message) -> None:
        asked = given.get("reply_parameters")
        if not asked:
            return
        known = (chat.id, int(asked["message_id"])) in self.messages or int(asked["message_id"]) < message["message_id"]
        if known:
            message["reply_to_message"] = {"message_id": int(asked["message_id"]), "date": 0, "chat": chat.wire()}
        elif not asked.get("allow_sending_without_reply"):
            raise bad("message to be replied not found")

    def _where(self, given: Message) -> Chat:
        chat = self.chats.get(int(given["chat_id"]))
        if chat is None:
            raise bad("chat not found")
        if chat.migrated_to:
            raise Refusal(
                400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=chat.migrated_to
            )
        if chat.blocked:
            words = (
                "bot was blocked by the user" if chat.type == "private" else "bot was kicked from the supergroup chat"
            )
            raise Refusal(403, f"Forbidden: {words}")
        return chat

    def _media(self, kind: str, given: Message, value: Any = None, item: Message | None = None) -> Message:
        """The message's media, from an upload or from a file's id."""
        value = given.get(kind) if value is None else value
        if isinstance(value, str) and value.startswith("attach://"):
            value = given[value.removeprefix("attach://")]
        if isinstance(value, Upload):
            self._must_fit(kind, value)
            file_id, name, size = self.keeps(value.data, value.name), value.name, len(value.data)
        elif isinstance(value, str) and value in self.files:
            file_id, (name, data) = value, self.files[value]
            size = len(data)
        else:
            raise bad("wrong file identifier/HTTP URL specified")
        told = {"file_id": file_id, "file_unique_id": file_id[-8:], "file_size": size}
        if kind == "photo":
            return {"photo": [{**told, "width": 90, "height": 60}], **_spoiler(item or given)}
        shown = {**told, "file_name": name}
        shown |= {"width": 1, "height": 1, "duration": 1} if kind in {"video", "animation"} else {}
        shown |= {"duration": 1} if kind == "audio" else {}
        return {kind: shown}

    def _must_fit(self, kind: str, upload: "Upload") -> None:
        if not upload.data:
            raise bad("file must be non-empty")
        if len(upload.data) > (PHOTO_BYTES if kind == "photo" else FILE_BYTES):
            if kind == "photo":
                raise bad("file is too big")
            raise Refusal(413, "Request Entity Too Large")
        if kind == "photo":
            try:
                width, height = Image.open(io.BytesIO(upload.data)).size
            except OSError:
                raise bad("IMAGE_PROCESS_FAILED") from None
            if width + height > 10_000 or max(width, height) > 20 * min(width, height):
                raise bad("PHOTO_INVALID_DIMENSIONS")

    # --- changing what was sent

    async def _do_editmessagetext(self, given: Message) -> Message:
        text, entities = parsed(str(given["text"]), given.get("parse_mode", ""))
        if not text.strip():
            raise bad("message text is empty")
        if utf16(text) > TEXT:
            raise bad("MESSAGE_TOO_LONG")
        message = self._mine(given)
        if "text" not in message:
            raise bad("there is no text in the message to edit")
        return self._change(message, given, {"text": text, "entities": entities})

    async def _do_editmessagecaption(self, given: Message) -> Message:
        message = self._mine(given)
        if "text" in message:
            raise bad("there is no caption in the message to edit")
        return self._change(message, given, _caption(given))

    async def _do_editmessagemedia(self, given: Message) -> Message:
        message, item = self._mine(given), given["media"]
        if "text" in message:
            raise bad("there is no media in the message to edit")
        body = {**self._media(item["type"], given, item["media"], item), **_caption(item)}
        return self._change(message, given, body)

    async def _do_editmessagereplymarkup(self, given: Message) -> Message:
        return self._change(self._mine(given), given, {})

    def _mine(self, given: Message) -> Message:
        chat = self._where(given)
        message = self.messages.get((chat.id, int(given["message_id"])))
        if message is None:
            raise bad("message to edit not found")
        return message

    def _change(self, message: Message, given: Message, body: Message) -> Message:
        kept = (
            "message_id",
            "date",
            "chat",
            "from",
            "message_thread_id",
            "is_topic_message",
            "reply_to_message",
            "media_group_id",
        )
        if body:
            changed = {name: message[name] for name in kept if name in message} | body
        else:
            changed = {name: value for name, value in message.items() if name != "reply_markup"}
        changed |= _markup(given)
        if changed == {name: value for name, value in message.items() if name != "edit_date"}:
            raise bad(
                "message is not modified: specified new message content and reply markup are exactly the same as a "
                "current content and reply markup of the message"
            )
        message.clear()
        message.update(changed, edit_date=int(time.time()))
        return message

    async def _do_deletemessage(self, given: Message) -> bool:
        if self.messages.pop((self._where(given).id, int(given["message_id"])), None) is None:
            raise bad("message to delete not found")
        return True

    async def _do_deletemessages(self, given: Message) -> bool:
        for key in given["message_ids"]:
            self.messages.pop((self._where(given).id, int(key)), None)
        return True

    # --- the rest

    async def _do_answercallbackquery(self, given: Message) -> bool:
        if len(str(given.get("text", ""))) > 200:
            raise bad("MESSAGE_TOO_LONG")
        if given["callback_query_id"] in {each["callback_query_id"] for each in self.answered}:
            raise bad("query is too old and response timeout expired or query ID is invalid")
        self.answered.append(given)
        return True

    # --- payments

    async def _do_sendinvoice(self, given: Message) -> Message:
        if given["currency"] == "XTR" and given.get("provider_token"):
            raise bad("STARS_INVOICE_INVALID")
        if not 1 <= len(str(given["title"])) <= 32 or not 1 <= len(str(given["description"])) <= 255:
            raise bad("INVOICE_TEXT_INVALID")
        if not 1 <= len(str(given["payload"]).encode()) <= 128:
            raise bad("INVOICE_PAYLOAD_INVALID")
        if given["currency"] == "XTR" and len(given["prices"]) != 1:
            raise bad("STARS_INVOICE_INVALID")
        total = sum(int(price["amount"]) for price in given["prices"])
        bill = {"title": given["title"], "description": given["description"], "start_parameter": ""}
        shown = self._say(given, {"invoice": bill | {"currency": given["currency"], "total_amount": total}})
        self.bills[shown["message_id"]] = {"payload": given["payload"], "currency": given["currency"], "total": total}
        return shown

    def checks_out(self, message: Message, *, sender: int = 42, amount: int = 0) -> str:
        """Somebody taps Pay; the id of the query."""
        bill = self.bills[message["message_id"]]
        query = str(next(self._file_ids))
        self.tell(
            {
                "pre_checkout_query": {
                    "id": query,
                    "from": {"id": sender, "is_bot": False, "first_name": "Ada"},
                    "currency": bill["currency"],
                    "total_amount": amount or bill["total"],
                    "invoice_payload": bill["payload"],
                }
            }
        )
        return query

    def pays(self, message: Message, charge: str, *, sender: int = 42) -> None:
        """What Telegram tells once the stars are moved."""
        bill = self.bills[message["message_id"]]
        self.charges[charge] = "paid"
        self.says(
            sender=sender,
            successful_payment={
                "currency": bill["currency"],
                "total_amount": bill["total"],
                "invoice_payload": bill["payload"],
                "telegram_payment_charge_id": charge,
                "provider_payment_charge_id": "",
            },
        )

    async def _do_answerprecheckoutquery(self, given: Message) -> bool:
        self.checkouts[str(given["pre_checkout_query_id"])] = given
        return True

    async def _do_refundstarpayment(self, given: Message) -> bool:
        state = self.charges.get(given["telegram_payment_charge_id"])
        if state is None:
            raise bad("CHARGE_NOT_FOUND")
        if state == "refunded":
            raise bad("CHARGE_ALREADY_REFUNDED")
        self.charges[given["telegram_payment_charge_id"]] = "refunded"
        return True

    async def _do_sendchataction(self, given: Message) -> bool:
        self._where(given)
        return True

    async def _do_setmessagereaction(self, given: Message) -> bool:
        chat, signs = self._where(given), [each["emoji"] for each in given.get("reaction", [])]
        if len(signs) > 1:
            raise bad("too many reactions are specified")
        if not chat.reactions or any(sign not in REACTIONS for sign in signs):
            raise bad("REACTION_INVALID")
        self.reactions[chat.id, int(given["message_id"])] = signs
        return True

    async def _do_setmycommands(self, given: Message) -> bool:
        commands = given["commands"]
        if len(commands) > 100:
            raise bad("BOT_COMMANDS_TOO_MUCH")
        for command in commands:
            if not re.fullmatch(r"[a-z0-9_]{1,32}", command["command"]):
                raise bad("BOT_COMMAND_INVALID")
            if not 1 <= len(command["description"]) <= 256:
                raise bad("BOT_COMMAND_DESCRIPTION_INVALID")
        if (scope := given.get("scope", {})).get("type") == "chat":
            self._where(scope)
        self.commands[_scope(given), given.get("language_code", "")] = commands
        return True

    async def _do_deletemycommands(self, given: Message) -> bool:
        self.commands.pop((_scope(given), given.get("language_code", "")), None)
        return True

    async def _do_getmycommands(self, given: Message) -> list[Message]:
        return self.commands.get((_scope(given), given.get("language_code", "")), [])

    async def _do_getchatadministrators(self, given: Message) -> list[Message]:
        chat = self._where(given)
        if chat.type == "private":
            raise bad("there are no administrators in the private chat")
        people = [{"id": key, "is_bot": False, "first_name": "Admin"} for key in chat.admins]
        return [{"status": "creator", "is_anonymous": False, "user": person} for person in people]

    async def _do_getfile(self, given: Message) -> Message:
        found = self.files.get(given["file_id"])
        if found is None:
            raise bad("wrong file_id or the file is temporarily unavailable")
        if len(found[1]) > DOWNLOAD_BYTES:
            raise bad("file is too big")
        told = {"file_id": given["file_id"], "file_unique_id": given["file_id"][-8:], "file_size": len(found[1])}
        return told | {"file_path": f"files/{given['file_id']}"}


@dataclass(frozen=True, slots=True)
class Upload:
    name: str
    data: bytes


async def _parameters(request: Request) -> dict[str, Any]:
    """Nested values travel as JSON texts."""
    given: dict[str, Any] = dict(request.query_params)
    async with request.form(max_part_size=64 << 20) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                given[name] = Upload(value.filename or "file", await value.read())
            else:
                given[name] = value
    for name, value in given.items():
        if isinstance(value, str) and name not in {"text", "caption"} and value[:1] in {"{", "["}:
            given[name] = json.loads(value)
    return given


def _caption(given: Mapping[str, Any]) -> Message:
    text, entities = parsed(str(given.get("caption") or ""), given.get("parse_mode", ""))
    if utf16(text) > CAPTION:
        raise bad("message caption is too long")
    return {"caption": text, "caption_entities": entities} if text.strip() else {}


def _spoiler(given: Mapping[str, Any]) -> Message:
    return {"has_media_spoiler": True} if str(given.get("has_spoiler", "")).lower() == "true" else {}


def _markup(given: Mapping[str, Any]) -> Message:
    if not given.get("reply_markup"):
        return {}
    rows = given["reply_markup"]["inline_keyboard"]
    if sum(map(len, rows)) > 100 or any(len(row) > 8 for row in rows):
        raise bad("REPLY_MARKUP_TOO_LONG")
    for button in itertools.chain.from_iterable(rows):
        if not button["text"]:
            raise bad("can't parse inline keyboard button: text must be non-empty")
        if "callback_data" in button and not 1 <= len(button["callback_data"].encode()) <= 64:
            raise bad("BUTTON_DATA_INVALID")
    return {"reply_markup": given["reply_markup"]}


def _scope(given: Mapping[str, Any]) -> str:
    """Its type, and of one chat its id."""
    scope = given.get("scope", {})
    return " ".join(str(scope[part]) for part in ("type", "chat_id") if part in scope) or "default"


def _answer(refusal: Refusal) -> JSONResponse:
    body = {"ok": False, "error_code": refusal.code, "description": refusal.description}
    if refusal.parameters:
        body["parameters"] = refusal.parameters
    return JSONResponse(body, status_code=refusal.code)


def broken() -> JSONResponse:
    """The other one: nothing was done."""
    return _answer(Refusal(500, "Internal Server Error"))


def unheard() -> JSONResponse:
    """And one after which nobody knows whether it was."""
    return _answer(Refusal(502, "Bad Gateway"))


def too_many(seconds: int) -> JSONResponse:
    """What a fault may answer."""
    return _answer(Refusal(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds))
