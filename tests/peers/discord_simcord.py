"""Discord as PyPI's `simcord` 3.2.1 has it, which others wrote, behind sockets of ours: REST, gateway and files.

What is there and who may do what is simcord's: users, servers, members, roles and permissions, channels and threads, messages, edits,
replies, reactions, typing, interactions with their first answer and their tokens, what components, embeds and modals may be, and
which intent lets which event or content through. A request that it does not know is a 404, a field a 500.

What it does not know, and the layer in front of it adds: the sockets themselves with HELLO, IDENTIFY, RESUME and what was missed;
tokens and privileged intents; nonces, for five minutes; how large and how many files are, and their alt text; people who take no direct
messages; limits of commands, of autocompletion and of what a field of a modal holds; boosted servers; the permissions in the list of
servers; the history after a message, which for the vendor begins right behind it. Where it has another code than the vendor, the layer
gives the vendor's: 50006 for an empty message, 50027 for a token of more than a quarter of an hour, 10015 for one whose interaction has
no first answer, 50035 for a reply to what is not there.
"""

import copy
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import discord
from simcord._clock import Clock
from simcord.backend import Backend, serializers
from simcord.backend.cdn import CDN_BASE
from simcord.backend.errors import BackendError
from simcord.backend.models import Channel, Role, User
from simcord.enums import ChannelType
from simcord.gateway import FakeGateway
from simcord.http import router
from simcord.interactions import base_payload
from starlette.requests import Request
from starlette.responses import Response

from peers.discord import (
    APPLICATION,
    BOT,
    CHOICES,
    MANAGE_GUILD,
    UPLOAD,
    Data,
    DiscordPeer,
    Refusal,
    Session,
    Waiting,
    invalid,
)


class Wall(Clock):
    """The clock of the peer, which a test may set."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__()
        self._seconds = seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._seconds(), UTC) + timedelta(seconds=self.elapsed)


@dataclass
class Upload:
    """A file of a request, as simcord reads it."""

    filename: str
    fp: io.BytesIO
    description: str | None


class Screen:
    """What simcord takes for the state of a client: it keeps what it is told."""

    def __init__(self, bits: int) -> None:
        self.intents = discord.Intents._from_value(bits)
        self.told: list[Data] = []
        self.parsers = self

    def __getitem__(self, event: str) -> Callable[[Data], None]:
        return self.told.append


class SimcordPeer(DiscordPeer):
    """messages: what simcord shows, as of the last thing that happened. world: simcord itself."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self.world = Backend(clock=Wall(lambda: time.time() + self.later))
        self.world.application_id = APPLICATION
        me = self.world.users.pop(self.world.bot_user.id)
        me.id, me.name, me.global_name = BOT, "Chatelier", "Chatelier"
        self.world.users[BOT] = me
        self.world.subscribers.append(self._happened)

    # --- who and what is there

    @property
    def me(self) -> Data:
        return dict(serializers.user_payload(self.world.bot_user))

    def guild(self, id_: int, *channels: int, threads: Mapping[int, int] | None = None, tier: int = 0) -> None:
        super().guild(id_, *channels, threads=threads, tier=tier)
        self.world.create_guild(f"g{id_}", id=id_)
        admins = Role(id=id_ + 1, name="admins", permissions=MANAGE_GUILD, position=2)
        self.world.guilds[id_].roles[admins.id] = admins
        for channel in channels:
            self._place(Channel(id=channel, type=ChannelType.TEXT, name=f"c{channel}", guild_id=id_))
            self.world.guilds[id_].channel_ids.append(channel)
        for thread, parent in (threads or {}).items():
            made = self.world.create_thread(parent, f"t{thread}", BOT, broadcast=False)
            self.world.guilds[id_].thread_ids[-1:] = [thread]
            del self.world.channels[made.id], self.world.messages[made.id]
            made.id = thread
            self._place(made)

    def _place(self, channel: Channel) -> None:
        self.world.channels[channel.id] = channel
        self.world.messages[channel.id] = {}

    def _person(self, id_: int, channel: int, *, admin: bool) -> int:
        """Who is there, in that server or in a direct chat; the server's id."""
        if id_ not in self.world.users:
            self.world.users[id_] = User(id=id_, name=f"p{id_}", global_name=f"p{id_}")
            place = self.direct(id_)
            self._place(Channel(id=place, type=ChannelType.DM, recipient_ids=[id_]))
            self.world.dm_channels[id_] = place
        guild = self._guild_of(channel)
        if guild:
            self.world.add_member(guild, id_, roles=[guild + 1] if admin else [])
        return guild

    def _guild_told(self, guild: int) -> Data:
        told = serializers.guild_create_payload(self.world, self.world.guilds[guild])
        return {**self._ours(told), "premium_tier": self.guilds[guild]["premium_tier"]}

    def allow(self, guild: int, permissions: int) -> None:
        for role in self.world.guilds[guild].roles.values():
            role.permissions = permissions

    def leave(self, guild: int) -> None:
        super().leave(guild)
        self.world.remove_guild(guild)

    def unsays(self, message: Data) -> None:
        self.world.delete_message(int(message["channel_id"]), int(message["id"]))

    def moves_file(self, message: Data) -> None:
        (shown, *_) = self.world.get_message(int(message["channel_id"]), int(message["id"])).attachments
        data = self.world.cdn._blobs.pop(shown["url"])
        shown["url"] = self.world.cdn.store_attachment(self.world.snowflake(), 0, shown["filename"], data, None)["url"]
        self._look()

    # --- what happens

    def _happened(self, event: str, payload: Mapping[str, Any]) -> None:
        told = self._ours(payload)
        if event == "MESSAGE_CREATE":
            self._last = told
        self._look()
        self.tell(event, told)

    def repeat(self) -> None:
        self.tell("MESSAGE_CREATE", self._last)

    def told(self, message: Data) -> Data:
        return message

    def _shown(self, session: Session, name: str, data: Data) -> Sequence[Data]:
        """By simcord's table of intents."""
        screen = Screen(session.intents)
        FakeGateway(self.world, screen).feed(name, data)
        return screen.told

    def _look(self) -> None:
        """What stands there now; a message that is known stays the same object."""
        before = dict(self.messages)
        self.messages.clear()
        self.reactions.clear()
        found = [each for channel in self.world.messages.values() for each in channel.values()]
        for each in sorted(found, key=lambda message: message.id):
            message = before.get(each.id, {})
            message.clear()
            message.update(self._ours(serializers.message_payload(self.world, each)))
            self.messages[each.id] = message
            self.reactions[each.id] = [reaction.emoji for reaction in each.reactions if BOT in reaction.user_ids]
        self.secret = {each.id for each in found if each.is_ephemeral}

    def _ours(self, value: Any) -> Any:
        """With addresses of files on this server."""
        if isinstance(value, Mapping):
            return {key: self._ours(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._ours(each) for each in value]
        if isinstance(value, str) and value.startswith(CDN_BASE):
            return f"{self.url}/files{value.removeprefix(CDN_BASE)}"
        return copy.deepcopy(value)

    # --- what people do

    def says(
        self, text: str = "", *, by: int = 42, channel: int = 0, files: Mapping[str, bytes] | None = None, **more: Any
    ) -> Data:
        channel = channel or self.direct(by)
        self._person(by, channel, admin=bool(more.get("as_admin")))
        made = self.world.create_message(
            channel,
            by,
            text,
            attachments=self.world.store_attachments(channel, list((files or {}).items())),
            reference=more.get("message_reference"),
            webhook_id=more.get("webhook_id"),
            message_type=more.get("type"),
        )
        return self.messages[made.id]

    def edits(self, message: Data, text: str) -> None:
        self.world.edit_message(int(message["channel_id"]), int(message["id"]), {"content": text})

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
        guild = self._person(by, channel, admin=admin)
        record, told = base_payload(
            self.world, type=type_, channel_id=channel, guild_id=guild or None, user_id=by, data=data
        )
        told = self._ours({**told, "attachment_size_limit": limit, **more})
        if "message" in more:
            record.source_message_id = int(more["message"]["id"])
        where = {"by": by, "channel": channel}
        waiting = Waiting(record.id, record.token, {**told, "where": where}, self.now())
        self.interactions[record.id] = waiting
        self.tell("INTERACTION_CREATE", told)
        return waiting

    # --- files

    async def _file(self, request: Request) -> Response:
        found = self.world.cdn.get(f"{CDN_BASE}/{request.path_params['path']}")
        return Response(found) if found is not None else Response(status_code=404)

    def _attachment(self, name: str, data: bytes, alt: str = "") -> Data:
        made = self.world.cdn.store_attachment(self.world.snowflake(), 0, name, data, alt or None)
        told: Data = self._ours(made)
        return told

    def bytes_of(self, message: Data) -> list[bytes]:
        found = [self.world.cdn.get(CDN_BASE + each["url"].partition("/files")[2]) for each in message["attachments"]]
        return [each for each in found if each is not None]

    # --- REST

    async def _do(
        self, method: str, path: list[str], body: Any, files: list[tuple[str, bytes]], query: Mapping[str, str]
    ) -> Any:
        match method, path:
            case ("GET", ["gateway", "bot"]) | ("GET", ["oauth2", "applications", "@me"]):
                return await super()._do(method, path, body, files, query)
            case "GET", ["users", "@me", "guilds"]:
                found = self._ask(method, path, body, files, query)
                return [{**each, "permissions": self._allowed(int(each["id"]))} for each in found]
            case "GET", ["channels", channel, "messages"] if "after" in query:
                self._ask(method, path, body, files, query)
                return self._history(int(channel), query)
            case "PUT", ["applications", _, "commands"]:
                self._publish(body)
            case "POST", ["channels", channel, "typing"]:
                self.typing.append(int(channel))
            case "POST", ["users", "@me", "channels"]:
                self._person(int(body["recipient_id"]), 0, admin=False)
            case "POST", ["channels", channel, "messages"]:
                return self._say(int(channel), body, files)
            case "PATCH", ["channels", channel, "messages", _]:
                self._check_uploads(body, files, int(channel))
            case "POST", ["interactions", id_, token, "callback"]:
                return self._first(int(id_), token, body)
            case _, ["webhooks", _, token, *_]:
                asked = self._door(token).data
                self._check_uploads(body, files, int(asked["channel_id"]), most=int(asked["attachment_size_limit"]))
        return self._ask(method, path, body, files, query)

    def _allowed(self, guild: int) -> str:
        return str(self.world.compute_permissions(guild, BOT))

    def _ask(
        self,
        method: str,
        path: Sequence[str],
        body: Any,
        files: Sequence[tuple[str, bytes]] = (),
        query: Mapping[str, str] | None = None,
    ) -> Any:
        """Raises Refusal with simcord's code."""
        described = {str(each.get("id")): each for each in (body.get("attachments") or ())} if files else {}
        uploads = []
        for n, (name, data) in enumerate(files):
            about = described.get(str(n), {})
            uploads.append(Upload(about.get("filename") or name, io.BytesIO(data), about.get("description")))
        try:
            answer = router.dispatch(
                self.world,
                method,
                "/" + "/".join(path),
                json=body or None,
                params=dict(query or {}),
                files=uploads,
                message_content_access=self.privileged,
            )
        except router.RouteNotImplemented as unknown:
            raise Refusal(404, 0, "404: Not Found") from unknown
        except router.UnsupportedField:
            raise
        except BackendError as no:
            raise Refusal(no.status, no.code, no.message, no.errors) from no
        finally:
            self._look()
        return self._ours(answer)

    def _say(self, channel: int, body: Data, files: list[tuple[str, bytes]]) -> Data:
        self._check_open(channel)
        self._check_uploads(body, files, channel)
        if not ((body.get("content") or "").strip() or files or body.get("embeds") or body.get("components")):
            raise Refusal(400, 50006, "Cannot send an empty message")
        reference = body.get("message_reference") or {}
        if reference.get("fail_if_not_exists", True) and int(reference.get("message_id", 0)) not in {0, *self.messages}:
            raise invalid("message_reference", "Unknown message")
        if (again := self._sent_before(channel, body)) is not None:
            return again
        made: Data = self._ask("POST", ["channels", str(channel), "messages"], body, files)
        self._remember(channel, body, made)
        return made

    def _check_open(self, channel: int) -> None:
        super()._check_open(channel)
        if channel not in self.channels:
            self._person(channel - self.direct(0), channel, admin=False)

    def _first(self, id_: int, token: str, body: Data) -> Data:
        data = body.get("data") or {}
        if body["type"] == 8 and len(data["choices"]) > CHOICES:
            raise invalid("choices", f"Must be {CHOICES} or fewer in length.")
        if body["type"] == 9:
            self._check_modal(data)
        answer: Data = self._ask("POST", ["interactions", str(id_), token, "callback"], body)
        waiting, record = self.interactions[id_], self.world.interactions[id_]
        waiting.first, waiting.flags, waiting.given = body["type"], data.get("flags", 0), data
        waiting.original = record.message_id or 0
        if body["type"] == 9:
            self.modals.append({**data, "where": waiting.data["where"]})
        return answer
