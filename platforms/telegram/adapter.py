"""One bot: its connection, and what the core asks of it."""

import asyncio
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import structlog
from telegram import Bot, Message, PreCheckoutQuery, ReactionTypeEmoji, Update
from telegram.constants import ChatAction
from telegram.error import BadRequest, ChatMigrated, Conflict, NetworkError, TelegramError
from telegram.ext import Updater
from telegram.request import HTTPXRequest

from chatelier import (
    Capabilities,
    ChatelierError,
    ChatRef,
    Event,
    Exists,
    FileRef,
    Gateway,
    Gone,
    Media,
    OperatorMust,
    Outgoing,
    Published,
    Receipt,
    Refused,
    Tx,
    Unavailable,
)

from . import inbound, menu, outbound, words
from .errors import DELETED, NOT_MODIFIED, TOO_OLD, says, told
from .limits import DOWNLOAD_BYTES, capabilities
from .outbound import Sending, file_id_of, file_key
from .records import FILES, SentFile
from .settings import AccountSettings

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

POLL_SECONDS = 25
"""How long Telegram holds a request for updates while there are none."""
DEAF_SECONDS = 120.0
"""Without an answer for so long the connection is made anew: the library may have stopped asking."""
SEND_SECONDS = 20.0
FILE_SECONDS = 240.0
"""For the bytes of a file to go out; the core gives an answer up after 300 s."""
CONNECTIONS = 32
ADMINS_SECONDS = 300.0
"""So long a group's administrators are remembered."""
REMEMBERED = timedelta(days=30)
"""The ids of files that were sent, looked through whenever the account comes on line."""
PIECE = 262_144
APPROVE_SECONDS = 5.0
"""Until a payment that nobody could look at is refused."""
PICTURED = 10_000
"""Messages whose words are known to be captions; of others Telegram is asked to change the text first."""
SIGNS = {"seen": "👀", "done": "👍", "failed": "💔"}
"""A bot may set one reaction, from Telegram's own list."""


class Telegram:
    """The platform object of one account. It connects in `run` and keeps nothing that another process would miss."""

    def __init__(
        self, name: str, settings: AccountSettings, public_url: str = "", *, deaf_seconds: float = DEAF_SECONDS
    ) -> None:
        self._name = name
        self._settings = settings
        self._token = settings.token.get_secret_value()
        self._public_url = public_url
        self._can = {
            direct: capabilities(_chat(name, direct=direct), local_server=settings.local_server)
            for direct in (True, False)
        }
        self._online: tuple[Bot, Gateway] | None = None
        self._admins: dict[int, tuple[float, frozenset[int]]] = {}
        self._pictured: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._answers: set[asyncio.Task[None]] = set()
        self._deaf_seconds = deaf_seconds
        self._sign = asyncio.Event()

    @property
    def name(self) -> str:
        return self._name

    def capabilities(self, chat: ChatRef | None = None) -> Capabilities:
        return self._can[chat is None or chat.direct]

    # --- the connection

    async def run(self, gateway: Gateway) -> None:
        async with self._connected() as bot, self._acknowledging():
            self._online = bot, gateway
            try:
                gateway.connected(self.name, f"@{bot.username}")
                await self._forget_old(gateway)
                if self.is_hooked:
                    await self._hooked(bot)
                else:
                    await self._polled(bot)
            finally:
                self._online = None

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Bot]:
        """Raises OperatorMust for a token that Telegram does not know."""
        sending = HTTPXRequest(
            connection_pool_size=CONNECTIONS,
            read_timeout=SEND_SECONDS,
            write_timeout=SEND_SECONDS,
            media_write_timeout=FILE_SECONDS,
            pool_timeout=SEND_SECONDS,
        )
        async with AsyncExitStack() as stack:
            asking = Listening(self._sign)
            bot = Bot(
                self._token,
                base_url=self._settings.base_url,
                base_file_url=self._settings.base_file_url,
                request=sending,
                get_updates_request=asking,
            )
            stack.push_async_callback(bot.shutdown)
            try:
                with told():
                    await bot.initialize()
            except OperatorMust:
                raise OperatorMust(words.NOT_KNOWN.format(account=self.name)) from None
            yield bot

    async def _polled(self, bot: Bot) -> None:
        """Until cancelled. Raises Unavailable when nothing was heard for long: the library may end its asking in silence."""
        updater = Updater(bot, Inlet(self.take))
        async with AsyncExitStack() as stack:
            await updater.initialize()
            stack.push_async_callback(updater.shutdown)
            stack.push_async_callback(_stopped, updater)  # a start that is cancelled in the middle counts as running
            await updater.start_polling(
                timeout=POLL_SECONDS,
                bootstrap_retries=-1,
                allowed_updates=list(inbound.UPDATES),
                error_callback=self._trouble,
            )
            await self._until_deaf()

    async def _until_deaf(self) -> None:
        try:
            while True:
                self._sign.clear()
                async with asyncio.timeout(self._deaf_seconds):
                    await self._sign.wait()
        except TimeoutError:
            raise Unavailable(words.DEAF.format(seconds=self._deaf_seconds)) from None

    async def _hooked(self, bot: Bot) -> None:
        url = self._settings.webhook.url or (f"{self._public_url}{self.hook_path}" if self._public_url else "")
        if not url:
            raise OperatorMust(words.NO_WEBHOOK_URL.format(account=self.name))
        with told():
            await bot.set_webhook(url, allowed_updates=list(inbound.UPDATES), secret_token=self.hook_secret)
        await asyncio.Event().wait()

    @property
    def is_hooked(self) -> bool:
        return self._settings.mode == "webhook"

    @property
    def hook_path(self) -> str:
        return f"/hooks/{self.name}"

    @property
    def hook_secret(self) -> str:
        """The same for every process that has the token."""
        chosen = self._settings.webhook.secret.get_secret_value()
        return chosen or hmac.new(self._token.encode(), b"webhook", sha256).hexdigest()

    def _trouble(self, error: TelegramError) -> None:
        """Of asking for updates; the library goes on by itself."""
        if isinstance(error, Conflict):
            log.warning("two pollers", account=self.name, reason=words.OTHER_POLLER.format(account=self.name))
        else:
            log.info("no updates", account=self.name, error=str(error))

    async def check(self) -> Sequence[str]:
        """Whether Telegram knows the token, and whether updates reach the gateway."""
        async with self._connected() as bot:
            with told():
                hook = await bot.get_webhook_info()
        if hook.url and not self.is_hooked:
            return [words.HOOKED_ELSEWHERE.format(account=self.name, url=hook.url)]
        if hook.url and hook.last_error_message:
            return [words.HOOK_FAILED.format(account=self.name, url=hook.url, reason=hook.last_error_message)]
        return []

    # --- what comes in

    async def hook(self, data: Any) -> None:
        """An update that Telegram sent here. Raises ValueError for what is none, Unavailable: it is to be sent again."""
        bot, _ = self._ready()
        if not (isinstance(data, dict) and isinstance(data.get("update_id"), int)):
            raise ValueError("not an update")
        try:
            await self.take(Update.de_json(readable(data), bot))
        except NetworkError as away:
            raise Unavailable(str(away)) from away

    async def take(self, update: Update) -> None:
        """Durable when it returns. Raises NetworkError, for which the library asks again, when it cannot be."""
        bot, gateway = self._ready()
        if update.pre_checkout_query is not None:
            self._beside(self._check_out(bot, gateway, update.pre_checkout_query), "checkout")
            return
        try:
            event = inbound.event_of(update, self.name, bot.bot)
            if event is None:
                return
            event = await self._with_role(bot, event)
        except Exception:  # what one update holds must not stop all others
            log.exception("an update cannot be read and is left out", account=self.name, update=update.update_id)
            return
        try:
            await gateway.receive(event)
        except Unavailable as away:
            self._acknowledge(bot, update, words.NOT_READY)
            raise NetworkError(str(away)) from away
        self._acknowledge(bot, update)

    def _acknowledge(self, bot: Bot, update: Update, text: str | None = None) -> None:
        """Of a press; the next update does not wait for it."""
        if update.callback_query is not None:
            self._beside(self._answer(bot, update.callback_query.id, text), "press")

    def _beside(self, work: Coroutine[None, None, None], what: str) -> None:
        """In a task; the next update does not wait for it."""
        answer = asyncio.create_task(work, name=f"{what} {self.name}")
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)

    async def _check_out(self, bot: Bot, gateway: Gateway, query: PreCheckoutQuery) -> None:
        """Telegram gives ten seconds; a payment that nobody answered for is not made."""
        sender = inbound.handle(query.from_user)
        chat = ChatRef(platform=self.name, chat=str(query.from_user.id), direct=True)
        try:
            async with asyncio.timeout(APPROVE_SECONDS):
                no = await gateway.approve(chat, sender, query.invoice_payload, query.total_amount, query.currency)
        except (TimeoutError, Unavailable):
            no = Refused(words.NOT_READY)
        try:
            await bot.answer_pre_checkout_query(query.id, ok=no is None, error_message=str(no) if no else None)
        except TelegramError as error:
            log.warning("checkout not answered", account=self.name, error=str(error))

    async def give_back(self, person: int, charge: str) -> None:
        """Stars of a payment. Given back already: success. Raises Refused, Unavailable."""
        bot, _ = self._ready()
        try:
            with told():
                await bot.refund_star_payment(person, charge)
        except Refused as no:
            if "charge_already_refunded" not in str(no).lower():
                raise

    @asynccontextmanager
    async def _acknowledging(self) -> AsyncIterator[None]:
        """No acknowledgement outlives the connection."""
        try:
            yield
        finally:
            for answer in (answers := set(self._answers)):
                answer.cancel()
            await asyncio.gather(*answers, return_exceptions=True)

    async def _answer(self, bot: Bot, query: str, text: str | None) -> None:
        """The button stops turning. A late answer is refused, and that is harmless."""
        try:
            await bot.answer_callback_query(query, text)
        except TelegramError as error:
            if not says(error, TOO_OLD):
                log.info("press not acknowledged", account=self.name, error=str(error))

    async def _with_role(self, bot: Bot, event: Event) -> Event:
        if event.chat.direct or event.admin:
            return event
        chat = int(event.chat.chat)
        asked_at, admins = self._admins.get(chat, (float("-inf"), frozenset()))
        if time.monotonic() - asked_at > ADMINS_SECONDS:
            try:
                admins = frozenset(member.user.id for member in await bot.get_chat_administrators(chat))
            except TelegramError as error:  # until it is asked again, who was one is one
                log.info("administrators unknown", account=self.name, chat=chat, error=str(error))
            self._admins[chat] = time.monotonic(), admins
        return replace(event, admin=int(event.sender.removeprefix("telegram:")) in admins)

    async def read(self, file: FileRef) -> AsyncIterator[bytes]:
        """The address that Telegram gives for a file holds the token: it goes no further than here."""
        bot, _ = self._ready()
        if not self._settings.local_server and file.size > DOWNLOAD_BYTES:
            raise Refused(words.TOO_LARGE.format(megabytes=DOWNLOAD_BYTES / (1 << 20)))
        try:
            with told():
                found = await bot.get_file(file.ref)
                # The library puts the server's address before a path that it does not find on this machine's disk.
                place = Path((found.file_path or "").removeprefix(f"{bot.base_file_url}/"))
                if self._settings.local_server and place.is_absolute():
                    async for piece in _pieces(place):
                        yield piece
                    return
                data = await found.download_as_bytearray()
        except (Gone, OperatorMust):  # of a file that is not there the library says that the token is wrong
            raise Gone(words.FILE_GONE) from None
        except Refused as no:
            if says_too_big(no):
                raise Refused(words.TOO_LARGE.format(megabytes=DOWNLOAD_BYTES / (1 << 20))) from None
            raise
        yield bytes(data)

    # --- what goes out

    async def send(self, message: Outgoing) -> Receipt:
        bot, gateway = self._ready()
        chat = message.chat
        if message.private_to and not chat.direct:
            person = await self.direct(message.private_to)
            if person is None:  # somebody who writes as the group, or as a channel
                return await self._hint(bot, message)
            try:
                return await self._sent(bot, gateway, message, person, {"chat_id": int(person.chat)})
            except Gone:
                return await self._hint(bot, message)
        return await self._sent(bot, gateway, message, chat, outbound.place(chat, message.reply_to))

    async def _sent(
        self, bot: Bot, gateway: Gateway, message: Outgoing, chat: ChatRef, where: dict[str, Any]
    ) -> Receipt:
        if message.invoice:
            with told():
                return self._receipt(chat, [await outbound.send_invoice(bot, message.invoice, where)])
        known = await self._known(gateway, message.media)
        sending = Sending(bot, message, where, self._reader(gateway), known)
        with told():
            try:
                shown = await sending()
            except ChatMigrated as grown:
                chat = replace(chat, chat=str(grown.new_chat_id))
                shown = await replace(sending, where={**where, "chat_id": grown.new_chat_id})()
            except BadRequest:
                if not known:
                    raise
                shown = await replace(sending, known={})()  # Telegram may have forgotten a file
        await self._remember(gateway, message.media, shown, known)
        return self._receipt(chat, shown)

    async def _hint(self, bot: Bot, message: Outgoing) -> Receipt:
        """Where somebody may not be written to, the group is told how to change that, and nothing else."""
        with told():
            said = await bot.send_message(
                text=words.OPEN_PRIVATE.format(bot=bot.username), **outbound.place(message.chat, message.reply_to)
            )
        return self._receipt(message.chat, [said])

    def _note_picture(self, native: tuple[int, int]) -> None:
        self._pictured[native] = None
        while len(self._pictured) > PICTURED:
            self._pictured.popitem(last=False)

    def _receipt(self, chat: ChatRef, shown: Sequence[Message]) -> Receipt:
        for each in shown:
            if not each.text:
                self._note_picture((each.chat.id, each.message_id))
        ids = tuple(inbound.message_id(chat.chat, each.message_id) for each in shown)
        return Receipt(chat=chat, ids=ids, editable=len(ids) == 1, deletable=True)

    async def edit(self, receipt: Receipt, message: Outgoing) -> Receipt:
        bot, gateway = self._ready()
        where = {"chat_id": int(receipt.chat.chat), "message_id": inbound.native_id(receipt.ids[0])}
        markup = outbound.keyboard(message.buttons)
        with told():
            try:
                if message.media:
                    await self._edit_media(bot, gateway, message, where)
                else:
                    await self._edit_words(bot, message, where, markup)
            except BadRequest as error:
                if not says(error, NOT_MODIFIED):
                    raise
        return receipt

    async def _edit_media(self, bot: Bot, gateway: Gateway, message: Outgoing, where: dict[str, Any]) -> None:
        (media,) = message.media
        known = await self._known(gateway, message.media)
        file = await Sending(bot, message, where, self._reader(gateway), known).file(media)
        shown = await bot.edit_message_media(
            media=await outbound.input_media(media, outbound.html(message), file),
            reply_markup=outbound.keyboard(message.buttons),
            **where,
        )
        if isinstance(shown, Message):
            await self._remember(gateway, message.media, [shown], known)

    async def _edit_words(self, bot: Bot, message: Outgoing, where: dict[str, Any], markup: Any) -> None:
        """Of a message that has a picture the words are its caption."""
        text = outbound.html(message)
        options = {"parse_mode": "HTML", "reply_markup": markup, **where}
        native = where["chat_id"], where["message_id"]
        if native in self._pictured:
            await bot.edit_message_caption(caption=text, **options)
            return
        try:
            await bot.edit_message_text(text=text, link_preview_options=outbound.NO_PREVIEW, **options)
        except BadRequest as error:
            if not says(error, "there is no text in the message"):
                raise
            self._note_picture(native)
            await bot.edit_message_caption(caption=text, **options)

    async def delete(self, receipt: Receipt) -> None:
        bot, _ = self._ready()
        for id_ in receipt.ids:
            with told():
                try:
                    await bot.delete_message(int(receipt.chat.chat), inbound.native_id(id_))
                except BadRequest as error:
                    if not says(error, *DELETED):
                        raise

    async def signal(
        self, chat: ChatRef, what: Literal["busy", "seen", "done", "failed"], message_id: str = ""
    ) -> None:
        bot, _ = self._ready()
        with told():
            if what == "busy":
                thread = int(chat.thread) if chat.thread else None
                await bot.send_chat_action(int(chat.chat), ChatAction.UPLOAD_PHOTO, message_thread_id=thread)
            elif message_id.startswith(f"{chat.chat}."):
                sign = ReactionTypeEmoji(SIGNS[what])
                await bot.set_message_reaction(int(chat.chat), inbound.native_id(message_id), [sign])

    async def publish(self, commands: Sequence[Published]) -> None:
        bot, gateway = self._ready()
        await menu.publish(bot, self.name, commands, gateway.operators, gateway.store)

    async def direct(self, handle: str) -> ChatRef | None:
        """Whether they may be written to shows when it is tried: Telegram does not tell before."""
        id_ = handle.removeprefix("telegram:")
        return _chat(self.name, id_, direct=True) if id_.isdecimal() else None

    # --- files that were sent before

    async def _known(self, gateway: Gateway, media: Sequence[Media]) -> Mapping[str, str]:
        keys = [file_key(each) for each in media if not each.inline]
        rows = {key: await gateway.store.get(FILES, f"{self.name}.{key}") for key in keys}
        return {key: row.file_id for key, row in rows.items() if row is not None}

    def _reader(self, gateway: Gateway) -> outbound.Read:
        """Of what Telegram takes; anything larger is refused before its bytes are read."""
        limits = self.capabilities().upload

        async def read(media: Media) -> bytes:
            most = limits["image" if outbound.shape(media) == "photo" else ""]
            if media.blob.size > most:
                raise Refused(words.TOO_LARGE_TO_SEND.format(name=media.name, megabytes=most / (1 << 20)))
            return b"".join([piece async for piece in gateway.blobs.open(media.blob.sha256)])

        return read

    async def _remember(
        self, gateway: Gateway, media: Sequence[Media], shown: Sequence[Message], known: Mapping[str, str]
    ) -> None:
        """What cannot be remembered is sent with its bytes the next time."""
        fresh = {
            file_key(each): file_id_of(message)
            for each, message in zip(media, shown, strict=False)
            if not each.inline and file_key(each) not in known
        }

        async def work(tx: Tx) -> None:
            for key, file_id in fresh.items():
                with suppress(Exists):
                    await tx.insert(FILES, SentFile(key=f"{self.name}.{key}", file_id=file_id, created=tx.now))

        if fresh:
            with suppress(ChatelierError):
                await gateway.store.atomically(work)

    async def _forget_old(self, gateway: Gateway) -> None:
        """A file that is sent again after so long is uploaded again."""
        before = datetime.now(UTC) - REMEMBERED
        with suppress(ChatelierError):
            while old := await gateway.store.find(FILES, order="created", until=before):
                await gateway.store.atomically(partial(_delete, old))

    def _ready(self) -> tuple[Bot, Gateway]:
        if self._online is None:
            raise Unavailable(words.OFFLINE.format(account=self.name))
        return self._online


class Inlet(asyncio.Queue[object]):
    """What the library takes for a queue. It confirms an update to Telegram as soon as `put` returns, so `put` stores it."""

    def __init__(self, take: Callable[[Update], Any]) -> None:
        super().__init__()
        self._take = take

    async def put(self, item: object) -> None:
        assert isinstance(item, Update)  # noqa: S101 - the library puts nothing else
        try:
            await self._take(item)
        except Unavailable as away:
            raise NetworkError(str(away)) from away


class Listening(HTTPXRequest):
    """The requests for updates; each answer is a sign of life."""

    def __init__(self, sign: asyncio.Event) -> None:
        super().__init__(connection_pool_size=1)
        self._sign_of_life = sign

    async def do_request(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        """One update that the library cannot read would be asked for again for ever, and all others with it."""
        status, body = await super().do_request(*args, **kwargs)
        self._sign_of_life.set()
        with suppress(ValueError):
            answer = json.loads(body)
            if isinstance(answer, dict) and isinstance(answer.get("result"), list):
                answer["result"] = [readable(update) for update in answer["result"]]
                body = json.dumps(answer).encode()
        return status, body


def readable(update: dict[str, Any]) -> dict[str, Any]:
    """The same, or one that says nothing where the library cannot read it."""
    try:
        Update.de_json(update, None)
    except Exception:  # whatever the library stumbles over
        log.exception("an update cannot be read and is left out", update=update.get("update_id"))
        return {"update_id": update["update_id"]}
    return update


async def _delete(files: Sequence[SentFile], tx: Tx) -> None:
    for file in files:
        await tx.delete(FILES, file.key)


async def _stopped(updater: Updater) -> None:
    if updater.running:
        await updater.stop()


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    """Of a file that a Bot API server on this machine put there."""
    try:
        file = await asyncio.to_thread(path.open, "rb")
    except OSError as error:
        raise Gone(words.FILE_GONE) from error
    try:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
    finally:
        await asyncio.to_thread(file.close)


def _chat(account: str, id_: str = "", *, direct: bool) -> ChatRef:
    return ChatRef(platform=account, chat=id_, direct=direct)


def says_too_big(error: Exception) -> bool:
    return "file is too big" in str(error).lower()
