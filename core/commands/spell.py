"""A call of a command as the line that somebody would type for it: the way back from `parse`."""

from collections.abc import Mapping

from ..chat.messages import Value
from .command import Command

PAIRS = (('"', '"'), ("“", "”"), ("«", "»"), ("„", "“"))
"""Quotes that hold a value together; `parse` reads each of them."""
QUOTES = {quote for pair in PAIRS for quote in pair}


def line_of(command: Command, values: Mapping[str, Value]) -> str:
    """Values that are the option's default are left out, and so is a text that holds quotes of every kind."""
    parts = [f"/{command.name}"]
    rest = ""
    for option in command.options:
        value = values.get(option.name)
        if value is None or value == option.default:
            continue
        if option.rest:
            rest = str(value)
        elif option.type == "boolean":
            parts.append(f"--{option.name}" if value else f"--no-{option.name}")
        elif (word := _as_word(str(value))) is not None:
            parts.append(f"--{option.name}={word}")
    return " ".join([*parts, "--", rest] if rest else parts)


def _as_word(value: str) -> str | None:
    if value and not any(character.isspace() or character in QUOTES for character in value):
        return value
    return next((f"{left}{value}{right}" for left, right in PAIRS if left not in value and right not in value), None)
