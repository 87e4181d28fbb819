"""The line that is being typed: what may be meant, and the files that it names."""

import asyncio
import glob
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from chatelier import ChatRef, FileRef, Gateway

from .conversation import ANSWER, attachment

COMPLETE_SECONDS = 1.0
_FILE = re.compile(r"""(?<!\S)@(?:"([^"]+)"|(\S+))""")


def files_in(line: str, account: str) -> tuple[str, list[FileRef]]:
    """The words without `@path`, and the files. An @ that names no file is left as it is: people have names with @."""
    files: list[FileRef] = []

    def take(found: re.Match[str]) -> str:
        path = Path(found[1] or found[2]).expanduser()
        if not path.is_file():
            return found[0]
        files.append(attachment(account, path))
        return ""

    return _FILE.sub(take, line).strip(), files


class Completion:
    """Asks the gateway. One object is readline's completer while a conversation lasts."""

    def __init__(self, gateway: Gateway, chat: ChatRef, handle: str) -> None:
        self._gateway = gateway
        self._chat = chat
        self._handle = handle

    async def candidates(self, line: str) -> list[str]:
        """What the last word of the line could become, ready to be put in its place."""
        *before, last = ANSWER.sub("", line, count=1).split(" ")
        if last.startswith("@"):
            found = await asyncio.to_thread(glob.glob, glob.escape(last[1:]) + "*")
            return [f"@{path}" for path in sorted(found)]
        if not before:
            return [f"/{name} " for name in await self._ask("", "", last[1:])] if last.startswith("/") else []
        command = before[0].removeprefix("/")
        if last.startswith("--"):
            return [f"{name} " for name in self._options(command) if name.startswith(last)]
        if before[-1].startswith("--"):
            return _as_words(await self._ask(command, before[-1][2:], last))
        return []

    async def _ask(self, command: str, option: str, typed: str) -> Sequence[str]:
        """Only what begins with it: readline puts what all candidates have in common in the place of the word."""
        found = await self._gateway.complete(self._chat, self._handle, command, option, typed)
        return [choice.value for choice in found if choice.value.casefold().startswith(typed.casefold())]

    def _options(self, command: str) -> list[str]:
        return [f"--{option.name}" for one in self._gateway.commands if one.name == command for option in one.options]

    def completer(self, line: Callable[[], str]) -> Callable[[str, int], str | None]:
        """For readline, which calls it on another thread than the loop's, for each candidate anew."""
        loop = asyncio.get_running_loop()
        found: list[str] = []

        def complete(_: str, state: int) -> str | None:
            if state == 0:
                asked = asyncio.run_coroutine_threadsafe(self.candidates(line()), loop)
                try:
                    found[:] = asked.result(COMPLETE_SECONDS)
                except TimeoutError:
                    found.clear()
            return found[state] if state < len(found) else None

        return complete


def _as_words(values: Sequence[str]) -> list[str]:
    """The one that it must be, in quotes if it has blanks; several as they are, to go on typing."""
    if len(values) > 1:
        return list(values)
    return [f'"{value}" ' if " " in value else f"{value} " for value in values]


@contextmanager
def edited(completion: Completion) -> Iterator[Callable[[], str]]:
    """readline with history and completion, and the terminal as it was afterwards. Gives what stands in the line now."""
    try:
        import readline  # noqa: PLC0415 - importing it changes how `input` behaves
        import termios  # noqa: PLC0415 - not on every system
    except ImportError:
        yield lambda: ""
        return
    before = termios.tcgetattr(sys.stdin)
    readline.set_completer_delims(" \t\n")
    readline.set_completer(completion.completer(lambda: readline.get_line_buffer()[: readline.get_endidx()]))
    readline.parse_and_bind("tab: complete")
    try:
        yield readline.get_line_buffer
    finally:
        readline.set_completer(None)
        # A thread may still wait for a key, with the terminal in readline's own mode.
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
