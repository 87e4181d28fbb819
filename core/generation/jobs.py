"""Orders, jobs, attempts and results as records. The table of transitions is docs/jobs.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ..chat.messages import Value
from ..chat.outbox import Address
from ..media.blob import Blob
from ..storage import Kind, Leased, Query, Reads, Record, Time, Tx
from ..workflows.workflow import Graph
from .backend import Output

State = Literal["queued", "submitting", "submitted", "running", "storing", "done", "failed", "expired", "cancelled"]
CLAIMS = 3
"""At this claim without progress in between a job is failed: it crashed whoever took it before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Record):
    """What one message asked for. jobs: its jobs, in order. card: the message that shows its progress.

    to: where it is delivered. origin: set by the server, never by a client.
    """

    person: str
    to: Address
    event: str
    command: str
    jobs: tuple[str, ...]
    card: str
    state: Literal["open", "closed"] = "open"
    origin: Literal["chat", "api", "batch"] = "chat"
    created: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The latest progress, written at most once a second. fraction: 0 to 1, None for unknown.

    away: the backend that has it does not answer, or while it waits, none that could take it.
    """

    phase: Literal["waiting", "running"]
    ahead: int | None = None
    fraction: float | None = None
    title: str = ""
    away: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Leased):
    """One run of a workflow that must end well once.

    values: as they were used, the seed among them. graph: API format with the values in it. files: the graph's file values → bytes.
    claims: since the last progress. cancel: somebody asked for it; who holds the job sees to it.
    outputs: what the backend has, from *storing* on. run_ms: by the backend's clock. expires: a job that waits longer lapses.
    until: an attempt that was submitted is stopped then; set anew when it begins to run.
    """

    order: str
    person: str
    account: str
    workflow: str
    title: str
    values: Mapping[str, Value]
    graph: Graph
    files: Mapping[str, Blob] = field(default_factory=dict)
    shown_nodes: tuple[str, ...] = ()
    state: State = "queued"
    open: bool = True
    claims: int = 0
    attempt: str = ""
    attempts: int = 0
    backend: str = ""
    cancel: bool = False
    seen: Seen | None = None
    outputs: tuple[Output, ...] = ()
    notes: tuple[str, ...] = ()
    words: str = ""
    run_ms: int = 0
    created: Time
    expires: Time
    started: Time | None = None
    until: Time | None = None
    ended: Time | None = None

    @property
    def said(self) -> dict[str, Value]:
        """The values that words can tell: all but the files."""
        return {name: value for name, value in self.values.items() if str(value) not in self.files}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow(Record):
    """One submission of a job to one backend, stored before the backend hears of it. key: the attempt's id, a UUID."""

    job: str
    backend: str
    state: Literal["submitting", "submitted", "ended", "lost"] = "submitting"
    remote: str = ""
    graph: Graph
    created: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Record):
    """One output that people see. key: `<job>.<n>`. blob: None for plain text. rating: by person, 1 or -1."""

    job: str
    n: int
    name: str
    blob: Blob | None = None
    text: str = ""
    ratings: Mapping[str, int] = field(default_factory=dict)
    created: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload(Record):
    """A person's open orders: the record that a limit on them is guarded by. key: the person's."""

    orders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs(Record):
    """How long a workflow takes. key: its name. run_ms: of the last ten runs, the newest first."""

    run_ms: tuple[int, ...] = ()

    @property
    def seconds(self) -> float | None:
        """The average; None before the first run."""
        return sum(self.run_ms) / len(self.run_ms) / 1000 if self.run_ms else None


ORDERS = Kind(
    name="orders",
    record=Order,
    unique=("event",),
    queries=(
        Query(("person", "state"), "created"),
        Query(("to.chat.platform", "state"), "created"),
        Query((), "created"),
    ),
)
JOBS = Kind(
    name="jobs",
    record=Job,
    queries=(
        Query(("open",), "due"),
        Query(("account", "open"), "due"),
        Query(("account", "open"), "created"),
        Query(("open",), "created"),
        Query(("state",), "created"),
        Query(("person",), "created"),
        Query((), "created"),
    ),
)
ATTEMPTS = Kind(
    name="attempts", record=AttemptRow, queries=(Query(("job",), "created"), Query(("backend", "state"), "created"))
)
RESULTS = Kind(name="results", record=Result, queries=(Query(("job",), "n"), Query((), "created")))
WORKLOADS = Kind(name="workloads", record=Workload)
RUNS = Kind(name="runs", record=Runs)
RECENT_RUNS = 10


def result_owner(job: str, n: int) -> str:
    """Whose bytes those of a result are, in the blob store."""
    return f"job:{job}.{n}"


async def results_of(reads: Reads, job: str) -> list[Result]:
    """What a job gave, in order."""
    return await reads.find(RESULTS, {"job": job}, order="n", limit=1_000)


async def note_run(tx: Tx, workflow: str, run_ms: int) -> None:
    """Remember how long it took, for what people are told to expect."""
    runs = await tx.get(RUNS, workflow)
    if runs is None:
        await tx.insert(RUNS, Runs(key=workflow, run_ms=(run_ms,)))
    else:
        await tx.replace(RUNS, replace(runs, run_ms=(run_ms, *runs.run_ms)[:RECENT_RUNS]))
