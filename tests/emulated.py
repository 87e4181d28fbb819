"""npm's `emulate` as a process on a free port of the loopback: the Slack of others. One serves all tests of a module, empty for each."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

INSTALLED = Path(__file__).parents[1] / ".venv" / "emulate" / "node_modules"
NODE = Path(__file__).parents[1] / ".venv" / "bin" / "node"
PROGRAM = Path(__file__).parent / "peers" / "emulate" / "serve.mjs"
END_SECONDS = 10


@dataclass(frozen=True)
class Emulate:
    """url: of its Web API, without the slash."""

    url: str
    process: subprocess.Popen[str]

    def begin_anew(self) -> None:
        """Nobody said anything, and the workspace is as it was told first."""
        said(self.process, "")


def said(process: "subprocess.Popen[str]", line: str) -> str:
    """What it answers to one line."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    answer = process.stdout.readline().strip()
    assert answer, "emulate ended"
    return answer


@contextmanager
def emulate(workspace: Mapping[str, Any]) -> Iterator[Emulate]:
    """workspace: as its documentation has it. The test is skipped where `make test` has not installed it."""
    node = str(NODE) if NODE.exists() else shutil.which("node")
    if node is None or not INSTALLED.exists():
        pytest.skip("no emulate here: make .venv/emulate.stamp")
    command = [node, str(PROGRAM), str(INSTALLED)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - the lock file's program
        try:
            yield Emulate(said(process, json.dumps(workspace)), process)
        finally:
            process.terminate()
            process.wait(END_SECONDS)
