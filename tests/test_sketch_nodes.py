"""Nodes beyond the goldens: by their rule, with sizes and values that nobody recorded."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chatelier.plugins.sketch import nodes_effects, nodes_image, nodes_mask, nodes_text
from chatelier.plugins.sketch.folders import Folders
from chatelier.plugins.sketch.models import Models
from chatelier.plugins.sketch.noise import normals
from chatelier.plugins.sketch.pixels import Picture, to_bytes
from chatelier.plugins.sketch.registry import all_nodes, object_info
from sketching import Bench, bench, node, text_to_image, transcript

SEEDS = st.integers(0, 2**64 - 1)
SIDES = st.integers(1, 9)


def picture(height: int, width: int, channels: int = 3, *, batch: int = 1, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).random((batch, height, width, channels), np.float32)


def masks(height: int, width: int, seed: int = 0) -> Picture:
    return picture(height, width, 1, seed=seed)[..., 0]


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def recorded_noise() -> list[list[float]]:
    """The corners of a noisy picture, as a real server printed it in an error."""
    for line in transcript("C_execution_errors.jsonl"):
        said = line.get("msg", {})
        if said.get("type") == "execution_error" and "tensor" in str(said["data"]["current_inputs"]):
            printed = said["data"]["current_inputs"]["value"][0]
            return [[float(number) for number in row.split(",")] for row in re.findall(r"\[([\d., ]+)\]", printed)]
    raise AssertionError


def test_noise_is_the_noise_of_a_real_server() -> None:
    canvas = nodes_image.empty_image(64, 64, 1, 3368601)
    made = nodes_effects.image_add_noise(canvas, 4274068597, 0.5)[0]
    edges = [0, 1, 2, -3, -2, -1]
    mine = np.array([[made[y, x] for x in edges] for y in edges]).reshape(-1, 3)
    assert len(recorded_noise()) == 36
    assert np.abs(mine - recorded_noise()).max() < 1e-4


@given(seed=SEEDS, count=st.integers(1, 15))
@settings(deadline=None)
def test_little_noise_and_much_noise_are_normal_and_repeat(seed: int, count: int) -> None:
    assert np.array_equal(normals(seed, (count,)), normals(seed, (count,)))
    assert np.array_equal(normals(seed, (count,)), normals(seed + 2**32, (count,)))
    much = normals(seed, (3, 1111))
    assert abs(float(much.mean())) < 0.12
    assert 0.9 < float(much.std()) < 1.1


def test_few_numbers_are_those_of_torch() -> None:
    """As torch's own documentation prints `torch.randn(3)` after seed 0."""
    assert np.allclose(normals(0, (3,)), [1.5410, -0.2934, -2.1788], atol=1e-4)


@given(radius=st.integers(1, 5), sigma=st.floats(0.1, 10), size=st.tuples(st.integers(6, 70), st.integers(6, 20)))
@settings(max_examples=25, deadline=None)
def test_a_blur_is_its_two_dimensional_kernel(radius: int, sigma: float, size: tuple[int, int]) -> None:
    image = picture(*size)
    line = np.linspace(-1, 1, 2 * radius + 1)
    kernel = np.exp(-(line[:, None] ** 2 + line[None] ** 2) / (2 * sigma * sigma))
    kernel /= kernel.sum()
    padded = np.pad(image[0], [(radius, radius), (radius, radius), (0, 0)], mode="reflect")
    y, x = size[0] // 2, size[1] - 1
    around = padded[y : y + 2 * radius + 1, x : x + 2 * radius + 1]
    expected = (around * kernel[..., None]).sum((0, 1))
    assert np.abs(nodes_effects.image_blur(image, radius, sigma)[0, y, x] - expected).max() < 1e-5


def test_a_blur_wider_than_the_picture_fails_as_torch_does() -> None:
    with pytest.raises(RuntimeError, match="Padding size should be less"):
        nodes_effects.image_blur(picture(5, 40), 5, 1.0)


@pytest.mark.parametrize("mode", ["normal", "multiply", "screen", "overlay", "soft_light", "difference"])
def test_blending_with_nothing_changes_nothing(mode: str) -> None:
    base, top = picture(6, 5), picture(6, 5, seed=1)
    assert np.allclose(nodes_effects.image_blend(base, top, 0.0, mode), base)
    full = nodes_effects.image_blend(base, top, 1.0, mode)
    assert full.min() >= 0
    assert full.max() <= 1


def test_blends_at_full_strength() -> None:
    base, top = np.full((1, 2, 2, 3), 0.25, np.float32), np.full((1, 2, 2, 3), 0.75, np.float32)
    results = {
        mode: float(nodes_effects.image_blend(base, top, 1.0, mode)[0, 0, 0, 0])
        for mode in ("overlay", "screen", "soft_light")
    }
    assert results["overlay"] == pytest.approx(2 * 0.25 * 0.75)
    assert results["screen"] == pytest.approx(1 - 0.75 * 0.25)
    assert results["soft_light"] == pytest.approx(0.25 + 0.5 * (0.5 - 0.25))


@pytest.mark.parametrize("dither", ["none", "floyd-steinberg", "bayer-2", "bayer-16"])
def test_quantizing_leaves_so_many_colours(dither: str) -> None:
    made = nodes_effects.image_quantize(picture(40, 30), 6, dither)
    assert len(np.unique(to_bytes(made)[0].reshape(-1, 3), axis=0)) <= 6
    assert made.shape == (1, 40, 30, 3)


@given(height=SIDES, width=SIDES)
def test_four_quarter_turns_are_none(height: int, width: int) -> None:
    image = picture(height, width)
    turned = image
    for _ in range(4):
        turned = nodes_image.image_rotate(turned, "90 degrees")
    assert np.array_equal(turned, image)
    assert np.array_equal(nodes_image.image_rotate(image, "90 degrees")[0, 0], image[0, ::-1, 0])
    for way in ("x-axis: vertically", "y-axis: horizontally"):
        assert np.array_equal(nodes_image.image_flip(nodes_image.image_flip(image, way), way), image)


@given(first=st.tuples(SIDES, SIDES), second=st.tuples(SIDES, SIDES), spacing=st.integers(0, 5))
def test_stitching_adds_the_sides_and_an_even_gap(
    first: tuple[int, int], second: tuple[int, int], spacing: int
) -> None:
    one, two = picture(*first), picture(*second, batch=2)
    made = nodes_image.image_stitch(one, "down", False, spacing, "red", two)
    gap = spacing + spacing % 2
    assert made.shape == (2, first[0] + second[0] + gap, max(first[1], second[1]), 3)
    if gap:
        assert np.array_equal(made[0, first[0], 0], [1, 0, 0])


@given(
    size=st.tuples(st.integers(8, 30), st.integers(8, 30)),
    sides=st.tuples(*[st.integers(0, 5)] * 4),
    feathering=st.integers(0, 8),
)
def test_padding_feathers_by_the_distance_to_new_land(
    size: tuple[int, int], sides: tuple[int, int, int, int], feathering: int
) -> None:
    left, top, right, bottom = sides
    image = picture(*size)
    padded, new = nodes_image.pad_for_outpaint(image, left, top, right, bottom, feathering)
    assert np.array_equal(padded[0, top : top + size[0], left : left + size[1]], image[0])
    assert new.shape == (1, size[0] + top + bottom, size[1] + left + right)
    y, x = size[0] // 3, size[1] // 3
    ways = [
        y if top else size[0],
        size[0] - y if bottom else size[0],
        x if left else size[1],
        size[1] - x if right else size[1],
    ]
    soft = feathering > 0 and feathering * 2 < min(size) and min(ways) < feathering
    expected = ((feathering - min(ways)) / feathering) ** 2 if soft else 0
    assert new[0, top + y, left + x] == pytest.approx(expected, abs=1e-6)


def test_scales_follow_a_proportion() -> None:
    image = picture(40, 60)
    assert nodes_image.image_scale_to_total_pixels(image, "area", 0.01).shape[1:3] == (84, 125)
    assert nodes_image.image_scale_to_max_dimension(image, "bilinear", 30).shape[1:3] == (20, 30)
    assert nodes_image.image_scale(image, "bilinear", 30, 0, "disabled").shape[1:3] == (20, 30)
    assert nodes_image.get_image_size(picture(4, 6, batch=3)) == (6, 4, 3)


def test_batches() -> None:
    wide, tall = picture(4, 8, 4), picture(8, 4)
    both = nodes_image.image_batch(tall, wide)
    assert both.shape == (2, 8, 4, 4)
    assert both[0, ..., 3].min() == 1
    assert nodes_image.repeat_image_batch(both, 3).shape[0] == 6
    assert np.array_equal(nodes_image.image_from_batch(both, 9, 9), both[1:])


@given(size=st.tuples(st.integers(3, 12), st.integers(3, 12)), by=st.integers(-3, 3), tapered=st.booleans())
def test_a_mask_grows_by_its_steps(size: tuple[int, int], by: int, tapered: bool) -> None:
    mask = masks(*size)
    made = nodes_mask.grow_mask(mask, by, tapered)[0]
    pick = max if by > 0 else min
    expected = mask[0]
    for _ in range(abs(by)):
        before = expected
        expected = np.array([[pick(_around(before, y, x, tapered)) for x in range(size[1])] for y in range(size[0])])
    assert np.allclose(made, expected)


def _around(mask: Any, y: int, x: int, tapered: bool) -> list[float]:
    near = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if not (tapered and dy and dx)]
    return [mask[y + dy, x + dx] for dy, dx in near if 0 <= y + dy < mask.shape[0] and 0 <= x + dx < mask.shape[1]]


def test_masks_of_colours_and_channels() -> None:
    image = np.zeros((1, 2, 2, 4), np.float32)
    image[0, 0, 0] = (51 / 255, 102 / 255, 204 / 255, 0.5)
    assert nodes_mask.image_color_to_mask(image, 0x3366CC).tolist() == [[[1, 0], [0, 0]]]
    assert nodes_mask.image_to_mask(image, "alpha")[0, 0, 0] == 0.5
    colours, clear = nodes_mask.split_image_with_alpha(image)
    assert np.allclose(nodes_mask.join_image_with_alpha(colours, clear), image)
    assert nodes_mask.split_image_with_alpha(image[..., :3])[1].max() == 0


@pytest.mark.parametrize(
    ("operation", "expected"), [("multiply", 0.24), ("add", 1), ("subtract", 0.2), ("and", 0), ("or", 1), ("xor", 1)]
)
def test_masks_combine_where_they_overlap(operation: str, expected: float) -> None:
    below, above = np.full((1, 4, 4), 0.6, np.float32), np.full((1, 3, 3), 0.4, np.float32)
    made = nodes_mask.mask_composite(below, above, 2, 3, operation)
    assert made[0, 3, 2] == pytest.approx(expected)
    assert made[0, 0, 0] == pytest.approx(0.6)


def test_feathering_keeps_the_slip_of_the_original() -> None:
    """The right and lower feathers begin at the first column and row."""
    soft = nodes_mask.feather_mask(np.ones((1, 4, 6), np.float32), 0, 0, 3, 0)[0]
    assert soft[0].tolist() == pytest.approx([1 / 3, 1, 1, 1, 1, 2 / 3])
    assert nodes_mask.threshold_mask(soft[None], 0.5)[0, 0].tolist() == [0, 1, 1, 1, 1, 1]
    assert nodes_mask.crop_mask(soft, 5, 1, 4, 9).shape == (1, 3, 1)


def test_compositing_beyond_the_edge_shows_what_fits() -> None:
    below, above = np.zeros((2, 4, 4, 3), np.float32), np.ones((1, 3, 3, 3), np.float32)
    made = nodes_effects.image_composite_masked(below, above, 3, 2, False)
    assert made.sum(axis=(1, 2, 3)).tolist() == [6, 6]
    assert nodes_effects.image_composite_masked(below, above, 9, 9, False).sum() == 0
    assert nodes_effects.image_composite_masked(below, above, 0, 0, True).min() == 1


def test_text_nodes() -> None:
    assert nodes_text.string_substring("sketches", 1, -2) == "ketch"
    assert nodes_text.string_trim("  a ", "Left") == "a "
    assert nodes_text.case_converter("aB c", "Capitalize") == "Ab c"
    assert nodes_text.string_contains("Fox", "fox", False)
    assert not nodes_text.string_contains("Fox", "fox", True)
    assert [
        nodes_text.string_compare("Red fox", "FOX", mode, False) for mode in ("Starts With", "Ends With", "Equal")
    ] == [False, True, False]
    assert nodes_text.regex_match("a1", r"\d", True, False, False)
    assert not nodes_text.regex_match("a1", "(", True, False, False)
    assert nodes_text.preview_any({"a": 1}).ui == {"text": ['{"a": 1}']}
    assert nodes_text.preview_any(None).ui == {"text": ["None"]}


@pytest.mark.parametrize(
    ("mode", "pattern", "found"),
    [
        ("First Match", r"[a-z]\d", "a1"),
        ("All Matches", r"([a-z])\d", "a\nb"),
        ("First Group", r"([a-z])(\d)", "1"),
        ("All Groups", r"([a-z])(\d)", "1\n2"),
        ("All Groups", r"[a-z]", ""),
        ("First Group", r"(x)(y)", ""),
        ("First Match", "(", ""),
    ],
)
def test_regular_expressions_extract(mode: str, pattern: str, found: str) -> None:
    assert nodes_text.regex_extract("a1 b2", pattern, mode, True, False, False, 2) == found


def test_every_node_is_described(tmp_path: Path) -> None:
    described = object_info(Folders(tmp_path), Models())
    assert len(described) >= 80
    for name, entry in described.items():
        assert entry["description"], name
        assert list(entry["input"]["required"]) == entry["input_order"]["required"]
        assert all_nodes()[name].summary == entry["description"]
    assert described["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0][0] == "sketch.safetensors"
    assert described["ImageScaleToTotalPixels"]["input"]["required"]["upscale_method"][0] == "COMBO"
    assert described["ImageInvert"]["input"]["required"]["image"] == ["IMAGE"]


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    with bench(tmp_path) as made:
        yield made


def test_loading_turns_animates_and_masks(desk: Bench) -> None:
    first, second = Image.new("RGBA", (8, 4), (255, 0, 0, 0)), Image.new("RGBA", (8, 4), (0, 255, 0, 255))
    first.save(desk.root / "input" / "two.webp", save_all=True, append_images=[second], lossless=True)
    turned = Image.new("RGB", (8, 4))
    tags = turned.getexif()
    tags[0x0112] = 6
    (desk.root / "input" / "deep").mkdir()
    turned.save(desk.root / "input" / "deep" / "turned.jpg", exif=tags)
    Image.new("P", (8, 4)).save(desk.root / "input" / "clear.png", transparency=0)
    history = desk.run(
        {
            "1": node("LoadImage", image="two.webp"),
            "2": node("MaskToImage", mask=["1", 1]),
            "3": node("SaveImage", images=["2", 0], filename_prefix="masks"),
            "4": node("LoadImage", image="deep/turned.jpg"),
            "5": node("SaveImage", images=["4", 0], filename_prefix="turned"),
            "6": node("LoadImage", image="clear.png"),
            "7": node("MaskPreview", mask=["6", 1]),
        }
    )
    masked, unmasked, upright, clear = [opened(path) for path in desk.files(history)]
    assert masked.getpixel((0, 0)) == (255, 255, 255)
    assert unmasked.getpixel((0, 0)) == (0, 0, 0)
    assert upright.size == (4, 8)
    assert clear.getpixel((0, 0)) == (255, 255, 255)


def test_saving_counts_on_and_fills_the_prefix(desk: Bench) -> None:
    graph = {
        "1": node("EmptyImage", width=8, height=6, batch_size=2, color=255),
        "2": node("SaveImage", images=["1", 0], filename_prefix="day/%width%x%height%-%batch_num%"),
        "3": node("SaveAnimatedPNG", images=["1", 0], filename_prefix="move", fps=5.0, compress_level=4),
        "4": node("PreviewImage", images=["1", 0]),
    }
    history = desk.run(graph)
    names = [path.name for path in desk.files(history)]
    assert names[:3] == ["8x6-0_00001_.png", "8x6-1_00002_.png", "move_00001_.png"]
    assert history["outputs"]["2"]["images"][0] == {
        "filename": "8x6-0_00001_.png",
        "subfolder": "day",
        "type": "output",
    }
    assert history["outputs"]["3"]["animated"] == [True]
    assert all(re.fullmatch(r"ComfyUI_temp_[a-z]{5}_0000[12]_\.png", name) for name in names[3:])
    with Image.open(desk.files(history)[0]) as saved:
        assert '"EmptyImage"' in saved.info["prompt"]
    graph["1"]["inputs"]["color"] = 7
    assert desk.run(graph)["outputs"]["3"]["images"][0]["filename"] == "move_00002_.png"


def test_saving_outside_is_refused(desk: Bench) -> None:
    graph = {
        "1": node("EmptyImage", width=8, height=8, batch_size=1, color=0),
        "2": node("SaveImage", images=["1", 0], filename_prefix="../../up"),
    }
    history = desk.run(graph)
    assert "not allowed" in history["status"]["messages"][-1][1]["exception_message"]
    assert not list(desk.root.parent.glob("up*"))


def test_too_many_pixels_are_refused_before_memory_is_taken(desk: Bench) -> None:
    graph = {
        "1": node("EmptyImage", width=16384, height=16384, batch_size=9, color=0),
        "2": node("PreviewImage", images=["1", 0]),
    }
    assert "too many for a sketch" in desk.run(graph)["status"]["messages"][-1][1]["exception_message"]


def test_other_model_nodes_carry_the_picture_on(desk: Bench) -> None:
    graph = text_to_image(batch=2) | {
        "10": node("LoraLoader", model=["4", 0], clip=["4", 1], lora_name="sketch-snow.safetensors", strength_model=1.0, strength_clip=1.0),
        "11": node("LatentUpscaleBy", samples=["3", 0], upscale_method="bislerp", scale_by=1.5),
        "12": node("SolidMask", value=1.0, width=32, height=32),
        "13": node("SetLatentNoiseMask", samples=["11", 0], mask=["12", 0]),
        "14": node(
            "KSamplerAdvanced", model=["10", 0], add_noise="enable", noise_seed=2, steps=6, cfg=7.0, sampler_name="euler",
            scheduler="karras", positive=["16", 0], negative=["7", 0], latent_image=["13", 0], start_at_step=3, end_at_step=10,
            return_with_leftover_noise="disable",
        ),
        "15": node("VAEDecode", samples=["14", 0], vae=["4", 2]),
        "16": node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["7", 0]),
        "17": node("UpscaleModelLoader", model_name="2x-sketch.pth"),
        "18": node("ImageUpscaleWithModel", upscale_model=["17", 0], image=["15", 0]),
        "19": node("PreviewImage", images=["18", 0]),
    }  # fmt: skip
    history = desk.run(graph)
    sizes = [opened(path).size for path in desk.files(history)]
    assert sizes == [(64, 64)] * 2 + [(192, 192)] * 2


def test_a_picture_becomes_a_latent_and_one_again(desk: Bench) -> None:
    """Sides that are no multiple of 8 lose their rims; an empty latent is grey."""
    graph = {
        "1": node("EmptyImage", width=70, height=43, batch_size=1, color=0xFF0000),
        "2": node("VAELoader", vae_name="pixel_space"),
        "3": node("SolidMask", value=1.0, width=70, height=43),
        "4": node("VAEEncode", pixels=["1", 0], vae=["2", 0]),
        "5": node("RepeatLatentBatch", samples=["4", 0], amount=2),
        "6": node("LatentUpscale", samples=["5", 0], upscale_method="bilinear", width=128, height=0, crop="disabled"),
        "7": node("VAEDecode", samples=["6", 0], vae=["2", 0]),
        "8": node("PreviewImage", images=["7", 0]),
        "9": node("VAEEncodeForInpaint", pixels=["1", 0], vae=["2", 0], mask=["3", 0], grow_mask_by=6),
        "10": node("VAEDecode", samples=["9", 0], vae=["2", 0]),
        "11": node("PreviewImage", images=["10", 0]),
        "12": node("EmptySD3LatentImage", width=32, height=16, batch_size=1),
        "13": node("VAEDecode", samples=["12", 0], vae=["2", 0]),
        "14": node("PreviewImage", images=["13", 0]),
    }
    pictures = [opened(path) for path in desk.files(desk.run(graph))]
    assert [picture.size for picture in pictures] == [(128, 80), (128, 80), (64, 40), (32, 16)]
    assert [picture.getpixel((3, 3)) for picture in pictures] == [(255, 0, 0)] * 3 + [(127, 127, 127)]


def test_a_picture_too_small_for_a_latent_fails_in_words(desk: Bench) -> None:
    graph = {
        "1": node("EmptyImage", width=7, height=43, batch_size=1, color=0),
        "2": node("VAELoader", vae_name="pixel_space"),
        "3": node("VAEEncode", pixels=["1", 0], vae=["2", 0]),
        "4": node("VAEDecode", samples=["3", 0], vae=["2", 0]),
        "5": node("PreviewImage", images=["4", 0]),
    }
    assert "smaller than 8 x 8" in desk.run(graph)["status"]["messages"][-1][1]["exception_message"]


def test_the_nodes_of_a_flux_graph(desk: Bench) -> None:
    graph = text_to_image() | {
        "20": node("UNETLoader", unet_name="any.safetensors", weight_dtype="default"),
        "21": node("CLIPLoader", clip_name="any.safetensors", type="sd3"),
        "22": node("CLIPSetLastLayer", clip=["21", 0], stop_at_clip_layer=-2),
        "23": node("LoraLoaderModelOnly", model=["20", 0], lora_name="night.safetensors", strength_model=0.8),
    }
    graph["6"]["inputs"]["clip"] = ["22", 0]
    graph["7"] = node("ConditioningZeroOut", conditioning=["6", 0])
    graph["24"] = node("FluxGuidance", conditioning=["6", 0], guidance=3.5)
    graph["25"] = node("ConditioningConcat", conditioning_to=["24", 0], conditioning_from=["7", 0])
    graph["3"]["inputs"] |= {"model": ["23", 0], "positive": ["25", 0]}
    history = desk.run(graph)
    assert history["status"]["completed"], history["status"]["messages"][-1]
    assert desk.files(history)[0].is_file()


def test_model_names_may_have_their_folder() -> None:
    models = Models(["a.safetensors", "loras/b.safetensors", "odd/c.safetensors"])
    assert models.names("checkpoints") == ["a.safetensors", "odd/c.safetensors"]
    assert models.names("loras") == ["b.safetensors"]
    assert models.names("vae") == ["pixel_space"]
