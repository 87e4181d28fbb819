"""Which backend takes a job: those that can run it, then the one with the least before it."""

from collections import Counter
from collections.abc import Mapping

from ..errors import ChatelierError, Refused, Unavailable
from ..log import get_logger
from ..workflows.check import fitted, lacks
from . import words
from .backend import Backend, Description
from .jobs import Job

log = get_logger(__name__)

RETRY_SECONDS = 5.0


class Nowhere(ChatelierError):
    """No backend answers now. `after`: seconds until it is worth asking again."""

    def __init__(self, after: float) -> None:
        super().__init__(words.NO_BACKEND)
        self.after = after


class Placing:
    """given: how many jobs of this process each backend has; its own count shows them a moment later."""

    def __init__(self, backends: Mapping[str, Backend]) -> None:
        self.backends = backends
        self.given: Counter[str] = Counter()
        self.resting_until = float("-inf")

    def rest(self, until: float) -> None:
        """No backend of this process answers: it claims nothing before then, so that another process can."""
        self.resting_until = until

    async def choose(self, job: Job) -> tuple[Backend, Description]:
        """Raises Refused, in words, when every backend that answers lacks something; Nowhere when none answers."""
        able: list[tuple[int, str, Backend, Description]] = []
        missing: dict[str, str] = {}
        for name, backend in self.backends.items():
            try:
                description = await backend.describe()
            except Unavailable:
                continue
            except Exception:  # a backend's own code may raise anything; the others go on
                log.exception("backend cannot be described", backend=name)
                continue
            if lack := lacks(fitted(job.graph, description.classes), description.classes):
                missing[name] = lack
            else:
                load = max(description.waiting + description.running, self.given[name])
                able.append((load, name, backend, description))
        if able:
            _, _, backend, description = min(able, key=lambda one: one[:2])
            return backend, description
        if missing and len(missing) == len(self.backends):
            raise Refused(f"{words.NO_BACKEND}: {'; '.join(f'{name} {lack}' for name, lack in missing.items())}.")
        raise Nowhere(RETRY_SECONDS)
