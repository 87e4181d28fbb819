"""What a run says of itself, as progress or as an end."""

from datetime import datetime

from chatelier import Ended, Progress, ran_out_of_memory, shorten, words_of_error

from . import words
from .outputs import error_of, outputs_of
from .wire import Run
from .workflows import NODE

LONGEST_TITLE = 80
"""Characters of what a run says it is doing: about a line of a chat."""


def progress_of(run: Run) -> Progress:
    if run.phase == "waiting":
        place = run.queue_position
        return Progress(phase="waiting", ahead=None if place is None or place < 0 else int(place))
    title = shorten(" ".join(run.live_status.split()), LONGEST_TITLE)
    return Progress(phase="running", fraction=run.fraction, title=title, started_at=run.started_at)


def ended_by(run: Run) -> Ended:
    """How a run whose status is terminal ended."""
    started, ended = _times(run)
    match run.state:
        case "success":
            outputs = outputs_of(run.results, NODE)
            return Ended(state="done", outputs=outputs, started_at=started, ended_at=ended)
        case "cancelled":
            return Ended(state="cancelled", started_at=started, ended_at=ended)
        case "timeout":
            return Ended(state="failed", words=words.TIMED_OUT, started_at=started, ended_at=ended)
    error = error_of(run.results)
    if error is None:
        # What never began may have had no machine; another attempt costs nothing that this one did.
        sentence = words.FAILED if started else words.NOT_BEGUN
        return Ended(state="failed", words=sentence, transient=not started, started_at=started, ended_at=ended)
    is_memory = ran_out_of_memory(error)
    return Ended(
        state="failed",
        words=words_of_error({"node_type": "ComfyDeploy", **error}, {}),
        transient=is_memory,
        out_of_memory=is_memory,
        started_at=started,
        ended_at=ended,
    )


def _times(run: Run) -> tuple[datetime | None, datetime | None]:
    """Clocks of two machines of theirs: an end before the start is none."""
    if run.started_at and run.ended_at and run.ended_at < run.started_at:
        return run.started_at, run.started_at
    return run.started_at, run.ended_at
