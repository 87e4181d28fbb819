"""One claimed job, from wherever its record stands to its end. docs/jobs.md has the table that this walks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from structlog.contextvars import bind_contextvars

from ..clock import Clock
from ..errors import BadInput, Gone, Lost, OperatorMust, Refused, Retry, Unavailable, Uncertain
from ..keys import unique
from ..leases import held
from ..log import get_logger
from ..media.blob import Blob, Blobs
from ..media.references import refer
from ..storage import Store, Tx
from ..streams import closing
from ..supervise import guarded, in_time
from ..workflows.check import fitted
from ..workflows.graph import with_prefix
from . import results, words
from .backend import Attempt, Backend, Ended, Output, Progress
from .jobs import ATTEMPTS, JOBS, RESULTS, AttemptRow, Job, Result, Seen, note_run, result_owner, results_of
from .orders import close, end
from .placing import Able, Nowhere, Placing

log = get_logger(__name__)

T = TypeVar("T")
Found = Literal["waiting", "running", "ended", "absent", "unknown"]
PROGRESS_SECONDS = 1.0
"""The least time between two writes of a job's progress."""
UNKNOWN_SECONDS = 60.0
"""How long an attempt that a backend knows nothing certain about is waited for before it counts as lost."""
LOOK_SECONDS = 2.0
"""Between two questions to a backend that did not answer."""
ANSWER_SECONDS = 10.0
"""Until a backend that is asked about an attempt, or to stop it, counts as away."""
FETCH_AGAIN_SECONDS = 10.0
"""Until a result is fetched or stored again."""
CANCEL_SECONDS = 30.0
"""So long a backend is told to stop; one that does not answer then no longer holds up who asked."""
SILENT_SECONDS = 5.0
"""After so long people are told that the backend does not answer."""
LIMIT_LOOK_SECONDS = 30.0
"""How often a limit that moves, because the attempt began to run, is read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What every run needs. previews: the latest preview of each running job, never stored."""

    store: Store
    blobs: Blobs
    backends: Mapping[str, Backend]
    placing: Placing
    clock: Clock
    owner: str
    attempts: int
    run_seconds: float
    fetch_seconds: float
    previews: dict[str, bytes] = field(default_factory=dict)


class Settled(Exception):
    """No error: the job needs nothing more from this process; leave it as its record stands."""


class JobRun:
    """Holds the job's lease; every write proves it. Raises Lost when somebody else took the job over."""

    def __init__(self, workshop: Workshop, job: Job) -> None:
        self.shop = workshop
        self.job = job
        self.fence = job.fence
        self.cancelled = asyncio.Event()
        self._written = -PROGRESS_SECONDS
        self._latest = Progress(phase="waiting")
        self._writing_later: asyncio.Task[None] | None = None
        self._given = ""
        self._away_since: float | None = None

    async def live(self) -> None:
        """Walk the job to its end, or give it back for later."""
        if self.job.cancel:
            self.cancelled.set()
        if self.job.attempt:
            self._give_to(self.job.backend)
        try:
            while self.job.open:
                await self._step()
        except Settled:
            pass
        finally:
            self.shop.previews.pop(self.job.key, None)
            self._give_to("")

    async def _step(self) -> None:
        if self.job.attempt and self.job.backend not in self.shop.backends and self.job.state != "storing":
            await self._requeue(0.0, sentence=words.BACKEND_GONE)
        match self.job.state:
            case "queued":
                await self._submit_new()
            case "submitting":
                await self._settle_submission()
            case "submitted" | "running":
                await self._follow()
            case _:
                await self._store_results()

    # --- queued → submitting → submitted

    async def _submit_new(self) -> None:
        if self.cancelled.is_set():
            await self._end("cancelled", "")
            return
        if self._has_expired():
            await self._end("expired", words.QUEUED_TOO_LONG)
            return
        if self.job.attempts >= self.shop.attempts:
            await self._end("failed", self.job.words or words.LOST)
            return
        try:
            able = await self._chosen()
        except TimeoutError:  # the next step sees why
            return
        except Refused as no:
            await self._end("failed", str(no))
            return
        except Nowhere as nowhere:
            if nowhere.is_everywhere:  # another process may take it at once
                self.shop.placing.rest(self.shop.clock.monotonic() + nowhere.after)
            seen = Seen(phase="waiting", away=True) if nowhere.is_away else None
            await self._give_back(0.0 if nowhere.is_everywhere else nowhere.after, seen=seen)
        await self._store_attempt(able)

    async def _chosen(self) -> Able:
        """Its place is taken at once. Raises TimeoutError when the job is cancelled or expires before."""
        self._give_to("")
        able = await in_time(self.shop.placing.able(self.job), self.cancelled.wait(), self._time_over())
        chosen = self.shop.placing.least(able)
        self._give_to(chosen.name)
        return chosen

    async def _store_attempt(self, able: Able) -> None:
        """It is stored before its backend hears of it."""
        attempt_id = unique()
        prefix = f"chatelier/{self.shop.clock.now():%Y-%m-%d}/{attempt_id}"
        graph = with_prefix(fitted(self.job.graph, able.description.classes), prefix)

        async def work(tx: Tx) -> Job:
            job = await self._held(tx)
            if job.cancel:
                return await end(tx, job, "cancelled", "")
            row = AttemptRow(key=attempt_id, job=job.key, backend=able.name, graph=graph, created=tx.now)
            await tx.insert(ATTEMPTS, row)
            return await tx.replace(
                JOBS,
                replace(
                    job,
                    state="submitting",
                    attempt=attempt_id,
                    backend=able.name,
                    attempts=job.attempts + 1,
                    seen=None,
                ),
            )

        self.job = await self.shop.store.atomically(work)
        if self.job.open:
            await self._settle_submission(absent=True)

    async def _settle_submission(self, *, absent: bool = False) -> None:
        """Bring the stored attempt to its backend, once. absent: the backend cannot have heard of it; otherwise it is asked first."""
        attempt = await self._attempt()
        deadline = self.shop.clock.monotonic() + UNKNOWN_SECONDS
        while not (absent and await self._submit(attempt)):
            if absent:  # what was sent may still be on its way
                await self.shop.clock.sleep(LOOK_SECONDS)
            if self.shop.clock.monotonic() >= deadline:
                await self._requeue(0.0)
                return
            found = await self._find(attempt)
            if found not in ("absent", "unknown"):
                await self._submitted(attempt.remote or attempt.id)
                return
            absent = found == "absent"
            if not absent:
                await self.shop.clock.sleep(LOOK_SECONDS)

    async def _submit(self, attempt: Attempt) -> bool:
        """False when nobody knows whether the backend took it."""
        if self.cancelled.is_set():
            await self._end("cancelled", "")
            return True
        if self._has_expired():
            await self._end("expired", words.QUEUED_TOO_LONG)
            return True
        try:
            submission = self._backend().submit(attempt)
            remote = await in_time(submission, self.cancelled.wait(), self._time_over())
        except Refused as no:
            await self._end("failed", str(no))
        except Retry as later:
            await self._requeue(later.after, counts=False)
        except Unavailable:
            await self._requeue(LOOK_SECONDS, counts=False)
        except (Uncertain, TimeoutError):
            return False
        else:
            await self._submitted(remote)
        return True

    async def _find(self, attempt: Attempt) -> Found:
        try:
            return await in_time(self._backend().find(attempt), self.shop.clock.sleep(ANSWER_SECONDS))
        except (Unavailable, TimeoutError):
            return "unknown"

    async def _submitted(self, remote: str) -> None:
        async def work(tx: Tx) -> Job:
            job = await self._held(tx)
            await self._mark_attempt(tx, "submitted", remote=remote)
            until = max(job.expires, tx.now + timedelta(seconds=self.shop.run_seconds))
            return await tx.replace(JOBS, replace(job, state="submitted", until=until, claims=0))

        self.job = await self.shop.store.atomically(work)

    # --- submitted, running → storing

    async def _follow(self) -> None:
        attempt = await self._attempt()
        canceller = asyncio.create_task(self._cancel_when_asked(attempt))
        try:
            ended = await self._watch(attempt, canceller)
        finally:
            canceller.cancel()
            await asyncio.wait({canceller})
        if ended is None:
            await self._end("expired", self._why_expired(), attempt="lost")
        else:
            await self._ended(ended)

    def _why_expired(self) -> str:
        if self._away_since is not None:
            return words.AWAY_TOO_LONG
        return words.RAN_TOO_LONG if self.job.state == "running" else words.QUEUED_TOO_LONG

    async def _watch(self, attempt: Attempt, canceller: asyncio.Task[None]) -> Ended | None:
        """How the attempt ended, lost if it cannot be cancelled; None when its time ran out first."""
        watching = asyncio.create_task(guarded(self._watch_through(attempt)))
        alarm = asyncio.create_task(self._time_over())
        try:
            await asyncio.wait({watching, alarm, canceller}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                return watching.result()
            return Ended(state="lost") if canceller.done() else None
        finally:
            for task in (tasks := {watching, alarm, *([self._writing_later] if self._writing_later else [])}):
                task.cancel()
            await asyncio.wait(tasks)
            self._writing_later = None

    async def _time_over(self) -> None:
        while (left := ((self.job.until or self.job.expires) - self.shop.clock.now()).total_seconds()) > 0:
            await self.shop.clock.sleep(min(left, LIMIT_LOOK_SECONDS))

    async def _watch_through(self, attempt: Attempt) -> Ended:
        """Watch again whenever the backend stops answering, unless another one could do it meanwhile."""
        while True:
            try:
                async with closing(self._backend().watch(attempt)) as items:
                    async for item in items:
                        if isinstance(item, Ended):
                            return item
                        self._away_since = None
                        await self._progress(item)
            except Unavailable as away:
                log.info("backend away in mid-job", backend=self.job.backend, error=str(away))
                if await self._is_lost_to_another():
                    return Ended(state="lost", words=words.AWAY_TOO_LONG)
            await self.shop.clock.sleep(LOOK_SECONDS)

    async def _is_lost_to_another(self) -> bool:
        """Whether it was away for so long that another backend, which can do it now, should."""
        now = self.shop.clock.monotonic()
        if self._away_since is None:
            self._away_since = now
        if now - self._away_since >= SILENT_SECONDS and not (self.job.seen and self.job.seen.away):
            await self._note_away()
        if now - self._away_since < UNKNOWN_SECONDS:
            return False
        try:
            able = await self.shop.placing.able(self.job)
        except (Nowhere, Refused):
            return False
        return any(one.name != self.job.backend for one in able)

    async def _progress(self, item: Progress) -> None:
        if item.preview:
            self.shop.previews[self.job.key] = item.preview
        self._latest = item
        begins = item.phase == "running" and self.job.state != "running"
        wait = 0.0 if begins else self._written + PROGRESS_SECONDS - self.shop.clock.monotonic()
        if wait <= 0:
            await self._write_progress(item, begins=begins)
        elif self._writing_later is None:
            self._writing_later = asyncio.create_task(self._write_after(wait))

    async def _write_after(self, seconds: float) -> None:
        """The last of many is not lost, though nothing comes after it."""
        await self.shop.clock.sleep(seconds)
        try:
            await self._write_progress(self._latest, begins=False)
        except (Lost, Unavailable, OperatorMust) as error:
            log.info("progress not written", job=self.job.key, error=str(error))
        self._writing_later = None

    async def _write_progress(self, item: Progress, *, begins: bool) -> None:
        self._written = self.shop.clock.monotonic()
        seen = Seen(phase=item.phase, ahead=item.ahead, fraction=item.fraction, title=item.title)

        async def work(tx: Tx) -> Job:
            job = await self._held(tx)
            if begins:
                started, until = item.started_at or tx.now, tx.now + timedelta(seconds=self.shop.run_seconds)
                return await tx.replace(
                    JOBS, replace(job, state="running", started=started, until=until, claims=0, seen=seen)
                )
            return await tx.replace(JOBS, replace(job, seen=seen, claims=0 if _further(seen, job.seen) else job.claims))

        self.job = await self.shop.store.atomically(work)

    async def _note_away(self) -> None:
        async def work(tx: Tx) -> Job:
            job = await self._held(tx)
            return await tx.replace(JOBS, replace(job, seen=replace(job.seen or Seen(phase="waiting"), away=True)))

        self.job = await self.shop.store.atomically(work)

    async def _cancel_when_asked(self, attempt: Attempt) -> None:
        """Ends only when the backend cannot be told."""
        await self.cancelled.wait()
        until = self.shop.clock.monotonic() + CANCEL_SECONDS
        while not await self._quietly(self._backend().cancel(attempt)):
            if self.shop.clock.monotonic() >= until:
                return
            await self.shop.clock.sleep(LOOK_SECONDS)
        await asyncio.Event().wait()  # what comes of it, the watching tells

    async def _ended(self, ended: Ended) -> None:
        match ended.state:
            case "done":
                await self._to_storing(ended)
            case "cancelled":
                await self._end("failed", words.STOPPED_THERE)
            case "failed" if not ended.transient:
                await self._end("failed", ended.words)
            case _:
                await self._requeue(LOOK_SECONDS, sentence=ended.words)

    async def _to_storing(self, ended: Ended) -> None:
        """From here on it will be done: a cancel that was committed before drops the outputs."""
        shown = self.job.shown_nodes
        outputs = tuple(output for output in ended.outputs if not shown or output.node in shown)
        if not outputs:
            await self._end("failed", " ".join(ended.notes) or words.NO_OUTPUT)
            return

        async def work(tx: Tx) -> Job:
            job = await self._held(tx)
            await self._mark_attempt(tx, "ended")
            if job.cancel:
                return await end(tx, job, "cancelled", "")
            run_ms = _milliseconds(ended.started_at or job.started, ended.ended_at or tx.now)
            return await tx.replace(
                JOBS,
                replace(
                    job, state="storing", outputs=outputs, run_ms=run_ms, notes=ended.notes, ended=tx.now, claims=0
                ),
            )

        self.job = await self.shop.store.atomically(work)

    # --- storing → done

    async def _store_results(self) -> None:
        attempt = await self._attempt()
        have = {result.n for result in await results_of(self.shop.store, self.job.key)}
        try:
            for output in self.job.outputs:
                if output.n not in have:
                    await self._store_one(attempt, output)
        except Gone:
            await self._end("failed", words.OUTPUT_GONE)
            return
        except (BadInput, Refused) as bad:
            await self._end("failed", words.output_unusable(str(bad)))
            return
        except OperatorMust as full:
            log.error("cannot store a result", job=self.job.key, error=str(full))
            await self._fetch_later(words.DISK_FULL)
        except Unavailable:
            await self._fetch_later(words.OUTPUT_GONE)
        await self._done()

    async def _store_one(self, attempt: Attempt, output: Output) -> None:
        blob = None
        if output.text is None:
            blob = await self.shop.blobs.put(self._backend().fetch(attempt, output))

        async def work(tx: Tx) -> None:
            job = await self._held(tx)
            if blob is not None:
                await refer(tx, result_owner(job.key, output.n), blob)
            await tx.insert(
                RESULTS,
                Result(
                    key=f"{job.key}.{output.n}",
                    job=job.key,
                    n=output.n,
                    name=output.name,
                    blob=blob,
                    text=output.text or "",
                    created=tx.now,
                ),
            )

        await self.shop.store.atomically(work)

    async def _fetch_later(self, sentence: str) -> None:
        """Keep the job and try again, until the limit: what was made is not thrown away lightly."""
        since = self.job.ended or self.job.created
        if (self.shop.clock.now() - since).total_seconds() > self.shop.fetch_seconds:
            await self._end("failed", sentence)
            raise Settled
        await self._give_back(FETCH_AGAIN_SECONDS)

    async def _done(self) -> None:
        async def work(tx: Tx) -> Job:
            job = await self._held(tx)
            await note_run(tx, job.workflow, job.run_ms)
            return await close(tx, job, "done", results.reply(job, await results_of(tx, job.key)))

        self.job = await self.shop.store.atomically(work)

    # --- the ways out

    async def _end(self, state: results.BadEnd, sentence: str, *, attempt: Literal["ended", "lost"] = "ended") -> None:
        """Without a result. Who asked to cancel it is told that it was, whatever else happened to it meanwhile."""

        async def work(tx: Tx) -> Job:
            job = await self._held(tx)
            await self._mark_attempt(tx, attempt)
            return await (end(tx, job, "cancelled", "") if job.cancel else end(tx, job, state, sentence))

        self.job = await self.shop.store.atomically(work)

    async def _requeue(self, seconds: float, *, counts: bool = True, sentence: str = "") -> None:
        """This attempt came to nothing: another one, if the limit allows. `sentence`: what to say when it does not.

        counts: the backend may have taken it.
        """

        async def work(tx: Tx) -> Job:
            job = await self._held(tx)
            await self._mark_attempt(tx, "lost" if counts else "ended")
            attempts = job.attempts if counts else job.attempts - 1
            return await tx.replace(
                JOBS,
                replace(
                    job,
                    state="queued",
                    attempt="",
                    attempts=attempts,
                    seen=None,
                    started=None,
                    until=None,
                    words=sentence,
                ),
            )

        self.job = await self.shop.store.atomically(work)
        if seconds and self.job.attempts < self.shop.attempts:
            await self._give_back(seconds)

    async def _give_back(self, seconds: float, **changes: Any) -> None:
        """Let anybody claim it, `seconds` from now. changes: what else is written."""

        async def work(tx: Tx) -> Job:
            job = await self._held(tx)
            claims = max(0, job.claims - 1)  # giving it back is no crash
            return await tx.replace(
                JOBS, replace(job, owner="", due=tx.now + timedelta(seconds=seconds), claims=claims, **changes)
            )

        self.job = await self.shop.store.atomically(work)
        raise Settled

    async def release(self, seconds: float = 0.0) -> None:
        """Give the lease back at a stop, so that the next process goes on at once."""
        try:
            await self._give_back(seconds)
        except (Settled, Lost):
            pass
        except (Unavailable, OperatorMust) as away:
            log.info("goes on when its lease lapses", job=self.job.key, reason=str(away))

    # --- small things

    def _has_expired(self) -> bool:
        return self.shop.clock.now() >= self.job.expires

    def _give_to(self, backend: str) -> None:
        """Which backend has this job counts when the next one is placed."""
        given = self.shop.placing.given
        given[self._given] -= 1
        given[backend] += 1
        self._given = backend

    async def _held(self, tx: Tx) -> Job:
        return await held(tx, JOBS, self.job.key, self.shop.owner, self.fence)

    def _backend(self) -> Backend:
        try:
            return self.shop.backends[self.job.backend]
        except KeyError:
            raise Unavailable(words.BACKEND_GONE) from None

    async def _attempt(self) -> Attempt:
        row = await self.shop.store.get(ATTEMPTS, self.job.attempt)
        if row is None:
            raise Gone(f"attempt {self.job.attempt} has no record")
        bind_contextvars(attempt=row.key)
        return self._as_attempt(row)

    def _as_attempt(self, row: AttemptRow) -> Attempt:
        return Attempt(
            id=row.key,
            remote=row.remote,
            graph=row.graph,
            files=self.job.files,
            read=self._read,
            started_at=self.job.started,
        )

    def _read(self, blob: Blob) -> AsyncIterator[bytes]:
        return self.shop.blobs.open(blob.sha256)

    async def _mark_attempt(self, tx: Tx, state: Any, **changes: Any) -> None:
        row = await tx.get(ATTEMPTS, self.job.attempt) if self.job.attempt else None
        if row is not None:
            await tx.replace(ATTEMPTS, replace(row, state=state, **changes))

    async def _quietly(self, action: Awaitable[object]) -> bool:
        """Whether it went well."""
        try:
            await in_time(action, self.shop.clock.sleep(ANSWER_SECONDS))
        except Exception as error:  # noqa: BLE001 - a backend's cancel may raise anything; what counts is what watch says
            log.info("cancel not delivered", backend=self.job.backend, job=self.job.key, error=str(error))
            return False
        return True


def _further(seen: Seen, before: Seen | None) -> bool:
    return (seen.fraction or 0.0) > (before.fraction or 0.0 if before else 0.0)


def _milliseconds(start: datetime | None, stop: datetime) -> int:
    return max(0, round((stop - start).total_seconds() * 1000)) if start else 0
