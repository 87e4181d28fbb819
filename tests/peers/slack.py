"""Slack to test against: Web API, Socket Mode, signed HTTP, files. It keeps the vendor's rules and words, and has its faults.

It imports nothing of ours and nothing of the vendor's libraries. `slack_emulate.py` puts its layers in front of npm's `emulate`, which
others wrote and which has the messages, files, reactions and views.
"""

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import json
import re
import socket
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from peers import slack_teams
from peers.serving import PeerServer
from peers.slack_teams import Refusal, Teams

TEAM, BOT, ADA, BOB = slack_teams.TEAM, slack_teams.BOT, "U0ADA", "U0BOB"
DM, GENERAL = "D0ADA", "C0GENERAL"
ACK_SECONDS = 3.0
RETRY_SECONDS = (0.0, 60.0, 300.0)
TRIGGER_SECONDS = 3.0
RESPONSES, RESPONSE_SECONDS = 5, 1800.0
SOCKETS = 10
WINDOW_SECONDS = 300
HARD_TEXT, BLOCKS, ALL_TEXT, SECTION, HEADER = 40_000, 50, 13_200, 3_000, 150
ACTIONS, LABEL, VALUE, ACTION_ID, OPTIONS = 25, 75, 2_000, 255, 100
MODAL_BLOCKS, TITLE, METADATA = 100, 24, 3_000
MARKDOWN = 12_000
FILE_BYTES = 1 << 30
TIERS: Mapping[str, int] = {
    "apps.connections.open": 20,
    "chat.update": 50,
    "chat.delete": 50,
    "chat.postEphemeral": 100,
    "conversations.history": 50,
    "conversations.replies": 50,
    "conversations.open": 50,
    "files.completeUploadExternal": 100,
    "files.getUploadURLExternal": 100,
    "files.info": 100,
    "files.delete": 50,
    "reactions.add": 50,
    "reactions.remove": 50,
    "users.info": 100,
    "views.open": 100,
    "views.publish": 100,
}
"""Calls a minute: https://docs.slack.dev/apis/web-api/rate-limits."""
BURST = 20
"""Messages that a channel takes at once, where one a second is the rule."""
NEEDED: Mapping[str, str] = {
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
    "chat.postEphemeral": "chat:write",
    "files.info": "files:read",
    "files.getUploadURLExternal": "files:write",
    "reactions.add": "reactions:write",
    "users.info": "users:read",
    "conversations.open": "im:write",
}
SCOPES = (
    "app_mentions:read,channels:history,channels:read,chat:write,commands,files:read,files:write,groups:history,groups:read,"
    "im:history,im:read,im:write,mpim:history,mpim:read,reactions:write,users:read"
)

Wire = dict[str, Any]
Fault = Callable[[str, Mapping[str, Any]], Response | None]


def too_many(seconds: int) -> JSONResponse:
    """What a fault may answer."""
    return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers={"Retry-After": str(seconds)})


def broken() -> JSONResponse:
    """Nothing was done."""
    return JSONResponse({"ok": False, "error": "service_unavailable"}, 503)


def unheard() -> Response:
    """Nobody knows whether it was done."""
    return JSONResponse({"ok": False, "error": "fatal_error"}, 200)


@dataclass(slots=True)
class Channel:
    """members: users in it. closed: the app may not write there."""

    id: str
    is_im: bool = False
    user: str = ""
    members: set[str] = field(default_factory=lambda: {ADA, BOB, BOT})
    team: str = TEAM


@dataclass(slots=True)
class File:
    """looks: how often it must be asked for before Slack is done with it. uploaded: its bytes arrived."""

    id: str
    name: str
    data: bytes = b""
    size: int = 0
    uploaded: bool = False
    complete: bool = False
    looks: int = 1
    shares: dict[str, str] = field(default_factory=dict)
    team: str = TEAM

    @property
    def mime(self) -> str:
        for start, mime in (
            (b"\x89PNG", "image/png"),
            (b"\xff\xd8", "image/jpeg"),
            (b"GIF8", "image/gif"),
            (b"RIFF", "image/webp"),
        ):
            if self.data.startswith(start):
                return mime
        return "application/octet-stream"

    @property
    def is_ready(self) -> bool:
        return self.complete and self.looks <= 0


@dataclass(slots=True, eq=False)
class Delivery:
    """kind: of the envelope. payload: its body. done: acknowledged, with what."""

    kind: str
    payload: Wire
    attempt: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Any = None


class SlackPeer(Teams):
    """messages: what stands there, by channel and timestamp. calls: every method that was called, with its arguments.

    fault: asked first, with the method and its arguments; what it answers is the answer. after: asked once it was done.
    request_url: where it sends to, in place of a socket. files_closed: no token opens a file.
    """

    app_token, signing_secret = "xapp-1", "8f742231b10e8888abcd99yyyzzz85a5"

    def __init__(self, *, ack_seconds: float = ACK_SECONDS, retry_seconds: Sequence[float] = RETRY_SECONDS) -> None:
        super().__init__()
        self.port = 0
        self.ack_seconds, self.retry_seconds = ack_seconds, retry_seconds
        self.messages: dict[tuple[str, str], Wire] = {}
        self.ephemerals: list[Wire] = []
        self.channels: dict[str, Channel] = {
            DM: Channel(DM, is_im=True, user=ADA, members={ADA, BOT}),
            GENERAL: Channel(GENERAL),
        }
        self.files: dict[str, File] = {}
        self.views: list[Wire] = []
        self.homes: dict[str, Wire] = {}
        self.reactions: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.admins: set[str] = set()
        self.scopes = SCOPES
        self.calls: list[tuple[str, Wire]] = []
        self.answers: list[Wire] = []
        self.deliveries: list[Delivery] = []
        self.fault: Fault | None = None
        self.after: Fault | None = None
        self.request_url = ""
        self.files_closed = False
        self.rates = True
        self.moved = asyncio.Event()
        self.sockets: list[WebSocket] = []
        self.responses: list[Wire] = []
        self._tickets: set[str] = set()
        self._triggers: dict[str, float] = {}
        self._response_urls: dict[str, tuple[float, int, str, str]] = {}
        self._envelopes: dict[str, Delivery] = {}
        self._windows: dict[tuple[str, str], deque[float]] = defaultdict(deque)
        self._numbers = itertools.count(1)
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: Wire = {}
        self._server: PeerServer | None = None

    # --- what a test does

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/api/"

    @contextlib.asynccontextmanager
    async def live(self) -> AsyncIterator["SlackPeer"]:
        await self.start()
        pump = asyncio.create_task(self._pump())
        try:
            yield self
        finally:
            for task in (ending := {pump, *self._tasks}):
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            await self.stop()

    async def start(self) -> None:
        """On the same port as before, if there was one."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(
            self._app(), ws="websockets-sansio", log_config=None, lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = PeerServer(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        await self._server.up.wait()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.should_exit = self._server.force_exit = True
        self.drop()
        await self._serving

    def drop(self) -> None:
        """Every connection breaks, without a word."""
        assert self._server is not None
        self.sockets.clear()
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    async def refresh(self) -> None:
        """The server wants its clients to connect anew, as it does every few hours."""
        for each in list(self.sockets):
            self.sockets.remove(each)
            await each.send_json({"type": "disconnect", "reason": "refresh_requested"})

    async def until(self, true: Callable[[], object], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                self.moved.clear()
                await self.moved.wait()

    def count(self, method: str) -> int:
        return sum(called == method for called, _ in self.calls)

    def sent(self, channel: str = DM, thread: str = "") -> list[Wire]:
        """What the bot said there, as it looks now."""
        return [
            message
            for (where, _), message in self.messages.items()
            if where == channel
            and message["user"] == self.bot_in(self.channels[channel].team)
            and message.get("thread_ts", "") == thread
        ]

    def bytes_of(self, message: Mapping[str, Any]) -> list[bytes]:
        """Of the pictures in its blocks, and of its files."""
        shown = [block["slack_file"]["id"] for block in message.get("blocks") or () if block["type"] == "image"]
        return [self.files[id_].data for id_ in (*shown, *(file["id"] for file in message.get("files") or ()))]

    def ts(self) -> str:
        return f"{int(time.time())}.{next(self._numbers):06d}"

    def keeps(self, data: bytes, name: str = "file.png", *, team: str = TEAM) -> Wire:
        """A file that somebody uploaded, as messages tell of it."""
        file = File(
            f"F{next(self._numbers):07d}", name, data, len(data), uploaded=True, complete=True, looks=0, team=team
        )
        self.files[file.id] = file
        return self._told(file)

    def says(self, text: str = "", *, channel: str = DM, user: str = ADA, thread: str = "", **more: Any) -> Wire:
        """A person's message, and the events that tell of it: two of them for a mention."""
        team = self.channels[channel].team
        message: Wire = {"type": "message", "user": user, "team": team, "text": text, "ts": self.ts(), **more}
        if more.get("files"):
            message["subtype"] = "file_share"
        if thread:
            message["thread_ts"] = thread
            parent = self.messages.get((channel, thread))
            message["parent_user_id"] = parent["user"] if parent else user
        self.messages[channel, message["ts"]] = message
        self.tell_of(message, channel)
        return message

    def tell_of(self, message: Wire, channel: str) -> None:
        where = self.channels[channel]
        told = {**message, "channel": channel, "channel_type": "im" if where.is_im else "channel"}
        if f"<@{self.bot_in(where.team)}>" in message["text"] and not where.is_im:
            self.tell({**told, "type": "app_mention"}, team=where.team)
        self.tell(told, team=where.team)

    def edits(self, message: Wire, text: str, *, channel: str = DM) -> None:
        before = dict(message)
        message |= {"text": text, "edited": {"user": message["user"], "ts": self.ts()}}
        self.tell(
            {
                "type": "message",
                "subtype": "message_changed",
                "channel": channel,
                "ts": self.ts(),
                "message": dict(message),
                "previous_message": before,
            }
        )

    def tell(self, event: Wire, event_id: str = "", *, team: str = TEAM, by: str = "", at: float = 0) -> Delivery:
        """An event in its envelope. by: the team of whoever did it, in a channel that two teams share. at: when it happened."""
        self._last = event
        body = {
            "token": "t",
            "team_id": by or team,
            "api_app_id": "A1",
            "event": event,
            "type": "event_callback",
            "event_id": event_id or f"Ev{next(self._numbers):08d}",
            "event_time": int(at or time.time()),
            "is_ext_shared_channel": bool(by),
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": team,
                    "user_id": self.bot_in(team),
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
        }
        return self.deliver("events_api", body)

    def repeat(self, *, as_other: bool = False) -> None:
        """The last event once more, under its own id or another one."""
        last = next(each for each in reversed(self.deliveries) if each.kind == "events_api")
        if as_other:
            self.tell(self._last)
        else:
            self.deliver("events_api", last.payload)

    def deliver(self, kind: str, payload: Wire) -> Delivery:
        delivery = Delivery(kind, payload)
        self.deliveries.append(delivery)
        self._queue.put_nowait(delivery)
        return delivery

    def trigger(self) -> str:
        id_ = f"{next(self._numbers)}.{TEAM}.abc"
        self._triggers[id_] = time.monotonic()
        return id_

    def response_url(self, channel: str, user: str) -> str:
        id_ = f"r{next(self._numbers)}"
        self._response_urls[id_] = (time.monotonic(), 0, channel, user)
        return f"{self.url}/response/{id_}"

    def types(self, command: str, text: str = "", *, channel: str = DM, user: str = ADA) -> Delivery:
        """A slash command. Only who typed it sees that."""
        body = {
            "command": command,
            "text": text,
            "team_id": self.channels[channel].team,
            "user_id": user,
            "user_name": "ada",
            "channel_id": channel,
            "channel_name": "directmessage" if self.channels[channel].is_im else "general",
            "trigger_id": self.trigger(),
            "response_url": self.response_url(channel, user),
            "api_app_id": "A1",
            "token": "t",
        }
        return self.deliver("slash_commands", body)

    def presses(self, message: Wire, label: str, *, channel: str = DM, user: str = ADA) -> Delivery:
        action = next(each for each in buttons_of(message) if label in each["text"]["text"])
        where = {"type": "message", "message_ts": message["ts"], "channel_id": channel, "is_ephemeral": False}
        if message.get("thread_ts"):
            where["thread_ts"] = message["thread_ts"]
        body = {
            "type": "block_actions",
            "user": {"id": user, "username": "ada", "name": "ada", "team_id": self.channels[channel].team},
            "team": {"id": self.channels[channel].team, "domain": "t"},
            "container": where,
            "channel": {"id": channel},
            "message": message,
            "trigger_id": self.trigger(),
            "response_url": self.response_url(channel, user),
            "actions": [{**action, "block_id": "x", "action_ts": self.ts()}],
        }
        return self.deliver("interactive", body)

    def presses_home(self, user: str, label: str) -> Delivery:
        action = next(each for each in buttons_of(self.homes[user]) if label in each["text"]["text"])
        body = {
            "type": "block_actions",
            "user": {"id": user, "name": "ada", "team_id": TEAM},
            "team": {"id": TEAM},
            "container": {"type": "view", "view_id": "V1"},
            "trigger_id": self.trigger(),
            "actions": [{**action, "action_ts": self.ts()}],
        }
        return self.deliver("interactive", body)

    def submits(self, view: Wire, values: Mapping[str, str], *, user: str = ADA, team: str = TEAM) -> Delivery:
        """What stands in a field stays, where it is not changed."""
        state = {block["block_id"]: {"value": _state(block, values)} for block in view["blocks"]}
        body = {
            "type": "view_submission",
            "user": {"id": user, "name": "ada", "team_id": team},
            "team": {"id": team},
            "trigger_id": self.trigger(),
            "view": {**view, "state": {"values": state}},
        }
        return self.deliver("interactive", body)

    def uses(self, message: Wire, callback: str, *, channel: str = DM, user: str = ADA) -> Delivery:
        """A shortcut from a message's menu."""
        body = {
            "type": "message_action",
            "callback_id": callback,
            "user": {"id": user, "name": "ada", "team_id": self.channels[channel].team},
            "team": {"id": self.channels[channel].team},
            "channel": {"id": channel},
            "message": message,
            "trigger_id": self.trigger(),
            "response_url": self.response_url(channel, user),
        }
        return self.deliver("interactive", body)

    def joined(self, team: str, name: str = "Potters") -> tuple[str, str]:
        """Another workspace, with a direct chat and a channel."""
        self.found(team, name)
        direct, general = Channel(f"D{team}{ADA}", is_im=True, user=ADA, team=team), Channel(f"C{team}", team=team)
        direct.members = {ADA, self.bot_in(team)}
        general.members = {ADA, BOB, self.bot_in(team)}
        self.channels |= {direct.id: direct, general.id: general}
        return direct.id, general.id

    def opens_home(self, user: str = ADA) -> None:
        self.tell({"type": "app_home_opened", "user": user, "channel": DM, "tab": "home", "event_ts": self.ts()})

    # --- telling the app

    async def _pump(self) -> None:
        """In order, and without waiting for what was told before."""
        while True:
            delivery = await self._queue.get()
            if not self.request_url:
                await self.until(lambda: self.sockets, 600)
            told = asyncio.Event()
            task = asyncio.create_task(self._told_until_acknowledged(delivery, told))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await told.wait()

    async def _told_until_acknowledged(self, delivery: Delivery, told: asyncio.Event) -> None:
        """Only events are told again."""
        pauses = self.retry_seconds if delivery.kind == "events_api" else ()
        for attempt, pause in enumerate((0.0, *pauses)):
            await asyncio.sleep(pause)
            delivery.attempt = attempt
            self.moved.set()
            try:
                if await self._try(delivery, told):
                    return
            except httpx.HTTPError:
                pass  # it counts as a try
            finally:
                told.set()

    async def _try(self, delivery: Delivery, told: asyncio.Event) -> bool:
        if self.request_url:
            return await self._post(delivery)
        await self.until(lambda: self.sockets or delivery.done.is_set(), 600)
        if delivery.done.is_set():
            return True
        envelope: Wire = {
            "envelope_id": f"e{next(self._numbers)}",
            "type": delivery.kind,
            "payload": delivery.payload,
            "accepts_response_payload": delivery.kind != "events_api",
        }
        if delivery.attempt:
            envelope |= {"retry_attempt": delivery.attempt, "retry_reason": "timeout"}
        self._envelopes[envelope["envelope_id"]] = delivery
        to = self.sockets[next(self._numbers) % len(self.sockets)]
        try:
            await to.send_json(envelope)
        except (RuntimeError, WebSocketDisconnect):  # it broke and nobody had noticed: that is no try
            if to in self.sockets:
                self.sockets.remove(to)
            return await self._try(delivery, told)
        told.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.ack_seconds):
                await delivery.done.wait()
        return delivery.done.is_set()

    async def _post(self, delivery: Delivery) -> bool:
        body, kind = encoded(delivery)
        headers = {"Content-Type": kind, **signed(body, self.signing_secret)}
        if delivery.attempt:
            headers |= {"X-Slack-Retry-Num": str(delivery.attempt), "X-Slack-Retry-Reason": "http_timeout"}
        async with httpx.AsyncClient(trust_env=False, timeout=self.ack_seconds) as client:
            answer = await client.post(self.request_url, content=body, headers=headers)
        if answer.status_code != 200:
            return False
        self._acknowledged(delivery, answer.json() if answer.text.startswith("{") else None)
        return True

    def _acknowledged(self, delivery: Delivery, answer: Any) -> None:
        delivery.answer = answer
        delivery.done.set()
        self.moved.set()

    async def _socket(self, websocket: WebSocket) -> None:
        ticket = websocket.query_params.get("ticket", "")
        if ticket not in self._tickets:
            await websocket.close(1008)
            return
        self._tickets.discard(ticket)
        await websocket.accept()
        if len(self.sockets) >= SOCKETS:
            await websocket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await websocket.close()
            return
        await websocket.send_json({"type": "hello", "num_connections": len(self.sockets) + 1})
        self.sockets.append(websocket)
        self.moved.set()
        try:
            while True:
                answer = await websocket.receive_json()
                if (delivery := self._envelopes.pop(answer.get("envelope_id", ""), None)) is not None:
                    self._acknowledged(delivery, answer.get("payload"))
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            if websocket in self.sockets:
                self.sockets.remove(websocket)

    # --- the server

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/{method}", self._call, methods=["GET", "POST"]),
                Route("/upload/{id}", self._upload, methods=["POST"]),
                Route("/files/{id}", self._download),
                Route("/response/{id}", self._respond, methods=["POST"]),
                WebSocketRoute("/link", self._socket),
            ]
        )

    async def _call(self, request: Request) -> Response:
        method, given = request.path_params["method"], await _arguments(request)
        headers = {"x-oauth-scopes": self.scopes}
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        self.calls.append((method, given))
        self.tokens.append((method, token))
        if self.fault is not None and (answer := self.fault(method, given)) is not None:
            return answer
        handler = getattr(self, f"_do_{method.replace('.', '_').lower()}", None)
        try:
            if handler is None:
                raise Refusal("unknown_method")
            if method == "oauth.v2.access":
                given |= self.client_of(request.headers.get("authorization", ""))
            else:
                self._must_be_allowed(method, token)
            if self.rates and (seconds := self._limited(method, given)):
                return too_many(seconds)
            result = await handler(given)
        except Refusal as refusal:
            return JSONResponse({"ok": False, "error": refusal.error, **refusal.more}, headers=headers)
        finally:
            self.moved.set()
        if self.after is not None and (answer := self.after(method, given)) is not None:
            return answer
        return JSONResponse({"ok": True, **result}, headers=headers)

    def _must_be_allowed(self, method: str, token: str) -> None:
        if not token:
            raise Refusal("not_authed")
        if token != self.app_token:
            self.enter(token)
        if (token == self.app_token) != (method == "apps.connections.open"):
            raise Refusal("not_allowed_token_type")
        needed = NEEDED.get(method)
        if needed and needed not in self.scopes.split(","):
            raise Refusal("missing_scope", needed=needed, provided=self.scopes)

    def _limited(self, method: str, given: Wire) -> int:
        """Seconds to wait, or 0."""
        now = time.monotonic()
        if method == "chat.postMessage":
            window, most, seconds = self._windows[method, str(given.get("channel"))], BURST, float(BURST)
        elif method in TIERS:
            window, most, seconds = self._windows[method, self.team], TIERS[method], 60.0
        else:
            return 0
        while window and now - window[0] >= seconds:
            window.popleft()
        if len(window) >= most:
            return max(1, round(seconds - (now - window[0]) + 0.5))
        window.append(now)
        return 0

    # --- who and where

    async def _do_auth_test(self, given: Wire) -> Wire:
        return {
            "url": self.url,
            "team": self.teams[self.team].name,
            "user": "chatelier",
            "team_id": self.team,
            "user_id": self.bot_in(self.team),
            "bot_id": "B1",
        }

    async def _do_apps_connections_open(self, given: Wire) -> Wire:
        ticket = f"t{next(self._numbers)}"
        self._tickets.add(ticket)
        return {"url": f"{self.url.replace('http', 'ws')}/link?ticket={ticket}"}

    async def _do_users_info(self, given: Wire) -> Wire:
        user = given["user"]
        if user not in {ADA, BOB, BOT}:
            raise Refusal("user_not_found")
        name = {ADA: "Ada", BOB: "Bob", BOT: "Chatelier"}[user]
        is_admin = user in self.admins
        profile = {"display_name": name, "real_name": name}
        return {"user": {"id": user, "name": name.lower(), "is_admin": is_admin, "is_owner": False, "profile": profile}}

    async def _do_conversations_open(self, given: Wire) -> Wire:
        user = given["users"] if isinstance(given["users"], str) else given["users"][0]
        if user == BOT:
            raise Refusal("cannot_dm_bot")
        if user not in {ADA, BOB}:
            raise Refusal("user_not_found")
        bot, id_ = self.bot_in(self.team), f"D{user[1:]}" if self.team == TEAM else f"D{self.team}{user}"
        self.channels.setdefault(id_, Channel(id_, is_im=True, user=user, members={user, bot}, team=self.team))
        return {"channel": {"id": id_}}

    def _where(self, given: Wire) -> Channel:
        channel = self.channels.get(str(given.get("channel", "")))
        if channel is None or channel.team != self.team:
            raise Refusal("channel_not_found")
        if self.bot_in(self.team) not in channel.members:
            raise Refusal("not_in_channel")
        return channel

    async def _do_conversations_history(self, given: Wire) -> Wire:
        channel = self._where(given)
        shown = [each for (where, _), each in self.messages.items() if where == channel.id and _is_top(each)]
        return _page(list(reversed(shown)), given)

    async def _do_conversations_replies(self, given: Wire) -> Wire:
        channel, root = self._where(given), given["ts"]
        shown = [each for (where, ts), each in self.messages.items() if where == channel.id]
        shown = [each for each in shown if root in {each["ts"], each.get("thread_ts")}]
        if not shown:
            raise Refusal("thread_not_found")
        return _page(shown, given)

    # --- messages

    async def _do_chat_postmessage(self, given: Wire) -> Wire:
        channel = self._where(given)
        message = self._message(channel, given)
        self.messages[channel.id, message["ts"]] = message
        return {"channel": channel.id, "ts": message["ts"], "message": message}

    def _message(self, channel: Channel, given: Wire) -> Wire:
        blocks = self._checked(given)
        bot = self.bot_in(self.team)
        message: Wire = {"type": "message", "user": bot, "bot_id": "B1", "text": given.get("text", ""), "ts": self.ts()}
        message |= {"blocks": blocks} if blocks else {}
        message |= {"metadata": given["metadata"]} if given.get("metadata") else {}
        return message | ({"thread_ts": given["thread_ts"]} if given.get("thread_ts") else {})

    def _checked(self, given: Wire) -> list[Wire]:
        """The blocks of a message, if Slack takes them."""
        blocks: list[Wire] = given.get("blocks") or []
        if not blocks and not given.get("text"):
            raise Refusal("no_text")
        if len(given.get("text") or "") > HARD_TEXT:
            raise Refusal("msg_too_long")
        if len(blocks) > BLOCKS:
            raise Refusal("invalid_blocks", errors=[f"no more than {BLOCKS} items allowed"])
        if sum(map(len, _strings(blocks))) > ALL_TEXT:
            raise Refusal("msg_blocks_too_long")
        self._check_blocks(blocks)
        return blocks

    def _check_blocks(self, blocks: list[Wire]) -> None:
        for block in blocks:
            check = getattr(self, f"_check_{block.get('type')}", None)
            if check is None:
                raise invalid(f"unsupported type: {block.get('type')}")
            check(block)
        ids = [each["action_id"] for block in blocks for each in block.get("elements", ()) if "action_id" in each]
        if len(set(ids)) < len(ids):
            raise invalid("action_id already exists in this message")

    def _check_section(self, block: Wire) -> None:
        _check_text(block["text"], SECTION)

    def _check_markdown(self, block: Wire) -> None:
        if not 1 <= len(block.get("text", "")) <= MARKDOWN:
            raise invalid(f"must be less than {MARKDOWN + 1} characters [text]")

    def _check_header(self, block: Wire) -> None:
        if block["text"]["type"] != "plain_text":
            raise invalid("must be plain_text")
        _check_text(block["text"], HEADER)

    def _check_image(self, block: Wire) -> None:
        if not block.get("alt_text"):
            raise invalid("missing required field: alt_text")
        if len(block["alt_text"]) > 2_000:
            raise invalid("must be less than 2001 characters [alt_text]")
        file = self.files.get(block.get("slack_file", {}).get("id", ""))
        if file is None or not file.is_ready or file.mime not in {"image/png", "image/jpeg", "image/gif"}:
            raise invalid("invalid slack file")

    def _check_actions(self, block: Wire) -> None:
        if not 1 <= len(block["elements"]) <= ACTIONS:
            raise invalid(f"no more than {ACTIONS} items allowed")
        for element in block["elements"]:
            if element["type"] != "button":
                raise invalid(f"unsupported type: {element['type']}")
            _check_text(element["text"], LABEL)
            if element["text"]["type"] != "plain_text":
                raise invalid("must be plain_text")
            if len(element.get("value", "")) > VALUE:
                raise invalid(f"must be less than {VALUE + 1} characters [value]")
            if not 1 <= len(element["action_id"]) <= ACTION_ID:
                raise invalid(f"must be less than {ACTION_ID + 1} characters [action_id]")

    def _check_rich_text(self, block: Wire) -> None:
        for element in block["elements"]:
            _check_rich(element)

    def _check_input(self, block: Wire) -> None:
        raise invalid("unsupported type: input")

    async def _do_chat_postephemeral(self, given: Wire) -> Wire:
        channel = self._where(given)
        if given.get("user") not in channel.members:
            raise Refusal("user_not_in_channel")
        message = {**self._message(channel, given), "channel": channel.id, "to": given["user"]}
        self.ephemerals.append(message)
        return {"message_ts": message["ts"]}

    async def _do_chat_update(self, given: Wire) -> Wire:
        """An answer for one person is in no channel, so it cannot be changed."""
        message = self._mine(given, "cant_update_message")
        blocks = self._checked(given)
        if message.get("files") and blocks:
            raise Refusal("cant_update_message")
        message |= {
            "text": given.get("text", ""),
            "blocks": blocks,
            "edited": {"user": self.bot_in(self.team), "ts": self.ts()},
        }
        return {"channel": given["channel"], "ts": given["ts"], "message": message}

    async def _do_chat_delete(self, given: Wire) -> Wire:
        self._mine(given, "cant_delete_message")
        del self.messages[given["channel"], given["ts"]]
        return {"channel": given["channel"], "ts": given["ts"]}

    def _mine(self, given: Wire, other: str) -> Wire:
        message = self.messages.get((self._where(given).id, given["ts"]))
        if message is None:
            raise Refusal("message_not_found")
        if message["user"] != self.bot_in(self.team):
            raise Refusal(other)
        return message

    async def _do_reactions_add(self, given: Wire) -> Wire:
        signs = self._signs(given)
        if given["name"] in signs:
            raise Refusal("already_reacted")
        if not re.fullmatch(r"[a-z0-9_+-]+", given["name"]):
            raise Refusal("invalid_name")
        signs.append(given["name"])
        return {}

    async def _do_reactions_remove(self, given: Wire) -> Wire:
        signs = self._signs(given)
        if given["name"] not in signs:
            raise Refusal("no_reaction")
        signs.remove(given["name"])
        return {}

    def _signs(self, given: Wire) -> list[str]:
        where = (given["channel"], given["timestamp"])
        if where not in self.messages:
            raise Refusal("message_not_found")
        return self.reactions[where]

    # --- files

    async def _do_files_getuploadurlexternal(self, given: Wire) -> Wire:
        size = int(given["length"])
        if size < 1 or size > FILE_BYTES:
            raise Refusal("file_upload_size_restricted" if size > FILE_BYTES else "invalid_arguments")
        file = File(f"F{next(self._numbers):07d}", given["filename"], size=size, team=self.team)
        self.files[file.id] = file
        return {"upload_url": f"{self.url}/upload/{file.id}", "file_id": file.id}

    async def _upload(self, request: Request) -> Response:
        """The address is a secret by itself; a file has the length that was said."""
        file, data = self.files[request.path_params["id"]], await request.body()
        if len(data) != file.size:
            return PlainTextResponse("Bad Request", 400)
        file.data, file.uploaded = data, True
        return PlainTextResponse(f"OK - {len(data)}")

    async def _do_files_completeuploadexternal(self, given: Wire) -> Wire:
        """When it is shared and as which message is not in the answer."""
        files = [self._file(each["id"]) for each in given["files"]]
        if not all(file.uploaded for file in files):
            raise Refusal("file_not_found")
        if given.get("channel_id"):
            channel = self._where({"channel": given["channel_id"]})
            message: Wire = {
                "type": "message",
                "user": self.bot_in(self.team),
                "bot_id": "B1",
                "text": given.get("initial_comment", ""),
                "ts": self.ts(),
                "files": [self._told(file) for file in files],
            }
            message |= {"thread_ts": given["thread_ts"]} if given.get("thread_ts") else {}
            self.messages[channel.id, message["ts"]] = message
            for file in files:
                file.shares[channel.id] = message["ts"]
        for file in files:
            file.complete = True
        return {"files": [{"id": file.id, "title": file.name} for file in files]}

    def _file(self, id_: str) -> File:
        if id_ not in self.files or self.files[id_].team != self.team:
            raise Refusal("file_not_found")
        return self.files[id_]

    async def _do_files_info(self, given: Wire) -> Wire:
        """It takes Slack a moment to be done with one."""
        file = self._file(given["file"])
        file.looks -= 1
        return {"file": self._told(file)}

    def _told(self, file: File) -> Wire:
        told: Wire = {"id": file.id, "name": file.name, "size": len(file.data), "mode": "hosted", "mimetype": ""}
        if file.is_ready:
            told["mimetype"] = file.mime
            told["shares"] = {"public": {channel: [{"ts": ts}] for channel, ts in file.shares.items()}}
        url = f"{self.url}/files/{file.id}"
        return told | {"url_private": url, "url_private_download": url}

    async def _do_files_delete(self, given: Wire) -> Wire:
        self._file(given["file"])
        del self.files[given["file"]]
        return {}

    async def _download(self, request: Request) -> Response:
        """Without the token there is a page to log in, and no error."""
        file = self.files.get(request.path_params["id"])
        if file is None:
            return PlainTextResponse("", 404)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.files_closed or token != self.teams[file.team].token:
            return HTMLResponse("<!DOCTYPE html><title>Sign in</title>")
        return Response(file.data, media_type=file.mime)

    # --- forms, home, answers

    async def _do_views_open(self, given: Wire) -> Wire:
        """Of a trigger that is used a second time the vendor says that it was exchanged."""
        at = self._triggers.get(given.get("trigger_id", ""))
        if at is None:
            raise Refusal("invalid_trigger_id")
        if at == 0:
            raise Refusal("exchanged_trigger_id")
        if time.monotonic() - at > TRIGGER_SECONDS:
            raise Refusal("expired_trigger_id")
        view = _checked_view(given["view"])
        self._triggers[given["trigger_id"]] = 0
        view |= {"id": f"V{next(self._numbers)}", "hash": "h"}
        self.views.append(view)
        return {"view": view}

    def expire(self) -> None:
        """Every trigger is four seconds old."""
        self._triggers = {key: at and at - TRIGGER_SECONDS - 1 for key, at in self._triggers.items()}

    def expire_addresses(self) -> None:
        """Every address for answers is older than half an hour."""
        known = self._response_urls.items()
        self._response_urls = {
            key: (made - RESPONSE_SECONDS - 1, n, where, who) for key, (made, n, where, who) in known
        }

    async def _do_views_publish(self, given: Wire) -> Wire:
        view = given["view"]
        if view["type"] != "home" or len(view["blocks"]) > MODAL_BLOCKS:
            raise Refusal("invalid_arguments")
        self._check_blocks(view["blocks"])
        self.homes[given["user_id"]] = view
        return {"view": view}

    async def _respond(self, request: Request) -> Response:
        """Five times in thirty minutes."""
        id_ = request.path_params["id"]
        made, used, channel, user = self._response_urls[id_]
        if used >= RESPONSES:
            return JSONResponse({"ok": False, "error": "used_url"}, 404)
        if time.monotonic() - made > RESPONSE_SECONDS:
            return JSONResponse({"ok": False, "error": "expired_url"}, 404)
        self._response_urls[id_] = (made, used + 1, channel, user)
        given = await request.json()
        self.responses.append({**given, "channel": channel, "user": user})
        self.moved.set()
        return PlainTextResponse("ok")


def invalid(why: str) -> Refusal:
    return Refusal("invalid_blocks", errors=[why], response_metadata={"messages": [f"[ERROR] {why}"]})


def _check_text(text: Wire, most: int) -> None:
    if text["type"] not in {"plain_text", "mrkdwn"} or not text["text"]:
        raise invalid("must be more than 0 characters")
    if len(text["text"]) > most:
        raise invalid(f"must be less than {most + 1} characters")


def _check_rich(element: Wire) -> None:
    match element["type"]:
        case "rich_text_section" | "rich_text_quote" | "rich_text_preformatted":
            if not element["elements"]:
                raise invalid("missing elements")
            for each in element["elements"]:
                _check_inline(each, plain=element["type"] == "rich_text_preformatted")
        case "rich_text_list":
            if element["style"] not in {"bullet", "ordered"} or not element["elements"]:
                raise invalid("invalid list")
            for each in element["elements"]:
                if each["type"] != "rich_text_section":
                    raise invalid("a list has sections")
                _check_rich(each)
        case other:
            raise invalid(f"unsupported type: {other}")


def _check_inline(element: Wire, *, plain: bool) -> None:
    if element["type"] not in {"text", "link"}:
        raise invalid(f"unsupported type: {element['type']}")
    if element["type"] == "text" and not element["text"]:
        raise invalid("must be more than 0 characters [text]")
    if element["type"] == "link" and not element["url"]:
        raise invalid("must be more than 0 characters [url]")
    if not set(element.get("style", {})) <= (set() if plain else {"bold", "italic", "strike", "code"}):
        raise invalid("additional property in style")


def _checked_view(view: Wire) -> Wire:
    def no(why: str) -> Refusal:
        return Refusal("invalid_arguments", response_metadata={"messages": [f"[ERROR] {why}"]})

    if view["type"] != "modal":
        raise no("unsupported type")
    for name in ("title", "submit", "close"):
        if not 1 <= len(view[name]["text"]) <= TITLE:
            raise no(f"must be less than {TITLE + 1} characters [{name}]")
    if len(view.get("private_metadata", "")) > METADATA:
        raise no(f"must be less than {METADATA + 1} characters [private_metadata]")
    if not 1 <= len(view["blocks"]) <= MODAL_BLOCKS:
        raise no(f"no more than {MODAL_BLOCKS} items allowed")
    for block in view["blocks"]:
        if block["type"] != "input" or not 1 <= len(block["block_id"]) <= 255:
            raise no("invalid block")
        element = block["element"]
        lists = [element.get("options")] if "options" in element else []
        lists += [group["options"] for group in element.get("option_groups", ())]
        if (
            any(not 1 <= len(options) <= OPTIONS for options in lists)
            or len(element.get("option_groups", ())) > OPTIONS
        ):
            raise no(f"no more than {OPTIONS} items allowed")
        for option in itertools.chain.from_iterable(lists):
            if not 1 <= len(option["text"]["text"]) <= LABEL or not 1 <= len(option["value"]) <= 150:
                raise no("must be less than 76 characters [text]")
        if element["type"] == "plain_text_input" and not 1 <= element.get("max_length", 3_000) <= 3_000:
            raise no("must be between 1 and 3000 [max_length]")
    return dict(view)


def _state(block: Wire, values: Mapping[str, str]) -> Wire:
    """What an input sends. Words for a choice are its value."""
    element, given = block["element"], values.get(block["block_id"])
    state: Wire = {"type": element["type"]}
    match element["type"]:
        case "static_select":
            options = element.get("options") or [o for group in element["option_groups"] for o in group["options"]]
            chosen = next((each for each in options if each["value"] == given), None) if given is not None else None
            return state | {"selected_option": chosen or element.get("initial_option")}
        case "checkboxes":
            on = given == "true" if given is not None else bool(element.get("initial_options"))
            return state | {"selected_options": element["options"] if on else []}
        case "file_input":
            return state | {"files": []}
    return state | {"value": given if given is not None else element.get("initial_value")}


def buttons_of(message: Mapping[str, Any]) -> list[Wire]:
    return [each for block in message.get("blocks") or () if block["type"] == "actions" for each in block["elements"]]


def text_of(message: Mapping[str, Any]) -> str:
    """What a person reads: of a message with blocks, the blocks."""
    blocks = message.get("blocks")
    if not blocks:
        return str(message.get("text", ""))
    return "\n".join(filter(None, map(_block_text, blocks)))


def _block_text(block: Wire) -> str:
    match block["type"]:
        case "section" | "header":
            return str(block["text"]["text"])
        case "rich_text":
            return "\n".join(map(rich_words, block["elements"]))
    return ""


def rich_words(element: Wire) -> str:
    if element["type"] == "rich_text_list":
        start = element.get("offset", 0) + 1
        marks = [f"{start + n}. " if element["style"] == "ordered" else "• " for n in range(len(element["elements"]))]
        return "\n".join(mark + rich_words(each) for mark, each in zip(marks, element["elements"], strict=True))
    return "".join(str(each.get("text") or each.get("url")) for each in element["elements"])


def _strings(blocks: Any) -> Iterator[str]:
    """All that people read in blocks."""
    if isinstance(blocks, dict):
        if isinstance(blocks.get("text"), str):
            yield blocks["text"]
        for value in blocks.values():
            yield from _strings(value)
    elif isinstance(blocks, list):
        for each in blocks:
            yield from _strings(each)


def _is_top(message: Wire) -> bool:
    return bool(message.get("thread_ts", message["ts"]) == message["ts"])


def _page(messages: list[Wire], given: Wire) -> Wire:
    """Metadata only for who asks for it."""
    start, limit = int(given.get("cursor") or 0), int(given.get("limit") or 100)
    wanted = str(given.get("include_all_metadata", "")).lower() in {"1", "true"}
    shown = [
        {name: value for name, value in each.items() if wanted or name != "metadata"}
        for each in messages[start : start + limit]
    ]
    more = str(start + limit) if start + limit < len(messages) else ""
    return {"messages": shown, "has_more": bool(more), "response_metadata": {"next_cursor": more}}


async def _arguments(request: Request) -> Wire:
    """In the query, as a form, or as JSON; lists in a query are JSON texts."""
    given: Wire = dict(request.query_params)
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/json"):
        given |= await request.json()
    elif request.method == "POST":
        async with request.form() as form:
            given |= {name: value for name, value in form.items() if isinstance(value, str)}
    for name in ("files", "blocks", "view", "metadata"):
        if isinstance(given.get(name), str):
            given[name] = json.loads(given[name])
    return given


def encoded(delivery: Delivery) -> tuple[bytes, str]:
    """Events are JSON, commands a form, everything else JSON in a form."""
    if delivery.kind == "events_api":
        return json.dumps(delivery.payload).encode(), "application/json"
    form = delivery.payload if delivery.kind == "slash_commands" else {"payload": json.dumps(delivery.payload)}
    return urlencode(form).encode(), "application/x-www-form-urlencoded"


def signed(body: bytes, secret: str, at: float | None = None) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}


def told_of(calls: Sequence[tuple[str, Wire]]) -> Counter[str]:
    return Counter(method for method, _ in calls)
