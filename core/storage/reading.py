"""Reading what an engine has stored. What nobody can read stops nobody: answers leave it out, and the log says so."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import Any, Protocol

from ..log import get_logger
from .records import Kind, R, Unreadable

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Stored:
    """What an engine found under a key. document: the values that `Kind.dump` gave, or their JSON text."""

    key: str
    version: int
    document: Any

    def read(self, kind: Kind[R]) -> R:
        """Raises Unreadable, also for a record that is another than where it stands: it could never be replaced."""
        if isinstance(self.document, str | bytes):
            with suppress(ValueError):
                record = kind.load_json(self.document)
                if (record.key, record.version) == (self.key, self.version):
                    return record
        values = self.values(kind)
        own = values.get("key"), values.get("version")
        if own != (self.key, self.version):
            raise self._unreadable(kind, f"it says of itself that it is {own[0]!r}, version {own[1]!r}")
        return kind.load(values)

    def values(self, kind: Kind[Any]) -> Mapping[str, Any]:
        """The document, whether or not it makes a record. Raises Unreadable."""
        try:
            values = json.loads(self.document) if isinstance(self.document, str | bytes) else self.document
        except (ValueError, RecursionError) as error:
            raise self._unreadable(kind, f"not JSON: {error}") from error
        if not isinstance(values, Mapping):
            raise self._unreadable(kind, f"not an object but of type {type(values).__name__}")
        return values

    def _unreadable(self, kind: Kind[Any], reason: str) -> Unreadable:
        return Unreadable(kind.name, self.key, reason, self.document)


class Row(Protocol):
    """What an engine hands to a sieve: `Stored`, or what stands for it."""

    def read(self, kind: Kind[R]) -> R:
        """Raises Unreadable."""
        ...


class Sieve:
    """Lets through what can be read. Every open store has one, for all its threads."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()
        self._saying = Lock()

    def first(self, kind: Kind[R], found: Iterable[Row], limit: int, *, strict: bool = False) -> list[R]:
        """The first `limit` records of an answer; no more of it is drawn than that takes. strict: raises Unreadable."""
        return list(islice(self._readable(kind, found, strict), limit))

    def _readable(self, kind: Kind[R], found: Iterable[Row], strict: bool) -> Iterator[R]:
        for stored in found:
            try:
                record = stored.read(kind)
            except Unreadable as error:
                if strict:
                    raise
                self._say(error)
            else:
                yield record

    def _say(self, error: Unreadable) -> None:
        """Once a record."""
        with self._saying:
            is_news = (error.kind, error.key) not in self._said
            self._said.add((error.kind, error.key))
        if is_news:
            log.error(
                "a record cannot be read and is left out; run `chatelier store check`",
                kind=error.kind,
                key=error.key,
                reason=error.reason,
            )


def unreadable(kind: Kind[Any], found: Iterable[Stored]) -> Iterator[Unreadable]:
    """Those that `find` leaves out and `get` raises for."""
    for stored in found:
        try:
            stored.read(kind)
        except Unreadable as error:
            yield error
