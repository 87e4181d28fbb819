"""The composition root: what a running gateway is made of, in order of dependency, and how it stops."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from starlette.routing import BaseRoute

from .accounts import Account
from .chat.capabilities import Capabilities
from .chat.inbox import Inbox
from .chat.incoming import cleaned
from .chat.messages import FILE_TYPES, ChatRef, Choice, Event, FileRef, FirstAnswer
from .chat.outbox import MESSAGES, Message
from .chat.platform import Platform, Published, Publishes
from .clock import Clock, SystemClock
from .commands.command import Command
from .commands.complete import complete
from .commands.registry import Registry
from .errors import ChatelierError, OperatorMust, Refused, Unavailable
from .generation.dispatcher import Dispatcher
from .generation.fleet import Fleet
from .generation.outages import Outages
from .generation.placing import Placing
from .generation.queue import Queue
from .generation.roster import is_draining
from .generation.run import Workshop
from .generation.workflow_commands import command_for, offers
from .handling import Handling
from .housekeeping import Housekeeping
from .http.application import Health as Condition
from .log import get_logger, hide
from .media.bare import BareBlobs
from .media.blob import Blobs
from .media.blobs import FolderBlobs
from .media.films import Films
from .media.intake import Intake
from .media.pictures import PictureLimits, Pictures
from .media.renditions import Renditions
from .people.operators import Operators
from .plugins import Plugins
from .points.payments import Payments, approved, offered
from .points.service import Points
from .registered import add_named, backends_of, catalogue_of, collect, commands_of, open_store_of
from .roll import Roll
from .settings import Settings
from .storage import Store, Tx
from .supervise import Health, Supervised, Watchdog, apart, guarded, reason
from .telling import Telling

log = get_logger(__name__)

FETCH_SECONDS = 600.0
"""How long results that cannot be fetched or stored are tried for."""
DRAIN_SECONDS = 10.0
"""At a stop: for handlers and jobs to end by themselves. A container is killed after thirty seconds, often ten."""
DELIVER_SECONDS = 3.0
"""At a stop, after that: for messages that are on their way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds that a plugin's code is waited for: as it begins, as it stops, and while it tells its network the commands.

    handler: for one event, with the files that came with it.
    """

    start: float = 10.0
    stop: float = 5.0
    publish: float = 10.0
    handler: float = 120.0


class Runtime:
    """A gateway with its store open. `serve` runs it; it is the `Gateway` that platforms are given.

    owner: this process, in leases. alone: it serves only the account that `attach` gives it, and only its jobs.
    """

    def __init__(
        self, settings: Settings, plugins: Plugins, store: Store, clock: Clock, *, alone: bool, patience: Patience
    ) -> None:
        self.settings = settings
        self.patience = patience
        self.plugins = plugins
        self.store = store
        self.clock = clock
        self.alone = alone
        self.owner = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
        self.accepting = True
        self.platforms: dict[str, Platform] = {}
        self.previews: dict[str, bytes] = {}
        self.inbox = Inbox(store, self.owner)
        self.accounts = Roll(
            self.platforms, self._account, self._end, store=store, inbox=self.inbox, clock=clock, alone=alone
        )
        self.registry = Registry()
        self.handling = Handling(self)
        self.watchdog = Watchdog(plugins.owner_of)
        self.telling = Telling(plugins)
        self.points = Points(settings.points, plugins, store, clock, settings.limits.run_seconds)
        self._unpublished = asyncio.Event()
        self._problems: list[str] = []
        self._left_out: tuple[str, ...] = ()

    # --- made once, by `open_runtime`

    async def build(self, stack: AsyncExitStack) -> None:
        limits = self.settings.limits
        media = self.settings.media
        self.pictures = await stack.enter_async_context(
            Pictures(PictureLimits(pixels=limits.picture_pixels), media.workers, limits.open_edits)
        )
        self.films = await stack.enter_async_context(Films(media.video_seconds, each=limits.open_edits))
        data = self.settings.data_dir
        blobs = FolderBlobs(data / "blobs", self.store, self.clock, self.pictures, self.films)
        with usable(data):
            if self.settings.workflows.folder == data / "workflows":
                # So that a file can be dropped there.
                await asyncio.to_thread((data / "workflows").mkdir, parents=True, exist_ok=True)
            await blobs.start()
        self.blobs: Blobs = blobs
        self.housekeeping = Housekeeping(self.store, blobs, self.settings.retention, self.clock)
        self.intake = Intake(self.platforms, self.blobs, self.pictures, limits.upload_bytes)
        self.renditions = Renditions(self.store, self.intake, self.pictures, self.films)
        self.backends = backends_of(self.settings, self.plugins, self._problem)
        self.backend_lives = {
            name: Supervised(name, backend.run, self.clock) for name, backend in self.backends.items()
        }
        self.fleet = Fleet(self.backends, self.store, self.clock)
        self.queue = Queue(self.store, self.clock, self.fleet)
        operators = Operators(self.settings.operators, self.platforms, self.store, self.clock)
        minutes = limits.backend_down_minutes
        self.outages = Outages(self.fleet, self.store, self.clock, operators, self.telling, minutes)
        self.workshop = Workshop(
            store=self.store,
            blobs=self.blobs if media.keep_graphs else BareBlobs(self.blobs, self.pictures),
            backends=self.backends,
            fleet=self.fleet,
            placing=Placing(self.fleet, self.clock),
            clock=self.clock,
            owner=self.owner,
            attempts=limits.attempts,
            run_seconds=limits.run_seconds,
            fetch_seconds=FETCH_SECONDS,
            previews=self.previews,
            offers=lambda workflow: offers(self.catalogue, workflow),
            begin=self.begin,
            changed=lambda job, before: self.telling.tell("job_changed", job=job, before=before),
        )
        self.dispatcher = Dispatcher(self.workshop)
        await self._offer()
        self.payments: dict[str, Payments] = {}
        if self.points.enabled:
            self._collect("register_payments", Payments, partial(add_named, self.payments))
        if not self.alone:
            self._collect("register_platforms", Platform, self.accounts.enter)
        for plugin, life in self.plugins.results("lifespan", gateway=self, settings=self.settings):
            await stack.enter_async_context(self._living(plugin, life))

    @asynccontextmanager
    async def _living(self, plugin: str, life: AbstractAsyncContextManager[None]) -> AsyncIterator[None]:
        """A plugin's lifespan in a task of its own, so that what goes wrong in there does not cancel the gateway."""
        begun, stop = asyncio.Event(), asyncio.Event()

        async def inside() -> None:
            async with life:
                begun.set()
                await stop.wait()

        async def live() -> None:
            try:
                await apart(inside())
            except Exception as error:  # noqa: BLE001 - a plugin's own tasks; the gateway runs without them
                self._problem(f"plugin {plugin}: {reason(error)}")
            finally:
                begun.set()

        living = asyncio.create_task(live(), name=f"plugin {plugin}")
        try:
            try:
                async with asyncio.timeout(self.patience.start):
                    await begun.wait()
            except TimeoutError:
                self._problem(f"plugin {plugin}: it did not begin within {self.patience.start:g} s; it is left out")
                await self._end(living)
            yield
        finally:
            stop.set()
            _, late = await asyncio.wait({living}, timeout=self.patience.stop)
            if late:
                self._problem(f"plugin {plugin}: it did not stop within {self.patience.stop:g} s")
                await self._end(living)

    async def _end(self, task: asyncio.Task[None]) -> None:
        """Cancel it and wait, but not for ever."""
        task.cancel()
        _, late = await asyncio.wait({task}, timeout=self.patience.stop)
        if late:
            log.error("does not stop; left behind", part=task.get_name())

    async def _offer(self) -> None:
        """Commands of plugins, then one for each workflow; the latter follow the catalogue."""
        self.registry = commands_of(self.settings, self.plugins, self._problem)
        self.catalogue = catalogue_of(self.settings, self.plugins, self.clock, self.registry, self._problem)
        self.catalogue.listeners.append(self._follow_catalogue)
        await self.catalogue.refresh()

    def _follow_catalogue(self) -> None:
        commands = [command_for(one) for one in self.catalogue.workflows]
        self._left_out = self.registry.replace_group("workflows", commands)
        for problem in self._left_out:
            log.error("problem", problem=problem)

    def _collect(self, hook: str, kind: Any, take: Callable[[Any], str]) -> None:
        collect(self.plugins, hook, kind, take, self._problem, self.settings)

    def routes(self) -> list[BaseRoute]:
        """What plugins serve on the one port."""
        routes: list[BaseRoute] = []

        def add(route: BaseRoute) -> str:
            routes.append(route)
            return ""

        self._collect("register_routes", BaseRoute, add)
        return routes

    def _account(self, platform: Platform) -> Account:
        return Account(
            platform,
            self,
            self.store,
            self.owner,
            clock=self.clock,
            previews=self.previews,
            queue=self.queue,
            renditions=self.renditions,
        )

    def _problem(self, words: str) -> None:
        log.error("problem", problem=words)
        self._problems.append(words)

    @property
    def problems(self) -> Sequence[str]:
        """What the operator should know, a line each: of plugins since the start, of workflows as they are now."""
        return [*self._problems, *self._left_out]

    async def attach(self, platform: Platform) -> bool:
        """Hold an account that lives in this process. False when another process holds it."""
        account = self._account(platform)
        if not await account.take():
            return False
        self.accounts.hold(account)
        self.dispatcher.account = platform.name
        return True

    # --- what platforms ask

    @property
    def commands(self) -> Sequence[Published]:
        return tuple(self.registry)

    @property
    def operators(self) -> Sequence[str]:
        return self.settings.operators

    @property
    def account_names(self) -> Sequence[str]:
        return tuple(self.accounts)

    async def receive(self, event: Event) -> FirstAnswer:
        if (account := self.accounts.get(event.chat.platform)) is None:
            raise Unavailable(f"there is no account {event.chat.platform}")
        account.heard()
        return await self.handling.receive(cleaned(event))

    async def complete(self, chat: ChatRef, sender: str, command: str, option: str, typed: str) -> Sequence[Choice]:
        return complete(self.registry, command, option, typed)

    async def approve(self, chat: ChatRef, sender: str, invoice: str, amount: int, currency: str) -> Refused | None:
        return await approved(
            self.store, sender, (invoice, amount, currency), self.clock.now(), offered(self.payments, chat)
        )

    def connected(self, platform: str, detail: str = "") -> None:
        if (account := self.accounts.get(platform)) is not None:  # it may just be going
            account.connection.up(detail)
            self._unpublished.set()

    # --- what handlers ask

    async def begin(self, tx: Tx, row: Message, before: Message | None) -> Message:
        """A message that is about to be stored, as its account wants it stored."""
        account = self.accounts.get(row.account)
        return row if account is None else await account.begin(tx, row, before)

    def capabilities(self, chat: ChatRef) -> Capabilities:
        return self.platforms[chat.platform].capabilities(chat)

    def is_operator(self, handle: str) -> bool:
        return handle in self.settings.operators

    async def refusal(self, event: Event, command: str) -> str:
        """Why plugins do not let this call pass, "" when they do."""
        for answer in await self.plugins.every("admit", seconds=2.0, event=event, command=command):
            if answer.error is None and not isinstance(answer.value, str):
                log.error("admit answered with no words", plugin=answer.plugin, type=type(answer.value).__name__)
            if not isinstance(answer.value, str):
                return f"The plugin {answer.plugin} could not decide whether that is allowed. Please try again."
            if answer.value:
                return answer.value
        return ""

    async def read_files(self, command: Command, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values with every file in the blob store. Raises BadInput, in words."""
        types = {option.name: option.type for option in command.options}
        read = dict(values)
        for name, value in values.items():
            if types.get(name) in FILE_TYPES and isinstance(value, FileRef | str) and value:
                read[name] = await self.intake.read(value, types[name])
        return read

    # --- life

    async def serve(self, stop: asyncio.Event, ready: Callable[[], Awaitable[None]] | None = None) -> None:
        """Run until `stop` is set, then: no new events, drain, last writes, leases given back."""
        own: dict[str, Callable[[], Awaitable[None]]] = {
            "dispatcher": self.dispatcher.run,
            "sweep": self.handling.sweep,
            "workflows": self._watch,
            "housekeeping": self.housekeeping.run,
            "commands": self._publish,
            "outages": self.outages.run,
            "telling": self.telling.run,
            "points": partial(self.points.watch, self.telling.tell),
            "farewells": self.accounts.farewells,
        }
        async with self.watchdog:
            # Each is supervised or catches everything itself, so none of them ends before it is told to.
            parts = {name: Supervised(name, run, self.clock, mends=True).run for name, run in own.items()}
            backends = {f"backend {name}": life.run for name, life in self.backend_lives.items()}
            running = [asyncio.create_task(run(), name=name) for name, run in parts.items()]
            self.accounts.begin()
            behind = [asyncio.create_task(run(), name=name) for name, run in backends.items()]
            try:
                if ready is not None:
                    await ready()
                await stop.wait()
                await self._wind_down()
            finally:
                # In this order: a job gives its lease back before its backend goes, so that it is not taken for lost.
                for task in running:
                    await self._end(task)
                await self.accounts.end()
                for task in behind:
                    await self._end(task)
        await self.accounts.release()

    async def _wind_down(self) -> None:
        self.accepting = False
        self.dispatcher.stop_intake()
        log.info("stopping", jobs=len(self.dispatcher.running))
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self.handling.drained()
                await self.dispatcher.drained()
        except TimeoutError:
            log.info("jobs go on after the next start", jobs=len(self.dispatcher.running))
        await self.handling.stop()
        try:
            async with asyncio.timeout(DELIVER_SECONDS):
                await self._delivered()
        except (TimeoutError, ChatelierError):
            log.info("messages go out after the next start")

    async def _delivered(self) -> None:
        changes = self.store.changes(MESSAGES)
        for name in [name for name, account in self.accounts.items() if account.is_held]:
            for state in ("pending", "sending"):
                where = {"account": name, "state": state}
                while await self.store.find(MESSAGES, where, order="place", limit=1):
                    await changes.wait(0.5)

    async def _watch(self) -> None:
        await self.catalogue.watch()
        await asyncio.Event().wait()  # no source has anything to say any more; that is no loss

    async def _publish(self) -> None:
        """Tell the networks that list commands: now, when the set changes, and when an account comes on line."""
        self.catalogue.listeners.append(self._unpublished.set)
        self._unpublished.set()
        try:
            while True:
                await self._unpublished.wait()
                self._unpublished.clear()
                for platform in list(self.platforms.values()):
                    if isinstance(platform, Publishes):
                        await self._publish_to(platform.name, platform)
        finally:
            self.catalogue.listeners.remove(self._unpublished.set)

    async def _publish_to(self, account: str, network: Publishes) -> None:
        try:
            async with asyncio.timeout(self.patience.publish):
                await guarded(network.publish(self.commands))
        except Unavailable as away:  # it comes on line later, and is told then
            log.info("commands not published yet", account=account, reason=str(away))
        except Exception as error:  # noqa: BLE001 - a platform's code may raise anything
            log.warning("commands not published", account=account, error=reason(error))

    # --- health

    async def condition(self) -> Condition:
        """For `/readyz`: messages are taken, the store answers, and each part in words."""
        try:
            draining, store = await is_draining(self.store), "up"
        except ChatelierError as away:
            draining, store = False, str(away)
        lives = {name: life.health for name, life in self.backend_lives.items()}
        return Condition(
            ready=self.accepting and store == "up",
            draining=draining,
            store=store,
            accounts={name: account.connection.health.state for name, account in self.accounts.items()},
            backends={name: health.state for name, health in lives.items()},
            stalls=[f"{stall.plugin or 'the gateway'}: {stall.where}" for stall in self.watchdog.stalls],
        )

    def health(self) -> dict[str, Health]:
        """Of accounts and backends, by name."""
        parts = {name: account.connection.health for name, account in self.accounts.items()}
        return {**parts, **{name: life.health for name, life in self.backend_lives.items()}}


@contextmanager
def usable(data_dir: Path) -> Iterator[None]:
    """Says OperatorMust for an operating system that does not let the gateway write there."""
    try:
        yield
    except OSError as error:
        raise OperatorMust(
            f"data_dir: {data_dir} cannot be used: {error.strerror}. Set data_dir to a folder that this user may write to."
        ) from error


@asynccontextmanager
async def open_runtime(
    settings: Settings,
    plugins: Plugins,
    *,
    clock: Clock | None = None,
    alone: bool = False,
    wrap: Callable[[Store], Store] = lambda store: store,
    patience: Patience = Patience(),
) -> AsyncIterator[Runtime]:
    """A gateway with its store open, not yet serving. `wrap`: puts something in front of the store. Raises OperatorMust."""
    clock = clock or SystemClock()
    hide(settings.secrets())
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store_of(settings, plugins, clock))
        runtime = Runtime(settings, plugins, wrap(store), clock, alone=alone, patience=patience)
        await runtime.build(stack)
        yield runtime
