"""The head of the line: the first of all jobs that wait, by turn, as this process knows them."""

from ..clock import Clock
from ..storage import Scalar, Store
from ..values import replace
from .jobs import JOBS, Job
from .placing import Candidate, Placing

WINDOW = 64
"""Jobs that are looked at for one that fits; deep enough to find some that use the same models."""
STALE_SECONDS = 0.5
"""How old the window may be: so long somebody's first job may go after another one's second."""
PAGES = 8
"""Windows that are read, where most jobs in them are put off."""
DEEPER_SECONDS = 1.0
"""Between two looks behind the window, for who has nothing to do there."""
OF_EACH = 16
"""Jobs of each kind that are found behind it."""
PUT_OFF_SECONDS = 30.0
"""Until a job is looked at again that no backend can take, unless one changes."""


class Waiting:
    """account: only jobs of this account, "" for all. `candidates` are by turn."""

    def __init__(self, store: Store, placing: Placing, clock: Clock, account: str) -> None:
        self._store = store
        self._placing = placing
        self._clock = clock
        self.account = account
        self.candidates: list[Candidate] = []
        self._is_whole = True
        self._put_off: dict[str, float] = {}
        self._put_off_at = -1
        self._read_at = self._deeper_at = float("-inf")

    @property
    def is_stale(self) -> bool:
        return self._clock.monotonic() - self._read_at >= STALE_SECONDS

    async def read(self, generation: int) -> None:
        """Raises Unavailable. generation: the fleet's; when it grew, what was put off may be begun."""
        self._read_at = self._clock.monotonic()
        self._forget_put_off(generation)
        known = {candidate.job.key: candidate for candidate in self.candidates}
        where: dict[str, Scalar] = {"account": self.account, "ready": True} if self.account else {"ready": True}
        found: dict[str, Candidate] = {}
        last = None
        for _ in range(PAGES):
            jobs = await self._store.find(JOBS, where, order="turn", since=last, limit=WINDOW)
            found |= {job.key: _same(known.get(job.key), job) for job in jobs if not self._is_put_off(job)}
            self._is_whole = len(jobs) < WINDOW
            if self._is_whole or len(found) >= WINDOW // 2 or jobs[-1].turn == last:
                break
            last = jobs[-1].turn
        self.candidates = list(found.values())
        self._placing.forget_all_but(candidate.needs for candidate in self.candidates)

    async def look_deeper(self) -> bool:
        """Whether more was found behind the window, where all may wait for the same backend: the first of each kind, by what they need.

        One account's own jobs are few: those are all in the window.
        """
        now = self._clock.monotonic()
        if self._is_whole or self.account or now - self._deeper_at < DEEPER_SECONDS:
            return False
        self._deeper_at = now
        known = {candidate.job.key for candidate in self.candidates}
        found = [job for needs in await self._all_needs() for job in await self._first_of(needs)]
        new = [job for job in found if job.key not in known and not self._is_put_off(job)]
        self.candidates += [Candidate.of(job) for job in sorted(new, key=lambda job: job.turn)]
        return bool(new)

    def remove(self, candidate: Candidate) -> None:
        """It is begun, or another process has it."""
        self.candidates = [other for other in self.candidates if other is not candidate]

    def put_off(self, candidate: Candidate) -> None:
        """This process cannot begin it now; another one may. It keeps its turn."""
        self.remove(candidate)
        self._put_off[candidate.job.key] = self._clock.monotonic() + PUT_OFF_SECONDS

    def _is_put_off(self, job: Job) -> bool:
        return self._put_off.get(job.key, float("-inf")) > self._clock.monotonic()

    def _forget_put_off(self, generation: int) -> None:
        """What a backend that changed can take now may be among them. generation: the fleet's."""
        now = self._clock.monotonic()
        kept = self._put_off if generation == self._put_off_at else {}
        self._put_off_at = generation
        self._put_off = {key: until for key, until in kept.items() if until > now}

    async def _all_needs(self) -> list[str]:
        """What the jobs that wait need, each once, by skipping from one to the next in the index."""
        needs: list[str] = []
        while True:
            after = f"{needs[-1]}\0" if needs else None
            found = await self._store.find(JOBS, {"ready": True}, order="needs", since=after, limit=1)
            if not found:
                return needs
            needs.append(found[0].needs)

    async def _first_of(self, needs: str) -> list[Job]:
        return await self._store.find(JOBS, {"ready": True, "needs": needs}, order="turn", limit=OF_EACH)


def _same(known: Candidate | None, job: Job) -> Candidate:
    """What was found out about a job holds as long as it is unchanged; that it was passed over, always."""
    if known is None or known.job.version == job.version:
        return known or Candidate.of(job)
    return replace(Candidate.of(job), passed_at=known.passed_at)
