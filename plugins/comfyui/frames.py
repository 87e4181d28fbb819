"""One message of ComfyUI's WebSocket, read from its bytes. What cannot be read is None and nobody's trouble."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NUMBERS = 8
"""Bytes of the two numbers that every binary message begins with."""


@dataclass(frozen=True, slots=True)
class Event:
    """A JSON message. prompt: the job that it is about, "" for none."""

    type: str
    prompt: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture of the state so far. prompt: "" for the job last named by `executing`."""

    prompt: str
    image: bytes


@dataclass(frozen=True, slots=True)
class NodeText:
    """What a node says while it runs, of the job last named by `executing`."""

    node: str
    text: str


Frame = Event | Preview | NodeText


def read(message: str | bytes) -> Frame | None:
    try:
        return _read_json(message) if isinstance(message, str) else _read_binary(message)
    except (ValueError, struct.error, RecursionError):
        return None


def _read_json(message: str) -> Event | None:
    match json.loads(message):
        case {"type": str(type_), "data": dict(data)}:
            prompt = data.get("prompt_id")
            return Event(type_, prompt if isinstance(prompt, str) else "", data)
    return None


def _read_binary(message: bytes) -> Frame | None:
    kind, second = struct.unpack_from(">II", message)
    rest = message[_NUMBERS:]
    match kind:
        case 1:  # a preview: the second number is the format, 1 JPEG, 2 PNG; the bytes say so themselves
            return Preview("", rest) if rest else None
        case 3:  # text
            return NodeText(rest[:second].decode(), rest[second:].decode())
        case 4:  # a preview with metadata
            metadata, image = json.loads(rest[:second]), rest[second:]
            prompt = metadata.get("prompt_id") if isinstance(metadata, dict) else None
            return Preview(prompt, image) if isinstance(prompt, str) and image else None
    return None
