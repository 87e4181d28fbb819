"""How an attempt ended, as the history tells it, or as its events did when the history does not know it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from chatelier import (
    Ended,
    Graph,
    outputs_of_results,
    ran_out_of_memory,
    words_of_error,
)

from . import words
from .progress import BLOCKED, Track
from .wire import Finished, moment


class _Times(NamedTuple):
    started: datetime | None
    ended: datetime | None


def by_history(entry: Finished, track: Track, graph: Graph) -> Ended:
    """An interrupted job has no status of its own there: only its last message says so."""
    messages = dict(entry.messages())
    stamps = [at for data in messages.values() if (at := moment(data.get("timestamp")))]
    started = moment(messages.get("execution_start", {}).get("timestamp"))
    times = _Times(started or track.started_at, max(stamps, default=track.ended_at))
    error = messages.get("execution_error")
    if "execution_interrupted" in messages:
        return _cancelled(times)
    if entry.failed or (error is not None and error.get("exception_type") != BLOCKED):
        return _failed(error or track.error, graph, times)
    return _done(entry.outputs, track, graph, times)


def by_events(track: Track, graph: Graph) -> Ended:
    times = _Times(track.started_at, track.ended_at)
    if track.interrupted:
        return _cancelled(times)
    if track.error is not None:
        return _failed(track.error, graph, times)
    return _done(track.outputs, track, graph, times)


def _cancelled(times: _Times) -> Ended:
    return Ended(state="cancelled", started_at=times.started, ended_at=times.ended)


def _failed(error: Mapping[str, Any] | None, graph: Graph, times: _Times) -> Ended:
    too_little = error is not None and ran_out_of_memory(error)
    return Ended(
        state="failed",
        words=words_of_error(error, graph) if error else words.FAILED,
        transient=too_little,
        out_of_memory=too_little,
        started_at=times.started,
        ended_at=times.ended,
    )


def _done(nodes: Mapping[str, Any], track: Track, graph: Graph, times: _Times) -> Ended:
    return Ended(
        state="done",
        outputs=outputs_of_results(nodes, graph),
        notes=track.notes,
        started_at=times.started,
        ended_at=times.ended,
    )
