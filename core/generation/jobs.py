"""Orders, jobs, attempts and results as records. The table of transitions is docs/jobs.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..chat.messages import Value
from ..chat.outbox import Address
from ..media.blob import Blob
from ..points.prices import Price
from ..points.scenarios import Payer
from ..storage import Kind, Leased, Query, Reads, Record, Time, Tx
from ..values import replace
from ..workflows.workflow import Graph
from .backend import Output

State = Literal["queued", "submitting", "submitted", "running", "storing", "done", "failed", "expired", "cancelled"]
Origin = Literal["chat", "api", "batch"]
Settles = Literal["each", "whole"]
CLAIMS = 3
"""At this claim without progress in between a job is failed: it crashed whoever took it before.

To hold it for a while without a crash is progress, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Record):
    """What one message asked for. jobs: its jobs, in order. card: the message that shows its progress.

    to: where it is delivered. origin: set by the server, never by a client.
    payer: who pays; None where points are off. settles: each job when it ends, or the whole order when it closes.
    group: whose limits it counts against, beside the person's; "" outside of one.
    """

    person: str
    to: Address
    event: str
    command: str
    jobs: tuple[str, ...]
    card: str
    state: Literal["open", "closed"] = "open"
    origin: Origin = "chat"
    payer: Payer | None = None
    settles: Settles = "each"
    group: str = ""
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

    turn: sorts all that waits (`turn_of`). ready: it waits in the line.
    values: as they were used, the seed among them. graph: API format with the values in it. files: the graph's file values → bytes.
    tags: a backend must have all of them. needs: a digest of all that a backend must have for it, tags too.
    run_seconds: the longest run, 0 for the gateway's limit.
    claims: since the last progress. cancel: somebody asked for it; who holds the job sees to it.
    tried: backends where an attempt came to nothing. memory: bytes of the largest device that was too small, 0 for none.
    outputs: what the backend has, from *storing* on. run_ms: by the backend's clock. expires: a job that waits longer lapses.
    tokens: that a language model used, as the backend says.
    price: what it costs to run; None for nothing. In millipoints: share: of the order's hold. cost: what it came to once it was
    done. written_off: of that, what nobody had.
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
    tags: tuple[str, ...] = ()
    needs: str = ""
    run_seconds: float = 0.0
    turn: str = ""
    ready: bool = False
    state: State = "queued"
    open: bool = True
    claims: int = 0
    attempt: str = ""
    attempts: int = 0
    backend: str = ""
    tried: tuple[str, ...] = ()
    memory: int = 0
    cancel: bool = False
    seen: Seen | None = None
    outputs: tuple[Output, ...] = ()
    notes: tuple[str, ...] = ()
    words: str = ""
    run_ms: int = 0
    tokens: int = 0
    price: Price | None = None
    share: int = 0
    cost: int = 0
    written_off: int = 0
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
    """One submission of a job to one backend, stored before the backend hears of it. key: the attempt's id, a UUID.

    place: the one of the backend's places that it has, "" once it has ended. No two attempts have the same, whoever made them.
    """

    job: str
    backend: str
    place: str = ""
    state: Literal["submitting", "submitted", "ended", "lost"] = "submitting"
    remote: str = ""
    graph: Graph
    created: Time

    @property
    def number(self) -> int:
        """Of its place."""
        return int(self.place.rpartition("/")[2])


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
    """Open orders, and how many of their jobs are open: the record that a limit is guarded by. key: the person's, or "group:" and
    the group's.

    day: when the latest order was taken, in UTC. today: how many were on that day.
    """

    orders: tuple[str, ...] = ()
    jobs: int = 0
    day: str = ""
    today: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd(Record):
    """Everybody's open orders: the record that the limit in all is guarded by. There is one, under the key `ALL`."""

    orders: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs(Record):
    """How long a workflow takes. key: its name for all backends together, `<name>@<backend>` for one of them.

    run_ms, tokens: of the last ten runs, the newest first. What was all there already, and took no time, is no run.
    """

    workflow: str = ""
    backend: str = ""
    run_ms: tuple[int, ...] = ()
    tokens: tuple[int, ...] = ()

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
        Query(("state",), "created"),
        Query((), "created"),
    ),
)
JOBS = Kind(
    name="jobs",
    record=Job,
    queries=(
        Query(("ready",), "turn"),
        Query(("account", "ready"), "turn"),
        Query(("ready", "needs"), "turn"),
        Query(("ready",), "needs"),
        Query(("open",), "due"),
        Query(("account", "open"), "due"),
        Query(("open", "cancel"), "created"),
        Query(("account", "open"), "created"),
        Query(("open",), "created"),
        Query(("open",), "ended"),
        Query(("state",), "created"),
        Query(("person",), "created"),
        Query((), "created"),
    ),
)
ATTEMPTS = Kind(
    name="attempts",
    record=AttemptRow,
    unique=("place",),
    queries=(Query(("job",), "created"), Query(("backend", "state"), "created")),
)
RESULTS = Kind(name="results", record=Result, queries=(Query(("job",), "n"), Query((), "created")))
WORKLOADS = Kind(name="workloads", record=Workload)
CROWDS = Kind(name="crowds", record=Crowd)
ALL = "all"
RUNS = Kind(name="runs", record=Runs, queries=(Query(("workflow",)),))
RECENT_RUNS = 10
LANES: Mapping[Origin, str] = {"chat": "0", "api": "0", "batch": "1"}
"""By an order's origin: somebody waits for the first two."""


def turn_of(origin: Origin, ahead: int, moment: str, n: int) -> str:
    """A job's turn, fixed when it is ordered: the lane, how many jobs of its person were open, and when.

    So nobody's tenth job goes before somebody's first, and what waits longest is next among equals. moment: milliseconds
    since 1970, 13 digits. n: its number among its order's jobs, which count as open before it.
    """
    return f"{LANES[origin]}.{min(ahead + n, 9_999):04d}.{moment}.{n:03d}"


def result_owner(job: str, n: int) -> str:
    """Whose bytes those of a result are, in the blob store."""
    return f"job:{job}.{n}"


async def results_of(reads: Reads, job: str) -> list[Result]:
    """What a job gave, in order."""
    return await reads.find(RESULTS, {"job": job}, order="n", limit=1_000)


async def note_run(tx: Tx, workflow: str, backend: str, run_ms: int, tokens: int = 0) -> None:
    """Remember how long it took: for what people are told to expect, and for who is given the next one."""
    for key, where in ((workflow, ""), (f"{workflow}@{backend}", backend)):
        runs = await tx.get(RUNS, key)
        if runs is None:
            await tx.insert(RUNS, Runs(key=key, workflow=workflow, backend=where, run_ms=(run_ms,), tokens=(tokens,)))
        else:
            last = replace(
                runs,
                run_ms=(run_ms, *runs.run_ms)[:RECENT_RUNS],
                tokens=(tokens, *runs.tokens)[:RECENT_RUNS],
            )
            await tx.replace(RUNS, last)
