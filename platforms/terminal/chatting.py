"""`chatelier chat`: a conversation, a line a message."""

import sys
from contextlib import nullcontext
from io import TextIOWrapper
from pathlib import Path

from chatelier import open_gateway, run_command

from . import words
from .conversation import check_folder, opened
from .interrupts import Interrupts
from .line import Completion, edited
from .screen import Screen
from .turns import Turns


def chat(out: Path, name: str, config: Path | None) -> None:
    run_command(_chat(out, name, config))


async def _chat(out: Path, name: str, config: Path | None) -> None:
    check_folder(out)
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # what is no text must not end the conversation
    screen = Screen(sys.stdout, redraws=sys.stdout.isatty() and sys.stdin.isatty())
    with Interrupts() as interrupts:
        async with (
            open_gateway(config, alone=True) as runtime,
            opened(runtime, name, out, screen, interactive=True) as conversation,
        ):
            talk = conversation.talk
            completion = Completion(runtime, talk.terminal.chat, talk.handle)
            with edited(completion) if screen.redraws else nullcontext(str) as typed:
                screen.typed = typed
                screen.print(words.WELCOME)
                await Turns(conversation, screen, interrupts).run()
