"""Help and usage, all made from the declarations."""

from collections.abc import Iterable

from ..chat.markup import code, escape
from ..chat.messages import FILE_TYPES, Option
from . import words
from .command import Command
from .registry import Registry

CHOICES_IN_USAGE = 4


def usage(command: Command) -> str:
    """One plain line: what is required first, then what may be left out in brackets; advanced options are an ellipsis."""
    shown = [option for option in command.options if not option.advanced or option.required]
    shown.sort(key=lambda option: (not _needed(option), not option.rest))
    parts = [_in_usage(option, in_order=not _takes_rest(command)) for option in shown]
    return " ".join([f"/{command.name}", *parts, *["…"] * (len(shown) < len(command.options))])


def overview(registry: Registry, *, operator: bool = False) -> str:
    """Markdown: every command under its group, with its first example. operator: those of the operator too."""
    parts = []
    for group, commands in registry.grouped():
        lines = [_in_overview(command) for command in commands if operator or not command.operators]
        if lines:
            parts.append("\n".join((f"**{escape(group)}**\n", *lines)))
    return "\n\n".join((*parts, f"{code('/help')} and a command's name tells all about that command."))


def help_for(command: Command) -> str:
    """Markdown: all about one command."""
    parts = [f"**/{escape(command.name)}** {escape(command.summary)}", code(usage(command))]
    if command.details and command.details != command.summary:
        parts.append(command.details)
    plain = [option for option in command.options if not option.advanced]
    advanced = [option for option in command.options if option.advanced]
    parts += _option_list("", plain) + _option_list("**More options**", advanced)
    if command.aliases:
        parts.append(f"Also called {', '.join(code(f'/{alias}') for alias in command.aliases)}.")
    if command.examples:
        parts.append("**Examples**\n\n" + "\n".join(f"- {code(example)}" for example in command.examples))
    return "\n\n".join(parts)


def unknown_command(name: str, registry: Registry) -> str:
    """A plain sentence about a command that is not there, with what may have been meant."""
    return words.no_such_command(name, registry.suggest(name))


def _needed(option: Option) -> bool:
    return option.required and option.default is None


def _takes_rest(command: Command) -> bool:
    return any(option.rest for option in command.options)


def _in_usage(option: Option, *, in_order: bool) -> str:
    if option.rest:
        shown = f"{option.name}…"
    elif option.type == "boolean":
        shown = f"--{option.name}"
    elif in_order:
        shown = f"<{option.name}>"
    else:
        shown = f"--{option.name} {_value_in_usage(option)}"
    return shown if _needed(option) else f"[{shown}]"


def _value_in_usage(option: Option) -> str:
    if option.type == "choice" and option.choices:
        every = [choice.value for choice in option.choices]
        return "|".join([*every[:CHOICES_IN_USAGE], "…"] if len(every) > CHOICES_IN_USAGE else every)
    if option.minimum is not None and option.maximum is not None:
        return f"{words.number(option.minimum)}…{words.number(option.maximum)}"
    return f"<{option.type}>"


def _in_overview(command: Command) -> str:
    example = f" For example {code(command.examples[0])}" if command.examples else ""
    return f"- {code(f'/{command.name}')} {escape(command.summary)}{example}"


def _option_list(heading: str, options: Iterable[Option]) -> list[str]:
    lines = [f"- {_described(option)}" for option in options]
    return [heading, "\n".join(lines)] if heading and lines else ["\n".join(lines)] if lines else []


def _described(option: Option) -> str:
    name = option.name if option.rest else f"--{option.name}"
    said = [f"{code(name)} {escape(words.allowed(option))}"]
    if option.type in FILE_TYPES:
        said.append("attached, or a link to it")
    if option.default not in (None, ""):
        said.append(f"{escape(words.shown(option.default))} if you say nothing")
    elif option.required:
        said.append("required")
    description = option.description or option.label
    return ", ".join(said) + "." + (f" {escape(description)}" if description else "")
