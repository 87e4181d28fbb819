"""Finding out what of a graph people may set. docs/workflows.md tells the rules to authors."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..chat.messages import FieldType
from ..values import replace
from .classes import Classes, Spec, specs_of
from .deploy import deploy_inputs
from .graph import class_of, link_of, links, run_order, title_of, upstream
from .names import free_name, name_from
from .tracing import Field, number_field, prompts, same_value, text_field, value_of
from .words import DESCRIPTIONS, label_for
from .workflow import Graph, Input

SEED_LIMIT = 2**32 - 1
LIMITS: dict[str, tuple[float, float, float | None]] = {
    "seed": (-1, SEED_LIMIT, None),
    "width": (64, 2048, 8),
    "height": (64, 2048, 8),
    "batch": (1, 6, None),
    "steps": (1, 48, None),
    "cfg": (0, 30, None),
    "guidance": (0, 30, None),
    "strength": (0, 1, None),
}
"""Lowest, highest and step, unless the author's own value lies outside: then the range reaches to it."""

SAMPLES = re.compile(r"sampler|scheduler|guider", re.IGNORECASE)
FILE_NODES = re.compile(r"^Load|Load(Video|Audio|Image)", re.IGNORECASE)
FILE_FIELDS: Mapping[str, FieldType] = {"image": "image", "video": "video", "audio": "audio", "file": "video"}
FRAMES = ("batch_size", "length", "video_frames")
DECLARING_TITLE = re.compile(r"^\s*(?:input_|\$)\s*(\S.*?)\s*$", re.IGNORECASE)
MAIN_FIELDS = (
    "value", "text", "prompt", "string", "image", "video", "audio", "file", "seed", "noise_seed", "ckpt_name", "lora_name",
)  # fmt: skip
PROMPT_NAMES = ("prompt", "positive", "positive_prompt", "text_prompt", "text")


def infer(graph: Graph, outputs: Sequence[str], classes: Classes | None = None) -> tuple[Input, ...]:
    """The inputs of a checked graph: prompt, negative prompt, pictures, then the others as they stand in the graph.

    outputs: only nodes that feed one of these are looked at, apart from nodes that declare an input by themselves.
    classes: a server's `/object_info`, whose ranges and choices are then kept too.
    """
    live = set(upstream(graph, *outputs))
    order = [node for node in run_order(graph) if node in live]
    declared = _with_roles(deploy_inputs(graph))
    known = list(_known(graph, order, [node for node in graph if node in live]))
    if declared:
        settled = any(item.role == "seed" for item in declared)
        known = [item for item in known if item.role == "seed" and not settled]
    found = _titled(graph, _distinct([*declared, *known]), classes)
    return in_order(_described(_limited(item, graph, classes)) for item in found)


def in_order(inputs: Iterable[Input]) -> tuple[Input, ...]:
    """Prompt first, negative prompt second, pictures third; the others keep their order."""
    ranks = {"prompt": 0, "negative": 1, "image": 2}
    return tuple(sorted(inputs, key=lambda item: ranks.get(item.role, 3)))


def _known(graph: Graph, order: Sequence[str], nodes: Sequence[str]) -> Iterator[Input]:
    """What well-known classes say. order: as they run; nodes: the same as they stand in the file."""
    yield from _prompts(graph, order)
    yield from _files(graph, nodes)
    found = {
        "seed": _numbers(graph, nodes, ("seed", "noise_seed")),
        "steps": same_value(graph, _numbers(graph, order, ("steps",), SAMPLES)),
        "cfg": same_value(graph, _numbers(graph, order, ("cfg", "cfg_conds"), SAMPLES)),
        "guidance": same_value(graph, _numbers(graph, order, ("guidance",), re.compile("FluxGuidance"))),
        "strength": same_value(graph, _numbers(graph, order, ("denoise",), SAMPLES)),
        "checkpoint": same_value(graph, _checkpoints(graph, order)),
    }
    canvases = [node for node in order if _is_canvas(graph, node)]
    found |= {name: same_value(graph, _numbers(graph, canvases, (name,))) for name in ("width", "height")}
    found["batch"] = same_value(graph, _numbers(graph, canvases, ("batch_size",)))
    places = {node: place for place, node in enumerate(nodes)}
    for name, fields in sorted((pair for pair in found.items() if pair[1]), key=lambda pair: places[pair[1][0].node]):
        yield _number_input(graph, name, fields)


def _number_input(graph: Graph, name: str, fields: Sequence[Field]) -> Input:
    value = value_of(graph, fields[0])
    repaints = any(FILE_NODES.search(class_of(graph, node)) for node in upstream(graph, fields[0].node))
    match name:
        case "seed":
            return Input(name=name, type="integer", role="seed", targets=tuple(fields), default=-1)
        case "checkpoint":
            return Input(name=name, type="text", role="model", targets=tuple(fields), default=value, advanced=True)
        case "width" | "height" | "batch" | "steps":
            whole = value if value is None else int(value)
            return Input(name=name, type="integer", targets=tuple(fields), default=whole, advanced=name == "steps")
        case _:
            number = value if value is None else float(value)
            advanced = name != "strength" or not repaints
            return Input(name=name, type="number", targets=tuple(fields), default=number, advanced=advanced)


def _prompts(graph: Graph, order: Sequence[str]) -> Iterator[Input]:
    positive, negative = prompts(graph, order)
    positive = positive or _by_title(graph, order, r"^(positive )?prompt$")
    negative = negative or _by_title(graph, order, r"^negative( prompt)?$")
    if positive:
        text = str(value_of(graph, positive[0]) or "")
        blank = not text.strip()
        default = None if blank else text
        yield Input(name="prompt", type="text", role="prompt", targets=positive, required=blank, default=default)
    if negative:
        text = str(value_of(graph, negative[0]) or "")
        yield Input(name="negative", type="text", role="negative", targets=negative, default=text)


def _by_title(graph: Graph, order: Sequence[str], pattern: str) -> tuple[Field, ...]:
    titled = (node for node in order if re.search(pattern, title_of(graph, node).strip(), re.IGNORECASE))
    fields = (Field(node, name) for node in titled for name in ("value", "text", "string", "prompt"))
    texts = (text_field(graph, field) for field in fields)
    return tuple(field for field in texts if field is not None)[:1]


def _files(graph: Graph, nodes: Sequence[str]) -> Iterator[Input]:
    taken: frozenset[str] = frozenset()
    for node in nodes:
        class_type = class_of(graph, node)
        loads = FILE_NODES.search(class_type) is not None and not links(graph, node)
        field = next((name for name in FILE_FIELDS if isinstance(graph[node]["inputs"].get(name), str)), "")
        if not loads or not field:
            continue
        kind = FILE_FIELDS[field]
        name = free_name("mask" if "Mask" in class_type else kind, taken)
        taken |= {name}
        yield _file_input(name, kind, Field(node, field))


def _file_input(name: str, kind: FieldType, field: Field) -> Input:
    """The file that the graph names lies on its author's machine, so it is no default."""
    return Input(name=name, type=kind, role="image" if kind == "image" else "", targets=(field,), required=True)


def _numbers(
    graph: Graph, nodes: Iterable[str], names: Sequence[str], classes: re.Pattern[str] | None = None
) -> tuple[Field, ...]:
    """The fields of these names, each where its number really stands, each once."""
    fields = [
        number_field(graph, Field(node, name))
        for node in nodes
        for name in names
        if classes is None or classes.search(class_of(graph, node))
    ]
    return tuple(dict.fromkeys(field for field in fields if field is not None))


def _checkpoints(graph: Graph, nodes: Iterable[str]) -> list[Field]:
    return [Field(node, "ckpt_name") for node in nodes if isinstance(graph[node]["inputs"].get("ckpt_name"), str)]


def _is_canvas(graph: Graph, node: str) -> bool:
    """It decides the size of the result: an empty latent or picture, or the start of a video."""
    fields = graph[node]["inputs"]
    return "width" in fields and "height" in fields and any(name in fields for name in FRAMES)


def _distinct(inputs: Sequence[Input]) -> list[Input]:
    """One primitive may feed several fields: the first input that writes to it keeps it."""
    kept: list[Input] = []
    for item in inputs:
        claimed = {target for other in kept for target in other.targets}
        targets = tuple(target for target in item.targets if target not in claimed)
        if targets:
            kept.append(replace(item, targets=targets))
    return kept


def _with_roles(inputs: Sequence[Input]) -> list[Input]:
    """The declared text that is the prompt, by its name or by being the first, and the one that is the negative."""
    texts = [item for item in inputs if item.type == "text" and not item.role]
    negative = next((item for item in texts if "negative" in item.name), None)
    named = (item for name in PROMPT_NAMES for item in texts if item.name == name)
    prompt = next(named, next((item for item in texts if item is not negative), None))
    return [
        replace(item, role="prompt") if item is prompt else replace(item, role="negative") if item is negative else item
        for item in inputs
    ]


def _titled(graph: Graph, inputs: Sequence[Input], classes: Classes | None) -> list[Input]:
    """Nodes titled `input_<name>` or `$name` name an input that was found, or add one."""
    found = list(inputs)
    for node in graph:
        match = DECLARING_TITLE.match(title_of(graph, node))
        name = name_from(match[1]) if match else ""
        field = _main_field(graph, node) if name else None
        if field is None:
            continue
        place = next((n for n, item in enumerate(found) if field in item.targets), len(found))
        taken = frozenset(item.name for n, item in enumerate(found) if n != place)
        if place < len(found):
            found[place] = replace(found[place], name=free_name(name, taken))
        else:
            found.append(_plain_input(graph, field, free_name(name, taken), classes))
    return found


def _main_field(graph: Graph, node: str) -> Field | None:
    """The widget that stands for the whole node: by its usual name, else the first that holds a value."""
    fields = graph[node]["inputs"]
    for name in (*(name for name in MAIN_FIELDS if name in fields), *fields):
        if value_of(graph, Field(node, name)) is not None:
            return Field(node, name)
        found = text_field(graph, Field(node, name)) if link_of(fields[name]) and name in {"text", "prompt"} else None
        if found is not None:
            return found
    return None


def _plain_input(graph: Graph, field: Field, name: str, classes: Classes | None) -> Input:
    """An input of the type that the field's present value has."""
    value = value_of(graph, field)
    class_type = class_of(graph, field.node)
    if FILE_NODES.search(class_type) and field.name in FILE_FIELDS:
        return _file_input(name, FILE_FIELDS[field.name], field)
    spec = specs_of(classes or {}, class_type).get(field.name)
    if spec is not None and spec.choices and isinstance(value, str):
        choices = tuple(str(choice) for choice in spec.choices)
        return Input(name=name, type="choice", targets=(field,), default=value, choices=choices)
    match value:
        case bool():
            return Input(name=name, type="boolean", targets=(field,), default=value)
        case int() if spec is None or spec.type != "FLOAT":
            return Input(name=name, type="integer", targets=(field,), default=value)
        case int() | float():
            return Input(name=name, type="number", targets=(field,), default=float(value))
        case _:
            text = str(value or "")
            return Input(name=name, type="text", targets=(field,), default=text or None, required=not text.strip())


def _limited(item: Input, graph: Graph, classes: Classes | None) -> Input:
    """With the limits of its name, narrowed to what its nodes take, widened to its own default."""
    if item.type not in {"integer", "number"}:
        return item
    low, high, step = item.minimum, item.maximum, item.step
    known = "seed" if item.role == "seed" else item.name
    if low is None and high is None and (known in {"seed", "width", "height", "batch", "steps"} or _inferred(item)):
        low, high, step = LIMITS.get(known, (low, high, step))
    if classes is not None and item.role != "seed":
        low, high = _narrowed(low, high, _specs(item, graph, classes))
    if isinstance(item.default, int | float):
        low = None if low is None else min(low, item.default)
        high = None if high is None else max(high, item.default)
    if step and isinstance(item.default, int | float) and item.default % step:
        step = None
    return replace(item, minimum=low, maximum=high, step=step)


def _inferred(item: Input) -> bool:
    fields = {name for _, name in item.targets}
    return bool(fields & {"cfg", "cfg_conds", "denoise", "guidance"})


def _specs(item: Input, graph: Graph, classes: Classes) -> list[Spec]:
    found = (specs_of(classes, class_of(graph, node)).get(name) for node, name in item.targets)
    return [spec for spec in found if spec is not None]


def _narrowed(low: float | None, high: float | None, specs: Iterable[Spec]) -> tuple[float | None, float | None]:
    for spec in specs:
        least, most = spec.number("min"), spec.number("max")
        low = least if low is None else low if least is None else max(low, least)
        high = most if high is None else high if most is None else min(high, most)
    return low, high


def _described(item: Input) -> Input:
    known = item.role if item.role in {"prompt", "negative", "seed"} else item.name.rstrip("0123456789") or item.name
    return replace(
        item,
        targets=tuple((node, field) for node, field in item.targets),
        label=item.label or label_for(item.name),
        description=item.description or DESCRIPTIONS.get(known, ""),
    )
