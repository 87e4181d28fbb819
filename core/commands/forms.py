"""Asking for what a command needs: all at once in a form, or one thing after the other."""

from collections.abc import Mapping

from ..chat.markup import escape
from ..chat.messages import Form, Option, Reply, Value
from . import words
from .command import Command


def missing(command: Command, values: Mapping[str, Value | None]) -> tuple[Option, ...]:
    """Required options that have neither a value nor a default."""
    return tuple(
        option
        for option in command.options
        if option.required and option.default is None and values.get(option.name) is None
    )


def form_for(command: Command, values: Mapping[str, Value | None], key: str, only_missing: bool = False) -> Form:
    """A form with what is known filled in, except files. only_missing: ask for nothing else."""
    asked = missing(command, values) if only_missing else command.options
    fields = tuple(sorted(asked, key=lambda option: option.advanced))
    names = {option.name for option in fields}
    known = {
        name: value for name, value in values.items() if name in names and isinstance(value, str | int | float | bool)
    }
    return Form(key=key, title=command.summary, fields=fields, values=known)


def question(option: Option) -> Reply:
    """Asks for one option; the next message answers it."""
    return Reply(text=escape(words.question(option)))
