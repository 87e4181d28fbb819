"""What the socket told about one attempt: how far it is, and how it ended."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chatelier import (
    Clock,
    Graph,
    Progress,
    SystemClock,
    words_of_error,
    words_of_rejection,
    words_of_skipped,
)

from .frames import Event
from .wire import moment

LONGEST_TITLE = 80
"""Characters of what a node says of itself: about a line of a chat."""
BLOCKED = "ExecutionBlocked"
"""An exception type that is none: the node is left out and the job goes on."""


class Track:
    """One attempt's events, folded as they come; only the latest state is kept.

    client: the client id it was submitted under, "" for another process's: its events come to that id only. since: when it was
    submitted, by the clock.
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
        self.began = False
        self.since = self._clock.monotonic()
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
        self._changed = False
        self._waits_for_change: set[asyncio.Future[bool]] = set()
        self._waits_for_end: set[asyncio.Future[bool]] = set()

    # --- what comes in

    def hear(self, event: Event) -> None:
        data = event.data
        match event.type:
            case "execution_start":
                self.began = True
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
        self._change()

    def _hear_executing(self, data: Mapping[str, Any]) -> None:
        node = data.get("node")
        if node is None:
            self.finished = True
            _wake(self._waits_for_end)
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

    @property
    def certain(self) -> bool:
        """Whether it is told by its events alone how it ended, and with what: they came from the first to the last, in order."""
        said = self.error is not None or self.interrupted or (self.succeeded and any(self.outputs.values()))
        return self.began and self.finished and said

    def see(self, preview: bytes) -> None:
        self._preview = preview
        self._change()

    def say(self, text: str) -> None:
        """What the current node says of itself."""
        self._said = " ".join(text.split())[:LONGEST_TITLE]
        self._change()

    def found(self, place: Progress) -> None:
        """What a look at the server's queue showed."""
        self._running = self._running or place.phase == "running"
        self._ahead = place.ahead

    def wake(self) -> None:
        """Have whoever watches look at the server."""
        self._woken = True
        self._change()

    # --- what goes out

    def progress(self) -> Progress:
        if not self._running:
            return Progress(phase="waiting", ahead=self._ahead, notes=self.notes)
        return Progress(
            phase="running",
            fraction=self._advance(),
            title=self._title(),
            preview=self._preview,
            started_at=self.started_at,
            notes=self.notes,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Of each part that was left out, why."""
        skipped = [words_of_error(blocked, self._graph) for blocked in self.blocked]
        if self.rejected:
            skipped.insert(0, words_of_rejection({"node_errors": self.rejected}, self._graph))
        return tuple(words_of_skipped(reason) for reason in skipped)

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

    def _change(self) -> None:
        self._changed = True
        _wake(self._waits_for_change)

    async def stirred(self, seconds: float) -> bool:
        """True as soon as something came in; False when nothing did for so long, or at `wake`."""
        if not self._changed and not await self._within(seconds, self._waits_for_change):
            return False
        self._changed = False
        woken, self._woken = self._woken, False
        return not woken

    async def rest(self, seconds: float) -> None:
        """Let some changes gather; an end is not held up."""
        if not self.finished:
            await self._within(seconds, self._waits_for_end)

    async def _within(self, seconds: float, waiters: set[asyncio.Future[bool]]) -> bool:
        """Whether it is woken before so many seconds have passed. One task: there is a wait for each job, however short."""
        if seconds <= 0:
            return False
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        alarm = asyncio.ensure_future(self._clock.sleep(seconds))
        alarm.add_done_callback(lambda _: None if waiter.done() else waiter.set_result(False))
        waiters.add(waiter)
        try:
            return await waiter
        finally:
            waiters.discard(waiter)
            alarm.cancel()


def _wake(waiters: set[asyncio.Future[bool]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(True)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
