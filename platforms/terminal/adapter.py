"""One terminal as an account: what is sent is printed, media are saved, a card is a line that is redrawn."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BufferedWriter
from pathlib import Path
from typing import Literal

from chatelier import (
    ButtonRules,
    Capabilities,
    ChatRef,
    FileRef,
    Gateway,
    Gone,
    Media,
    OperatorMust,
    Outgoing,
    PlainDialect,
    RateRules,
    Receipt,
    Refused,
    Unavailable,
)

from . import words
from .screen import Screen

ALBUM = 1_000
"""Files in one message: there is no limit, this is more than any job gives."""
PIECE_BYTES = 262_144
NUMBERED = ButtonRules()
"""The core writes them as a numbered list, and a number presses one."""
REDRAW_SECONDS = 0.2
REPEAT_SECONDS = 10.0
"""Where nothing can be redrawn, each look at the progress is a new line."""
PROGRESS_LINES = 3
"""Title, bar and what is being done; a list of buttons may follow."""
_MENU = re.compile(r"(?:\A|\n\n)(1\. .*(?:\n\d+\. .*)*\n\n.*)\Z")
"""Numbered lines and a last one at the end of a text. Whatever else looks like it is shown all the same, a little later."""


@dataclass(slots=True)
class Printed:
    """A message that stands on the screen. key: of what it shows now."""

    key: str
    text: str
    files: tuple[Path, ...] = ()


class Terminal:
    """name: the account, `terminal.<NAME>`. out: where files are saved. interactive: somebody is there to fill in a form."""

    def __init__(self, name: str, out: Path, screen: Screen, *, interactive: bool) -> None:
        self.name = name
        self.chat = ChatRef(platform=name, chat=name, direct=True)
        self.screen = screen
        self.printed: dict[str, Printed] = {}
        self._out = out
        self._dialect = PlainDialect()
        self._interactive = interactive
        self._last = ""
        self._menu = ""
        self._gateway: Gateway | None = None

    def capabilities(self, chat: ChatRef | None = None) -> Capabilities:
        return Capabilities(
            dialect=self._dialect,
            buttons=NUMBERED,
            edit_text=True,
            private=True,
            forms=self._interactive,
            typed_options=True,
            attachments=True,
            completion=self._interactive,
            album=ALBUM,
            rate=RateRules(edit_seconds=REDRAW_SECONDS if self.screen.redraws else REPEAT_SECONDS),
        )

    async def run(self, gateway: Gateway) -> None:
        self._gateway = gateway
        gateway.connected(self.name)
        try:
            await asyncio.Event().wait()
        finally:
            self._gateway = None
            self._clear_progress()
            self.screen.print(self._menu)

    async def send(self, message: Outgoing) -> Receipt:
        """Raises OperatorMust when a file cannot be saved."""
        saved = tuple([await self._save(media) for media in message.media])
        text = self._text(message)
        self._clear_progress()
        self.screen.print("\n".join(part for part in (self._without_menu(text), *map(str, saved)) if part))
        self.printed[message.key] = Printed(message.key, text, saved)
        self._last = message.key
        return Receipt(chat=message.chat, ids=(message.key,), editable=True)

    async def edit(self, receipt: Receipt, message: Outgoing) -> Receipt:
        """Progress, which keeps the message's key, is one line that is redrawn; anything else is printed."""
        (id_,) = receipt.ids
        if id_ != self._last:
            raise Refused(words.STANDS_ABOVE)
        printed = self.printed[id_]
        text = self._text(message)
        if text == printed.text:
            return receipt
        if message.key == id_:
            self.screen.progress("\n".join(text.splitlines()[:PROGRESS_LINES]))
        else:
            self._clear_progress()
            self.screen.print(self._without_menu(text))
        printed.key, printed.text = message.key, text
        return receipt

    async def read(self, file: FileRef) -> AsyncIterator[bytes]:
        """A file of the one who runs the command."""
        try:
            opened = await asyncio.to_thread(Path(file.ref).open, "rb")
        except OSError as error:
            raise Gone(words.UNREADABLE.format(path=file.ref, reason=error.strerror)) from error
        try:
            while piece := await asyncio.to_thread(opened.read, PIECE_BYTES):
                yield piece
        except OSError as error:
            raise Gone(words.UNREADABLE.format(path=file.ref, reason=error.strerror)) from error
        finally:
            opened.close()

    def _clear_progress(self) -> None:
        if self.screen.redraws:
            self.screen.progress("")

    def _text(self, message: Outgoing) -> str:
        return self._dialect.render(message.text) if message.text else ""

    def _without_menu(self, text: str) -> str:
        """Where nobody can answer now, the numbers of the last message stand at the end: the next command presses them."""
        if self._interactive:
            return text
        found = _MENU.search(text)
        self._menu = found[1] if found else ""
        return text[: found.start()] if found else text

    async def _save(self, media: Media) -> Path:
        if self._gateway is None:
            raise Unavailable(words.STOPPED)
        name = Path(media.name).name or "file"
        data = self._gateway.blobs.open(media.blob.sha256)
        try:
            return await _saved(self._out, name, data)
        except OSError as error:
            raise OperatorMust(words.UNWRITABLE.format(path=self._out / name, reason=error.strerror)) from error


class LiveTerminal(Terminal):
    """One whose window has a title, which says what goes on."""

    def capabilities(self, chat: ChatRef | None = None) -> Capabilities:
        can = super().capabilities(chat)
        return replace(can, busy=True, reactions=True)

    async def signal(
        self, chat: ChatRef, what: Literal["busy", "seen", "done", "failed"], message_id: str = ""
    ) -> None:
        self.screen.title(f"chatelier: {what}")


def terminal(name: str, out: Path, screen: Screen, *, interactive: bool) -> Terminal:
    """The account that fits what the screen can do."""
    return (LiveTerminal if screen.redraws else Terminal)(name, out, screen, interactive=interactive)


async def _saved(folder: Path, name: str, data: AsyncIterator[bytes]) -> Path:
    """Under a name that no file has yet; nothing stays of one that could not be written whole."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    path, file = await asyncio.to_thread(_new_file, folder, name)
    try:
        with file:
            async for piece in data:
                await asyncio.to_thread(file.write, piece)
    except BaseException:
        await asyncio.to_thread(path.unlink, missing_ok=True)
        raise
    return path


def _new_file(folder: Path, name: str) -> tuple[Path, BufferedWriter]:
    for path in _names(folder / name):
        with suppress(FileExistsError):
            return path, path.open("xb")
    raise AssertionError("the names never end")


def _names(path: Path) -> Iterator[Path]:
    yield path
    for n in itertools.count(2):
        yield path.with_stem(f"{path.stem}-{n}")
