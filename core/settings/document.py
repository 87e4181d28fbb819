"""A configuration as it was written: plain values, and where each of them stands."""

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
import yaml.constructor
import yaml.reader

from ..errors import SettingsError

Key = tuple[str | int, ...]

DEEPEST = 20
"""Names one below the other; no setting has half as many."""
TOO_DEEP = "is nested too deeply; no setting is"


def dotted(key: Key) -> str:
    return ".".join(str(part) for part in key)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written. folder: what a relative path in it is relative to. line: 0 outside of a file."""

    words: str
    folder: Path
    line: int = 0
    variable: bool = False


@dataclass(frozen=True, slots=True)
class Complaint:
    place: Place
    key: Key
    words: str

    def __str__(self) -> str:
        return (
            f"{self.place.words}: {dotted(self.key)}: {self.words}" if self.key else f"{self.place.words}: {self.words}"
        )


@dataclass(slots=True)
class Document:
    """values: nested dictionaries, lists and scalars. places: of every mapping, list and scalar in it."""

    root: Place
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Key, Place] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)

    def place(self, key: Key) -> Place:
        """Where the value stands, or the nearest thing around it when it was not written."""
        while key and key not in self.places:
            key = key[:-1]
        return self.places.get(key, self.root)

    def complain(self, key: Key, words: str, *, at: Place | None = None) -> None:
        self.complaints.append(Complaint(at or self.place(key), key, words))

    def check(self) -> None:
        """Raises SettingsError with a line for each complaint, in the order of the file."""
        if self.complaints:
            self.complaints.sort(key=lambda complaint: (complaint.place.variable, complaint.place.line))
            raise SettingsError("\n".join(dict.fromkeys(map(str, self.complaints))))


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain scalars. YAML 1.1 reads the key `off` as a boolean and `12:30` as a number."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own attribute


_NULL = "tag:yaml.org,2002:null"
_BOOL = "tag:yaml.org,2002:bool"
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"

for _tag, _pattern, _first in (
    (_NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_BOOL, r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    (_INT, r"[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F]+|0o[0-7]+", list("-+0123456789")),
    (_FLOAT, r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
    (_MERGE, r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), _first)


def read(path: Path | None) -> Document:
    """The file's values and places. Raises SettingsError when it cannot be read or is no YAML mapping."""
    if path is None:
        return Document(Place("configuration", Path.cwd()))
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}:{line}: is not UTF-8 text; save it as UTF-8") from None
    document = Document(Place(str(path), path.absolute().parent))
    values = parse(text, document, str(path))
    if isinstance(values, dict):
        document.values = values
    elif values is not None:
        document.complain((), 'should hold settings, such as "http:" with "port: 8080" below it')
    document.check()
    return document


def parse(text: str, document: Document, name: str) -> Any:
    """The values of a YAML text; their places and what is wrong with them go to the document."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return None if node is None else _Composed(loader, document, name).value(node, ())
    except yaml.YAMLError as error:
        words, line = _syntax(error, text)
        document.complain((), words, at=Place(f"{name}:{line}", document.root.folder, line))
    except RecursionError:  # the parser's own, of a thousand brackets
        document.complain((), TOO_DEEP, at=Place(name, document.root.folder))
    return None


def _syntax(error: yaml.YAMLError, text: str) -> tuple[str, int]:
    """Words and line, without what the file holds: that might be a secret."""
    if isinstance(error, yaml.reader.ReaderError):
        return "holds a character that YAML does not allow", text.count("\n", 0, error.position) + 1
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "is not YAML", 1
    line = error.problem_mark.line
    problem = re.sub(r"'([^']*)'", _shortened, error.problem or "cannot be read")
    if "\\t" in problem:
        mend = "indent with spaces"
    elif any("${" in written for written in text.splitlines()[line : line + 1]):
        mend = 'put "${…}" in quotes here'
    else:
        mend = "look at this line and the one above it"
    return f"is not YAML: {problem}; {mend}", line + 1


def _shortened(quoted: re.Match[str]) -> str:
    """PyYAML quotes signs (','), tokens ('<scalar>'), and names from the file."""
    inside = quoted[1]
    return quoted[0] if len(inside) <= 1 or inside[0] in "<\\" else "…"


@dataclass(slots=True)
class _Composed:
    """Turns PyYAML's nodes into values."""

    loader: _Loader
    document: Document
    name: str
    above: list[yaml.Node] = field(default_factory=list)

    def value(self, node: yaml.Node, key: Key) -> Any:
        self.document.places[key] = self._place(node)
        if node in self.above:
            self.document.complain(key, "refers to itself")
            return None
        if len(key) > DEEPEST:
            self.document.complain(key, TOO_DEEP)
            return None
        self.above.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, key)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*key, n)) for n, item in enumerate(node.value)]
            return self._scalar(node, key)
        finally:
            self.above.pop()

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        first: dict[Hashable, int] = {}
        for name, _ in node.value:
            line = name.start_mark.line + 1
            if not isinstance(name, yaml.ScalarNode):
                self.document.complain(key, "a name should be plain text", at=self._place(name))
            elif name.value in first:
                words = f"is there twice, first in line {first[name.value]}; keep one"
                self.document.complain((*key, name.value), words, at=self._place(name))
            else:
                first[name.value] = line
        try:
            self.loader.flatten_mapping(node)
        except yaml.constructor.ConstructorError:
            self.document.complain(key, '"<<" should name a mapping', at=self._place(node))
        values: dict[str, Any] = {}
        for name, item in node.value:
            if isinstance(name, yaml.ScalarNode):
                values[name.value] = self.value(item, (*key, name.value))
                self.document.places[(*key, name.value)] = self._place(name)
        return values

    def _scalar(self, node: yaml.Node, key: Key) -> Any:
        text: str = node.value
        if node.tag == _NULL:
            return None
        if node.tag == _BOOL:
            return text.lower() == "true"
        if node.tag == _INT:
            return _whole(text)
        if node.tag == _FLOAT:
            return float(text)
        if node.tag not in {_TEXT, _MERGE}:
            self.document.complain(key, "a YAML tag is not understood here; put the value in quotes")
        return text

    def _place(self, node: yaml.Node) -> Place:
        line = node.start_mark.line + 1
        return Place(f"{self.name}:{line}", self.document.root.folder, line)


def _whole(text: str) -> int | str:
    try:
        return int(text.replace("_", ""), 0)
    except ValueError:  # thousands of digits, which Python does not read; no model takes the text for a number either
        return text
