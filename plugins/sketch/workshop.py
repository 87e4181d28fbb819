"""The queue, the history and the one thread that executes: what the HTTP server and the in-process backend share."""

import copy
import heapq
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

from .engine import Engine, Job, Message, Tell
from .faults import Faults
from .folders import Folders
from .models import Models
from .validation import Graph, Valid, validate

MOST_HISTORY = 10_000
"""Jobs that are remembered: ComfyUI's MAXIMUM_HISTORY_SIZE."""

SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")
"""Kept out of queue and history."""


@dataclass(frozen=True, slots=True)
class Accepted:
    id: str
    number: float
    node_errors: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checked:
    """A graph that can run, with its values converted."""

    graph: Graph
    valid: Valid


class Workshop:
    """`tell` hears every message on the worker's thread, or on the caller's for what a caller changes.

    shared: other processes use the same folders.
    """

    def __init__(
        self,
        root: Path,
        models: Models,
        *,
        tell: Tell,
        faults: Faults | None = None,
        seconds: float = 0,
        shared: bool = False,
    ) -> None:
        self.folders = Folders(root, shared=shared)
        self.models = models
        self.faults = faults or Faults()
        self._tell = tell
        self._engine = Engine(self.folders, models, self.faults, tell, seconds)
        self._changed = threading.Condition()
        self._pending: list[tuple[float, int, Job]] = []
        self._running: Job | None = None
        self._history: dict[str, dict[str, Any]] = {}
        self._numbered = 0
        self._order = count()
        self._forget = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._spared: set[str] = set()

    def start(self) -> None:
        """Raises OSError when the folders cannot be made."""
        self.folders.prepare()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._work, name="sketch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the running job and the thread, and empties queue and history: they do not outlive a server."""
        self._stopping.set()
        with self._changed:
            self._pending.clear()
            if self._running:
                self._running.stop.set()
            self._changed.notify_all()
        if self._thread:
            self._thread.join()
            self._thread = None
        self._engine.forget()
        self._history.clear()

    def submit(
        self,
        graph: Mapping[str, Any],
        *,
        prompt_id: str = "",
        number: float | None = None,
        front: bool = False,
        extra: Mapping[str, Any] | None = None,
        targets: Sequence[str] | None = None,
    ) -> Accepted:
        """The same id twice runs twice. Raises Rejected for a graph that cannot run. Blocks while it looks at files."""
        if number is None:
            number = self._next_number(front=front)
        return self.enqueue(self.check(graph, targets), prompt_id=prompt_id, number=number, extra=extra)

    def check(self, graph: Mapping[str, Any], targets: Sequence[str] | None = None) -> Checked:
        """Raises Rejected for a graph that cannot run. Blocks while it looks at files."""
        taken: Graph = copy.deepcopy(dict(graph))
        return Checked(taken, validate(taken, self.folders, self.models, targets))

    def enqueue(
        self,
        checked: Checked,
        *,
        prompt_id: str = "",
        number: float | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Accepted:
        job = Job(
            number=self._next_number() if number is None else number,
            id=prompt_id or str(uuid4()),
            graph=checked.graph,
            extra={key: value for key, value in (extra or {}).items() if key not in SECRETS},
            outputs_wanted=checked.valid.outputs,
        )
        with self._changed:
            heapq.heappush(self._pending, (job.number, next(self._order), job))
            self._changed.notify_all()
        self._status()
        return Accepted(job.id, job.number, checked.valid.node_errors)

    def _next_number(self, *, front: bool = False) -> float:
        with self._changed:
            number = -self._numbered if front else self._numbered
            self._numbered += 1
        return number

    def remaining(self) -> int:
        with self._changed:
            return len(self._pending) + (self._running is not None)

    def queue(self) -> tuple[list[Job], list[Job]]:
        """Running and waiting jobs, the next one first."""
        with self._changed:
            return [self._running] if self._running else [], [
                job for _, _, job in sorted(self._pending, key=lambda item: item[:2])
            ]

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        with self._changed:
            return self._history.get(prompt_id)

    def histories(self, most: int | None = None, offset: int = -1) -> dict[str, Any]:
        """The last ones, or from an offset on."""
        with self._changed:
            items = list(self._history.items())
        first = offset if offset >= 0 else max(0, len(items) - most if most is not None else 0)
        return dict(items[first:] if most is None else items[first : first + most])

    def forget_history(self, ids: Sequence[str] | None = None) -> None:
        """None: all of it."""
        with self._changed:
            for prompt_id in list(self._history) if ids is None else ids:
                self._history.pop(prompt_id, None)

    def delete(self, ids: Sequence[str] | None = None) -> bool:
        """Takes waiting jobs out of the queue (None: all); the running one stays. Whether any was there."""
        with self._changed:
            kept = [
                item
                for item in self._pending
                if not (ids is None or (item[2].id in ids and not self._spares(item[2].id)))
            ]
            changed = len(kept) != len(self._pending)
            self._pending = kept
            heapq.heapify(self._pending)
        if changed:
            self._status()
        return changed

    def interrupt(self, prompt_id: str | None = None) -> None:
        """None: whatever runs."""
        with self._changed:
            running = self._running
            if running and prompt_id in {None, running.id} and not self._spares(running.id):
                running.stop.set()

    def free(self) -> None:
        """Empties the cache, after the job that runs."""
        with self._changed:
            self._forget = True
            self._changed.notify_all()

    def _spares(self, prompt_id: str) -> bool:
        """The fault "lost-cancel": the first cancel of a job has no effect."""
        if not self.faults.lost_cancel or prompt_id in self._spared:
            return False
        self._spared.add(prompt_id)
        return True

    def _work(self) -> None:
        while (job := self._next()) is not None:
            self._status()
            self._engine.execute(job)
            if self.faults.late_history:
                self._stopping.wait(self.faults.late_history)
            self._finished(job)
            self._status()
            if job.client is not None:
                self._tell(Message("executing", {"node": None, "prompt_id": job.id}, job.client))

    def _next(self) -> Job | None:
        with self._changed:
            while not self._stopping.is_set():
                if self._forget:
                    self._engine.forget()
                    self._forget = False
                if self._pending:
                    self._running = heapq.heappop(self._pending)[2]
                    return self._running
                self._changed.wait()
            return None

    def _finished(self, job: Job) -> None:
        record = {
            "prompt": job.entry(),
            "outputs": job.outputs,
            "status": {
                "status_str": job.state,
                "completed": job.state == "success",
                "messages": [list(message) for message in job.messages],
            },
            "meta": job.meta,
        }
        with self._changed:
            self._running = None
            self._history.pop(job.id, None)
            self._history[job.id] = record
            while len(self._history) > MOST_HISTORY:
                del self._history[next(iter(self._history))]

    def _status(self) -> None:
        self._tell(Message("status", {"status": {"exec_info": {"queue_remaining": self.remaining()}}}))
