"""A typed line → the values of a command's options.

`--name value`, `--name=value`, `--flag`, `--no-flag`, and `name:value` or `name=value` for the names of options; `--` alone ends
them. What is left is the text of the option that takes the rest, as it was typed, or fills the others in their order.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..chat.messages import FILE_TYPES, FileRef, Option, Value
from ..errors import BadInput
from . import words
from .command import Command
from .help import usage
from .options import LINK, check, check_value, close, folded

COMMAND = re.compile(r"\s*/(\w[\w-]{0,63})(?:@[\w.-]+)?(?:\s+|\Z)")
# A word, or what quotes hold together, with a name before it or not. Inside, no quote of the same kind: so the time is linear.
WORD = re.compile(
    r"""(?P<name>(?:[-\u2013\u2014]*[A-Za-z][\w-]*[:=])?)
    (?:"(?P<straight>[^"]*)" | \u201c(?P<english>[^\u201c\u201d]*)\u201d | \u201e(?P<german>[^\u201e\u201c]*)\u201c
    | \u00ab(?P<french>[^\u00ab\u00bb]*)\u00bb)(?=\s|\Z)
    | \S+""",
    re.VERBOSE,
)
# Telephones make one long dash of two short ones.
DASHED = re.compile(r"(--|[\u2013\u2014])([A-Za-z][\w-]*)(?:=(.*))?", re.DOTALL)
ASSIGNED = re.compile(r"([A-Za-z][\w-]*)[:=](.+)", re.DOTALL)
LINK_IN_TEXT = re.compile(rf"(?<!\S)({LINK.pattern})", LINK.flags)
MOST_ERRORS = 5


@dataclass(frozen=True, slots=True)
class Parsed:
    """values: only what was typed, checked. errors: plain sentences, none when all is well."""

    values: Mapping[str, Value]
    errors: tuple[str, ...] = ()


def command_of(text: str) -> tuple[str, str] | None:
    """The command's name in lower case and what follows it; None for a text that is no command, such as a path."""
    found = COMMAND.match(text)
    return (found[1].lower(), text[found.end() :]) if found else None


def parse(text: str, command: Command) -> Parsed:
    """Read what follows the command's name. Never raises."""
    line = _Line(command, text)
    line.read()
    return Parsed(line.values, tuple(dict.fromkeys(line.errors)))


def typed(values: Mapping[str, Value | None], command: Command) -> dict[str, Value]:
    """The checked values of typed options or of a form. Raises BadInput, a sentence a line.

    What was left empty is left out; but a text that need not be there is "" then, so that it can be taken away.
    """
    options = {option.name: option for option in command.options}
    checked: dict[str, Value] = {}
    errors: list[str] = []
    for name, value in values.items():
        option = options.get(name)
        if value is None:
            continue
        if isinstance(value, str) and not value.strip():
            if option and option.type == "text" and not option.required:
                checked[name] = ""
            continue
        try:
            if option is None:
                raise BadInput(words.no_such_option(command.name, name, options, close(name, options)))
            checked[name] = check_value(option, value)
        except BadInput as bad:
            errors.append(str(bad))
    if errors:
        raise BadInput("\n".join(errors[:MOST_ERRORS]))
    return checked


def with_files(values: Mapping[str, Value], command: Command, files: Sequence[FileRef]) -> dict[str, Value]:
    """The values with the files in the first options of their kind that have none yet; what fits nowhere is left out."""
    filled = dict(values)
    for file in files:
        free = (option for option in command.options if option.name not in filled and takes(option, file))
        if option := next(free, None):
            filled[option.name] = file
    return filled


def with_link(values: Mapping[str, Value], command: Command) -> dict[str, Value]:
    """The values with the first link in the text as the file that the command works on or cannot do without."""
    wanted = (one for one in command.options if (one.required or one.subject) and one.type in FILE_TYPES)
    lacking = next(wanted, None)
    rest = next((option.name for option in command.options if option.rest), "")
    said = values.get(rest)
    if lacking is None or lacking.name in values or not isinstance(said, str):
        return dict(values)
    before, link, after = LINK_IN_TEXT.split(said, maxsplit=1) if LINK_IN_TEXT.search(said) else (said, "", "")
    if not link:
        return dict(values)
    left = {name: value for name, value in values.items() if name != rest}
    text = " ".join(part for part in (before.strip(), after.strip()) if part)
    return {**left, lacking.name: link, **({rest: text} if text else {})}


def takes(option: Option, file: FileRef) -> bool:
    """By what the network calls it; its bytes are looked at later, so a kind that is not known fits everywhere."""
    kind = file.mime.partition("/")[0]
    return option.type in FILE_TYPES and (option.type in {"file", kind} or kind not in FILE_TYPES)


@dataclass(frozen=True, slots=True)
class _Word:
    """text: without the quotes around it, if there are any. is_quoted: all of it."""

    start: int
    end: int
    text: str
    is_quoted: bool

    @property
    def is_option(self) -> bool:
        return not self.is_quoted and self.text.startswith("--") and DASHED.fullmatch(self.text) is not None


def _words(text: str) -> list[_Word]:
    return [_word(found) for found in WORD.finditer(text)]


def _word(found: re.Match[str]) -> _Word:
    held = found["straight"] or found["english"] or found["german"] or found["french"] or ""
    if found["name"] is None:
        return _Word(found.start(), found.end(), found.group(), is_quoted=False)
    return _Word(found.start(), found.end(), found["name"] + held, is_quoted=not found["name"])


@dataclass(slots=True)
class _Line:
    """One reading of a line. place: of the next word. kept: places of the words that belong to no option."""

    command: Command
    text: str
    words: list[_Word] = field(init=False)
    place: int = 0
    kept: list[int] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.words = _words(self.text)

    def read(self) -> None:
        # Nobody reads more; and an adversary's line is not worth more time.
        while self.place < len(self.words) and len(self.errors) < MOST_ERRORS:
            word = self.words[self.place]
            self.place += 1
            if word.text == "--" and not word.is_quoted:
                self.kept += range(self.place, len(self.words))
                break
            if word.is_quoted or not (self._dashed(word) or self._assigned(word)):
                self.kept.append(self.place - 1)
        rest = next((option for option in self.command.options if option.rest), None)
        if rest is None:
            self._in_order()
        elif self.kept:
            said = self.values.get(rest.name)
            self._set(rest, f"{said} {self._left()}" if said is not None else self._left())

    def _dashed(self, word: _Word) -> bool:
        """Whether the word was an option; the next one may have been its value."""
        found = DASHED.fullmatch(word.text)
        if not found:
            return False
        dash, name, value = found.groups()
        if option := self._option(name):
            self._give(option, value)
        elif off := self._switched_off(name):
            self._set(off, "no") if value is None else self.errors.append(words.no_value_taken(off))
        elif dash == "--":
            names = [option.name for option in self.command.options]
            self.errors.append(words.no_such_option(self.command.name, name, names, close(name, names), "--"))
        else:
            return False
        return True

    def _assigned(self, word: _Word) -> bool:
        """`name:value`, if the command has an option of that name; so an address stays an address."""
        found = ASSIGNED.fullmatch(word.text)
        option = self._option(found[1]) if found else None
        if found is None or option is None:
            return False
        self._set(option, found[2])
        return True

    def _give(self, option: Option, value: str | None) -> None:
        following = self.words[self.place] if self.place < len(self.words) else None
        if value is not None:
            self._set(option, value)
        elif option.type == "boolean":
            self._set(option, "yes")
        elif option.rest and not (following and following.is_quoted):
            return  # the words after it are its own anyway
        elif following is None or following.is_option:
            self.errors.append(words.no_value(option))
        else:
            self.place += 1
            self._set(option, following.text)

    def _set(self, option: Option, raw: str) -> None:
        try:
            self.values[option.name] = check(option, raw)
        except BadInput as bad:
            self.errors.append(str(bad))

    def _option(self, name: str) -> Option | None:
        return next((option for option in self.command.options if folded(option.name) == folded(name)), None)

    def _switched_off(self, name: str) -> Option | None:
        option = self._option(name[3:]) if folded(name).startswith("no_") else None
        return option if option and option.type == "boolean" else None

    def _left(self) -> str:
        """The text without the options, its spaces and line breaks as typed."""
        parts = [self._typed(self.kept[0])]
        for before, place in zip(self.kept, self.kept[1:], strict=False):
            parts += (self._gap(before, place), self._typed(place))
        return "".join(parts)

    def _typed(self, place: int) -> str:
        word = self.words[place]
        return self.text[word.start : word.end]

    def _gap(self, before: int, after: int) -> str:
        """What stands between two words; where options stood there, the space before them, or a line break after them."""
        first = self.text[self.words[before].end : self.words[before + 1].start]
        last = self.text[self.words[after - 1].end : self.words[after].start]
        return last if "\n" in last and "\n" not in first else first

    def _in_order(self) -> None:
        """Words fill the options that have no value yet, a word each; links those that take a file."""
        for word in (self.words[place] for place in self.kept):
            is_link = LINK.fullmatch(word.text) is not None
            free = self._free()
            files = [option for option in free if is_link and option.type in FILE_TYPES]
            option = next(iter(files or [option for option in free if option.type not in FILE_TYPES]), None)
            if option is None:
                self.errors.append(words.not_expected(self.command.name, word.text, usage(self.command)))
                return
            self._set(option, word.text)
            if option.name not in self.values:
                return  # refused: what follows would fill the wrong ones

    def _free(self) -> list[Option]:
        return [
            option
            for option in self.command.options
            if option.name not in self.values and option.type != "boolean" and not option.advanced
        ]
