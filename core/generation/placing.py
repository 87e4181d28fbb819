"""Which job is begun next, and on which backend. Nothing here waits or reads: it goes by what the fleet knows.

First who can run it at all; of these the one that is expected to have finished it first. docs/dispatching.md tells it in words.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..clock import Clock
from ..workflows.check import fitted, lacks
from ..workflows.choices import models_of, needs_of
from . import words
from .fleet import Classes, Fleet, Member
from .jobs import Job, Runs

SWITCH_SECONDS = 10.0
"""What a backend is worth more that has the job's models loaded: about what a checkpoint of 6 GB takes from a common SSD."""
PASSED_SECONDS = 60.0
"""So long a job may be passed over for others whose models are loaded."""
AGAIN_SECONDS = 30.0
"""How long it holds who can take a job while no backend changes: models that fail somewhere are forgiven after a while."""
UNKNOWN_SECONDS = 10.0
"""Of a run of which nothing is known yet."""
LEAST_SECONDS = 0.1
"""Of any run: one that came from a cache says little of the next."""
TRIES_WITH_LITTLE = 2
"""Attempts that a job may spend where its memory may be too little again; what is left is kept for a backend with more."""


@dataclass(frozen=True, slots=True)
class Cannot:
    """No backend can take the job now. words: why; for_ever: none ever will, as things are configured."""

    words: str
    for_ever: bool


@dataclass(slots=True)
class Candidate:
    """A job that waits, and what is known of it. passed_at: when it was first passed over, None for not yet.

    generation: the fleet's when `able` was found, which holds until `again_at`.
    """

    job: Job
    needs: str
    models: frozenset[str]
    passed_at: float | None = None
    generation: int = -1
    again_at: float = float("-inf")
    able: Mapping[str, Member] = field(default_factory=dict)
    cannot: Cannot | None = None

    @classmethod
    def of(cls, job: Job) -> "Candidate":
        return cls(job=job, needs=needs_of(job.graph, job.tags), models=models_of(job.graph))


@dataclass(frozen=True, slots=True)
class Choice:
    """This one, there."""

    candidate: Candidate
    member: Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """Who can take the jobs of one kind at all, by name, as of one generation of the fleet."""

    generation: int
    able: Mapping[str, Member]
    cannot: Cannot | None
    leaves_models_out: bool


class Placing:
    """usual: seconds of a run of a workflow on any backend, as far as it was measured."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self._fleet = fleet
        self._clock = clock
        self.usual: dict[str, float] = {}
        self._lacking: dict[tuple[str, int], tuple[Classes, str]] = {}
        self._sorted: dict[str, Sorted] = {}

    def next(self, waiting: Sequence[Candidate], roomy: Sequence[Member]) -> Choice | None:
        """waiting: by turn. roomy: backends that may be given a job now. None when none of them can be begun there."""
        for candidate in waiting:
            able = self.able(candidate)
            free = [member for member in roomy if member.name in able]
            if free:
                first = Choice(candidate, self.best(candidate, free))
                return self._kept_warm(first, waiting) or first
        return None

    def best(self, candidate: Candidate, free: Iterable[Member]) -> Member:
        """Where it is expected to have finished first, less what its models are worth where they are loaded.

        A usual run takes what was measured there, else elsewhere, else a guess.
        """
        workflow, models = candidate.job.workflow, candidate.models
        usual = self.usual.get(workflow, UNKNOWN_SECONDS)
        first, least = None, (float("inf"), "")
        for member in free:  # of a thousand, for each decision: no call that can be spared
            seconds = member.seconds.get(workflow)
            if seconds is None:
                seconds = usual / member.weight
            seconds = max(seconds, LEAST_SECONDS)
            # Jobs before it: other people's, as it said at the last look, and ours as they are now.
            expected = (member.others + len(member.given) + 1) * seconds
            if models and member.models and models <= member.models:
                expected -= SWITCH_SECONDS
            if expected < least[0] or (expected == least[0] and member.name < least[1]):
                first, least = member, (expected, member.name)
        assert first is not None  # noqa: S101 - who asks has some
        return first

    def _kept_warm(self, first: Choice, waiting: Sequence[Candidate]) -> Choice | None:
        """Another job that needs the models which this backend has loaded, if all before it may still be passed over."""
        head, member = first.candidate, first.member
        if not member.models or head.models == member.models or not head.models:
            return None
        now = self._clock.monotonic()
        passed: list[Candidate] = []
        for other in waiting:
            if member.name not in self.able(other):
                continue
            if other.models == member.models:
                for one in passed:
                    one.passed_at = now if one.passed_at is None else one.passed_at
                return Choice(other, member)
            if other.passed_at is not None and now - other.passed_at >= PASSED_SECONDS:
                return None
            passed.append(other)
        return None

    def note_seconds(self, found: Iterable[Runs]) -> None:
        """Times that were measured, by whatever process: of a workflow in all, and on each backend."""
        for runs in found:
            if runs.seconds is None:
                continue
            member = self._fleet.members.get(runs.backend)
            if not runs.backend:
                self.usual[runs.workflow] = runs.seconds
            elif member is not None:
                member.seconds[runs.workflow] = runs.seconds

    # --- who can run it at all

    def able(self, candidate: Candidate) -> Mapping[str, Member]:
        """By name, whether they have room or not. None of them: `candidate.cannot` says why."""
        now = self._clock.monotonic()
        if candidate.generation != self._fleet.generation or now >= candidate.again_at:
            candidate.generation, candidate.again_at = self._fleet.generation, now + AGAIN_SECONDS
            known = self._sorted_out_once(candidate)
            candidate.able, candidate.cannot = self._preferred(candidate, known), known.cannot
            if known.able and not candidate.able:
                candidate.cannot = Cannot(words.WAITS_FOR_MEMORY, for_ever=False)
        return candidate.able

    def _sorted_out_once(self, candidate: Candidate) -> Sorted:
        """For all jobs that need the same."""
        known = self._sorted.get(candidate.needs)
        if known is None or known.generation != self._fleet.generation:
            able, cannot = self._sorted_out(candidate)
            known = Sorted(
                generation=self._fleet.generation,
                able={member.name: member for member in able},
                cannot=cannot,
                leaves_models_out=any(member.leaves_models_out for member in able),
            )
            self._sorted[candidate.needs] = known
        return known

    def _sorted_out(self, candidate: Candidate) -> tuple[list[Member], Cannot | None]:
        able: list[Member] = []
        lacking: dict[str, str] = {}
        for member in self._fleet.members.values():
            if not member.answers:
                continue
            if lack := self._lack(candidate, member):
                lacking[member.name] = lack
            elif member.takes_jobs:
                able.append(member)
        if able:
            return able, None
        for_ever = self._fleet.is_known and len(lacking) == len(self._fleet.members)
        reasons = "; ".join(f"{name} {lack}" for name, lack in lacking.items())
        return able, Cannot(f"{words.NO_BACKEND}: {reasons}." if reasons else words.NO_BACKEND, for_ever)

    def _preferred(self, candidate: Candidate, known: Sorted) -> Mapping[str, Member]:
        """Of these, if there are such: with more memory than was too little; not tried yet; that run its models.

        None at all while the last attempts are kept for one with more memory that does not answer.
        """
        now, job = self._clock.monotonic(), candidate.job
        if not (job.memory or job.tried or known.leaves_models_out):
            return known.able
        able = list(known.able.values())
        larger = self._larger(candidate) if job.memory else ()
        if larger and len(job.tried) >= TRIES_WITH_LITTLE and not any(member.name in known.able for member in larger):
            return {}
        for is_preferred in (
            lambda member: not job.memory or member.description.memory > job.memory,
            lambda member: member.name not in job.tried,
            lambda member: not member.is_bad_for(candidate.models, now),
        ):
            able = [member for member in able if is_preferred(member)] or able
        return {member.name: member for member in able}

    def _larger(self, candidate: Candidate) -> list[Member]:
        """Those with more memory than was too little for it, whether they answer now or not."""
        return [
            member
            for member in self._fleet.members.values()
            if member.description.memory > candidate.job.memory
            and member.standing.is_open
            and not self._lack(candidate, member)
        ]

    def _lack(self, candidate: Candidate, member: Member) -> str:
        """What keeps it from running there for ever, "" for nothing."""
        if missing := sorted(set(candidate.job.tags) - member.tags):
            return words.lacks_tags(missing)
        classes = member.description.classes
        key = (candidate.needs, id(classes))
        if key not in self._lacking:
            self._lacking[key] = (classes, lacks(fitted(candidate.job.graph, classes), classes))
        return self._lacking[key][1]

    def forget_all_but(self, needs: Iterable[str]) -> None:
        """Keep what was found out about jobs that need this only."""
        kept = set(needs)
        self._lacking = {key: found for key, found in self._lacking.items() if key[0] in kept}
        self._sorted = {key: found for key, found in self._sorted.items() if key in kept}

    def others(self, job: Job) -> Iterator[Member]:
        """Those with room now that could run it beside the one that has it."""
        able = self.able(Candidate.of(job))
        return (member for member in self._fleet.roomy() if member.name in able and member.name != job.backend)
