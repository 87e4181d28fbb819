"""What is inferred from graphs that nobody described."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatelier import Input, Workflow
from chatelier.core.workflows.declaration import declare
from chatelier.core.workflows.graph import read_graph

DATA = Path(__file__).parent / "data"
CLASSES: dict[str, Any] = json.loads((DATA / "graphs" / "object_info.json").read_text("utf-8"))


def golden(name: str) -> Workflow:
    return declare("golden", read_graph(json.loads((DATA / "graphs" / f"{name}.api.json").read_text("utf-8"))))


def sample(name: str) -> Workflow:
    return declare(name, read_graph(json.loads((DATA / "workflows" / f"{name}.json").read_text("utf-8"))))


def of(**nodes: tuple[str, str, dict[str, object]]) -> Workflow:
    """A workflow of nodes (class, title, inputs) whose ids begin with n."""
    graph = {
        name: {"class_type": kind, "inputs": inputs, "_meta": {"title": title}}
        for name, (kind, title, inputs) in nodes.items()
    }
    return declare("mine", read_graph(graph))


def inputs(workflow: Workflow) -> dict[str, Input]:
    return {item.name: item for item in workflow.inputs}


def names(workflow: Workflow) -> list[str]:
    return [item.name for item in workflow.inputs]


def test_the_standard_graph_gives_what_people_expect() -> None:
    workflow = golden("own_sd15_txt2img_old")
    assert workflow.category == "text to image"
    assert names(workflow)[:2] == ["prompt", "negative"]
    found = inputs(workflow)
    assert set(found) == {
        "prompt", "negative", "seed", "steps", "cfg", "strength", "checkpoint", "width", "height", "batch",
    }  # fmt: skip
    assert found["prompt"].targets == (("6", "text"),)
    assert found["negative"].targets == (("7", "text"),)
    assert (found["seed"].role, found["seed"].default, found["seed"].minimum, found["seed"].maximum) == (
        "seed",
        -1,
        -1,
        2**32 - 1,
    )
    assert (found["width"].default, found["height"].default) == (512, 768)
    assert (found["width"].minimum, found["width"].maximum, found["width"].step) == (64, 2048, 8)
    assert (found["steps"].maximum, found["cfg"].maximum, found["batch"].maximum) == (48, 30, 6)
    assert (found["strength"].targets, found["strength"].type) == ((("3", "denoise"),), "number")
    assert found["checkpoint"].role == "model"
    assert workflow.outputs == ("9",)


def test_a_text_of_the_author_is_the_default_and_an_empty_one_is_asked_for() -> None:
    prompt = inputs(golden("own_sd15_txt2img_old"))["prompt"]
    assert not prompt.required
    assert isinstance(prompt.default, str)
    empty = json.loads((DATA / "graphs" / "own_sd15_txt2img_old.api.json").read_text("utf-8"))
    empty["6"]["inputs"]["text"] = "  "
    asked = inputs(declare("empty", read_graph(empty)))["prompt"]
    assert (asked.required, asked.default) == (True, None)


def test_pictures_come_after_the_prompts_and_are_asked_for() -> None:
    workflow = golden("own_sd15_img2img")
    assert workflow.category == "image to image"
    assert names(workflow)[:3] == ["prompt", "negative", "image"]
    image = inputs(workflow)["image"]
    assert (image.type, image.role, image.required, image.default) == ("image", "image", True, None)
    assert not inputs(workflow)["strength"].advanced


def test_several_pictures_are_numbered() -> None:
    workflow = golden("free_loadimage_text")
    assert names(workflow) == ["image", "image2"]
    assert workflow.outputs == ("4", "6", "8") or len(workflow.outputs) == 3


@pytest.mark.parametrize(
    ("name", "prompt", "negative"),
    [
        ("own_sd15_controlnet", ("6", "text"), ("7", "text")),
        ("tpl_flux_fill_outpaint_example", ("23", "text"), None),
        ("tpl_hidream_e1_1", ("6", "text"), ("7", "text")),
        ("tpl_hunyuan_video_text_to_video", ("44", "text"), None),
        ("tpl_image_netayume_lumina_t2i", ("48:51", "value"), ("48:35:42", "value")),
        ("tpl_video_wan2_2_14B_fun_camera", ("107", "text"), ("99", "text")),
        ("tpl_audio_ace_step_1_t2a_instrumentals", ("14", "tags"), None),
    ],
)
def test_prompts_are_found_through_any_chain(
    name: str, prompt: tuple[str, str], negative: tuple[str, str] | None
) -> None:
    found = inputs(golden(name))
    assert found["prompt"].targets == (prompt,)
    assert found["prompt"].role == "prompt"
    assert (found["negative"].targets if "negative" in found else None) == (None if negative is None else (negative,))


def test_base_and_refiner_get_one_prompt_one_seed_and_the_same_steps() -> None:
    found = inputs(golden("tpl_sdxl_simple_example"))
    assert len(found["prompt"].targets) == 2
    assert len(found["negative"].targets) == 2
    assert len(found["seed"].targets) == 2
    assert len(found["steps"].targets) == 2


def test_nodes_that_lead_nowhere_are_not_asked_about() -> None:
    assert "image" not in inputs(golden("own_sd15_controlnet_mute"))


def test_a_number_that_another_node_holds_is_set_there() -> None:
    found = inputs(golden("tpl_video_wan2_2_14B_fun_camera"))
    assert found["width"].targets == (("108", "width"),)
    workflow = of(
        n1=("PrimitiveInt", "Int", {"value": 512}),
        n2=("EmptyImage", "Canvas", {"width": ["n1", 0], "height": ["n1", 0], "batch_size": 1, "color": 0}),
        n3=("SaveImage", "Save", {"images": ["n2", 0]}),
    )
    assert inputs(workflow)["width"].targets == (("n1", "value"),)
    assert "height" not in inputs(workflow)


def test_a_number_that_is_computed_is_not_offered() -> None:
    workflow = of(
        n1=("LoadImage", "Load", {"image": "x.png"}),
        n2=("GetImageSize", "Size", {"image": ["n1", 0]}),
        n3=("EmptyImage", "Canvas", {"width": ["n2", 0], "height": 64, "batch_size": 1, "color": 0}),
        n4=("SaveImage", "Save", {"images": ["n3", 0]}),
    )
    assert names(workflow) == ["image", "height", "batch"]


@pytest.mark.parametrize(
    ("name", "category", "wanted"),
    [
        ("png_one", "utility", {"width", "height", "batch", "seed"}),
        ("img2img_upload", "image to image", {"image"}),
        ("text", "to text", {"prompt"}),
        ("video_mp4", "to video", {"width", "height", "batch", "seed"}),
        ("anim_webp", "to video", {"width", "height", "batch", "seed"}),
        ("invalid_model_missing", "text to image", {"prompt", "checkpoint"}),
        ("invalid_no_outputs", "utility", {"width"}),
        ("invalid_unknown_node", "utility", set()),
    ],
)
def test_the_sample_graphs_load(name: str, category: str, wanted: set[str]) -> None:
    workflow = sample(name)
    assert workflow.category == category
    assert wanted <= set(names(workflow))


def test_a_range_reaches_to_the_authors_own_value() -> None:
    assert inputs(sample("video_mp4"))["batch"].maximum == 16
    odd = of(
        n1=("EmptyImage", "Canvas", {"width": 21, "height": 64, "batch_size": 1, "color": 0}),
        n2=("SaveImage", "Save", {"images": ["n1", 0]}),
    )
    assert (inputs(odd)["width"].minimum, inputs(odd)["width"].step) == (21, None)


def test_titles_name_inputs_and_add_new_ones() -> None:
    workflow = of(
        n1=("EmptyImage", "$canvas", {"width": 64, "height": 64, "batch_size": 1, "color": 0}),
        n2=("ImageAddNoise", "input_grain", {"image": ["n1", 0], "seed": 3, "strength": 0.5}),
        n3=("PrimitiveFloat", "$Radius Of Blur", {"value": 2}),
        n4=("PrimitiveBoolean", "$loud", {"value": True}),
        n5=("PrimitiveString", "INPUT_Words", {"value": ""}),
        n6=("LoadImage", "$style", {"image": "a.png"}),
        n7=("SaveImage", "Save", {"images": ["n2", 0], "a": ["n3", 0], "b": ["n4", 0], "c": ["n5", 0], "d": ["n6", 0]}),
    )
    found = inputs(workflow)
    assert found["canvas"].targets == (("n1", "width"),)
    assert (found["grain"].role, found["grain"].targets) == ("seed", (("n2", "seed"),))
    assert "seed" not in found
    assert found["radius_of_blur"].default == 2
    assert found["loud"].type == "boolean"
    assert (found["words"].type, found["words"].required) == ("text", True)
    assert (found["style"].type, found["style"].role) == ("image", "image")


def test_a_title_on_the_text_encoder_renames_the_prompt_and_keeps_its_role() -> None:
    graph = json.loads((DATA / "graphs" / "own_sd15_txt2img_old.api.json").read_text("utf-8"))
    graph["6"]["_meta"] = {"title": "$scene"}
    graph["5"]["_meta"] = {"title": "no declaration"}
    first = declare("titled", read_graph(graph)).inputs[0]
    assert (first.name, first.role) == ("scene", "prompt")


def test_one_name_for_two_nodes_is_numbered() -> None:
    workflow = of(
        n1=("PrimitiveString", "$word", {"value": "a"}),
        n2=("PrimitiveString", "$word", {"value": "b"}),
        n3=("StringConcatenate", "Join", {"string_a": ["n1", 0], "string_b": ["n2", 0], "delimiter": ""}),
        n4=("PreviewAny", "Show", {"source": ["n3", 0]}),
    )
    assert names(workflow) == ["word", "word2"]


def test_both_texts_of_one_encoder_are_one_prompt() -> None:
    workflow = of(
        n1=("CLIPTextEncodeSDXL", "Text", {"text_g": "fox", "text_l": "snow", "width": 64, "height": 64}),
        n2=("ConditioningCombine", "Both", {"conditioning_1": ["n1", 0], "conditioning_2": ["n1", 0]}),
        n3=("KSampler", "Sample", {"positive": ["n2", 0], "seed": 1}),
        n4=("SaveImage", "Save", {"images": ["n3", 0]}),
    )
    assert inputs(workflow)["prompt"].targets == (("n1", "text_g"), ("n1", "text_l"))


def test_current_deploy_nodes_declare_the_inputs() -> None:
    workflow = of(
        n1=("ComfyUIDeployExternalText", "T", {"input_id": "input_prompt", "default_value": "", "display_name": "Wish"}),
        n2=("ComfyUIDeployExternalText", "T", {"input_id": "negative_prompt", "default_value": "blurry"}),
        n3=("ComfyUIDeployExternalNumberSliderInt", "N",
            {"input_id": "input_size", "default_value": 8, "min_value": 1, "max_value": 9, "description": "How big"}),
        n4=("ComfyUIDeployExternalEnum", "E", {"input_id": "mood", "default_value": "calm", "options": '["calm", "wild"]'}),
        n5=("ComfyUIDeployExternalImage", "I", {"input_id": "input_image"}),
        n6=("ComfyUIDeployExternalSeed", "S", {"input_id": "input_seed", "default_value": -1, "min_value": 1, "max_value": 99}),
        n7=("ComfyUIDeployExternalBoolean", "B", {"input_id": "", "default_value": False}),
        n8=("ComfyUIDeployExternalNumber", "N", {"input_id": "input_weight"}),
        n9=("ComfyUIDeployExternalEnum", "E", {"input_id": "tone", "options": "low\nhigh"}),
        save=("SaveImage", "Save", {"images": ["n5", 0], "seed": 4}),
    )  # fmt: skip
    found = inputs(workflow)
    assert names(workflow)[:3] == ["prompt", "negative_prompt", "image"]
    assert (found["prompt"].required, found["prompt"].label, found["prompt"].role) == (True, "Wish", "prompt")
    assert found["prompt"].targets == (("n1", "input_id"), ("n1", "default_value"))
    assert (found["negative_prompt"].required, found["negative_prompt"].role) == (False, "negative")
    assert (found["size"].type, found["size"].minimum, found["size"].maximum) == ("integer", 1, 9)
    assert found["size"].description == "How big"
    assert (found["mood"].choices, found["mood"].default) == (("calm", "wild"), "calm")
    assert (found["image"].required, found["image"].targets) == (True, (("n5", "input_id"),))
    assert (found["seed"].role, found["seed"].required) == ("seed", False)
    assert (found["input_n7"].type, found["input_n7"].default) == ("boolean", False)
    assert (found["weight"].type, found["weight"].required) == ("number", True)
    assert found["tone"].choices == ("low", "high")


def test_a_default_that_is_linked_makes_a_deploy_picture_optional() -> None:
    workflow = of(
        n1=("LoadImage", "Load", {"image": "x.png"}),
        n2=("ComfyUIDeployExternalImage", "I", {"input_id": "input_image", "default_value": ["n1", 0]}),
        n3=("SaveImage", "Save", {"images": ["n2", 0]}),
    )
    image = inputs(workflow)["image"]
    assert (image.required, image.targets) == (False, (("n2", "input_id"),))


def test_legacy_deploy_nodes_are_read_by_their_texts() -> None:
    workflow = of(
        n1=("ComfyUIDeployExternalNumberInt", "N", {"name": "input_width", "default_value": "512"}),
        n2=("ComfyUIDeployPair", "P", {"left": "input_left", "right": "input_right", "other": "plain"}),
        n3=("KSampler", "Sample", {"seed": 5, "steps": 9, "x": ["n1", 0]}),
        n4=("ComfyUIDeployOutputText", "O", {"name": "input_never"}),
        n5=("SaveImage", "Save", {"images": ["n3", 0]}),
    )
    found = inputs(workflow)
    assert set(found) == {"left", "right", "width", "seed"}
    assert (found["width"].default, found["width"].maximum) == (512, 2048)
    assert found["seed"].targets == (("n3", "seed"),)


def test_a_servers_ranges_and_choices_are_kept() -> None:
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
        "2": {
            "class_type": "ImageFlip",
            "inputs": {"image": ["1", 0], "flip_method": "y-axis: horizontally"},
            "_meta": {"title": "$flip"},
        },
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
        "4": {
            "class_type": "ImageScaleBy",
            "inputs": {"image": ["2", 0], "scale_by": 2, "upscale_method": "area"},
            "_meta": {"title": "$x"},
        },
    }
    graph["4"]["inputs"] = {"scale_by": 2, "upscale_method": "area", "image": ["2", 0]}
    workflow = declare("mine", read_graph(graph), classes=CLASSES)
    found = inputs(workflow)
    assert found["flip"].choices == ("x-axis: vertically", "y-axis: horizontally")
    assert (found["x"].type, found["x"].minimum, found["x"].maximum) == ("number", 0.01, 8.0)


def test_the_same_file_gives_the_same_version_and_a_change_another() -> None:
    first, again = golden("own_sd15_txt2img_old"), golden("own_sd15_txt2img_old")
    assert first == again
    assert first.version != golden("own_sd15_img2img").version
    assert len(first.version) == 16


def test_strange_fields_of_authors_are_borne() -> None:
    workflow = of(
        n1=("ComfyUIDeployExternalNumber", "N", {"input_id": "a", "default_value": "many", "min_value": "few"}),
        n2=("ComfyUIDeployExternalText", "T", {"other": 1}),
        n3=("SaveImage", "$empty", {"images": ["n1", 0]}),
        n4=("CLIPTextEncode", "$words", {"text": ["n5", 0]}),
        n5=("PrimitiveString", "Words", {"value": "hello"}),
    )
    found = inputs(workflow)
    assert (found["a"].default, found["a"].minimum) == (None, None)
    assert found["words"].targets == (("n5", "value"),)
    assert "empty" not in found
