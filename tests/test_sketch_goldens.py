"""What a real ComfyUI made of the same graphs, pixel by pixel."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from chatelier.plugins.sketch.models import Models
from chatelier.plugins.sketch.validation import Rejected
from sketching import GOLDEN, WORKFLOWS, Bench, bench, workflow

INDEX: dict[str, dict[str, Any]] = json.loads((GOLDEN / "index.json").read_text())
RUNNING = sorted(
    path.stem for path in WORKFLOWS.glob("*.json") if not path.stem.startswith(("invalid_", "fail_", "slow_"))
)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("golden")) as made:
        for name in ("golden_in.png", "golden_rgba.png"):
            shutil.copy(GOLDEN / name, made.root / "input" / name)
        shutil.copy(GOLDEN / "golden_in.png", made.root / "input" / "example.png")
        yield made


def frames(path: Path) -> list[Any]:
    with Image.open(path) as image:
        return [np.asarray(frame.convert("RGBA")).astype(int) for frame in ImageSequence.Iterator(image)]


def test_all_goldens_are_looked_at() -> None:
    assert len(INDEX) >= 48
    assert sum(len(entry["outputs"]) for entry in INDEX.values()) >= 55


@pytest.mark.parametrize("name", INDEX)
def test_golden(desk: Bench, name: str) -> None:
    """Same count, size and frames, each channel within 1 of 255; same texts."""
    history = desk.run(json.loads((GOLDEN / INDEX[name]["graph"]).read_text()))
    assert history["status"]["status_str"] == "success"
    texts = [
        text for node_id in sorted(history["outputs"], key=int) for text in history["outputs"][node_id].get("text", ())
    ]
    made: list[Any] = texts or desk.files(history)
    assert len(made) == len(INDEX[name]["outputs"])
    for mine, real in zip(made, (GOLDEN / output for output in INDEX[name]["outputs"]), strict=True):
        if real.suffix == ".txt":
            assert mine == real.read_text()
            continue
        for own, other in zip(frames(mine), frames(real), strict=True):
            assert own.shape == other.shape
            assert np.abs(own - other).max() <= 1


def test_the_workflows_are_there() -> None:
    assert len(RUNNING) >= 7


@pytest.mark.parametrize("name", RUNNING)
def test_workflow_runs(desk: Bench, name: str) -> None:
    if name.startswith("video_"):
        pytest.importorskip("av", reason="PyAV is not installed")
    history = desk.run(workflow(name))
    assert history["status"]["completed"]
    assert history["outputs"]
    assert all(path.stat().st_size > 0 for path in desk.files(history))


def test_a_missing_model_is_refused_by_a_fresh_server_only(tmp_path: Path) -> None:
    graph = workflow("invalid_model_missing")
    with bench(tmp_path / "none", models=Models([])) as fresh, pytest.raises(Rejected) as refused:
        fresh.run(graph)
    assert refused.value.body["node_errors"]["4"]["errors"][0]["type"] == "value_not_in_list"
    with bench(tmp_path / "one", models=Models(["v1-5-pruned-emaonly.safetensors"])) as stocked:
        assert stocked.run(graph)["status"]["completed"]
