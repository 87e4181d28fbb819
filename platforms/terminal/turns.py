"""An interactive conversation: a line is a message, a form is a row of questions, Ctrl-C cancels what runs."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from chatelier import (
    FILE_TYPES,
    Ask,
    BadInput,
    ChatelierError,
    Form,
    OperatorMust,
    Option,
    Outcome,
    Value,
    check_value,
    redact,
    shorten,
)

from . import words
from .conversation import Open, afterwords, attachment
from .interrupts import Interrupts
from .line import files_in
from .screen import Screen, harmless

CLEARED = "-"
KNOWN_LENGTH = 60
"""Of what stands there already, in a question."""
T = TypeVar("T")


class Left(Exception):
    """Ctrl-D, the end of the input, or SIGTERM."""


class Turns:
    """On a terminal the next line may be typed while jobs run; from a pipe each line waits for what came of the one before."""

    def __init__(self, conversation: Open, screen: Screen, interrupts: Interrupts) -> None:
        self._open = conversation
        self._talk = conversation.talk
        self._screen = screen
        self._interrupts = interrupts
        self._running: dict[str, asyncio.Task[Outcome]] = {}

    async def run(self) -> None:
        """Until the person leaves."""
        try:
            while True:
                line = await self._ask("> ")
                if line.strip():
                    await self._turn(line)
        except Left:
            pass
        finally:
            for task in self._running.values():
                task.cancel()

    async def _turn(self, line: str) -> None:
        try:
            text, files = await asyncio.to_thread(files_in, line, self._talk.terminal.name)
            text, reply_to = await self._open.answering(text)
            answer, event = await self._talk.say(text, files, reply_to=reply_to)
            while isinstance(answer, Ask):
                values = await self._fill(answer.form)
                answer, event = await self._talk.submit(answer.form.key, values)
        except OperatorMust:
            raise
        except ChatelierError as error:
            self._screen.print(str(error))
            return
        outcome = asyncio.create_task(self._open.outcome(event, asyncio.Event()))
        self._running[event] = outcome
        outcome.add_done_callback(lambda done: self._came(event, done))
        if not self._screen.redraws:
            await self._heeding(asyncio.wait({outcome}))

    def _came(self, event: str, done: asyncio.Task[Outcome]) -> None:
        """The answers stand on the screen; say what is left to say."""
        self._running.pop(event, None)
        if done.cancelled():
            return
        try:
            more = afterwords(done.result())
        except ChatelierError as error:
            more = [redact(str(error))]
        for sentence in more:
            self._screen.print(sentence)

    async def _fill(self, form: Form) -> dict[str, Value]:
        """The form as questions."""
        self._screen.print(words.FORM.format(title=form.title))
        values: dict[str, Value] = {}
        for field in form.fields:
            known = form.values.get(field.name)
            value = await self._answer(field, known)
            if value is not None:
                values[field.name] = value
        return values

    async def _answer(self, field: Option, known: str | float | bool | None) -> Value | None:
        while True:
            typed = (await self._ask(_prompt(field, known if known is not None else field.default))).strip()
            if not typed:
                return known
            try:
                return self._checked(field, typed)
            except BadInput as error:
                self._screen.print(str(error))

    def _checked(self, field: Option, typed: str) -> Value:
        """Raises BadInput."""
        if field.type == "text" and typed == CLEARED:
            if field.required:
                raise BadInput(words.NEEDED.format(name=field.label or field.name))
            return ""
        if field.type in FILE_TYPES and "://" not in typed:
            return attachment(self._talk.terminal.name, Path(typed.removeprefix("@")))
        return check_value(field, typed)

    async def _ask(self, prompt: str) -> str:
        """Raises Left."""
        line = await self._heeding(self._screen.ask(prompt))
        if line is None:
            raise Left
        return line

    async def _heeding(self, work: Awaitable[T]) -> T:
        """Wait for it, and for signals meanwhile: Ctrl-C cancels the latest job, SIGTERM ends."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                signal = asyncio.ensure_future(self._interrupts.first.wait())
                await asyncio.wait({task, signal, self._open.serving}, return_when=asyncio.FIRST_COMPLETED)
                signal.cancel()
                if self._open.serving.done() and not task.done():
                    raise Left
                if self._interrupts.first.is_set():
                    await self._interrupted()
            return task.result()
        finally:
            task.cancel()

    async def _interrupted(self) -> None:
        if self._interrupts.left:
            raise Left
        for event in reversed(list(self._running)):
            if await self._open.cancel(event):
                self._screen.print(words.CANCELLING)
                break
        else:
            self._screen.print(words.NOTHING_RUNS)
        self._interrupts.first.clear()


def _prompt(field: Option, known: str | float | bool | None) -> str:
    choices = "/".join(choice.value for choice in field.choices)
    told = ", ".join(part for part in (choices, f"now {_shown(known)}" if known not in (None, "") else "") if part)
    return harmless(f"  {field.label or field.name}{f' ({told})' if told else ''}: ")


def _shown(known: str | float | bool | None) -> str:
    """On one line, as it would be typed."""
    if isinstance(known, bool):
        return "yes" if known else "no"
    return shorten(" ".join(str(known).split()), KNOWN_LENGTH)
