"""The layout of the database: a collection for each kind, and how a record and a question look in it.

A record is kept as `{_id: key, v: version, doc: its JSON text, q: {what it is asked by}, u: ["field=value", …]}`. The text is
the same as in SQLite, so no number is too long for BSON and no name in a mapping is one that MongoDB refuses.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bson.decimal128 import Decimal128
from pymongo import ASCENDING, DESCENDING, IndexModel

from chatelier import Kind, Question, Record, Stored, plain, unique_values, value_at

from . import words

META = "chatelier"
"""The collection of what is known of the database itself."""
WRITER = "writer"
"""The document of it that each transaction writes."""
LARGEST_BYTES = 15 << 20
"""Of JSON text. MongoDB's own limit is 16 MiB a document; the rest of it is for keys and what it is asked by."""
UNIQUE = "unique"
Place = tuple[Any, str]
"""The value that an answer is sorted by, then the key."""
_LONG = 1 << 63
_DIGITS = 34
"""Of a decimal in BSON."""


class Shelf:
    """One kind in its collection."""

    def __init__(self, kind: Kind[Any]) -> None:
        self.kind = kind
        self.name = f"records_{kind.name}"
        self.paths = tuple(
            dict.fromkeys(path for query in kind.queries for path in (*query.equal, query.order) if path)
        )
        self._fields = {path: _field(path) for path in self.paths}

    def row(self, record: Record, text: str) -> dict[str, Any]:
        """The document of a record. Raises ValueError for what MongoDB cannot keep."""
        if (size := len(text.encode())) > LARGEST_BYTES:
            raise ValueError(words.TOO_LARGE.format(kind=self.kind.name, key=record.key, size=size, most=LARGEST_BYTES))
        return {"_id": record.key, "v": record.version, "doc": text, **self.asked(record, record.key)}

    def asked(self, whole: Any, key: str) -> dict[str, Any]:
        """What stands beside the text, of a record or of its values. An empty list would be a unique value too, so it is left out."""
        found: dict[str, Any] = {}
        if self.paths:
            found["q"] = {
                field: self._comparable(value_at(whole, path), path, key) for path, field in self._fields.items()
            }
        if pairs := pairs_of(self.kind, whole):
            found["u"] = pairs
        return found

    def filter(self, question: Question) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            f"q.{_field(path)}": self._comparable(value, path, "") for path, value in question.equal
        }
        if question.order:
            bounds = {"$gte": question.since, "$lt": question.until}
            given = {
                sign: self._comparable(value, question.order, "") for sign, value in bounds.items() if value is not None
            }
            wanted[self.order_field(question)] = given or {"$ne": None}
        return wanted

    def order_field(self, question: Question) -> str:
        return f"q.{_field(question.order)}"

    def place(self, question: Question, row: Mapping[str, Any], key: str) -> Place:
        """Where a document stands in an answer; MongoDB compares texts by code point, as Python does."""
        return (_python(row["q"].get(_field(question.order))) if question.order else ""), key

    def fits(self, question: Question, row: Mapping[str, Any]) -> bool:
        """What `filter` says, of what stands beside a text."""
        asked = row.get("q", {})
        for path, value in question.equal:
            if _python(asked[_field(path)]) != value:
                return False
        if not question.order:
            return True
        found = _python(asked[_field(question.order)])
        return (
            found is not None
            and (question.since is None or found >= question.since)
            and (question.until is None or found < question.until)
        )

    def sort(self, question: Question) -> list[tuple[str, int]]:
        way = DESCENDING if question.descending else ASCENDING
        return [*([(self.order_field(question), way)] if question.order else []), ("_id", way)]

    def index(self, question: Question) -> str:
        """The name of the index that answers it."""
        return index_name(tuple(path for path, _ in question.equal), question.order)

    def indexes(self) -> dict[str, IndexModel]:
        """What its collection must have, by name."""
        made = {}
        for query in self.kind.queries:
            if (name := index_name(query.equal, query.order)) != "_id_":
                paths = (*query.equal, query.order) if query.order else query.equal
                made[name] = IndexModel(
                    [*((f"q.{_field(path)}", ASCENDING) for path in paths), ("_id", ASCENDING)], name=name
                )
        if self.kind.unique:
            made[UNIQUE] = IndexModel([("u", ASCENDING)], name=UNIQUE, unique=True, sparse=True)
        return made

    def _comparable(self, value: Any, path: str, key: str) -> Any:
        """As Python and SQLite compare it: True is 1, a moment is its text. What cannot be compared stands nowhere."""
        match value:
            case bool():
                return int(value)
            case int() if not -_LONG <= value < _LONG:
                if len(str(abs(value))) > _DIGITS:
                    raise ValueError(words.TOO_WIDE.format(kind=self.kind.name, key=key, path=path))
                return Decimal128(str(value))
            case None | str() | int() | float():
                return value
        value = plain(value)
        return value if isinstance(value, str) else None


def shelf_of(shelves: Mapping[str, Shelf], kind: Kind[Any]) -> Shelf:
    """Raises ValueError for a kind that the store was not opened with."""
    if kind.name not in shelves:
        raise ValueError(f"the store was not opened with kind {kind.name!r}")
    return shelves[kind.name]


def stored(row: Mapping[str, Any]) -> Stored:
    """A document as it was found. Where it has no text or no version, it is no record."""
    version, document = row.get("v"), row.get("doc")
    return Stored(
        str(row["_id"]), version if isinstance(version, int) else -1, document if isinstance(document, str) else row
    )


def pairs_of(kind: Kind[Any], whole: Any) -> list[str]:
    """The unique values of a record or of its values, as they stand in its document."""
    return [pair(path, value) for path, value in unique_values(kind, whole)]


def pair(path: str, value: str) -> str:
    return f"{path}={value}"


def index_name(equal: Sequence[str], order: str) -> str:
    """`_id_` is the index that each collection has by itself."""
    paths = [*equal, order] if order else list(equal)
    return ",".join(paths) or "_id_"


def _field(path: str) -> str:
    """The name of a path below `q`, where a dot would reach into something."""
    return path.replace(".", ":")


def _python(value: Any) -> Any:
    return value.to_decimal() if isinstance(value, Decimal128) else value
