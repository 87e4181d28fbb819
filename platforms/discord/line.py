"""One connection: what comes in on it, in order and not before it is stored."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Self

import aiohttp
import discord
import structlog
from discord.http import Route

from chatelier import (
    Ask,
    ChatelierError,
    Defer,
    Event,
    Exists,
    FirstAnswer,
    Form,
    Gateway,
    Kind,
    Pressed,
    Tx,
    Unavailable,
)

from . import forms, inbound, interactions, outbound, words
from .commands import MORE
from .errors import Closed, told
from .guard import Guard
from .interactions import CHOICES, DEFERRED, DEFERRED_UPDATE, MESSAGE, MODAL, First, Interactions
from .limits import CHOICE
from .limits import CHOICES as MOST_CHOICES
from .places import FLUSH_SECONDS, Places
from .records import ANSWERS, FORMS, Place, WaitingForm
from .settings import AccountSettings

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

WAIT_SECONDS = 1.0
"""A pause that Discord wants is waited for here up to this; a longer one is told, so that others go on meanwhile."""
STORED_SECONDS = 2.0
"""For an interaction to be stored; Discord gives three for the answer."""
COMPLETE_SECONDS = 2.0
AGAIN_SECONDS, LONGEST_AGAIN_SECONDS = 0.2, 30.0
"""Between two tries to store a message."""
MOST_MESSAGES = 1_000
"""Of a channel that are read again; the library asks for a hundred at a time."""
OLDEST = timedelta(days=1)
KEPT = timedelta(days=1)
"""Forms, and answers whose place is taken."""
FORM_PREFIX = "f."
Work = Callable[[], Coroutine[Any, Any, None]]


class Line:
    """note_upload: told how large a file may be in a channel."""

    def __init__(
        self,
        account: str,
        settings: AccountSettings,
        gateway: Gateway,
        guard: Guard,
        note_upload: Callable[[int, int], None],
        deaf_seconds: float,
    ) -> None:
        self.gateway = gateway
        self.client = _client(settings, guard, deaf_seconds)
        self.interactions = Interactions(self.client.http, gateway.store)
        self.was_on_line = False
        self.files: aiohttp.ClientSession
        self._account = account
        self._note_upload = note_upload
        self._places = Places(gateway.store, account)
        self._waiting: asyncio.Queue[Work] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.files = await self._stack.enter_async_context(aiohttp.ClientSession())
        self._stack.push_async_callback(self._places.flush)
        self._stack.push_async_callback(self._stop)
        await self._stack.enter_async_context(self.client)
        self._listen()
        self._beside(self._work(), "messages")
        self._beside(self._keep(), "places")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def _stop(self) -> None:
        for task in (tasks := set(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _beside(self, work: Coroutine[Any, Any, None], what: str) -> None:
        task = asyncio.create_task(work, name=f"{what} {self._account}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _listen(self) -> None:
        client = self.client

        @client.event
        async def on_connect() -> None:
            self.was_on_line = True
            self._waiting.put_nowait(self._catch_up)
            user = client.user
            self.gateway.connected(self._account, f"@{user.name}" if user else "")

        @client.event
        async def on_resumed() -> None:
            self.gateway.connected(self._account, f"@{client.user.name}" if client.user else "")

        @client.event
        async def on_message(message: discord.Message) -> None:
            self._waiting.put_nowait(partial(self._said, message))

        @client.event
        async def on_raw_message_edit(change: discord.RawMessageUpdateEvent) -> None:
            if change.message.edited_at is not None:
                self._waiting.put_nowait(partial(self._said, change.message, edited=True))

        @client.event
        async def on_interaction(interaction: discord.Interaction[Any]) -> None:
            self._beside(self._interaction(interaction), "interaction")

    # --- messages

    async def _work(self) -> None:
        """One after the other: what is said comes in order."""
        while True:
            work = await self._waiting.get()
            try:
                await work()
            except Exception:  # what one message holds must not stop all others
                log.exception("a message cannot be read and is left out", account=self._account)

    async def _said(self, message: discord.Message, *, edited: bool = False) -> None:
        me = self.client.user.id if self.client.user else 0
        names = [each.name for each in self.gateway.commands]
        event = inbound.message_event(message, self._account, me, names, edited=edited)
        if event is not None:
            await self._places.meet(message)
            first = await self._stored(event)
            if isinstance(first, Ask):
                await self._offer(event, first.form)
        if not message.author.bot:
            self._places.note(message)

    async def _stored(self, event: Event) -> FirstAnswer:
        """Discord tells a message once, so it is kept here until it is stored."""
        pause = AGAIN_SECONDS
        while True:
            try:
                return await self.gateway.receive(event)
            except Unavailable as away:
                log.warning("a message waits for the store", account=self._account, reason=str(away))
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_AGAIN_SECONDS)

    async def _offer(self, event: Event, form: Form) -> None:
        """A message cannot open a form, so a button below it does. Who writes instead answers the first question."""
        waiting = WaitingForm(key=form.key, form=form, created=datetime.now(UTC))
        with suppress(Exists):
            await self.gateway.store.atomically(lambda tx: tx.insert(FORMS, waiting))
        button = {"type": 2, "style": 1, "label": words.FORM_BUTTON, "custom_id": f"{FORM_PREFIX}{form.key}"}
        payload = {
            "content": words.form(form.title, forms.first_of(form)),
            "components": [{"type": 1, "components": [button]}],
            "allowed_mentions": {"parse": []},
        }
        if event.keys[-1].isdecimal():
            payload["message_reference"] = {"message_id": event.keys[-1], "fail_if_not_exists": False}
        route = Route("POST", "/channels/{channel_id}/messages", channel_id=inbound.target_of(event.chat))
        try:
            with told():
                await self.client.http.request(route, json=payload)
        except (ChatelierError, Closed) as error:  # the first question can be answered in words
            log.info("form not offered", account=self._account, error=str(error))

    # --- after a loss

    async def _catch_up(self) -> None:
        """What was written while nobody listened. What was stored already is known by its key."""
        await self._places.forget_old()
        try:
            places = await self._places.recent()
        except ChatelierError as away:
            log.warning("history not read", account=self._account, error=str(away))
            return
        for place in places:
            try:
                await self._read_again(place)
            except (discord.DiscordException, aiohttp.ClientError, ChatelierError) as error:
                log.info("history not read", account=self._account, channel=place.channel, error=str(error))

    async def _read_again(self, place: Place) -> None:
        client, id_ = self.client, int(place.channel)
        guild_id = int(place.guild) if place.guild else None
        found = client.get_channel(id_)
        channel = found if isinstance(found, discord.abc.Messageable) else client.get_partial_messageable(
            id_, guild_id=guild_id
        )  # fmt: skip
        last = max(int(place.last), discord.utils.time_snowflake(datetime.now(UTC) - OLDEST))
        async for message in channel.history(after=discord.Object(last), oldest_first=True, limit=MOST_MESSAGES):
            await self._said(message)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self._places.flush()
            before = datetime.now(UTC) - KEPT
            with suppress(ChatelierError):
                kinds: Sequence[Kind[Any]] = (ANSWERS, FORMS)
                for kind in kinds:
                    old = await self.gateway.store.find(kind, order="created", until=before)
                    await self.gateway.store.atomically(partial(_forget, kind, [each.key for each in old]))

    # --- interactions

    async def _interaction(self, interaction: discord.Interaction[Any]) -> None:
        try:
            if interaction.type is discord.InteractionType.autocomplete:
                await self._complete(interaction)
            elif interaction.type is discord.InteractionType.component and self._form_key(interaction):
                await self._open(interaction, self._form_key(interaction))
            else:
                await self._handle(interaction)
        except (Closed, ChatelierError) as late:
            log.info("interaction not answered", account=self._account, reason=str(late))
        except Exception:  # what one of them holds must not stop all others
            log.exception("an interaction cannot be read and is left out", account=self._account)

    @staticmethod
    def _form_key(interaction: discord.Interaction[Any]) -> str:
        custom_id = str(_data(interaction).get("custom_id", ""))
        return custom_id.removeprefix(FORM_PREFIX) if custom_id.startswith(FORM_PREFIX) else ""

    async def _handle(self, interaction: discord.Interaction[Any]) -> None:
        data, type_ = _data(interaction), interaction.type
        body: Any
        match type_:
            case discord.InteractionType.application_command:
                body = inbound.called(data, self._account)
            case discord.InteractionType.component:
                body = inbound.pressed(data, interaction.message.id if interaction.message else None)
            case discord.InteractionType.modal_submit:
                body = forms.filled(data, self._account)
            case _:
                return
        if body is None:
            await self._say(interaction, words.NO_RESULT)
            return
        event = inbound.interaction_event(interaction, self._account, body)
        self._note_upload(inbound.target_of(event.chat), interaction.filesize_limit)
        self.interactions.expect(interaction.id)
        storing = asyncio.ensure_future(self.gateway.receive(event))
        try:
            async with asyncio.timeout(STORED_SECONDS):
                first = await asyncio.shield(storing)
        except TimeoutError:
            await self._first(interaction, Defer(private=True), event)
            await self._late(interaction, storing, event)
        except Unavailable as away:
            log.info("an interaction was not taken", account=self._account, reason=str(away))
            await self._say(interaction, words.NOT_READY)
        else:
            await self._first(interaction, first, event)

    async def _late(
        self, interaction: discord.Interaction[Any], storing: "asyncio.Future[FirstAnswer]", event: Event
    ) -> None:
        """What was to be the first answer comes behind it: a form can be opened by a button only."""
        try:
            first = await storing
        except Unavailable as away:
            log.info("an interaction was not taken", account=self._account, reason=str(away))
            door = interactions.door_of(event.native)
            if door is not None and interaction.type is not discord.InteractionType.component:
                await self.interactions.fill(door, {"json": {"content": words.NOT_READY}})
            elif door is not None:
                told_alone = {"content": words.NOT_READY, "flags": outbound.ONLY_FOR_ONE}
                await self.interactions.follow(door, {"json": told_alone})
            return
        if isinstance(first, Ask):
            await self._offer(event, first.form)

    async def _first(self, interaction: discord.Interaction[Any], first: FirstAnswer, event: Event) -> None:
        """Within three seconds. Whether others see the answer is fixed with it."""
        is_press = interaction.type is discord.InteractionType.component
        is_private = isinstance(first, Defer) and first.private and not event.chat.direct
        if isinstance(first, Ask):
            await self._answer(interaction, MODAL, forms.modal(first.form), "none")
        elif is_press and not is_private:
            await self._answer(interaction, DEFERRED_UPDATE, None, "silent")
        elif is_private or (isinstance(event.body, Pressed) and not event.chat.direct):  # from the menu of a message
            await self._answer(interaction, DEFERRED, {"flags": outbound.ONLY_FOR_ONE}, "private")
        else:
            await self._answer(interaction, DEFERRED, {}, "public")

    async def _answer(
        self, interaction: discord.Interaction[Any], type_: int, data: Mapping[str, Any] | None, first: First
    ) -> None:
        await self.interactions.answer(interaction.id, interaction.token, type_, data, first)

    async def _say(self, interaction: discord.Interaction[Any], text: str) -> None:
        """To who acted alone."""
        await self._answer(interaction, MESSAGE, {"content": text, "flags": outbound.ONLY_FOR_ONE}, "silent")

    async def _open(self, interaction: discord.Interaction[Any], key: str) -> None:
        waiting = await self.gateway.store.get(FORMS, key)
        if waiting is None:
            await self._say(interaction, words.FORM_GONE)
        else:
            await self._answer(interaction, MODAL, forms.modal(waiting.form), "none")

    async def _complete(self, interaction: discord.Interaction[Any]) -> None:
        data = _data(interaction)
        focused: Mapping[str, Any] = next((each for each in data.get("options", ()) if each.get("focused")), {})
        typed = str(focused.get("value", ""))
        is_name = data.get("name") == MORE
        command, option = ("", "") if is_name else (str(data.get("name", "")), str(focused.get("name", "")))
        chat, sender = inbound.chat_of(interaction, self._account), inbound.handle(interaction.user.id)
        found = []
        with suppress(TimeoutError):
            async with asyncio.timeout(COMPLETE_SECONDS):
                found = list(await self.gateway.complete(chat, sender, command, option, typed))
        choices = [
            {"name": (each.label or each.value)[:CHOICE], "value": each.value.removeprefix("/")}
            for each in found
            if len(each.value) <= CHOICE
        ]
        await self._answer(interaction, CHOICES, {"choices": choices[:MOST_CHOICES]}, "silent")


def _client(settings: AccountSettings, guard: Guard, deaf_seconds: float) -> discord.Client:
    intents = discord.Intents(guilds=True, guild_messages=True, dm_messages=True)
    intents.message_content = settings.message_content
    options: dict[str, Any] = {
        "intents": intents,
        "allowed_mentions": discord.AllowedMentions.none(),
        "max_messages": None,
        "member_cache_flags": discord.MemberCacheFlags.none(),
        "chunk_guilds_at_startup": False,
        "guild_ready_timeout": 0.0,
        "http_trace": guard.trace(),
        "heartbeat_timeout": deaf_seconds,
    }
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # nobody speaks here
    client: discord.Client
    if settings.shards == 1:
        client = discord.Client(**options)
    else:
        client = discord.AutoShardedClient(shard_count=settings.shards or None, **options)
    client.http.max_ratelimit_timeout = WAIT_SECONDS
    return client


def _data(interaction: discord.Interaction[Any]) -> Mapping[str, Any]:
    data: Any = interaction.data or {}
    return data  # type: ignore[no-any-return] # as it came


async def _forget(kind: Any, keys: list[str], tx: Tx) -> None:
    for key in keys:
        await tx.delete(kind, key)
