"""Events become answers: each is handled once, in a task of its own, in order within a person's conversation."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .chat import words as chat_words
from .chat.buttons import OnJob, read, store_action
from .chat.inbox import TRIES, Arrival, conversation, finish
from .chat.messages import Ask, Defer, Event, FirstAnswer, Pressed, Reply
from .chat.outbox import Address, post
from .commands import words as command_words
from .commands.call import Call, Work
from .commands.command import Command
from .commands.forms import form_for, missing, question
from .commands.router import Meant, Nothing, OnResult, Router
from .errors import BadInput, ChatelierError, Exists, Lost, Refused, Unavailable
from .generation.jobs import JOBS
from .generation.verbs import press, tweak_form
from .keys import token
from .log import context, get_logger
from .people.people import PEOPLE, Person, person_of
from .sessions.session import Session, ask, session_of
from .storage import Tx

if TYPE_CHECKING:
    from .gateway import Runtime

log = get_logger(__name__)

SWEEP_SECONDS = 5.0


class Handling:
    """Handlers of the events that this process took."""

    def __init__(self, runtime: "Runtime") -> None:
        self.runtime = runtime
        self.router = Router(runtime)
        self._tasks: dict[asyncio.Task[None], Arrival] = {}
        self._lines: dict[tuple[str, str], asyncio.Task[None]] = {}

    # --- taking in

    async def receive(self, event: Event) -> FirstAnswer:
        """Durable when it returns. Raises Unavailable when it cannot be, or when too many wait already."""
        if not self.runtime.accepting or len(self._tasks) >= self.runtime.settings.limits.busy_events:
            raise Unavailable(chat_words.BUSY)
        try:
            asking = await self._ask_first(event)
            if asking is not None:
                return asking
            arrival = await self.runtime.inbox.accept(event)
        except Exists:
            return None
        self.start(arrival)
        meant = self._meant(event)
        return Defer(private=meant.command.private) if meant else Defer()

    def _meant(self, event: Event) -> Meant | None:
        try:
            return self.router.at_once(event)
        except BadInput:
            return None  # the handler says it in words

    async def _ask_first(self, event: Event) -> Ask | None:
        """The form that is the first answer to it, where the conversation has forms; the event is handled by it."""
        if not self.runtime.capabilities(event.chat).forms:
            return None
        asking = await self._form_of_button(event)
        if asking is not None:
            await self.runtime.inbox.accept(event, _nothing)
            return asking
        meant = self._meant(event)
        if meant is None or not self._lacks_words(meant, event):
            return None
        key = token()
        known = {name: value for name, value in meant.values.items() if value is not None}

        async def work(tx: Tx) -> None:
            await store_action(tx, meant.command.name, known, person=event.sender, once=True, key=key)

        await self.runtime.inbox.accept(event, work)
        return Ask(form=form_for(meant.command, meant.values, f"a.{key}"))

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
        brings_files = bool(getattr(event.body, "files", ())) or bool(getattr(event.body, "reply_to", ""))
        return any(not brings_files or option.type != "image" for option in missing(meant.command, meant.values))

    # --- handling

    def start(self, arrival: Arrival) -> None:
        """Handle it in a task: after, beside or in place of what the person's conversation is at, as the command says."""
        line = (arrival.event.sender, conversation(arrival.event.chat))
        before = self._lines.get(line)
        meant = self._meant(arrival.event)
        overlap = meant.command.overlap if meant else "queue"
        if before is not None and overlap == "replace":
            before.cancel()
        wait_for = before if overlap != "concurrent" else None
        task = asyncio.create_task(self._handle_after(wait_for, arrival), name=f"event {arrival.key}")
        self._tasks[task] = arrival
        self._lines[line] = task
        task.add_done_callback(lambda done: self._done(done, line))

    def _done(self, task: asyncio.Task[None], line: tuple[str, str]) -> None:
        self._tasks.pop(task, None)
        if self._lines.get(line) is task:
            del self._lines[line]

    async def _handle_after(self, before: asyncio.Task[None] | None, arrival: Arrival) -> None:
        if before is not None:
            await asyncio.wait({before})
        with context(event=arrival.key):
            try:
                await self._handle(arrival)
            except Lost:
                log.info("event taken over")
            except Unavailable as away:
                log.warning("event waits for the store", error=str(away))
            except Exception as error:  # noqa: BLE001 - a command's handler may raise anything; three tries, then it is set aside
                await self._failed(arrival, error)

    async def _failed(self, arrival: Arrival, error: Exception) -> None:
        log.error("handler failed", tries=arrival.tries, exc_info=error)
        try:
            if arrival.tries < TRIES:
                await self.runtime.inbox.again(arrival, 2.0**arrival.tries)
            else:
                await self.set_aside(arrival, repr(error))
        except ChatelierError as away:
            log.warning("event waits for its lease to lapse", error=str(away))

    async def set_aside(self, arrival: Arrival, why: str) -> None:
        """Third time: its person is told, and the next ones of its conversation pass."""

        async def work(tx: Tx) -> None:
            await finish(tx, arrival, self.runtime.owner, "aside", why)
            reply = Reply(text=chat_words.SET_ASIDE)
            await post(tx, Address.of(arrival.event), [reply], cause=f"aside {arrival.key}", event=arrival.key)

        await self.runtime.store.atomically(work)

    async def _handle(self, arrival: Arrival) -> None:
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
            meaning = await self.router.meaning(event, session, now)
            match meaning:
                case Nothing(reply=reply):
                    await call.commit(None, *([reply] if reply else []))
                case OnResult(button=button, values=values):
                    await press(call, button, values)
                case Meant():
                    await self._call(call, meaning)
        except BadInput as bad:
            await call.refuse(str(bad))

    async def _call(self, call: Call, meant: Meant) -> None:
        command = meant.command
        if command.operators and not call.operator:
            raise BadInput(command_words.OPERATORS_ONLY)
        if refusal := await self.runtime.refusal(call.event, command.name):
            raise BadInput(refusal)
        lacking = missing(command, meant.values)
        if lacking:
            await call.ask(_ask(call, command, lacking[0].name, meant.values), question(lacking[0]))
            return
        values = await self.runtime.read_files(command, meant.values)
        await command.handler(replace(call, command=command, values=values))

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
                while self.runtime.accepting and (
                    arrival := await self.runtime.inbox.claim(self.runtime.account_names)
                ):
                    if arrival.tries > TRIES:
                        await self.set_aside(arrival, "its handler died three times")
                    else:
                        self.start(arrival)
            except (Unavailable, Lost) as away:
                log.warning("store away", error=str(away))
            await self.runtime.clock.sleep(SWEEP_SECONDS)

    async def drained(self) -> None:
        """Returns when no event is being handled."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def stop(self) -> None:
        """Cancel what is left; its events are taken up again by whoever comes next."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _never(call: Call) -> None:
    raise Refused(f"{call.command.name} is not called by name")


PRESS = Command(name="press", summary="A button under a result.", handler=_never)
"""What a call stands for that no command was named in."""


async def _nothing(_: Tx) -> None:
    """The event is answered by the form alone."""


def _ask(call: Call, command: Command, option: str, values: Mapping[str, Any]) -> Work:
    async def work(tx: Tx) -> None:
        await ask(tx, call.person.key, call.conversation, command.name, option, values)

    return work
