"""Settings from the environment: `CHATELIER_HTTP__PORT=9000` sets `http.port`."""

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

from .document import DEEPEST, TOO_DEEP, Document, Key, Place, parse

PREFIX = "CHATELIER_"
LOAD_PLUGINS = "CHATELIER_LOAD_PLUGINS"
TRACE_PLUGINS = "CHATELIER_TRACE_PLUGINS"
LOG_LEVEL = "CHATELIER_LOG_LEVEL"

# What Kubernetes puts into every container beside a service that is called "chatelier".
_KUBERNETES = re.compile(r"CHATELIER_(SERVICE_HOST|SERVICE_PORT.*|PORT|PORT_\d+_(TCP|UDP).*)")

_DIGITS = 4
_NUMBER = re.compile(rf"(?<![^_])[0-9]{{1,{_DIGITS}}}(?![^_])")
_Values: TypeAlias = dict[str, Any] | list[Any]


def variable(key: Key) -> str:
    """The variable that sets this key."""
    return PREFIX + "__".join(str(part) for part in key).upper().replace("-", "_")


def overlay(document: Document, environ: Mapping[str, str]) -> None:
    """Write what the environment says over what the file says."""
    for name in sorted(environ, key=_in_order):
        elsewhere = name in {LOAD_PLUGINS, TRACE_PLUGINS, LOG_LEVEL} or _KUBERNETES.fullmatch(name)
        if name.startswith(PREFIX) and not elsewhere:
            _set(document, name, environ[name])


def _in_order(name: str) -> str:
    """Items of a list by their numbers: 2 before 10."""
    return _NUMBER.sub(lambda number: number[0].zfill(_DIGITS), name)


def _set(document: Document, name: str, text: str) -> None:
    place = Place(name, Path.cwd(), variable=True)
    parts = name.removeprefix(PREFIX).lower().split("__")
    if len(parts) > DEEPEST:
        document.complain((), TOO_DEEP, at=place)
        return
    key: Key = ()
    values: _Values = document.values
    for part, below in pairwise(parts):
        written = _written(values, part)
        key = (*key, written)
        inner = _get(values, written)
        if not _can_hold(inner, below):
            inner = [] if below == "0" else {}
            _put(values, written, inner)
            document.places[key] = place
        if isinstance(inner, list) and int(below) > len(inner):
            document.complain(key, f"its next item is number {len(inner)}", at=place)
            return
        values = inner
    written = _written(values, parts[-1])
    key = (*key, written)
    for known in [known for known in document.places if known[: len(key)] == key]:
        del document.places[known]
    document.places[key] = place
    _put(values, written, _value(document, text, key))


def _can_hold(values: Any, part: str) -> bool:
    return isinstance(values, dict) or (isinstance(values, list) and _NUMBER.fullmatch(part) is not None)


def _written(values: _Values, part: str) -> str | int:
    """The name as the file has it, for an account may be called `My-Shop`; in a list the number."""
    if isinstance(values, list):
        return int(part)
    return next((name for name in values if name.lower().replace("-", "_") == part), part)


def _get(values: _Values, at: Any) -> Any:
    if isinstance(values, list):
        return values[at] if at < len(values) else None
    return values.get(at)


def _put(values: _Values, at: Any, value: Any) -> None:
    if isinstance(values, list) and at == len(values):
        values.append(value)
    else:
        values[at] = value


def _value(document: Document, text: str, key: Key) -> Any:
    """Text stays text, so that a token of digits is one; the model reads numbers out of it. Lists and mappings are YAML."""
    if not text.lstrip().startswith(("[", "{")):
        return text
    place = document.place(key)
    inner = Document(place)
    value = parse(text, inner, place.words)
    for complaint in inner.complaints:
        document.complain(key, complaint.words)
    return value
