"""Faults that a test can ask a sketch server for (`--fault NAME[:ARGUMENT]`). Without any this does nothing."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

EXPLAINED = {
    "slow": "slow:SECONDS makes every job take that much longer",
    "freeze-after": "freeze-after:N answers nothing any more after N submitted jobs, but keeps its connections",
    "garbage": "garbage answers everything with text that is no JSON",
    "error": "error:CLASS makes every node of that class fail",
    "drop-socket": "drop-socket closes the web sockets when a job starts",
    "lost-cancel": "lost-cancel accepts cancels and ignores the first one of each job",
    "late-history": "late-history:SECONDS keeps a finished job out of the history for that long",
    "die-in-job": "die-in-job ends the process when the second node of a job starts",
}


class WrongFault(ValueError):
    """The words say what can be written."""


@dataclass(kw_only=True)
class Faults:
    """slow_seconds, late_history: seconds. freeze_after: jobs, 0 for never. failing: class names."""

    slow_seconds: float = 0
    freeze_after: int = 0
    garbage: bool = False
    failing: frozenset[str] = frozenset()
    drop_socket: bool = False
    lost_cancel: bool = False
    late_history: float = 0
    die_in_job: bool = False
    nodes_begun: int = 0

    def before_node(self, name: str) -> None:
        """Raises RuntimeError for a failing class; may end the process."""
        self.nodes_begun += 1
        if self.die_in_job and self.nodes_begun >= 2:
            os._exit(137)
        if name in self.failing:
            raise RuntimeError(f"{name} was asked to fail")


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
        case "garbage" | "drop-socket" | "lost-cancel" | "die-in-job" if not argument:
            setattr(faults, name.replace("-", "_"), True)
        case _:
            raise ValueError(name)
