"""The sidecar `<name>.yaml`: what its author says about a workflow. It wins over what was inferred."""

import difflib
from collections.abc import Sequence
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..chat.messages import FILE_TYPES, FieldType
from ..errors import BadInput
from ..values import replace
from .graph import link_of, title_of
from .names import free_name, name_from
from .words import label_for
from .workflow import Category, Graph, Input, Role

Place = int | str
Scalar = bool | int | float | str
Tag = Annotated[str, Field(pattern=r"^\S+$")]


class BadSidecar(BadInput):
    """A sidecar that cannot be used. lines: one a mistake, each with its place and the mend."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class InputNote(BaseModel):
    """One entry under `inputs`. `node` and `input`, or `targets`, say where the value goes; without them it is an inferred input."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = ""
    description: str = ""
    type: FieldType | None = None
    default: Scalar | None = None
    required: bool | None = None
    min: float | None = None
    max: float | None = None
    step: float | None = Field(default=None, gt=0)
    choices: tuple[Scalar, ...] | None = None
    hidden: bool | None = None
    advanced: bool | None = None
    role: Role | None = None
    node: Place | None = None
    input: str | None = None
    targets: tuple[tuple[Place, str], ...] | None = None

    @model_validator(mode="after")
    def _whole_place(self) -> Self:
        if (self.node is None) != (self.input is None):
            raise ValueError("say both, node and input")
        return self

    def places(self) -> tuple[tuple[str, str], ...]:
        listed = self.targets or (((self.node, self.input),) if self.node is not None and self.input else ())
        return tuple((str(node), field) for node, field in listed)


class Sidecar(BaseModel):
    """Every key may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = ""
    description: str = ""
    category: Category | None = None
    aliases: tuple[str, ...] = ()
    expect_seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    run_seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    tags: tuple[Tag, ...] = ()
    inputs: dict[str, InputNote] = Field(default_factory=dict)
    outputs: tuple[Place, ...] = ()


SHAPES = {
    "default": "it should be a text, a number, true or false",
    "node": "it should be the id of a node",
    "outputs": "it should be a list of node ids",
    "targets": "it should be a list such as [[3, seed], [7, seed]]",
    "choices": "it should be a list such as [small, large]",
    "aliases": "it should be a list of names",
    "tags": "it should be a list of words, such as [fast, video]",
}


def read_sidecar(text: str) -> Sidecar:
    """Raises BadSidecar, a line a mistake: `line 7, inputs.width.min: what is wrong`."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or "it cannot be read"
        raise BadSidecar((f"line {mark.line + 1}, " if mark else "") + f"this is no YAML: {reason}") from None
    if not isinstance(data, dict | None):
        raise BadSidecar("line 1, write keys with values, such as `title: My workflow`")
    try:
        return Sidecar.model_validate(data or {})
    except ValidationError as error:
        mistakes = {_key(item): _mend(item) for item in reversed(error.errors())}
        lines = (located(root, f"{key}: {mend}") for key, mend in reversed(mistakes.items()))
        raise BadSidecar(*lines) from None


def located(root: Any, reason: str) -> str:
    """The reason, which begins with a key and a colon, with the line of that key in front. root: YAML text or its node."""
    here = yaml.compose(root, Loader=yaml.SafeLoader) if isinstance(root, str) else root
    line = 1
    for part in reason.split(":", maxsplit=1)[0].split("."):
        pairs = here.value if isinstance(here, yaml.MappingNode) else []
        match = next(((key, value) for key, value in pairs if key.value == part), None)
        if match is None:
            break
        line, here = match[0].start_mark.line + 1, match[1]
    return f"line {line}, {reason}"


def _key(error: Any) -> str:
    """The key as its author wrote it; pydantic adds which member of a union it tried."""
    path = [str(part) for part in error["loc"]]
    return ".".join(path[: 3 if path[:1] == ["inputs"] else 1])


def _mend(error: Any) -> str:
    path = _key(error).split(".")
    if error["type"] == "extra_forbidden":
        known = InputNote.model_fields if len(path) > 2 else Sidecar.model_fields
        near = difflib.get_close_matches(path[-1], known, n=1)
        return "there is no such key; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}")
    if error["type"] in {"model_type", "dict_type"}:
        return "it should be keys with values, each on its own line"
    return SHAPES.get(path[-1]) or str(error["msg"]).replace("Input should", "it should").removeprefix("Value error, ")


def declared_inputs(graph: Graph, inferred: Sequence[Input], sidecar: Sidecar) -> tuple[Input, ...]:
    """The inferred inputs as the sidecar changes, names and adds to them. Raises BadSidecar with every mistake in it."""
    found = list(inferred)
    mistakes: list[str] = []
    for name, note in sidecar.inputs.items():
        try:
            _apply(graph, found, name, note)
        except BadSidecar as error:
            mistakes += [f"inputs.{name}: {line}" for line in error.lines]
    if mistakes:
        raise BadSidecar(*mistakes)
    return tuple(found)


def checked_outputs(graph: Graph, sidecar: Sidecar) -> tuple[str, ...]:
    """The nodes that the sidecar names. Raises BadSidecar for one that does not exist."""
    outputs = tuple(str(node) for node in sidecar.outputs)
    missing = [node for node in outputs if node not in graph]
    if missing:
        raise BadSidecar(f"outputs: there is no node {missing[0]}; {_nodes(graph)}")
    return outputs


def _apply(graph: Graph, found: list[Input], name: str, note: InputNote) -> None:
    places = note.places()
    for node, field in places:
        _check_place(graph, node, field)
    at = _meant(found, name, places)
    if at is None and not places:
        raise BadSidecar(
            f"there is no input of this name; there are {_listed(item.name for item in found)}, or say node and input"
        )
    if name_from(name) != name:
        raise BadSidecar("a name has lower-case letters, digits and _, at most 32")
    if at is None:
        found.append(_noted(_added(graph, name, places), note))
        return
    _make_room(found, at, name)
    before = found[at]
    label = before.label if before.name == name else label_for(name)
    found[at] = _noted(replace(before, name=name, label=label, targets=places or before.targets), note)


def _meant(found: Sequence[Input], name: str, places: Sequence[tuple[str, str]]) -> int | None:
    """Which input the note is about: one that it shares a place with, or where it says none, the one of its name."""
    names = (name, name.removeprefix("input_"))
    same = (n for n, item in enumerate(found) if (set(places) & set(item.targets) if places else item.name in names))
    return next(same, None)


def _make_room(found: list[Input], at: int, name: str) -> None:
    """Another input that was given this name has to take a new one."""
    taken = frozenset(item.name for item in found) | {name}
    for n, other in enumerate(found):
        if n != at and other.name == name:
            found[n] = replace(other, name=free_name(name, taken))


def _check_place(graph: Graph, node: str, field: str) -> None:
    if node not in graph:
        raise BadSidecar(f"there is no node {node}; {_nodes(graph)}")
    fields = graph[node]["inputs"]
    if field not in fields:
        raise BadSidecar(f"node {node} has no input {field}; it has {_listed(fields)}")
    link = link_of(fields[field])
    if link is not None:
        raise BadSidecar(f"{field} of node {node} comes from node {link.node}; name that node and its input instead")


def _added(graph: Graph, name: str, places: tuple[tuple[str, str], ...]) -> Input:
    node, field = places[0]
    value = graph[node]["inputs"][field]
    kind: FieldType = "text"
    if isinstance(value, bool):
        kind = "boolean"
    elif isinstance(value, int | float):
        kind = "integer" if isinstance(value, int) else "number"
    default = value if isinstance(value, Scalar) else None
    return Input(name=name, type=kind, targets=places, default=default, label=label_for(name))


def _noted(item: Input, note: InputNote) -> Input:
    """The input with what the note says; what the note leaves out stays."""
    said = note.model_fields_set
    changes: dict[str, Any] = {
        field: getattr(note, key)
        for key, field in (("label", "label"), ("description", "description"), ("type", "type"), ("default", "default"),
                           ("required", "required"), ("min", "minimum"), ("max", "maximum"), ("step", "step"),
                           ("hidden", "hidden"), ("advanced", "advanced"), ("role", "role"))
        if key in said and (getattr(note, key) is not None or key in {"default", "min", "max", "step"})
    }  # fmt: skip
    if note.choices is not None:
        changes["choices"] = tuple(str(choice) for choice in note.choices)
        changes.setdefault("type", "choice")
    if changes.get("type") in FILE_TYPES:
        changes.setdefault("default", None)
    if changes.get("required"):
        changes.setdefault("default", None)
    elif changes.get("default") is not None:
        changes.setdefault("required", False)
    return _checked(replace(item, **changes))


def _checked(item: Input) -> Input:
    low, high = item.minimum, item.maximum
    if low is not None and high is not None and low > high:
        raise BadSidecar(f"min {low:g} is more than max {high:g}")
    if item.type == "choice":
        _check_choices(item)
    if item.type in {"integer", "number"} and item.default is not None:
        _check_number(item, item.default)
    if item.hidden and item.required:
        raise BadSidecar("it is hidden and required: give it a default, or show it")
    return replace(item, default=_typed(item))


def _check_choices(item: Input) -> None:
    if not item.choices:
        raise BadSidecar("say which choices there are, such as `choices: [a, b]`")
    if item.default is not None and str(item.default) not in item.choices:
        raise BadSidecar(f"the default {item.default} is none of the choices {_listed(item.choices)}")


def _check_number(item: Input, default: Scalar) -> None:
    low, high = item.minimum, item.maximum
    if isinstance(default, str | bool):
        raise BadSidecar(f"the default of a number is a number, not {default!r}")
    if (low is not None and default < low) or (high is not None and default > high):
        raise BadSidecar(f"the default {default} is not between min and max")


def _typed(item: Input) -> Scalar | None:
    """The default as its type has it: YAML reads `default: 6` of a number, and of a text, as the integer 6."""
    if item.default is None or item.type in {"integer", "boolean"}:
        return item.default
    return float(item.default) if item.type == "number" else str(item.default)


def _listed(names: Any) -> str:
    return ", ".join(names) or "none"


def _nodes(graph: Graph) -> str:
    return "there are " + ", ".join(f"{node} ({title_of(graph, node)})" for node in graph)
