"""The folders of a server: what was sent to it, what it made, and what lasts only as long as it runs."""

import hashlib
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

KINDS = ("input", "output", "temp")
_MARKED = re.compile(r"(.*) \[(input|output|temp)\]", re.DOTALL)
TEMP_SECONDS = 86_400
"""How old a temporary file must be before a process that shares the folders removes it: no job takes a day."""

SIDECAR = ".part"
"""The ending of a file that is still being written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """Where a node saves: `path(n)` for its n-th file, from 0."""

    folder: Path
    subfolder: str
    stem: str
    first: int

    def name(self, n: int, suffix: str) -> str:
        return f"{self.stem.replace('%batch_num%', str(n))}_{self.first + n:05}_{suffix}"


class Folders:
    """All below `root`. shared: other processes work there at the same time."""

    def __init__(self, root: Path, *, shared: bool = False) -> None:
        self.root = root.absolute()
        self._shared = shared

    def __getitem__(self, kind: str) -> Path:
        if kind not in KINDS:
            raise KeyError(kind)
        return self.root / kind

    def prepare(self) -> None:
        """Makes them, and empties the temporary one; of a shared one only what is a day old."""
        if not self._shared:
            shutil.rmtree(self["temp"], ignore_errors=True)
        for kind in KINDS:
            self[kind].mkdir(parents=True, exist_ok=True)
        before = time.time() - TEMP_SECONDS
        for path in self["temp"].rglob("*"):
            if path.is_file() and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)

    def inside(self, kind: str, *parts: str) -> Path | None:
        """The path of a file or folder below one of the folders; None when it would lie outside."""
        base = self[kind]
        path = Path(os.path.normpath(base.joinpath(*parts)))
        return path if path == base or base in path.parents else None

    def named(self, name: str) -> Path | None:
        """The file that `LoadImage` means: "name", "subfolder/name" or "name [output]". None when there is none."""
        name, kind = split_mark(name, "input")
        path = self.inside(kind, name) if name and "\0" not in name else None
        return path if path and path.is_file() else None

    def inputs(self) -> list[str]:
        """Names of the uploaded files, without subfolders."""
        return sorted(path.name for path in self["input"].iterdir() if path.is_file()) if self["input"].is_dir() else []

    def receive(
        self, name: str, data: bytes, *, kind: str = "input", subfolder: str = "", overwrite: bool = False
    ) -> str | None:
        """Keeps an uploaded file and answers the name it got; None when the place lies outside.

        The same bytes under the same name are kept once; other bytes get another name.
        """
        path = self.inside(kind, subfolder, name)
        if path is None or path == self[kind] or "\0" in name:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        if not overwrite:
            path = _free(path, data)
        write(path, data)
        return path.name

    def saving(self, prefix: str, kind: str, width: int, height: int) -> Saving:
        """Raises RuntimeError for a prefix that leads outside."""
        filled = os.path.normpath(_filled(prefix, width, height))
        subfolder, stem = os.path.split(filled)
        folder = self.inside(kind, subfolder)
        if folder is None or Path(subfolder).is_absolute():
            raise RuntimeError(f"Saving image outside the output folder is not allowed: {prefix}")
        folder.mkdir(parents=True, exist_ok=True)
        numbers = [number for path in folder.iterdir() if (number := _number(path.name, stem)) is not None]
        return Saving(folder=folder, subfolder=subfolder, stem=stem, first=max(numbers, default=0) + 1)


def split_mark(name: str, default: str) -> tuple[str, str]:
    """ "fox.png [output]" → ("fox.png", "output")."""
    marked = _MARKED.fullmatch(name)
    return (marked.group(1), marked.group(2)) if marked else (name, default)


def write(path: Path, data: bytes) -> None:
    """All of it or nothing: a reader never sees half a file."""
    part = path.with_name(path.name + SIDECAR)
    part.write_bytes(data)
    part.replace(path)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _free(path: Path, data: bytes) -> Path:
    candidate, n = path, 1
    while candidate.exists() and candidate.read_bytes() != data:
        candidate = path.with_name(f"{path.stem} ({n}){path.suffix}")
        n += 1
    return candidate


def _filled(prefix: str, width: int, height: int) -> str:
    now = time.localtime()
    values = {"width": str(width), "height": str(height), "year": str(now.tm_year)}
    values |= {
        name: f"{value:02}"
        for name, value in (
            ("month", now.tm_mon),
            ("day", now.tm_mday),
            ("hour", now.tm_hour),
            ("minute", now.tm_min),
            ("second", now.tm_sec),
        )
    }
    return re.sub(r"%(\w+)%", lambda found: values.get(found.group(1), found.group(0)), prefix)


def _number(name: str, stem: str) -> int | None:
    if not name.startswith(f"{stem}_"):
        return None
    digits = name[len(stem) + 1 :].partition("_")[0]
    return int(digits) if digits.isdigit() else 0
