"""Following links backwards: from a sampler to the text it draws, from a number to the primitive that holds it."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .graph import Link, Scalar, class_of, link_of, links, title_of, upstream
from .workflow import Graph

SAMPLER = re.compile(r"sampler|guider", re.IGNORECASE)
POSITIVE = ("positive", "cond1", "conditioning")
NEGATIVE = ("negative", "cond2")
TEXT_FIELDS = (
    "text",
    "prompt",
    "text_g",
    "text_l",
    "clip_g",
    "clip_l",
    "t5xxl",
    "user_prompt",
    "bert",
    "mt5xl",
    "tags",
)
STRING_FIELDS = ("value", "text", "string", "prompt", "string_a", "string_b")
NUMBER_FIELDS = ("value", "seed", "noise_seed", "number", "int", "float")
NOT_CONDITIONING = frozenset(
    {"model", "clip", "vae", "image", "images", "pixels", "mask", "samples", "latent", "latent_image", "control_net"}
)
PROMPT_TITLE = re.compile(r"\bprompt\b", re.IGNORECASE)
FRAME_TITLE = re.compile(r"system|prefix|suffix|style|quality|trigger", re.IGNORECASE)
"""Titles of fixed texts that are joined to the prompt."""


class Field(NamedTuple):
    """An input of a node."""

    node: str
    name: str


def value_of(graph: Graph, field: Field) -> Scalar | None:
    """What the field holds, None for a link or anything that is no plain value."""
    value = graph[field.node]["inputs"].get(field.name)
    return value if isinstance(value, str | int | float | bool) else None


def prompts(graph: Graph, nodes: Iterable[str]) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    """The fields that hold the prompt and the negative prompt of the samplers among `nodes`; either may be empty.

    Encoders that hold the same text as the first (a base model and its refiner) belong to it.
    """
    positive: list[Field] = []
    negative: list[Field] = []
    for sink in _sinks(graph, nodes):
        wanted = _first_encoder(graph, sink, POSITIVE, other=None)
        positive += _texts(graph, wanted)
        negative += _texts(graph, _first_encoder(graph, sink, NEGATIVE, other=wanted))
    return same_value(graph, positive), same_value(graph, [field for field in negative if field not in positive])


def same_value(graph: Graph, fields: Iterable[Field]) -> tuple[Field, ...]:
    """The first field and every other with its value, or of its node; each once."""
    unique = list(dict.fromkeys(fields))
    return tuple(f for f in unique if value_of(graph, f) == value_of(graph, unique[0]) or f.node == unique[0].node)


def number_field(graph: Graph, field: Field) -> Field | None:
    """Where a number really stands: the field itself, or that of a primitive that feeds it. None when it is computed."""
    for _ in graph:
        value = graph[field.node]["inputs"].get(field.name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return field
        link = link_of(value)
        if link is None:
            return None
        source = graph[link.node]["inputs"]
        name = next((name for name in (field.name, *NUMBER_FIELDS) if name in source), "")
        field = Field(link.node, name)
    return None


def text_field(graph: Graph, field: Field) -> Field | None:
    """Where a text really stands: the field itself, or the likeliest of the texts that are joined into it."""
    value = graph[field.node]["inputs"].get(field.name)
    if isinstance(value, str):
        return field
    link = link_of(value)
    if link is None:
        return None
    found = list(_strings(graph, link.node))
    return max(enumerate(found), key=lambda pair: (_likeness(graph, pair[1]), pair[0]))[1] if found else None


def _strings(graph: Graph, node: str) -> Iterator[Field]:
    for source in upstream(graph, node):
        for name in STRING_FIELDS:
            if isinstance(graph[source]["inputs"].get(name), str):
                yield Field(source, name)


def _likeness(graph: Graph, field: Field) -> int:
    title = title_of(graph, field.node)
    if FRAME_TITLE.search(title) or field.name in {"string_a", "string_b"}:
        return 0
    return 2 if PROMPT_TITLE.search(title) else 1


def _sinks(graph: Graph, nodes: Iterable[str]) -> list[str]:
    takers = [node for node in nodes if any(name in links(graph, node) for name in (*POSITIVE, *NEGATIVE))]
    return [node for node in takers if SAMPLER.search(class_of(graph, node))] or takers


def _first_encoder(graph: Graph, sink: str, names: tuple[str, ...], other: str | None) -> str | None:
    linked = links(graph, sink)
    found = (_encoder(graph, linked[name]) for name in names if name in linked)
    return next((node for node in found if node is not None and node != other), None)


def _encoder(graph: Graph, link: Link) -> str | None:
    """The first text encoder behind a conditioning, however many nodes change it on the way. None when it is zeroed out."""
    waiting = [link]
    seen = set(waiting)
    while waiting:
        here = waiting.pop()
        if class_of(graph, here.node) == "ConditioningZeroOut":
            continue
        behind = _conditionings(graph, here)
        texts = any(name in graph[here.node]["inputs"] for name in TEXT_FIELDS)
        if texts and (not behind or "TextEncode" in class_of(graph, here.node)):
            return here.node
        fresh = [before for before in reversed(behind) if before not in seen]
        seen.update(fresh)
        waiting += fresh
    return None


def _conditionings(graph: Graph, here: Link) -> list[Link]:
    """The inputs of a node that its output number `slot` is made of."""
    linked = links(graph, here.node)
    sides = [[link for name, link in linked.items() if name.startswith(side)] for side in ("positive", "negative")]
    if any(sides):
        return sides[here.slot] if here.slot < len(sides) else []
    named = [link for name, link in linked.items() if "cond" in name.lower()]
    encodes = any(name in graph[here.node]["inputs"] for name in TEXT_FIELDS)
    return named or ([] if encodes else [link for name, link in linked.items() if name not in NOT_CONDITIONING])


def _texts(graph: Graph, encoder: str | None) -> list[Field]:
    if encoder is None:
        return []
    names = (name for name in TEXT_FIELDS if name in graph[encoder]["inputs"])
    found = (text_field(graph, Field(encoder, name)) for name in names)
    return [field for field in found if field is not None]
