"""Which run is whose: ComfyDeploy takes no ids of ours, so each run is queued with a mark, and looked for by it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from chatelier import Attempt, Clock

from .api import Api, NotOffered
from .hooks import attempt_in
from .wire import Run
from .workflows import workflow_id

MARK = "chatelier_attempt"
"""An input that no deployment has: ComfyDeploy keeps it with the run, and no node reads it."""

PAGE, PAGES = 50, 4
READS = 40
"""Runs that are looked at one by one in a search: the list does not tell what they were queued with."""

SKEW = timedelta(minutes=2)
"""What the vendor's clock and ours may differ by."""

LONGEST = timedelta(hours=1)
"""How far back a search goes for an attempt of an earlier process, which does not say when it was sent."""

REMEMBERED = 4096
"""Attempts and runs: about a megabyte of memory."""


class Untold(Exception):
    """It cannot be told whether there is a run for an attempt."""


@dataclass(slots=True)
class Trace:
    """run: "" for unknown. said: by a webhook, not yet confirmed. deployment: "" when another process sent it, as sent_at is None then.

    phase: None until it is known to be there. doubtful_until: on the monotonic clock; what was sent may be on its way until then.
    """

    run: str = ""
    said: str = ""
    deployment: str = ""
    phase: Literal["waiting", "running"] | None = None
    sent_at: datetime | None = None
    doubtful_until: float = float("-inf")


class Traces:
    def __init__(self, api: Api, clock: Clock, *, doubt_seconds: float) -> None:
        self._api = api
        self._clock = clock
        self._doubt_seconds = doubt_seconds
        self._traces: dict[str, Trace] = {}
        self._owners: dict[str, str] = {}

    def of(self, attempt: str) -> Trace:
        if attempt not in self._traces:
            _make_room(self._traces)
        return self._traces.setdefault(attempt, Trace())

    def sending(self, attempt: str) -> None:
        self.of(attempt).sent_at = self._clock.now()

    def doubt(self, attempt: str) -> None:
        """It was sent, and nobody said what became of it."""
        self.of(attempt).doubtful_until = self._clock.monotonic() + self._doubt_seconds

    def forget(self, attempt: str) -> None:
        self._traces.pop(attempt, None)

    def under_way(self) -> list[Trace]:
        """Those that were there when they were last seen from here, apart from some that another process went on with."""
        since = self._clock.now() - LONGEST
        return [each for each in self._traces.values() if each.phase and (each.sent_at is None or each.sent_at > since)]

    async def run_of(self, attempt: Attempt) -> str:
        """The id of its run, "" when there is none. Raises Untold and what the API does."""
        trace = self._traces.get(attempt.id, Trace())
        if attempt.remote and attempt.remote != attempt.id:
            return attempt.remote
        if not trace.run and trace.said and await self._owner(trace.said) in {attempt.id, None}:
            trace.run = trace.said  # its address is known to us and to ComfyDeploy only
        if not trace.run:
            found = await self._search(attempt, trace)
            if not found and self._clock.monotonic() < trace.doubtful_until:
                raise Untold
            trace.run = found
        return trace.run

    async def _search(self, attempt: Attempt, trace: Trace) -> str:
        since = (trace.sent_at or self._clock.now() - LONGEST) - SKEW
        untold, reads = False, 0
        for page in range(PAGES):
            try:
                runs = await self._api.runs(workflow_id(attempt.graph), limit=PAGE, offset=page * PAGE)
            except NotOffered:
                raise Untold from None
            for run in runs:
                if run.created_at is not None and run.created_at < since:
                    return _unless(untold)
                owner = self._owners.get(run.id, _owner_in(run))
                if owner is None and reads < READS:
                    reads += 1
                    owner = await self._owner(run.id)
                if owner == attempt.id:
                    return run.id
                untold = untold or owner is None
            if len(runs) < PAGE:
                return _unless(untold)
        raise Untold

    async def _owner(self, run_id: str) -> str | None:
        """The attempt that a run was queued for, "" when it was not queued by us, None when it does not tell."""
        if run_id not in self._owners:
            run = await self._api.run(run_id)
            owner = "" if run is None else _owner_in(run)
            if owner is None:
                return None
            _make_room(self._owners)
            self._owners[run_id] = owner
        return self._owners[run_id]


def _owner_in(run: Run) -> str | None:
    if run.workflow_inputs is not None and isinstance(owner := run.workflow_inputs.get(MARK, ""), str) and owner:
        return owner
    if owner := attempt_in(run.webhook):
        return owner
    return None if run.workflow_inputs is None else ""


def _unless(untold: bool) -> str:
    if untold:
        raise Untold
    return ""


def _make_room(known: dict[str, Trace] | dict[str, str]) -> None:
    while len(known) >= REMEMBERED:
        del known[next(iter(known))]
