"""The head of the line: the first of all jobs that wait, by turn, as this process knows them."""

from ..clock import Clock
from ..storage import Scalar, Store
from .jobs import JOBS, Job
from .placing import Candidate, Placing

WINDOW = 64
"""Jobs that are looked at for one that fits; deep enough to find some that use the same models."""
STALE_SECONDS = 0.5
"""How old the window may be: so long somebody's first job may go after another one's second."""
DEEPER_SECONDS = 2.0
"""Between two looks behind the window, for who has nothing to do there."""
OF_EACH = 4
"""Jobs of each workflow that are found behind it."""


class Waiting:
    """account: only jobs of this account, "" for all. `candidates` are by turn."""

    def __init__(self, store: Store, placing: Placing, clock: Clock, account: str) -> None:
        self._store = store
        self._placing = placing
        self._clock = clock
        self.account = account
        self.candidates: list[Candidate] = []
        self._is_whole = True
        self._read_at = self._deeper_at = float("-inf")

    @property
    def is_stale(self) -> bool:
        return self._clock.monotonic() - self._read_at >= STALE_SECONDS

    async def read(self) -> None:
        """Raises Unavailable."""
        self._read_at = self._clock.monotonic()
        where: dict[str, Scalar] = {"account": self.account, "ready": True} if self.account else {"ready": True}
        jobs = await self._store.find(JOBS, where, order="turn", limit=WINDOW)
        self._is_whole = len(jobs) < WINDOW
        known = {candidate.job.key: candidate for candidate in self.candidates}
        self.candidates = [_same(known.get(job.key), job) for job in jobs]
        self._placing.forget_all_but(job.key for job in jobs)

    async def look_deeper(self) -> bool:
        """Whether more was found behind the window: the first ones of each workflow, should all in it wait for the same backend.

        One account's own jobs are few: those are all in the window.
        """
        now = self._clock.monotonic()
        if self._is_whole or self.account or now - self._deeper_at < DEEPER_SECONDS:
            return False
        self._deeper_at = now
        known = {candidate.job.key for candidate in self.candidates}
        found = [job for name in await self._workflows() for job in await self._first_of(name) if job.key not in known]
        self.candidates += [Candidate.of(job) for job in sorted(found, key=lambda job: job.turn)]
        return bool(found)

    def remove(self, candidate: Candidate) -> None:
        self.candidates.remove(candidate)

    async def _workflows(self) -> list[str]:
        """The workflows of all that waits, by skipping from one to the next in the index."""
        names: list[str] = []
        while True:
            after = f"{names[-1]}\0" if names else None
            found = await self._store.find(JOBS, {"ready": True}, order="workflow", since=after, limit=1)
            if not found:
                return names
            names.append(found[0].workflow)

    async def _first_of(self, workflow: str) -> list[Job]:
        return await self._store.find(JOBS, {"ready": True, "workflow": workflow}, order="turn", limit=OF_EACH)


def _same(known: Candidate | None, job: Job) -> Candidate:
    """What was found out about a job holds as long as it is unchanged."""
    return known if known is not None and known.job.version == job.version else Candidate.of(job)
