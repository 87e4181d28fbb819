"""What the socket told about one attempt: how far it is, and how it ended."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from chatelier import Clock, Graph, Progress, SystemClock, in_time

from .frames import Event
from .wire import moment

LONGEST_TITLE = 80
"""Characters of what a node says of itself: about a line of a chat."""
BLOCKED = "ExecutionBlocked"
"""An exception type that is none: the node is left out and the job goes on."""


class Track:
    """One attempt's events, folded as they come; only the latest state is kept.

    client: the client id it was submitted under, "" for another process's: its events come to that id only.
    """

    def __init__(
        self, graph: Graph, client: str = "", started_at: datetime | None = None, *, clock: Clock | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self.client = client
        self.started_at = started_at
        self.ended_at: datetime | None = None
        self.watched = False
        self.heard = False
        self.cancelled = False
        self.finished = False
        self.succeeded = False
        self.interrupted = False
        self.error: Mapping[str, Any] | None = None
        self.blocked: list[Mapping[str, Any]] = []
        self.rejected: Mapping[str, Any] = {}
        self.outputs: dict[str, Any] = {}
        self._graph = graph
        self._ahead: int | None = None
        self._running = started_at is not None
        self._cached: frozenset[str] = frozenset()
        self._nodes: dict[str, float] = {}
        self._current = ""
        self._said = ""
        self._fraction = 0.0
        self._preview = b""
        self._woken = False
        self._changed = asyncio.Event()
        self._over = asyncio.Event()

    # --- what comes in

    def hear(self, event: Event) -> None:
        data = event.data
        match event.type:
            case "execution_start":
                self.started_at = moment(data.get("timestamp")) or self.started_at
            case "execution_cached":
                self._cached = frozenset(node for node in _list(data.get("nodes")) if isinstance(node, str))
            case "executing":
                self._hear_executing(data)
            case "progress":
                self._hear_node(str(data.get("node")), data)
            case "progress_state":
                for node, state in _mapping(data.get("nodes")).items():
                    self._hear_node(node, _mapping(state))
            case "executed":
                self.outputs[str(data.get("node"))] = data.get("output")
            case "execution_success":
                self.succeeded = True
                self.ended_at = moment(data.get("timestamp"))
            case "execution_error" if data.get("exception_type") == BLOCKED:
                self.blocked.append(data)
            case "execution_error":
                self.error = data
                self.ended_at = moment(data.get("timestamp"))
            case "execution_interrupted":
                self.interrupted = True
                self.ended_at = moment(data.get("timestamp"))
            case _:
                return
        self._running = self.heard = True
        self._changed.set()

    def _hear_executing(self, data: Mapping[str, Any]) -> None:
        node = data.get("node")
        if node is None:
            self.finished = True
            self._over.set()
            return
        if self._current in self._graph:
            self._nodes[self._current] = 1.0
        shown = data.get("display_node")
        self._current = shown if isinstance(shown, str) else str(node)
        self._said = ""

    def _hear_node(self, node: str, state: Mapping[str, Any]) -> None:
        value, maximum = state.get("value"), state.get("max")
        if node not in self._graph or not isinstance(value, int | float) or not isinstance(maximum, int | float):
            return
        self._nodes[node] = min(1.0, max(0.0, value / maximum)) if maximum > 0 else 0.0

    def see(self, preview: bytes) -> None:
        self._preview = preview
        self._changed.set()

    def say(self, text: str) -> None:
        """What the current node says of itself."""
        self._said = " ".join(text.split())[:LONGEST_TITLE]
        self._changed.set()

    def found(self, place: Progress) -> None:
        """What a look at the server's queue showed."""
        self._running = self._running or place.phase == "running"
        self._ahead = place.ahead

    def wake(self) -> None:
        """Have whoever watches look at the server."""
        self._woken = True
        self._changed.set()

    # --- what goes out

    def progress(self) -> Progress:
        if not self._running:
            return Progress(phase="waiting", ahead=self._ahead)
        return Progress(
            phase="running",
            fraction=self._advance(),
            title=self._title(),
            preview=self._preview,
            started_at=self.started_at,
        )

    def _advance(self) -> float | None:
        """None before anything is known. Never goes back: a node that loops begins again from 0."""
        if not self._nodes:
            return None
        total = sum(node not in self._cached for node in self._graph)
        done = sum(part for node, part in self._nodes.items() if node not in self._cached)
        self._fraction = max(self._fraction, min(1.0, done / total)) if total else 1.0
        return self._fraction

    def _title(self) -> str:
        body = self._graph.get(self._current, {})
        meta = body.get("_meta")
        title = str(_mapping(meta).get("title") or body.get("class_type") or "")
        return ": ".join(part for part in (title, self._said) if part)

    async def stirred(self, seconds: float) -> bool:
        """True as soon as something came in; False when nothing did for so long, or at `wake`."""
        try:
            await in_time(self._changed.wait(), self._clock.sleep(seconds))
        except TimeoutError:
            return False
        self._changed.clear()
        woken, self._woken = self._woken, False
        return not woken

    async def rest(self, seconds: float) -> None:
        """Let some changes gather; an end is not held up."""
        with suppress(TimeoutError):
            await in_time(self._over.wait(), self._clock.sleep(seconds))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
