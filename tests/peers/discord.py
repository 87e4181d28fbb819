"""Discord's REST API, gateway and files on a port of the loopback, as far as a bot needs them, with the vendor's rules.

Written from the vendor's documentation and from what discord.py 2.7 sends; https://discord.com/developers/docs. `discord_simcord.py` has
the world of simcord, which others wrote, behind the same sockets, and is what the account is tried on.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import uvicorn
from simcord.components import ComponentValidationError, merge_edit_flags, validate_message_state, validate_modal
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from peers.serving import PeerServer

Data = dict[str, Any]
TOKEN = base64.b64encode(b"110201543").decode().rstrip("=") + ".GabcdE.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
BOT, APPLICATION = 110201543, 220201543
EPOCH_MS = 1_420_070_400_000
CONTENT, EMBEDS, FILES, ROWS, PER_ROW, CUSTOM_ID, LABEL, ALT = 2_000, 10, 10, 5, 5, 100, 80, 1_024
TITLE, INPUTS, INPUT_TEXT, INPUT_LABEL = 45, 5, 4_000, 45
COMMANDS, OPTIONS, CHOICES, DEFINITION = 100, 25, 25, 8_000
MENU, CHOICE, PLACEHOLDER = 25, 100, 150
ACKNOWLEDGE_SECONDS, TOKEN_SECONDS, NONCE_SECONDS = 3.0, 900.0, 300.0
UPLOAD = 10 << 20
PER_SECOND = 50
INVALID, INVALID_SECONDS = 10_000, 600.0
STARTS, CREATIONS = 1_000, 200
"""A day: of sessions, and of commands that were not there."""
MESSAGE_CONTENT = 1 << 15
EPHEMERAL, LOADING = 1 << 6, 1 << 7
ALL_PERMISSIONS = 0x7FFFFFFFFFFFF
MANAGE_GUILD = 1 << 5


class Refusal(Exception):
    """An answer with an error. code: Discord's own."""

    def __init__(self, status: int, code: int, message: str, errors: Data | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: Data = {"code": code, "message": message, **({"errors": errors} if errors else {})}


def invalid(where: str, why: str) -> Refusal:
    """50035, as for every body that breaks a rule."""
    errors = {where: {"_errors": [{"code": "INVALID", "message": why}]}}
    return Refusal(400, 50035, "Invalid Form Body", errors)


def too_many(seconds: float, *, everywhere: bool = False, more: Mapping[str, str] | None = None) -> Response:
    body = {"message": "You are being rate limited.", "retry_after": seconds, "global": everywhere}
    return JSONResponse(body, 429, headers={"Via": "1.1 google", "Retry-After": str(seconds), **(more or {})})


@dataclass
class Session:
    """A gateway session: what was told in it, so that it can be told again."""

    id: str
    intents: int
    sent: list[Data] = field(default_factory=list)
    socket: WebSocket | None = None
    woken: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Waiting:
    """An interaction. first: type of its first answer, 0 before. original: the id of the message in its kept place."""

    id: int
    token: str
    data: Data
    at: float
    first: int = 0
    flags: int = 0
    original: int = 0
    given: Data = field(default_factory=dict)


class DiscordPeer:
    """messages: what is visible, by id, in order. calls: every request, as method, path and body.

    fault: asked first, with method and path; what it answers is the answer. after: asked once it was done. later: seconds that the
    peer's clock is ahead. privileged: the bot may ask for the content of messages. invalid: so many answers of 401, 403 and 429 in ten
    minutes, and the address is shut out. starts: so many sessions a day. bucket: so many new messages in so many seconds, in each
    channel.
    """

    def __init__(self, token: str = TOKEN) -> None:
        self.token = token
        self.port = 0
        self.later = 0.0
        self.privileged = True
        self.invalid = INVALID
        self.starts = STARTS
        self.messages: dict[int, Data] = {}
        self.secret: set[int] = set()
        self.channels: dict[int, Data] = {}
        self.guilds: dict[int, Data] = {}
        self.commands: list[Data] = []
        self.upserts = 0
        self.filled: set[int] = set()
        self.reactions: dict[int, list[str]] = {}
        self.typing: list[int] = []
        self.files: dict[str, bytes] = {}
        self.interactions: dict[int, Waiting] = {}
        self.modals: list[Data] = []
        self.calls: list[tuple[str, str, Data]] = []
        self.closed_to: set[int] = set()
        self.identifies = 0
        self.resumes = 0
        self.forgets = False
        self.heartbeat_ms = 41_250
        self.is_frozen = False
        self.bucket: tuple[int, float] | None = None
        self._buckets: dict[str, deque[float]] = {}
        self.fault: Callable[[str, str], Response | None] | None = None
        self.after: Callable[[str, str], Response | None] | None = None
        self.moved = asyncio.Event()
        self._nonces: dict[tuple[int, str], tuple[float, int]] = {}
        self._asked: deque[float] = deque()
        self._invalid: deque[float] = deque()
        self._created: deque[float] = deque()
        self._sessions: dict[str, Session] = {}
        self._ids = itertools.count(1)
        self._server: PeerServer | None = None
        self._serving: asyncio.Task[None] | None = None
        self._last: Data = {}

    # --- running it

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        return f"{self.url}/api/v10"

    @property
    def gateway(self) -> str:
        return f"ws://127.0.0.1:{self.port}/gateway/"

    @contextlib.asynccontextmanager
    async def live(self) -> AsyncIterator["DiscordPeer"]:
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def start(self) -> None:
        routes = [
            WebSocketRoute("/gateway/", self._gateway),
            Route("/files/{path:path}", self._file),
            Route("/api/v10/{path:path}", self._rest, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            host="127.0.0.1",
            port=self.port,
            log_config=None,
            ws="websockets-sansio",
            ws_max_size=1 << 24,
            timeout_graceful_shutdown=1,
        )
        self._server = PeerServer(config)
        self._serving = asyncio.create_task(self._server.serve())
        await self._server.up.wait()
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        assert self._serving is not None
        for session in self._sessions.values():
            if session.socket is not None:
                with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                    await session.socket.close(1012)
        self._server.should_exit = True
        await self._serving

    async def until(self, true: Callable[[], object], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                self.moved.clear()
                await self.moved.wait()

    def _move(self) -> None:
        self.moved.set()

    def now(self) -> float:
        return time.time() + self.later

    def id(self) -> int:
        """A snowflake of now."""
        return (int(self.now() * 1000) - EPOCH_MS) << 22 | next(self._ids) & 0x3FFFFF

    # --- the world

    @property
    def me(self) -> Data:
        return {**_user(BOT, "Chatelier"), "bot": True}

    def direct(self, person: int) -> int:
        """The channel of a person and the bot."""
        return 9_000_000 + person

    def guild(self, id_: int, *channels: int, threads: Mapping[int, int] | None = None, tier: int = 0) -> None:
        """threads: by id, the channel that each is in."""
        for channel in channels:
            self.channels[channel] = {
                "id": str(channel),
                "type": 0,
                "name": f"c{channel}",
                "guild_id": str(id_),
                "position": 0,
                "permission_overwrites": [],
            }
        for thread, parent in (threads or {}).items():
            meta = {"archived": False, "auto_archive_duration": 60, "archive_timestamp": _now(), "locked": False}
            self.channels[thread] = {
                "id": str(thread),
                "type": 11,
                "name": f"t{thread}",
                "guild_id": str(id_),
                "parent_id": str(parent),
                "owner_id": "1",
                "message_count": 0,
                "member_count": 1,
                "thread_metadata": meta,
            }
        everyone = {
            "id": str(id_),
            "name": "@everyone",
            "permissions": "0",
            "position": 0,
            "color": 0,
            "hoist": False,
            "managed": False,
            "mentionable": False,
        }
        admins = {**everyone, "id": str(id_ + 1), "name": "admins", "permissions": str(MANAGE_GUILD)}
        self.guilds[id_] = {
            "id": str(id_),
            "name": f"g{id_}",
            "owner_id": "1",
            "roles": [everyone, admins],
            "emojis": [],
            "stickers": [],
            "features": [],
            "premium_tier": tier,
            "member_count": 2,
            "large": False,
            "members": [],
            "presences": [],
            "voice_states": [],
            "permissions": str(ALL_PERMISSIONS),
            "unavailable": False,
            "preferred_locale": "en-US",
            "verification_level": 0,
            "default_message_notifications": 0,
            "explicit_content_filter": 0,
            "mfa_level": 0,
            "system_channel_flags": 0,
            "nsfw_level": 0,
            "premium_progress_bar_enabled": False,
            "afk_timeout": 60,
            "joined_at": _now(),
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
        }

    def allow(self, guild: int, permissions: int) -> None:
        """What the bot may do there."""
        self.guilds[guild]["permissions"] = str(permissions)

    def leave(self, guild: int) -> None:
        del self.guilds[guild]

    def _guild_of(self, channel: int) -> int:
        return int(self.channels.get(channel, {}).get("guild_id", 0))

    # --- what people do

    def says(
        self, text: str = "", *, by: int = 42, channel: int = 0, files: Mapping[str, bytes] | None = None, **more: Any
    ) -> Data:
        """channel: 0 for the direct one."""
        channel = channel or self.direct(by)
        message = self._message(channel, _user(by, f"p{by}"), {"content": text, **more}, files or {})
        self.messages[int(message["id"])] = message
        self._last = message
        self.tell("MESSAGE_CREATE", self.told(message))
        return message

    def told(self, message: Data) -> Data:
        """As the gateway tells it: without its content where the bot may not read it."""
        channel = int(message["channel_id"])
        guild = self._guild_of(channel)
        if guild:
            roles = [str(guild + 1)] if message.get("as_admin") else []
            member = {"roles": roles, "joined_at": _now(), "deaf": False, "mute": False, "flags": 0}
            message = {**message, "guild_id": str(guild), "member": member}
        return message

    def unsays(self, message: Data) -> None:
        del self.messages[int(message["id"])]

    def moves_file(self, message: Data) -> None:
        """Its first one is at another address, as it is every day."""
        (shown, *_) = message["attachments"]
        self.files["elsewhere/a"] = self.files.pop(shown["url"].partition("/files/")[2])
        shown["url"] = f"{self.url}/files/elsewhere/a"

    def edits(self, message: Data, text: str) -> None:
        message |= {"content": text, "edited_timestamp": _now()}
        self.tell("MESSAGE_UPDATE", self.told(message))

    def repeat(self) -> None:
        self.tell("MESSAGE_CREATE", self.told(self._last))

    def calls_command(self, name: str, options: Mapping[str, Any] | None = None, **where: Any) -> Waiting:
        """As the client does, which knows the commands that the bot published. A file is a pair of its name and bytes."""
        command = next(each for each in self.commands if each["name"] == name and each.get("type", 1) == 1)
        known = {each["name"]: each for each in command.get("options", ())}
        given, resolved = [], {}
        for key, value in (options or {}).items():
            if known[key]["type"] == 11:
                file = self._attachment(*value)
                resolved[file["id"]] = file
                value = file["id"]  # noqa: PLW2901 - it is the id that is sent
            elif known[key]["type"] == 4:
                value = int(value)  # noqa: PLW2901 - as the client types it
            given.append({"name": key, "type": known[key]["type"], "value": value})
        lacking = [key for key, each in known.items() if each.get("required") and key not in (options or {})]
        assert not lacking, f"the client asks for {lacking} itself"
        data = {"id": "77", "name": name, "type": 1, "options": given, "resolved": {"attachments": resolved}}
        return self.interact(2, data, **where)

    def uses_menu(self, name: str, message: Data, **where: Any) -> Waiting:
        data = {
            "id": "78",
            "name": name,
            "type": 3,
            "target_id": message["id"],
            "resolved": {"messages": {message["id"]: message}},
        }
        return self.interact(2, data, **where)

    def presses(self, message: Data, custom_id: str, **where: Any) -> Waiting:
        data = {"custom_id": custom_id, "component_type": 2}
        where.setdefault("channel", int(message["channel_id"]))
        return self.interact(3, data, message=message, **where)

    def chooses(self, message: Data, custom_id: str, value: str, **where: Any) -> Waiting:
        """One of a menu's choices."""
        data = {"custom_id": custom_id, "component_type": 3, "values": [value]}
        where.setdefault("channel", int(message["channel_id"]))
        return self.interact(3, data, message=message, **where)

    def presses_on(self, message: Data, label: str, **where: Any) -> Waiting:
        """The button or the choice with this label, or one that it is a part of."""
        shown = [each for row in message["components"] for each in row["components"]]
        for each in shown:
            if label in each.get("label", ""):
                return self.presses(message, each["custom_id"], **where)
            for option in each.get("options", ()):
                if label in option["label"]:
                    return self.chooses(message, each["custom_id"], option["value"], **where)
        raise AssertionError(f"no {label!r} in {shown}")

    def submits(self, values: Mapping[str, Any], **where: Any) -> Waiting:
        """Fills in the newest modal: what is not given stays as it is."""
        shown = self.modals[-1]
        rows = []
        for row in shown["components"]:
            inner = row["component"]
            name = inner["custom_id"].partition(".")[2]
            if inner["type"] == 4:
                value = str(values.get(name, inner.get("value", "")))
                assert value or not inner["required"], f"the client wants {name}"
                filled = {"type": 4, "custom_id": inner["custom_id"], "value": value}
            else:
                before = [each["value"] for each in inner.get("options", ()) if each.get("default")]
                filled = {
                    "type": inner["type"],
                    "custom_id": inner["custom_id"],
                    "values": [str(values[name])] if name in values else before,
                }
            rows.append({"type": row["type"], "component": filled})
        data = {"custom_id": shown["custom_id"], "components": rows}
        return self.interact(5, data, **{**shown["where"], **where})

    def types(self, name: str, option: str, typed: str, **where: Any) -> Waiting:
        data = {
            "id": "77",
            "name": name,
            "type": 1,
            "options": [{"name": option, "type": 3, "value": typed, "focused": True}],
        }
        return self.interact(4, data, **where)

    def interact(
        self,
        type_: int,
        data: Data,
        *,
        by: int = 42,
        channel: int = 0,
        admin: bool = False,
        limit: int = UPLOAD,
        **more: Any,
    ) -> Waiting:
        channel = channel or self.direct(by)
        guild, id_ = self._guild_of(channel), self.id()
        place = self.channels.get(channel) or {"id": str(channel), "type": 1, "recipients": [_user(by, f"p{by}")]}
        told: Data = {
            "id": str(id_),
            "application_id": str(APPLICATION),
            "type": type_,
            "data": data,
            "token": f"token-{id_}",
            "version": 1,
            "channel_id": str(channel),
            "channel": place,
            "locale": "en-US",
            "entitlements": [],
            "attachment_size_limit": limit,
            "authorizing_integration_owners": {},
            "app_permissions": str(ALL_PERMISSIONS),
            **more,
        }
        user = _user(by, f"p{by}")
        if guild:
            permissions = str(MANAGE_GUILD if admin else 0)
            told |= {"guild_id": str(guild), "guild_locale": "en-US", "context": 0}
            told["member"] = {
                "user": user,
                "roles": [],
                "permissions": permissions,
                "joined_at": _now(),
                "deaf": False,
                "mute": False,
                "flags": 0,
            }
        else:
            told |= {"user": user, "context": 1}
        waiting = Waiting(id_, told["token"], {**told, "where": {"by": by, "channel": channel}}, self.now())
        self.interactions[id_] = waiting
        self.tell("INTERACTION_CREATE", told)
        return waiting

    # --- the gateway

    @property
    def is_heard(self) -> bool:
        """Somebody listens: an interaction that nobody hears is one that failed."""
        return any(session.socket is not None for session in self._sessions.values())

    def tell(self, name: str, data: Data) -> None:
        """To every session, now or when it is resumed."""
        for session in self._sessions.values():
            for shown in self._shown(session, name, data):
                session.sent.append({"op": 0, "t": name, "s": len(session.sent) + 1, "d": shown})
            session.woken.set()
        self._move()

    def _shown(self, session: Session, name: str, data: Data) -> Sequence[Data]:
        """What its intents let it see of an event: that, less, or nothing."""
        if name.startswith("MESSAGE_") and not session.intents & MESSAGE_CONTENT and data.get("guild_id"):
            mentions = {user["id"] for user in data.get("mentions", ())}
            if str(BOT) not in mentions:
                return [{**data, "content": "", "attachments": [], "embeds": [], "components": []}]
        return [data]

    async def _gateway(self, socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(
            json.dumps({"op": 10, "d": {"heartbeat_interval": self.heartbeat_ms}, "s": None, "t": None})
        )
        session: Session | None = None
        telling: asyncio.Task[None] | None = None
        try:
            while True:
                said = json.loads(await socket.receive_text())
                match said["op"]:
                    case 1 if self.is_frozen:
                        self._move()
                    case 1:
                        await socket.send_text(json.dumps({"op": 11, "d": None, "s": None, "t": None}))
                    case 2:
                        session = await self._identify(socket, said["d"])
                        if session is None:
                            return
                        telling = asyncio.create_task(self._tell_on(socket, session, 0))
                    case 6:
                        known = self._sessions.get(said["d"]["session_id"])
                        if known is None or self.forgets:
                            self._sessions.clear()
                            await socket.send_text(json.dumps({"op": 9, "d": False, "s": None, "t": None}))
                            continue
                        self.resumes += 1
                        session = known
                        session.socket = socket
                        self._move()
                        telling = asyncio.create_task(
                            self._tell_on(socket, session, said["d"]["seq"] or 0, resumed=True)
                        )
        except (WebSocketDisconnect, RuntimeError, KeyError):
            pass
        finally:
            if session is not None and session.socket is socket:
                session.socket = None
                self._move()
            if telling is not None:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)

    async def _identify(self, socket: WebSocket, given: Data) -> Session | None:
        if given["token"] != self.token:
            await socket.close(4004)
            return None
        if given["intents"] & MESSAGE_CONTENT and not self.privileged:
            await socket.close(4014)
            return None
        if self.identifies >= self.starts:
            await socket.close(4004)
            return None
        self.identifies += 1
        session = Session(f"s{self.identifies}", given["intents"], socket=socket)
        ready = {
            "v": 10,
            "user": self.me,
            "session_id": session.id,
            "resume_gateway_url": self.gateway,
            "guilds": [{"id": str(guild), "unavailable": True} for guild in self.guilds],
            "private_channels": [],
            "relationships": [],
            "application": {"id": str(APPLICATION), "flags": 0},
            "shard": given.get("shard", [0, 1]),
        }
        session.sent.append({"op": 0, "t": "READY", "s": 1, "d": ready})
        for guild in self.guilds:
            for told in self._shown(session, "GUILD_CREATE", self._guild_told(guild)):
                session.sent.append({"op": 0, "t": "GUILD_CREATE", "s": len(session.sent) + 1, "d": told})
        self._sessions[session.id] = session
        self._move()
        return session

    def _guild_told(self, guild: int) -> Data:
        mine = [each for each in self.channels.values() if int(each["guild_id"]) == guild]
        return {
            **self.guilds[guild],
            "channels": [each for each in mine if each["type"] == 0],
            "threads": [each for each in mine if each["type"] != 0],
        }

    async def _tell_on(self, socket: WebSocket, session: Session, seq: int, *, resumed: bool = False) -> None:
        """Everything after `seq`, and then what comes."""
        marked = not resumed
        while True:
            while seq < len(session.sent):
                await socket.send_text(json.dumps(session.sent[seq]))
                seq += 1
            if not marked:
                session.sent.append({"op": 0, "t": "RESUMED", "s": len(session.sent) + 1, "d": {}})
                marked = True
                continue
            session.woken.clear()
            await session.woken.wait()

    async def cut(self, code: int = 1012) -> None:
        """Every gateway connection breaks."""
        for session in self._sessions.values():
            if session.socket is not None:
                with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                    await session.socket.close(code)
                session.socket = None

    # --- files

    async def _file(self, request: Request) -> Response:
        found = self.files.get(request.path_params["path"])
        return Response(found) if found is not None else Response(status_code=404)

    def _attachment(self, name: str, data: bytes, alt: str = "") -> Data:
        id_ = self.id()
        path = f"{id_}/{name}"
        self.files[path] = data
        kind = "image/png" if name.endswith(".png") else "application/octet-stream"
        made = {
            "id": str(id_),
            "filename": name,
            "size": len(data),
            "url": f"{self.url}/files/{path}",
            "proxy_url": f"{self.url}/files/{path}",
            "content_type": kind,
        }
        return {**made, "description": alt} if alt else made

    def bytes_of(self, message: Data) -> list[bytes]:
        return [self.files[each["url"].partition("/files/")[2]] for each in message["attachments"]]

    # --- REST

    async def _rest(self, request: Request) -> Response:
        """Who is shut out is told so by what stands before Discord, which signs no answer."""
        if recent(self._invalid, self.now(), INVALID_SECONDS) >= self.invalid:
            return PlainTextResponse("error code: 1015", 429)
        answer = await self._answer(request)
        if answer.status_code in {401, 403, 429}:
            self._invalid.append(self.now())
        return answer

    async def _answer(self, request: Request) -> Response:
        method, path = request.method, request.path_params["path"]
        if not path.startswith(("interactions/", "webhooks/")):  # these count nowhere
            if recent(self._asked, time.monotonic(), 1.0) >= PER_SECOND:
                return too_many(1.0 - (time.monotonic() - self._asked[0]), everywhere=True)
            self._asked.append(time.monotonic())
        body, files = await _body(request)
        self.calls.append((method, path, body))
        if self.fault is not None and (answer := self.fault(method, path)) is not None:
            return answer
        rated = self._rated(path) if method == "POST" and path.endswith("/messages") else {}
        if rated.get("X-RateLimit-Remaining") == "-1":
            return too_many(float(rated["X-RateLimit-Reset-After"]), more={**rated, "X-RateLimit-Remaining": "0"})
        try:
            if not path.startswith("interactions/") and request.headers.get("authorization") != f"Bot {self.token}":
                raise Refusal(401, 0, "401: Unauthorized")
            made = await self._do(method, path.split("/"), body, files, request.query_params)
        except Refusal as no:
            return JSONResponse(no.body, no.status)
        finally:
            self._move()
        if self.after is not None and (answer := self.after(method, path)) is not None:
            return answer
        return Response(status_code=204) if made is None else JSONResponse(made, headers=rated)

    def _rated(self, path: str) -> dict[str, str]:
        """What is told of the route's bucket; -1 remain where this one is too many."""
        if self.bucket is None:
            return {}
        most, seconds = self.bucket
        taken, now = self._buckets.setdefault(path, deque()), time.monotonic()
        left = most - recent(taken, now, seconds) - 1
        if left >= 0:
            taken.append(now)
        return {
            "X-RateLimit-Limit": str(most),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": str(time.time() + taken[0] + seconds - now),
            "X-RateLimit-Reset-After": str(taken[0] + seconds - now),
            "X-RateLimit-Bucket": "messages",
            "X-RateLimit-Scope": "user",
        }

    async def _do(  # noqa: PLR0912 - a case for each path
        self, method: str, path: list[str], body: Data, files: list[tuple[str, bytes]], query: Mapping[str, str]
    ) -> Any:
        match method, path:
            case "GET", ["users", "@me"]:
                return self.me
            case "GET", ["users", "@me", "guilds"]:
                return [
                    {key: guild[key] for key in ("id", "name", "permissions", "features")}
                    for guild in self.guilds.values()
                ]
            case "GET", ["oauth2", "applications", "@me"]:
                flags = 1 << 18 if self.privileged else 0
                return {
                    "id": str(APPLICATION),
                    "name": "Chatelier",
                    "flags": flags,
                    "description": "",
                    "icon": None,
                    "bot_public": True,
                    "bot_require_code_grant": False,
                    "owner": _user(1, "owner"),
                    "verify_key": "",
                    "team": None,
                }
            case "GET", ["gateway", "bot"]:
                limits = {"total": 1000, "remaining": 999, "reset_after": 1, "max_concurrency": 16}
                return {"url": self.gateway, "shards": 2, "session_start_limit": limits}
            case "POST", ["users", "@me", "channels"]:
                person = int(body["recipient_id"])
                return {"id": str(self.direct(person)), "type": 1, "recipients": [_user(person, f"p{person}")]}
            case "PUT", ["applications", _, "commands"]:
                return self._publish(body)
            case "POST", ["channels", channel, "typing"]:
                self.typing.append(int(channel))
                return None
            case (("PUT" | "DELETE"), ["channels", channel, "messages", id_, "reactions", emoji, "@me"]):
                return self._react(method, self._known(channel, id_), emoji)
            case "POST", ["channels", channel, "messages"]:
                return self._say(int(channel), body, files)
            case "GET", ["channels", channel, "messages"]:
                return self._history(int(channel), query)
            case "GET", ["channels", channel, "messages", id_]:
                return self._known(channel, id_)
            case "PATCH", ["channels", channel, "messages", id_]:
                return self._edit(self._known(channel, id_), body, files)
            case "DELETE", ["channels", channel, "messages", id_]:
                del self.messages[int(self._known(channel, id_)["id"])]
                return None
            case "POST", ["interactions", id_, token, "callback"]:
                return self._first(int(id_), token, body)
            case _, ["webhooks", _, token, *rest]:
                return self._webhook(method, self._door(token), rest, body, files)
        raise Refusal(404, 0, f"404: Not Found {method} {path}")

    def _known(self, channel: str, id_: str) -> Data:
        found = self.messages.get(int(id_))
        if found is None or found["channel_id"] != channel:
            raise Refusal(404, 10008, "Unknown Message")
        return found

    def _react(self, method: str, message: Data, emoji: str) -> None:
        given = self.reactions.setdefault(int(message["id"]), [])
        if method == "PUT":
            given.append(emoji)
        elif emoji in given:
            given.remove(emoji)

    def _history(self, channel: int, query: Mapping[str, str]) -> list[Data]:
        """The newest first, as Discord tells it; after an id the next ones."""
        mine = [
            each
            for id_, each in sorted(self.messages.items())
            if int(each["channel_id"]) == channel and id_ not in self.secret
        ]
        limit = int(query.get("limit", 50))
        if "after" in query:
            return [each for each in mine if int(each["id"]) > int(query["after"])][:limit][::-1]
        return mine[-limit:][::-1]

    # --- messages

    def _say(self, channel: int, body: Data, files: list[tuple[str, bytes]]) -> Data:
        self._check_open(channel)
        self._check(body, files, channel)
        if (again := self._sent_before(channel, body)) is not None:
            return again
        message = self._message(channel, self.me, body, dict_of(files, body))
        self.messages[int(message["id"])] = message
        self._remember(channel, body, message)
        self.tell("MESSAGE_CREATE", self.told({**message, "nonce": str(body.get("nonce", ""))}))
        return message

    def _check_open(self, channel: int) -> None:
        if channel - 9_000_000 in self.closed_to:
            raise Refusal(403, 50007, "Cannot send messages to this user")
        if channel not in self.channels and not 9_000_000 < channel < 9_900_000:
            raise Refusal(404, 10003, "Unknown Channel")

    def _sent_before(self, channel: int, body: Data) -> Data | None:
        """The message that has this nonce, for five minutes."""
        nonce = str(body.get("nonce", ""))
        if len(nonce) > 25:
            raise invalid("nonce", "Must be 25 or fewer in length.")
        if not nonce or not body.get("enforce_nonce"):
            return None
        at, id_ = self._nonces.get((channel, nonce), (float("-inf"), 0))
        return self.messages.get(id_) if self.now() - at < NONCE_SECONDS else None

    def _remember(self, channel: int, body: Data, message: Data) -> None:
        if nonce := str(body.get("nonce", "")):
            self._nonces[channel, nonce] = self.now(), int(message["id"])

    def _check(
        self, body: Data, files: list[tuple[str, bytes]], channel: int, *, kept: int = 0, most: int = UPLOAD
    ) -> None:
        if len(body.get("content") or "") > CONTENT:
            raise invalid("content", f"Must be {CONTENT} or fewer in length.")
        if len(body.get("embeds") or ()) > EMBEDS:
            raise invalid("embeds", f"Must be {EMBEDS} or fewer in length.")
        self._check_uploads(body, files, channel, most=most)
        if not ((body.get("content") or "").strip() or files or kept or body.get("embeds")):
            raise Refusal(400, 50006, "Cannot send an empty message")
        self._check_rows(body.get("components") or ())
        try:
            validate_message_state(
                body.get("components") or [],
                flags=body.get("flags", 0),
                content=body.get("content"),
                embeds=body.get("embeds") or [],
            )
        except ComponentValidationError as why:
            raise invalid("components", str(why)) from why

    def _check_uploads(self, body: Data, files: list[tuple[str, bytes]], channel: int, *, most: int = UPLOAD) -> None:
        """most: bytes of a file, where an interaction says so; a boosted server may take more."""
        described = body.get("attachments") or ()
        if max(len(files), len(described)) > FILES:
            raise invalid("attachments", f"Must be {FILES} or fewer in length.")
        if any(len(each.get("description") or "") > ALT for each in described):
            raise invalid("attachments", f"Must be {ALT} or fewer in length.")
        tier = self.guilds.get(self._guild_of(channel), {}).get("premium_tier", 0)
        if any(len(data) > max(most, {2: 50 << 20, 3: 100 << 20}.get(tier, UPLOAD)) for _, data in files):
            raise Refusal(413, 40005, "Request entity too large")

    @staticmethod
    def _check_rows(rows: Sequence[Data]) -> None:
        if len(rows) > ROWS:
            raise invalid("components", f"Must be {ROWS} or fewer in length.")
        seen: set[str] = set()
        for row in rows:
            if row.get("type") != 1 or not 1 <= len(row.get("components", ())) <= PER_ROW:
                raise invalid("components", f"Must be between 1 and {PER_ROW} in length.")
            for each in row["components"]:
                id_ = each.get("custom_id", "")
                if each.get("type") == 3:
                    _check_menu(row, each)
                elif not 1 <= len(each.get("label", "")) <= LABEL:
                    raise invalid("label", f"Must be between 1 and {LABEL} in length.")
                if each.get("style") != 5 and not 1 <= len(id_) <= CUSTOM_ID:
                    raise invalid("custom_id", f"Must be between 1 and {CUSTOM_ID} in length.")
                if id_ and id_ in seen:
                    raise invalid("custom_id", "Component custom id cannot be duplicated")
                seen.add(id_)

    def _message(self, channel: int, author: Data, body: Data, files: Mapping[str, bytes]) -> Data:
        described = {each.get("filename"): each.get("description", "") for each in body.get("attachments") or ()}
        mentioned = [self.me] if f"<@{BOT}>" in (body.get("content") or "") else []
        message: Data = {
            "id": str(self.id()),
            "channel_id": str(channel),
            "author": author,
            "content": body.get("content") or "",
            "timestamp": _now(),
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": mentioned,
            "mention_roles": [],
            "attachments": [self._attachment(name, data, described.get(name, "")) for name, data in files.items()],
            "embeds": [],
            "pinned": False,
            "type": 0,
            "components": body.get("components") or [],
            "flags": body.get("flags", 0),
        }
        for key in ("as_admin", "type", "webhook_id"):
            if key in body:
                message[key] = body[key]
        reference = body.get("message_reference")
        if reference:
            answered = self.messages.get(int(reference["message_id"]))
            if answered is None and reference.get("fail_if_not_exists", True):
                raise invalid("message_reference", "Unknown message")
            if answered is not None:
                message |= {"type": 19, "referenced_message": answered}
                message["message_reference"] = {"type": 0, "message_id": answered["id"], "channel_id": str(channel)}
        return message

    def _edit(self, message: Data, body: Data, files: list[tuple[str, bytes]], *, most: int = UPLOAD) -> Data:
        if message["author"]["id"] != str(BOT):
            raise Refusal(403, 50005, "Cannot edit a message authored by another user")
        kept = message["attachments"]
        if body.get("attachments") is not None:
            ids = {str(each.get("id")) for each in body["attachments"]}
            kept = [each for each in message["attachments"] if each["id"] in ids]
        whole = {"content": message["content"], "components": message["components"], **body}
        self._check(whole, files, int(message["channel_id"]), kept=len(kept), most=most)
        described = {each.get("filename"): each.get("description", "") for each in body.get("attachments") or ()}
        fresh = [self._attachment(name, data, described.get(name, "")) for name, data in dict_of(files, body).items()]
        flags = merge_edit_flags(message["flags"] & ~LOADING, int(body.get("flags") or message["flags"]))
        self.filled.add(int(message["id"]))
        message |= {
            "content": whole["content"] or "",
            "components": whole["components"] or [],
            "attachments": [*kept, *fresh],
        }
        message |= {"flags": flags, "edited_timestamp": _now()}
        self.tell("MESSAGE_UPDATE", self.told(message))
        return message

    # --- interactions

    def _first(self, id_: int, token: str, body: Data) -> Data:
        waiting = self.interactions.get(id_)
        if waiting is None or waiting.token != token or self.now() - waiting.at > ACKNOWLEDGE_SECONDS:
            raise Refusal(404, 10062, "Unknown interaction")
        if waiting.first:
            raise Refusal(400, 40060, "Interaction has already been acknowledged.")
        type_, data = body["type"], body.get("data") or {}
        if type_ == 9:
            self._check_modal(data)
            self.modals.append({**data, "where": waiting.data["where"]})
        if type_ == 8 and len(data["choices"]) > CHOICES:
            raise invalid("choices", f"Must be {CHOICES} or fewer in length.")
        waiting.first, waiting.flags, waiting.given = type_, data.get("flags", 0), data
        if type_ in (4, 5):
            body_ = data if type_ == 4 else {"content": ""}
            message = self._message(int(waiting.data["channel_id"]), self.me, body_, {})
            message["flags"] = (LOADING if type_ == 5 else 0) | (waiting.flags & EPHEMERAL)
            waiting.original = int(message["id"])
            self._show(waiting, message)
        elif type_ in (6, 7) and "message" in waiting.data:
            waiting.original = int(waiting.data["message"]["id"])
        return {"interaction": {"id": str(id_), "type": waiting.data["type"]}}

    @staticmethod
    def _check_modal(data: Data) -> None:
        if not 1 <= len(data.get("title", "")) <= TITLE:
            raise invalid("title", f"Must be between 1 and {TITLE} in length.")
        if not 1 <= len(data.get("custom_id", "")) <= CUSTOM_ID:
            raise invalid("custom_id", f"Must be between 1 and {CUSTOM_ID} in length.")
        if not 1 <= len(data.get("components", ())) <= INPUTS:
            raise invalid("components", f"Must be between 1 and {INPUTS} in length.")
        for row in data["components"]:
            if not 1 <= len(row.get("label", "")) <= INPUT_LABEL:
                raise invalid("label", f"Must be between 1 and {INPUT_LABEL} in length.")
            inner = row["component"]
            if inner["type"] == 4 and not (
                inner.get("max_length", 1) <= INPUT_TEXT and len(inner.get("value", "")) <= INPUT_TEXT
            ):
                raise invalid("value", f"Must be {INPUT_TEXT} or fewer in length.")
            if inner["type"] == 3 and not 1 <= len(inner["options"]) <= CHOICES:
                raise invalid("options", f"Must be between 1 and {CHOICES} in length.")
        try:
            validate_modal(data)
        except ComponentValidationError as why:
            raise invalid("components", str(why)) from why

    def _show(self, waiting: Waiting, message: Data) -> None:
        self.messages[int(message["id"])] = message
        if message["flags"] & EPHEMERAL:
            self.secret.add(int(message["id"]))

    def _door(self, token: str) -> Waiting:
        waiting = next((each for each in self.interactions.values() if each.token == token), None)
        if waiting is None or not waiting.first:
            raise Refusal(404, 10015, "Unknown Webhook")
        if self.now() - waiting.at > TOKEN_SECONDS:
            raise Refusal(401, 50027, "Invalid Webhook Token")
        return waiting

    def _webhook(
        self, method: str, waiting: Waiting, rest: list[str], body: Data, files: list[tuple[str, bytes]]
    ) -> Data | None:
        channel, most = int(waiting.data["channel_id"]), int(waiting.data["attachment_size_limit"])
        kept = self.messages.get(waiting.original)
        if not rest and method == "POST" and waiting.first == 5 and (kept is None or kept["flags"] & LOADING):
            if waiting.original in self.filled:
                kept = None
            elif kept is None:
                raise Refusal(404, 10008, "Unknown Message")
            else:
                return self._edit(kept, body, files, most=most)
        if not rest and method == "POST":
            self._check(body, files, channel, most=most)
            message = self._message(channel, self.me, body, dict_of(files, body))
            message["flags"] = body.get("flags", 0)
            self._show(waiting, message)
            return message
        id_ = waiting.original if rest[-1] == "@original" else int(rest[-1])
        found = self.messages.get(id_)
        if found is None:
            raise Refusal(404, 10008, "Unknown Message")
        if method == "DELETE":
            del self.messages[id_]
            return None
        return found if method == "GET" else self._edit(found, body, files, most=most)

    # --- commands

    def _publish(self, body: Any) -> list[Data]:
        names = [(each.get("type", 1), each["name"]) for each in body]
        slash = [name for kind, name in names if kind == 1]
        if len(slash) > COMMANDS:
            raise Refusal(400, 30032, "Maximum number of application commands reached (100).")
        if len(set(names)) < len(names):
            raise invalid("name", "Application command names must be unique")
        for each in body:
            if each.get("type", 1) == 1:
                self._check_command(each)
        before = {(each.get("type", 1), each["name"]) for each in self.commands}
        fresh = [each for each in names if each not in before]
        if recent(self._created, self.now(), 86_400.0) + len(fresh) > CREATIONS:
            raise Refusal(400, 30034, "Max number of daily application command creates has been reached (200)")
        self._created.extend(self.now() for _ in fresh)
        self.commands = list(body)
        self.upserts += 1
        return [
            {
                **each,
                "id": str(n),
                "application_id": str(APPLICATION),
                "version": "1",
                "default_member_permissions": None,
            }
            for n, each in enumerate(body)
        ]

    @staticmethod
    def _check_command(command: Data) -> None:
        options = command.get("options", [])
        named = [command, *options]
        if any(
            not 1 <= len(each["name"]) <= 32 or each["name"] != each["name"].lower() or " " in each["name"]
            for each in named
        ):
            raise invalid("name", "Command name is invalid")
        if any(not 1 <= len(each.get("description", "")) <= 100 for each in named):
            raise invalid("description", "Must be between 1 and 100 in length.")
        if len(options) > OPTIONS or any(len(each.get("choices", ())) > CHOICES for each in options):
            raise invalid("options", f"Must be {OPTIONS} or fewer in length.")
        required = [bool(each.get("required")) for each in options]
        if required != sorted(required, reverse=True):
            raise invalid("options", "Required options must be placed before non-required options")
        length = sum(len(each["name"]) + len(each["description"]) for each in named)
        length += sum(len(one["name"]) + len(str(one["value"])) for each in options for one in each.get("choices", ()))
        if length > DEFINITION:
            raise invalid("options", "Command exceeds maximum size (8000)")
        if any(abs(each.get(limit, 0)) > 2**53 for each in options for limit in ("min_value", "max_value")):
            raise invalid("min_value", "Must be a safe integer.")

    # --- what a test looks at

    def sent(self, channel: int = 0, *, by: int = 42) -> list[Data]:
        """What the bot shows there; what nothing stands in yet is no message. channel: 0 for the direct one."""
        place = str(channel or self.direct(by))
        mine = [each for _, each in sorted(self.messages.items()) if each["author"]["id"] == str(BOT)]
        return [each for each in mine if each["channel_id"] == place and not each["flags"] & LOADING]

    def public(self, channel: int) -> list[Data]:
        return [each for each in self.sent(channel) if int(each["id"]) not in self.secret]


def recent(times: deque[float], now: float, seconds: float) -> int:
    """How many of these are not older."""
    while times and now - times[0] >= seconds:
        times.popleft()
    return len(times)


def dict_of(files: list[tuple[str, bytes]], body: Data) -> dict[str, bytes]:
    """By name; two of a name are told apart."""
    found: dict[str, bytes] = {}
    for n, (name, data) in enumerate(files):
        found[name if name not in found else f"{n}-{name}"] = data
    return found


async def _body(request: Request) -> tuple[Any, list[tuple[str, bytes]]]:
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/"):
        async with request.form() as form:
            body = json.loads(str(form["payload_json"]))
            files = [(each.filename or "", await each.read()) for each in form.values() if isinstance(each, UploadFile)]
            return body, files
    raw = await request.body()
    return (json.loads(raw) if raw else {}), []


def _user(id_: int, name: str) -> Data:
    return {"id": str(id_), "username": name, "global_name": name, "discriminator": "0", "avatar": None}


def _now() -> str:
    return datetime.now(UTC).isoformat()


URL = re.compile(r"https?://[^\s<>*\[\]|`\\]+")
BLOCK = re.compile(r"```(?:[A-Za-z0-9+#.-]+\n|\n)?(.*?)\n?```", re.DOTALL)
INLINE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"\[((?:\\.|[^\]\\])*)\]\((https?://[^\s)]+)\)")
START = re.compile(r"(?:#{1,3} |> |- )")


def seen(markdown: str) -> str:
    """What people read of a message: its marks are gone, and what is escaped stands there."""
    read, at, fresh = [], 0, True
    while at < len(markdown):
        rest = markdown[at:]
        sign = rest[0]
        if sign == "\\" and len(rest) > 1 and not rest[1].isalnum() and not rest[1].isspace():
            read.append(rest[1])
            at, fresh = at + 2, False
        elif found := BLOCK.match(rest) or INLINE.match(rest):
            read.append(found[found.re.groups])
            at, fresh = at + found.end(), False
        elif found := LINK.match(rest):
            read.append(f"{seen(found[1])} {found[2]}")
            at, fresh = at + found.end(), False
        elif found := URL.match(rest):
            read.append(found[0])
            at, fresh = at + found.end(), False
        elif fresh and (found := START.match(rest)):
            at += found.end()
        else:
            if sign not in "*_~|`\u200b":
                read.append(sign)
            at, fresh = at + 1, sign == "\n"
    return "".join(read)


def labels_of(message: Data) -> tuple[str, ...]:
    """Of its buttons, and of the choices in its menus."""
    shown = [each for row in message["components"] for each in row["components"]]
    return tuple(one["label"] for each in shown for one in (each.get("options", ()) if each["type"] == 3 else (each,)))


def _check_menu(row: Data, menu: Data) -> None:
    """It stands alone in its row; 25 choices with values of their own."""
    options = menu.get("options", ())
    values = [option.get("value", "") for option in options]
    if len(row["components"]) > 1:
        raise invalid("components", "The component dimensions of this row are not valid.")
    if not 1 <= len(options) <= MENU:
        raise invalid("options", f"Must be between 1 and {MENU} in length.")
    if len(menu.get("placeholder", "")) > PLACEHOLDER:
        raise invalid("placeholder", f"Must be {PLACEHOLDER} or fewer in length.")
    if any(not 1 <= len(text) <= CHOICE for option in options for text in (option.get("label", ""), option["value"])):
        raise invalid("options", f"Must be between 1 and {CHOICE} in length.")
    if len(set(values)) < len(values):
        raise invalid("options", "The specified option value is already used")
