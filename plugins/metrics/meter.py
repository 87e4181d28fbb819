"""What is counted as it happens, and what is asked for when somebody reads: both in a registry of this gateway's own."""

import asyncio
import shutil
from datetime import timedelta

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.responses import Response

from chatelier import ChatelierError, Figures, Job, Runtime, figures_of

from .readings import Readings

FRESH_SECONDS = 2.0
"""How old the store's figures may be, however many read them."""
QUEUED_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
RUN_BUCKETS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)


class Meter:
    """Counters and histograms are of what this process did itself, since it started."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._registry = CollectorRegistry()
        self._reading = asyncio.Lock()
        self._figures: Figures | None = None
        self._read_at = float("-inf")
        self._readings = Readings(runtime)
        self.ended = Counter(
            "chatelier_jobs_ended", "Jobs that ended here.", ["workflow", "state"], registry=self._registry
        )
        self.queued_seconds = Histogram(
            "chatelier_job_queued_seconds",
            "From the order until a backend began.",
            ["workflow"],
            buckets=QUEUED_BUCKETS,
            registry=self._registry,
        )
        self.run_seconds = Histogram(
            "chatelier_job_run_seconds",
            "Run of a job that is done, by its backend's clock.",
            ["workflow"],
            buckets=RUN_BUCKETS,
            registry=self._registry,
        )
        self.retries = Counter(
            "chatelier_job_retries",
            "Attempts that came to nothing, so that the job went back into the queue.",
            ["backend"],
            registry=self._registry,
        )
        self.outages = Counter(
            "chatelier_backend_outages",
            "Outages of a backend that this process told the operators of.",
            ["backend"],
            registry=self._registry,
        )
        self._registry.register(self._readings)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def job_changed(self, job: Job, before: Job) -> None:
        """From the hook."""
        if job.state == "queued" and len(job.tried) > len(before.tried):
            self.retries.labels(before.backend).inc()
        if job.open:
            return
        self.ended.labels(job.workflow, job.state).inc()
        began = job.started
        if began is None and job.state == "done" and job.ended is not None:  # so quick that nobody saw it begin
            began = job.ended - timedelta(milliseconds=job.run_ms)
        if began is not None:
            self.queued_seconds.labels(job.workflow).observe(max(0.0, (began - job.created).total_seconds()))
        if job.state == "done":
            self.run_seconds.labels(job.workflow).observe(job.run_ms / 1000)

    async def answer(self) -> Response:
        """All of it as text. Where the store is away, what it holds is left out."""
        async with self._reading:
            await self._read()
            # The client library reads files of the system on the way.
            text = await asyncio.to_thread(self._text)
        return Response(text, media_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})

    async def _read(self) -> None:
        now = self._runtime.clock.monotonic()
        if self._figures is None or now - self._read_at >= FRESH_SECONDS:
            self._read_at = now
            try:
                self._figures = await figures_of(self._runtime.store, self._runtime.account_names)
            except ChatelierError:
                self._figures = None
        self._readings.take(self._figures)

    def _text(self) -> bytes:
        self._readings.disk_free = shutil.disk_usage(self._runtime.settings.data_dir).free
        return generate_latest(self._registry)
