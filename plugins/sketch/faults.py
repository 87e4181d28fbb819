"""Faults that a test can ask a sketch server for (`--fault NAME[:ARGUMENT]`). Without any this does nothing."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

EXPLAINED = {
    "slow": "slow:SECONDS makes every job take that much longer",
    "freeze-after": "freeze-after:N answers nothing any more after N submitted jobs, but keeps its connections",
    "garbage": "garbage answers everything with text that is no JSON",
    "error": "error:CLASS makes every node of that class fail",
    "drop-socket": "drop-socket closes the web sockets when a job starts",
    "lost-cancel": "lost-cancel accepts cancels and ignores the first one of each job",
    "late-history": "late-history:SECONDS keeps a finished job out of the history for that long",
    "die-in-job": "die-in-job ends the process when the second node of a job starts",
    "memory": "memory:GIGABYTES is a device with that much: a node that makes more megapixels than that runs out of it",
    "full-memory": "full-memory makes every job run out of memory until /free is called",
}


class OutOfMemoryError(RuntimeError):
    """As torch says it."""


class WrongFault(ValueError):
    """The words say what can be written."""


@dataclass(kw_only=True)
class Faults:
    """slow_seconds, late_history: seconds. freeze_after: jobs, 0 for never. failing: class names. memory: bytes, 0 for any."""

    slow_seconds: float = 0
    freeze_after: int = 0
    garbage: bool = False
    failing: frozenset[str] = frozenset()
    drop_socket: bool = False
    lost_cancel: bool = False
    late_history: float = 0
    die_in_job: bool = False
    memory: int = 0
    full_memory: bool = False
    nodes_begun: int = 0

    def before_node(self, name: str, inputs: Mapping[str, Any]) -> None:
        """Raises RuntimeError for a failing class and for want of memory; may end the process."""
        self.nodes_begun += 1
        if self.die_in_job and self.nodes_begun >= 2:
            os._exit(137)
        if name in self.failing:
            raise RuntimeError(f"{name} was asked to fail")
        if self.full_memory or (self.memory and _needs(inputs) > self.memory):
            raise OutOfMemoryError("Allocation on device 0 would exceed allowed memory. (out of memory)")

    def free(self) -> None:
        """Models are unloaded."""
        self.full_memory = False


def _needs(inputs: Mapping[str, Any]) -> float:
    """Bytes, a gigabyte for each megapixel that a node makes by its own settings."""
    sizes = [inputs.get(name, 1 if name == "batch_size" else 0) for name in ("width", "height", "batch_size")]
    return prod(sizes) * 1000.0 if all(isinstance(size, int) for size in sizes) else 0.0


def parse(written: Sequence[str]) -> Faults:
    """Raises WrongFault."""
    faults = Faults()
    for one in written:
        name, _, argument = one.partition(":")
        try:
            _set(faults, name, argument)
        except ValueError as error:
            raise WrongFault(f"--fault {one}: {EXPLAINED.get(name) or 'one of ' + ', '.join(EXPLAINED)}") from error
    return faults


def _set(faults: Faults, name: str, argument: str) -> None:
    match name:
        case "slow":
            faults.slow_seconds = float(argument)
        case "freeze-after":
            faults.freeze_after = int(argument)
        case "late-history":
            faults.late_history = float(argument)
        case "error" if argument:
            faults.failing |= {argument}
        case "memory":
            faults.memory = int(float(argument) * 1e9)
        case "garbage" | "drop-socket" | "lost-cancel" | "die-in-job" | "full-memory" if not argument:
            setattr(faults, name.replace("-", "_"), True)
        case _:
            raise ValueError(name)
