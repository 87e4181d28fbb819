"""One terminal as an account: what is sent is printed, media are saved, a card is a line that is redrawn."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.live import Live
from rich.text import Text

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
)

ALBUM = 1_000
"""Files in one message: there is no limit, this is more than any job gives."""
PIECE_BYTES = 262_144
NUMBERED = ButtonRules()
"""The core writes them as a numbered list, and a number presses one."""
UNHEEDED = ButtonRules(per_row=100, total=100, label=100, payload=100)
"""After one message nobody is there to press any, so none is listed."""


class Terminal:
    """name: the account, `terminal.<NAME>`. out: where files are saved. interactive: somebody is there to fill in a form."""

    def __init__(self, name: str, out: Path, console: Console, *, interactive: bool) -> None:
        self.name = name
        self.chat = ChatRef(platform=name, chat=name, direct=True)
        self.texts: dict[str, str] = {}
        self.files: list[Path] = []
        self._out = out
        self._console = console
        self._dialect = PlainDialect()
        self._interactive = interactive
        self._live: Live | None = None
        self._ids = itertools.count(1)
        self._gateway: Gateway | None = None

    def capabilities(self, chat: ChatRef | None = None) -> Capabilities:
        return Capabilities(
            dialect=self._dialect,
            buttons=NUMBERED if self._interactive else UNHEEDED,
            edit_text=True,
            private=True,
            forms=self._interactive,
            typed_options=True,
            attachments=True,
            completion=True,
            busy=True,
            reactions=True,
            album=ALBUM,
            rate=RateRules(edit_seconds=0.2),
        )

    async def run(self, gateway: Gateway) -> None:
        self._gateway = gateway
        gateway.connected(self.name)
        try:
            await asyncio.Event().wait()
        finally:
            self._stop_redrawing()

    async def send(self, message: Outgoing) -> Receipt:
        """Raises OperatorMust when a file cannot be saved."""
        saved = [await self._save(media) for media in message.media]
        text = self._text(message)
        self._stop_redrawing()
        self._print("\n".join([text, *map(str, saved)]) if text else "\n".join(map(str, saved)))
        self.texts[message.key] = text
        self.files += saved
        return Receipt(chat=message.chat, ids=(str(next(self._ids)),), editable=True)

    async def edit(self, receipt: Receipt, message: Outgoing) -> Receipt:
        """A card's progress is one line that is redrawn; its end, which has a key of its own, is printed."""
        text = self._text(message)
        if message.key in self.texts:
            self._redraw(text)
        else:
            self._stop_redrawing()
            self._print(text)
            self.texts[message.key] = text
        return receipt

    async def signal(
        self, chat: ChatRef, what: Literal["busy", "seen", "done", "failed"], message_id: str = ""
    ) -> None:
        """The terminal's title says it."""
        if self._console.is_terminal:
            self._console.set_window_title(f"chatelier: {what}")

    async def read(self, file: FileRef) -> AsyncIterator[bytes]:
        """A file of the one who runs the command."""
        try:
            opened = await asyncio.to_thread(Path(file.ref).open, "rb")
        except OSError as error:
            raise Gone(f"{file.ref} cannot be read") from error
        try:
            while piece := await asyncio.to_thread(opened.read, PIECE_BYTES):
                yield piece
        finally:
            opened.close()

    async def _save(self, media: Media) -> Path:
        assert self._gateway is not None  # noqa: S101 - nothing is sent before `run`
        path = self._out / media.name
        try:
            await asyncio.to_thread(self._out.mkdir, parents=True, exist_ok=True)
            with path.open("wb") as file:
                async for piece in self._gateway.blobs.open(media.blob.sha256):
                    await asyncio.to_thread(file.write, piece)
        except OSError as error:
            raise OperatorMust(f"{path} cannot be written: {error.strerror}") from error
        return path

    def _text(self, message: Outgoing) -> str:
        return self._dialect.render(message.text) if message.text else ""

    def _print(self, text: str) -> None:
        if text:
            self._console.print(Text(text))

    def _redraw(self, text: str) -> None:
        if not self._console.is_terminal:
            return
        line = Text(" · ".join(text.splitlines()[:3]), no_wrap=True, overflow="ellipsis")
        if self._live is None:
            self._live = Live(line, console=self._console, transient=True, auto_refresh=False)
            self._live.start()
        self._live.update(line, refresh=True)

    def _stop_redrawing(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
