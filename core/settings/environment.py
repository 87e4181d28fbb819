"""Settings from the environment: `CHATELIER_HTTP__PORT=9000` sets `http.port`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .document import Document, Key, Place, parse

PREFIX = "CHATELIER_"
LOAD_PLUGINS = "CHATELIER_LOAD_PLUGINS"
TRACE_PLUGINS = "CHATELIER_TRACE_PLUGINS"
LOG_LEVEL = "CHATELIER_LOG_LEVEL"

# What Kubernetes puts into every container beside a service that is called "chatelier".
_KUBERNETES = re.compile(r"CHATELIER_(SERVICE_HOST|SERVICE_PORT.*|PORT|PORT_\d+_(TCP|UDP).*)")


def variable(key: Key) -> str:
    """The variable that sets this key."""
    return PREFIX + "__".join(str(part) for part in key).upper().replace("-", "_")


def overlay(document: Document, environ: Mapping[str, str]) -> None:
    """Write what the environment says over what the file says."""
    for name in sorted(environ):
        elsewhere = name in {LOAD_PLUGINS, TRACE_PLUGINS, LOG_LEVEL} or _KUBERNETES.fullmatch(name)
        if name.startswith(PREFIX) and not elsewhere:
            _set(document, name, environ[name])


def _set(document: Document, name: str, text: str) -> None:
    place = Place(name, Path.cwd(), variable=True)
    key: tuple[str, ...] = ()
    values = document.values
    *above, last = name.removeprefix(PREFIX).lower().split("__")
    for part in above:
        part_written = _written(values, part)
        key = (*key, part_written)
        if not isinstance(values.get(part_written), dict):
            values[part_written] = {}
            document.places[key] = place
        values = values[part_written]
    last = _written(values, last)
    key = (*key, last)
    for below in [known for known in document.places if known[: len(key)] == key]:
        del document.places[below]
    document.places[key] = place
    values[last] = _value(document, text, key)


def _written(values: Mapping[str, Any], part: str) -> str:
    """The name as the file has it: an account may be called `My-Shop`."""
    return next((name for name in values if name.lower().replace("-", "_") == part), part)


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
