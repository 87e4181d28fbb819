"""The backends as this process sees them: whether they answer, what they can do, and what was given to them.

Each is looked at by a task of its own, so that a decision about a job needs no I/O.
"""

import asyncio
import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal

from ..clock import Clock
from ..errors import ChatelierError, OperatorMust, Unavailable
from ..log import get_logger
from ..storage import Store
from ..supervise import in_time, reason
from ..values import replace
from .backend import Backend, Description, Frees
from .breaker import Breaker
from .roster import ROSTER, Standing, standings

log = get_logger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks at a backend that works: how stale its queue may be when a job is placed."""
IDLE_SECONDS = 5.0
"""The same for one that has nothing of ours."""
MISSED_SECONDS = 2.0
"""After a look that found no answer. While a server loads a model it may miss one."""
MISSES = 3
"""In a row, until a backend counts as down."""
LONGEST_SECONDS = 30.0
"""Between two looks at one that is down; the pause doubles until then."""
DESCRIBE_SECONDS = 12.0
"""A backend that takes longer to say how it is does not answer. Above the ten seconds that a look at a server may take."""
FREE_SECONDS = 10.0
"""Until a backend that is asked to let go of memory counts as away."""
FULL_SECONDS = 0.5
"""Until a backend is tried again whose places other processes took."""
MODEL_STRIKES = 3
"""Failures in a row with one model on one backend, until it is not given that model any more."""
MODEL_SECONDS = 600.0
"""So long then."""

NEWEST_COUNTS = 0.2
"""How much of a workflow's measured time is its latest run: about the last ten decide."""
MANY_CLASSES = 100
"""From here on they are compared in a thread: a real server's take milliseconds."""

State = Literal["starting", "up", "down"]
Classes = Mapping[str, Mapping[str, Any]]


@dataclass(slots=True)
class Member:
    """One backend. since: when `state` began. given: the attempts of this process that have a place there.

    taken: its places, by number, and until when each is: for ever while a job of this process has it.
    others: jobs that are not this process's, at the last look.
    classes: as it gave them last; its description has the object that is shared with its like.
    models: what its last job used, so that they are still loaded. seconds: of a run, by workflow, as measured there.
    """

    name: str
    backend: Backend
    since: datetime
    breaker: Breaker
    state: State = "starting"
    answers: bool = False
    description: Description = field(default_factory=lambda: Description(classes={}))
    error: str = ""
    misses: int = 0
    others: int = 0
    classes: Classes = field(default_factory=dict)
    standing: Standing = field(default_factory=lambda: Standing(key=""))
    given: set[str] = field(default_factory=set)
    taken: dict[int, float] = field(default_factory=dict)
    full_until: float = float("-inf")
    models: frozenset[str] = frozenset()
    seconds: dict[str, float] = field(default_factory=dict)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    _strikes: dict[str, int] = field(default_factory=dict)
    _bad_until: dict[str, float] = field(default_factory=dict)

    @property
    def tags(self) -> frozenset[str]:
        """The operator's while running win over the configured ones."""
        return frozenset(self.description.tags if self.standing.tags is None else self.standing.tags)

    @property
    def weight(self) -> float:
        return self.standing.weight or self.description.weight

    @property
    def takes_jobs(self) -> bool:
        """Whether it answers and nobody keeps jobs from it."""
        return self.answers and self.standing.is_open

    def places(self, now: float) -> int:
        """Jobs that it may have of ours at this moment."""
        if not self.takes_jobs or now < self.full_until:
            return 0
        return self.breaker.allowed(self.description.places, now)

    def has_room(self, now: float) -> bool:
        """Whether it may be given another one. A thousand are asked for each decision, so the common answers come first."""
        given, standing = len(self.given), self.standing
        if given >= self.description.places or not self.answers or standing.draining or standing.disabled:
            return False
        if not self.taken and not self.breaker.is_broken:
            return now >= self.full_until
        return given < self.places(now) and self.free_place(now) is not None

    def free_place(self, now: float) -> int | None:
        """The first place that nobody is known to have."""
        if not self.taken:
            return 0
        places = range(self.description.places)
        return next((n for n in places if self.taken.get(n, float("-inf")) <= now), None)

    def note_taken(self, place: int, now: float) -> None:
        """Another process has this place; it says nothing when it gives it back."""
        self.taken[place] = now + FULL_SECONDS

    def is_bad_for(self, models: Iterable[str], now: float) -> bool:
        """Whether jobs with one of these models failed there again and again."""
        return any(now < self._bad_until.get(model, float("-inf")) for model in models)

    @property
    def leaves_models_out(self) -> bool:
        return bool(self._bad_until)

    def note_models(self, models: Iterable[str], *, well: bool, now: float) -> bool:
        """What came of a job that used these models. Whether another one is left out now, or none any more."""
        before = set(self._bad_until)
        for model in models:
            self._strikes[model] = 0 if well else self._strikes.get(model, 0) + 1
            if well:
                self._bad_until.pop(model, None)
            elif self._strikes[model] >= MODEL_STRIKES:
                log.warning("model left out", backend=self.name, model=model, seconds=MODEL_SECONDS)
                self._bad_until[model] = now + MODEL_SECONDS
        return before != set(self._bad_until)


Listener = Callable[[Member, State], None]
"""Called with the member and its state before."""


class Fleet:
    """generation: grows whenever another answer to "who can run this?" is possible."""

    def __init__(
        self,
        backends: Mapping[str, Backend],
        store: Store,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._clock = clock
        self._jitter = jitter
        self.members = {
            name: Member(name=name, backend=backend, since=clock.now(), breaker=Breaker(jitter))
            for name, backend in backends.items()
        }
        self.generation = 0
        self.moved = asyncio.Event()
        self.listeners: list[Listener] = []
        self._classes: dict[str, Classes] = {}
        self._roster_is_read = False

    async def run(self) -> None:
        """Look at each backend, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_roster(), name="roster")
            for member in self.members.values():
                tasks.create_task(self._watch(member), name=f"look at {member.name}")

    @property
    def is_known(self) -> bool:
        """Whether every backend was looked at, so that "none can run this" is certain."""
        return self._roster_is_read and all(member.state != "starting" for member in self.members.values())

    @property
    def answers(self) -> bool:
        """Whether any backend does."""
        return any(member.answers for member in self.members.values())

    @property
    def has_room(self) -> bool:
        """Whether any of them may be given another job now."""
        now = self._clock.monotonic()
        return self._roster_is_read and any(member.has_room(now) for member in self.members.values())

    def roomy(self) -> list[Member]:
        """Those that may be given another job now."""
        if not self._roster_is_read:
            return []  # the operator may keep jobs from some of them
        now = self._clock.monotonic()
        return [member for member in self.members.values() if member.has_room(now)]

    def forget_jobs(self) -> None:
        """No job of this process has a place."""
        for member in self.members.values():
            member.given.clear()
            member.taken.clear()

    def give(self, attempt: str, name: str, place: int | None = None) -> None:
        """This attempt has a place there now."""
        if (member := self.members.get(name)) is not None:
            member.given.add(attempt)
            if place is not None:
                member.taken[place] = float("inf")

    def take_back(self, attempt: str, name: str, place: int | None = None) -> None:
        """It has none any more; nothing is done when it had none."""
        if (member := self.members.get(name)) is not None and attempt in member.given:
            member.given.discard(attempt)
            if place is not None:
                member.taken.pop(place, None)
            self.moved.set()

    def did_not_answer(self, name: str, error: str) -> None:
        """It was to take a job, or to tell of one. It gets no more until a look finds it well, which is soon."""
        member = self.members.get(name)
        if member is not None and member.answers:
            member.answers, member.error = False, error
            self.generation += 1
            member.woken.set()

    def is_full(self, name: str, seconds: float) -> None:
        """It says so itself."""
        if (member := self.members.get(name)) is not None:
            member.full_until = self._clock.monotonic() + seconds

    def came_to_nothing(self, name: str) -> None:
        """An attempt there did, and the job was not to blame."""
        if (member := self.members.get(name)) is not None:
            member.breaker.failed(self._clock.monotonic())
            self.moved.set()

    def note_run(
        self, name: str, models: Iterable[str], *, well: bool, seconds: tuple[str, float] | None = None
    ) -> None:
        """An attempt ended there by itself. seconds: the workflow, and how long it ran."""
        member = self.members.get(name)
        if member is None:
            return
        member.breaker.succeeded()
        if member.note_models(models, well=well, now=self._clock.monotonic()):
            self.generation += 1
        if seconds is not None:
            workflow, ran = seconds
            known = member.seconds.get(workflow, ran)
            member.seconds[workflow] = known + (ran - known) * NEWEST_COUNTS

    def memory(self, name: str) -> int:
        """Bytes of its largest device, 0 for unknown."""
        return self.members[name].description.memory if name in self.members else 0

    async def free(self, name: str) -> None:
        """Make it let go of models and cached results, where it can. Never raises."""
        member = self.members.get(name)
        if member is None or not isinstance(member.backend, Frees):
            return
        try:
            await in_time(member.backend.free(), self._clock.sleep(FREE_SECONDS))
        except Exception as error:  # noqa: BLE001 - a backend's own code may raise anything; the job goes elsewhere or fails
            log.info("memory not freed", backend=name, error=reason(error))

    # --- looking

    async def _watch(self, member: Member) -> None:
        while True:
            member.woken.clear()
            await self._look(member)
            pause = asyncio.ensure_future(self._clock.sleep(self._pause(member)))
            woken = asyncio.ensure_future(member.woken.wait())
            try:
                await asyncio.wait({pause, woken}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                pause.cancel()
                woken.cancel()

    def _pause(self, member: Member) -> float:
        if member.answers:
            return LOOK_SECONDS if member.given else IDLE_SECONDS
        doubled = MISSED_SECONDS * 2.0 ** max(0, min(member.misses, 10) - MISSES)
        return min(LONGEST_SECONDS, doubled) * (1 + self._jitter()) / 2

    async def _look(self, member: Member) -> None:
        try:
            found = _sound(await in_time(member.backend.describe(), self._clock.sleep(DESCRIBE_SECONDS)))
            shared = await self._shared(member, found.classes)
        except Unavailable as away:
            self._missed(member, str(away))
        except TimeoutError:
            self._missed(member, f"no answer within {DESCRIBE_SECONDS:g} s")
        except Exception as error:
            if member.answers or member.state == "starting":
                log.error("backend cannot be described", backend=member.name, reason=reason(error), exc_info=error)
            self._missed(member, reason(error))
        else:
            self._answered(member, found, shared)

    def _answered(self, member: Member, found: Description, shared: Classes) -> None:
        known = member.description
        is_other = (
            not member.answers
            or shared is not known.classes
            or (found.tags, found.memory) != (known.tags, known.memory)
        )
        member.description = replace(found, classes=shared)
        member.others = max(0, found.waiting + found.running - len(member.given))
        member.answers, member.misses, member.error = True, 0, ""
        if is_other:
            self.generation += 1
            self.moved.set()
        self._become(member, "up")

    async def _shared(self, member: Member, classes: Classes) -> Classes:
        """One object for servers that have the same nodes and models, so that a graph is held against it once."""
        if classes is member.classes:
            return member.description.classes
        member.classes = classes
        digest = await asyncio.to_thread(_digest, classes) if len(classes) > MANY_CLASSES else _digest(classes)
        shared = self._classes.setdefault(digest, classes)
        used = {id(member.description.classes) for member in self.members.values()}
        self._classes = {d: one for d, one in self._classes.items() if id(one) in used or one is shared}
        return shared

    def _missed(self, member: Member, error: str) -> None:
        """It gets no more jobs at once; it counts as down when it missed several."""
        member.misses += 1
        member.error = error
        if member.answers:
            member.answers = False
            self.generation += 1
        if member.misses >= MISSES or member.state == "starting":
            self._become(member, "down")

    def _become(self, member: Member, state: State) -> None:
        if member.state == state:
            return
        before, member.state, member.since = member.state, state, self._clock.now()
        self.moved.set()
        say = log.info if state == "up" else log.warning
        say(f"backend {state}", backend=member.name, reason=member.error)
        for listener in self.listeners:
            listener(member, before)

    # --- what the operator says while it runs

    async def _follow_roster(self) -> None:
        changes = self._store.changes(ROSTER)
        while True:
            try:
                found = await standings(self._store)
            except (ChatelierError, OperatorMust) as away:
                log.warning("backends' standing not read", error=str(away))
                await self._clock.sleep(LOOK_SECONDS)
                continue
            self._set_standings(found)
            self._roster_is_read = True
            self.moved.set()
            await changes.wait(IDLE_SECONDS)

    def _set_standings(self, found: Mapping[str, Standing]) -> None:
        for name, member in self.members.items():
            standing = found.get(name, Standing(key=name))
            if standing != member.standing:
                member.standing = standing
                self.generation += 1
                self.moved.set()


def _sound(found: Description) -> Description:
    """Raises TypeError or ValueError for what no job can be placed by: a third party wrote it."""
    if not isinstance(found, Description):
        raise TypeError(f"describe gave {type(found).__name__}, not a Description")
    if found.places < 1 or found.weight <= 0:
        raise ValueError(f"places must be 1 or more and weight above 0; they are {found.places} and {found.weight}")
    return found


def _digest(classes: Classes) -> str:
    return sha256(json.dumps(classes, sort_keys=True, default=str).encode()).hexdigest()
