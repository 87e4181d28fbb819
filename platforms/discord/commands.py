"""Our commands as Discord's: typed options, choices, files. What is beyond a hundred stands behind one more command."""

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from chatelier import Option, Published

from . import words
from .limits import CHOICE, CHOICES, COMMANDS, DEFINITION, OPTIONS, SUMMARY

SLASH, MESSAGE = 1, 3
"""Kinds of application commands; `MESSAGE` is in the menu of a message."""
STRING, INTEGER, BOOLEAN, NUMBER, ATTACHMENT = 3, 4, 5, 10, 11
TYPES = {"integer": INTEGER, "number": NUMBER, "boolean": BOOLEAN}
FILES = frozenset({"image", "video", "audio", "file"})
NAME = re.compile(r"[-_\w]{1,32}")
SAFE_INTEGER = 2**53
MORE = "more"
ROOM = COMMANDS - 1
"""One place is for `more`."""
ADMINS_ONLY = "0"
"""Permissions that nobody has but administrators; operators elsewhere write the command in words."""


def definitions(commands: Sequence[Published]) -> list[dict[str, Any]]:
    """What Discord is told of them, with the entries in the menu of a message."""
    fit = [each for each in commands if NAME.fullmatch(each.name) and each.name == each.name.lower()]
    own = fit if len(fit) <= COMMANDS else fit[:ROOM]
    slash = [_command(each) for each in own]
    if len(own) < len(fit):
        slash.append(_more())
    return [*slash, *({"type": MESSAGE, "name": name} for name in (words.USE_AS_INPUT, words.INFO))]


def digest(application: int, payload: Sequence[Mapping[str, Any]]) -> str:
    return sha256(json.dumps([application, payload], sort_keys=True).encode()).hexdigest()


def _command(command: Published) -> dict[str, Any]:
    wanted = [each for each in command.options if NAME.fullmatch(each.name) and each.name == each.name.lower()]
    options = [_option(each) for each in wanted]
    options = [*(each for each in options if each["required"]), *(each for each in options if not each["required"])]
    made: dict[str, Any] = {
        "type": SLASH,
        "name": command.name,
        "description": _line(command.summary or command.name),
        "options": options[:OPTIONS],
    }
    if command.operators:
        made["default_member_permissions"] = ADMINS_ONLY
    while _length(made) > DEFINITION and made["options"]:
        made["options"] = made["options"][:-1]
    return made


def _option(option: Option) -> dict[str, Any]:
    """A file is never required: it may be the one of an answered message, or the latest. What is missing is asked for."""
    made: dict[str, Any] = {
        "type": ATTACHMENT if option.type in FILES else TYPES.get(option.type, STRING),
        "name": option.name,
        "description": _line(option.description or option.label or option.name),
        "required": False,
    }
    if option.type in ("integer", "number"):
        made |= _range(option)
    if option.type == "choice":
        if len(option.choices) <= CHOICES:
            made["choices"] = [
                {"name": (each.label or each.value)[:CHOICE], "value": each.value[:CHOICE]} for each in option.choices
            ]
        else:
            made["autocomplete"] = True
    return made


def _range(option: Option) -> dict[str, Any]:
    """Whole numbers beyond 2^53 are typed as words: Discord does not carry them."""
    limits = [limit for limit in (option.minimum, option.maximum) if limit is not None]
    if any(abs(limit) > SAFE_INTEGER for limit in limits) or (option.type == "integer" and len(limits) < 2):
        return {"type": STRING} if option.type == "integer" else {}
    whole = option.type == "integer"
    found = {"min_value": option.minimum, "max_value": option.maximum}
    return {name: int(limit) if whole else limit for name, limit in found.items() if limit is not None}


def _more() -> dict[str, Any]:
    return {
        "type": SLASH,
        "name": MORE,
        "description": words.MORE,
        "options": [
            {
                "type": STRING,
                "name": "command",
                "description": words.MORE_COMMAND,
                "required": True,
                "autocomplete": True,
            },
            {"type": STRING, "name": "text", "description": words.MORE_TEXT, "required": False},
            {"type": ATTACHMENT, "name": "file", "description": words.MORE_FILE, "required": False},
        ],
    }


def _line(text: str) -> str:
    line = " ".join(text.split()) or "…"
    return line if len(line) <= SUMMARY else f"{line[: SUMMARY - 1]}…"


def _length(command: Mapping[str, Any]) -> int:
    """Characters as Discord counts them: names, descriptions and values of choices."""
    options = command["options"]
    own = len(command["name"]) + len(command["description"])
    own += sum(len(each["name"]) + len(each["description"]) for each in options)
    choices = [choice for each in options for choice in each.get("choices", ())]
    return own + sum(len(choice["name"]) + len(str(choice["value"])) for choice in choices)
