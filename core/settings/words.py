"""What is wrong with a setting, and the mend, in words. Values are never named: one of them might be a secret."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from .document import Key, dotted
from .environment import PREFIX, variable

_WORDS = {
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_parsing_size": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "string_type": "should be text; put it in quotes",
    "path_type": "should be a path; put it in quotes",
    "list_type": "should be a list, such as [a, b]",
    "tuple_type": "should be a list, such as [a, b]",
    "set_type": "should be a list, such as [a, b]",
    "dict_type": 'should be settings of its own, a line "name: value" each',
    "model_type": 'should be settings of its own, a line "name: value" each',
    "model_attributes_type": 'should be settings of its own, a line "name: value" each',
}


def of_error(error: Mapping[str, Any], key: Key, *, secret: bool) -> str:
    """Words for one of the errors of a pydantic ValidationError."""
    kind = str(error["type"])
    if kind == "missing":
        mend = " or as {file: path}" if secret else ""
        return f"missing; set it here{mend}, or as {variable(key)}"
    if error["input"] is None:
        return "is empty; give it a value or remove the line"
    if kind in _WORDS:
        return _WORDS[kind]
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if message.startswith("Input should"):
        return message.replace("Input should", "should", 1)
    return message or "cannot be used"


def nearest(typed: str, known: Iterable[str]) -> str:
    """What was probably meant, or ""."""
    return next(iter(get_close_matches(typed.lower(), list(known), n=1, cutoff=0.6)), "")


def unknown(key: Key, siblings: Iterable[str], everywhere: Iterable[Key]) -> str:
    """For a name that no model has: the same name elsewhere, else a near one beside it, else what there is."""
    siblings, name = list(siblings), str(key[-1])
    if other := next((other for other in everywhere if other[-1] == name), None):
        return f'unknown setting; did you mean "{dotted(other)}"?'
    if meant := nearest(name, siblings):
        return f'unknown setting; did you mean "{meant}"?'
    if siblings:
        return f"unknown setting; known here: {', '.join(sorted(siblings))}"
    return "unknown setting; nothing is known here"


def no_such_plugin(name: str, known: Iterable[str]) -> str:
    """For a name in `plugins.off`."""
    meant = nearest(name, known)
    return f'there is no plugin "{name}"; ' + (f'did you mean "{meant}"?' if meant else "remove it")


def unknown_variable(name: str, everywhere: Iterable[Key]) -> str:
    """For an environment variable that sets nothing."""
    known = (variable(key).removeprefix(PREFIX).lower() for key in everywhere)
    meant = nearest(name.removeprefix(PREFIX), known)
    return "names no setting" + (f"; did you mean {PREFIX}{meant.upper()}?" if meant else "; unset it")
