"""What the account offers now: its deployments, by the workflow that they deploy. Also the source of their commands."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chatelier import Clock, Loaded, Problem, Unavailable, Workflow

from . import words
from .api import Api, NotOffered
from .settings import ComfyDeploySettings
from .wire import Deployment, InputType
from .workflows import class_of, described, signature, workflow_of

PRODUCTION = ("production", "")
"""An account that knows no environments has production only."""

SICK_SECONDS = 60.0
"""So long a deployment that failed to take a job comes after the others of its workflow."""

GIGABYTES = {
    "T4": 16, "L4": 24, "A10G": 24, "L40S": 48, "A100": 40, "A100-80GB": 80, "H100": 80, "H200": 141, "B200": 180,
}  # fmt: skip
"""Memory of the GPUs that deployments run on, by their makers' data sheets."""

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Served:
    """A workflow, and the deployments that any job of it can go to."""

    workflow: Workflow
    deployments: tuple[Deployment, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """One answer of the account, sorted. served: by class."""

    deployments: tuple[Deployment, ...] = ()
    served: Mapping[str, Served] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    classes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Offer:
    """A WorkflowSource. It is asked for by the backend's own looks, so that the account is asked once for both."""

    def __init__(self, settings: ComfyDeploySettings, api: Api, clock: Clock) -> None:
        self.name = settings.name
        self.now = Listing()
        self._settings = settings
        self._api = api
        self._clock = clock
        self._changed = asyncio.Event()
        self._given: Counter[str] = Counter()
        self._sick_until: dict[str, float] = {}

    async def load(self) -> Loaded:
        """Raises Unavailable and Retry."""
        await self.refresh()
        self._changed.clear()
        return Loaded(workflows=tuple(each.workflow for each in self.now.served.values()), problems=self.now.problems)

    async def changes(self) -> AsyncIterator[None]:
        while True:
            await self._changed.wait()
            self._changed.clear()
            yield

    async def refresh(self) -> None:
        """Raises Unavailable and Retry."""
        try:
            listed = await self._api.deployments()
        except NotOffered:
            if not self._settings.deployments:
                raise Unavailable(words.strange_answer(self._settings.address, "it lists no deployments")) from None
            listed = ()
        found = (*listed, *_declared(self._settings))
        if found != self.now.deployments:
            self.now = _sorted_out(found, self._settings)
            self._changed.set()

    @property
    def memory(self) -> int:
        """Bytes of the largest GPU that jobs run on, 0 for unknown."""
        gpus = [self._settings.gpu] if self._settings.gpu else [each.gpu for each in self.now.deployments]
        return max((GIGABYTES.get(gpu.upper(), 0) for gpu in gpus), default=0) * 1_000_000_000

    # --- which deployment of a workflow

    def in_turn(self, served: Served, busy: Mapping[str, int]) -> list[Deployment]:
        """Those that work first, of these the one with the least of our jobs for its size. busy: jobs under way, by deployment."""
        now = self._clock.monotonic()
        return sorted(
            served.deployments,
            key=lambda each: (
                now < self._sick_until.get(each.id, float("-inf")),
                busy.get(each.id, 0) / max(1.0, each.concurrency_limit or 1.0),
                self._given[each.id],
            ),
        )

    def gave(self, deployment: str) -> None:
        self._given[deployment] += 1

    def failed(self, deployment: str) -> None:
        self._sick_until[deployment] = self._clock.monotonic() + SICK_SECONDS


def _sorted_out(found: Sequence[Deployment], settings: ComfyDeploySettings) -> Listing:
    served: dict[str, Served] = {}
    problems: list[Problem] = []
    groups: dict[str, list[Deployment]] = {}
    for each in found:
        groups.setdefault(class_of(each), []).append(each)
    for class_type, group in groups.items():
        wanted = _of_environments(group, settings.environments)
        if not wanted:
            continue
        first, *others = sorted(wanted, key=lambda each: each.updated_at or NEVER, reverse=True)
        workflow = workflow_of(first, settings.name)
        alike = [each for each in others if signature(each) == signature(first)]
        served[class_type] = Served(workflow, (first, *alike))
        problems += [_left_out(workflow, each, first) for each in others if each not in alike]
    classes = {name: described(each.workflow) for name, each in served.items()}
    return Listing(tuple(found), served, tuple(problems), classes)


def _of_environments(group: Iterable[Deployment], chosen: Sequence[str]) -> list[Deployment]:
    listed = list(group)
    if chosen:
        return [each for each in listed if each.environment in chosen]
    return [each for each in listed if each.environment in PRODUCTION] or listed


def _left_out(workflow: Workflow, one: Deployment, first: Deployment) -> Problem:
    return Problem(source=workflow.source, reason=words.other_inputs(one.id, first.id))


def _declared(settings: ComfyDeploySettings) -> Iterable[Deployment]:
    """Those that the operator wrote down."""
    for name, each in settings.deployments.items():
        inputs = tuple(InputType(input_id=key, type=kind) for key, kind in each.inputs.items())
        yield Deployment(id=each.id, workflow={"name": name}, input_types=inputs)
