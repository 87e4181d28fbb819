"""Environments for the peers that benchmarks measure beside ours: they need what Chatelier must not have."""

import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path


def environment(folder: Path, wanted: Sequence[str]) -> Path:
    """The Python of a fresh environment that has these packages and nothing else. wanted: as pip takes them."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True, stderr=subprocess.DEVNULL)  # noqa: S603 - our own list
    return python
