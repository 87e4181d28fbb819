"""`chatelier say` and `chatelier chat`."""

import asyncio
import getpass
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chatelier import Ask, Config, FileRef, Form, Option, Outcome, Value, open_gateway, run_command

from .conversation import Talk, talk

app = typer.Typer()
FILES = ("image", "video", "audio", "file")

Out = Annotated[Path, typer.Option(help="Folder to save files in.", file_okay=False)]
As = Annotated[str, typer.Option("--as", metavar="NAME", help="Who you are; your last runs are kept under it.")]


def _me() -> str:
    try:
        return getpass.getuser()
    except OSError:  # no such user in this container
        return "me"


@app.command()
def say(
    text: Annotated[str, typer.Argument(help='What to say, such as "/make a red fox in the snow".')],
    attach: Annotated[
        list[Path] | None, typer.Option(help="A file to send with it.", exists=True, dir_okay=False)
    ] = None,
    out: Out = Path(),
    name: As = "",
    config: Config = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end, and nothing else.")
    ] = False,
) -> None:
    """Say one thing, wait for the result and save it. Ends with 0 only when it was done."""
    console = Console(quiet=as_json, highlight=False)
    outcome = run_command(_say(text, attach or [], out, name or _me(), config, console))
    if as_json:
        typer.echo(json.dumps(outcome, ensure_ascii=False))
    if outcome["state"] != "done":
        raise typer.Exit(1)


async def _say(
    text: str, files: list[Path], out: Path, name: str, config: Path | None, console: Console
) -> dict[str, object]:
    async with (
        open_gateway(config, alone=True) as runtime,
        talk(runtime, name, out, console, interactive=False) as conversation,
    ):
        _, event = await conversation.say(text, files)
        outcome = await conversation.outcome(event)
    terminal = conversation.terminal
    if outcome.job:
        console.print(f"job {outcome.job}: {outcome.state}")
    return {
        "job": outcome.job,
        "state": outcome.state,
        "text": "\n".join(text for key, text in terminal.texts.items() if text and key != outcome.card),
        "files": [str(path) for path in terminal.files],
    }


@app.command()
def chat(out: Out = Path(), name: As = "", config: Config = None) -> None:
    """Talk in the terminal: one line is one message, a number presses a button, Ctrl-D ends it."""
    console = Console(highlight=False)
    run_command(_chat(out, name or _me(), config, console))


async def _chat(out: Path, name: str, config: Path | None, console: Console) -> None:
    async with (
        open_gateway(config, alone=True) as runtime,
        talk(runtime, name, out, console, interactive=True) as conversation,
    ):
        console.print("Write /help for what there is; Ctrl-D ends.")
        while (line := await _ask(console, "> ")) is not None:
            if line.strip():
                await _turn(conversation, line, console)


async def _turn(conversation: Talk, line: str, console: Console) -> Outcome | None:
    answer, event = await conversation.say(line)
    while isinstance(answer, Ask):
        values = await _fill(conversation, answer.form, console)
        if values is None:
            return None
        answer, event = await conversation.submit(answer.form.key, values)
    return await conversation.outcome(event)


async def _fill(conversation: Talk, form: Form, console: Console) -> dict[str, Value] | None:
    """The form as prompts; what is left empty keeps its value. None when it was given up with Ctrl-D."""
    console.print(form.title)
    values: dict[str, Value] = {}
    for field in form.fields:
        typed = await _ask(console, _prompt(field, form.values.get(field.name, field.default)))
        if typed is None:
            return None
        if typed.strip():
            path = FileRef(platform=conversation.terminal.name, ref=typed.strip(), name=Path(typed.strip()).name)
            values[field.name] = path if field.type in FILES else typed.strip()
        elif field.name in form.values:
            values[field.name] = form.values[field.name]
    return values


def _prompt(field: Option, known: object) -> str:
    choices = "/".join(choice.value for choice in field.choices)
    told = ", ".join(part for part in (choices, f"now {known}" if known not in (None, "") else "") if part)
    return f"  {field.label or field.name}{f' ({told})' if told else ''}: "


async def _ask(console: Console, prompt: str) -> str | None:
    """A line, None at the end of input. Read on a thread, so that results go on arriving."""
    try:
        return await asyncio.to_thread(console.input, prompt)
    except EOFError:
        return None
