"""What a node may ask of the run it belongs to, besides its inputs."""

import random
import string
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .folders import Folders
from .models import Models


class Interrupted(Exception):
    """Somebody asked this run to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """An encoded picture of the state so far. kind: "JPEG" or "PNG"."""

    kind: str
    data: bytes


class Reports(Protocol):
    """Called on the worker's thread."""

    def __call__(self, value: float, most: float, preview: Preview | None = None) -> None: ...


def _silent(value: float, most: float, preview: Preview | None = None) -> None:
    """Nobody watches."""


def _temp_mark() -> str:
    return "_temp_" + "".join(random.choices(string.ascii_lowercase, k=5))  # noqa: S311 - a name, not a secret


@dataclass(kw_only=True)
class Run:
    """One execution of a graph.

    graph: its nodes, which saved pictures carry. seconds: what is left of the artificial time of the job.
    """

    folders: Folders
    models: Models
    graph: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    seconds: float = 0
    report: Reports = _silent
    temp_mark: str = field(default_factory=_temp_mark)

    def check(self) -> None:
        """Raises Interrupted when somebody asked for it."""
        if self.stop.is_set():
            raise Interrupted

    def spend(self, seconds: float) -> None:
        """Waits, but no longer than the artificial time that is left. Raises Interrupted."""
        seconds = min(seconds, self.seconds)
        self.seconds -= seconds
        if seconds > 0:
            self.stop.wait(seconds)
        self.check()
