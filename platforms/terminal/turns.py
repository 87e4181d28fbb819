"""An interactive conversation: a line is a message, a form is a row of questions, Ctrl-C cancels what runs."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from chatelier import Ask, BadInput, ChatelierError, Form, OperatorMust, Option, Outcome, Value

from . import words
from .conversation import Open, attachment
from .interrupts import Interrupts
from .line import files_in
from .screen import Screen

T = TypeVar("T")
FILES = ("image", "video", "audio", "file")


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
            text, files = files_in(line, self._talk.terminal.name)
            answer, event = await self._talk.say(text, files)
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
        outcome.add_done_callback(lambda _: self._running.pop(event, None))
        if not self._screen.redraws:
            await self._heeding(outcome)

    async def _fill(self, form: Form) -> dict[str, Value]:
        """The form as questions; what is left empty keeps its value."""
        self._screen.print(form.title)
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
            if field.type not in FILES:
                return typed
            try:
                return attachment(self._talk.terminal.name, Path(typed.removeprefix("@")))
            except BadInput as error:
                self._screen.print(str(error))

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
                break
        else:
            self._screen.print(words.NOTHING_RUNS)
        self._interrupts.first.clear()


def _prompt(field: Option, known: str | float | bool | None) -> str:
    choices = "/".join(choice.value for choice in field.choices)
    told = ", ".join(part for part in (choices, f"now {known}" if known not in (None, "") else "") if part)
    return f"  {field.label or field.name}{f' ({told})' if told else ''}: "
