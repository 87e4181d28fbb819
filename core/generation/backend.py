"""What runs workflows: the interface of a backend. One object is one server or account.

Any process may call a backend about an attempt that another process submitted.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

from ..media.blob import Blob
from ..workflows.workflow import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One submission of a job to one backend.

    id: a UUID, new for each attempt, stored before submit is called. remote: what submit returned, "" before.
    graph: API format, values filled in; an input whose value is a key of `files` stands for that file.
    read: the bytes of a file. started_at: by the backend's clock, to the millisecond, once known.
    """

    id: str
    graph: Graph
    remote: str = ""
    files: Mapping[str, Blob] = field(default_factory=dict)
    read: Callable[[Blob], AsyncIterator[bytes]]
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an attempt is. Only the latest matters.

    ahead: jobs before it at the backend while it waits, None for unknown. fraction: 0 to 1 of the graph. title: of the current node.
    preview: an encoded picture (JPEG, PNG or WebP) of the state so far, or empty. started_at: once it runs, by the backend's clock.
    notes: what will be said beside its success, as far as that is known; it outlives the process that heard it.
    """

    phase: Literal["waiting", "running"]
    ahead: int | None = None
    fraction: float | None = None
    title: str = ""
    preview: bytes = b""
    started_at: datetime | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One result at the backend. n: its place among the attempt's outputs, from 0; stable from call to call.

    node: the graph's node id. name: a file name to show. remote: what the backend needs to fetch it.
    text: when it is text, the text itself.
    """

    n: int
    node: str
    name: str
    remote: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an attempt ended. The last item of `watch`.

    lost: the backend knows nothing of it any more (it restarted): another attempt may be made.
    words: for a failure, what went wrong in words a person can act on. notes: said beside a success (a part did not run).
    transient: a failure that may pass elsewhere or later. out_of_memory: it is that one: a backend with more may do it.
    started_at, ended_at: by the backend's clock. tokens: that a language model used.
    """

    state: Literal["done", "failed", "cancelled", "lost"]
    outputs: tuple[Output, ...] = ()
    words: str = ""
    notes: tuple[str, ...] = ()
    transient: bool = False
    out_of_memory: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a backend can do now.

    classes: as ComfyUI's `/object_info` has them; the same object as long as they are the same. waiting, running: jobs of anybody.
    places: jobs that it is given at a time; by default one runs and one is queued behind it. memory: bytes of its largest device,
    0 for unknown. tags, weight: as the operator configured it; weight is its speed beside the others, until that was measured.
    """

    classes: Mapping[str, Mapping[str, Any]]
    waiting: int = 0
    running: int = 0
    places: int = 2
    memory: int = 0
    tags: tuple[str, ...] = ()
    weight: float = 1.0
    detail: str = ""


@runtime_checkable
class Backend(Protocol):
    """Errors of every method: Unavailable when it does not answer."""

    @property
    def name(self) -> str: ...

    async def run(self) -> None:
        """Hold what the backend needs (a socket, worker threads) until cancelled. Raising means run again after a backoff."""
        ...

    async def describe(self) -> Description:
        """May cache for seconds. Raises Unavailable."""
        ...

    async def submit(self, attempt: Attempt) -> str:
        """The backend's own id.

        Raises Refused, in words, for a graph that it will never take, Retry(after), Uncertain (may be queued: find it).
        """
        ...

    async def find(self, attempt: Attempt) -> Literal["waiting", "running", "ended", "absent", "unknown"]: ...

    def watch(self, attempt: Attempt) -> AsyncIterator[Progress | Ended]:
        """May start late, by anybody. The last item is Ended, always.

        It yields what the backend says now. While that does not answer it yields nothing, not even what it said before: progress
        is taken as a sign of life, and a job that shows none for a minute is made elsewhere. Raises Unavailable if that lasts.
        """
        ...

    def fetch(self, attempt: Attempt, output: Output) -> AsyncIterator[bytes]:
        """Again and again. Raises Gone when it no longer is."""
        ...

    async def cancel(self, attempt: Attempt) -> None:
        """A request; `watch` tells what came of it."""
        ...


@runtime_checkable
class Frees(Protocol):
    """What a backend may also do."""

    async def free(self) -> None:
        """Let go of models and cached results, so that what ran out of memory fits. Asked when nothing of ours runs there."""
        ...
