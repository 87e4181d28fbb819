"""The benchmarks run, and print what their page says that they print."""

import re
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[1] / "bench"


def run(script: str, *arguments: str) -> list[str]:
    """The lines that it prints; whether an aim was met is not asked, since this machine is shared."""
    command = [sys.executable, str(BENCH / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - our own program
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_comfy_measures_the_backend_and_the_gateway_beside_a_bare_client(tmp_path: Path) -> None:
    lines = run("comfy.py", "--jobs", "3", "--at-a-time", "1", "2", "--folder", str(tmp_path))
    for client in ("bare client", "our backend", "our gateway"):
        rows = [line for line in lines if line[9:].strip().startswith(client)]
        assert len(rows) == 2
        assert all(row.split()[-2:] == ["0", "0"] for row in rows), "no failure and no stall"


def test_the_simulation_keeps_servers_busy_and_models_loaded(tmp_path: Path) -> None:
    lines = run("dispatch_sim.py", "--small", "--folder", str(tmp_path))
    used = [float(found) for line in lines for found in re.findall(r"servers +([\d.]+)%", line)]
    assert used
    assert min(used) >= 98
    loads = [int(found) for line in lines for found in re.findall(r"(\d+) loads", line)]
    assert loads[0] < loads[1], "fewer than by the naive rule"


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


def test_dispatch_measures_each_store_with_each_number_of_commands(tmp_path: Path) -> None:
    _, _, *lines = run("dispatch.py", "--quick", "--folder", str(tmp_path))
    for store in ("store in memory", "SQLite, durable"):
        rows = [line.split()[-5:] for line in lines if line.startswith(f"ours, {store} ")]
        assert [row[0] for row in rows] == ["1", "50", "500"]
        assert all(float(figure.replace(",", "")) > 0 for row in rows for figure in row)
    assert sum(": met, " in line or ": missed, " in line for line in lines) == 3
    assert list(tmp_path.iterdir()) == [], "nothing is left"


def test_help_measures_ours_beside_python_and_other_programs() -> None:
    lines = run("help.py", "--runs", "2")
    rows = {
        line[:30].strip(): [float(figure) for figure in line[30:].split()] for line in lines[2:] if ": " not in line
    }
    assert {"chatelier --help", "chatelier jobs --help", "python -c pass", "python -c 'import click'"} <= set(rows)
    assert all(0 < best <= median <= worst for best, median, worst in rows.values())
    assert sum(": met, " in line or ": missed, " in line for line in lines) == 5


def test_stores_measures_both_engines_beside_the_bare_driver(tmp_path: Path, mongo_url: str) -> None:
    lines = run("stores.py", "--mongodb", mongo_url, "--seconds", "0.1", "--folder", str(tmp_path))
    for name in ("SQLite", "MongoDB", "bare motor"):
        rows = [line[11:].split() for line in lines if line.startswith(f"{name} ")]
        assert [row[2] for row in rows] == ["1", "1", "8", "8", "64", "64"]
        assert all(float(row[6].removesuffix("/s")) > 0 for row in rows)
    assert list(tmp_path.iterdir()) == [], "nothing is left"


def test_ledger_measures_spends_beside_its_engine(tmp_path: Path) -> None:
    heading, *lines = run("ledger.py", "--quick", "--folder", str(tmp_path))
    assert "engine alone" in heading
    assert [line.split()[0] for line in lines[:2]] == ["1", "8"]
    assert sum(": met, " in line or ": missed, " in line for line in lines) == 3
    assert list(tmp_path.iterdir()) == [], "nothing is left"
