"""`chatelier say` and `chatelier chat`."""

import asyncio
import getpass
import json
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from chatelier import (
    EXIT_CONFIG,
    EXIT_FAILED,
    BadInput,
    ChatelierError,
    Config,
    OperatorMust,
    Outcome,
    Value,
    open_gateway,
    redact,
    run_command,
)

from . import words
from .conversation import Open, afterwords, attachment, check_folder, opened
from .interrupts import Interrupts
from .line import Completion, edited
from .screen import Screen
from .turns import Turns

app = typer.Typer()

Out = Annotated[Path, typer.Option(help="Folder to save files in.")]
As = Annotated[
    str,
    typer.Option(
        "--as",
        metavar="NAME",
        help="Who you are; your last runs and the buttons of your last answer are kept under it.",
    ),
]


def _me() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user in this container
        return "me"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    text: str
    attach: tuple[Path, ...]
    options: tuple[str, ...]
    out: Path
    name: str
    config: Path | None


@dataclass(frozen=True, slots=True)
class Told:
    """What came of it, as `--json` prints it.

    state: of the job, or "done", "refused", "set aside", "undelivered", "error", and "open" for what was interrupted and goes on.
    """

    job: str
    state: str
    text: str
    files: tuple[str, ...] = ()


@app.command()
def say(
    text: Annotated[
        str,
        typer.Argument(
            help=(
                'What to say, such as "/make a red fox in the snow", or the number of a button of the last answer. '
                'With ^ before it, it answers the last result: "^ /mirror" takes its picture.'
            )
        ),
    ],
    attach: Annotated[list[Path] | None, typer.Option(help="A file to send with it.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="NAME=VALUE", help="A typed option, as it is; =@FILE sends a file."),
    ] = None,
    out: Out = Path(),
    name: As = "",
    config: Config = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end, and nothing else.")
    ] = False,
) -> None:
    """Say one thing, wait for the result and save it. Ends with 0 only when it was done."""
    wanted = Wanted(text, tuple(attach or ()), tuple(option or ()), out, name or _me(), config)
    screen = Screen(None if as_json else sys.stdout)
    code = EXIT_FAILED
    try:
        told = asyncio.run(_say(wanted, screen))
    except ChatelierError as error:
        told = Told("", "refused" if isinstance(error, BadInput) else "error", redact(str(error)))
        code = EXIT_CONFIG if isinstance(error, OperatorMust) else EXIT_FAILED
        if not as_json:
            typer.echo(told.text, err=True)
    if as_json:
        typer.echo(json.dumps(asdict(told), ensure_ascii=False))
    if told.state != "done":
        raise typer.Exit(code)


async def _say(wanted: Wanted, screen: Screen) -> Told:
    check_folder(wanted.out)
    with Interrupts() as interrupts:
        async with (
            open_gateway(wanted.config, alone=True) as runtime,
            opened(runtime, wanted.name, wanted.out, screen, interactive=False) as conversation,
        ):
            event = await _act(conversation, wanted)
            outcome = await conversation.outcome(event, interrupts.first)
        return _told(conversation, outcome, screen)


async def _act(conversation: Open, wanted: Wanted) -> str:
    """Say it, or call it when there are typed options. The event's key."""
    talk = conversation.talk
    files = [attachment(talk.terminal.name, path) for path in wanted.attach]
    text, reply_to = await conversation.answering(wanted.text)
    if not wanted.options:
        return (await talk.say(text, files, reply_to=reply_to))[1]
    command = text.strip()
    if not command.startswith("/") or " " in command or files:
        raise BadInput(words.OPTIONS_NEED_COMMAND.format(text=wanted.text))
    options = _options(wanted.options, talk.terminal.name)
    return (await talk.call(command[1:], options, reply_to=reply_to))[1]


def _options(given: tuple[str, ...], account: str) -> dict[str, Value]:
    options: dict[str, Value] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise BadInput(words.OPTION.format(option=each))
        if name in options:
            raise BadInput(words.OPTION_TWICE.format(name=name))
        options[name] = attachment(account, Path(value[1:])) if value.startswith("@") else value
    return options


def _told(conversation: Open, outcome: Outcome, screen: Screen) -> Told:
    printed = conversation.talk.terminal.printed
    answers = [printed[id_] for id_ in outcome.ids if id_ in printed]
    more = afterwords(outcome)
    state = "undelivered" if outcome.undelivered and outcome.state == "done" else outcome.state
    for sentence in more:
        screen.print(sentence)
    if outcome.job:
        screen.print(f"job {outcome.job}: {state}")
    text = "\n".join([*(each.text for each in answers if each.text), *more])
    return Told(outcome.job, state, text, tuple(str(path) for each in answers for path in each.files))


@app.command()
def chat(out: Out = Path(), name: As = "", config: Config = None) -> None:
    """Talk in the terminal: one line is one message, a number presses a button, ^ before it answers the last result, Ctrl-D ends."""
    run_command(_chat(out, name or _me(), config))


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
