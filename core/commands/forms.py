"""Asking for what a command needs: all at once in a form, or one thing after the other."""

from collections.abc import Mapping

from ..chat.buttons import Picked
from ..chat.capabilities import ButtonRules
from ..chat.markup import escape
from ..chat.messages import Button, Choice, FileRef, Form, Option, Reply, Value
from ..values import replace
from . import words
from .command import Command

YES_OR_NO = (Choice(value="yes", label=words.YES), Choice(value="no", label=words.NO))
MOST_BUTTONS = 24
"""Who has the choice of more types it, unless the network has menus: that many buttons fill a phone."""
PER_ROW = 3


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
        if not option.aside
    )
    names = {option.name for option in fields}
    known = {
        name: value for name, value in values.items() if name in names and isinstance(value, str | int | float | bool)
    }
    return Form(key=key, title=command.summary, fields=fields, values=known)


def question(option: Option, key: str, rules: ButtonRules) -> Reply:
    """Asks for one option; the next message answers it, or where there are few answers a button. key: of the open question."""
    choices, most = choices_of(option), rules.total if rules.menus else MOST_BUTTONS
    buttons = [
        Button(label=choice.label or choice.value, payload=Picked(key=key, n=n).payload)
        for n, choice in enumerate(choices if len(choices) <= most else ())
    ]
    rows = tuple(tuple(buttons[start : start + PER_ROW]) for start in range(0, len(buttons), PER_ROW))
    return Reply(text=escape(words.question(option)), buttons=rows)


def choices_of(option: Option) -> tuple[Choice, ...]:
    """The answers that there are, where they can be counted."""
    if option.type == "boolean":
        return YES_OR_NO
    return option.choices if option.type == "choice" else ()
