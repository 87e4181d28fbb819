"""Records as they were read or written last: one that is needed again is not read from the database and from JSON once more."""

from collections import OrderedDict
from typing import Any

from .records import Kind, Record

CACHE_BYTES = 8 << 20
"""Of JSON text; the records made of it take several times as much."""
LARGEST_BYTES = 256 << 10
"""A longer record is read each time."""


class Cache:
    """What transactions of this process see. Good until another process writes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], tuple[Record, int]] = OrderedDict()
        self._bytes = 0

    def get(self, kind: Kind[Any], key: str) -> Any:
        """The record, or None when it is not known."""
        found = self._kept.get((kind.name, key))
        if found is None or type(found[0]) is not kind.record:  # a name may stand for another version of a kind
            return None
        self._kept.move_to_end((kind.name, key))
        return found[0]

    def put(self, kind: Kind[Any], record: Record, size: int) -> None:
        """size: bytes of its text."""
        self.drop(kind.name, record.key)
        if size > LARGEST_BYTES:
            return
        self._kept[kind.name, record.key] = (record, size)
        self._bytes += size
        while self._bytes > CACHE_BYTES:
            _, (_, oldest) = self._kept.popitem(last=False)
            self._bytes -= oldest

    def drop(self, kind: str, key: str) -> None:
        """It is deleted, or what is known of it did not come to be."""
        if found := self._kept.pop((kind, key), None):
            self._bytes -= found[1]

    def clear(self) -> None:
        self._kept.clear()
        self._bytes = 0
