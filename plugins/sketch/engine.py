"""Executes a graph in ComfyUI's order, with its cache and its messages. Everything here runs on the worker's thread."""

import hashlib
import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .declare import Node, Shown
from .faults import Faults
from .folders import Folders
from .models import Models
from .registry import all_nodes
from .running import Interrupted, Preview, Run
from .validation import Graph, is_link

Outputs = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """What goes over the socket. client: who hears it, None for everybody."""

    type: str
    data: Mapping[str, Any]
    client: str | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """A preview on its way to a client. about: the metadata for those who asked for it."""

    preview: Preview
    about: Mapping[str, Any]
    client: str | None = None


Tell = Callable[[Message | Sight], None]


@dataclass(kw_only=True)
class Job:
    """One entry of the queue. messages, outputs, state: filled while it runs; they become its history."""

    number: float
    id: str
    graph: Graph
    extra: dict[str, Any]
    outputs_wanted: tuple[str, ...]
    stop: threading.Event = field(default_factory=threading.Event)
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    meta: dict[str, dict[str, Any]] = field(default_factory=dict)
    state: str = ""

    @property
    def client(self) -> str | None:
        found = self.extra.get("client_id")
        return str(found) if found is not None else None

    def entry(self) -> list[Any]:
        """As `/queue` and `/history` show it."""
        return [self.number, self.id, self.graph, self.extra, list(self.outputs_wanted)]


@dataclass(frozen=True, slots=True)
class Kept:
    """A node's results in the cache. ui: of an output node."""

    values: Outputs
    ui: Mapping[str, Any] | None


class Engine:
    """Keeps the results of the last graph, which the next one may use."""

    def __init__(self, folders: Folders, models: Models, faults: Faults, tell: Tell, seconds: float = 0) -> None:
        self._folders = folders
        self._models = models
        self._faults = faults
        self._tell = tell
        self._seconds = seconds
        self._cache: dict[str, Kept] = {}

    def forget(self) -> None:
        self._cache.clear()

    def execute(self, job: Job) -> None:
        """Never raises for what a node does; the job says how it ended ("success" or "error")."""
        _Execution(self, job).run()

    def run_for(self, job: Job) -> Run:
        return Run(
            folders=self._folders,
            models=self._models,
            graph=job.graph,
            extra=job.extra,
            stop=job.stop,
            seconds=self._seconds + self._faults.slow_seconds,
        )

    @property
    def cache(self) -> dict[str, Kept]:
        return self._cache

    @property
    def faults(self) -> Faults:
        return self._faults

    def keep_only(self, keys: Mapping[str, str]) -> None:
        """Drops what the new graph does not have: the cache holds one graph."""
        wanted = set(keys.values())
        self._cache = {key: kept for key, kept in self._cache.items() if key in wanted}

    def tell(self, message: Message | Sight) -> None:
        self._tell(message)


class _Execution:
    def __init__(self, engine: Engine, job: Job) -> None:
        self._engine = engine
        self._job = job
        self._run = engine.run_for(job)
        self._keys: dict[str, str] = {}
        self._states: dict[str, dict[str, Any]] = {}
        self._executed: list[str] = []
        self._now = ""
        self._given: dict[str, Any] = {}

    def run(self) -> None:
        job = self._job
        self._note("execution_start", {"prompt_id": job.id})
        try:
            self._keys = signatures(job.graph, job.outputs_wanted, self._run)
            self._engine.keep_only(self._keys)
            cached = [name for name in job.graph if self._keys.get(name) in self._engine.cache]
            self._note("execution_cached", {"nodes": cached, "prompt_id": job.id})
            for name in order(job.graph, job.outputs_wanted, set(cached)):
                self._step(name)
            self._run.spend(self._run.seconds)
        except Interrupted:
            self._stopped()
        except Exception as error:  # noqa: BLE001 - whatever a node's code throws at a person's picture is the job's failure
            self._failed(error)
        else:
            job.state = "success"
            self._note("execution_success", {"prompt_id": job.id})

    def _step(self, name: str) -> None:
        self._now, self._given = name, {}
        self._run.check()
        kept = self._engine.cache.get(self._keys[name])
        if kept:
            self._repeat(name, kept)
            return
        self._progress(name, 0.0, 1.0, "running")
        self._send("executing", {"node": name, "display_node": name, "prompt_id": self._job.id})
        self._engine.faults.before_node(self._node(name).name, self._job.graph[name]["inputs"])
        self._engine.cache[self._keys[name]] = kept = self._executed_node(name)
        self._executed.append(name)
        if kept.ui is not None:
            self._show(name, kept.ui)
        most = self._states[name]["max"]
        self._progress(name, most, most, "finished")

    def _repeat(self, name: str, kept: Kept) -> None:
        """An output node of the last graph: its old files are shown again."""
        if kept.ui is not None:
            self._show(name, kept.ui)
            self._progress(name, 1, 1, "finished")

    def _executed_node(self, name: str) -> Kept:
        node = self._node(name)
        self._given = inputs = self._inputs(name)
        self._run.report = self._reporter(name)
        result = node.function(self._run, **inputs) if node.wants_run else node.function(**inputs)
        if isinstance(result, Shown):
            return Kept(result.values, result.ui or None)
        return Kept(result if isinstance(result, tuple) else (result,), None)

    def _inputs(self, name: str) -> dict[str, Any]:
        found = {}
        for key, value in self._job.graph[name]["inputs"].items():
            if self._node(name).slot(key) is None:
                continue
            if is_link(value):
                found[key] = self._engine.cache[self._keys[value[0]]].values[value[1]]
            else:
                found[key] = value
        return found

    def _node(self, name: str) -> Node:
        return all_nodes()[self._job.graph[name]["class_type"]]

    def _reporter(self, name: str) -> Callable[..., None]:
        def report(value: float, most: float, preview: Preview | None = None) -> None:
            self._run.check()
            self._progress(name, value, most, "running")
            about = self._ids(name) | {"display_node_id": name, "parent_node_id": None, "real_node_id": name}
            if preview:
                self._engine.tell(Sight(preview, about, self._job.client))
            data = {"value": value, "max": most, "prompt_id": self._job.id, "node": name}
            self._engine.tell(Message("progress", data, self._job.client))

        return report

    def _show(self, name: str, ui: Mapping[str, Any]) -> None:
        self._job.outputs[name] = dict(ui)
        self._job.meta[name] = {"node_id": name, "display_node": name, "parent_node": None, "real_node_id": name}
        self._send("executed", {"node": name, "display_node": name, "output": dict(ui), "prompt_id": self._job.id})

    def _progress(self, name: str, value: float, most: float, state: str) -> None:
        self._states[name] = {
            "value": value,
            "max": most,
            "state": state,
            **self._ids(name),
            "display_node_id": name,
            "parent_node_id": None,
            "real_node_id": name,
        }
        self._send("progress_state", {"prompt_id": self._job.id, "nodes": dict(self._states)})

    def _ids(self, name: str) -> dict[str, Any]:
        return {"node_id": name, "prompt_id": self._job.id}

    def _stopped(self) -> None:
        self._job.state = "error"
        data = self._ids(self._now) | {"node_type": self._type(), "executed": list(self._executed)}
        self._note("execution_interrupted", data, aloud=True)

    def _failed(self, error: Exception) -> None:
        self._job.state = "error"
        data = {
            "prompt_id": self._job.id,
            "node_id": self._now,
            "node_type": self._type(),
            "executed": list(self._executed),
            "exception_message": f"{error}\n",
            "exception_type": full_name(type(error)),
            "traceback": traceback.format_tb(error.__traceback__),
            "current_inputs": {key: [shown(value)] for key, value in self._given.items()},
            "current_outputs": list(self._job.graph),
        }
        self._note("execution_error", data)

    def _type(self) -> str:
        return self._node(self._now).name if self._now else ""

    def _note(self, kind: str, data: dict[str, Any], *, aloud: bool = False) -> None:
        """For the history as well as for the client. aloud: everybody hears it when nobody asked."""
        data = {**data, "timestamp": int(time.time() * 1000)}
        self._job.messages.append((kind, data))
        if aloud:
            self._engine.tell(Message(kind, data, self._job.client))
        else:
            self._send(kind, data)

    def _send(self, kind: str, data: Mapping[str, Any]) -> None:
        if self._job.client is not None:
            self._engine.tell(Message(kind, data, self._job.client))


def order(graph: Graph, outputs: tuple[str, ...], cached: set[str]) -> Iterator[str]:
    """The nodes that must run, as ComfyUI takes them: an output node that is ready first, then what leads to one soonest."""
    waiting: dict[str, set[str]] = {}
    needed_by: dict[str, list[str]] = {}
    for output in outputs:
        _gather(graph, output, cached, waiting, needed_by)
    while waiting:
        ready = [name for name, before in waiting.items() if not before]
        name = _best(ready, graph, needed_by)
        yield name
        del waiting[name]
        for later in needed_by.get(name, ()):
            waiting[later].discard(name)


def _gather(
    graph: Graph, output: str, cached: set[str], waiting: dict[str, set[str]], needed_by: dict[str, list[str]]
) -> None:
    pending = [output]
    while pending:
        name = pending.pop()
        if name in waiting:
            continue
        waiting[name] = set()
        for value in graph[name]["inputs"].values():
            if is_link(value) and value[0] not in cached:
                waiting[name].add(value[0])
                pending.append(value[0])
                if name not in needed_by.setdefault(value[0], []):
                    needed_by[value[0]].append(name)


def _best(ready: list[str], graph: Graph, needed_by: Mapping[str, list[str]]) -> str:
    def is_output(name: str) -> bool:
        return all_nodes()[graph[name]["class_type"]].output

    def rank(name: str) -> int:
        if is_output(name):
            return 0
        later = needed_by.get(name, ())
        if any(is_output(one) for one in later):
            return 1
        return 2 if any(is_output(two) for one in later for two in needed_by.get(one, ())) else 3

    return min(ready, key=rank)


def signatures(graph: Graph, outputs: tuple[str, ...], run: Run) -> dict[str, str]:
    """For each node that is needed what decides its result: class, values, and the same of everything before it."""
    keys: dict[str, str] = {}

    def key_of(name: str) -> str:
        if name not in keys:
            node, inputs = all_nodes()[graph[name]["class_type"]], graph[name]["inputs"]
            parts: dict[str, Any] = {}
            for key, value in sorted(inputs.items()):
                parts[key] = [key_of(value[0]), value[1]] if is_link(value) else {"value": value}
            plain = {key: value for key, value in inputs.items() if not is_link(value)}
            changes = node.changes(run, **plain) if node.changes else ""
            whole = json.dumps([node.name, parts, changes], default=repr)
            keys[name] = hashlib.sha256(whole.encode()).hexdigest()
        return keys[name]

    for output in outputs:
        key_of(output)
    return keys


def full_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def shown(value: Any) -> Any:
    """As an error message carries an input."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return (
        f"tensor({np.array2string(value, precision=4, threshold=64)})" if isinstance(value, np.ndarray) else str(value)
    )
