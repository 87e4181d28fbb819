"""Questions: what a caller asks of a kind, checked against what the kind declared."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .engine import value_at
from .records import Kind, Query, Scalar, plain

Plain = str | int | float | None


@dataclass(frozen=True, slots=True)
class Question:
    """A declared question with its values as they stand in documents.

    equal: path and value, in the order of the declaration, which is the order of the engine's index.
    """

    equal: tuple[tuple[str, Plain], ...]
    order: str = ""
    since: Plain = None
    until: Plain = None
    descending: bool = False
    limit: int = 100

    @classmethod
    def of(
        cls,
        kind: Kind[Any],
        where: Mapping[str, Scalar] | None = None,
        *,
        order: str = "",
        since: Scalar = None,
        until: Scalar = None,
        descending: bool = False,
        limit: int = 100,
    ) -> "Question":
        """The question as engines take it. Raises ValueError when the kind did not declare it, or it makes no sense."""
        values = where or {}
        query = _declared(kind, values, order)
        if limit < 1:
            raise ValueError(f"a limit of {limit} finds nothing: ask for 1 or more")
        if not order and (since is not None or until is not None):
            raise ValueError("since and until need an order")
        equal = tuple((path, plain(values[path])) for path in query.equal)
        return cls(equal, order, plain(since), plain(until), descending, limit)

    @classmethod
    def due(cls, kind: Kind[Any], where: Mapping[str, Scalar], now: datetime) -> "Question":
        """What `claim` asks: the first record whose due time is `now` or earlier."""
        return cls.of(kind, where, order="due", until=now + timedelta(milliseconds=1), limit=1)

    def fits(self, document: Mapping[str, Any]) -> bool:
        """Whether an engine without an index would answer with this document."""
        for path, value in self.equal:
            if value_at(document, path) != value:
                return False
        if not self.order:
            return True
        place = value_at(document, self.order)
        return (
            place is not None
            and (self.since is None or place >= self.since)
            and (self.until is None or place < self.until)
        )

    def place(self, document: Mapping[str, Any]) -> tuple[Any, str]:
        """Where a document stands in the answer: the order field, then the key; `descending` turns both around."""
        return (value_at(document, self.order) if self.order else ""), document["key"]


def _declared(kind: Kind[Any], where: Mapping[str, Scalar], order: str) -> Query:
    for query in kind.queries:
        if query.order == order and len(query.equal) == len(where) and all(path in where for path in query.equal):
            return query
    declared = "; ".join(_words(query.equal, query.order) for query in kind.queries) or "nothing"
    raise ValueError(f"kind {kind.name!r} is not asked {_words(tuple(where), order)}. It declares: {declared}")


def _words(equal: tuple[str, ...], order: str) -> str:
    return f"({', '.join(equal)}) by {order or 'key'}"
