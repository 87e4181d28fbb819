"""Events become answers: each is handled once, in a task of its own, in order within a person's conversation."""

import asyncio
from collections.abc import Collection, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from .chat import words as chat_words
from .chat.albums import JOIN_SECONDS, Album, AlbumKey, album_of, joined
from .chat.buttons import ACTIONS, OnJob, read, store_action
from .chat.inbox import ARRIVALS, TRIES, Arrival, conversation, finish
from .chat.messages import (
    FILE_TYPES,
    Ask,
    Called,
    ChatChanged,
    Defer,
    Event,
    FileRef,
    FirstAnswer,
    Option,
    Paid,
    Pressed,
    Reply,
    Said,
    Value,
)
from .chat.outbox import Address, post
from .commands import words as command_words
from .commands.call import Call
from .commands.command import Command
from .commands.forms import form_for, missing, question
from .commands.menus import show_menu
from .commands.router import Asks, Meant, Nothing, OnResult, Router
from .errors import BadInput, ChatelierError, Exists, Gone, Lost, Refused, Unavailable
from .generation.jobs import JOBS
from .generation.subject import newest_files
from .generation.verbs import press, tweak_form
from .keys import derived, token
from .leases import Lease
from .log import context, get_logger
from .people.people import PEOPLE, Person, person_of
from .points import words as point_words
from .points.payments import gave_back, settle_payment
from .points.scenarios import migrate
from .points.service import group_of
from .sessions.session import Session, ask, session_of
from .storage import Tx
from .supervise import OutOfTime, apart, reason
from .values import replace

if TYPE_CHECKING:
    from .gateway import Runtime

log = get_logger(__name__)

SWEEP_SECONDS = 5.0
LONGEST_SECONDS = 600.0
"""Between two tries of an event that is tried until it is done."""
"""How often events are looked for that a killed process left, or that are to be tried again."""

Tasks: TypeAlias = dict[asyncio.Task[None], Arrival | None]
"""Tasks in their order, each with the event that it handles."""
Line: TypeAlias = tuple[str, str]
"""A person's handle and a conversation: what is said there is handled in order."""


def _is_money(arrival: Arrival) -> bool:
    """It is tried until it is done: nobody else knows of it."""
    return isinstance(arrival.event.body, Paid)


class Handling:
    """Handlers of the events that this process took.

    handled: how many it answered so far. refused: those of them that were refused, in words.
    """

    def __init__(self, runtime: "Runtime") -> None:
        self.runtime = runtime
        self.router = Router(runtime)
        self.handled = 0
        self.refused = 0
        self._arriving = 0
        self._albums: dict[AlbumKey, Album] = {}
        self._tasks: Tasks = {}
        self._lines: dict[Line, Tasks] = {}

    # --- taking in

    async def receive(self, event: Event) -> FirstAnswer:
        """Durable when it returns. Raises Unavailable when it cannot be, or when too many wait already."""
        if not self._has_room:
            raise Unavailable(chat_words.BUSY)
        self._arriving += 1
        try:
            return await self._take(event)
        finally:
            self._arriving -= 1

    async def _take(self, event: Event) -> FirstAnswer:
        try:
            event = await self.router.resolved(event)
            meant = self._meant(event)
            asking = await self._ask_first(event, meant) if album_of(event) is None else None
            if asking is not None:
                return asking
            arrival = await self.runtime.inbox.accept(event)
        except Exists:
            return None
        self.start(arrival, meant)
        return Defer(private=meant.command.private) if meant else Defer()

    def _meant(self, event: Event) -> Meant | None:
        try:
            return self.router.at_once(event)
        except Exception:  # noqa: BLE001 - the options are a plugin's; whatever is wrong, the handler says it in words
            return None

    async def _ask_first(self, event: Event, meant: Meant | None) -> Ask | None:
        """The form that is the first answer to it, where the conversation has forms; the event is handled by it."""
        if not self.runtime.capabilities(event.chat).forms:
            return None
        asking = await self._form_of_button(event)
        if asking is not None:
            with suppress(Exists):  # a repeat of it: the network never heard the answer
                await self.runtime.inbox.accept(event, _nothing)
            return asking
        if meant is None or not self._lacks_words(meant, event):
            return None
        return await self._ask_all(event, await self.router.carried(event, meant))

    async def _ask_all(self, event: Event, meant: Meant) -> Ask | None:
        """A form for everything. Who closes it may answer the first question of it in a message, as without forms."""
        command, key = meant.command, derived("form", event.chat.platform, *event.keys)
        lacking = missing(command, meant.values)[0]

        async def work(tx: Tx) -> None:
            await store_action(tx, command.name, meant.values, more=meant.more, person=event.sender, once=True, key=key)
            person = await person_of(tx, event.sender, event.name)
            where = conversation(event.chat)
            await ask(tx, person.key, where, command.name, lacking.name, meant.values, more=meant.more)

        try:
            await self.runtime.inbox.accept(event, work)
        except Exists:
            if await self.runtime.store.get(ACTIONS, key) is None:
                return None  # it was answered; whoever repeats the event has nothing more to show
        return Ask(form=form_for(command, meant.values, f"a.{key}"))

    async def _form_of_button(self, event: Event) -> Ask | None:
        if not isinstance(event.body, Pressed):
            return None
        match read(event.body.payload):
            case OnJob(job=key, verb="tweak"):
                job = await self.runtime.store.get(JOBS, key)
                return tweak_form(job, event, self.runtime) if job else None
        return None

    def _lacks_words(self, meant: Meant, event: Event) -> bool:
        """Whether a form is due: a required option is missing that the message cannot have brought otherwise."""
        brings_files = isinstance(event.body, Said | Called) and _has_files(event.body)
        lacking = missing(meant.command, meant.values)
        return any(not brings_files or option.type not in FILE_TYPES for option in lacking)

    # --- handling

    def start(self, arrival: Arrival, meant: Meant | None) -> None:
        """Handle it in a task: after, beside or in place of what the person's conversation is at, as the command says.

        meant: what the event alone asks for.
        """
        line = (arrival.event.sender, conversation(arrival.event.chat))
        if (key := album_of(arrival.event)) is not None:
            self._join(arrival, key, line)
        elif meant is not None and meant.command.overlap == "concurrent":
            self._spawn(self._in_turn((), arrival, meant), arrival)
        else:
            before = self._before(dict(self._lines.get(line, {})), meant, line)
            self._spawn(self._in_turn(before, arrival, meant), arrival, line)

    def _before(self, earlier: Tasks, meant: Meant | None, line: Line) -> Collection[asyncio.Task[None]]:
        """What an event waits for, of the earlier ones of its line; those that it takes the place of are stopped."""
        if meant is None or meant.command.overlap == "queue":
            return earlier
        if meant.command.overlap == "concurrent":
            return ()
        for task, arrival in earlier.items():
            if arrival is not None:
                task.cancel()
        for album in self._albums.values():
            album.is_replaced = album.is_replaced or album.task in earlier
        return (self._spawn(self._drop(earlier), None, line),)

    def _join(self, part: Arrival, key: AlbumKey, line: Line) -> None:
        """Wait for the rest of its album. It has its place in the line from its first part on."""
        now = self.runtime.clock.monotonic()
        if (album := self._albums.get(key)) is not None:
            album.parts.append(part)
            album.last_at = now
        else:
            self._albums[key] = album = Album([part], now)
            album.task = self._spawn(self._joined(album, key, dict(self._lines.get(line, {})), line), None, line)

    async def _joined(self, album: Album, key: AlbumKey, earlier: Tasks, line: Line) -> None:
        clock = self.runtime.clock
        while (left := album.last_at + JOIN_SECONDS - clock.monotonic()) > 0:
            await clock.sleep(left)
        del self._albums[key]
        whole = joined(album.parts)
        try:
            arrival = await self.runtime.inbox.join(whole, [part for part in album.parts if part.key != whole.key])
        except ChatelierError as away:
            log.warning("album waits for its leases to lapse", reason=str(away))
            return
        if album.is_replaced:
            await self._replaced(arrival)
            return
        meant = self._meant(arrival.event)
        before = self._before(earlier, meant, line)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - see `_join`
        self._tasks[task] = arrival
        if meant is not None and meant.command.overlap == "concurrent":
            self._leave(task, line)
        else:
            self._lines[line][task] = arrival
        await self._in_turn(before, arrival, meant)

    def _spawn(
        self, work: Coroutine[None, None, None], arrival: Arrival | None, line: Line | None = None
    ) -> asyncio.Task[None]:
        """A task that counts as busy until it is done. line: whose next events wait for it."""
        task = asyncio.create_task(work, name=f"event {arrival.key}" if arrival else "replaced events")
        self._tasks[task] = arrival
        if line is not None:
            self._lines.setdefault(line, {})[task] = arrival
        task.add_done_callback(lambda done: self._done(done, line))
        return task

    def _done(self, task: asyncio.Task[None], line: Line | None) -> None:
        del self._tasks[task]
        if line is not None:
            self._leave(task, line)

    def _leave(self, task: asyncio.Task[None], line: Line) -> None:
        """Nobody waits for it any more."""
        tasks = self._lines.get(line, {})
        tasks.pop(task, None)
        if not tasks:
            self._lines.pop(line, None)

    async def _drop(self, replaced: Tasks) -> None:
        """Wait until these handlers stopped; what they did not answer is not answered any more."""
        if replaced:
            await asyncio.wait(replaced)
        for earlier in filter(None, replaced.values()):
            await self._replaced(earlier)

    async def _replaced(self, earlier: Arrival) -> None:
        """It is not answered, unless it was already."""
        try:
            await self.runtime.store.atomically(partial(self._finish_replaced, earlier))
        except Lost:
            pass
        except ChatelierError as away:
            log.warning("replaced event will be handled after all", arrival=earlier.key, error=str(away))

    async def _finish_replaced(self, earlier: Arrival, tx: Tx) -> None:
        await finish(tx, earlier, self.runtime.owner, words=chat_words.REPLACED)

    async def _in_turn(self, before: Collection[asyncio.Task[None]], arrival: Arrival, meant: Meant | None) -> None:
        runtime = self.runtime
        with context(event=arrival.key):
            try:
                async with Lease(runtime.store, ARRIVALS, arrival, clock=runtime.clock) as lease:
                    if before:
                        await asyncio.wait(before)
                    lease.limit(runtime.patience.handler)
                    await apart(self._handle(arrival, meant))
                self.handled += 1
            except Lost as lost:
                log.info("event taken over", reason=str(lost))
            except OutOfTime:
                log.warning("handler took too long", seconds=runtime.patience.handler)
                await self._too_long(arrival)
            except Unavailable as away:
                log.warning("event waits for the store", error=str(away))
            except Exception as error:  # noqa: BLE001 - a command's handler may raise anything; three tries, then it is set aside
                await self._failed(arrival, error)

    async def _failed(self, arrival: Arrival, error: Exception) -> None:
        log.error("handler failed", tries=arrival.tries, reason=reason(error), exc_info=error)
        try:
            if arrival.tries < TRIES or _is_money(arrival):
                await self.runtime.inbox.again(arrival, min(2.0**arrival.tries, LONGEST_SECONDS))
            else:
                await self.set_aside(arrival, reason(error))
        except ChatelierError as away:
            log.warning("event waits for its lease to lapse", error=str(away))

    async def _too_long(self, arrival: Arrival) -> None:
        """It would take as long the next time."""
        try:
            await self.set_aside(arrival, "it took too long", chat_words.TOO_LONG)
        except ChatelierError as away:
            log.warning("event waits for its lease to lapse", error=str(away))

    async def set_aside(self, arrival: Arrival, why: str, sentence: str = chat_words.SET_ASIDE) -> None:
        """Its person is told, and the next ones of its conversation pass."""

        async def work(tx: Tx) -> None:
            await finish(tx, arrival, self.runtime.owner, "aside", why)
            reply = Reply(text=sentence)
            await post(tx, Address.of(arrival.event), [reply], cause=f"aside {arrival.key}", event=arrival.key)

        await self.runtime.store.atomically(work)

    async def _handle(self, arrival: Arrival, meant: Meant | None) -> None:
        person, session = await self._who(arrival.event)
        event, now = arrival.event, self.runtime.clock.now()
        operator = event.operator or self.runtime.is_operator(event.sender)
        call = Call(
            event=event,
            person=person,
            session=session,
            command=PRESS,
            values={},
            operator=operator,
            runtime=self.runtime,
            arrival=arrival,
        )
        try:
            match event.body:
                case Paid():
                    await self._paid(call, event.body)
                    return
                case ChatChanged(what="migrated", to=new) if new:
                    old = event.chat
                    await call.commit(partial(migrate, old=group_of(old), new=group_of(replace(old, chat=new))))
                    return
            meaning = (
                await self.router.carried(event, meant) if meant else await self.router.meaning(event, session, now)
            )
            match meaning:
                case Nothing(words="", answers=answers):
                    await replace(call, answers=answers).commit()
                case Nothing(words=why, answers=answers):
                    await call.refuse(why, closes=answers)
                case OnResult(button=button, values=values):
                    await press(call, button, values)
                case Asks(command=command, option=option, values=values, more=more):
                    await _ask(call, command, option, values, more, menu=True)
                case Meant():
                    await self._call(call, meaning)
        except (BadInput, Refused, Gone) as no:
            self.refused += 1
            await call.refuse(str(no))

    async def _paid(self, call: Call, paid: Paid) -> None:
        """The points are theirs, or an operator hears of money that nobody knows the reason of."""

        async def give_back(tx: Tx) -> Reply:
            return Reply(text=point_words.given_back(await gave_back(tx, call.chat.platform, paid)))

        if paid.back:
            await call.commit(give_back)
            return

        async def work(tx: Tx) -> Reply:
            sale = await settle_payment(tx, call.chat.platform, call.person.key, call.event.sender, paid)
            if sale.state == "stray":
                log.error("a payment for an unknown bill", payment=sale.paid)
            return Reply(text=point_words.paid(sale))

        await call.commit(work)

    async def _call(self, call: Call, meant: Meant) -> None:
        command = meant.command
        call = replace(call, command=command, action=meant.action, answers=meant.answers)
        if command.operators and not call.operator:
            raise BadInput(command_words.OPERATORS_ONLY)
        if refusal := await self.runtime.refusal(call.event, command.name):
            raise BadInput(refusal)
        values, more = await self._with_subject(call, meant)
        lacking = missing(command, values)
        if lacking:
            await _ask(call, command, lacking[0], meant.values, meant.more, menu=meant.menu)
            return
        if meant.menu:
            await show_menu(call, command, meant.values, meant.more)
            return
        values = await self.runtime.read_files(command, values)
        await command.handler(replace(call, values=values, more=more))
        if not call.answered.is_set():
            raise RuntimeError(f"the handler of /{command.name} ended without commit, refuse or ask")

    async def _with_subject(self, call: Call, meant: Meant) -> tuple[Mapping[str, Value], tuple[FileRef, ...]]:
        """The values with the file that the command works on, and what stands beside that file. Raises BadInput for none at all."""
        option = next((one for one in meant.command.options if one.subject), None)
        if option is None or option.name in meant.values:
            return meant.values, meant.more
        files = await newest_files(self.runtime.store, call.session)
        if not files:
            raise BadInput(command_words.NOTHING_TO_WORK_ON)
        return {**meant.values, option.name: files[0]}, files[1:]

    async def _who(self, event: Event) -> tuple[Person, Session]:
        async def work(tx: Tx) -> tuple[Person, Session]:
            person = await person_of(tx, event.sender, event.name)
            return person, await session_of(tx, person.key)

        person = await self.runtime.store.get(PEOPLE, event.sender, by="handles")
        if person is None:
            return await self.runtime.store.atomically(work)
        return person, await session_of(self.runtime.store, person.key)

    # --- for as long as the gateway lives

    async def sweep(self) -> None:
        """Take up events whose handler died or asked for another try, until cancelled."""
        while True:
            try:
                while self._has_room and (arrival := await self.runtime.inbox.claim(self.runtime.account_names)):
                    if arrival.tries > TRIES and not _is_money(arrival):
                        await self.set_aside(arrival, "its handler died three times")
                    else:
                        self.start(arrival, self._meant(arrival.event))
            except ChatelierError as away:
                log.warning("events not taken up", error=str(away))
            await self.runtime.clock.sleep(SWEEP_SECONDS)

    @property
    def _has_room(self) -> bool:
        busy = len(self._tasks) + self._arriving
        return self.runtime.accepting and busy < self.runtime.settings.limits.busy_events

    async def drained(self) -> None:
        """Returns when no event is being handled."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def stop(self) -> None:
        """Cancel what is left and give it back, so that whoever comes next takes it up at once."""
        left = dict(self._tasks)
        for task in left:
            task.cancel()
        if left:
            _, late = await asyncio.wait(left, timeout=self.runtime.patience.stop)
            for task in late:
                log.error("does not stop; left behind", part=task.get_name())
        parts = [part for album in self._albums.values() for part in album.parts]
        for arrival in (*filter(None, left.values()), *parts):
            try:
                await self.runtime.inbox.again(arrival, 0.0, counts=False)
            except ChatelierError as away:  # answered in time, or the store is away: then its lease lapses
                log.info("event not given back", arrival=arrival.key, reason=str(away))


def _has_files(said: Said | Called) -> bool:
    """Whether a message brings files, or answers one that may."""
    return bool(said.reply_to or (isinstance(said, Said) and said.files))


async def _never(call: Call) -> None:
    raise Refused(f"{call.command.name} is not called by name")


PRESS = Command(name="press", summary="A button under a result.", handler=_never)
"""What a call stands for that no command was named in."""


async def _nothing(_: Tx) -> None:
    """The event is answered by the form alone."""


async def _ask(
    call: Call,
    command: Command,
    option: Option,
    values: Mapping[str, Any],
    more: tuple[FileRef, ...],
    *,
    menu: bool = False,
) -> None:
    key, where = token(), call.conversation

    async def work(tx: Tx) -> None:
        await ask(tx, call.person.key, where, command.name, option.name, values, more=more, key=key, menu=menu)

    await call.ask(work, question(option, key, call.runtime.capabilities(call.chat).buttons))
