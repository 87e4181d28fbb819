"""A terminal's side of the gateway while one command runs: hold an account, say something, wait for all that comes of it."""

import asyncio
import os
import re
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from chatelier import (
    BadInput,
    Called,
    Event,
    FileRef,
    FirstAnswer,
    Gateway,
    OnJob,
    Outcome,
    Pressed,
    Refused,
    Runtime,
    Said,
    Submitted,
    Value,
    job_of,
    latest_media,
    outcome_of,
)

from . import words
from .adapter import Terminal, terminal
from .screen import Screen

ACCOUNTS = 20
"""Terminals of one name at once."""
NAME = re.compile(r"[\w.-]{1,64}")
ANSWER = re.compile(r"\s*\^(?=[\s/]|\Z)\s*")
"""At the start of what is said: it answers the last result."""
ENDING_SECONDS = 45.0
"""So long what was interrupted is waited for. A backend that does not answer is given up earlier, one that goes on regardless never."""


def attachment(account: str, path: Path) -> FileRef:
    """A file to send. Raises BadInput when it cannot be read."""
    path = path.expanduser()
    try:
        with path.open("rb"):
            return FileRef(platform=account, ref=str(path.absolute()), name=path.name, size=path.stat().st_size)
    except FileNotFoundError:
        raise BadInput(words.NO_FILE.format(path=path)) from None
    except IsADirectoryError:
        raise BadInput(words.NOT_A_FILE.format(path=path)) from None
    except OSError as error:
        raise BadInput(words.UNREADABLE.format(path=path, reason=error.strerror)) from None


def check_folder(out: Path) -> None:
    """Raises BadInput when no file could be saved there, before anything is asked for that would be."""
    place = out.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise BadInput(words.NO_ROOM_FOR_FILES.format(path=out, reason=f"{place} is no folder"))
    if not os.access(place, os.W_OK | os.X_OK):
        raise BadInput(words.NO_ROOM_FOR_FILES.format(path=out, reason=f"{place} does not let this user write"))


@dataclass(frozen=True, slots=True)
class Talk:
    """What a person does at a terminal. Each act gives the first answer, and the event's key for `Waiting`."""

    gateway: Gateway
    terminal: Terminal
    handle: str

    async def say(self, text: str, files: Sequence[FileRef] = (), *, reply_to: str = "") -> tuple[FirstAnswer, str]:
        return await self.receive(Said(text=text, files=tuple(files), reply_to=reply_to))

    async def call(self, command: str, options: Mapping[str, Value], *, reply_to: str = "") -> tuple[FirstAnswer, str]:
        return await self.receive(Called(command=command, options=options, reply_to=reply_to))

    async def press(self, payload: str) -> tuple[FirstAnswer, str]:
        return await self.receive(Pressed(payload=payload))

    async def submit(self, form: str, values: Mapping[str, Value]) -> tuple[FirstAnswer, str]:
        return await self.receive(Submitted(form=form, values=values))

    async def receive(self, body: Said | Called | Pressed | Submitted) -> tuple[FirstAnswer, str]:
        key = str(uuid.uuid4())
        name = self.handle.partition(":")[2]
        event = Event(keys=(key,), chat=self.terminal.chat, sender=self.handle, name=name, admin=True, body=body)
        return await self.gateway.receive(event), key


@dataclass(frozen=True, slots=True)
class Open:
    """A conversation with a gateway that serves in this process. ending: how long what was interrupted is waited for, in seconds."""

    runtime: Runtime
    talk: Talk
    serving: asyncio.Task[None]
    ending: float = ENDING_SECONDS

    async def answering(self, text: str) -> tuple[str, str]:
        """The words without a `^` before them, and the id of the result that they answer with it, else "". Raises BadInput."""
        found = ANSWER.match(text)
        if found is None:
            return text, ""
        result = await latest_media(self.runtime, self.talk.terminal.chat)
        if not result:
            raise BadInput(words.NOTHING_TO_ANSWER)
        return text[found.end() :], result

    async def outcome(self, event: str, interrupted: asyncio.Event) -> Outcome:
        """Waits until everything that the event caused has come out, or failed.

        An interruption cancels its job; the state is "open" when that has not ended in time.
        """
        waiting = asyncio.create_task(outcome_of(self.runtime, self.talk.terminal.name, event))
        interruption = asyncio.create_task(interrupted.wait())
        try:
            await asyncio.wait({waiting, interruption, self.serving}, return_when=asyncio.FIRST_COMPLETED)
            job = await self._ending(event, waiting) if interruption.done() and not waiting.done() else ""
            if waiting.done():
                return waiting.result()
            if self.serving.done():
                raise self._stopped()
            return Outcome("open", job)
        finally:
            waiting.cancel()
            interruption.cancel()

    async def _ending(self, event: str, waiting: asyncio.Task[Outcome]) -> str:
        """Cancel what the event asked for and wait, but not for ever. The job, or "" when there is none yet."""
        job = ""
        self.talk.terminal.screen.print(words.ONCE_MORE)
        with suppress(TimeoutError):
            async with asyncio.timeout(self.ending):
                job = await self.cancel(event)
                await asyncio.wait({waiting, self.serving}, return_when=asyncio.FIRST_COMPLETED)
        return job

    async def cancel(self, event: str) -> str:
        """Press the button under the job of this event. The job, or "" when it has none."""
        job = await job_of(self.runtime, self.talk.terminal.name, event)
        if job:
            await self.talk.press(OnJob(job=job, verb="cancel").payload)
        return job

    def _stopped(self) -> BaseException:
        """Why the gateway inside ended before its time."""
        return self.serving.exception() or Refused(words.STOPPED)


def afterwords(outcome: Outcome) -> list[str]:
    """What must be said of it besides the answers."""
    if outcome.state == "open":
        return [words.GOES_ON.format(job=outcome.job) if outcome.job else words.NOT_ANSWERED]
    kept = [words.UNDELIVERED.format(job=outcome.job)] if outcome.undelivered and outcome.job else []
    return [*outcome.undelivered, *kept]


@asynccontextmanager
async def opened(runtime: Runtime, name: str, out: Path, screen: Screen, *, interactive: bool) -> AsyncIterator[Open]:
    """Hold `terminal.<name>`, or `terminal.<name>.2` and so on while others of that name are open."""
    account = await _attached(runtime, name, out, screen, interactive=interactive)
    stop = asyncio.Event()
    serving = asyncio.create_task(runtime.serve(stop))
    try:
        yield Open(runtime, Talk(runtime, account, f"terminal:{name}"), serving)
    finally:
        stop.set()
        await asyncio.wait({serving})
    serving.result()


async def _attached(runtime: Runtime, name: str, out: Path, screen: Screen, *, interactive: bool) -> Terminal:
    if not NAME.fullmatch(name):
        raise BadInput(words.NAME.format(name=name))
    for n in range(1, ACCOUNTS + 1):
        account = terminal(
            f"terminal.{name}" if n == 1 else f"terminal.{name}.{n}", out, screen, interactive=interactive
        )
        if await runtime.attach(account):
            return account
    raise Refused(words.TOO_MANY.format(most=ACCOUNTS, name=name))
