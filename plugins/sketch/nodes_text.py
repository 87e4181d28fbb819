"""Text, numbers and regular expressions."""

import json
import re
from typing import Any

from .declare import Shelf, Shown, Slot, choice, flag, link, text, whole

PRIMITIVES = "comfy_extras.nodes_primitive"
BIGGEST = 2**63 - 1
"""Python's `sys.maxsize`, which ComfyUI takes for the limit of a whole number."""

shelf = Shelf("comfy_extras.nodes_string", modern=True)


def _lines(name: str) -> Slot:
    return text(name, multiline=True)


def _flags() -> tuple[Slot, ...]:
    return (flag("case_insensitive", True), flag("multiline", False), flag("dotall", False))


def _primitive(name: str, title: str, slot: Slot, summary: str) -> None:
    def value_of(value: Any) -> Any:
        return value

    value_of.__doc__ = summary
    shelf.node(name, slot, gives=(slot.type,), category="utils/primitive", title=title, module=PRIMITIVES)(value_of)


_primitive("PrimitiveString", "String", text("value", multiline=False), "A line of text.")
_primitive("PrimitiveStringMultiline", "String (Multiline)", _lines("value"), "Text of several lines.")
_primitive(
    "PrimitiveInt", "Int", whole("value", None, -BIGGEST, BIGGEST, control_after_generate=True), "A whole number."
)
_primitive(
    "PrimitiveFloat", "Float", Slot(name="value", type="FLOAT", options={"min": -BIGGEST, "max": BIGGEST}), "A number."
)
_primitive("PrimitiveBoolean", "Boolean", flag("value"), "True or false.")


@shelf.node(
    "StringConcatenate",
    _lines("string_a"),
    _lines("string_b"),
    text("delimiter", "", multiline=False),
    gives=("STRING",),
    category="utils/string",
    title="Concatenate",
)
def string_concatenate(string_a: str, string_b: str, delimiter: str) -> str:
    """Two texts with something between them."""
    return delimiter.join((string_a, string_b))


@shelf.node(
    "StringSubstring",
    _lines("string"),
    whole("start"),
    whole("end"),
    gives=("STRING",),
    category="utils/string",
    title="Substring",
)
def string_substring(string: str, start: int, end: int) -> str:
    """A part of the text."""
    return string[start:end]


@shelf.node(
    "StringLength", _lines("string"), gives=("INT",), names=("length",), category="utils/string", title="Length"
)
def string_length(string: str) -> int:
    """The number of characters."""
    return len(string)


@shelf.node(
    "CaseConverter",
    _lines("string"),
    choice("mode", "UPPERCASE", "lowercase", "Capitalize", "Title Case", multiselect=False),
    gives=("STRING",),
    category="utils/string",
    title="Case Converter",
)
def case_converter(string: str, mode: str) -> str:
    """Capitals and small letters."""
    convert = {"UPPERCASE": str.upper, "lowercase": str.lower, "Capitalize": str.capitalize, "Title Case": str.title}
    return convert[mode](string)


@shelf.node(
    "StringTrim",
    _lines("string"),
    choice("mode", "Both", "Left", "Right", multiselect=False),
    gives=("STRING",),
    category="utils/string",
    title="Trim",
)
def string_trim(string: str, mode: str) -> str:
    """Takes away spaces at the ends."""
    return {"Both": str.strip, "Left": str.lstrip, "Right": str.rstrip}[mode](string)


@shelf.node(
    "StringReplace",
    _lines("string"),
    _lines("find"),
    _lines("replace"),
    gives=("STRING",),
    category="utils/string",
    title="Replace",
)
def string_replace(string: str, find: str, replace: str) -> str:
    """Replaces every occurrence of a text."""
    return string.replace(find, replace)


@shelf.node(
    "StringContains",
    _lines("string"),
    _lines("substring"),
    flag("case_sensitive", True),
    gives=("BOOLEAN",),
    names=("contains",),
    category="utils/string",
    title="Contains",
)
def string_contains(string: str, substring: str, case_sensitive: bool) -> bool:
    """Whether the text contains another."""
    return substring in string if case_sensitive else substring.lower() in string.lower()


@shelf.node(
    "StringCompare",
    _lines("string_a"),
    _lines("string_b"),
    choice("mode", "Starts With", "Ends With", "Equal", multiselect=False),
    flag("case_sensitive", True),
    gives=("BOOLEAN",),
    category="utils/string",
    title="Compare",
)
def string_compare(string_a: str, string_b: str, mode: str, case_sensitive: bool) -> bool:
    """Compares two texts."""
    first, second = (string_a, string_b) if case_sensitive else (string_a.lower(), string_b.lower())
    match mode:
        case "Starts With":
            return first.startswith(second)
        case "Ends With":
            return first.endswith(second)
        case _:
            return first == second


@shelf.node(
    "RegexMatch",
    _lines("string"),
    _lines("regex_pattern"),
    *_flags(),
    gives=("BOOLEAN",),
    names=("matches",),
    category="utils/string",
    title="Regex Match",
)
def regex_match(string: str, regex_pattern: str, case_insensitive: bool, multiline: bool, dotall: bool) -> bool:
    """Whether a pattern is found; a wrong pattern never is."""
    try:
        return re.search(regex_pattern, string, _options(case_insensitive, multiline, dotall)) is not None
    except re.error:
        return False


@shelf.node(
    "RegexExtract",
    _lines("string"),
    _lines("regex_pattern"),
    choice("mode", "First Match", "All Matches", "First Group", "All Groups", multiselect=False),
    *_flags(),
    whole("group_index", 1, 0, 100),
    gives=("STRING",),
    category="utils/string",
    title="Regex Extract",
)
def regex_extract(
    string: str,
    regex_pattern: str,
    mode: str,
    case_insensitive: bool,
    multiline: bool,
    dotall: bool,
    group_index: int,
) -> str:
    """What a pattern finds, one a line; a wrong pattern finds nothing."""
    try:
        pattern = re.compile(regex_pattern, _options(case_insensitive, multiline, dotall))
    except re.error:
        return ""
    if mode == "All Matches":
        found = pattern.findall(string)
        return "\n".join(one[0] if isinstance(one, tuple) else one for one in found)
    matches = list(pattern.finditer(string))
    if mode == "First Match":
        return matches[0].group(0) if matches else ""
    if pattern.groups < group_index or (mode == "All Groups" and not pattern.groups):
        return ""
    groups = [match.group(group_index) for match in matches]
    return "\n".join(groups) if mode == "All Groups" else (groups[0] if groups else "")


@shelf.node(
    "RegexReplace",
    _lines("string"),
    _lines("regex_pattern"),
    _lines("replace"),
    flag("case_insensitive", True, section="optional"),
    flag("multiline", False, section="optional"),
    flag(
        "dotall",
        False,
        section="optional",
        tooltip="When enabled, the dot (.) character will match any character including newline characters. "
        "When disabled, dots won't match newlines.",
    ),
    whole(
        "count",
        0,
        0,
        100,
        section="optional",
        tooltip="Maximum number of replacements to make. Set to 0 to replace all occurrences (default). "
        "Set to 1 to replace only the first match, 2 for the first two matches, etc.",
    ),
    gives=("STRING",),
    category="utils/string",
    title="Regex Replace",
)
def regex_replace(
    string: str,
    regex_pattern: str,
    replace: str,
    case_insensitive: bool = True,
    multiline: bool = False,
    dotall: bool = False,
    count: int = 0,
) -> str:
    """Replaces what a pattern finds."""
    return re.sub(regex_pattern, replace, string, count=count, flags=_options(case_insensitive, multiline, dotall))


def _options(case_insensitive: bool, multiline: bool, dotall: bool) -> re.RegexFlag:
    options = re.RegexFlag(0)
    for wanted, option in ((case_insensitive, re.IGNORECASE), (multiline, re.MULTILINE), (dotall, re.DOTALL)):
        options |= option if wanted else re.RegexFlag(0)
    return options


@shelf.node(
    "PreviewAny",
    link("source", "*"),
    category="utils",
    title="Preview Any",
    module="comfy_extras.nodes_preview_any",
    modern=False,
    output=True,
)
def preview_any(source: Any = None) -> Shown:
    """Shows anything as text."""
    return Shown(ui={"text": [_as_text(source)]})


def _as_text(source: Any) -> str:
    if isinstance(source, str):
        return source
    if source is None or isinstance(source, bool | int | float):
        return str(source)
    try:
        return json.dumps(source)
    except (TypeError, ValueError):
        return str(source)
