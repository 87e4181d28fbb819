"""What is said to come back from JSON as it is does; what may not is not said to."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from chatelier import Kind, Record, Time, Unreadable
from chatelier.core.storage.exact import DEEPEST, exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    name: str = ""
    many: tuple["Leaf", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LargerLeaf(Leaf):
    size: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    text: str
    type: Literal["said"] = "said"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    text: str
    type: Literal["pressed"] = "pressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing(Record):
    text: str = ""
    whole: int = 0
    is_so: bool = False
    number: float = 0.0
    word: Literal["a", "b"] = "a"
    at: Time | None = None
    moments: tuple[Time, ...] = ()
    pair: tuple[str, float] = ("", 0.0)
    leaf: Leaf = Leaf()
    other: Leaf | None = None
    leaves: tuple[Leaf, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    by_name: Mapping[str, Leaf] = field(default_factory=dict)
    body: Annotated[Said | Pressed, Field(discriminator="type")] = Said(text="")
    alike: Said | Leaf | None = None
    value: str | int | float | bool | None = None
    anything: Any = None
    raw: bytes = b""


THINGS = Kind(name="things", record=Thing)
NOW = datetime(2026, 11, 22, 14, 0, 0, 123_000, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
numbers = st.floats() | st.integers(-3, 3).map(float)
moments = (
    st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(fold=0))
    | st.just(NOW)
    | st.just(NOW.astimezone(timezone(timedelta(hours=2))))
)
leaves = st.builds(Leaf, name=texts) | st.builds(Leaf, many=st.tuples(st.builds(Leaf))) | st.builds(LargerLeaf)
bodies = st.builds(Said, text=texts) | st.builds(Pressed, text=texts)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | texts | moments | leaves,
    lambda inner: (
        st.lists(inner, max_size=2) | st.tuples(inner) | st.dictionaries(texts | st.integers(), inner, max_size=2)
    ),
    max_leaves=5,
)
things = st.builds(
    Thing,
    key=texts,
    text=texts,
    whole=st.integers(),
    is_so=st.booleans(),
    number=numbers,
    word=st.sampled_from(["a", "b", "c"]),
    at=st.none() | moments,
    moments=st.lists(moments, max_size=2).map(tuple),
    pair=st.tuples(texts, numbers),
    leaf=leaves,
    other=st.none() | leaves,
    leaves=st.lists(leaves, max_size=2).map(tuple),
    words=st.dictionaries(texts, texts, max_size=2),
    by_name=st.dictionaries(texts, leaves, max_size=2),
    body=bodies,
    alike=st.none() | st.builds(Said, text=texts) | leaves,
    value=st.none() | texts | st.integers() | numbers | st.booleans(),
    anything=anything,
    raw=st.binary(max_size=3),
)


def is_exact(record: Record) -> bool:
    check = exactly(type(record))
    return check is None or check(record)


def same(one: object, other: object) -> bool:
    """Equal, and of the same classes all the way down; a moment's class of time zone says nothing."""
    return one == other and repr(one).replace("datetime.timezone.utc", "TzInfo(0)") == repr(other).replace(
        "datetime.timezone.utc", "TzInfo(0)"
    )


@given(things)
def test_what_is_exact_is_read_as_it_was_written(thing: Thing) -> None:
    try:
        text, stored = THINGS.dump_json(thing)
    except (ValueError, Unreadable):
        assert not is_exact(thing)
        return
    read = THINGS.load_json(text) if "inf" not in text else stored
    assert stored == read
    if is_exact(thing):
        assert same(thing, read)


@pytest.mark.parametrize(
    "fields",
    [
        {"at": NOW + timedelta(microseconds=1)},
        {"at": NOW.astimezone(timezone(timedelta(hours=2)))},
        {"moments": (NOW, NOW + timedelta(microseconds=1))},
        {"number": float("nan")},
        {"pair": ("a", float("inf"))},
        {"value": float("nan")},
        {"word": "c"},
        {"word": []},
        {"leaf": LargerLeaf()},
        {"leaf": None},
        {"other": LargerLeaf()},
        {"leaves": (Leaf(), LargerLeaf())},
        {"by_name": {"a": LargerLeaf()}},
        {"leaf": Leaf(many=(LargerLeaf(),))},
        {"alike": Leaf()},
        {"anything": (1, 2)},
        {"anything": {"a": [float("nan")]}},
        {"anything": {1: 2}},
        {"anything": NOW},
        {"anything": Leaf()},
        {"raw": b"x"},
    ],
    ids=repr,
)
def test_what_may_come_back_as_another_is_not_exact(fields: Mapping[str, Any]) -> None:
    assert not is_exact(Thing(key="k", **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"text": 1},
        {"words": MappingProxyType({"a": "b"})},
        {"moments": [NOW]},
        {"whole": "1"},
        {"value": 1.5 + 1j},
        {"at": "2026-11-22"},
    ],
    ids=repr,
)
def test_a_value_of_another_type_is_stored_as_its_field_says_or_not_at_all(fields: Mapping[str, Any]) -> None:
    thing = Thing(key="k", **fields)
    try:
        text, stored = THINGS.dump_json(thing)
    except Exception:  # noqa: BLE001 - whatever pydantic says to it
        return
    assert same(stored, THINGS.load_json(text))


def test_what_is_usual_is_exact() -> None:
    thing = Thing(key="k", at=NOW, leaves=(Leaf(name="a"),), anything={"1": {"inputs": {"a": ["2", 0], "b": 1.5}}})
    assert is_exact(thing)


def test_a_value_that_goes_deeper_than_anybody_needs_goes_the_long_way() -> None:
    deep: Any = []
    for _ in range(DEEPEST + 1):
        deep = [deep]
    assert not is_exact(Thing(key="k", anything=deep))
    assert sys.getrecursionlimit() > DEEPEST * 4
