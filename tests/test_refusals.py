"""What ComfyUI's errors are in words: for every one that was recorded, and for the shapes that nobody recorded."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatelier import words_of_error, words_of_rejection
from sketching import transcript, workflow

REFUSED = [line for line in transcript("B_validation_errors.jsonl") if isinstance(line.get("response"), dict)]
FAILED = [
    line["msg"]["data"]
    for line in transcript("C_execution_errors.jsonl")
    if line.get("msg", {}).get("type") == "execution_error"
]
TECHNICAL = ("Traceback", "KeyError", "execution.py", "/comfyui", "node_errors", "extra_info", "{", "tensor(")


def rejected(kind: str, **info: Any) -> str:
    error = {"type": kind, "message": "A message", "details": info.pop("details", "x"), "extra_info": info}
    return words_of_rejection(
        {"node_errors": {"3": {"errors": [error], "class_type": "KSampler"}}},
        {"3": {"class_type": "KSampler", "_meta": {"title": "Sampler"}}},
    )


def test_enough_was_recorded() -> None:
    assert len(REFUSED) >= 15
    assert len(FAILED) >= 3


@pytest.mark.parametrize("line", REFUSED, ids=range(len(REFUSED)))
def test_recorded_refusals_are_sentences(line: dict[str, Any]) -> None:
    said = words_of_rejection(line["response"], line["body"].get("prompt", {}))
    assert said.endswith(".")
    assert said[0].isupper()
    assert not any(word in said for word in TECHNICAL)


@pytest.mark.parametrize("data", FAILED, ids=range(len(FAILED)))
def test_recorded_failures_are_sentences(data: dict[str, Any]) -> None:
    said = words_of_error(data, workflow("fail_exec"))
    assert said.startswith(str(data["node_type"]))
    assert said.endswith(".")
    assert not any(word in said for word in TECHNICAL)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("invalid_missing_input", "SaveImage: images is missing."),
        (
            "invalid_values",
            "EmptyImage (Canvas): width must be at least 1, not 0. ImageAddNoise (Noise (seed)): strength must be a number, not “lots”.",
        ),
        (
            "invalid_model_missing",
            (
                "CheckpointLoaderSimple (Load Checkpoint): ckpt_name: this server does not have “v1-5-pruned-emaonly.safetensors”; "
                "it has none at all: put it there."
            ),
        ),
        ("invalid_no_outputs", "This workflow has no output: add a node that saves or shows its result."),
        (
            "invalid_unknown_node",
            "This server has no node NoSuchNode: install what brings it, or use another workflow.",
        ),
    ],
)
def test_the_usual_mistakes(name: str, said: str) -> None:
    line = next(line for line in REFUSED if line["body"].get("prompt") == workflow(name))
    assert words_of_rejection(line["response"], workflow(name)) == said


def test_values_beyond_their_limits_name_the_limit() -> None:
    config = ["FLOAT", {"min": 0.0, "max": 1.0}]
    said = rejected("value_bigger_than_max", input_name="denoise", received_value=1.5, input_config=config)
    assert said == "KSampler (Sampler): denoise must be at most 1, not 1.5."
    assert "what the node allows" in rejected("value_smaller_than_min", input_name="steps", received_value=0)


def test_lists_are_shown_in_part() -> None:
    options = [f"m{n}.safetensors" for n in range(12)]
    for config in ([options, {}], ["COMBO", {"options": options}]):
        said = rejected(
            "value_not_in_list", input_name="ckpt_name", received_value="no.safetensors", input_config=config
        )
        assert "“no.safetensors”; put it there, or choose one of those that it has: m0.safetensors, " in said
        assert said.endswith(", …")
    assert rejected("value_not_in_list", input_name="a", received_value="b", input_config=None).endswith(
        "does not have “b”; choose another one."
    )
    config = [["euler", "heun"], {}]
    said = rejected("value_not_in_list", input_name="sampler_name", received_value="magic", input_config=config)
    assert said.endswith("does not have “magic”; choose one of those that it has: euler, heun.")
    said = rejected("value_not_in_list", input_name="sampler_name", received_value="magic", input_config=[[], {}])
    assert said.endswith("does not have “magic”; it has none at all.")


def test_many_errors_are_counted() -> None:
    error = {"type": "required_input_missing", "message": "", "details": "x", "extra_info": {"input_name": "x"}}
    nodes = {str(n): {"errors": [error], "class_type": f"Node{n}"} for n in range(5)}
    assert words_of_rejection({"node_errors": nodes}, {}).endswith("And 2 more.")


def test_other_kinds() -> None:
    assert "another type (INT)" in rejected("return_type_mismatch", input_name="images", received_type="INT")
    assert "Invalid image file: a.png" in rejected(
        "custom_validation_failed", details="image - Invalid image file: a.png"
    )
    assert "not connected" in rejected("bad_linked_input", details="")
    assert rejected("something_new", details="more") == "KSampler (Sampler): A message: more."
    assert words_of_rejection({"error": "plain words"}, {}) == "plain words."
    assert words_of_rejection({}, {}) == "The server refused this workflow."
    assert words_of_rejection({"error": {"type": "odd", "message": "Odd", "details": ""}}, {}) == "Odd."


def test_failures_that_people_can_mend() -> None:
    memory = words_of_error(
        {
            "node_type": "KSampler",
            "exception_message": "Allocation on device",
            "exception_type": "torch.OutOfMemoryError",
        },
        {},
    )
    assert "smaller picture" in memory
    assert "PNG, JPEG or WebP" in words_of_error(
        {"node_type": "LoadImage", "exception_message": "cannot identify image file '/x/y.png'\n"}, {}
    )
    assert words_of_error({"node_id": "9"}, {}) == "node 9 failed and did not say why."
    assert (
        words_of_error({"node_type": "A", "exception_message": "No file /data/models/x.pt here"}, {})
        == "A: No file x.pt here."
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(body=st.fixed_dictionaries({}, optional={"error": JSON, "node_errors": JSON}))
def test_any_body_gives_words(body: dict[str, Any]) -> None:
    assert words_of_rejection(body, {})


@given(data=st.fixed_dictionaries({}, optional={"node_id": JSON, "exception_message": JSON, "exception_type": JSON}))
def test_any_error_gives_words(data: dict[str, Any]) -> None:
    assert words_of_error(data, {})
