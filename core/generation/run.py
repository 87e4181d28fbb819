"""One claimed job, from wherever its record stands to its end. docs/jobs.md has the table that this walks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Literal, TypeVar

from structlog.contextvars import bind_contextvars

from ..chat.buttons import Verb
from ..chat.outbox import Begin, as_it_is
from ..clock import Clock
from ..errors import Gone, Lost, OperatorMust, Refused, Retry, Unavailable, Uncertain
from ..leases import held
from ..log import get_logger
from ..media.blob import Blob, Blobs
from ..storage import Store, Tx
from ..streams import closing
from ..supervise import guarded, in_time, reason
from ..values import replace
from ..workflows.choices import models_of
from . import results, words
from .backend import Attempt, Backend, Ended, Output, Progress
from .fetching import MAY_PASS, Fetching, keep, says_something, why_not_fetched
from .fleet import Fleet
from .jobs import ATTEMPTS, JOBS, AttemptRow, Job, Result, Seen, State, note_run, results_of
from .orders import close, end
from .placing import Candidate, Placing

log = get_logger(__name__)

T = TypeVar("T")
Found = Literal["waiting", "running", "ended", "absent", "unknown"]
PROGRESS_SECONDS = 1.0
"""The least time between two writes of a job's progress."""
SURVIVED_SECONDS = 5.0
"""Who has held a job for so long is not stopped by it."""
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
BEGIN_SECONDS = 0.3
"""Until it is written that a job began: one that has ended by then needs no such record."""
SILENT_SECONDS = 5.0
"""After so long people are told that the backend does not answer."""
STATES: Mapping[str, State] = {"waiting": "submitted", "running": "running"}
"""Of a job, by the phase of its attempt."""
LIMIT_LOOK_SECONDS = 30.0
"""How often a limit that moves, because the attempt began to run, is read again."""


def _nobody(job: Job, before: Job) -> None:
    """Watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What every run needs. previews: the latest preview of each running job, never stored.

    offers: of a workflow's results, by its name, beyond what every result offers.
    changed: called with a job and itself before, once it was moved to another state. begin: as `post` takes it.
    """

    store: Store
    blobs: Blobs
    backends: Mapping[str, Backend]
    fleet: Fleet
    placing: Placing
    clock: Clock
    owner: str
    attempts: int
    run_seconds: float
    fetch_seconds: float
    previews: dict[str, bytes] = field(default_factory=dict)
    offers: Callable[[str], Collection[Verb]] = results.nothing_more
    changed: Callable[[Job, Job], None] = _nobody
    begin: Begin = as_it_is


class Settled(Exception):
    """No error: the job needs nothing more from this process; leave it as its record stands."""


class JobRun:
    """Holds the job's lease; every write proves it. Raises Lost when somebody else took the job over.

    row: its attempt, None where it has none. is_new: the backend cannot have heard of that one.
    """

    def __init__(self, workshop: Workshop, job: Job, row: AttemptRow | None, *, is_new: bool = False) -> None:
        self.shop = workshop
        self._job = job
        self.fence = job.fence
        self.cancelled = asyncio.Event()
        self._row = row
        self._is_new = is_new
        self._is_there = False
        self._written = -PROGRESS_SECONDS
        self._latest = Progress(phase="waiting")
        self._writing_later: asyncio.Task[None] | None = None
        self._away_since: float | None = None
        self._began: datetime | None = None
        if row is not None and row.place:
            workshop.fleet.give(row.key, row.backend, row.number)

    @property
    def job(self) -> Job:
        """As it was committed last."""
        return self._job

    @job.setter
    def job(self, job: Job) -> None:
        before, self._job = self._job, job
        if job.state != before.state:
            self.shop.changed(job, before)

    async def live(self) -> None:
        """Walk the job to its end, or give it back for later."""
        if self.job.cancel:
            self.cancelled.set()
        surviving = asyncio.create_task(self._survive()) if self.job.claims > 1 else None
        try:
            while self.job.open:
                await self._step()
        except Settled:
            pass
        finally:
            if surviving is not None:
                surviving.cancel()
                await asyncio.wait({surviving})
            self.shop.previews.pop(self.job.key, None)
            self._leave_place()

    async def _survive(self) -> None:
        """A job that stops whoever takes it does so soon. Who was stopped for another reason leaves it no bad mark."""
        await self.shop.clock.sleep(SURVIVED_SECONDS)

        async def work(tx: Tx) -> None:
            await tx.replace(JOBS, replace(await self._held(tx), claims=0))

        try:
            await self.shop.store.atomically(work)
        except (Lost, Unavailable, OperatorMust) as error:
            log.info("mark not taken away", job=self.job.key, error=str(error))

    async def _step(self) -> None:
        if self.job.attempt and self.job.backend not in self.shop.backends and self.job.state != "storing":
            await self._requeue(sentence=words.BACKEND_GONE)
        match self.job.state:
            case "queued":
                await self._back_in_line()
            case "submitting" if not self._is_there:
                await self._settle_submission()
            case "submitting" | "submitted" | "running":
                await self._follow()
            case _:
                await self._store_results()

    # --- queued

    async def _back_in_line(self) -> None:
        """It was put off, or its time is over."""
        if self.cancelled.is_set():
            await self._end("cancelled", "")
        elif self._has_expired():
            await self._end("expired", self.job.words or words.QUEUED_TOO_LONG)
        elif self.job.attempts >= self.shop.attempts:
            await self._end("failed", self.job.words or words.LOST)
        else:
            able = self.shop.placing.able(Candidate.of(self.job))
            await self._give_back(self.job.expires, ready=True, seen=None if able else self.job.seen)

    # --- submitting → submitted

    async def _settle_submission(self) -> None:
        """Bring the stored attempt to its backend, once. Unless it is new, the backend is asked for it first."""
        attempt, absent = self._attempt(), self._is_new
        self._is_new = False
        deadline = self.shop.clock.monotonic() + UNKNOWN_SECONDS
        while not (absent and await self._submit(attempt)):
            if absent:  # what was sent may still be on its way
                await self.shop.clock.sleep(LOOK_SECONDS)
            if self.shop.clock.monotonic() >= deadline:
                self.shop.fleet.came_to_nothing(self.job.backend)
                await self._requeue()
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
            self.shop.fleet.is_full(self.job.backend, later.after)
            await self._requeue(counts=False)
        except Unavailable as away:
            # Its describe may answer all the same, as through a proxy that lets only reads pass.
            self.shop.fleet.did_not_answer(self.job.backend, str(away))
            self.shop.fleet.is_full(self.job.backend, LOOK_SECONDS)
            self.shop.fleet.came_to_nothing(self.job.backend)
            await self._requeue(counts=False)
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
        """The backend has it. An id of the backend's own must not be lost; otherwise the first progress writes it."""
        self._is_there = True
        if remote == self.job.attempt:
            return

        async def work(tx: Tx) -> tuple[Job, AttemptRow | None]:
            job = await self._held(tx)
            row = await self._mark_attempt(tx, "submitted", remote=remote)
            return await tx.replace(JOBS, replace(job, state="submitted", until=self._until(job, tx), claims=0)), row

        self.job, self._row = await self.shop.store.atomically(work)

    def _until(self, job: Job, tx: Tx) -> datetime:
        """When an attempt that waits at its backend is stopped."""
        return max(job.expires, tx.now + timedelta(seconds=self._run_seconds))

    @property
    def _run_seconds(self) -> float:
        return self.job.run_seconds or self.shop.run_seconds

    # --- submitted, running → storing

    async def _follow(self) -> None:
        attempt = self._attempt()
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
                self.shop.fleet.did_not_answer(self.job.backend, str(away))
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
        return any(self.shop.placing.others(self.job))

    async def _progress(self, item: Progress) -> None:
        if item.preview:
            self.shop.previews[self.job.key] = item.preview
        self._latest = item
        if item.phase == "running" and self._began is None:
            self._began = item.started_at or self.shop.clock.now()
        if self._writing_later is None:
            # A job that has ended by then needs no word of how it began.
            wait = self._written + PROGRESS_SECONDS - self.shop.clock.monotonic()
            wait = wait if self.job.state == STATES[item.phase] else BEGIN_SECONDS
            self._writing_later = asyncio.create_task(self._write_after(wait))

    async def _write_after(self, seconds: float) -> None:
        """The last of many is not lost, though nothing comes after it."""
        await self.shop.clock.sleep(seconds)
        while True:
            try:
                await self._write_progress(self._latest)
                break
            except Lost:  # the lease tells it to the run
                break
            except (Unavailable, OperatorMust) as error:
                log.info("progress not written", job=self.job.key, error=str(error))
                await self.shop.clock.sleep(PROGRESS_SECONDS)
        self._writing_later = None

    async def _write_progress(self, item: Progress) -> None:
        self._written = self.shop.clock.monotonic()
        seen = Seen(phase=item.phase, ahead=item.ahead, fraction=item.fraction, title=item.title)

        async def work(tx: Tx) -> Job:
            job = await self._held(tx)
            changed = replace(job, seen=seen, claims=0 if _further(seen, job.seen) else job.claims)
            changed = replace(changed, notes=_each_once(job.notes, item.notes))
            if item.phase == "running" and job.state != "running":
                until = tx.now + timedelta(seconds=self._run_seconds)
                changed = replace(changed, state="running", started=self._began, until=until, claims=0)
            elif job.state == "submitting":
                changed = replace(changed, state="submitted", until=self._until(job, tx), claims=0)
            return await tx.replace(JOBS, changed)

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
        fleet, name = self.shop.fleet, self.job.backend
        match ended.state:
            case "done":
                await self._done_there(ended)
            case "cancelled":
                await self._end("failed", words.STOPPED_THERE)
            case "failed" if ended.out_of_memory:
                await fleet.free(name)
                await self._requeue(sentence=ended.words, memory=fleet.memory(name))
            case "failed" if not ended.transient:
                fleet.note_run(name, self._models, well=False)
                await self._end("failed", ended.words)
            case _:
                fleet.came_to_nothing(name)
                await self._requeue(sentence=ended.words)

    async def _done_there(self, ended: Ended) -> None:
        """What can be had at once is stored with the job's end; otherwise it is *storing* until all of it is here."""
        shown = self.job.shown_nodes
        outputs = tuple(one for one in ended.outputs if says_something(one) and (not shown or one.node in shown))
        if not outputs:
            await self._end("failed", " ".join(ended.notes) or words.NO_OUTPUT)
            return
        started, run_ms = self._ran(ended)
        seconds = (self.job.workflow, run_ms / 1000) if started else None
        self.shop.fleet.note_run(self.job.backend, self._models, well=True, seconds=seconds)
        here = await self._fetching.quickly(outputs)

        async def work(tx: Tx) -> Job:
            job = await self._held(tx)
            await self._mark_attempt(tx, "ended")
            if job.cancel:
                return await end(tx, job, "cancelled", "")
            job = replace(
                job,
                outputs=outputs,
                run_ms=run_ms,
                tokens=max(0, ended.tokens),
                notes=_each_once(job.notes, ended.notes),
                started=started,
                ended=tx.now,
            )
            rows = [await keep(tx, job, output, here[output.n]) for output in outputs if output.n in here]
            if len(rows) < len(outputs):
                return await tx.replace(JOBS, replace(job, state="storing", claims=0))
            return await self._closed(tx, job, rows)

        self.job = await self.shop.store.atomically(work)
        self._leave_place()

    # --- storing → done

    async def _store_results(self) -> None:
        """Each output that can be had. Where others cannot, the job is done without them, and says so."""
        have = {result.n for result in await results_of(self.shop.store, self.job.key)}
        wanted = [output for output in self.job.outputs if output.n not in have]
        failures = await self._fetching.all(wanted, self.shop.fetch_seconds, self._store_one)
        if any(isinstance(failure, MAY_PASS) for failure in failures) and self._may_fetch_later:
            log.warning("results not stored", job=self.job.key, reasons=[reason(failure) for failure in failures])
            await self._give_back(self._soon(FETCH_AGAIN_SECONDS))
        why = next((why_not_fetched(failure) for failure in failures), "")
        if not failures:
            await self._done()
        elif len(failures) < len(self.job.outputs):
            await self._done(words.without(len(failures), len(self.job.outputs), why))
        elif all(isinstance(failure, Gone) for failure in failures):
            # Of a job that was cached there, the files may have been cleaned away long ago.
            await self.shop.fleet.free(self.job.backend)
            await self._requeue(sentence=why)
        else:
            await self._end("failed", why)

    async def _store_one(self, output: Output, blob: Blob | None) -> None:
        async def work(tx: Tx) -> None:
            await keep(tx, await self._held(tx), output, blob)

        await self.shop.store.atomically(work)

    @property
    def _fetching(self) -> Fetching:
        return Fetching(self.shop.blobs, self.shop.clock, self._backend, self._attempt())

    @property
    def _may_fetch_later(self) -> bool:
        """What was made is not thrown away lightly."""
        since = self.job.ended or self.job.created
        return (self.shop.clock.now() - since).total_seconds() <= self.shop.fetch_seconds

    def _ran(self, ended: Ended) -> tuple[datetime | None, int]:
        """When it began, and for how long it ran: no longer than it may.

        The backend's own two times say it best. Where one of them is ours, its clock may differ: then it ran no longer than this
        attempt is old.
        """
        started, now = ended.started_at or self.job.started or self._began, self.shop.clock.now()
        run_ms = _milliseconds(started, ended.ended_at or now)
        if ended.started_at is None or ended.ended_at is None:
            run_ms = min(run_ms, _milliseconds(self._row.created if self._row else started, now))
        return started, min(run_ms, round(self._run_seconds * 1_000) or run_ms)

    async def _done(self, note: str = "") -> None:
        async def work(tx: Tx) -> Job:
            job = await self._held(tx)
            job = replace(job, notes=(*job.notes, note)) if note else job
            return await self._closed(tx, job, await results_of(tx, job.key))

        self.job = await self.shop.store.atomically(work)

    async def _closed(self, tx: Tx, job: Job, found: Sequence[Result]) -> Job:
        if job.started is not None and job.run_ms:
            await note_run(tx, job.workflow, job.backend, job.run_ms, job.tokens)
        return await close(
            tx, job, "done", results.reply(job, found, self.shop.offers(job.workflow)), begin=self.shop.begin
        )

    # --- the ways out

    async def _end(self, state: results.BadEnd, sentence: str, *, attempt: Literal["ended", "lost"] = "ended") -> None:
        """Without a result. Who asked to cancel it is told that it was, whatever else happened to it meanwhile."""

        async def work(tx: Tx) -> Job:
            job = await self._held(tx)
            await self._mark_attempt(tx, attempt)
            return await (end(tx, job, "cancelled", "") if job.cancel else end(tx, job, state, sentence))

        self.job = await self.shop.store.atomically(work)

    async def _requeue(self, *, counts: bool = True, sentence: str = "", memory: int = 0) -> None:
        """This attempt came to nothing: another one, if the limit allows. `sentence`: what to say when it does not.

        counts: the backend may have taken it. memory: of the device that had too little. Raises Settled.
        """
        attempts = self.job.attempts if counts else self.job.attempts - 1
        began = self.job.started or self._began
        # What it ran, it did not wait.
        expires = self.job.expires + (self.shop.clock.now() - began if began else timedelta())
        lost: Literal["lost", "ended"] = "lost" if counts else "ended"
        if self.cancelled.is_set():
            await self._end("cancelled", "", attempt=lost)
        elif self.shop.clock.now() >= expires:
            await self._end("expired", sentence or words.QUEUED_TOO_LONG, attempt=lost)
        elif attempts >= self.shop.attempts:
            await self._end("failed", sentence or self.job.words or words.LOST, attempt=lost)
        else:
            await self._give_back(
                expires,
                attempt=lost,
                expires=expires,
                state="queued",
                ready=True,
                attempts=attempts,
                tried=(*self.job.tried, self.job.backend) if counts else self.job.tried,
                memory=max(memory, self.job.memory),
                seen=None,
                started=None,
                until=None,
                outputs=(),
                notes=(),
                run_ms=0,
                tokens=0,
                ended=None,
                words=sentence,
            )
        raise Settled

    async def _give_back(self, due: datetime, *, attempt: Literal["lost", "ended", ""] = "", **changes: Any) -> None:
        """Let anybody claim it from then on. attempt: what became of it, where it came to nothing. changes: what else is written."""

        async def work(tx: Tx) -> Job:
            job = await self._held(tx)
            if attempt:
                await self._mark_attempt(tx, attempt)
            if job.cancel and changes.get("ready"):
                return await end(tx, job, "cancelled", "")
            claims = max(0, job.claims - 1)  # giving it back is no crash
            given = replace(job, owner="", due=due, claims=claims, **changes)
            return await tx.replace(JOBS, replace(given, attempt="") if attempt else given)

        self.job = await self.shop.store.atomically(work)
        raise Settled

    async def release(self, seconds: float = 0.0) -> None:
        """Give the lease back at a stop, so that the next process goes on at once."""
        try:
            await self._give_back(self._soon(seconds))
        except (Settled, Lost):
            pass
        except (Unavailable, OperatorMust) as away:
            log.info("goes on when its lease lapses", job=self.job.key, reason=str(away))

    # --- small things

    def _has_expired(self) -> bool:
        return self.shop.clock.now() >= self.job.expires

    def _soon(self, seconds: float) -> datetime:
        return self.shop.clock.now() + timedelta(seconds=seconds)

    def _leave_place(self) -> None:
        if self._row is not None and self._row.place:
            self.shop.fleet.take_back(self._row.key, self._row.backend, self._row.number)

    @property
    def _models(self) -> frozenset[str]:
        return models_of(self._row.graph) if self._row else frozenset()

    async def _held(self, tx: Tx) -> Job:
        return await held(tx, JOBS, self.job.key, self.shop.owner, self.fence)

    def _backend(self) -> Backend:
        try:
            return self.shop.backends[self.job.backend]
        except KeyError:
            raise Unavailable(words.BACKEND_GONE) from None

    def _attempt(self) -> Attempt:
        row = self._row
        if row is None:
            raise Gone(f"attempt {self.job.attempt} has no record")
        bind_contextvars(attempt=row.key)
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

    async def _mark_attempt(
        self, tx: Tx, state: Literal["submitted", "ended", "lost"], **changes: Any
    ) -> AttemptRow | None:
        """One that has ended, or counts as lost, gives its place back."""
        row = await tx.get(ATTEMPTS, self.job.attempt) if self.job.attempt else None
        if row is None:
            return None
        place = row.place if state == "submitted" else ""
        return await tx.replace(ATTEMPTS, replace(row, state=state, place=place, **changes))

    async def _quietly(self, action: Awaitable[object]) -> bool:
        """Whether it went well."""
        try:
            await in_time(action, self.shop.clock.sleep(ANSWER_SECONDS))
        except Exception as error:  # noqa: BLE001 - a backend's cancel may raise anything; what counts is what watch says
            log.info("cancel not delivered", backend=self.job.backend, job=self.job.key, error=str(error))
            return False
        return True


def _each_once(*notes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain(*notes)))


def _further(seen: Seen, before: Seen | None) -> bool:
    return (seen.fraction or 0.0) > (before.fraction or 0.0 if before else 0.0)


def _milliseconds(start: datetime | None, stop: datetime) -> int:
    return max(0, round((stop - start).total_seconds() * 1000)) if start else 0
