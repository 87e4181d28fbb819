"""One ComfyUI server as a backend."""

from asyncio import TaskGroup
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
    Graph,
    Output,
    Progress,
    Refused,
    Retry,
    SystemClock,
    Unavailable,
    Uncertain,
    outputs_of_results,
    savers,
    words_of_rejection,
)

from .api import LOOK_SECONDS, Api, Rejected
from .endings import by_events, by_history
from .frames import Event, Frame, NodeText, Preview
from .lookup import GLANCE_SECONDS, Lookup
from .progress import Track
from .settings import ServerSettings
from .socket import Socket
from .vitals import Vitals
from .wire import Accepted, Finished

TRACKS = 512
"""Jobs whose events are remembered though nobody watches them now; far more than any server has waiting."""

UPLOADS = 4096
"""Files that are known to be on the server, by their hashes: half a megabyte of memory."""

CANCEL_ROUNDS = 8
"""Of 30 cancels sent right after the prompt one was lost (measured on 0.3.64): eight leave it little chance."""

LONGEST_CANCEL_SECONDS = 2.0
"""Between two rounds of a cancel: a server looks for interrupts between nodes and steps, which may take long."""

FINISHED_LOOKS = 3
"""Looks into the history after the last event. At the first it was there in 60 of 60; the others are for busier servers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long things wait.

    first_seconds: before a new watch looks for the job's place. update_seconds: between two progresses.
    silence_seconds: without an event before the history is asked. poll_seconds: between two looks at a job whose events do not
    come here. settle_seconds: for the server to catch up with itself. give_up_seconds: of no answer before `watch` raises.
    first_reconnect_seconds, longest_reconnect_seconds: pauses of the socket; half a second is what ComfyUI 0.3.64 was
    seen to need to forget an old one. look_seconds: for a small answer.
    """

    first_seconds: float = 0.5
    update_seconds: float = 0.25
    silence_seconds: float = 3.0
    poll_seconds: float = 1.0
    settle_seconds: float = 0.5
    give_up_seconds: float = 30.0
    first_reconnect_seconds: float = 0.5
    longest_reconnect_seconds: float = 15.0
    look_seconds: float = LOOK_SECONDS


class ComfyServer:
    """Everything said about a job is looked up when it is not heard: events are only the faster way."""

    def __init__(self, settings: ServerSettings, *, pace: Pace | None = None, clock: Clock | None = None) -> None:
        self._settings = settings
        self._pace = pace or Pace()
        self._clock = clock or SystemClock()
        tls = settings.tls()
        self._api = Api(settings, tls, look_seconds=self._pace.look_seconds)
        self._socket = Socket(
            settings.url.replace("http", "ws", 1),
            settings.plain_headers,
            tls,
            clock=self._clock,
            first_seconds=self._pace.first_reconnect_seconds,
            longest_seconds=self._pace.longest_reconnect_seconds,
        )
        self._lookup = Lookup(self._api, self._clock)
        self._vitals = Vitals(self._api, settings, self._clock, lambda: self._socket.connected)
        self._tracks: dict[str, Track] = {}
        self._current = ""
        self._uploaded: dict[str, str] = {}
        self._doubtful: set[str] = set()

    @property
    def name(self) -> str:
        return self._settings.called

    async def run(self) -> None:
        async with self._api.open(), TaskGroup() as tasks:
            tasks.create_task(self._socket.run(self._deliver, self._connection_changed))
            tasks.create_task(self._vitals.keep())

    async def describe(self) -> Description:
        return await self._vitals.describe()

    async def free(self) -> None:
        await self._api.free()

    # --- the life of an attempt

    async def submit(self, attempt: Attempt) -> str:
        track = Track(attempt.graph, self._socket.client, clock=self._clock)
        self._follow(attempt.id, track)
        try:
            accepted = await self._prompt(attempt, track.client)
        except Uncertain:
            self._doubtful.add(attempt.id)
            raise
        except (Refused, Retry, Unavailable):
            self._tracks.pop(attempt.id, None)
            raise
        track.rejected = accepted.node_errors
        if accepted.prompt_id != attempt.id:  # an old server takes no ids
            self._follow(accepted.prompt_id, track)
        return accepted.prompt_id

    async def find(self, attempt: Attempt) -> Literal["waiting", "running", "ended", "absent", "unknown"]:
        sight = await self._lookup.look(_key(attempt))
        if sight is None and attempt.id in self._doubtful:
            # What was sent may still be on its way through the server.
            await self._clock.sleep(self._pace.settle_seconds)
            sight = await self._lookup.look(_key(attempt))
        self._doubtful.discard(attempt.id)
        if isinstance(sight, Progress):
            return sight.phase
        return "ended" if sight is not None or await self._saved(attempt) else "absent"

    async def watch(self, attempt: Attempt) -> AsyncIterator[Progress | Ended]:
        track = self._tracks.get(_key(attempt))
        if track is None:
            track = Track(attempt.graph, started_at=attempt.started_at, clock=self._clock)
            self._follow(_key(attempt), track)
        track.watched = True
        shown: Progress | None = None
        try:
            async with aclosing(self._observe(attempt, track)) as states:
                async for now in states:
                    if isinstance(now, Ended):
                        self._forget(attempt)
                        yield now
                    elif now != shown:
                        shown = now
                        yield now
        finally:
            track.watched = False

    def fetch(self, attempt: Attempt, output: Output) -> AsyncIterator[bytes]:
        return self._api.view(output.remote) if output.text is None else _once(output.text)

    async def cancel(self, attempt: Attempt) -> None:
        """Asks again until the job is gone or over: a cancel that comes while a job starts is lost."""
        key, pause = _key(attempt), self._pace.settle_seconds / 2
        for _ in range(CANCEL_ROUNDS):
            if (track := self._tracks.get(key)) is not None:
                track.cancelled = True
            if not isinstance(await self._lookup.stop(key), Progress) and attempt.id not in self._doubtful:
                break
            self._doubtful.discard(attempt.id)
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_CANCEL_SECONDS)
        if track is not None:
            track.wake()

    # --- submitting

    async def _prompt(self, attempt: Attempt, client: str) -> Accepted:
        known = any(blob.sha256 in self._uploaded for blob in attempt.files.values())
        try:
            return await self._prompt_once(attempt, client)
        except Rejected as no:
            if not known:
                raise Refused(words_of_rejection(no.body, attempt.graph)) from no
        # The files were sent for an earlier job, and the server may have lost them since.
        self._uploaded.clear()
        try:
            return await self._prompt_once(attempt, client)
        except Rejected as no:
            raise Refused(words_of_rejection(no.body, attempt.graph)) from no

    async def _prompt_once(self, attempt: Attempt, client: str) -> Accepted:
        paths = {key: await self._upload(attempt, blob) for key, blob in attempt.files.items()}
        return await self._api.prompt(_with_paths(attempt.graph, paths), attempt.id, client)

    async def _upload(self, attempt: Attempt, blob: Blob) -> str:
        path = self._uploaded.get(blob.sha256)
        if path is None:
            path = await self._api.upload(blob.sha256[:32] + blob.suffix, blob.mime, blob.size, attempt.read(blob))
            if len(self._uploaded) >= UPLOADS:
                self._uploaded.clear()
            self._uploaded[blob.sha256] = path
        return path

    # --- watching

    async def _observe(self, attempt: Attempt, track: Track) -> AsyncGenerator[Progress | Ended, None]:
        """What is known now, after some events each and after each look. Raises Unavailable when nothing answers for long."""
        patience, answered = self._pace.first_seconds, self._clock.monotonic()
        while True:
            await track.rest(self._pace.update_seconds)
            stirred = await track.stirred(patience - self._pace.update_seconds)
            if track.certain:
                yield by_events(track, attempt.graph)
                return
            if track.finished or not stirred or not self._socket.hears(track.client):
                try:
                    ended = await self._second_opinion(attempt, track, patient=patience >= self._pace.silence_seconds)
                except Unavailable:
                    if self._clock.monotonic() - answered > self._pace.give_up_seconds:
                        raise
                    if not stirred:  # what was known before says nothing of now
                        patience = self._pace.poll_seconds
                        continue
                else:
                    if ended is not None:
                        yield ended
                        return
                    answered = self._clock.monotonic()
            yield track.progress()
            patience = self._pace.silence_seconds if self._socket.hears(track.client) else self._pace.poll_seconds

    async def _second_opinion(self, attempt: Attempt, track: Track, *, patient: bool) -> Ended | None:
        """How it ended by what the server has; None while it waits or runs."""
        if track.finished:
            return await self._finished(attempt, track)
        sight = await self._lookup.look(_key(attempt), since=max(track.since, self._clock.monotonic() - GLANCE_SECONDS))
        if sight is None:
            # It may have ended between the two looks, or its POST is not through yet: never lost at the first look.
            await self._clock.sleep(self._pace.settle_seconds)
            sight = await self._lookup.look(_key(attempt))
        if isinstance(sight, Finished):
            if patient and not track.heard and self._socket.hears(track.client):
                await self._socket.renew()  # it ran to its end, and the socket did not say a word
            return by_history(sight, track, attempt.graph)
        if sight is None:
            return await self._vanished(attempt, track)
        track.found(sight)
        return None

    async def _finished(self, attempt: Attempt, track: Track) -> Ended:
        """The history may be a moment behind the event."""
        for _ in range(FINISHED_LOOKS):
            if (entry := await self._api.history(_key(attempt))) is not None:
                return by_history(entry, track, attempt.graph)
            await self._clock.sleep(self._pace.settle_seconds)
        return by_events(track, attempt.graph)

    async def _vanished(self, attempt: Attempt, track: Track) -> Ended:
        if track.finished:  # its last event came during the looks
            return by_events(track, attempt.graph)
        if outputs := await self._saved(attempt):
            return Ended(state="done", outputs=outputs, started_at=track.started_at)
        return Ended(state="cancelled" if track.cancelled else "lost", started_at=track.started_at)

    async def _saved(self, attempt: Attempt) -> tuple[Output, ...]:
        """What a server that forgot the job in a restart still has of it.

        Nothing when a part of it is missing, and when nobody can tell how much there should be.
        """
        classes = await self._vitals.classes()
        found: dict[str, Any] = {}
        for saver in savers(attempt.graph, attempt.id, classes, attempt.files):
            for file in saver.files:
                if not await self._api.has(file):
                    return ()
            if await self._api.has(saver.file(saver.count + 1)):
                return ()
            found[saver.node] = {"images": saver.files}
        return outputs_of_results(found, attempt.graph)

    # --- the socket

    def _deliver(self, frame: Frame) -> None:
        """Events of strangers come too: those of jobs that somebody submitted without a client id."""
        match frame:
            case Event(type="status", data=data):
                self._vitals.hear(data)
            case Event(prompt=""):
                return
            case Event(type=kind, prompt=prompt, data=data):
                if kind == "executing":
                    self._current = prompt if data.get("node") is not None else ""
                if (track := self._tracks.get(prompt)) is not None:
                    track.hear(frame)
            case Preview(prompt=prompt, image=image):
                if (track := self._tracks.get(prompt or self._current)) is not None:
                    track.see(image)
            case NodeText(text=text):
                if (track := self._tracks.get(self._current)) is not None:
                    track.say(text)

    def _connection_changed(self) -> None:
        """The server may have been another one in between: what it had been given and said is asked anew."""
        self._current = ""
        self._uploaded.clear()
        self._vitals.doubt()
        self._lookup.doubt()
        for track in self._tracks.values():
            track.wake()

    def _follow(self, key: str, track: Track) -> None:
        while len(self._tracks) >= TRACKS:
            oldest = next((known for known, old in self._tracks.items() if not old.watched), None)
            if oldest is None:
                break
            del self._tracks[oldest]
        self._tracks[key] = track

    def _forget(self, attempt: Attempt) -> None:
        self._tracks.pop(attempt.id, None)
        self._tracks.pop(_key(attempt), None)


def _key(attempt: Attempt) -> str:
    return attempt.remote or attempt.id


def _with_paths(graph: Graph, paths: Mapping[str, str]) -> Graph:
    """A copy whose inputs name the uploaded files instead of their keys; the graph as it is without files."""
    if not paths:
        return graph
    return {
        node: {**body, "inputs": {name: _path(value, paths) for name, value in body["inputs"].items()}}
        for node, body in graph.items()
    }


def _path(value: Any, paths: Mapping[str, str]) -> Any:
    return paths.get(value, value) if isinstance(value, str) else value


async def _once(text: str) -> AsyncIterator[bytes]:
    yield text.encode()
