"""Jobs that ended before the test began, as the store has them after a day of work."""

import math
import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from chatelier import JOBS, Job, Store, Tx
from chatelier.core.generation.jobs import State

WORKFLOWS = {"make": 6.0, "upscale": 14.0, "portrait": 22.0}
"""Seconds of a usual run."""


def ended(
    n: int,
    at: datetime,
    *,
    workflow: str = "make",
    backend: str = "fake",
    state: State = "done",
    waited: float = 0.0,
    seconds: float = 6.0,
) -> Job:
    """A job that waited, ran, and ended then."""
    began = at - timedelta(seconds=seconds)
    created = began - timedelta(seconds=waited)
    return Job(
        key=f"past{n:06d}",
        order=f"order{n}",
        person="ada",
        account="fake",
        workflow=workflow,
        title=workflow.title(),
        values={},
        graph={},
        state=state,
        open=False,
        backend=backend,
        run_ms=round(seconds * 1000) if state == "done" else 0,
        created=created,
        expires=created + timedelta(hours=1),
        started=began,
        ended=at,
    )


async def keep(store: Store, jobs: Sequence[Job]) -> None:
    async def work(tx: Tx) -> None:
        for job in jobs:
            await tx.insert(JOBS, job)

    await store.atomically(work)


def a_day(now: datetime, backends: Sequence[str], hours: int = 24, seed: int = 7) -> list[Job]:
    """Much in the evening, little at night, and one in twenty that failed."""
    chance = random.Random(seed)  # noqa: S311 - a picture of a day, no secret
    jobs: list[Job] = []
    for hour in range(hours):
        busy = 0.55 + 0.45 * math.sin((now - timedelta(hours=hour)).hour / 24 * 2 * math.pi - 2.6)
        for _ in range(round(110 * busy)):
            workflow = chance.choices(list(WORKFLOWS), [6, 2, 1])[0]
            at = now - timedelta(hours=hour, seconds=chance.uniform(0, 3600))
            jobs.append(
                ended(
                    len(jobs),
                    at,
                    workflow=workflow,
                    backend=chance.choices(backends, range(len(backends), 0, -1))[0],
                    state="failed" if chance.random() < 0.05 else "done",
                    waited=chance.expovariate(1 / (40 * busy + 1)),
                    seconds=WORKFLOWS[workflow] * chance.uniform(0.7, 1.6),
                )
            )
    return jobs
