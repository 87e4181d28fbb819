"""What stands on the screen: messages, and below them one line of progress and the line that is being typed."""

import asyncio
import contextlib
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.cells import cell_len, chop_cells

CLEAR_DOWN = "\r\x1b[J"
UP = "\x1b[A"
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """Without what would steer the terminal: nobody's words may move its cursor or set its title."""
    return _CONTROLS.sub("", text.expandtabs(4))


class Screen:
    """output: None to show nothing. On what is no terminal nothing is redrawn: each line stays.

    typed: what stands in the line that is being typed.
    """

    def __init__(self, output: TextIO | None, *, redraws: bool | None = None) -> None:
        self._output = output
        self.redraws = output is not None and (output.isatty() if redraws is None else redraws)
        self.typed: Callable[[], str] = lambda: ""
        self._progress = ""
        self._prompt: str | None = None

    def print(self, text: str) -> None:
        """Above the progress and above what is being typed."""
        if not text:
            return
        with self._below_put_aside():
            self._write(harmless(text) + "\n")

    def progress(self, text: str) -> None:
        """One line that takes the place of the one before; "" takes it away."""
        line = harmless(" · ".join(text.splitlines()))
        if not self.redraws:
            self.print(line)
            return
        with self._below_put_aside():
            self._progress = line

    def title(self, text: str) -> None:
        """Of the terminal's window."""
        if self.redraws:
            self._write(f"\x1b]0;{harmless(text)}\a")

    async def ask(self, prompt: str) -> str | None:
        """A line, None at the end of input. Read on a thread, so that messages go on arriving."""
        with self._typing(prompt):
            return await _line(lambda: input(prompt) if self.redraws else _piped())

    @contextmanager
    def _typing(self, prompt: str) -> Iterator[None]:
        with self._below_put_aside():
            pass
        if self._progress and self.redraws:
            self._write("\n")
        self._prompt = prompt
        try:
            yield
        finally:
            self._prompt = None
            self._progress = ""

    @contextmanager
    def _below_put_aside(self) -> Iterator[None]:
        if not self.redraws:
            yield
            return
        self._write(UP * (self._rows() - 1) + CLEAR_DOWN if self._rows() else "")
        yield
        self._write("\n".join(self._below()))

    def _below(self) -> list[str]:
        """What stands below the messages, a piece each."""
        pieces = [chop_cells(self._progress, self._width - 1)[0]] if self._progress else []
        return pieces if self._prompt is None else [*pieces, self._prompt + self.typed()]

    def _rows(self) -> int:
        return sum(max(1, -(-cell_len(piece) // self._width)) for piece in self._below())

    @property
    def _width(self) -> int:
        return max(20, shutil.get_terminal_size().columns)

    def _write(self, text: str) -> None:
        if self._output is not None and text:
            self._output.write(text)
            self._output.flush()


def _piped() -> str:
    if line := sys.stdin.readline():
        return line.rstrip("\n")
    raise EOFError


async def _line(read: Callable[[], str]) -> str | None:
    """On a daemon thread: one that waits for a key must not hold up the end of the program."""
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str | None] = loop.create_future()

    def wait() -> None:
        try:
            typed: str | None = read()
        except (EOFError, OSError, ValueError):  # the end, or an input that was closed under us
            typed = None
        with contextlib.suppress(RuntimeError):  # the loop ended meanwhile
            loop.call_soon_threadsafe(_settle, line, typed)

    threading.Thread(target=wait, name="typing", daemon=True).start()
    return await line


def _settle(line: "asyncio.Future[str | None]", typed: str | None) -> None:
    if not line.done():
        line.set_result(typed)
