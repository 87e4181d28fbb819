"""One app in one workspace: its connection, and what the core asks of it."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal
from weakref import WeakValueDictionary

import aiohttp
import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.async_context import AsyncBoltContext
from slack_bolt.response import BoltResponse
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from starlette.requests import Request
from starlette.responses import Response

from chatelier import (
    Ask,
    Capabilities,
    ChatelierError,
    ChatRef,
    Event,
    Exists,
    FileRef,
    Form,
    Gateway,
    Gone,
    Media,
    OperatorMust,
    Outgoing,
    Receipt,
    Refused,
    Tx,
    Unavailable,
)

from . import inbound, modals, outbound, words
from .errors import NOT_THERE, code, told
from .files import Files
from .home import home
from .inbound import Bot
from .limits import ADMINS_SECONDS, capabilities
from .manifest import SCOPES
from .records import FORMS, WaitingForm
from .settings import AccountSettings

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

PING_SECONDS = 10.0
"""Between two pings of the socket; after four without an answer the library makes it anew."""
SILENT_SECONDS = 120.0
"""Without a socket for so long all of the connection is made anew: the token may have been revoked."""
CALL_SECONDS = 20.0
WHO_SECONDS = 1.0
"""For the name and the role of somebody new; what is said is not held up by it for longer."""
LOOK_BACK = 5
PAGE = 200
"""A message is looked for in so many pages of so many messages."""
PEOPLE = 10_000
SIGNS: Mapping[str, str] = {"seen": "eyes", "done": "white_check_mark", "failed": "x"}
RESPONSE = "response-"
"""In the id of what was said by a command's own address: Slack tells none for it."""
OK = 200


@dataclass(frozen=True, slots=True)
class Line:
    """What is there while the account is on line."""

    client: AsyncWebClient
    session: aiohttp.ClientSession
    gateway: Gateway
    bot: Bot
    files: Files


class Slack:
    """The platform object of one account. It connects in `run` and keeps nothing that another process would miss."""

    def __init__(
        self,
        name: str,
        settings: AccountSettings,
        *,
        ping_seconds: float = PING_SECONDS,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        self._name = name
        self._settings = settings
        self._can = capabilities()
        self._online: Line | None = None
        self._hook: AsyncSlackRequestHandler | None = None
        self._ping_seconds = ping_seconds
        self._silent_seconds = silent_seconds
        self._people: OrderedDict[str, tuple[float, str, bool]] = OrderedDict()
        self._previews: dict[str, tuple[str, ...]] = {}
        self._orders: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        return self._name

    def capabilities(self, chat: ChatRef | None = None) -> Capabilities:
        return self._can

    @property
    def is_hooked(self) -> bool:
        return self._settings.mode == "http"

    @property
    def hook_path(self) -> str:
        return f"/hooks/{self.name}"

    # --- the connection

    async def run(self, gateway: Gateway) -> None:
        async with self._connected() as (client, session, bot), self._beside_all():
            files = Files(self.name, client, session, gateway)
            self._online = Line(client, session, gateway, bot, files)
            try:
                with suppress(Unavailable):
                    await files.forget_old()
                await self._listen(client, lambda more: gateway.connected(self.name, f"@{bot.name}{more}"))
            finally:
                self._online = None

    async def _listen(self, client: AsyncWebClient, connected: Callable[[str], None]) -> None:
        """Take what Slack sends, by the socket or the route, until cancelled. Raises OperatorMust, Unavailable."""
        app = self._app(client)
        if not self.is_hooked:
            await self._socketed(app, client, lambda: connected(""))
            return
        if not self._settings.signing_secret.get_secret_value():
            raise OperatorMust(words.HTTP_NEEDS_MORE.format(account=self.name))
        self._hook = AsyncSlackRequestHandler(app)
        try:
            connected("")
            await asyncio.Event().wait()
        finally:
            self._hook = None

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[AsyncWebClient, aiohttp.ClientSession, Bot]]:
        """Raises OperatorMust for a token that Slack does not know.

        The library repeats nothing: a message might be there twice, and a pause that Slack asks for is the core's to keep.
        """
        limit = aiohttp.ClientTimeout(total=CALL_SECONDS)
        async with aiohttp.ClientSession(timeout=limit) as session:
            client = AsyncWebClient(
                token=self._settings.bot_token.get_secret_value(),
                base_url=self._settings.base_url,
                session=session,
                retry_handlers=[],
            )
            try:
                with told():
                    me = await client.auth_test()
            except OperatorMust as no:
                raise self._not_known(no) from None
            scopes = frozenset(filter(None, str(me.headers.get("x-oauth-scopes", "")).replace(" ", "").split(",")))
            bot = Bot(account=self.name, team=me["team_id"], user=me["user_id"], name=me["user"], scopes=scopes)
            yield client, session, bot

    def _not_known(self, no: OperatorMust) -> OperatorMust:
        return OperatorMust(words.NOT_KNOWN.format(account=self.name))

    def _app(self, client: AsyncWebClient) -> AsyncApp:
        """All that comes in goes through one middleware, before the library asks who it is from or who listens."""

        async def take(
            body: dict[str, Any], context: AsyncBoltContext, next_: Callable[[], Awaitable[Any]]
        ) -> BoltResponse | None:
            if body.get("type") == "url_verification":
                await next_()
                return None
            return await self.take_of(context.team_id or "", body)

        secret = self._settings.signing_secret.get_secret_value()
        # With a name the library does not look for one among the files on disk. It sets the level of the logger of that name.
        return AsyncApp(
            name="slack_bolt.app",
            client=client,
            signing_secret=secret,
            before_authorize=take,
            authorize=None if client.token else _nobody,
        )

    async def _socketed(self, app: AsyncApp, client: AsyncWebClient, connected: Callable[[], None]) -> None:
        """Until cancelled. Raises Unavailable when the socket is away for long."""
        first_url = await self._socket_url(client)
        handler = AsyncSocketModeHandler(
            app, self._settings.app_token.get_secret_value(), ping_interval=self._ping_seconds
        )
        socket = handler.client
        socket.wss_uri = first_url
        try:
            await handler.connect_async()  # type: ignore[no-untyped-call] # the library leaves it so
            connected()
            away_since = None
            while True:
                await asyncio.sleep(self._ping_seconds)
                if await socket.is_connected():
                    away_since = None
                    continue
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > self._silent_seconds:
                    raise Unavailable(words.SILENT.format(seconds=self._silent_seconds))
        finally:
            await handler.close_async()  # type: ignore[no-untyped-call] # as above
            tasks = (socket.message_processor, socket.current_session_monitor, socket.message_receiver)
            await asyncio.gather(*(each for each in tasks if each is not None), return_exceptions=True)

    async def _socket_url(self, client: AsyncWebClient) -> str:
        """The library asks for it again and again where the token is wrong; this one says so."""
        token = self._settings.app_token.get_secret_value()
        if not token:
            raise OperatorMust(words.SOCKET_NEEDS_MORE.format(account=self.name))
        try:
            with told():
                answer = await client.apps_connections_open(app_token=token)
        except OperatorMust:
            raise OperatorMust(words.APP_NOT_KNOWN.format(account=self.name)) from None
        return str(answer["url"])

    async def check(self) -> Sequence[str]:
        """Whether Slack knows the tokens, and what the bot lacks of the manifest's scopes."""
        async with self._connected() as (client, _, bot):
            if problem := await self._check_way(client):
                return [problem]
        lacking = [scope for scope in SCOPES if scope not in bot.scopes]
        return [words.LACKS.format(account=self.name, scopes=", ".join(lacking))] if lacking else []

    async def _check_way(self, client: AsyncWebClient) -> str:
        """What keeps Slack from sending here, or "". Raises OperatorMust, Unavailable."""
        if not self.is_hooked:
            await self._socket_url(client)
        elif not self._settings.signing_secret.get_secret_value():
            return words.HTTP_NEEDS_MORE.format(account=self.name)
        return ""

    # --- what comes in

    async def hook(self, request: Request) -> Response:
        """What Slack sent here. Raises Unavailable while the account is not on line: it is to be sent again."""
        if self._hook is None:
            raise Unavailable(words.OFFLINE.format(account=self.name))
        return await self._hook.handle(request)

    async def take_of(self, team: str, body: Mapping[str, Any]) -> BoltResponse:
        """team: whose installation of the app it is for, as the library reads it; with one bot token it can be no other."""
        return await self.take(body)

    async def take(self, body: Mapping[str, Any]) -> BoltResponse:
        """200 once it is durable. Slack sends events again that get no such answer; whoever did anything else is told so."""
        line = self._ready()
        try:
            if key := inbound.waiting_form(body):
                self._beside(self._open_waiting(line, body, key), "form")
                return BoltResponse(status=OK)
            event = inbound.event_of(body, line.bot, {each.name for each in line.gateway.commands})
        except Exception:  # what one payload holds must not stop all others
            log.exception("a payload cannot be read and is left out", account=self.name)
            return BoltResponse(status=OK)
        if event is None:
            self._reply_beside(line, body)
            return BoltResponse(status=OK)
        try:
            async with self._orders.setdefault(event.chat.chat, asyncio.Lock()):  # what came first is stored first
                event = await self._placed(line, await self._with_role(line, event))
                first = await line.gateway.receive(event)
        except ChatelierError as away:
            log.warning("not stored", account=self.name, reason=str(away))
            return self._not_now(line, body)
        if isinstance(first, Ask):
            self._beside(self._ask(line, event, first.form), "form")
        return BoltResponse(status=OK)

    def _reply_beside(self, line: Line, body: Mapping[str, Any]) -> None:
        """To what is no event for the core."""
        event = body.get("event") or {}
        if event.get("type") == "app_home_opened" and event.get("tab", "home") == "home":
            self._beside(self._show_home(line, body["team_id"], event["user"]), "home")
        elif body.get("type") == "message_action" and body.get("callback_id") == modals.USE:
            self._beside(self._use(line, body), "shortcut")

    def _not_now(self, line: Line, body: Mapping[str, Any]) -> BoltResponse:
        """Only events are sent again by Slack."""
        if "command" in body:
            return BoltResponse(status=OK, body={"response_type": "ephemeral", "text": words.NOT_READY})
        if body.get("type") == "view_submission":
            first = next(iter(body["view"]["state"]["values"]), "")
            return BoltResponse(status=OK, body={"response_action": "errors", "errors": {first: words.NOT_READY}})
        if "event" in body:
            return BoltResponse(status=503)
        self._beside(self._tell(line, body, words.NOT_READY), "not ready")
        return BoltResponse(status=OK)

    async def _tell(self, line: Line, body: Mapping[str, Any], text: str) -> None:
        """To who did it, and to nobody else."""
        if url := body.get("response_url"):
            await self._respond(line, url, {"response_type": "ephemeral", "replace_original": False, "text": text})

    async def _respond(self, line: Line, url: str, answer: Mapping[str, Any]) -> None:
        """By the address that came with a command or a press: five times within 30 minutes."""
        with told():
            async with line.session.post(url, json=answer) as response:
                if response.status != OK:
                    raise Gone(f"Slack takes no more answers there ({response.status}).")

    def _beside(self, work: Coroutine[None, None, None], what: str) -> None:
        """In a task; the acknowledgement does not wait for it."""

        async def done() -> None:
            try:
                await work
            except (ChatelierError, SlackApiError) as error:
                log.info("not answered", account=self.name, what=what, error=str(error))

        task = asyncio.create_task(done(), name=f"{what} {self.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @asynccontextmanager
    async def _beside_all(self) -> AsyncIterator[None]:
        """None of these outlives the connection."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._stop_tasks)
            yield

    async def _stop_tasks(self) -> None:
        for task in (tasks := set(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _placed(self, line: Line, event: Event) -> Event:
        """What was said outside of a conversation is said in the direct chat."""
        if event.chat.chat:
            return event
        chat = await self.direct(event.sender)
        if chat is None:
            raise Refused("no direct chat")
        return replace(event, chat=chat)

    async def _with_role(self, line: Line, event: Event) -> Event:
        """Owners and administrators of the workspace are those of each of its channels."""
        user = inbound.user_of(event.sender, line.bot.team)
        asked_at, name, is_admin = self._people.get(user, (float("-inf"), "", False))
        if user and time.monotonic() - asked_at > ADMINS_SECONDS:
            try:
                async with asyncio.timeout(WHO_SECONDS):
                    found = (await line.client.users_info(user=user))["user"]
                profile = found.get("profile") or {}
                name = profile.get("display_name") or found.get("real_name") or found.get("name") or ""
                is_admin = bool(found.get("is_admin") or found.get("is_owner"))
            except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:  # until it is asked again: as before
                log.info("nobody knows who this is", account=self.name, user=user, error=type(error).__name__)
            self._people[user] = time.monotonic(), name, is_admin
            while len(self._people) > PEOPLE:
                self._people.popitem(last=False)
        return replace(event, name=name or event.name, admin=is_admin and not event.chat.direct)

    # --- forms

    async def _ask(self, line: Line, event: Event, form: Form) -> None:
        """At once where somebody just pressed something or typed a command; else, or too late, behind a button."""
        if trigger := event.native.get(inbound.TRIGGER):
            try:
                with told():
                    await line.client.views_open(trigger_id=trigger, view=modals.modal(form, event.chat))
            except ChatelierError as late:
                log.info("form not opened", account=self.name, reason=str(late))
            else:
                return
        await self._offer(line, event, form)

    async def _offer(self, line: Line, event: Event, form: Form) -> None:
        key = f"{self.name}.{form.key}"
        row = WaitingForm(key=key, form=form, chat=event.chat, created=datetime.now(UTC))

        async def work(tx: Tx) -> None:
            with suppress(Exists):
                await tx.insert(FORMS, row)

        await line.gateway.store.atomically(work)
        chat = event.chat
        where: dict[str, Any] = {"channel": chat.chat, "thread_ts": chat.thread or None, "text": words.OPEN_FORM}
        with told():
            if chat.direct:
                await line.client.chat_postMessage(**where, blocks=outbound.form_opener(key))
            else:
                user = inbound.member(event.sender)
                await line.client.chat_postEphemeral(**where, user=user, blocks=outbound.form_opener(key))

    async def _open_waiting(self, line: Line, body: Mapping[str, Any], key: str) -> None:
        row = await line.gateway.store.get(FORMS, key)
        if row is None:
            await self._tell(line, body, words.FORM_GONE)
            return
        with told():
            await line.client.views_open(trigger_id=body["trigger_id"], view=modals.modal(row.form, row.chat))

    async def _use(self, line: Line, body: Mapping[str, Any]) -> None:
        """The pictures of somebody's message: what is to be made of them is asked at once."""
        shown = modals.use(inbound.shown_files(body["message"], self.name), line.gateway.commands)
        if shown["private_metadata"] == "[]" or not shown["blocks"][0]["element"]["options"]:
            lacks = words.NO_FILES if shown["private_metadata"] == "[]" else words.NO_TAKERS
            await self._tell(line, body, lacks)
            return
        with told():
            await line.client.views_open(trigger_id=body["trigger_id"], view=shown)

    async def _show_home(self, line: Line, team: str, user: str) -> None:
        shown = await home(line.gateway, inbound.handle(team, user), self._settings.commands[0])
        with told():
            await line.client.views_publish(user_id=user, view=shown)

    # --- files

    async def read(self, file: FileRef) -> AsyncIterator[bytes]:
        async for piece in self._ready().files.read(file.ref):
            yield piece

    # --- what goes out

    async def send(self, message: Outgoing) -> Receipt:
        """Pictures stand in the message itself; other files are a message of their own before it."""
        line = self._ready()
        self._refuse_large(message.media)
        private = bool(message.private_to) and not message.chat.direct
        attached = [media for media in message.media if not outbound.is_shown(media)]
        if private and attached:
            chat = await self.direct(message.private_to)
            if chat is None:
                raise Gone("no direct chat")
            return await self.send(replace(message, chat=chat, private_to="", reply_to=""))
        ids: list[str] = []
        if attached:
            ts = await line.files.share(message.key, message.chat, attached)
            ids.append(inbound.message_id(message.chat.chat, ts))
        if message.text or message.buttons or len(attached) < len(message.media):
            ids.append(await self._posted(line, message, private=private))
        lasting = not private and not any(RESPONSE in id_ for id_ in ids)
        return Receipt(
            chat=message.chat, ids=tuple(ids), editable=lasting and len(ids) == 1 and not attached, deletable=lasting
        )

    def _refuse_large(self, media: Sequence[Media]) -> None:
        most = self._can.upload[""]
        for each in media:
            if each.blob.size > most:
                raise Refused(words.TOO_LARGE.format(name=each.name, megabytes=most / (1 << 20)))

    async def _posted(self, line: Line, message: Outgoing, *, private: bool) -> str:
        """The id of the new message."""
        pictures = [media for media in message.media if outbound.is_shown(media)]
        known = [await line.files.known(media) for media in pictures]
        try:
            return await self._post(line, message, await self._uploaded(line, pictures, known), private=private)
        except Refused:
            if not any(known):
                raise
        await line.files.forget(pictures)  # Slack may have deleted a file that it had
        fresh = await self._uploaded(line, pictures, [""] * len(pictures))
        return await self._post(line, message, fresh, private=private)

    async def _uploaded(self, line: Line, media: Sequence[Media], known: Sequence[str]) -> list[tuple[Media, str]]:
        pairs = zip(media, known, strict=True)
        return [(each, file or await line.files.picture(each)) for each, file in pairs]

    async def _post(
        self, line: Line, message: Outgoing, pictures: Sequence[tuple[Media, str]], *, private: bool
    ) -> str:
        chat = message.chat
        shown: dict[str, Any] = {"text": outbound.fallback(message), "blocks": outbound.blocks(message, pictures)}
        where: dict[str, Any] = {"channel": chat.chat, "thread_ts": chat.thread or None}
        with told():
            try:
                if private:
                    user = inbound.member(message.private_to)
                    answer = await line.client.chat_postEphemeral(**where, user=user, **shown)
                    return inbound.message_id(chat.chat, answer["message_ts"])
                answer = await line.client.chat_postMessage(
                    **where, **shown, metadata=outbound.mark(message), unfurl_links=False, unfurl_media=False
                )
            except SlackApiError as error:
                url = message.native.get(inbound.RESPONSE_URL)
                if code(error) not in NOT_THERE or not url:
                    raise
                kind = "ephemeral" if private else "in_channel"
                await self._respond(line, url, {"response_type": kind, "replace_original": False, **shown})
                return inbound.message_id(chat.chat, f"{RESPONSE}{message.key}")
        self._note_previews(inbound.message_id(chat.chat, answer["ts"]), pictures)
        return inbound.message_id(chat.chat, answer["ts"])

    def _note_previews(self, id_: str, pictures: Sequence[tuple[Media, str]]) -> tuple[str, ...]:
        """Remembers what a message shows that is not for long; returns what it showed before."""
        before = self._previews.pop(id_, ())
        if previews := tuple(file for media, file in pictures if media.inline):
            self._previews[id_] = previews
        return before

    async def edit(self, receipt: Receipt, message: Outgoing) -> Receipt:
        """A file that is shared stays what it is; pictures are blocks, which anything may take the place of."""
        line = self._ready()
        self._refuse_large(message.media)
        if any(not outbound.is_shown(media) for media in message.media if not media.inline):
            raise Refused(words.NO_SWAP)
        pictures = [media for media in message.media if outbound.is_shown(media)]
        known = [await line.files.known(media) for media in pictures]
        shown = await self._uploaded(line, pictures, known)
        channel, ts = inbound.native_id(receipt.ids[0])
        with told():
            await line.client.chat_update(
                channel=channel,
                ts=ts,
                text=outbound.fallback(message),
                blocks=outbound.blocks(message, shown),
                metadata=outbound.mark(message),
            )
        if old := self._note_previews(receipt.ids[0], shown):
            self._beside(line.files.discard(old), "previews")
        return receipt

    async def delete(self, receipt: Receipt) -> None:
        line = self._ready()
        for id_ in receipt.ids:
            channel, ts = inbound.native_id(id_)
            with suppress(Gone), told():
                await line.client.chat_delete(channel=channel, ts=ts)
            if old := self._note_previews(id_, ()):
                self._beside(line.files.discard(old), "previews")

    async def find(self, message: Outgoing) -> Receipt | Literal["absent", "unknown"]:
        """By its metadata. Private answers are in no history; files alone are known by what was kept when they were sent."""
        line = self._ready()
        if message.private_to and not message.chat.direct:
            return "unknown"
        attached = [media for media in message.media if not outbound.is_shown(media)]
        ids: list[str] = []
        if attached:
            ts = await line.files.shared(message.key, message.chat)
            if not ts:
                return "absent"  # and sending it looks again
            ids.append(inbound.message_id(message.chat.chat, ts))
        if message.text or message.buttons or len(attached) < len(message.media):
            try:
                ts = await self._found(line, message)
            except Gone:  # a channel that it is not in, where it answered by the command's own address
                return "unknown"
            if ts in {"absent", "unknown"}:
                return "absent" if ts == "absent" else "unknown"
            ids.append(inbound.message_id(message.chat.chat, ts))
        return Receipt(chat=message.chat, ids=tuple(ids), editable=len(ids) == 1 and not attached, deletable=True)

    async def _found(self, line: Line, message: Outgoing) -> str:
        """Its timestamp; "absent" when all of the history was read, "unknown" when not."""
        chat, cursor = message.chat, ""
        for _ in range(LOOK_BACK):
            options: dict[str, Any] = {"channel": chat.chat, "include_all_metadata": True, "limit": PAGE}
            options |= {"cursor": cursor} if cursor else {}
            with told():
                if chat.thread:
                    page = await line.client.conversations_replies(ts=chat.thread, **options)
                else:
                    page = await line.client.conversations_history(**options)
            for each in page["messages"]:
                if outbound.key_in(each) == message.key:
                    return str(each["ts"])
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return "absent"
        return "unknown"

    async def signal(
        self, chat: ChatRef, what: Literal["busy", "seen", "done", "failed"], message_id: str = ""
    ) -> None:
        line = self._ready()
        if what == "busy" or not message_id.startswith(f"{chat.chat}."):
            return  # Slack shows no typing of bots, and a command that was typed is no message
        channel, ts = inbound.native_id(message_id)
        await self._sign(line.client.reactions_add, channel, ts, SIGNS[what])
        if what != "seen":
            await self._sign(line.client.reactions_remove, channel, ts, SIGNS["seen"])

    async def _sign(self, call: Callable[..., Awaitable[Any]], channel: str, ts: str, name: str) -> None:
        with told():
            try:
                await call(channel=channel, timestamp=ts, name=name)
            except SlackApiError as error:
                if code(error) not in {"already_reacted", "no_reaction"}:
                    raise

    async def direct(self, handle: str) -> ChatRef | None:
        line = self._ready()
        user = inbound.user_of(handle, line.bot.team)
        if not user:
            return None
        try:
            with told():
                opened = await line.client.conversations_open(users=[user])
        except (Gone, Refused):
            return None
        return ChatRef(platform=self.name, chat=opened["channel"]["id"], direct=True)

    def _ready(self) -> Line:
        if self._online is None:
            raise Unavailable(words.OFFLINE.format(account=self.name))
        return self._online


async def _nobody() -> AuthorizeResult:
    """Who the library is in a workspace. It wants to be told where there is no token, and never gets so far as to ask."""
    raise Unavailable("nobody asks")
