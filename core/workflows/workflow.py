"""A workflow: a ComfyUI graph with declared inputs, which the gateway offers as a command."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from ..chat.messages import FieldType

Graph = Mapping[str, Mapping[str, Any]]
"""API format: node id → {"class_type", "inputs", "_meta"?}."""
Category = Literal["text to image", "image to image", "to video", "to text", "utility"]
Role = Literal["prompt", "negative", "seed", "model", "image", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A value of the graph that people may set.

    targets: the (node id, input name) pairs that the value is written to.
    hidden: nobody is asked or may set it; its default, or a drawn seed, is written.
    role: what the gateway knows it as. "seed" is drawn anew when -1 or unset; "model" takes one that the server has when unset.
    """

    name: str
    type: FieldType
    targets: tuple[tuple[str, str], ...]
    role: Role = ""
    label: str = ""
    description: str = ""
    required: bool = False
    default: str | int | float | bool | None = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    advanced: bool = False
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """name: the command's name, `[a-z0-9_]{1,32}`. version: sha256 of graph and declaration, 16 hex digits.

    graph: API format, as it came. expect_seconds: a usual run, 0 for unknown. source: where it came from, for the operator.
    outputs: node ids whose results are shown. aliases: other names of the command. tags: a backend must have all of them.
    run_seconds: the longest that a run may take, 0 for the gateway's own limit.
    """

    name: str
    version: str
    title: str
    description: str
    category: Category
    graph: Graph
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    expect_seconds: float = 0
    source: str = ""
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    run_seconds: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A workflow, or a part of it, that cannot be used. node: its id, or ""."""

    source: str
    reason: str
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a source has at one moment."""

    workflows: Sequence[Workflow] = ()
    problems: Sequence[Problem] = field(default=())


@runtime_checkable
class WorkflowSource(Protocol):
    """Where workflows come from: a folder, a ComfyDeploy account."""

    @property
    def name(self) -> str: ...

    async def load(self) -> Loaded:
        """All of them, now. A bad one becomes a Problem and stops nobody."""
        ...

    def changes(self) -> AsyncIterator[None]:
        """An item whenever `load` may give something else. May end at once."""
        ...
