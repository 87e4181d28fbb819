"""`chatelier say` and `chatelier chat` as the command line knows them. What they do is imported when they are called."""

import getpass
from pathlib import Path

import click

from chatelier import config_option

out_option = click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    default=Path(),
    show_default=True,
    help="Folder to save files in.",
)
as_option = click.option(
    "--as",
    "name",
    default="",
    metavar="NAME",
    help="Who you are; your last runs and the buttons of your last answer are kept under it.",
)


@click.command("say")
@click.argument("text")
@click.option(
    "--attach", type=click.Path(path_type=Path), metavar="FILE", multiple=True, help="A file to send with it."
)
@click.option(
    "--option", "-o", metavar="NAME=VALUE", multiple=True, help="A typed option, as it is; =@FILE sends a file."
)
@out_option
@as_option
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end, and nothing else.")
def say(
    text: str,
    attach: tuple[Path, ...],
    option: tuple[str, ...],
    out: Path,
    name: str,
    config: Path | None,
    as_json: bool,
) -> None:
    """Say one thing, wait for the result and save it. Ends with 0 only when it was done.

    TEXT is such as "/make a red fox in the snow", or the number of a button of the last answer. With ^ before it, it answers the last
    result: "^ /mirror" takes its picture.
    """
    from . import saying

    wanted = saying.Wanted(text, attach, option, out, name or _me(), config)
    saying.say(wanted, as_json=as_json)


@click.command("chat")
@out_option
@as_option
@config_option
def chat(out: Path, name: str, config: Path | None) -> None:
    """Talk in the terminal: one line is one message.

    A number presses a button, ^ before a line answers the last result, Ctrl-D ends.
    """
    from . import chatting

    chatting.chat(out, name or _me(), config)


def _me() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user in this container
        return "me"
