"""Writes the tables of docs/testing-a-platform.md anew, from our platforms as they are: `.venv/bin/python tests/proved.py`."""

import asyncio
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from chatelier.core.testing.platform_suite import Finding, check_platform
from chatelier.core.testing.table import capability_table, table
from chatelier.testing import ScriptedGateway
from test_platform_suite import COLUMNS, NETWORKS

PAGE = Path(__file__).parents[1] / "docs" / "testing-a-platform.md"


def proved(folder: Path) -> Mapping[str, Sequence[Finding]]:
    """Each network in a loop of its own, as pytest runs them."""
    found = {}
    for name in COLUMNS:
        (folder / name).mkdir()
        found[name] = asyncio.run(check_platform(NETWORKS[name](folder / name)))
    return found


async def declared(folder: Path) -> str:
    can = {}
    for name in COLUMNS:
        (folder / f"{name}, declared").mkdir()
        async with NETWORKS[name](folder / f"{name}, declared")(ScriptedGateway()) as network:
            can[name] = network.platform.capabilities()
    return capability_table(can)


def written(page: str, first: str, new: str) -> str:
    """The page with another table where one begins with this heading."""
    return re.sub(rf"^\| {first} .*\n(?:\|.*\n)+", lambda _: f"{new}\n", page, count=1, flags=re.MULTILINE)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        page = written(PAGE.read_text(encoding="utf-8"), "check", table(proved(Path(place))))
        page = written(page, "capability", asyncio.run(declared(Path(place))))
    PAGE.write_text(page, encoding="utf-8")
