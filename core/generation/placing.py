"""Which backend takes a job: those that can run it, then the one with the least before it."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import ChatelierError, Refused, Unavailable
from ..log import get_logger
from ..supervise import guarded
from ..workflows.check import fitted, lacks
from . import words
from .backend import Backend, Description
from .jobs import Job

log = get_logger(__name__)

RETRY_SECONDS = 5.0
"""Until a job is looked at again for which no backend answered."""
FULL_SECONDS = 0.5
"""Until a job is looked at again that found every backend for it full."""
DESCRIBE_SECONDS = 12.0
"""A backend that takes longer to say how it is does not answer. Above the ten seconds that a look at a server may take."""
SILENT_SECONDS = 30.0
"""So long a backend that did not answer in time is not asked again: each question would hold up a job."""
PLACES_A_BACKEND = 2
"""One job runs and one is queued there; the rest wait here, where cancel and re-routing are cheap."""


class Nowhere(ChatelierError):
    """No backend that could take it answers and has room now.

    after: seconds until it is worth asking again. is_everywhere: none of the process's backends answers at all.
    is_away: those that could take it do not answer; otherwise they are full.
    """

    def __init__(self, after: float, *, is_away: bool = False, is_everywhere: bool = False) -> None:
        super().__init__(words.NO_BACKEND)
        self.after = after
        self.is_away = is_away
        self.is_everywhere = is_everywhere


@dataclass(frozen=True, slots=True)
class Able:
    """A backend that can run the job."""

    name: str
    backend: Backend
    description: Description


class Placing:
    """given: how many jobs of this process each backend has; its own count shows them a moment later."""

    def __init__(self, backends: Mapping[str, Backend], *, describe_seconds: float = DESCRIBE_SECONDS) -> None:
        self.backends = backends
        self.given: Counter[str] = Counter()
        self.resting_until = float("-inf")
        self._describe_seconds = describe_seconds
        self._silent_until: dict[str, float] = {}

    def rest(self, until: float) -> None:
        """No backend of this process answers: it claims nothing before then, so that another process can."""
        self.resting_until = until

    async def able(self, job: Job) -> list[Able]:
        """Raises Refused, in words, when every backend lacks something; Nowhere when none that could take it answers."""
        names = [name for name in self.backends if self._has_room(name)]
        answers = await asyncio.gather(*(self._described(name) for name in names))
        able: list[Able] = []
        missing: dict[str, str] = {}
        for name, description in zip(names, answers, strict=True):
            if description is None:
                continue
            if lack := lacks(fitted(job.graph, description.classes), description.classes):
                missing[name] = lack
            else:
                able.append(Able(name, self.backends[name], description))
        if not able:
            self._say_why(missing, is_any_full=len(names) < len(self.backends))
        return able

    def least(self, able: list[Able]) -> Able:
        """The one with the least before it. Raises Nowhere when all of them were filled in the meantime."""
        roomy = [one for one in able if self._has_room(one.name)]
        if not roomy:
            raise Nowhere(FULL_SECONDS)
        return min(roomy, key=lambda one: (self._load(one), one.name))

    def _say_why(self, missing: Mapping[str, str], *, is_any_full: bool) -> None:
        if is_any_full:
            raise Nowhere(FULL_SECONDS)
        if missing and len(missing) == len(self.backends):
            raise Refused(f"{words.NO_BACKEND}: {'; '.join(f'{name} {lack}' for name, lack in missing.items())}.")
        raise Nowhere(RETRY_SECONDS, is_away=True, is_everywhere=not missing)

    async def _described(self, name: str) -> Description | None:
        """None when it does not answer."""
        now = asyncio.get_running_loop().time
        if now() < self._silent_until.get(name, float("-inf")):
            return None
        try:
            async with asyncio.timeout(self._describe_seconds):
                return await guarded(self.backends[name].describe())
        except Unavailable:
            pass
        except TimeoutError:
            log.warning("backend too slow to be described", backend=name)
            self._silent_until[name] = now() + SILENT_SECONDS
        except Exception:  # a backend's own code may raise anything; the others go on
            log.exception("backend cannot be described", backend=name)
        return None

    def _has_room(self, name: str) -> bool:
        return self.given[name] < PLACES_A_BACKEND

    def _load(self, one: Able) -> int:
        return max(one.description.waiting + one.description.running, self.given[one.name])
