"""The sketch in the process and a sketch server behind `comfyui` tell the same of the same graph."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backends import on_comfy, on_sketch
from chatelier import Ended, Refused
from chatelier.core.testing.backend_suite import attempt, submitted, watched
from chatelier.core.workflows.check import lacks
from chatelier.plugins.sketch.models import Models
from chatelier.plugins.sketch.settings import SketchSettings
from chatelier.testing import Bench
from sketching import node, text_to_image, tiny, workflow

STRANGER = "v1-5-pruned-emaonly.safetensors"
"""The checkpoint of ComfyUI's default graph, which no sketch has."""


@pytest.fixture(params=["sketch", "comfyui"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def bench(kind: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with (on_sketch if kind == "sketch" else on_comfy)(tmp_path) as made:
        yield made


@pytest.fixture
async def modelless(kind: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """A server as it is after its installation."""
    if kind == "sketch":
        async with on_sketch(tmp_path, SketchSettings(models=[])) as made:
            yield made
    else:
        async with on_comfy(tmp_path, Models([])) as made:
            yield made


async def ended(bench: Bench, graph: dict[str, Any]) -> Ended:
    return await watched(bench.backend, await submitted(bench.backend, graph))


def strange() -> dict[str, Any]:
    graph = text_to_image()
    graph["4"]["inputs"]["ckpt_name"] = STRANGER
    graph["lora"] = node("LoraLoaderModelOnly", model=["4", 0], lora_name="my.safetensors", strength_model=1.0)
    graph["vae"] = node("VAELoader", vae_name="my.vae.pt")
    graph["3"]["inputs"]["model"], graph["8"]["inputs"]["vae"] = ["lora", 0], ["vae", 0]
    return graph


async def test_any_name_of_a_model_is_taken(bench: Bench) -> None:
    described = await bench.backend.describe()
    assert lacks(strange(), described.classes) == ""
    assert (await ended(bench, strange())).state == "done"


async def test_where_models_are_listed_a_stranger_is_refused_with_what_to_do(modelless: Bench) -> None:
    described = await modelless.backend.describe()
    said = "has no checkpoint named v1-5-pruned-emaonly.safetensors (it has none at all: put it there)"
    assert lacks(workflow("invalid_model_missing"), described.classes) == said
    with pytest.raises(Refused) as refused:
        await modelless.backend.submit(attempt(workflow("invalid_model_missing")))
    assert str(refused.value) == (
        "CheckpointLoaderSimple (Load Checkpoint): ckpt_name: "
        f"this server does not have “{STRANGER}”; it has none at all: put it there."
    )


async def test_a_part_that_did_not_run_is_noted_in_the_same_words(bench: Bench) -> None:
    graph = tiny() | {
        "4": node("LoadImage", image="nope.png"),
        "5": node("SaveImage", images=["4", 0], filename_prefix="x"),
    }
    found = await ended(bench, graph)
    assert found.state == "done"
    assert found.notes == ("A part of this workflow did not run: LoadImage: image: Invalid image file: nope.png.",)


async def test_results_come_in_the_order_of_the_graph_and_are_counted_alike(bench: Bench) -> None:
    """A preview stands first and the slowest saver second; the server ends them in another order."""
    graph = {
        "p": node("PreviewImage", images=["1", 0]),
        "slow": node("SaveImage", images=["2", 0], filename_prefix="slow"),
        "fast": node("SaveImage", images=["1", 0], filename_prefix="fast"),
        "1": node("EmptyImage", width=32, height=32, batch_size=1, color=1),
        "2": node("ImageBlur", image=["1", 0], blur_radius=3, sigma=1.0),
        "said": node("PreviewAny", source="a fox"),
    }
    found = await ended(bench, graph)
    assert [(o.n, o.node, o.text) for o in found.outputs] == [
        (0, "slow", None),
        (1, "fast", None),
        (2, "said", "a fox"),
        (3, "p", None),
    ]


async def left(bench: Bench, graph: dict[str, Any], remove: list[int], root: Path) -> tuple[Ended, Ended, str]:
    """How it ended, and how it is told after a restart in which files went: of the end and of `find`."""
    one = await submitted(bench.backend, graph)
    before = await watched(bench.backend, one)
    async with bench.away():
        for n in remove:
            remote = before.outputs[n].remote
            (root / remote["type"] / remote["subfolder"] / remote["filename"]).unlink()
    return before, await watched(bench.backend, one), await bench.backend.find(one)


async def test_all_of_a_batch_is_found_after_a_restart(bench: Bench, tmp_path: Path) -> None:
    before, after, found = await left(bench, text_to_image(batch=3), [], tmp_path)
    assert len(before.outputs) == 3
    assert after.outputs == before.outputs
    assert (after.state, found) == ("done", "ended")


@pytest.mark.parametrize("remove", [[2], [1], [0, 2]])
async def test_a_part_of_a_batch_is_lost_after_a_restart(bench: Bench, tmp_path: Path, remove: list[int]) -> None:
    _, after, found = await left(bench, text_to_image(batch=3), remove, tmp_path)
    assert (after.state, after.outputs, found) == ("lost", (), "absent")


async def test_what_cannot_be_counted_is_lost_after_a_restart(bench: Bench, tmp_path: Path) -> None:
    graph = tiny()
    graph["twice"] = node("RepeatImageBatch", image=["2", 0], amount=2)
    graph["3"]["inputs"]["images"] = ["twice", 0]
    before, after, found = await left(bench, graph, [1], tmp_path)
    assert len(before.outputs) == 2
    assert (after.state, found) == ("lost", "absent")
