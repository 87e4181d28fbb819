"""How many files a run leaves, and under which names: told beforehand or not at all."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatelier import Blob, savers
from chatelier.core.workflows.saved import LOADS, PICTURES_FROM, SAVES, STARTS, WHOLE

CLASSES: dict[str, dict[str, Any]] = {
    name: {"output_is_list": [False], "output_node": name in SAVES}
    for name in [*PICTURES_FROM, *STARTS, *LOADS, *SAVES, "RepeatImageBatch", "CreateVideo"]
} | {"RebatchImages": {"output_is_list": [True]}, "PreviewAny": {"output_node": True}, "Mine": {"output_node": True}}


def node(kind: str, /, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def saving(*before: dict[str, Any], by: str = "SaveImage") -> dict[str, dict[str, Any]]:
    """Nodes "0", "1" … and a last one that saves what the one before it gives."""
    graph = {str(n): one for n, one in enumerate(before)}
    source = [str(len(before) - 1), 0]
    return {**graph, "save": node(by, images=source, filename_prefix="chatelier/day/an-id")}


def picture(frames: int) -> Blob:
    return Blob(sha256="a" * 64, size=1, mime="image/gif", kind="image", frames=frames)


def count(graph: dict[str, dict[str, Any]], **files: Blob) -> int | None:
    """Of the only saver; None when nothing is known."""
    found = savers(graph, "an-id", CLASSES, files)
    assert len(found) <= 1
    return found[0].count if found else None


def empty(size: Any = 1) -> dict[str, Any]:
    return node("EmptyImage", batch_size=size)


@given(st.integers(1, 9), st.lists(st.sampled_from(sorted(PICTURES_FROM.keys() - SAVES.keys()))))
def test_a_batch_keeps_its_number_on_its_way(size: int, classes: list[str]) -> None:
    way = [
        node(kind, **{key: [str(n), 0] for key in PICTURES_FROM[kind]}, vae=["0", 0]) for n, kind in enumerate(classes)
    ]
    graph = saving(empty(size), *way)
    (saver,) = savers(graph, "an-id", CLASSES, {})
    assert [file["filename"] for file in saver.files] == [f"an-id_{n:05}_.png" for n in range(1, size + 1)]
    assert {file["subfolder"] for file in saver.files} == {"chatelier/day"}


@pytest.mark.parametrize(
    "graph",
    [
        saving(empty(), node("RepeatImageBatch", image=["0", 0], amount=2)),
        saving(empty(), node("SomebodysNode", image=["0", 0])),
        saving(node("PrimitiveInt", value=1), empty(["0", 0])),
        saving(node("EmptyImage")),
        saving(empty("2")),
        saving(empty(True)),
        saving(node("ImageScale")),
        saving(empty(1), empty(2), node("ImageStitch", image1=["0", 0], image2=["1", 0])),
        saving(node("LoadImage", image="on the server.png")),
        saving(node("ImageBlur", image=["0", 0])),
    ],
)
def test_what_may_become_more_of_one_is_not_counted(graph: dict[str, dict[str, Any]]) -> None:
    assert count(graph) is None


def test_a_sent_file_counts_by_its_frames() -> None:
    graph = saving(node("LoadImage", image="a key"))
    assert count(graph, **{"a key": picture(1)}) == 1
    assert count(graph, **{"a key": picture(7)}) == 7


@pytest.mark.parametrize(
    ("by", "decoded", "start", "name"),
    [
        ("SaveAudio", "VAEDecodeAudio", "EmptyLatentAudio", "an-id_00002_.flac"),
        ("SaveAudioMP3", "VAEDecodeAudio", "EmptyAceStepLatentAudio", "an-id_00002_.mp3"),
        ("SaveAudioOpus", "VAEDecodeAudio", "EmptyLatentAudio", "an-id_00002_.opus"),
        ("SaveGLB", "VoxelToMesh", "EmptyLatentHunyuan3Dv2", "an-id_00002_.glb"),
    ],
)
def test_sounds_and_bodies_are_counted_as_pictures_are(by: str, decoded: str, start: str, name: str) -> None:
    graph = {
        "0": node(start, batch_size=2),
        "1": node("KSampler", latent_image=["0", 0]),
        "2": node(decoded, **{PICTURES_FROM[decoded][0]: ["1", 0]}),
        "3": node(by, **{PICTURES_FROM[by][0]: ["2", 0]}, filename_prefix="chatelier/day/an-id"),
    }
    (saver,) = savers(graph, "an-id", CLASSES, {})
    assert [saver.count, saver.files[-1]["filename"]] == [2, name]


@pytest.mark.parametrize("by", sorted(WHOLE))
def test_an_animation_is_one_file_unless_lists_are_made(by: str) -> None:
    assert count(saving(empty(5), node("RepeatImageBatch", image=["0", 0]), by=by)) == 1
    assert count(saving(empty(5), node("RebatchImages", images=["0", 0]), by=by)) is None
    assert count(saving(empty(5), node("Unheard", images=["0", 0]), by=by)) is None


def test_results_are_named_only_when_no_other_could_be_meant() -> None:
    graph = saving(empty())
    assert count(graph) == 1
    assert savers(graph, "another", CLASSES, {}) == ()
    assert savers({**graph, "twin": graph["save"]}, "an-id", CLASSES, {}) == ()
    other = {"other": {**graph["save"], "inputs": {**graph["save"]["inputs"], "filename_prefix": "an-id-2"}}}
    assert len(savers({**graph, **other}, "an-id", CLASSES, {})) == 2
    custom = {"custom": node("SomebodysSaver", images=["0", 0], filename_prefix="an-id-3")}
    assert savers({**graph, **custom}, "an-id", CLASSES, {}) == ()
    for kind in ("PreviewAny", "Mine"):
        assert savers({**graph, "text": node(kind, source=["0", 0])}, "an-id", CLASSES, {}) == ()
    assert count({**graph, "preview": node("PreviewImage", images=["0", 0])}) == 1
    unheard = {"text": node("PreviewAny", source=["0", 0])}
    assert savers({**graph, **unheard}, "an-id", {}, {}) == (), "known by its name, whatever the server says"
