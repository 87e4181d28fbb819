"""What the works of one transaction have written so far; it is sent at the end, all at once."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from chatelier import Kind, Record

from .layout import stored

NO_VERSION = -1
"""Of a document that has none it could be known by."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What will stand under a key.

    record: None when it is deleted. row: its document. base: the version that the server has there, 0 for nothing.
    base_pairs: the unique values that the server has there.
    """

    kind: Kind[Any]
    record: Record | None
    row: dict[str, Any]
    base: int = 0
    base_pairs: frozenset[str] = frozenset()

    @property
    def pairs(self) -> frozenset[str]:
        return frozenset(self.row.get("u", ()))

    def read(self, kind: Kind[Any]) -> Any:
        """The record as this kind has it: another version of the code may have another class for the name. Raises Unreadable."""
        if self.record is None or type(self.record) is kind.record:
            return self.record
        return stored(self.row).read(kind)


class Draft:
    """By kind and key. A work that fails is undone alone.

    An insert is believed to find its place free, and so is a new unique value: asking the server for each would cost more than
    all else. It answers at the end, where what is taken fails the whole transaction, which then runs again and asks. That
    answer comes for what is still there at the end; so when something believed is taken away before, `is_in_doubt` is set.
    """

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Entry]] = defaultdict(dict)
        self._holders: dict[tuple[str, str], str] = {}
        self._believed: set[tuple[str, str]] = set()
        self._undo: list[tuple[str, str, Entry | None]] = []
        self.beliefs = 0
        self.is_in_doubt = False

    def get(self, kind: str, key: str) -> Entry | None:
        return self._entries[kind].get(key)

    def holder(self, kind: str, pair: str) -> str | None:
        """The key of the entry that has this unique value."""
        return self._holders.get((kind, pair))

    def of(self, kind: str) -> dict[str, Entry]:
        return self._entries[kind]

    def kinds(self) -> Iterator[tuple[str, dict[str, Entry]]]:
        """Those with entries."""
        return ((name, entries) for name, entries in self._entries.items() if entries)

    def believe(self, kind: str, key: str, pairs: Iterable[str]) -> None:
        """That nothing stands on the server under this key ("" where that is known), nor under these unique values."""
        self._believed |= {(kind, pair) for pair in pairs}
        if key:
            self._believed.add((kind, _key(key)))
        self.beliefs += 1

    def put(self, key: str, entry: Entry) -> None:
        kind = entry.kind.name
        before = self._entries[kind].get(key)
        gone = (before.pairs if before is not None else entry.base_pairs) - entry.pairs
        gone |= {_key(key)} if entry.record is None else set()
        if any((kind, one) in self._believed for one in gone):
            self.is_in_doubt = True
        self._undo.append((kind, key, before))
        self._place(kind, key, before, entry)

    def mark(self) -> int:
        return len(self._undo)

    def undo(self, mark: int) -> None:
        while len(self._undo) > mark:
            kind, key, before = self._undo.pop()
            self._place(kind, key, self._entries[kind].get(key), before)

    def _place(self, kind: str, key: str, old: Entry | None, new: Entry | None) -> None:
        for pair in old.pairs if old is not None else ():
            if self._holders.get((kind, pair)) == key:
                del self._holders[kind, pair]
        if new is None:
            self._entries[kind].pop(key, None)
            return
        self._entries[kind][key] = new
        for pair in new.pairs:
            self._holders[kind, pair] = key


def _key(key: str) -> str:
    """Beside unique values, each of which has a field before its `=`."""
    return f"={key}"
