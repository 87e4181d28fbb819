"""A workflow as a command: options, values, servers, the command line and what is shipped."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from chatelier import BadInput, FolderSource, Input, Workflow, WorkflowSource
from chatelier.core.cli.commands import workflows as program
from chatelier.core.cli.workflows import write_list, write_workflow
from chatelier.core.commands.options import check_value
from chatelier.core.workflows.binding import bind, options_of
from chatelier.core.workflows.catalogue import Catalogue
from chatelier.core.workflows.check import check, fitted, lacks
from chatelier.core.workflows.declaration import declare
from chatelier.core.workflows.graph import read_graph
from chatelier.core.workflows.outputs import kind_of, outputs_of
from chatelier.plugins.starter import Plugin

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).parent.parent
CLASSES: dict[str, Any] = json.loads((DATA / "graphs" / "object_info.json").read_text("utf-8"))


def golden(name: str) -> Workflow:
    return declare("golden", read_graph(json.loads((DATA / "graphs" / f"{name}.api.json").read_text("utf-8"))))


def with_inputs(*inputs: Input) -> Workflow:
    fields = {item.name: item.default for item in inputs}
    graph = {"1": {"class_type": "Odd", "inputs": fields}}
    return Workflow(
        name="odd", version="", title="", description="", category="utility", graph=graph, inputs=inputs, outputs=("1",)
    )


def field(name: str, kind: Any, **said: Any) -> Input:
    return Input(name=name, type=kind, targets=(("1", name),), **said)


def having(checkpoints: list[str]) -> dict[str, Any]:
    """The server's classes with these checkpoints."""
    loader = {**CLASSES["CheckpointLoaderSimple"], "input": {"required": {"ckpt_name": [checkpoints, {}]}}}
    return {**CLASSES, "CheckpointLoaderSimple": loader}


def seven() -> int:
    return 7


def test_the_prompt_takes_the_rest_and_hidden_inputs_are_no_options() -> None:
    workflow = with_inputs(
        field("wish", "text", role="prompt", required=True),
        field("mood", "choice", choices=("calm", "wild"), default="calm"),
        field("fixed", "integer", default=3, hidden=True),
    )
    wish, mood = options_of(workflow)
    assert (wish.rest, wish.required, mood.rest) == (True, True, False)
    assert [choice.value for choice in mood.choices] == ["calm", "wild"]


def test_defaults_are_filled_and_the_seed_is_drawn() -> None:
    workflow = golden("own_sd15_txt2img_old")
    bound = bind(workflow, {"prompt": "a fox", "steps": None}, draw=seven)
    assert bound.values["seed"] == 7
    assert bound.graph["3"]["inputs"]["seed"] == 7
    assert bound.values["steps"] == workflow.graph["3"]["inputs"]["steps"]
    again = bind(workflow, bound.values, draw=lambda: 8)
    assert again == bound


@pytest.mark.parametrize(("given_seed", "used"), [(-1, 7), (None, 7), (0, 0), (2**32 - 1, 2**32 - 1)])
def test_minus_one_draws_a_seed(given_seed: int | None, used: int) -> None:
    assert bind(golden("own_sd15_txt2img_old"), {"seed": given_seed}, draw=seven).values["seed"] == used


def test_a_seed_is_drawn_within_its_range() -> None:
    workflow = with_inputs(field("seed", "integer", role="seed", minimum=1, maximum=10, default=-1))
    assert bind(workflow, {}, draw=lambda: 2**32 - 1).values["seed"] in range(1, 11)
    bare = with_inputs(field("seed", "integer", role="seed"))
    assert bind(bare, {}, draw=seven).values == {"seed": 7}


def test_hidden_values_are_written_but_neither_set_nor_shown() -> None:
    workflow = with_inputs(field("fixed", "integer", default=3, hidden=True))
    bound = bind(workflow, {}, draw=seven)
    assert (bound.values, bound.graph["1"]["inputs"]) == ({}, {"fixed": 3})
    with pytest.raises(BadInput, match="no option fixed"):
        bind(workflow, {"fixed": 4}, draw=seven)


@pytest.mark.parametrize(
    ("item", "value", "words"),
    [
        (field("n", "integer", minimum=64, maximum=2048, step=8), 100, "steps of 8 from 64: 96 or 104, not “100”"),
        (field("n", "integer", minimum=64, maximum=2048, step=8), 8, "a whole number from 64 to 2048 in steps of 8"),
        (field("n", "integer", minimum=1), 0, "of 1 or more"),
        (field("n", "integer", maximum=5), 6, "of 5 or less"),
        (field("n", "integer"), 1.5, "a whole number"),
        (field("n", "integer"), "seven", "a whole number"),
        (field("n", "integer"), True, "a whole number"),
        (field("n", "number"), float("nan"), "a number"),
        (field("n", "number"), float("inf"), "a number"),
        (field("s", "integer", role="seed", minimum=-1, maximum=2**32 - 1), 2**32, "from -1 to 4294967295"),
        (field("b", "boolean"), 2, "yes or no"),
        (field("c", "choice", choices=("a", "b")), "c", "one of a, b"),
        (field("t", "text"), "x" * 10_001, "10,001 characters"),
        (field("i", "image"), "", "a picture"),
        (field("v", "video"), 3, "a video"),
        (field("a", "audio"), 3, "a sound file"),
        (field("f", "file"), 3, "a file"),
        (field("t", "text"), None, "text"),
        (field("t", "text"), "  ", "text"),
        (field("i", "image"), None, "a picture"),
    ],
)
def test_a_wrong_or_missing_value_is_told_with_what_is_wanted(item: Input, value: Any, words: str) -> None:
    required = Input(name=item.name, type=item.type, targets=item.targets, role=item.role, required=True,
                     minimum=item.minimum, maximum=item.maximum, step=item.step, choices=item.choices)  # fmt: skip
    if value is None and item.role == "seed":
        return
    with pytest.raises(BadInput, match=words) as caught:
        bind(with_inputs(required), {item.name: value}, draw=seven)
    assert item.name in str(caught.value)


@pytest.mark.parametrize("value", [7, 100, "7", "wide", "1,5", float("nan"), True])
def test_a_wrong_value_is_told_in_the_same_words_wherever_it_stands(value: Any) -> None:
    workflow = with_inputs(field("width", "integer", minimum=64, maximum=2048, step=8))
    with pytest.raises(BadInput) as bound:
        bind(workflow, {"width": value}, draw=seven)
    with pytest.raises(BadInput) as called:
        check_value(options_of(workflow)[0], value)
    assert str(bound.value) == str(called.value)


def test_what_was_typed_is_read_and_what_the_author_wrote_is_never_too_long() -> None:
    story = "once upon a time " * 1_000
    workflow = with_inputs(
        field("whole", "integer"), field("yes", "boolean"), field("tale", "text", default=story), field("word", "text")
    )
    bound = bind(workflow, {"whole": "7", "yes": "on", "word": 3}, draw=seven)
    assert bound.values == {"whole": 7, "yes": True, "tale": story, "word": "3"}
    assert bind(workflow, bound.values, draw=seven) == bound


def test_a_long_wrong_value_is_not_repeated_whole() -> None:
    with pytest.raises(BadInput) as caught:
        bind(with_inputs(field("c", "choice", choices=("a",))), {"c": "x" * 100_000}, draw=seven)
    assert len(str(caught.value)) < 200


@given(st.integers(-5000, 5000))
def test_what_is_accepted_is_on_the_grid_and_in_the_range(value: int) -> None:
    workflow = with_inputs(field("n", "integer", minimum=64, maximum=2048, step=8))
    try:
        used = bind(workflow, {"n": value}, draw=seven).values["n"]
    except BadInput:
        assert value not in range(64, 2049, 8)
    else:
        assert used == value
        assert value in range(64, 2049, 8)


def test_values_keep_the_type_of_the_field() -> None:
    workflow = with_inputs(
        field("half", "number"), field("pick", "choice", choices=("1", "2", "x"), default=1), field("whole", "integer"),
        field("yes", "boolean"), field("photo", "image"), field("word", "choice", choices=("a",), default="a"),
    )  # fmt: skip
    given_values: dict[str, Any] = {"half": 2, "pick": "2", "whole": 3.0, "yes": False, "photo": "key", "word": "a"}
    written = bind(workflow, given_values, draw=seven).graph["1"]["inputs"]
    assert written == {"half": 2.0, "pick": 2, "whole": 3, "yes": False, "photo": "key", "word": "a"}
    assert [type(written[name]) for name in ("half", "pick", "whole")] == [float, int, int]
    assert bind(workflow, {"pick": "x"}, draw=seven).graph["1"]["inputs"]["pick"] == "x"


def test_an_empty_negative_prompt_is_an_answer() -> None:
    bound = bind(golden("own_sd15_txt2img_old"), {"negative": ""}, draw=seven)
    assert bound.graph["7"]["inputs"]["text"] == ""


def test_a_server_without_a_node_or_a_model_is_told_apart() -> None:
    graph = golden("own_sd15_txt2img_old").graph
    assert lacks(graph, having(["sd15.safetensors"])) == ""
    assert lacks(graph, having(["other.safetensors"])) == (
        "has no checkpoint named sd15.safetensors (put it there, or choose one of those that it has: other.safetensors)"
    )
    assert lacks(graph, {**having(["sd15.safetensors"]), "KSampler": {}}) == ""
    without = {name: body for name, body in CLASSES.items() if name not in {"KSampler", "VAEDecode"}}
    assert lacks(graph, without) == "lacks the nodes KSampler and VAEDecode"
    assert lacks(golden("free_primitives").graph, {}).startswith("lacks the nodes ")
    odd = read_graph({"1": {"class_type": "ImageFlip", "inputs": {"flip_method": "diagonal"}}})
    assert lacks(odd, CLASSES).startswith(
        "does not know diagonal as flip_method of ImageFlip (choose one of those that it has: "
    )
    file = read_graph({"1": {"class_type": "A", "inputs": {"net": "x.gguf"}}})
    assert lacks(file, {"A": {"input": {"required": {"net": [["y.gguf"], {"accepts_any": True}]}}}}) == ""
    none = {"A": {"input": {"required": {"net": ["COMBO", {"options": []}]}}}}
    assert lacks(file, none) == "has no model named x.gguf (it has none at all: put it there)"


def test_a_model_that_nobody_chose_becomes_one_that_the_server_has() -> None:
    make = next(workflow for workflow in shipped() if workflow.name == "make")
    graph = bind(make, {"prompt": "a fox"}, draw=seven).graph
    assert fitted(graph, having(["wan_video.safetensors", "plain.ckpt"]))["4"]["inputs"]["ckpt_name"] == "plain.ckpt"
    assert fitted(graph, having(["sdxl_refiner.safetensors"]))["4"]["inputs"]["ckpt_name"] == "sdxl_refiner.safetensors"
    assert lacks(fitted(graph, having([])), having([])) == "has no checkpoint at all (put one there)"
    chosen = bind(make, {"prompt": "a fox", "checkpoint": "mine.ckpt"}, draw=seven).graph
    assert fitted(chosen, having(["plain.ckpt"])) == chosen


@pytest.mark.parametrize(
    ("name", "node", "words"),
    [
        ("invalid_missing_input", "3", "needs images"),
        ("invalid_model_missing", "4", "no checkpoint named"),
        ("invalid_no_outputs", "", "gives a result"),
        ("invalid_unknown_node", "1", "lacks the node NoSuchNode"),
        ("invalid_values", "1", "the least is 1"),
        ("invalid_values", "2", "should be a number, not 'lots'"),
    ],
)
def test_what_a_server_would_refuse_is_known_before(name: str, node: str, words: str) -> None:
    graph = json.loads((DATA / "workflows" / f"{name}.json").read_text("utf-8"))
    problems = check(declare(name, read_graph(graph)), CLASSES)
    assert any(problem.node == node and words in problem.reason for problem in problems)


def test_slots_strangers_and_upper_limits_are_checked() -> None:
    graph = {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 99999, "height": 8, "batch_size": 1, "color": 0, "upload": "x"},
        },
        "2": {
            "class_type": "SaveImage",
            "inputs": {"images": ["1", 3], "filename_prefix": "x", "stranger": 1, "prompt": {}},
        },
    }
    reasons = [problem.reason for problem in check(declare("odd", read_graph(graph)), CLASSES)]
    assert reasons == [
        "width is 99999; the most is 16384",
        "SaveImage has no input stranger",
        "images comes from output 3 of node 1, which has 1",
    ]


@pytest.mark.parametrize(
    "classes",
    [
        {"A": {}},
        {"A": {"input": None}},
        {"A": {"input": {"required": {"x": []}}}},
        {"A": {"input": {"required": {"x": "INT"}}}},
    ],
)
def test_strange_answers_of_a_server_are_borne(classes: dict[str, Any]) -> None:
    graph = read_graph({"1": {"class_type": "A", "inputs": {"x": "y"}}})
    assert lacks(graph, classes) == ""
    assert check(declare("odd", graph), classes)


@pytest.mark.parametrize(
    ("class_type", "kind"),
    [
        ("SaveImage", "image"), ("PreviewImage", "image"), ("SaveImageWebsocket", "image"), ("ComfyDeployOutputImage", "image"),
        ("SaveAnimatedWEBP", "animation"), ("SaveAnimatedPNG", "animation"), ("SaveVideo", "video"), ("SaveWEBM", "video"),
        ("VHS_VideoCombine", "video"), ("SaveAudio", "audio"), ("SaveAudioMP3", "audio"), ("PreviewAudio", "audio"),
        ("PreviewAny", "text"), ("ComfyDeployOutputText", "text"), ("ShowText|pysssss", "text"), ("SaveGLB", "file"),
        ("SaveLatent", "file"), ("CheckpointSave", "file"), ("KSampler", None), ("LoadImage", None), ("CreateVideo", None),
    ],
)  # fmt: skip
def test_outputs_are_known_by_their_nodes(class_type: str, kind: str | None) -> None:
    assert kind_of(class_type) == kind


def test_previews_are_shown_only_when_nothing_is_saved() -> None:
    nodes = {"1": {"class_type": "PreviewImage", "inputs": {}}, "2": {"class_type": "SaveImage", "inputs": {}}}
    assert outputs_of(read_graph(nodes)) == ("2",)
    assert outputs_of(read_graph({"1": nodes["1"]})) == ("1",)
    custom = read_graph(
        {"1": {"class_type": "Mine", "inputs": {}}, "2": {"class_type": "Other", "inputs": {"x": ["1", 0]}}}
    )
    assert outputs_of(custom) == ("2",)
    assert outputs_of(custom, {"Mine": {"output_node": True}}) == ("1",)


def shipped() -> list[Workflow]:
    sources: list[WorkflowSource] = []
    Plugin().register_workflow_sources(sources.append)
    loaded = [asyncio.run(source.load()) for source in sources]
    assert [problem for part in loaded for problem in part.problems] == []
    return [workflow for part in loaded for workflow in part.workflows]


def test_what_is_shipped_runs_on_a_real_server() -> None:
    workflows = shipped()
    assert {workflow.name for workflow in workflows} >= {"make", "effect", "upscale", "mirror", "grain"}
    for workflow in workflows:
        assert check(workflow, having(["any.safetensors"])) == []
        values = {item.name: "a word" for item in workflow.inputs if item.required}
        graph = fitted(bind(workflow, values, draw=seven).graph, having(["any.safetensors"]))
        assert lacks(graph, having(["any.safetensors"])) == ""
        assert workflow.description
        assert workflow.expect_seconds > 0


def test_make_asks_for_its_prompt() -> None:
    make = next(workflow for workflow in shipped() if workflow.name == "make")
    with pytest.raises(BadInput, match="prompt"):
        bind(make, {}, draw=seven)
    assert [option.name for option in options_of(make) if option.required] == ["prompt"]


async def test_the_examples_load() -> None:
    loaded = await FolderSource(ROOT / "examples" / "workflows").load()
    assert loaded.problems == ()
    assert len(loaded.workflows) >= 2
    assert all(check(workflow, CLASSES) == [] for workflow in loaded.workflows)


@pytest.fixture
def run() -> Callable[..., tuple[int, str]]:
    def call(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(program, [*words])
        return result.exit_code, result.output

    return call


def test_check_says_what_people_could_set(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    shutil.copy(DATA / "graphs" / "own_sd15_txt2img_old.api.json", tmp_path / "fox.json")
    code, said = run("check", str(tmp_path / "fox.json"))
    assert code == 0
    assert "prompt" in said
    assert "node 6 text" in said
    assert "nothing is wrong" in said


def test_check_fails_for_a_bad_file_and_for_what_a_server_lacks(
    run: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    bad, good = DATA / "workflows" / "invalid_unknown_node.json", DATA / "workflows" / "png_one.json"
    info = str(DATA / "graphs" / "object_info.json")
    assert run("check", str(good), str(bad))[0] == 0
    code, said = run("check", str(good), str(bad), "--object-info", info)
    assert code == 1
    assert "the server has all of it" in said
    assert "node 1: the server lacks the node NoSuchNode" in said
    (tmp_path / "ring.json").write_text('{"1": {"class_type": "A", "inputs": {"x": ["1", 0]}}}', "utf-8")
    code, said = run("check", str(tmp_path / "ring.json"))
    assert code == 1
    assert "circle" in said
    code, said = run("check", str(tmp_path / "none.json"))
    assert code == 1
    assert "cannot be read" in said


@pytest.mark.parametrize("content", ["{", "[]", '{"A": 1}'])
def test_check_refuses_what_no_server_answers(
    run: Callable[..., tuple[int, str]], tmp_path: Path, content: str
) -> None:
    (tmp_path / "info.json").write_text(content, "utf-8")
    code, said = run("check", str(DATA / "workflows" / "png_one.json"), "--object-info", str(tmp_path / "info.json"))
    assert code == 2
    assert "Traceback" not in said


async def test_list_and_show_name_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(DATA / "graphs" / "tpl_flux_fill_outpaint_example.api.json", tmp_path / "fill.json")
    (tmp_path / "fill.yaml").write_text(
        "aliases: [outpaint]\nexpect_seconds: 9\nrun_seconds: 90\ntags: [fast, big]\ndescription: More picture.",
        "utf-8",
    )
    (tmp_path / "bad.json").write_text("{}", "utf-8")
    catalogue = Catalogue([FolderSource(tmp_path)])
    write_list(catalogue)
    await catalogue.refresh()
    write_list(catalogue)
    write_workflow(catalogue.workflows[0])
    said = capsys.readouterr().out
    for word in (
        "There are no workflows",
        "/fill",
        "bad.json",
        "outpaint",
        "about 9 s",
        "90 s, then a run is stopped",
        "fast, big",
        "More picture.",
        "image, required",
    ):
        assert word in said


def test_list_and_show_read_the_configuration(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    shutil.copy(DATA / "workflows" / "png_one.json", tmp_path / "workflows")
    config = tmp_path / "config.yaml"
    config.write_text(f"data_dir: {tmp_path}\nworkflows:\n  folder: {tmp_path / 'workflows'}\n", "utf-8")
    code, said = run("list", "--config", str(config))
    assert code == 0
    assert "/png_one" in said
    code, said = run("show", "png_one", "--config", str(config))
    assert code == 0
    assert "node 2 seed" in said
    assert run("show", "nothing", "--config", str(config))[0] == 1
