"""A folder of workflows: `<name>.json` in API format, and beside it, if its author likes, `<name>.yaml`."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from ..clock import Clock
from ..log import get_logger
from .classes import Classes
from .declaration import declare
from .graph import BadGraph, read_graph
from .names import name_from
from .sidecar import BadSidecar, located, read_sidecar
from .workflow import Graph, Loaded, Problem, Workflow

POLL_SECONDS = 2.0
SIDECARS = (".yaml", ".yml")

DEEPEST = 50
"""Levels of lists and objects: node, inputs, and what the widgets of foreign nodes hold."""
LONGEST_NUMBER = 40

log = get_logger(__name__)

Snapshot = tuple[tuple[str, int, int], ...]


class FolderSource:
    """clock: looks for changed files every two seconds; None for a folder that does not change, such as one in a package."""

    def __init__(self, folder: Path, *, name: str = "folder", clock: Clock | None = None) -> None:
        self.name = name
        self._folder = folder
        self._clock = clock
        self._seen: Snapshot | None = None

    async def load(self) -> Loaded:
        # Taken before the files are read, so that what is written meanwhile is seen as a change.
        self._seen = await asyncio.to_thread(snapshot, self._folder)
        return await asyncio.to_thread(load_folder, self._folder)

    async def changes(self) -> AsyncGenerator[None]:
        while self._clock is not None:
            await self._clock.sleep(POLL_SECONDS)
            now = await asyncio.to_thread(snapshot, self._folder)
            if now != self._seen:
                self._seen = now
                yield


def snapshot(folder: Path) -> Snapshot:
    """Name, time of change and size of every file that counts."""
    found = []
    for path in _files(folder, (".json", *SIDECARS)):
        try:
            stat = path.stat()
        except OSError:
            continue
        found.append((path.name, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def load_folder(folder: Path) -> Loaded:
    """All workflows of a folder, in the order of their names. Blocks."""
    if not folder.is_dir():
        return Loaded(
            problems=(
                Problem(source=str(folder), reason="there is no such folder; make it, or change workflows.folder"),
            )
        )
    workflows: dict[str, Workflow] = {}
    problems: list[Problem] = []
    for path in _files(folder, (".json",)):
        try:
            workflow, bad = load_file(path)
        except Exception as error:  # no file takes the others away
            log.exception("workflow cannot be read", file=str(path))
            reason = f"it made the reader fail, which is a bug of ours: {type(error).__name__}"
            workflow, bad = None, (Problem(source=str(path), reason=reason),)
        problems += bad
        if workflow is None:
            continue
        first = workflows.setdefault(workflow.name, workflow)
        if first is not workflow:
            reason = f"its name is {workflow.name}, which {Path(first.source).name} has; rename one of them"
            problems.append(Problem(source=str(path), reason=reason))
    return Loaded(workflows=tuple(workflows.values()), problems=(*problems, *_orphans(folder)))


def load_file(path: Path, classes: Classes | None = None) -> tuple[Workflow | None, Sequence[Problem]]:
    """One workflow with its sidecar, or all that is wrong with it. Blocks. classes: a server's `/object_info`."""
    name = name_from(path.stem)
    if not name:
        return None, (
            Problem(source=str(path), reason="its name has no letter or digit; rename it to make.json or the like"),
        )
    try:
        graph = read_graph_file(path)
    except BadGraph as error:
        return None, (Problem(source=str(path), node=error.node, reason=error.reason),)
    except OSError as error:
        return None, (Problem(source=str(path), reason=f"it cannot be read: {error.strerror}"),)
    beside = next((found for found in map(path.with_suffix, SIDECARS) if found.is_file()), None)
    if beside is None:
        return declare(name, graph, classes=classes, source=str(path)), ()
    return _declare_with(beside, name, graph, classes, path)


def _declare_with(
    beside: Path, name: str, graph: Graph, classes: Classes | None, path: Path
) -> tuple[Workflow | None, Sequence[Problem]]:
    try:
        text = beside.read_text("utf-8-sig")
        sidecar = read_sidecar(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        return None, (Problem(source=str(beside), reason=f"it cannot be read: {reason}"),)
    except BadSidecar as error:
        return None, tuple(Problem(source=str(beside), reason=line) for line in error.lines)
    try:
        return declare(name, graph, sidecar, classes=classes, source=str(path)), ()
    except BadSidecar as error:
        return None, tuple(Problem(source=str(beside), reason=located(text, line)) for line in error.lines)


def read_graph_file(path: Path) -> Graph:
    """Raises BadGraph, and OSError when there is no such file."""
    try:
        data = json.loads(path.read_bytes().decode("utf-8-sig"), parse_constant=_no_number, parse_int=_whole_number)
    except json.JSONDecodeError as error:
        raise BadGraph(f"this is no JSON: {error.msg}, line {error.lineno}") from None
    except UnicodeDecodeError:
        raise BadGraph("this is no JSON: it is not UTF-8 text") from None
    except RecursionError:
        raise BadGraph("it is nested too deeply to be a workflow") from None
    _check_depth(data)
    return read_graph(data)


def _no_number(name: str) -> None:
    raise BadGraph(f"this is no JSON: {name} is no number there; write one that ComfyUI can use")


def _whole_number(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise BadGraph(f"it holds a whole number of {len(digits)} digits; ComfyUI takes at most 20")
    return int(digits)


def _check_depth(data: object) -> None:
    """Whatever is made of a graph later may go down into it by recursion."""
    level = [data]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise BadGraph("it is nested too deeply to be a workflow")


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if path.suffix in suffixes and not path.name.startswith(".")]
    except OSError:
        return []
    return sorted(path for path in found if not path.is_dir())


def _orphans(folder: Path) -> list[Problem]:
    return [
        Problem(source=str(path), reason=f"there is no {path.stem}.json beside it")
        for path in _files(folder, SIDECARS)
        if not path.with_suffix(".json").is_file()
    ]
