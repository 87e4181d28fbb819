"""A ComfyDeploy account as a backend."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

from chatelier import (
    Attempt,
    Blob,
    Clock,
    Description,
    Ended,
    Gone,
    Output,
    Progress,
    Refused,
    Retry,
    SystemClock,
    Unavailable,
    Uncertain,
    in_time,
)

from . import files, words
from .addresses import Reach
from .api import LOOK_SECONDS, Api, NotDeployed
from .endings import ended_by, progress_of
from .hooks import Hooks
from .offer import Offer, Served
from .outputs import outputs_of
from .settings import ComfyDeploySettings
from .traces import MARK, Traces, Untold
from .wire import Run
from .workflows import NODE

CANCEL_ROUNDS = 3
"""A cancel that is refused may have come while the run was handed to its machine."""

UPLOAD_SECONDS = 1800.0
"""How long an address of a file that was sent is used again: in private buckets it is good for an hour."""

UPLOADS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long things wait.

    describe_seconds: that a description is used again. settle_seconds: for the account to catch up with itself.
    doubt_seconds: that a request without an answer may be on its way. give_up_seconds: of no answer before `watch` raises.
    look_seconds: for a small answer.
    """

    describe_seconds: float = 15.0
    settle_seconds: float = 1.0
    doubt_seconds: float = 15.0
    give_up_seconds: float = 60.0
    look_seconds: float = LOOK_SECONDS


class Account:
    """What a webhook says is only a reason to look: nothing depends on one, and nothing in it is believed."""

    def __init__(
        self,
        settings: ComfyDeploySettings,
        *,
        public_url: str = "",
        pace: Pace | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._pace = pace or Pace()
        self._clock = clock or SystemClock()
        self._api = Api(settings, look_seconds=self._pace.look_seconds)
        self._reach = Reach(settings.base_url)
        self._traces = Traces(self._api, self._clock, doubt_seconds=self._pace.doubt_seconds)
        self._watches: dict[str, asyncio.Event] = {}
        self._uploaded: dict[str, tuple[str, float]] = {}
        self._describe_at = float("-inf")
        self.hooks = Hooks(settings.api_key.get_secret_value(), public_url)
        self.offer = Offer(settings, self._api, self._clock)

    @property
    def name(self) -> str:
        return self._settings.name

    async def run(self) -> None:
        async with self._api.open():
            await asyncio.Event().wait()

    def heard(self, attempt: str, run: str) -> None:
        """A webhook came for this attempt. run: the id that it named, or ""."""
        if run:
            self._traces.of(attempt).said = run
        if (woken := self._watches.get(attempt)) is not None:
            woken.set()

    # --- what it can do

    async def describe(self) -> Description:
        now = self._clock.monotonic()
        if now >= self._describe_at:
            try:
                await self.offer.refresh()
                self._describe_at = now + self._pace.describe_seconds
            except Retry as later:  # it answers, so it is there
                self._describe_at = now + later.after
                if not self.offer.now.served:
                    raise Unavailable(str(later)) from later
        listing = self.offer.now
        phases = [trace.phase for trace in self._traces.under_way()]
        return Description(
            classes=listing.classes,
            waiting=phases.count("waiting"),
            running=phases.count("running"),
            places=self._settings.places,
            memory=self.offer.memory,
            tags=self._settings.tags,
            weight=self._settings.weight,
            detail=words.detail(len(listing.served), len(listing.deployments), hooks=self.hooks.are_on),
        )

    # --- the life of an attempt

    async def submit(self, attempt: Attempt) -> str:
        served = await self._served(attempt)
        inputs = {name: value for name, value in attempt.graph[NODE]["inputs"].items() if value is not None}
        if attempt.files:
            addresses = {key: await self._upload(attempt, blob) for key, blob in attempt.files.items()}
            inputs = {name: _address(value, addresses) for name, value in inputs.items()}
        busy = Counter(trace.deployment for trace in self._traces.under_way())
        for deployment in self.offer.in_turn(served, busy):
            try:
                run = await self._queue(attempt, deployment.id, inputs)
            except NotDeployed:
                self.offer.failed(deployment.id)
                continue
            trace = self._traces.of(attempt.id)
            trace.run, trace.deployment, trace.phase = run, deployment.id, "waiting"
            self.offer.gave(deployment.id)
            return run
        self._describe_at = float("-inf")
        raise Refused(words.no_deployment(served.workflow.title))

    async def find(self, attempt: Attempt) -> Literal["waiting", "running", "ended", "absent", "unknown"]:
        try:
            run_id = await self._traces.run_of(attempt)
            run = await self._api.run(run_id) if run_id else None
        except (Untold, Retry):
            return "unknown"
        return run.phase if run is not None else "absent"

    async def watch(self, attempt: Attempt) -> AsyncIterator[Progress | Ended]:
        woken = self._watches.setdefault(attempt.id, asyncio.Event())
        shown: Progress | None = None
        try:
            async with aclosing(self._looks(attempt, woken)) as looks:
                async for now in looks:
                    if isinstance(now, Ended):
                        self._traces.forget(attempt.id)
                        yield now
                    elif now != shown:
                        shown, self._traces.of(attempt.id).phase = now, now.phase
                        yield now
        finally:
            if self._watches.get(attempt.id) is woken:
                del self._watches[attempt.id]

    async def fetch(self, attempt: Attempt, output: Output) -> AsyncIterator[bytes]:
        """Its address expires: then the run is asked for a new one."""
        if output.text is not None:
            yield output.text.encode()
            return
        begun = False
        for address in (output.remote.get("url", ""), None):
            url = await self._new_address(attempt, output) if address is None else address
            try:
                async with aclosing(files.pieces(url, output.name, self._reach)) as pieces:
                    async for piece in pieces:
                        begun = True
                        yield piece
                return
            except Gone:
                if begun or address is None:
                    raise

    async def cancel(self, attempt: Attempt) -> None:
        """Asks until it is over. Runs on machines that are not serverless go on: ComfyDeploy has no cancel for them."""
        try:
            run_id = await self._traces.run_of(attempt)
            for _ in range(CANCEL_ROUNDS if run_id else 0):
                run = await self._api.run(run_id)
                if run is None or run.phase == "ended":
                    break
                await self._api.cancel(run_id)
                await self._clock.sleep(self._pace.settle_seconds)
        except (Untold, Retry) as error:
            raise Unavailable(str(error) or words.untold(self._settings.address)) from error
        finally:
            self.heard(attempt.id, "")

    # --- submitting

    async def _served(self, attempt: Attempt) -> Served:
        """The workflow that a graph stands for. Raises Refused for another graph."""
        classes = [str(body["class_type"]) for body in attempt.graph.values()]
        if not all(name in self.offer.now.served for name in classes):
            await self.offer.refresh()
        if unknown := sorted(set(classes) - self.offer.now.served.keys()):
            raise Refused(words.no_such_node(unknown))
        if list(attempt.graph) != [NODE]:
            raise Refused(words.MANY_NODES)
        return self.offer.now.served[classes[0]]

    async def _queue(self, attempt: Attempt, deployment: str, inputs: Mapping[str, Any]) -> str:
        body: dict[str, Any] = {"deployment_id": deployment, "inputs": {**inputs, MARK: attempt.id}}
        if self.hooks.are_on:
            body |= {"webhook": self.hooks.address(attempt.id), "webhook_intermediate_status": False}
        if self._settings.gpu:
            body["gpu"] = self._settings.gpu
        self._traces.sending(attempt.id)
        try:
            return await self._api.queue(body)
        except (Uncertain, asyncio.CancelledError):
            self._traces.doubt(attempt.id)
            self.offer.failed(deployment)
            raise
        except Unavailable:
            self._describe_at = float("-inf")
            raise

    async def _upload(self, attempt: Attempt, blob: Blob) -> str:
        address, until = self._uploaded.get(blob.sha256, ("", 0.0))
        if not address or self._clock.monotonic() >= until:
            until = self._clock.monotonic() + UPLOAD_SECONDS
            address = await self._api.upload(blob, attempt.read)
            if len(self._uploaded) >= UPLOADS:
                self._uploaded.clear()
            self._uploaded[blob.sha256] = (address, until)
        return address

    # --- watching

    async def _looks(self, attempt: Attempt, woken: asyncio.Event) -> AsyncGenerator[Progress | Ended, None]:
        """What each look shows. Raises Unavailable when nothing answers for long, or it cannot be told which run to look at."""
        answered, missing = self._clock.monotonic(), 0
        while True:
            pause = self._settings.poll_seconds
            woken.clear()
            try:
                told = await self._told(attempt)
            except Untold:
                raise Unavailable(words.untold(self._settings.address)) from None
            except Retry as later:
                pause = max(pause, later.after)
            except Unavailable:
                if self._clock.monotonic() - answered > self._pace.give_up_seconds:
                    raise
            else:
                answered = self._clock.monotonic()
                missing = missing + 1 if told is None else 0
                if told is None and (missing > 1 or not self._knows(attempt)):
                    told = Ended(state="lost")
                if told is not None:
                    yield told
                if isinstance(told, Ended):
                    return
            await self._rest(woken, pause)

    def _knows(self, attempt: Attempt) -> bool:
        """Whether there was a run for it: one that was just queued may not be there to read yet."""
        return bool(self._traces.of(attempt.id).run or attempt.remote not in {"", attempt.id})

    async def _look(self, attempt: Attempt) -> Run | None:
        run_id = await self._traces.run_of(attempt)
        return await self._api.run(run_id) if run_id else None

    async def _told(self, attempt: Attempt) -> Progress | Ended | None:
        """None when there is no run for it, or none any more."""
        run = await self._look(attempt)
        if run is None or run.phase != "ended":
            return None if run is None else progress_of(run)
        ended = ended_by(run)
        if ended.state == "done" and not ended.outputs:  # its results may be written a moment later
            await self._clock.sleep(self._pace.settle_seconds)
            ended = ended_by(await self._look(attempt) or run)
        return ended

    async def _rest(self, woken: asyncio.Event, seconds: float) -> None:
        """Until a webhook comes, or for so long."""
        try:
            await in_time(woken.wait(), self._clock.sleep(seconds))
        except TimeoutError:
            return

    # --- results

    async def _new_address(self, attempt: Attempt, output: Output) -> str:
        """Raises Gone when the run has that result no more."""
        try:
            run = await self._look(attempt)
        except (Untold, Retry) as error:
            raise Unavailable(str(error) or words.untold(self._settings.address)) from error
        found = {each.n: each for each in outputs_of(run.results, NODE)} if run is not None else {}
        if output.n not in found or not (url := found[output.n].remote.get("url")):
            raise Gone(words.OUTPUT_GONE.format(name=output.name))
        return url


def _address(value: Any, addresses: Mapping[str, str]) -> Any:
    return addresses.get(value, value) if isinstance(value, str) else value
