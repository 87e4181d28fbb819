"""From an event to the call of a command: what was said, pressed or filled in, checked against the declaration."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..chat import words as chat_words
from ..chat.buttons import ACTIONS, NUMBERINGS, OnJob, Stored, read
from ..chat.inbox import conversation
from ..chat.messages import Called, Event, FileRef, Pressed, Reply, Said, Submitted, Value
from ..chat.outbox import MESSAGES
from ..errors import BadInput
from ..media.intake import STORED
from ..sessions.session import Session
from . import words
from .command import Command
from .help import unknown
from .parse import command_of, parse, typed, with_files
from .registry import Registry

if TYPE_CHECKING:
    from ..gateway import Runtime

FILE_TYPES = ("image", "video", "audio", "file")


@dataclass(frozen=True, slots=True)
class Meant:
    """What an event asks for. values: by option name, typed and checked, files still unread.

    action: the key of the stored action that it uses up, or "". answers: it answers the open question of its conversation.
    """

    command: Command
    values: Mapping[str, Value]
    action: str = ""
    answers: bool = False


@dataclass(frozen=True, slots=True)
class OnResult:
    """A button, or a form, that belongs to a job. values: of the form, empty for a button."""

    button: OnJob
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Nothing:
    """Not for us. reply: what to say all the same, or None. answers: it came too late for the question of its conversation."""

    reply: Reply | None = None
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
            case Said(text=text):
                named = command_of(text)
                command = self.registry.get(named[0]) if named else None
                return Meant(command, _parsed(named[1], command)) if named and command else None
            case Called(command=name, options=options):
                command = self.registry.get(name)
                return Meant(command, typed(options, command)) if command else None
        return None

    async def meaning(self, event: Event, session: Session, now: datetime) -> Meant | OnResult | Nothing:
        match event.body:
            case Said():
                return await self._said(event, event.body, session, now)
            case Called(command=name, options=options):
                return Meant(command := self._command(name), typed(options, command))
            case Pressed(payload=payload):
                return await self._pressed(payload, {}, event)
            case Submitted(form=key, values=values):
                return await self._pressed(key, values, event)
        return Nothing()

    def _command(self, name: str) -> Command:
        command = self.registry.get(name)
        if command is None:
            raise BadInput(unknown(name, self.registry))
        return command

    async def _said(self, event: Event, said: Said, session: Session, now: datetime) -> Meant | OnResult | Nothing:
        if named := command_of(said.text):
            command = self._command(named[0])
            return Meant(command, await self._with_files(_parsed(named[1], command), command, event, said))
        asked = session.questions.get(conversation(event.chat))
        if asked and asked.until > now:
            command = self._command(asked.command)
            answer: dict[str, Value] = {asked.option: said.text} if said.text and not said.files else {}
            values = {**asked.values, **typed(answer, command)}
            return Meant(command, await self._with_files(values, command, event, said), answers=True)
        if payload := await self._numbered(event, said.text):
            return await self._pressed(payload, {}, event)
        if asked:
            return Nothing(Reply(text=chat_words.QUESTION_LAPSED), answers=True)
        return Nothing(Reply(text=words.PLAIN_WORDS) if event.chat.direct else None)

    async def _numbered(self, event: Event, text: str) -> str:
        """Where buttons are numbers: the payload that this number stands for, or ""."""
        if not text.strip().isdigit() or len(text) > 3:
            return ""
        menu = await self.runtime.store.get(NUMBERINGS, conversation(event.chat))
        number = int(text)
        return menu.payloads[number - 1] if menu and 0 < number <= len(menu.payloads) else ""

    async def _pressed(self, payload: str, values: Mapping[str, Value], event: Event) -> Meant | OnResult:
        match read(payload):
            case OnJob() as button:
                return OnResult(button, values)
            case Stored(key=key):
                action = await self.runtime.store.get(ACTIONS, key)
                if action is None:
                    raise BadInput(chat_words.BUTTON_GONE)
                if action.person and action.person != event.sender:
                    raise BadInput(chat_words.NOT_YOURS)
                command = self._command(action.command)
                used = action.key if action.once else ""
                return Meant(command, {**action.values, **typed(values, command)}, used)
        raise BadInput(chat_words.BUTTON_GONE)

    async def _with_files(
        self, values: Mapping[str, Value], command: Command, event: Event, said: Said
    ) -> Mapping[str, Value]:
        """Attached pictures, else those of the message that this one answers, fill the file options in order."""
        files: tuple[Any, ...] = said.files
        if not files and said.reply_to and any(option.type in FILE_TYPES for option in command.options):
            files = await self._files_of(event, said.reply_to)
        return with_files(values, command, files)

    async def _files_of(self, event: Event, message_id: str) -> tuple[FileRef, ...]:
        """What an earlier message of this conversation carries: ours from the outbox, theirs from the inbox."""
        ours = await self.runtime.store.get(MESSAGES, f"{conversation(event.chat)}|{message_id}", by="shown")
        if ours is not None:
            return tuple(
                FileRef(
                    platform=STORED, ref=media.blob.sha256, name=media.name, mime=media.blob.mime, size=media.blob.size
                )
                for media in ours.reply.media
            )
        theirs = await self.runtime.inbox.by_message(event.chat.platform, message_id)
        return theirs.event.body.files if theirs and isinstance(theirs.event.body, Said) else ()


def _parsed(text: str, command: Command) -> Mapping[str, Value]:
    """What was typed after the command's name. Raises BadInput with everything that is wrong with it."""
    parsed = parse(text, command)
    if parsed.errors:
        raise BadInput("\n".join(parsed.errors))
    return parsed.values
