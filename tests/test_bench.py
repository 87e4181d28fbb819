"""The benchmarks run, and print what their page says that they print."""

import re
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[1] / "bench"


def test_jobs_prints_its_figure_and_its_peers(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCH / "jobs.py"), "--jobs", "7", "--people", "3", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own program
    assert (done.returncode, done.stderr) == (0, "")
    heading, *lines = done.stdout.splitlines()
    assert heading.startswith("7 jobs of 3 people")
    explained = re.findall(r"^\| ([\w' ]+) \|", (BENCH / "README.md").read_text(), re.MULTILINE)
    assert [line[:16].strip() for line in lines] == explained[1:]
    assert all(float(line[16:].split()[0]) > 0 for line in lines)
    assert list(tmp_path.iterdir()) == [], "nothing is left"
