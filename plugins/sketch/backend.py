"""The sketch as a backend inside the gateway's process: no HTTP, one worker thread, files below one folder."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from chatelier import (
    Attempt,
    Blob,
    Description,
    Ended,
    Gone,
    Graph,
    OperatorMust,
    Output,
    Progress,
    Refused,
    Unavailable,
    outputs_of_results,
    ran_out_of_memory,
    savers,
    words_of_error,
    words_of_rejection,
    words_of_skipped,
)

from .engine import Message, Sight
from .models import Models
from .registry import all_nodes, object_info
from .settings import SketchSettings
from .validation import Rejected
from .workshop import Workshop

Found = Literal["waiting", "running", "ended", "absent", "unknown"]
PIECE = 256 * 1024
"""Bytes of a file that are handed over at once."""

MOST_WATCHED = 1000
"""Attempts that are remembered, the latest ones."""

WAITING = Progress(phase="waiting")


@dataclass(kw_only=True)
class _Watched:
    """What is known of an attempt by its messages. changed: is set, and replaced by a new one, at each of them."""

    graph: Graph
    total: int
    progress: Progress = WAITING
    cached: int = 0
    notes: tuple[str, ...] = ()
    ended: Ended | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def touch(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class SketchBackend:
    """root: the folder for its files. Jobs do not outlive `run`; saved files do."""

    name = "sketch"

    def __init__(self, root: Path, settings: SketchSettings) -> None:
        self._settings = settings
        self._classes: Mapping[str, Mapping[str, Any]] = {}
        self._shop = Workshop(root, Models(settings.models), tell=self._tell, seconds=settings.seconds, shared=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watched: OrderedDict[str, _Watched] = OrderedDict()
        self._stopped = False

    async def run(self) -> None:
        """Raises OperatorMust when its folder cannot be written."""
        self._loop = asyncio.get_running_loop()
        self._stopped = False
        starting = asyncio.ensure_future(asyncio.to_thread(self._shop.start))
        try:
            await asyncio.shield(starting)
            await self._loop.create_future()
        except OSError as error:
            folder = self._shop.folders.root
            raise OperatorMust(f"The sketch backend cannot write its folder {folder}: {error.strerror}.") from error
        finally:
            self._stopped = True
            # a cancel may come while the thread is being started
            await _ended(starting)
            # before the thread ends its job: being stopped is not a cancel that somebody wanted
            self._lose_all()
            await _ended(asyncio.ensure_future(asyncio.to_thread(self._shop.stop)))
            self._lose_all()

    async def describe(self) -> Description:
        self._check_there()
        running, waiting = self._shop.queue()
        classes = await asyncio.to_thread(object_info, self._shop.folders, self._shop.models)
        if classes != self._classes:
            self._classes = classes
        return Description(
            classes=self._classes,
            waiting=len(waiting),
            running=len(running),
            places=self._settings.places,
            tags=self._settings.tags,
            weight=self._settings.weight,
            detail=f"{len(classes)} nodes, no GPU",
        )

    async def free(self) -> None:
        """Let go of cached results, after the job that runs."""
        self._shop.free()

    async def submit(self, attempt: Attempt) -> str:
        """Raises Refused for a graph that it cannot run."""
        self._check_there()
        graph = await self._prepared(attempt)
        try:
            checked = await asyncio.to_thread(self._shop.check, graph)
        except Rejected as rejected:
            raise Refused(words_of_rejection(rejected.body, attempt.graph)) from None
        except (AttributeError, KeyError, TypeError) as error:
            raise Refused("This workflow is not in ComfyUI's API format: export it with “Export (API)”.") from error
        known = self._watched[attempt.id] = _Watched(graph=attempt.graph, total=len(attempt.graph))
        if errors := checked.valid.node_errors:
            known.notes = (words_of_skipped(words_of_rejection({"node_errors": errors}, attempt.graph)),)
        while len(self._watched) > MOST_WATCHED:
            self._watched.popitem(last=False)
        return self._shop.enqueue(checked, prompt_id=attempt.id, extra={"client_id": attempt.id}).id

    async def find(self, attempt: Attempt) -> Found:
        running, waiting = self._shop.queue()
        if any(job.id == attempt.id for job in running):
            return "running"
        if any(job.id == attempt.id for job in waiting):
            return "waiting"
        known = self._watched.get(attempt.id)
        if self._shop.history(attempt.id) is not None or (known and known.ended):
            return "ended"
        return "ended" if await asyncio.to_thread(self._saved, attempt) else "absent"

    async def watch(self, attempt: Attempt) -> AsyncIterator[Progress | Ended]:
        known = self._watched.get(attempt.id)
        if known is None:
            yield await self._left_behind(attempt)
            return
        last: Progress | None = None
        while known.ended is None:
            changed, now = known.changed, self._with_place(attempt, known.progress)
            if now != last:
                last = now
                yield now
            else:
                await changed.wait()
        yield known.ended

    async def fetch(self, attempt: Attempt, output: Output) -> AsyncIterator[bytes]:
        if output.text is not None:
            yield output.text.encode()
            return
        remote = output.remote
        path = self._shop.folders.inside(remote["type"], remote["subfolder"], remote["filename"])
        try:
            if path is None:
                raise FileNotFoundError
            file = await asyncio.to_thread(path.open, "rb")
        except OSError as error:
            raise Gone(f"{output.name} is no longer there.") from error
        with file:
            while piece := await asyncio.to_thread(file.read, PIECE):
                yield piece

    async def cancel(self, attempt: Attempt) -> None:
        if self._shop.delete([attempt.id]):
            self._end(attempt.id, Ended(state="cancelled"))
        else:
            self._shop.interrupt(attempt.id)

    def _check_there(self) -> None:
        """What is submitted before the first `run` waits for it; after an end it would wait for ever."""
        if self._stopped:
            raise Unavailable(
                f"The sketch is not running; if it stays so, look whether {self._shop.folders.root} can be written."
            )

    async def _prepared(self, attempt: Attempt) -> dict[str, Any]:
        """The graph with the names of its files as they are called here, and with results that would vanish kept as files."""
        names = {key: await self._received(attempt, blob) for key, blob in attempt.files.items()}
        graph: dict[str, Any] = {}
        for node, declared in attempt.graph.items():
            inputs = {
                key: names.get(value, value) if isinstance(value, str) else value
                for key, value in declared.get("inputs", {}).items()
            }
            graph[node] = {**declared, "inputs": inputs}
            if declared.get("class_type") == "SaveImageWebsocket":
                graph[node] |= {
                    "class_type": "SaveImage",
                    "inputs": {**inputs, "filename_prefix": f"socket/{attempt.id}"},
                }
        return graph

    async def _received(self, attempt: Attempt, blob: Blob) -> str:
        name = f"{blob.sha256}{blob.suffix}"
        if not await asyncio.to_thread(self._shop.folders.named, name):
            data = b"".join([piece async for piece in attempt.read(blob)])
            await asyncio.to_thread(self._shop.folders.receive, name, data, overwrite=True)
        return name

    async def _left_behind(self, attempt: Attempt) -> Ended:
        """Of an attempt that this process knows nothing of: its files, if all of them are there."""
        outputs = await asyncio.to_thread(self._saved, attempt)
        return Ended(state="done", outputs=outputs) if outputs else Ended(state="lost")

    def _saved(self, attempt: Attempt) -> tuple[Output, ...]:
        """Nothing when a part of it is missing, and when nobody can tell how much there should be."""
        classes = {name: {"output_node": node.output} for name, node in all_nodes().items()}
        found: dict[str, Any] = {}
        for saver in savers(attempt.graph, attempt.id, classes, attempt.files):
            if not all(map(self._has, saver.files)) or self._has(saver.file(saver.count + 1)):
                return ()
            found[saver.node] = {"images": saver.files}
        return outputs_of_results(found, attempt.graph)

    def _has(self, place: Mapping[str, str]) -> bool:
        path = self._shop.folders.inside(place["type"], place["subfolder"], place["filename"])
        return path is not None and path.is_file()

    def _with_place(self, attempt: Attempt, progress: Progress) -> Progress:
        if progress.phase != "waiting":
            return progress
        running, waiting = self._shop.queue()
        before = next((n for n, job in enumerate(waiting) if job.id == attempt.id), None)
        ahead = None if before is None else before + len(running)
        return Progress(phase="waiting", ahead=ahead)

    def _tell(self, message: Message | Sight) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hear, message)

    def _hear(self, message: Message | Sight) -> None:
        if message.client is None:
            for waiting in self._watched.values():
                if waiting.progress.phase == "waiting" and waiting.ended is None:
                    waiting.touch()
            return
        known = self._watched.get(message.client)
        if known is None or known.ended:
            return
        if isinstance(message, Message) and message.type == "executing" and message.data["node"] is None:
            self._end(message.client, self._outcome(message.client, known))
            return
        known.progress = _moved(known, message)
        known.touch()

    def _end(self, attempt_id: str, ended: Ended) -> None:
        known = self._watched.get(attempt_id)
        if known and known.ended is None:
            known.ended = ended
            known.touch()

    def _outcome(self, attempt_id: str, known: _Watched) -> Ended:
        record = self._shop.history(attempt_id)
        if record is None:
            return Ended(state="lost")
        messages: dict[str, dict[str, Any]] = dict(record["status"]["messages"])
        started, ended = _moment(messages.get("execution_start")), _moment(record["status"]["messages"][-1][1])
        if "execution_interrupted" in messages:
            return Ended(state="cancelled", started_at=started, ended_at=ended)
        if error := messages.get("execution_error"):
            words, too_little = words_of_error(error, known.graph), _too_little(error)
            return Ended(
                state="failed",
                words=words,
                transient=too_little,
                out_of_memory=too_little,
                started_at=started,
                ended_at=ended,
            )
        return Ended(
            state="done",
            outputs=outputs_of_results(record["outputs"], known.graph),
            notes=known.notes,
            started_at=started,
            ended_at=ended,
        )

    def _lose_all(self) -> None:
        for known in self._watched.values():
            if known.ended is None:
                known.ended = Ended(state="lost")
                known.touch()
        self._watched.clear()


def _moved(known: _Watched, message: Message | Sight) -> Progress:
    """The progress after a message: only the latest of everything is kept."""
    now = known.progress
    started = now.started_at
    fraction, title, preview = now.fraction, now.title, now.preview
    if isinstance(message, Sight):
        preview = message.preview.data
    elif message.type == "execution_start":
        started = _moment(message.data)
    elif message.type == "execution_cached":
        known.cached = len(message.data["nodes"])
    elif message.type == "progress_state":
        fraction = _fraction(message.data["nodes"], known.total - known.cached)
    elif message.type == "executing":
        title = _title(known.graph, message.data["node"])
    return Progress(phase="running", fraction=fraction, title=title, preview=preview, started_at=started)


def _fraction(nodes: Mapping[str, Mapping[str, Any]], total: int) -> float:
    done = sum(float(state["value"]) / float(state["max"]) for state in nodes.values() if state["max"])
    return min(1.0, done / max(total, len(nodes), 1))


def _title(graph: Graph, node: str) -> str:
    declared = graph.get(node, {})
    return str(declared.get("_meta", {}).get("title") or declared.get("class_type", ""))


def _too_little(error: Mapping[str, Any]) -> bool:
    """Numpy has a MemoryError of its own."""
    return ran_out_of_memory(error) or str(error["exception_type"]).endswith("MemoryError")


def _moment(data: Mapping[str, Any] | None) -> datetime | None:
    return datetime.fromtimestamp(data["timestamp"] / 1000, UTC) if data else None


async def _ended(task: asyncio.Future[None]) -> None:
    """Waits for it even while being cancelled again: a thread must not outlive its owner. Its error is for somebody else."""
    while not task.done():
        with suppress(asyncio.CancelledError, OSError):
            await asyncio.shield(task)
