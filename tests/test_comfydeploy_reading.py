"""What is made of ComfyDeploy's JSON: results of every shape, runs, deployments as workflows, settings."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatelier import BadInput, Settings, Workflow
from chatelier.core.errors import SettingsError
from chatelier.core.plugins import Plugins
from chatelier.core.settings import load
from chatelier.core.workflows.binding import bind
from chatelier.core.workflows.check import lacks
from chatelier.plugins.comfydeploy import Plugin
from chatelier.plugins.comfydeploy.endings import ended_by, progress_of
from chatelier.plugins.comfydeploy.outputs import outputs_of
from chatelier.plugins.comfydeploy.settings import ComfyDeploySettings
from chatelier.plugins.comfydeploy.wire import Deployment, Run, parsed
from chatelier.plugins.comfydeploy.workflows import described, workflow_of
from peers.comfydeploy import PORTRAIT

CDN = "https://cdn.example.com"
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


# --- results


def one(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"id": "o1", "run_id": "r1", "data": data, "node_meta": {"node_class": "X"}, "type": "image", "node_id": "20"}
    ]


def file(name: str, **more: str) -> dict[str, str]:
    return {"url": f"{CDN}/outputs/r1/{name}", "type": "output", "filename": name, "subfolder": "", **more}


SHAPES: Mapping[str, tuple[dict[str, Any], list[str]]] = {
    "images": ({"outputs": one({"images": [file("a.png"), file("b.png")]})}, ["a.png", "b.png"]),
    "files": ({"outputs": one({"files": [file("scene.glb")]})}, ["scene.glb"]),
    "gifs": ({"outputs": one({"gifs": [file("loop.mp4")]})}, ["loop.mp4"]),
    "videos": ({"outputs": one({"videos": [file("film.webm")]})}, ["film.webm"]),
    "mesh": ({"outputs": one({"mesh": [file("cat.glb")]})}, ["cat.glb"]),
    "a key of tomorrow": ({"outputs": one({"holograms": [file("cat.holo")]})}, ["cat.holo"]),
    "text": ({"outputs": one({"text": ["a red fox", "in snow"]})}, ["=a red fox", "=in snow"]),
    "tags": ({"outputs": one({"tags": ["fox, snow"]})}, ["=fox, snow"]),
    "text that is an address": ({"outputs": one({"text": f"{CDN}/a.png"})}, [f"={CDN}/a.png"]),
    "several outputs": ({"outputs": [*one({"text": ["x"]}), *one({"images": [file("a.png")]})]}, ["=x", "a.png"]),
    "keyed by node": (
        {"outputs": {"20": {"node_meta": {"url": f"{CDN}/no.png"}, "data": {"images": [file("a.png")]}}}},
        ["a.png"],
    ),
    "plain addresses": ({"outputs": [f"{CDN}/a.png?X-Amz-Signature=abc%2F", f"{CDN}/b%20c.mp4"]}, ["a.png", "b c.mp4"]),
    "addresses below a key": ({"outputs": one({"images": [f"{CDN}/a.png"]})}, ["a.png"]),
    "result": ({"result": {"images": [file("a.png")]}}, ["a.png"]),
    "result, plain": ({"result": f"{CDN}/a.png"}, ["a.png"]),
    "images, bare": ({"images": [file("a.png")]}, ["a.png"]),
    "images of null outputs": ({"outputs": None, "images": [f"{CDN}/a.png"]}, ["a.png"]),
    "imageUrl": ({"imageUrl": f"{CDN}/a.png"}, ["a.png"]),
    "videoUrl": ({"videoUrl": f"{CDN}/film.mp4"}, ["film.mp4"]),
    "imageUrl in outputs": ({"outputs": {"imageUrl": f"{CDN}/a.png"}}, ["a.png"]),
    "files, bare": ({"files": [f"{CDN}/model.safetensors"]}, ["model.safetensors"]),
    "named in folders": ({"outputs": one({"images": [file("a.png", filename="x\\y/a.png")]})}, ["a.png"]),
    "without a name": ({"outputs": [{"data": {"images": [{"url": f"{CDN}/"}]}}]}, ["result"]),
    "told twice": ({"outputs": [*one({"images": [file("a.png")]}), *one({"images": [file("a.png")]})]}, ["a.png"]),
    "previews beside": (
        {"outputs": one({"images": [file("p.png", type="temp"), file("a.png")]})},
        ["a.png"],
    ),
    "previews alone": ({"outputs": one({"images": [file("p.png", type="temp")]})}, ["p.png"]),
    "no address": (
        {"outputs": one({"images": [{"filename": "a.png"}, {"url": None}, {"url": "file:///etc/passwd"}]})},
        [],
    ),
    "nothing": ({"outputs": []}, []),
    "not even that": ({}, []),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_results_of_every_shape_become_outputs(shape: str) -> None:
    told, expected = SHAPES[shape]
    found = outputs_of(Run.model_validate({"id": "r1", "status": "success", **told}).results, "1")
    assert [f"={each.text}" if each.text is not None else each.name for each in found] == expected
    assert [each.n for each in found] == list(range(len(expected)))
    assert all(each.node == "1" for each in found)
    assert all(each.text is not None or each.remote["url"].startswith(CDN) for each in found)


@given(ANYTHING)
def test_no_json_at_all_breaks_the_reading(said: Any) -> None:
    for run in parsed(Run, [said, {"id": "r1", "status": said, "outputs": said, "progress": said, "created_at": said}]):
        end = ended_by(run)
        assert end.outputs == ended_by(run).outputs
        assert progress_of(run).phase in {"waiting", "running"}
    for deployment in parsed(Deployment, [said, {"id": "d", "input_types": said, "workflow": said, "gpu": said}]):
        workflow_of(deployment, "here")


# --- runs


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("not-started", "waiting"),
        ("queued", "waiting"),
        ("started", "running"),
        ("running", "running"),
        ("uploading", "running"),
    ]
    + [(status, "ended") for status in ("success", "failed", "timeout", "cancelled", "canceled", "SUCCESS")],
)
def test_states(status: str, phase: str) -> None:
    assert Run(status=status).phase == phase


def test_a_state_of_tomorrow_waits_until_the_run_has_begun() -> None:
    assert Run(status="warming").phase == "waiting"
    begun = {"status": "warming", "started_at": "2026-11-22T10:00:00Z"}
    assert Run.model_validate(begun).phase == "running"


def test_a_waiting_run_tells_its_place_and_a_running_one_how_far_it_is() -> None:
    assert progress_of(Run.model_validate({"status": "queued", "queue_position": "3"})).ahead == 3
    assert progress_of(Run(status="queued", queue_position=-1)).ahead is None
    run = Run.model_validate(
        {
            "status": "running",
            "progress": "0.5",
            "live_status": " Loading\nmodel ",
            "started_at": "2026-11-22T10:00:00.5Z",
        }
    )
    told = progress_of(run)
    assert (told.fraction, told.title) == (0.5, "Loading model")
    assert told.started_at == datetime(2026, 11, 22, 10, 0, 0, 500_000, UTC)
    assert progress_of(Run(status="running", progress=40)).fraction == 0.4
    assert progress_of(Run.model_validate({"status": "running", "progress": "soon"})).fraction is None


@pytest.mark.parametrize("moment", ["2026-11-22T10:00:00", "2026-11-22T12:00:00+02:00", 1795341600, 1795341600000])
def test_times_in_all_their_forms(moment: Any) -> None:
    assert Run.model_validate({"started_at": moment}).started_at == datetime(2026, 11, 22, 10, tzinfo=UTC)


def test_a_failure_is_told_in_the_words_of_its_exception() -> None:
    error = {"exception_message": "Value 9 bigger than max 8", "node_type": "KSampler", "traceback": ["File x"]}
    told = {"status": "failed", "started_at": "2026-11-22T10:00:00Z", "outputs": one(error)}
    ended = ended_by(Run.model_validate(told))
    assert ended.state == "failed"
    assert ended.words.startswith("KSampler")
    assert "bigger than max" in ended.words
    assert not ended.transient


@pytest.mark.parametrize(
    ("told", "transient", "memory"),
    [
        ({"status": "failed", "started_at": "2026-11-22T10:00:00Z"}, False, False),
        ({"status": "failed"}, True, False),
        ({"status": "timeout", "started_at": "2026-11-22T10:00:00Z"}, False, False),
        ({"status": "failed", "outputs": one({"exception_message": "CUDA out of memory."})}, True, True),
    ],
)
def test_what_may_pass_elsewhere_is_said(told: dict[str, Any], transient: bool, memory: bool) -> None:
    ended = ended_by(Run.model_validate(told))
    assert (ended.transient, ended.out_of_memory) == (transient, memory)
    assert ended.words.endswith(".")
    assert "None" not in ended.words


def test_an_end_is_never_before_its_start() -> None:
    run = Run.model_validate(
        {"status": "success", "started_at": "2026-11-22T10:00:01Z", "ended_at": "2026-11-22T10:00:00Z"}
    )
    ended = ended_by(run)
    assert ended.started_at == ended.ended_at


# --- deployments


def offered(**changes: Any) -> Workflow:
    return workflow_of(Deployment.model_validate(PORTRAIT | changes), "comfydeploy")


def test_a_deployment_is_a_workflow_with_typed_inputs() -> None:
    workflow = offered()
    inputs = {item.name: item for item in workflow.inputs}
    assert (workflow.name, workflow.title, workflow.category) == (
        "portrait_studio",
        "Portrait Studio",
        "image to image",
    )
    assert list(inputs)[:3] == ["prompt", "negative_prompt", "image"]
    assert (inputs["prompt"].role, inputs["prompt"].required, inputs["prompt"].label) == ("prompt", True, "Prompt")
    assert (inputs["negative_prompt"].role, inputs["negative_prompt"].default) == ("negative", "blurry")
    assert (inputs["steps"].type, inputs["steps"].minimum, inputs["steps"].maximum) == ("integer", 1, 40)
    assert (inputs["seed"].role, inputs["seed"].default) == ("seed", -1)
    assert (inputs["style"].type, inputs["style"].choices) == ("choice", ("oil", "ink"))
    assert (inputs["image"].type, inputs["image"].required, inputs["image"].role) == ("image", False, "image")
    assert workflow.run_seconds > PORTRAIT["run_timeout"]


def test_values_are_written_under_the_names_that_the_deployment_knows() -> None:
    workflow = offered()
    bound = bind(workflow, {"prompt": "a fox", "image": "sent1"}, draw=lambda: 7)
    assert bound.graph["1"]["inputs"] == {
        "prompt": "a fox",
        "negative_prompt": "blurry",
        "input_image": "sent1",
        "steps": 20,
        "input_seed": 7,
        "style": "oil",
    }
    assert lacks(bound.graph, {workflow.graph["1"]["class_type"]: described(workflow)}) == ""
    assert "lacks" in lacks(bound.graph, {"KSampler": {}})


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ({"class_type": "ComfyUIDeployExternalNumber", "default_value": "1.5"}, "number"),
        ({"class_type": "ComfyUIDeployExternalNumberInt", "default_value": 3}, "integer"),
        ({"class_type": "ComfyUIDeployExternalNumberSlider", "default_value": 0.5}, "number"),
        ({"class_type": "ComfyUIDeployExternalBoolean", "default_value": False}, "boolean"),
        ({"class_type": "ComfyUIDeployExternalCheckpoint", "default_value": "x.safetensors"}, "text"),
        ({"class_type": "ComfyUIDeployExternalLora", "default_value": "y.safetensors"}, "text"),
        ({"class_type": "ComfyUIDeployExternalVideo"}, "video"),
        ({"class_type": "ComfyUIDeployExternalAudio"}, "audio"),
        ({"class_type": "ComfyUIDeployExternalImageBatch"}, "image"),
        ({"class_type": "ComfyUIDeployExternalTextAny", "default_value": "hi"}, "text"),
        ({"class_type": "ComfyUIDeployExternalHologram", "default_value": "hi"}, "text"),
        ({"class_type": "SomebodysOwnNode", "type": "float"}, "number"),
        ({"type": "image"}, "image"),
        ({"type": "mystery"}, "text"),
        ({}, "text"),
        ({"class_type": None, "type": 7, "enum_options": "oil", "default_value": {"x": 1}}, "text"),
    ],
)
def test_types_are_found_and_unknown_ones_are_text(declared: dict[str, Any], kind: str) -> None:
    (item,) = offered(input_types=[{"input_id": "thing", **declared}]).inputs
    assert (item.type, item.targets) == (kind, (("1", "thing"),))


def test_where_the_default_is_no_choice_one_is_asked_for() -> None:
    choices = {
        "class_type": "ComfyUIDeployExternalEnum",
        "input_id": "style",
        "enum_options": ["oil"],
        "default_value": "wax",
    }
    workflow = offered(input_types=[choices])
    with pytest.raises(BadInput):
        bind(workflow, {}, draw=lambda: 1)
    assert bind(workflow, {"style": "oil"}, draw=lambda: 1).graph["1"]["inputs"] == {"style": "oil"}


def test_odd_deployments_are_workflows_all_the_same() -> None:
    assert offered(workflow=None).name == "dep_portrait_1"
    assert offered(workflow={"name": "絵"}).name == "workflow_dep_portrait_1"
    assert offered(input_types=None).inputs == ()
    assert parsed(Deployment, {"deployments": [PORTRAIT], "total": 1})[0].id == PORTRAIT["id"]
    assert parsed(Deployment, [None, 3, {}, {"id": None}, PORTRAIT])[0].id == PORTRAIT["id"]


def test_another_version_of_a_deployment_is_another_version_of_the_workflow() -> None:
    assert offered().version == offered(updated_at="2026-12-01T00:00:00Z", gpu="H100").version
    assert offered().version != offered(input_types=PORTRAIT["input_types"][:2]).version
    json.dumps(offered().graph)


# --- settings


def test_no_section_is_no_backend_no_source_and_no_route() -> None:
    plugin, found = Plugin(), list[object]()
    plugin.register_backends(found.append, Settings())
    plugin.register_workflow_sources(found.append, Settings())
    plugin.register_routes(found.append, Settings())
    assert not found


def test_a_section_makes_one_account_for_all_hooks() -> None:
    declared = ComfyDeploySettings.model_validate({"api_key": "k"})
    settings = Settings().with_sections({"backends.comfydeploy": declared})
    plugin, found = Plugin(), list[Any]()
    plugin.register_backends(found.append, settings)
    plugin.register_workflow_sources(found.append, settings)
    plugin.register_routes(found.append, settings)
    backend, source, route = found
    assert (backend.name, source.name, route.path) == ("comfydeploy", "comfydeploy", "/hooks/comfydeploy/{token}")
    assert backend.offer is source


@pytest.mark.parametrize(
    ("written", "mend"),
    [
        ("{}", "api_key"),
        ("{api_key: ''}", "api_key"),
        ("{api_key: 'k k'}", "api_key"),
        ("{api_key: k, base_url: api.comfydeploy.com}", "base_url"),
        ("{api_key: k, base_url: 'https://k@api.comfydeploy.com/api'}", "base_url"),
        ("{api_key: k, base_url: 'https://x/api?key=1'}", "base_url"),
        ("{api_key: k, poll_second: 1}", "poll_seconds"),
        ("{api_key: k, poll_seconds: 0}", "poll_seconds"),
        ("{api_key: k, deployments: {a: {id: 'x/y'}}}", "id"),
    ],
)
def test_mistakes_in_the_configuration_are_named(written: str, mend: str, tmp_path: Path) -> None:
    plugins, config = Plugins(), tmp_path / "config.yaml"
    plugins.add(Plugin, "comfydeploy")
    config.write_text(f"backends: {{comfydeploy: {written}}}\n")
    with pytest.raises(SettingsError, match=mend):
        load(config, plugins.settings_models(), {})


def test_the_old_address_is_known_with_and_without_its_call() -> None:
    for url in ("https://www.comfydeploy.com/api", "https://www.comfydeploy.com/api/run/"):
        declared = ComfyDeploySettings.model_validate({"api_key": "k", "base_url": url})
        assert declared.is_old
        assert declared.base_url == "https://www.comfydeploy.com/api"
    assert not ComfyDeploySettings.model_validate({"api_key": "k"}).is_old
