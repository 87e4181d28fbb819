"""All commands there are, by name and alias."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields

from pydantic import ValidationError

from ..chat.messages import Choice, Option
from ..storage.records import adapter
from .command import Command
from .options import close, folded

NAME = re.compile(r"[a-z0-9_]{1,32}")
SUMMARY_LENGTH = 100
"""Discord's limit of a command's description."""
LAST_GROUP = "More"


class Registry:
    """Iterates over the commands by name."""

    def __init__(self) -> None:
        self._sources: dict[str, tuple[Command, ...]] = {}
        self._words: Mapping[str, Command] = {}

    def __iter__(self) -> Iterator[Command]:
        return iter(sorted((one for commands in self._sources.values() for one in commands), key=lambda one: one.name))

    def __len__(self) -> int:
        return sum(map(len, self._sources.values()))

    def add(self, command: Command) -> None:
        """Raises ValueError, in words, for a declaration that cannot be used or a name that is taken."""
        if problem := _problem(command, self._words):
            raise ValueError(problem)
        self._sources[""] = (*self._sources.get("", ()), command)
        self._words = {**self._words, **_words_of(command)}

    def replace_group(self, source: str, commands: Iterable[Command]) -> tuple[str, ...]:
        """Put these in the place of all that `source` had, in one step. Answers why some were left out, a sentence each."""
        others = {name: kept for name, kept in self._sources.items() if name != source}
        known = {word: one for kept in others.values() for command in kept for word, one in _words_of(command).items()}
        taken: list[Command] = []
        problems: list[str] = []
        for command in commands:
            if problem := _problem(command, known):
                problems.append(problem)
            else:
                taken.append(command)
                known |= _words_of(command)
        self._sources, self._words = {**others, source: tuple(taken)}, known
        return tuple(problems)

    def get(self, name: str) -> Command | None:
        """By name or alias, without case."""
        return self._words.get(folded(name))

    def names(self) -> tuple[str, ...]:
        """Of the commands, without their aliases, sorted."""
        return tuple(command.name for command in self)

    def suggest(self, name: str) -> tuple[str, ...]:
        """Up to three commands that may have been meant; those of the operator are not told."""
        said = {word: command.name for word, command in self._words.items() if not command.operators}
        return tuple(dict.fromkeys(said[word] for word in close(name, said)))

    def grouped(self) -> tuple[tuple[str, tuple[Command, ...]], ...]:
        """(heading, its commands by name), headings in the order that they came in, "More" last."""
        order = dict.fromkeys(one.group for commands in self._sources.values() for one in commands)
        headings = sorted(order, key=lambda group: group == LAST_GROUP)
        return tuple((group, tuple(one for one in self if one.group == group)) for group in headings)


def _words_of(command: Command) -> dict[str, Command]:
    return dict.fromkeys((command.name, *command.aliases), command)


def _problem(command: Command, known: Mapping[str, Command]) -> str:
    """Why the command cannot be added to the known ones, "" when it can."""
    if problem := _mistyped(command):
        return f"the command /{command.name} is left out: {problem}"
    called = (command.name, *command.aliases)
    options = [option.name for option in command.options]
    for name in (*called, *options):
        if not NAME.fullmatch(name):
            return f"the command /{command.name} uses the name {name!r}: a name has 1 to 32 of a-z, 0-9 and _"
    for name in called:
        if name in known:
            return f"the command /{command.name} is left out: the name {name} is taken by /{known[name].name}"
    if len(set(options)) < len(options):
        return f"the command /{command.name} has two options of one name"
    if sum(option.rest for option in command.options) > 1:
        return f"the command /{command.name} has two options that take the rest of the line"
    if len(command.summary) > SUMMARY_LENGTH or "\n" in command.summary:
        return f"the summary of /{command.name} is not one line of at most {SUMMARY_LENGTH} characters"
    return ""


def _mistyped(declared: Command | Option | Choice) -> str:
    """What in a declaration is not of its type, "" when all is: nothing else looks before a person types something."""
    for field in fields(declared):
        try:
            adapter(field.type).validate_python(getattr(declared, field.name), strict=True)
        except ValidationError as error:
            return f"{field.name}: {error.errors(include_url=False)[0]['msg']}"
    parts: dict[str, Option | Choice] = {}
    match declared:
        case Command(options=options):
            parts = {f"option {option.name}": option for option in options}
        case Option(choices=choices):
            parts = {f"choice {choice.value}": choice for choice in choices}
    problems = (f"{part}: {problem}" for part, one in parts.items() if (problem := _mistyped(one)))
    return next(problems, "")
