"""How a node says what it takes and gives: the words of ComfyUI's `/object_info`, declared beside the function that does the work."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Section = Literal["required", "optional"]
Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One input. choices: of a list input, None for others.

    files: where the choices come from instead: a folder of models ("checkpoints"), or "input" for uploaded pictures.
    """

    name: str
    type: str
    options: Options = field(default_factory=dict)
    choices: tuple[str, ...] | None = None
    files: str = ""
    section: Section = "required"

    @property
    def listed(self) -> bool:
        return self.choices is not None or bool(self.files)

    @property
    def names_model(self) -> bool:
        """Its choices are files of models, whichever folder those lie in."""
        return bool(self.files) and self.files != "input"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What an output node returns. ui: what `executed` and the history carry. values: for the nodes after it."""

    ui: Mapping[str, Any] = field(default_factory=dict)
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A class of nodes. modern: declared in ComfyUI's newer way, which `/object_info` words a little differently.

    changes: what else than the inputs decides the result (a file's bytes); its answer is part of the cache key.
    check: looks at the inputs before anything runs; True, or what is wrong.
    """

    name: str
    slots: tuple[Slot, ...]
    gives: tuple[str, ...]
    names: tuple[str, ...]
    function: Callable[..., Any]
    summary: str
    category: str
    title: str | None
    module: str
    modern: bool = False
    output: bool = False
    wants_run: bool = False
    changes: Callable[..., Any] | None = None
    check: Callable[..., tuple[str, str] | None] | None = None

    def slot(self, name: str) -> Slot | None:
        return next((slot for slot in self.slots if slot.name == name), None)


class Shelf:
    """The nodes of one module, in the order they were declared."""

    def __init__(self, module: str, *, modern: bool = False) -> None:
        self._module = module
        self._modern = modern
        self._nodes: dict[str, Node] = {}

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def node(
        self,
        name: str,
        *slots: Slot,
        gives: Sequence[str] = (),
        names: Sequence[str] = (),
        category: str,
        title: str | None = None,
        module: str = "",
        modern: bool | None = None,
        output: bool = False,
        changes: Callable[..., Any] | None = None,
        check: Callable[..., tuple[str, str] | None] | None = None,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Declare the function as a node; its docstring's first line is the summary."""

        def declared(function: Callable[..., Any]) -> Callable[..., Any]:
            is_modern = self._modern if modern is None else modern
            self._nodes[name] = Node(
                name=name,
                slots=slots,
                gives=tuple(gives),
                names=tuple(names or gives),
                function=function,
                summary=(inspect.getdoc(function) or "").partition("\n")[0],
                category=category,
                title=title if title or is_modern else name,
                module=module or self._module,
                modern=is_modern,
                output=output,
                wants_run="run" in inspect.signature(function).parameters,
                changes=changes,
                check=check,
            )
            return function

        return declared


def link(name: str, kind: str, *, section: Section = "required", **options: Any) -> Slot:
    """An input that only another node can fill."""
    return Slot(name=name, type=kind, section=section, options=options)


def image(name: str = "image", *, section: Section = "required", **options: Any) -> Slot:
    return link(name, "IMAGE", section=section, **options)


def mask(name: str = "mask", *, section: Section = "required") -> Slot:
    return link(name, "MASK", section=section)


def whole(
    name: str,
    default: int | None = None,
    least: int | None = None,
    most: int | None = None,
    step: int | None = None,
    *,
    section: Section = "required",
    **options: Any,
) -> Slot:
    return Slot(name=name, type="INT", section=section, options=_range(default, least, most, step) | options)


def number(
    name: str,
    default: float | None = None,
    least: float | None = None,
    most: float | None = None,
    step: float | None = None,
    **options: Any,
) -> Slot:
    return Slot(name=name, type="FLOAT", options=_range(default, least, most, step) | options)


def text(name: str, default: str | None = None, **options: Any) -> Slot:
    return Slot(name=name, type="STRING", options=({} if default is None else {"default": default}) | options)


def flag(name: str, default: bool | None = None, *, section: Section = "required", **options: Any) -> Slot:
    found = ({} if default is None else {"default": default}) | options
    return Slot(name=name, type="BOOLEAN", section=section, options=found)


def choice(name: str, *choices: str, section: Section = "required", **options: Any) -> Slot:
    return Slot(name=name, type="COMBO", choices=choices, section=section, options=options)


def file(name: str, folder: str, **options: Any) -> Slot:
    return Slot(name=name, type="COMBO", files=folder, options=options)


def _range(default: float | None, least: float | None, most: float | None, step: float | None) -> dict[str, Any]:
    given = {"default": default, "min": least, "max": most, "step": step}
    return {key: value for key, value in given.items() if value is not None}
