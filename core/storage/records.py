"""Records and their kinds: what a store keeps, said once for every engine."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import lru_cache
from math import isfinite
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from ..errors import OperatorMust
from .exact import exactly
from .moments import Time, as_text

Scalar = str | int | float | bool | datetime | None
"""What a query can compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One durable thing. Change it with `dataclasses.replace` and hand it to `Tx.replace`.

    It is a value: its lists and mappings are never changed in place, for an engine may give the same record to others too.

    key: opaque text, never changes.
    version: set by the store, 1 after the insert; `replace` compares it.
    extra: fields that a newer gateway wrote and this one does not know; kept as they are.
    """

    key: str
    version: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased(Record):
    """A record that is worked on by one holder at a time.

    owner: who holds it, "" for nobody.
    fence: grows by one with every claim; a writer proves with it that it still holds the record.
    due: from when on anybody may claim it; while it is held, the end of the lease; None: never.
    """

    owner: str = ""
    fence: int = 0
    due: Time | None = None


class Unreadable(OperatorMust):
    """What is stored under a key is no record of its kind.

    kind: its name. reason: what is wrong, without what the record says. document: as it is stored, values or JSON text.
    """

    def __init__(self, kind: str, key: str, reason: str, document: Any) -> None:
        super().__init__(
            f"The record {key!r} of {kind} cannot be read; run `chatelier store check` to see what is wrong with it."
        )
        self.kind = kind
        self.key = key
        self.reason = reason
        self.document = document

    @property
    def fault(self) -> str:
        """Its line in the answer of `check`."""
        return f"{self.kind} {self.key!r} cannot be read: {self.reason}"


R = TypeVar("R", bound=Record)
L = TypeVar("L", bound=Leased)


@dataclass(frozen=True, slots=True)
class Query:
    """A question that a kind is asked: these fields equal, in the order of this one.

    An engine keeps an index for each and refuses a question that was not declared. A dot reaches into a nested
    dataclass: `Query(("chat.platform", "state"), "place")`.
    """

    equal: tuple[str, ...] = ()
    order: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[R]):
    """A named set of records of one class.

    name: letters, digits and `_`; a plugin starts it with its own name (`web_messages`).
    unique: fields no two records share. A field that is a tuple of strings makes each of its strings unique. "" and None are not keys.
    queries: the questions it is asked; `claim` needs one whose order is `due`.
    """

    name: str
    record: type[R]
    unique: tuple[str, ...] = ()
    queries: tuple[Query, ...] = ()

    def __post_init__(self) -> None:
        known = _names(self.record)
        asked = {path for query in self.queries for path in (*query.equal, query.order) if path}
        strange = [path for path in sorted(asked | set(self.unique)) if path.split(".")[0] not in known]
        if strange or not (self.name.isascii() and self.name.isidentifier()):
            raise ValueError(
                f"kind {self.name!r}: not a name, or {self.record.__name__} has no field {', '.join(strange)}"
            )

    def dump(self, record: R) -> dict[str, Any]:
        """The record as JSON values. Raises ValueError for a number that JSON has none for: an infinite one, or NaN."""
        document: dict[str, Any] = adapter(self.record).dump_python(record, mode="json")
        extra = document.pop("extra")
        whole = {**extra, **document}
        if not _is_finite(whole):
            raise ValueError(
                f"{self.name} {record.key!r} holds a number that is infinite or none, which JSON cannot say"
            )
        return whole

    def dump_json(self, record: R) -> tuple[str, R]:
        """The record as JSON text, and as it will be read from there. Raises ValueError as `dump` does."""
        if not record.extra:
            with suppress(PydanticSerializationError, ValidationError):
                text = adapter(self.record).dump_json(record, exclude=_EXTRA, warnings="error")
                is_exact = exactly(self.record)
                if is_exact is None or is_exact(record):
                    return text.decode(), record
                read: R = adapter(self.record).validate_json(text)
                # It is another one where JSON has no word for a number, and where a moment is cut to the millisecond.
                if read == record:
                    return text.decode(), read
        document = self.dump(record)
        return json.dumps(document, separators=(",", ":")), self.load(document)

    def load_json(self, text: str | bytes) -> R:
        """The record of `dump_json`'s text. Raises ValueError for whatever else, above all for what only `load` can read."""
        record: R | None = _exact_adapter(self.record).validate_json(text)
        if record is None:
            raise ValueError("null is no record")
        return record

    def load(self, document: Mapping[str, Any]) -> R:
        """The record of a document, whatever version of the code wrote it. Raises Unreadable."""
        known = _names(self.record)
        extra = {name: document[name] for name in document.keys() - known}
        data = {name: value for name, value in document.items() if name in known} if extra else dict(document)
        data["extra"] = extra
        try:
            record: R = adapter(self.record).validate_python(data)
        except ValidationError as error:
            raise Unreadable(self.name, str(document.get("key", "")), _first_fault(error), document) from error
        return record


def plain(value: Scalar) -> str | int | float | None:
    """A scalar as it stands in a dumped document, so that engines compare like with like."""
    return as_text(value) if isinstance(value, datetime) else value


def _is_finite(value: Any) -> bool:
    """Of JSON values, all that is in them."""
    match value:
        case float():
            return isfinite(value)
        case dict():
            return all(map(_is_finite, value.values()))
        case list():
            return all(map(_is_finite, value))
    return True


def _first_fault(error: ValidationError) -> str:
    """Where and what, not the value that stands there: it may be somebody's."""
    first, *rest = error.errors(include_url=False, include_context=False, include_input=False)
    more = f" (and {len(rest)} more)" if rest else ""
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}{more}"


def _field_names(record: Any) -> frozenset[str]:
    return frozenset(f.name for f in fields(record)) - {"extra"}


adapter: Callable[[Any], TypeAdapter[Any]] = lru_cache(maxsize=256)(TypeAdapter)
"""pydantic's reader and writer of a class, made once."""

_EXTRA = {"extra"}


def _exact(record: Any) -> TypeAdapter[Any]:
    """Reads only what has no unknown field anywhere. Or None: pydantic takes no configuration for a dataclass alone."""
    return TypeAdapter(record | None, config=ConfigDict(extra="forbid"))


_exact_adapter: Callable[[Any], TypeAdapter[Any]] = lru_cache(maxsize=256)(_exact)


_names: Callable[[Any], frozenset[str]] = lru_cache(maxsize=256)(_field_names)
