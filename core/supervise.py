"""Keeps what must always run running, and says how it is; and names the plugin that stops everybody else."""

import asyncio
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import FrameType
from typing import Any, Literal, Self, TypeVar

from .clock import Clock, SystemClock
from .errors import ChatelierError, OperatorMust, Retry
from .log import get_logger, redact
from .values import replace

log = get_logger(__name__)

FIRST_SECONDS = 1.0
"""The first pause; each loss doubles it."""
LONGEST_SECONDS = 60.0
HEALTHY_SECONDS = 60.0
"""After so long on line a loss counts as the first one again."""

E = TypeVar("E", bound=BaseException)
T = TypeVar("T")
State = Literal["starting", "up", "backoff", "stopped by a setting", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a supervised part is. since: when `state` began. restarts: since the gateway started. again_at: the next try."""

    name: str
    state: State
    since: datetime
    last_error: str = ""
    restarts: int = 0
    again_at: datetime | None = None
    detail: str = ""

    @property
    def well(self) -> bool:
        return self.state in {"starting", "up"}


class Supervised:
    """One part that runs for ever.

    announces: the part says itself when it is on line, by `up`; otherwise it is taken to be as soon as it runs.
    mends: what the operator must do may be done while it runs (a full disk), so it runs again even then.
    jitter: 0 to 1; half of each pause is taken times it, so that many gateways do not come back at once.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], Awaitable[None]],
        clock: Clock | None = None,
        *,
        announces: bool = False,
        mends: bool = False,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._run = run
        self._clock = clock or SystemClock()
        self._announces = announces
        self._mends = mends
        self._jitter = jitter
        self._losses = 0
        self._up_since: float | None = None
        self.health = Health(name=name, state="starting", since=self._clock.now())

    def up(self, detail: str = "") -> None:
        """The part is on line. detail: as whom or where, for the operator."""
        if self.health.state != "up":
            self._up_since = self._clock.monotonic()
            self._become("up", detail=detail)
            log.info("on line", part=self.health.name, detail=detail)
        elif detail:
            self.health = replace(self.health, detail=detail)

    async def run(self) -> None:
        """Until cancelled. A wrong setting is said once; then this waits to be cancelled."""
        try:
            while True:
                error = await self._once()
                if not self._mends and (must := _leaf(error, OperatorMust)) is not None:
                    self._become("stopped by a setting", last_error=reason(must))
                    log.error("stopped until the operator mends it", part=self.health.name, reason=reason(must))
                    await asyncio.Event().wait()
                await self._pause(error)
        finally:
            self._become("stopped")

    async def _once(self) -> BaseException:
        self._up_since = None
        self._become("starting")
        if not self._announces:
            self.up()
        try:
            await apart(self._begin())
        except Swallowed as error:
            return error  # something that the part itself awaited was cancelled
        except Exception as error:  # noqa: BLE001 - a plugin's own loop; whatever it raises, it runs again
            return error
        return ChatelierError("it ended by itself")

    async def _begin(self) -> None:
        """Inside of the task: a `run` without `async` may raise as soon as it is called."""
        await self._run()

    async def _pause(self, error: BaseException) -> None:
        if self._up_since is not None and self._clock.monotonic() - self._up_since >= HEALTHY_SECONDS:
            self._losses = 0
        seconds = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self._losses, 10)) * (1 + self._jitter()) / 2
        if (retry := _leaf(error, Retry)) is not None:
            seconds = max(seconds, retry.after)
        self._losses += 1
        # An expected loss needs no traceback; a bug does.
        expected = isinstance(error, ChatelierError | OSError | asyncio.CancelledError)
        log.warning(
            "lost, will run again",
            part=self.health.name,
            reason=reason(error),
            seconds=round(seconds, 1),
            exc_info=None if expected else error,
        )
        again_at = self._clock.now() + timedelta(seconds=seconds)
        self._become("backoff", last_error=reason(error), again_at=again_at)
        await self._clock.sleep(seconds)
        self.health = replace(self.health, restarts=self.health.restarts + 1)

    def _become(
        self, state: State, *, last_error: str | None = None, again_at: datetime | None = None, detail: str = ""
    ) -> None:
        self.health = replace(
            self.health,
            state=state,
            since=self._clock.now(),
            last_error=self.health.last_error if last_error is None else last_error,
            again_at=again_at,
            detail=detail,
        )


class OutOfTime(TimeoutError):
    """A limit of ours, not one of a network or a server."""


class Swallowed(ChatelierError):
    """A part was cancelled, but not by whoever runs it."""


async def guarded(work: Awaitable[T]) -> T:
    """Await a plugin's code. Raises RuntimeError for what is no Exception: `sys.exit()`, GeneratorExit or a class of its own.

    asyncio ends the whole program with a SystemExit, and nobody expects the others. A KeyboardInterrupt is the operator's and passes.
    """
    try:
        return await work
    except (Exception, asyncio.CancelledError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if isinstance(error, GeneratorExit) and error.__traceback__ is not None and not error.__traceback__.tb_next:
            raise  # not raised by the work: this coroutine itself is closed
        raise RuntimeError(f"it raised {reason(error)}") from error


async def apart(work: Awaitable[T], *, seconds: float | None = None) -> T:
    """Await it in a task of its own, whose cancellations are its own affair.

    Cancelling the caller cancels the work, waits for it and always raises CancelledError, even if the work swallows it or fails:
    the count that `Task.cancelling` keeps cannot tell, as Python 3.11's task groups leave it raised. Raises Swallowed when the
    work ends cancelled by itself, and OutOfTime after so many seconds, when it was cancelled and is over.
    """
    loop = asyncio.get_running_loop()
    task, ended = loop.create_task(guarded(work)), loop.create_future()
    task.add_done_callback(lambda _: _settle(ended, is_late=False))
    timer = None if seconds is None else loop.call_later(seconds, lambda: _settle(ended, is_late=True))
    try:
        is_late = await ended
    except asyncio.CancelledError:
        await _ended(task)
        raise
    finally:
        if timer is not None:
            timer.cancel()
    if is_late:
        await _ended(task)
        raise OutOfTime("it takes too long")
    if task.cancelled():
        raise Swallowed("it was cancelled from within")
    return task.result()


def _settle(ended: asyncio.Future[bool], *, is_late: bool) -> None:
    if not ended.done():
        ended.set_result(is_late)


async def _ended(task: asyncio.Task[Any]) -> None:
    """Cancel it and wait until it is over; what comes of it does not count any more."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # it was looked at


async def in_time(call: Awaitable[T], *limits: Coroutine[Any, Any, object]) -> T:
    """The call's answer. Raises TimeoutError when one of the limits comes first; the call is cancelled then.

    Raises Swallowed when the call ends cancelled by itself.
    """
    answer = asyncio.create_task(guarded(call))
    alarms = [asyncio.ensure_future(limit) for limit in limits]
    try:
        await asyncio.wait([answer, *alarms], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise OutOfTime("it takes too long")
        if answer.cancelled():
            raise Swallowed("it was cancelled from within")
        return answer.result()
    finally:
        for task in (answer, *alarms):
            task.cancel()
        await asyncio.wait([answer, *alarms])


def _leaf(error: BaseException, kind: type[E]) -> E | None:
    """The first error of this kind, also inside of the groups that task groups raise."""
    if isinstance(error, kind):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := _leaf(inner, kind)) is not None), None)
    return None


def reason(error: BaseException) -> str:
    """An error in one line for the operator: of a group the first one, without secrets. Never raises."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    try:
        words = str(error)
    except BaseException:  # noqa: BLE001 - a plugin's class of error, whose words are its own code
        words = "it has no words"
    return redact(words if isinstance(error, ChatelierError) else f"{type(error).__name__}: {words}".rstrip(": "))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """The event loop stood still. plugin: whose code it stood in, "" for the gateway's own. where: file, line and function."""

    plugin: str
    where: str
    at: datetime
    seconds: float


class Watchdog:
    """A thread that notices when the event loop does not turn, and names the plugin whose code it stands in.

    owner: the plugin of a module's name, or "". seconds: how long a turn of the loop may take.
    """

    def __init__(self, owner: Callable[[str], str], *, seconds: float = 1.0, clock: Clock | None = None) -> None:
        self._owner = owner
        self._seconds = seconds
        self._clock = clock or SystemClock()
        self._stop = threading.Event()
        self._ticked = time.monotonic()
        self._stalls: deque[Stall] = deque(maxlen=20)

    @property
    def stalls(self) -> tuple[Stall, ...]:
        """The latest, oldest first; one a stall, with the seconds it had lasted when it was noticed."""
        return tuple(self._stalls)

    @property
    def stalled(self) -> bool:
        """Whether the loop stands still now. True can only be read from another thread."""
        return time.monotonic() - self._ticked > self._seconds

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._tick(loop)
        self._thread = threading.Thread(
            target=self._watch, args=(threading.get_ident(),), name="chatelier-watchdog", daemon=True
        )
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        self._turn.cancel()
        await asyncio.to_thread(self._thread.join)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ticked = time.monotonic()
        self._turn = loop.call_later(self._seconds / 4, self._tick, loop)

    def _watch(self, loop_thread: int) -> None:
        said = 0.0
        woke = time.monotonic()
        while not self._stop.wait(self._seconds / 4):
            before, woke = woke, time.monotonic()
            # A machine that slept, or a stopped process, holds up this thread as well: that is nobody's fault.
            if woke - before < self._seconds and woke - self._ticked > self._seconds and said != self._ticked:
                said = self._ticked
                self._say(sys._current_frames().get(loop_thread), woke - self._ticked)

    def _say(self, frame: FrameType | None, seconds: float) -> None:
        plugin, where = self._culprit(frame)
        self._stalls.append(Stall(plugin=plugin, where=where, at=self._clock.now(), seconds=seconds))
        log.error("the event loop stands still", plugin=plugin or None, where=where, seconds=round(seconds, 2))

    def _culprit(self, frame: FrameType | None) -> tuple[str, str]:
        """The innermost code that belongs to a plugin; without one, where the loop stands."""
        innermost = _place(frame)
        while frame is not None:
            if plugin := self._owner(str(frame.f_globals.get("__name__", ""))):
                return plugin, _place(frame)
            frame = frame.f_back
        return "", innermost


def _place(frame: FrameType | None) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}" if frame else "unknown"
