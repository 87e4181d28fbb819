"""How long people wait for `chatelier --help`, beside Python alone and the help of other programs in the same environment.

Each figure is a process from its start to its end. All take turns, so that a slow moment of the machine is everybody's.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

AIM_SECONDS = 0.2
BIN = Path(sys.executable).parent
COMPLETION = {"_CHATELIER_COMPLETE": "bash_complete", "COMP_WORDS": "chatelier jobs ", "COMP_CWORD": "2"}
OTHERS = ("uvicorn", "coverage", "pip", "mypy", "pytest")
EXTRAS = {"telegram": "telegram", "discord": "discord", "slack": "slack_bolt", "mongo": "motor", "video": "av"}
"""Extra → a module that comes with it."""


@dataclass(frozen=True)
class Program:
    """What is started. has_aim: whether it is one that has to be quick."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    has_aim: bool = False
    seconds: list[float] = field(default_factory=list)

    def run(self) -> None:
        environ = {**os.environ, **self.environ}
        began = time.perf_counter()
        subprocess.run(self.command, env=environ, stdout=subprocess.DEVNULL, check=True)  # noqa: S603 - programs of this environment
        self.seconds.append(time.perf_counter() - began)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        return f"{self.name:30}{min(self.seconds):8.3f}{self.median:9.3f}{max(self.seconds):9.3f}"


def ours() -> list[Program]:
    chatelier = str(BIN / "chatelier")
    words = {
        "chatelier": [],
        "chatelier jobs": ["jobs"],
        "chatelier backends set": ["backends", "set"],
        "chatelier say": ["say"],
    }
    helps = [Program(f"{name} --help", [chatelier, *more, "--help"], has_aim=True) for name, more in words.items()]
    return [*helps, Program("chatelier jobs, then Tab", [chatelier], COMPLETION, has_aim=True)]


def beside() -> list[Program]:
    """Those that are installed."""
    modules = [name for name in ("click", "typer") if find_spec(name)]
    imports = [Program(f"python -c 'import {name}'", [sys.executable, "-c", f"import {name}"]) for name in modules]
    helps = [Program(f"{name} --help", [str(BIN / name), "--help"]) for name in OTHERS if (BIN / name).exists()]
    return [Program("python -c pass", [sys.executable, "-c", "pass"]), *imports, *helps]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="of each program")
    runs = parser.parse_args().runs
    programs = [*ours(), *beside()]
    for program in programs:
        program.run()  # what Python compiles and the disk reads the first time is not counted
        program.seconds.clear()
    for _ in range(runs):
        for program in programs:
            program.run()
    extras = ", ".join(extra for extra, module in EXTRAS.items() if find_spec(module)) or "none"
    print(f"{runs} runs; Python {sys.version.split()[0]}, {os.cpu_count()} cores, extras: {extras}")
    print(f"{'seconds':30}{'best':>8}{'median':>9}{'worst':>9}")
    for program in programs:
        print(program)
    for program in programs:
        if program.has_aim:
            met = "met" if program.median < AIM_SECONDS else "missed"
            print(f"{program.name}, median under {AIM_SECONDS:g} s: {met}, {program.median:.3f} s")


if __name__ == "__main__":
    main()
