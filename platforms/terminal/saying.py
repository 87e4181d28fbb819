"""`chatelier say`: one thing is said, its result is saved, and how it ended is the exit code."""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from chatelier import (
    EXIT_CONFIG,
    EXIT_FAILED,
    BadInput,
    ChatelierError,
    OperatorMust,
    Outcome,
    Value,
    open_gateway,
    redact,
)

from . import words
from .conversation import Open, afterwords, attachment, check_folder, opened
from .interrupts import Interrupts
from .screen import Screen


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


def say(wanted: Wanted, *, as_json: bool) -> None:
    screen = Screen(None if as_json else sys.stdout)
    code = EXIT_FAILED
    try:
        told = asyncio.run(_say(wanted, screen))
    except ChatelierError as error:
        told = Told("", "refused" if isinstance(error, BadInput) else "error", redact(str(error)))
        code = EXIT_CONFIG if isinstance(error, OperatorMust) else EXIT_FAILED
        if not as_json:
            click.echo(told.text, err=True)
    if as_json:
        click.echo(json.dumps(asdict(told), ensure_ascii=False))
    if told.state != "done":
        raise click.exceptions.Exit(code)


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
