"""From an event to the call of a command: what was said, pressed or filled in, checked against the declaration."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ..chat import words as chat_words
from ..chat.buttons import ACTIONS, NUMBERINGS, Action, OnInput, OnJob, Picked, Stored, read
from ..chat.inbox import conversation
from ..chat.messages import FILE_TYPES, Called, Event, FileRef, Option, Pressed, Said, Submitted, Value
from ..chat.outbox import MESSAGES, message_in
from ..errors import BadInput
from ..media.intake import stored
from ..people.people import PEOPLE
from ..sessions.session import Question, Session, open_questions, session_of
from ..values import replace
from . import words
from .command import Command
from .forms import choices_of
from .help import unknown_command
from .parse import command_of, parse, takes, typed, with_files, with_link
from .registry import Registry

if TYPE_CHECKING:
    from ..gateway import Runtime


@dataclass(frozen=True, slots=True)
class Meant:
    """What an event asks for. values: by option name, typed and checked, files still unread.

    more: files that came beside those. action: the key of the stored action that it uses up, or "".
    answers: it answers the open question of its conversation. menu: it is not to be run yet: all its inputs are shown again.
    """

    command: Command
    values: Mapping[str, Value]
    more: tuple[FileRef, ...] = ()
    action: str = ""
    answers: bool = False
    menu: bool = False


@dataclass(frozen=True, slots=True)
class Asks:
    """For one input of a command whose others are known."""

    command: Command
    option: Option
    values: Mapping[str, Value]
    more: tuple[FileRef, ...] = ()


@dataclass(frozen=True, slots=True)
class OnResult:
    """A button, or a form, that belongs to a job. values: of the form, empty for a button."""

    button: OnJob
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Nothing:
    """Not for us. words: what to say all the same, or "". answers: it came too late for the question of its conversation."""

    words: str = ""
    answers: bool = False


class Router:
    """Reads events. Raises BadInput, in words, for what cannot be meant."""

    def __init__(self, runtime: "Runtime") -> None:
        self.runtime = runtime

    @property
    def registry(self) -> Registry:
        return self.runtime.registry

    def at_once(self, event: Event) -> Meant | None:
        """What a command that stands in the event itself asks for, without I/O; None when it takes more than the event.

        Raises BadInput.
        """
        match event.body:
            case Said() as said:
                named = command_of(said.text)
                command = self.registry.get(named[0]) if named else None
                return Meant(command, _parsed(named[1], command, said)) if named and command else None
            case Called(command=name, options=options):
                command = self.registry.get(name)
                return Meant(command, typed(options, command)) if command else None
        return None

    async def meaning(self, event: Event, session: Session, now: datetime) -> Meant | Asks | OnResult | Nothing:
        match event.body:
            case Said():
                return await self._said(event, event.body, session, now)
            case Called(command=name, options=options):
                command = self._command(name)
                return await self.carried(event, Meant(command, typed(options, command)))
            case Pressed(payload=payload):
                asked = _open_question(event, session, now)
                if isinstance(picked := read(payload), Picked):
                    return self._picked(picked, asked)
                return _answering(await self._pressed(payload, {}, event), asked)
            case Submitted(form=key, values=values):
                return _answering(await self._pressed(key, values, event), _open_question(event, session, now))
        return Nothing()

    async def resolved(self, event: Event) -> Event:
        """The same, but a number that stands for a button is that button, pressed."""
        said = event.body
        if not isinstance(said, Said) or said.files or len(said.text) > 3 or not said.text.strip().isdecimal():
            return event
        menu = await self.runtime.store.get(NUMBERINGS, conversation(event.chat))
        number = int(said.text)
        if menu is None or not 0 < number <= len(menu.payloads):
            return event
        payload = menu.payloads[number - 1]
        asked = await self._asked(event)
        if asked is not None and not (asked.key and payload.startswith(Picked(key=asked.key, n=0).payload[:-1])):
            return event
        carrier = await self.runtime.store.get(MESSAGES, menu.message)
        id_ = carrier.receipts[-1].ids[0] if carrier and carrier.receipts else menu.message
        return replace(event, body=Pressed(payload=payload, message_id=id_))

    async def _asked(self, event: Event) -> Question | None:
        person = await self.runtime.store.get(PEOPLE, event.sender, by="handles")
        if person is None:
            return None
        session = await session_of(self.runtime.store, person.key)
        return _open_question(event, session, self.runtime.clock.now())

    def _command(self, name: str) -> Command:
        command = self.registry.get(name)
        if command is None:
            raise BadInput(unknown_command(name, self.registry))
        return command

    async def _said(self, event: Event, said: Said, session: Session, now: datetime) -> Meant | OnResult | Nothing:
        if named := command_of(said.text):
            command = self._command(named[0])
            return await self.carried(event, Meant(command, _parsed(named[1], command, said)))
        if asked := _open_question(event, session, now):
            command = self._command(asked.command)
            answer: dict[str, Value] = {asked.option: said.text} if said.text and not said.files else {}
            values = {**asked.values, **typed(answer, command), **_file_for(asked, command, said)}
            rest = replace(said, files=said.files[1:]) if values.get(asked.option) in said.files else said
            meant = Meant(command, values, asked.more, answers=True, menu=asked.menu)
            return await self.carried(replace(event, body=rest), meant)
        if conversation(event.chat) in session.questions:
            return Nothing(chat_words.QUESTION_LAPSED, answers=True)
        return Nothing(words.PLAIN_WORDS if event.chat.direct else "")

    async def _pressed(self, payload: str, values: Mapping[str, Value], event: Event) -> Meant | Asks | OnResult:
        match read(payload):
            case OnJob() as button:
                return OnResult(button, values)
            case Stored(key=key):
                action = await self._action(key, event)
                command = self._command(action.command)
                used = action.key if action.once else ""
                return Meant(command, {**action.values, **typed(values, command)}, action.more, used)
            case OnInput(key=key, n=n):
                action = await self._action(key, event)
                command = self._command(action.command)
                if n < len(command.options):
                    return Asks(command, command.options[n], action.values, action.more)
        raise BadInput(chat_words.BUTTON_GONE)

    async def _action(self, key: str, event: Event) -> Action:
        action = await self.runtime.store.get(ACTIONS, key)
        if action is None:
            raise BadInput(chat_words.BUTTON_GONE)
        if action.person and action.person != event.sender:
            raise BadInput(chat_words.NOT_YOURS)
        return action

    def _picked(self, picked: Picked, asked: Question | None) -> Meant:
        """The answer on a button of the question that is open."""
        if asked is None or asked.key != picked.key:
            raise BadInput(chat_words.QUESTION_OVER)
        command = self._command(asked.command)
        option = next((option for option in command.options if option.name == asked.option), None)
        choices = choices_of(option) if option else ()
        if option is None or picked.n >= len(choices):
            raise BadInput(chat_words.BUTTON_GONE)
        values = {**asked.values, **typed({option.name: choices[picked.n].value}, command)}
        return Meant(command, values, asked.more, answers=True, menu=asked.menu)

    async def carried(self, event: Event, meant: Meant) -> Meant:
        """The same with the files that the event brings along: they fill the file options in order, the others stand beside them."""
        takers = sum(option.type in FILE_TYPES for option in meant.command.options)
        if not takers or not isinstance(event.body, Said | Called):
            return meant
        files = await self._files_with(event, event.body, takers)
        values = with_files(meant.values, meant.command, files)
        left = tuple(file for file in files if file not in values.values() and file not in meant.more)
        return replace(meant, values=values, more=(*meant.more, *left))

    async def _files_with(self, event: Event, said: Said | Called, takers: int) -> tuple[FileRef, ...]:
        """What came with it, else what the message carries that it answers. Who takes several takes the answered one first."""
        files = said.files if isinstance(said, Said) else ()
        if not said.reply_to or (files and takers == 1):
            return files
        first, *others = await self._files_of(event, said.reply_to) or (None,)
        return (first, *files, *others) if first else files

    async def _files_of(self, event: Event, message_id: str) -> tuple[FileRef, ...]:
        """What an earlier message of this conversation carries: ours from the outbox, theirs from the inbox."""
        ours = await message_in(self.runtime.store, event.chat, message_id)
        if ours is not None:
            return tuple(stored(media.blob, media.name) for media in ours.reply.media)
        theirs = await self.runtime.inbox.by_message(event.chat.platform, message_id)
        return theirs.event.body.files if theirs and isinstance(theirs.event.body, Said) else ()


def _open_question(event: Event, session: Session, now: datetime) -> Question | None:
    return open_questions(session, now).get(conversation(event.chat))


def _file_for(asked: Question, command: Command, said: Said) -> Mapping[str, Value]:
    """The first file of an answer is for what was asked. Raises BadInput for one of another kind."""
    option = next((one for one in command.options if one.name == asked.option), None)
    if option is None or option.type not in FILE_TYPES or not said.files:
        return {}
    if not takes(option, said.files[0]):
        raise BadInput(words.missing(option))
    return {option.name: said.files[0]}


def _answering(meant: Meant | Asks | OnResult, asked: Question | None) -> Meant | Asks | OnResult:
    """A form that is filled in, or a button that runs it, answers the question that stands open for it."""
    if isinstance(meant, Meant) and asked is not None and asked.command == meant.command.name:
        return replace(meant, answers=True)
    return meant


def _parsed(text: str, command: Command, said: Said) -> Mapping[str, Value]:
    """What was typed after the command's name. Raises BadInput with everything that is wrong with it."""
    parsed = parse(text, command)
    if parsed.errors:
        raise BadInput("\n".join(parsed.errors))
    return parsed.values if said.files or said.reply_to else with_link(parsed.values, command)
