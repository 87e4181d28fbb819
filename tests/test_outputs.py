"""Results as servers name them: one order and one numbering."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatelier import outputs_of_results

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.sampled_from(["images", "filename", "a.png"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["images", "filename", "subfolder", "type", "text"]), inner)
    ),
    max_leaves=12,
)


def file(name: str, **more: Any) -> dict[str, Any]:
    return {"filename": name, "subfolder": "s", "type": "output", **more}


def test_files_are_found_under_any_key_in_the_order_of_the_graph() -> None:
    graph = {node: {"class_type": "X", "inputs": {}} for node in ("9", "10", "2")}
    nodes = {
        "2": {"gifs": [file("a.mp4", format="video/h264-mp4", frame_rate=8)], "animated": [True]},
        "expanded.1": {"text": "one text"},
        "10": {"images": [file("b.png"), file("c.webp")], "files": [file("b.png")], "note": ["no result"]},
        "9": {"text": ["first", "first"], "mesh": [{"filename": "3d\\d.glb"}]},
        "7": None,
    }
    found = outputs_of_results(nodes, graph)
    assert [output.n for output in found] == list(range(7))
    assert [(o.node, o.text or o.name) for o in found] == [
        ("9", "first"),
        ("9", "first"),
        ("9", "d.glb"),
        ("10", "b.png"),
        ("10", "c.webp"),
        ("2", "a.mp4"),
        ("expanded.1", "one text"),
    ]
    assert found[2].remote == {"filename": "3d\\d.glb", "subfolder": "", "type": "output"}


@given(JSON)
def test_whatever_nodes_say_the_places_are_counted_through(said: Any) -> None:
    two = {node: {"class_type": "SaveImage", "inputs": {}} for node in ("1", "2")}
    nodes = {"1": said, "2": {"images": [said, file("a.png")]}}
    found = outputs_of_results(nodes, two)
    assert [output.n for output in found] == list(range(len(found)))


def test_what_is_shown_counts_from_0_though_a_preview_stands_before_it() -> None:
    graph = {
        "1": {"class_type": "PreviewImage", "inputs": {}},
        "2": {"class_type": "PreviewAny", "inputs": {}},
        "3": {"class_type": "SaveImage", "inputs": {}},
    }
    nodes = {"3": {"images": [file("c.png")]}, "2": {"text": ("some words",)}, "1": {"images": [file("a.png")]}}
    assert [(o.n, o.node) for o in outputs_of_results(nodes, graph)] == [(0, "2"), (1, "3"), (2, "1")]
    del graph["2"], graph["3"]
    assert [o.node for o in outputs_of_results(nodes, graph)] == ["1", "2", "3"]


def test_a_solid_that_is_named_without_a_place_lies_among_the_outputs_and_counts_once() -> None:
    graph = {node: {"class_type": "X", "inputs": {}} for node in ("1", "2")}
    nodes = {
        "1": {"3d": [{"filename": "fox.glb", "subfolder": "mesh", "type": "output"}]},
        "2": {"result": ["mesh/fox.glb", {"position": 1}, None], "note": ["no.png"], "more": ["mesh\\Other.OBJ"]},
    }
    places = [output.remote for output in outputs_of_results(nodes, graph)]
    assert places == [{"filename": name, "subfolder": "mesh", "type": "output"} for name in ("fox.glb", "Other.OBJ")]
