"""Asking for what a command needs: all at once in a form, or one thing after the other."""

from collections.abc import Mapping
from dataclasses import replace

from ..chat.markup import escape
from ..chat.messages import FileRef, Form, Option, Reply, Value
from . import words
from .command import Command


def missing(command: Command, values: Mapping[str, Value | None]) -> tuple[Option, ...]:
    """Required options that have neither a value nor a default."""
    return tuple(
        option
        for option in command.options
        if option.required and option.default is None and values.get(option.name) is None
    )


def form_for(command: Command, values: Mapping[str, Value | None], key: str) -> Form:
    """A form with what is known filled in, except files: one that is known stays when no other one is given."""
    fields = tuple(
        replace(option, required=False) if isinstance(values.get(option.name), FileRef) else option
        for option in sorted(command.options, key=lambda option: option.advanced)
    )
    names = {option.name for option in fields}
    known = {
        name: value for name, value in values.items() if name in names and isinstance(value, str | int | float | bool)
    }
    return Form(key=key, title=command.summary, fields=fields, values=known)


def question(option: Option) -> Reply:
    """Asks for one option; the next message answers it."""
    return Reply(text=escape(words.question(option)))
