"""Graphs as a whole: what is refused, in which order nodes run, what is remembered, how a job stops."""

import copy
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatelier.plugins.sketch.engine import Sight, order
from chatelier.plugins.sketch.folders import Folders
from chatelier.plugins.sketch.models import Models
from chatelier.plugins.sketch.validation import Rejected, validate
from sketching import Bench, bench, node, text_to_image, tiny, transcript, workflow

REFUSALS = [
    line
    for line in transcript("B_validation_errors.jsonl")
    if isinstance(line.get("body"), dict)
    and isinstance(line["response"], dict)
    and isinstance(line["body"].get("prompt"), dict)
]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def without_traces(value: Any) -> Any:
    """Line numbers of somebody else's files are nobody's business."""
    if isinstance(value, dict):
        return {key: without_traces(item) for key, item in value.items() if key != "traceback"}
    return [without_traces(item) for item in value] if isinstance(value, list) else value


def test_enough_refusals_were_recorded() -> None:
    assert len(REFUSALS) >= 14


@pytest.mark.parametrize("line", REFUSALS, ids=range(len(REFUSALS)))
def test_refusals_are_those_of_a_real_server(line: dict[str, Any], tmp_path: Path) -> None:
    folders, models, graph = Folders(tmp_path), Models([]), copy.deepcopy(line["body"]["prompt"])
    if line["status"] == 200:
        valid = validate(graph, folders, models)
        assert valid.node_errors == line["response"]["node_errors"]
        assert valid.outputs == ("3",)
        return
    with pytest.raises(Rejected) as refused:
        validate(graph, folders, models)
    made = json.loads(json.dumps(refused.value.body))
    assert without_traces(made) == without_traces(line["response"])


def test_values_are_converted_as_comfyui_does(tmp_path: Path) -> None:
    graph = tiny()
    graph["1"]["inputs"]["width"] = "64"
    graph["2"]["inputs"]["strength"] = {"__value__": 1}
    validate(graph, Folders(tmp_path), Models())
    assert graph["1"]["inputs"]["width"] == 64
    assert graph["2"]["inputs"]["strength"] == 1.0


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        ({"images": ["1"]}, "bad_linked_input"),
        ({"images": ["9", 0]}, "exception_during_validation"),
        ({"images": ["2", 0], "filename_prefix": ["1", 0]}, "return_type_mismatch"),
    ],
)
def test_links_that_lead_nowhere(inputs: dict[str, Any], kind: str, tmp_path: Path) -> None:
    graph = tiny()
    graph["3"]["inputs"].update(inputs)
    with pytest.raises(Rejected) as refused:
        validate(graph, Folders(tmp_path), Models())
    assert refused.value.body["node_errors"]["3"]["errors"][0]["type"] == kind


def test_a_broken_link_further_up_is_told_of_the_node_that_has_it(tmp_path: Path) -> None:
    graph = tiny()
    graph["2"]["inputs"]["image"] = ["77", 0]
    with pytest.raises(Rejected) as refused:
        validate(graph, Folders(tmp_path), Models())
    assert refused.value.body["node_errors"]["2"]["errors"][0]["type"] == "exception_during_inner_validation"


def test_long_lists_are_not_spelled_out(tmp_path: Path) -> None:
    graph = text_to_image()
    graph["3"]["inputs"]["sampler_name"] = "magic"
    with pytest.raises(Rejected) as refused:
        validate(graph, Folders(tmp_path), Models())
    error = refused.value.body["node_errors"]["3"]["errors"][0]
    assert error["details"].startswith("sampler_name: 'magic' not in (list of length ")
    assert error["extra_info"]["input_config"] is None


def test_output_nodes_come_as_soon_as_they_can() -> None:
    recorded = next(
        line["body"]["prompt"] for line in transcript("A_happy_cached.jsonl") if "PreviewAny" in str(line.get("body"))
    )
    assert list(order(recorded, ("3", "5", "7"), set())) == ["6", "7", "1", "2", "3", "4", "5"]
    assert list(order(workflow("fail_exec"), ("4", "5"), set()))[:2] == ["3", "4"]
    assert list(order(tiny(), ("3",), {"1", "2"})) == ["3"]


def test_a_failing_node_is_told_as_recorded(desk: Bench) -> None:
    recorded = next(
        line["msg"]["data"]
        for line in transcript("C_execution_errors.jsonl")
        if line.get("msg", {}).get("type") == "execution_error"
    )
    history = desk.run(workflow("fail_exec"))
    assert history["status"]["status_str"] == "error"
    assert not history["status"]["completed"]
    made = desk.said("execution_error")[0]
    changing = {"prompt_id", "timestamp", "traceback", "current_outputs"}
    assert {key: made[key] for key in recorded if key not in changing} == {
        key: recorded[key] for key in recorded if key not in changing
    }
    assert sorted(made["current_outputs"]) == sorted(recorded["current_outputs"])
    assert made["traceback"]
    assert desk.kinds()[-4:] == ["executing", "execution_error", "status", "executing"]


def test_a_picture_that_is_none_fails_at_its_node(desk: Bench) -> None:
    (desk.root / "input" / "corrupt.png").write_text("no picture")
    graph = {"1": node("LoadImage", image="corrupt.png"), "2": node("PreviewImage", images=["1", 0])}
    desk.run(graph)
    error = desk.said("execution_error")[0]
    assert error["node_id"] == "1"
    assert error["exception_type"] == "PIL.UnidentifiedImageError"


def test_the_same_again_is_remembered(desk: Bench) -> None:
    first = desk.run(tiny())
    again = desk.run(tiny())
    assert again["outputs"] == first["outputs"]
    assert desk.said("execution_cached")[0]["nodes"] == ["1", "2", "3"]
    assert [kind for kind in desk.kinds() if kind != "status"] == [
        "execution_start", "execution_cached", "executed", "progress_state", "execution_success", "executing",
    ]  # fmt: skip
    desk.run(tiny(seed=2))
    assert desk.said("execution_cached")[0]["nodes"] == ["1"]
    desk.run(tiny())
    assert desk.said("execution_cached")[0]["nodes"] == ["1"], "only the last graph is remembered"


def test_a_changed_file_is_not_remembered(desk: Bench) -> None:
    graph = {"1": node("LoadImage", image="in.png"), "2": node("PreviewImage", images=["1", 0])}
    for colour in (1, 2):
        desk.run(
            {
                "1": node("EmptyImage", width=8, height=8, batch_size=1, color=colour),
                "2": node("SaveImage", images=["1", 0], filename_prefix="x"),
            }
        )
        (desk.root / "output" / f"x_0000{colour}_.png").rename(desk.root / "input" / "in.png")
        (desk.root / "output" / f"x_0000{colour}_.png").touch()
        desk.run(graph)
        assert desk.said("execution_cached")[0]["nodes"] == []


def test_an_emptied_cache_runs_all_again(desk: Bench) -> None:
    desk.run(tiny())
    desk.shop.free()
    desk.run(tiny())
    assert desk.said("execution_cached")[0]["nodes"] == []


def test_websocket_pictures_are_sent_every_time(desk: Bench) -> None:
    graph = tiny() | {"3": node("SaveImageWebsocket", images=["2", 0])}
    for _ in range(2):
        desk.run(graph)
        sent = [message for message in desk.heard if isinstance(message, Sight)]
        assert [sight.preview.kind for sight in sent] == ["PNG"]
        assert sent[0].about["node_id"] == "3"


def test_sampling_reports_its_steps_and_shows_glimpses(desk: Bench) -> None:
    desk.run(text_to_image(steps=5))
    steps = [data["value"] for data in desk.said("progress") if data["node"] == "3"]
    assert steps == [0, 1, 2, 3, 4, 5]
    glimpses = [message.preview for message in desk.heard if isinstance(message, Sight)]
    assert len(glimpses) >= 3
    assert all(glimpse.data.startswith(b"\xff\xd8") for glimpse in glimpses)


def test_a_running_job_stops_at_once(tmp_path: Path) -> None:
    with bench(tmp_path, seconds=PATIENT) as desk:
        accepted = desk.shop.submit(text_to_image(steps=20), prompt_id="long", extra={"client_id": "bench"})
        _until(lambda: bool(desk.said("progress")))
        desk.shop.interrupt("another")
        desk.shop.interrupt("long")
        _until(lambda: desk.shop.history(accepted.id) is not None)
        history = desk.shop.history("long")
        assert history is not None
        assert history["status"]["messages"][-1][0] == "execution_interrupted"
        assert history["status"]["status_str"] == "error"
        assert history["status"]["messages"][-1][1]["node_type"] == "KSampler"


PATIENT = 300
"""Seconds that a job would take if nothing stopped it."""


def test_stopping_ends_the_thread_and_the_queue(tmp_path: Path) -> None:
    before = threading.active_count()
    with bench(tmp_path, seconds=PATIENT) as desk:
        for name in ("a", "b"):
            desk.shop.submit(tiny(), prompt_id=name)
        _until(lambda: bool(desk.shop.queue()[0]))
        running, waiting = desk.shop.queue()
        assert [job.id for job in running + waiting] == ["a", "b"]
    assert threading.active_count() == before
    assert desk.shop.remaining() == 0


def test_the_queue_goes_by_number_and_can_be_thinned(tmp_path: Path) -> None:
    with bench(tmp_path, seconds=PATIENT) as desk:
        desk.shop.submit(tiny(), prompt_id="first")
        _until(lambda: bool(desk.shop.queue()[0]))
        desk.shop.submit(tiny(), prompt_id="later")
        assert desk.shop.submit(tiny(), prompt_id="front", front=True).number < 0
        desk.shop.submit(tiny(), prompt_id="numbered", number=-50)
        assert [job.id for job in desk.shop.queue()[1]] == ["numbered", "front", "later"]
        assert not desk.shop.delete(["first", "nobody"])
        assert desk.shop.delete(["front"])
        assert desk.shop.remaining() == 3
        assert desk.shop.delete()
        assert desk.shop.remaining() == 1


def test_a_lost_cancel_works_the_second_time(tmp_path: Path) -> None:
    with bench(tmp_path, seconds=PATIENT, faults=["lost-cancel"]) as desk:
        desk.shop.submit(tiny(), prompt_id="stubborn")
        _until(lambda: bool(desk.shop.queue()[0]))
        desk.shop.interrupt()
        assert desk.shop.queue()[0]
        desk.shop.interrupt()
        _until(lambda: desk.shop.history("stubborn") is not None)


def test_a_class_can_be_made_to_fail(tmp_path: Path) -> None:
    with bench(tmp_path, faults=["error:ImageAddNoise"]) as desk:
        desk.run(tiny())
        assert desk.said("execution_error")[0]["node_type"] == "ImageAddNoise"


def test_histories_are_taken_from_the_end_or_an_offset(desk: Bench) -> None:
    for seed in range(3):
        desk.run(tiny(seed))
    everything = list(desk.shop.histories())
    assert list(desk.shop.histories(1)) == everything[-1:]
    assert list(desk.shop.histories(1, 0)) == everything[:1]
    desk.shop.forget_history(everything[:1])
    assert list(desk.shop.histories()) == everything[1:]
    desk.shop.forget_history()
    assert desk.shop.histories() == {}


def _until(ready: Any) -> None:
    waiting = threading.Event()
    for _ in range(3000):
        if ready():
            return
        waiting.wait(0.01)
    raise TimeoutError
