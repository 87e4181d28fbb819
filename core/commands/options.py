"""What an option holds: words checked and turned into a typed value. Every refusal is a BadInput whose sentence is plain text."""

import math
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import overload

from ..chat.messages import FILE_TYPES, Choice, FileRef, Option, Value
from ..errors import BadInput
from . import words

YES = frozenset({"yes", "y", "on", "true", "1"})
NO = frozenset({"no", "n", "off", "false", "0"})

Typed = str | int | float | bool
"""A `Value` that is no file."""

# A seed of 64 bits has 20 digits.
INTEGER = re.compile(r"[+-]?[0-9]+(?:_[0-9]+)*", re.ASCII)
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
WITH_COMMA = re.compile(r"[+-]?[0-9._]*(?:,[0-9._]+)+", re.ASCII)
LONGEST_NUMBER = 40
LARGEST = 10**LONGEST_NUMBER
"""Beyond every seed, and not yet beyond what a float can hold."""
LINK = re.compile(r"https?://\S+", re.IGNORECASE)


def check(option: Option, raw: str) -> Typed:
    """What was typed for an option, as the value it stands for. A link stays a text. Raises BadInput."""
    given = raw.strip()
    match option.type:
        case "integer" | "number":
            return checked_number(option, _number(option, given), given)
        case "boolean":
            return _boolean(option, given)
        case "choice" if option.choices:
            return _choice(option, given)
        case "text" | "choice":
            return _text(option, raw)
    if not LINK.fullmatch(given):
        raise BadInput(words.no_file(option, given))
    return given


@overload
def check_value(option: Option, value: Typed) -> Typed: ...
@overload
def check_value(option: Option, value: Value) -> Value: ...
def check_value(option: Option, value: Value) -> Value:
    """The same for a value that a network or a form has typed already. Raises BadInput."""
    if isinstance(value, FileRef):
        if option.type not in FILE_TYPES:
            raise BadInput(words.not_a_file_option(option))
        return value
    if isinstance(value, str):
        return check(option, value)
    if isinstance(value, bool) or option.type not in {"integer", "number"}:
        return check(option, str(value).lower() if isinstance(value, bool) else words.number(value))
    if not abs(value) < LARGEST or (option.type == "integer" and value != int(value)):
        raise BadInput(words.not_allowed(option, str(value)))
    return checked_number(option, int(value) if option.type == "integer" else float(value), words.number(value))


def checked_number(option: Option, value: float, given: str) -> int | float:
    """`value` if it is in the option's range and on one of its steps. Raises BadInput."""
    low, high = option.minimum, option.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        raise BadInput(words.not_allowed(option, given))
    if option.step and not _on_step(option, value):
        raise BadInput(words.off_step(option, given, _nearest(option, value)))
    return value


def close(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """Up to three names that somebody may have meant, the closest first."""
    return tuple(get_close_matches(folded(name)[:64], list(names), n=3, cutoff=0.6))


def folded(name: str) -> str:
    """Names are compared without case, and `-` is as good as `_`."""
    return name.casefold().replace("-", "_")


def _number(option: Option, given: str) -> int | float:
    if WITH_COMMA.fullmatch(given):
        raise BadInput(words.comma_in_number(option, given))
    pattern = INTEGER if option.type == "integer" else NUMBER
    if len(given) > LONGEST_NUMBER or not pattern.fullmatch(given):
        raise BadInput(words.not_allowed(option, given))
    value = int(given) if option.type == "integer" else float(given)
    if not math.isfinite(value):
        raise BadInput(words.not_allowed(option, given))
    return value


def _steps(option: Option, value: float) -> float:
    return (value - (option.minimum or 0)) / (option.step or 1)


def _on_step(option: Option, value: float) -> bool:
    if isinstance(value, int) and float(option.step or 1).is_integer() and float(option.minimum or 0).is_integer():
        # Whole numbers are compared as such: a float has no room for a seed of 64 bits.
        return (value - int(option.minimum or 0)) % int(option.step or 1) == 0
    steps = _steps(option, value)
    return math.isclose(steps, round(steps), rel_tol=1e-9, abs_tol=1e-6)


def _nearest(option: Option, value: float) -> list[float]:
    """The values on a step below and above, as far as they are in range."""
    below = math.floor(_steps(option, value))
    found = [round((option.minimum or 0) + steps * (option.step or 1), 10) for steps in (below, below + 1)]
    return [one for one in found if option.maximum is None or one <= option.maximum]


def _boolean(option: Option, given: str) -> bool:
    said = given.casefold()
    if said not in YES | NO:
        raise BadInput(words.not_allowed(option, given))
    return said in YES


def _choice(option: Option, given: str) -> str:
    for same in (_exactly, _without_case):
        for choice in option.choices:
            if same(given, choice.value) or (choice.label and same(given, choice.label)):
                return choice.value
    known = {folded(choice.value): choice.value for choice in option.choices}
    raise BadInput(words.not_a_choice(option, given, _meant(given, option.choices, known)))


def _meant(given: str, choices: tuple[Choice, ...], known: dict[str, str]) -> list[str]:
    """Close ones, where they are not all listed anyway."""
    return [known[name] for name in close(given, known)] if len(choices) > words.LISTED else []


def _exactly(given: str, known: str) -> bool:
    return given == known


def _without_case(given: str, known: str) -> bool:
    return given.casefold() == known.casefold()


def _text(option: Option, raw: str) -> str:
    if len(raw) > option.max_length:
        raise BadInput(words.too_long(option, len(raw)))
    return raw
