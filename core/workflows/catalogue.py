"""What is on offer now, of all sources together."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from ..errors import ChatelierError, Refused
from ..log import get_logger
from ..supervise import guarded
from .workflow import Loaded, Problem, Workflow, WorkflowSource

LOAD_SECONDS = 30.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Offer:
    """One state of the catalogue; it is replaced whole."""

    workflows: tuple[Workflow, ...] = ()
    problems: tuple[Problem, ...] = ()
    names: dict[str, Workflow] = field(default_factory=dict)


class Catalogue:
    """The sources' workflows; where two have one name, the earlier source's.

    reserved: names that commands have; a workflow of such a name is a problem, an alias is left out.
    listeners: called after every swap that changed something. A job keeps the graph it was started with, so a swap
    never reaches into a job that runs.
    """

    def __init__(self, sources: Sequence[WorkflowSource], *, reserved: Collection[str] = ()) -> None:
        self.listeners: list[Callable[[], None]] = []
        self._reserved = frozenset(reserved)
        self._sources = tuple(sources)
        self._loaded: list[Loaded] = [Loaded() for _ in self._sources]
        self._offer = Offer()
        self._refreshing = asyncio.Lock()

    @property
    def workflows(self) -> tuple[Workflow, ...]:
        return self._offer.workflows

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self._offer.problems

    def get(self, name: str) -> Workflow | None:
        """By its name or an alias."""
        return self._offer.names.get(name)

    async def refresh(self) -> None:
        """Load every source and swap at once. A source that fails keeps what it had, and becomes a problem."""
        async with self._refreshing:
            answers = await asyncio.gather(*(self._load(n) for n in range(len(self._sources))))
            self._swap([problem for problem in answers if problem is not None])

    async def watch(self) -> None:
        """Refresh whenever a source says that it changed, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for source in self._sources:
                tasks.create_task(self._follow(source))

    async def _load(self, n: int) -> Problem | None:
        source = self._sources[n]
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                self._loaded[n] = _checked(await guarded(source.load()))
        except Exception as error:  # noqa: BLE001 - the source may be a plugin's, and it stops nobody
            words = str(error) if isinstance(error, ChatelierError) else type(error).__name__
            log.warning("workflows not loaded", source=source.name, error=words)
            return Problem(source=source.name, reason=f"its workflows could not be loaded: {words}")
        return None

    async def _follow(self, source: WorkflowSource) -> None:
        try:
            await guarded(self._refresh_with(source))
        except Exception as error:  # noqa: BLE001 - the source may be a plugin's, and it stops nobody
            log.warning("workflows not watched", source=source.name, error=str(error))

    async def _refresh_with(self, source: WorkflowSource) -> None:
        async for _ in source.changes():
            await self.refresh()

    def _swap(self, failures: Sequence[Problem]) -> None:
        before = self._offer
        self._offer = _merged(self._loaded, failures, self._reserved)
        if (before.workflows, before.problems) != (self._offer.workflows, self._offer.problems):
            for listener in self.listeners:
                listener()


def _checked(answer: object) -> Loaded:
    """What a source answered, with nothing in it that is no workflow or problem. Raises Refused."""
    if not isinstance(answer, Loaded):
        raise Refused(f"`load` answered with {type(answer).__name__}, not with Loaded")
    workflows, problems = tuple(answer.workflows), tuple(answer.problems)
    for items, wanted in ((workflows, Workflow), (problems, Problem)):
        if strange := [type(one).__name__ for one in items if not isinstance(one, wanted)]:
            raise Refused(f"`load` answered with {strange[0]} among its {wanted.__name__}s")
    return Loaded(workflows=workflows, problems=problems)


def _merged(loaded: Sequence[Loaded], failures: Sequence[Problem], reserved: Collection[str]) -> Offer:
    problems = [*failures, *(problem for part in loaded for problem in part.problems)]
    names: dict[str, Workflow] = {}
    for workflow in (workflow for part in loaded for workflow in part.workflows):
        if workflow.name in reserved:
            problems.append(_of_a_command(workflow, workflow.name))
            continue
        first = names.setdefault(workflow.name, workflow)
        if first is not workflow:
            problems.append(_taken(workflow, workflow.name, first))
    workflows = tuple(names.values())
    for workflow in workflows:
        for alias in workflow.aliases:
            if alias in reserved:
                problems.append(_of_a_command(workflow, alias))
                continue
            first = names.setdefault(alias, workflow)
            if first is not workflow:
                problems.append(_taken(workflow, alias, first))
    return Offer(workflows, tuple(problems), names)


def _of_a_command(workflow: Workflow, name: str) -> Problem:
    return Problem(
        source=workflow.source or workflow.name, reason=f"/{name} is a command already; give the workflow another name"
    )


def _taken(workflow: Workflow, name: str, first: Workflow) -> Problem:
    return Problem(
        source=workflow.source or workflow.name, reason=f"the name {name} is taken by {first.source or first.name}"
    )
