"""What is said about commands and their options: plain sentences, no markup."""

from collections.abc import Iterable, Sequence

from ..chat.graphemes import shorten
from ..chat.markup import fence
from ..chat.messages import FieldType, Option

PLAIN_WORDS = "Commands begin with a slash. Write /make and what you want to see, or /help for all commands."
NOTHING_TO_WORK_ON = "Send a picture or video with it, answer one with it, or give its link."
OPERATORS_ONLY = "Only the operator may do that."

YES = "Yes"
NO = "No"
RUN = "▶️ Run"
SENT = "as sent"

QUOTED_LENGTH = 40
LISTED = 12
"""So many choices or names are listed at most."""

FILES: dict[FieldType, str] = {"image": "a picture", "video": "a video", "audio": "a sound file", "file": "a file"}


def quoted(given: str) -> str:
    """What somebody typed, on one line and not too long."""
    return f"“{shorten(' '.join(given.split()), QUOTED_LENGTH)}”"


def listed(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join([*every[:LISTED], "…"] if len(every) > LISTED else every)


def number(value: float) -> str:
    """512 for 512.0."""
    return str(value).removesuffix(".0")


def span(option: Option) -> str:
    """from 64 to 2048 in steps of 8"""
    low, high = option.minimum, option.maximum
    limits = ""
    if low is not None and high is not None:
        limits = f" from {number(low)} to {number(high)}"
    elif low is not None:
        limits = f" of {number(low)} or more"
    elif high is not None:
        limits = f" of {number(high)} or less"
    return limits + (f" in steps of {number(option.step)}" if option.step and option.step != 1 else "")


def allowed(option: Option) -> str:
    """What the option takes, as it stands after "must be"."""
    match option.type:
        case "integer":
            return f"a whole number{span(option)}"
        case "number":
            return f"a number{span(option)}"
        case "boolean":
            return "yes or no"
        case "choice" if option.choices:
            return f"one of {listed(choice.value for choice in option.choices)}"
        case "text" | "choice":
            return "text"
    return FILES[option.type]


def not_allowed(option: Option, given: str) -> str:
    return f"{option.name} must be {allowed(option)}, not {quoted(given)}."


def missing(option: Option) -> str:
    return f"{option.name} is missing: it must be {allowed(option)}."


def comma_in_number(option: Option, given: str) -> str:
    return f"{option.name} must be {allowed(option)}, not {quoted(given)}: write it without a comma, as in 0.5 or 1024."


def off_step(option: Option, given: str, nearest: Sequence[float]) -> str:
    start = f" from {number(option.minimum)}" if option.minimum else ""
    return (
        f"{option.name} goes in steps of {number(option.step or 1)}{start}: "
        f"{' or '.join(map(number, nearest))}, not {quoted(given)}."
    )


def not_a_choice(option: Option, given: str, near: Sequence[str]) -> str:
    return f"{not_allowed(option, given)}{did_you_mean(near)}"


def too_long(option: Option, length: int) -> str:
    return (
        f"{option.name} is {length:,} characters long, and at most {option.max_length:,} are taken: please shorten it."
    )


def no_file(option: Option, given: str) -> str:
    return f"{option.name} must be {allowed(option)}, not {quoted(given)}: attach it, or give a link that begins with https://."


def not_a_file_option(option: Option) -> str:
    return f"{option.name} must be {allowed(option)}, not a file."


def no_value(option: Option) -> str:
    return f"--{option.name} needs a value: {allowed(option)}."


def no_value_taken(option: Option) -> str:
    return f"--no-{option.name} takes no value."


def no_such_option(command: str, name: str, options: Iterable[str], near: Sequence[str], dashes: str = "") -> str:
    said = f"/{command} has no option {dashes}{shorten(name, QUOTED_LENGTH)}."
    if near:
        return said + did_you_mean([dashes + one for one in near])
    every = [dashes + one for one in options]
    return f"{said} Its options are {listed(every)}." if every else f"{said} It has none."


def not_expected(command: str, given: str, usage: str) -> str:
    return f"/{command} does not know what to do with {quoted(given)}. Write it like this: {usage}"


def no_such_command(name: str, near: Sequence[str]) -> str:
    said = f"There is no command /{shorten(name, QUOTED_LENGTH)}."
    return said + (did_you_mean([f"/{one}" for one in near]) if near else " Write /help to see all of them.")


def did_you_mean(near: Sequence[str]) -> str:
    return f" Did you mean {' or '.join(near)}?" if near else ""


def shown(value: str | float) -> str:
    """A value as people write it, on one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(value.split()) if isinstance(value, str) else number(value)


def menu(line: str, *, with_files: bool) -> str:
    """Above the buttons of all inputs: the words that would do the same."""
    again = ", with the file that it was made from" if with_files else ""
    return f"Press what you want to change, then {RUN}. Or change this line and send it{again}:\n\n{fence(line)}"


def question(option: Option) -> str:
    name = option.label or option.name.replace("_", " ")
    about = f" ({option.description.rstrip('.')})" if option.description else ""
    if option.type in FILES:
        return f"Please send {FILES[option.type]} for {name}{about}, or a link to one."
    if option.type == "text":
        return f"What should {name} be{about}?"
    return f"What should {name} be{about}? Please answer with {allowed(option)}."


def too_many_files(count: int, most: int) -> str:
    return f"That is {count} files; I take {most} at a time."
