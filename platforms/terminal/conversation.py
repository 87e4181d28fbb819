"""A terminal's side of the gateway while one command runs: hold an account, say something, wait for all that comes of it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from chatelier import Event, FileRef, FirstAnswer, Outcome, Runtime, Said, Submitted, Value, outcome_of

from .adapter import Terminal

ACCOUNTS = 20
"""Terminals of one name at once."""


@dataclass(frozen=True, slots=True)
class Talk:
    """An open conversation."""

    runtime: Runtime
    terminal: Terminal
    handle: str

    async def say(self, text: str, files: Sequence[Path] = ()) -> tuple[FirstAnswer, str]:
        """The first answer, and the event's key for `outcome`."""
        refs = tuple(
            FileRef(platform=self.terminal.name, ref=str(path), name=path.name, size=path.stat().st_size)
            for path in files
        )
        return await self._receive(Said(text=text, files=refs))

    async def submit(self, form: str, values: dict[str, Value]) -> tuple[FirstAnswer, str]:
        return await self._receive(Submitted(form=form, values=values))

    async def outcome(self, event: str) -> Outcome:
        """Waits until everything that the event caused has come out, or failed."""
        return await outcome_of(self.runtime, self.terminal.name, event)

    async def _receive(self, body: Said | Submitted) -> tuple[FirstAnswer, str]:
        key = str(uuid.uuid4())
        event = Event(keys=(key,), chat=self.terminal.chat, sender=self.handle, name=self.handle, admin=True, body=body)
        return await self.runtime.receive(event), key


@asynccontextmanager
async def talk(runtime: Runtime, name: str, out: Path, console: Console, *, interactive: bool) -> AsyncIterator[Talk]:
    """Hold `terminal.<name>`, or `terminal.<name>.2` and so on while others of that name are open."""
    terminal = await _attached(runtime, lambda account: Terminal(account, out, console, interactive=interactive), name)
    stop = asyncio.Event()
    serving = asyncio.create_task(runtime.serve(stop))
    try:
        yield Talk(runtime, terminal, f"terminal:{name}")
    finally:
        stop.set()
        await serving


async def _attached(runtime: Runtime, make: Callable[[str], Terminal], name: str) -> Terminal:
    for n in range(1, ACCOUNTS):
        terminal = make(f"terminal.{name}" if n == 1 else f"terminal.{name}.{n}")
        if await runtime.attach(terminal):
            return terminal
    raise RuntimeError(f"{ACCOUNTS} terminals named {name} are open")
