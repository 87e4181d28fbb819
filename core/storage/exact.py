"""Whether what a record's class leaves open comes back from JSON just as it is, told by a look: the way there and back takes longer.

pydantic, asked to be strict, refuses to write a value of another type than its field's. What it lets pass is looked at here: moments
finer than a millisecond, numbers that JSON has none for, words that are none of the allowed ones, other classes, and what may be
anything.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from math import isfinite
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic.fields import FieldInfo

from .moments import Time

Check = Callable[[Any], bool]

_ZERO = timedelta(0)
_PLAIN = {str, int, bool, types.NoneType}
"""They are in JSON what they are here, and nothing else is."""
DEEPEST = 40
"""Of what may be anything: deeper values go there and back."""


def _exactly(hint: Any) -> Check | None:
    origin, parts = get_origin(hint), get_args(hint)
    if hint in _PLAIN:
        return None
    if hint is float:
        return isfinite
    if hint is bytes:
        return lambda value: not value  # as text: not every one is
    if hint is Any:
        return _json
    if hint == Time:
        return _moment
    if origin is Literal:
        return lambda value: type(value) is str and value in parts
    if origin is tuple:
        return _tuple(parts)
    if origin is Mapping:
        return _mapping(*parts)
    if origin in (Union, types.UnionType):
        return _union(parts, is_tagged=False)
    if origin is Annotated and get_origin(parts[0]) in (Union, types.UnionType):
        return _union(get_args(parts[0]), is_tagged=_is_tag(parts[1:]))
    return _class(hint) if isinstance(hint, type) and is_dataclass(hint) else _never


exactly: Callable[[Any], Check | None] = lru_cache(maxsize=256)(_exactly)
"""What tells it of values that are declared so, a record's class above all. None: nothing is left open."""


def _class(kind: type) -> Check:
    """A class may hold itself, so its fields are looked at when the first value comes."""
    checks: list[tuple[str, Check]] | None = None

    def check(value: Any) -> bool:
        nonlocal checks
        if checks is None:
            hints = get_type_hints(kind, include_extras=True)
            checks = [(name, each) for name, hint in hints.items() if (each := exactly(hint)) is not None]
        if type(value) is not kind:
            return False
        for name, is_exact in checks:  # noqa: SIM110 - a generator takes twice as long
            if not is_exact(getattr(value, name)):
                return False
        return True

    return check


def _tuple(parts: tuple[Any, ...]) -> Check | None:
    if len(parts) == 2 and parts[1] is Ellipsis:
        each = exactly(parts[0])
        return None if each is None else lambda value: not value or all(map(each, value))
    checks = [(n, check) for n, part in enumerate(parts) if (check := exactly(part)) is not None]
    return (lambda value: all(check(value[n]) for n, check in checks)) if checks else None


def _mapping(key: Any, value: Any) -> Check | None:
    if key is not str:
        return _never
    each = exactly(value)
    return None if each is None else lambda found: not found or all(map(each, found.values()))


def _union(parts: Sequence[Any], *, is_tagged: bool) -> Check | None:
    """By the value's own type. Classes that may look alike in JSON are told apart by a tag alone."""
    plain = {part for part in parts if part in _PLAIN or part is float}
    others = [part for part in parts if part not in plain]
    if not others:
        return _json if float in plain else None
    if all(isinstance(part, type) and is_dataclass(part) for part in others) and (is_tagged or len(others) == 1):
        classes = {part: _class(part) for part in others}
        return lambda value: classes[type(value)](value) if type(value) in classes else type(value) in plain
    if len(others) == 1 and plain == {types.NoneType}:
        only = exactly(others[0])
        return None if only is None else lambda value: value is None or only(value)
    return lambda value: value is None and types.NoneType in plain


def _is_tag(notes: Sequence[Any]) -> bool:
    return len(notes) == 1 and isinstance(notes[0], FieldInfo) and bool(notes[0].discriminator)


def _moment(value: Any) -> bool:
    return isinstance(value, datetime) and not value.microsecond % 1000 and value.utcoffset() == _ZERO


def _json(value: Any, depth: int = 0) -> bool:
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind is float:
        return isfinite(value)
    if depth == DEEPEST:
        return False
    if kind is dict:
        return all(type(key) is str and _json(one, depth + 1) for key, one in value.items())
    return kind is list and all(_json(one, depth + 1) for one in value)


def _never(_: Any) -> bool:
    return False
