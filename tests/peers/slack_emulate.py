"""Slack as npm's `emulate` 0.11.2 has it, which others wrote: people, channels, messages, threads, files, reactions, views.

What it knows it answers, and what stands there is read from it. The layer in front has what it lacks: Socket Mode, signed HTTP, slash
commands, interactivity, `response_url`, repetitions, rates, tokens that it does not know, forms in a query, and every limit of texts,
blocks, views and files, for it takes them of any size. It makes up the ids of people and of direct chats; the layer calls them by the
names that the tests know.

Where it is not as the vendor says, and the layer makes it so: it tells metadata to who does not ask for it; it tells the timestamp
of a share in the answer to the upload; a file without its token is a 401 and no page to log in. Left as it is: an app may write to
public channels where it is no member, and a file is ready at once.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from emulated import Emulate
from peers.slack import (
    ADA,
    BOB,
    BOT,
    DM,
    FILE_BYTES,
    GENERAL,
    SCOPES,
    TEAM,
    File,
    SlackPeer,
    Wire,
    _checked_view,
    _page,
)
from peers.slack_teams import Refusal

TOKENS: Mapping[str, str] = {BOT: SlackPeer.bot_token, ADA: "xoxp-ada", BOB: "xoxp-bob"}
ADMIN = "xoxp-admin"
WORKSPACE: Mapping[str, Any] = {
    "team": {"name": "Painters", "domain": "painters"},
    "users": [
        {"name": "ada", "real_name": "Ada", "profile": {"display_name": "Ada"}},
        {"name": "bob", "real_name": "Bob", "profile": {"display_name": "Bob"}},
    ],
    "oauth_apps": [
        {
            "app_id": "A1",
            "client_id": "1.2",
            "client_secret": "secret",
            "name": "Chatelier",
            "redirect_uris": ["https://chatelier.example/slack/oauth"],
            "scopes": SCOPES.split(","),
            "bot_id": "B1",
            "bot_user_id": BOT,
            "bot_name": "chatelier",
        }
    ],
    "tokens": [
        {
            "token": TOKENS[BOT],
            "type": "bot",
            "user_id": BOT,
            "bot_id": "B1",
            "bot_user_id": BOT,
            "app_id": "A1",
            "scopes": SCOPES.split(","),
        },
        {"token": TOKENS[ADA], "type": "user", "user": "ada"},
        {"token": TOKENS[BOB], "type": "user", "user": "bob"},
        {"token": ADMIN, "type": "user", "user": "admin"},
    ],
    "strict_scopes": False,
}
SQUARE, WORKPLACE = "C000000001", "T000000001"
"""The channel and the workspace that it begins with."""


class EmulatePeer(SlackPeer):
    """messages: what emulate shows, as of the last call that changed something. Its people are ADA and BOB, who edit nothing."""

    def __init__(self, server: Emulate, **changes: Any) -> None:
        super().__init__(**changes)
        self._emulate = server
        self._theirs: dict[str, str] = {}
        self._threads: set[tuple[str, str]] = set()
        self._people = httpx.Client(base_url=server.url, trust_env=False)
        self._bot = httpx.AsyncClient(base_url=server.url, trust_env=False)

    @asynccontextmanager
    async def live(self) -> AsyncIterator["EmulatePeer"]:
        self._emulate.begin_anew()
        with self._people:
            self._meet()
            async with self._bot, super().live():
                yield self

    def _meet(self) -> None:
        """Who and what is there under which id."""
        members = {each["name"]: each["id"] for each in self._as(ADMIN, "users.list")["members"]}
        self._theirs = {ADA: members["ada"], BOB: members["bob"], GENERAL: SQUARE, TEAM: WORKPLACE}
        self._theirs[DM] = self._as(TOKENS[BOT], "conversations.open", users=ADA)["channel"]["id"]
        self._as(ADMIN, "conversations.invite", channel=GENERAL, users=f"{members['ada']},{members['bob']},{BOT}")

    # --- asking it

    def _as(self, token: str, method: str, **given: Any) -> Wire:
        """Without the test's loop, for what people do at once."""
        asked = renamed({name: value for name, value in given.items() if value not in ("", None)}, self._theirs)
        answer = self._people.post(f"/api/{method}", json=asked, headers={"Authorization": f"Bearer {token}"})
        return self._heard(answer)

    async def _ask(self, method: str, given: Wire) -> Wire:
        """As the app. Raises Refusal with its word."""
        headers = {"Authorization": f"Bearer {self.bot_token}"}
        return self._heard(await self._bot.post(f"/api/{method}", json=renamed(given, self._theirs), headers=headers))

    def _heard(self, answer: httpx.Response) -> Wire:
        ours = {theirs: ours for ours, theirs in self._theirs.items()}
        said: Wire = renamed(answer.json(), ours, (self._emulate.url, self.url))
        if not said.pop("ok"):
            raise Refusal(said.pop("error"), **said)
        return said

    def _look(self) -> None:
        """What stands there now; a message that is known stays the same object."""
        found: dict[tuple[str, str], Wire] = {}
        for channel in (*self.channels,):
            for each in self._as(TOKENS[BOT], "conversations.history", channel=channel, limit=1_000)["messages"]:
                found[channel, each["ts"]] = each
        for channel, root in self._threads:
            for each in self._as(TOKENS[BOT], "conversations.replies", channel=channel, ts=root)["messages"]:
                found[channel, each["ts"]] = each
        before = dict(self.messages)
        self.messages.clear()
        for key in sorted(found, key=lambda key: key[1]):
            message = before.get(key, {})
            message.clear()
            message.update(found[key])
            self.messages[key] = message
        self.moved.set()

    async def _changing(self, method: str, given: Wire) -> Wire:
        if given.get("thread_ts"):
            self._threads.add((str(given.get("channel") or given.get("channel_id")), given["thread_ts"]))
        answer = await self._ask(method, given)
        self._look()
        return answer

    # --- what people do

    def keeps(self, data: bytes, name: str = "file.png", *, team: str = TEAM) -> Wire:
        """Uploaded, and shown to nobody until it is said. There is one team."""
        given = self._as(TOKENS[ADA], "files.getUploadURLExternal", filename=name, length=len(data))
        self._people.post(f"/upload/v1/{given['file_id']}", content=data)
        return {"id": given["file_id"]}

    def says(self, text: str = "", *, channel: str = DM, user: str = ADA, thread: str = "", **more: Any) -> Wire:
        if thread:
            self._threads.add((channel, thread))
        if files := more.get("files"):
            shown = self._as(
                TOKENS[user],
                "files.completeUploadExternal",
                files=[{"id": each["id"]} for each in files],
                channel_id=channel,
                initial_comment=text,
                thread_ts=thread,
            )["files"][0]["shares"]
            ts = next(shares[channel][0]["ts"] for shares in shown.values())
        else:
            ts = self._as(TOKENS[user], "chat.postMessage", channel=channel, text=text, thread_ts=thread)["ts"]
        self._look()
        message = self.messages[channel, ts]
        self.tell_of(message, channel)
        return message

    def trigger(self) -> str:
        found: str = self._as(TOKENS[BOT], "views.generateTriggerId", user_id=ADA)["trigger_id"]
        return found

    def bytes_of(self, message: Mapping[str, Any]) -> list[bytes]:
        """As whoever is in the channel would get them."""
        shown = [block["slack_file"]["id"] for block in message.get("blocks") or () if block["type"] == "image"]
        return [self._bytes(id_) for id_ in (*shown, *(file["id"] for file in message.get("files") or ()))]

    def _bytes(self, file: str) -> bytes:
        headers = {"Authorization": f"Bearer {self.bot_token}"}
        return self._people.get(f"/files-pri/{file}/x", headers=headers).raise_for_status().content

    # --- what it knows

    async def _do_auth_test(self, given: Wire) -> Wire:
        return await self._ask("auth.test", given)

    async def _do_users_info(self, given: Wire) -> Wire:
        return await self._ask("users.info", given)

    async def _do_conversations_open(self, given: Wire) -> Wire:
        return await self._ask("conversations.open", given)

    async def _do_conversations_history(self, given: Wire) -> Wire:
        answer = await self._ask("conversations.history", given)
        return answer | {"messages": _page(answer["messages"], {**given, "cursor": ""})["messages"]}

    async def _do_conversations_replies(self, given: Wire) -> Wire:
        answer = await self._ask("conversations.replies", given)
        return answer | {"messages": _page(answer["messages"], given)["messages"]}

    async def _do_chat_postmessage(self, given: Wire) -> Wire:
        self._checked(given)
        return await self._changing("chat.postMessage", given)

    async def _do_chat_postephemeral(self, given: Wire) -> Wire:
        """It keeps these and shows them to nobody, so the layer does."""
        self._checked(given)
        answer = await self._ask("chat.postEphemeral", given)
        self.ephemerals.append({**given, "ts": answer["message_ts"], "to": given["user"]})
        return answer

    async def _do_chat_update(self, given: Wire) -> Wire:
        self._checked(given)
        return await self._changing("chat.update", given)

    async def _do_chat_delete(self, given: Wire) -> Wire:
        return await self._changing("chat.delete", given)

    async def _do_reactions_add(self, given: Wire) -> Wire:
        return await self._changing("reactions.add", given)

    async def _do_reactions_remove(self, given: Wire) -> Wire:
        return await self._changing("reactions.remove", given)

    def signs(self, channel: str, ts: str) -> Sequence[str]:
        return [each["name"] for each in self.messages[channel, ts].get("reactions", ())]

    async def _do_views_open(self, given: Wire) -> Wire:
        _checked_view(given["view"])
        answer = await self._ask("views.open", given)
        self.views.append(answer["view"])
        return answer

    async def _do_views_publish(self, given: Wire) -> Wire:
        self._check_blocks(given["view"]["blocks"])
        answer = await self._ask("views.publish", given)
        self.homes[given["user_id"]] = answer["view"]
        return answer

    # --- files

    async def _do_files_getuploadurlexternal(self, given: Wire) -> Wire:
        size = int(given["length"])
        if not 1 <= size <= FILE_BYTES:
            raise Refusal("file_upload_size_restricted" if size > FILE_BYTES else "invalid_arguments")
        answer = await self._ask("files.getUploadURLExternal", given)
        self.files[answer["file_id"]] = File(answer["file_id"], given["filename"], size=size, looks=0)
        return answer

    async def _upload(self, request: Request) -> Response:
        """Its first bytes are kept: by them the layer knows whether it may stand in a block."""
        file, data = self.files[request.path_params["id"]], await request.body()
        if len(data) != file.size:
            return PlainTextResponse("Bad Request", 400)
        file.data = data[:16]
        answer = await self._bot.post(request.url.path, content=data)
        return PlainTextResponse(answer.text, answer.status_code)

    async def _do_files_completeuploadexternal(self, given: Wire) -> Wire:
        answer = await self._changing("files.completeUploadExternal", given)
        for each in answer["files"]:
            self.files[each["id"]].complete = True
        return {"files": [{"id": each["id"], "title": each["title"]} for each in answer["files"]]}

    async def _do_files_info(self, given: Wire) -> Wire:
        return await self._ask("files.info", given)

    async def _do_files_delete(self, given: Wire) -> Wire:
        answer = await self._changing("files.delete", given)
        del self.files[given["file"]]
        return answer

    async def _download(self, request: Request) -> Response:
        token = request.headers.get("authorization", "")
        if self.files_closed or token != f"Bearer {self.bot_token}":
            return HTMLResponse("<!DOCTYPE html><title>Sign in</title>")
        answer = await self._bot.get(request.url.path, headers={"Authorization": token})
        return Response(answer.content, answer.status_code, media_type=answer.headers["content-type"])

    def _app(self) -> Starlette:
        app = super()._app()
        app.routes.insert(0, Route("/upload/v1/{id}", self._upload, methods=["POST"]))
        app.routes.insert(0, Route("/files-pri/{id}/{name}", self._download))
        return app


def renamed(value: Any, names: Mapping[str, str], start: tuple[str, str] = ("", "")) -> Any:
    """All of it under other ids, and with addresses that begin otherwise."""
    if isinstance(value, dict):
        return {names.get(name, name): renamed(each, names, start) for name, each in value.items()}
    if isinstance(value, list):
        return [renamed(each, names, start) for each in value]
    if isinstance(value, str):
        return (
            start[1] + value.removeprefix(start[0])
            if start[0] and value.startswith(start[0])
            else names.get(value, value)
        )
    return value
