"""Reading graphs, and writing values into copies of them."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatelier.core.workflows.binding import bind
from chatelier.core.workflows.check import check
from chatelier.core.workflows.declaration import declare
from chatelier.core.workflows.graph import (
    BadGraph,
    link_of,
    links,
    read_graph,
    run_order,
    title_of,
    upstream,
    with_prefix,
    with_values,
)
from chatelier.core.workflows.workflow import Workflow

DATA = Path(__file__).parent / "data"
GRAPHS = sorted([*(DATA / "graphs").glob("*.api.json"), *(DATA / "workflows").glob("*.json")])


def graph(name: str) -> Any:
    return json.loads((DATA / "graphs" / f"{name}.api.json").read_text("utf-8"))


def node(class_type: str = "A", **inputs: object) -> dict[str, object]:
    return {"class_type": class_type, "inputs": inputs}


@pytest.mark.parametrize(
    ("data", "at", "words"),
    [
        ([], "", "JSON object"),
        ("text", "", "JSON object"),
        ({}, "", "no node"),
        ({"nodes": [], "links": []}, "", "API"),
        ({"1": 7}, "1", "class_type"),
        ({"1": {"inputs": {}}}, "1", "class_type"),
        ({"1": {"class_type": "", "inputs": {}}}, "1", "class_type"),
        ({"1": {"class_type": "A"}}, "1", "inputs"),
        ({"1": {"class_type": "A", "inputs": []}}, "1", "inputs"),
        ({"1": node(x=["9", 0])}, "1", "node 9"),
        ({"1": node(), "2": node(x=["1", -1])}, "2", "-1"),
        ({"1": node(), "2": node(x=["1", "0"])}, "2", "'0'"),
        ({"1": node(), "2": node(x=["1", True])}, "2", "True"),
        ({"1": node(), "2": node(x=["1"])}, "2", "not a link"),
    ],
)
def test_a_broken_graph_is_refused_with_its_node_and_reason(data: object, at: str, words: str) -> None:
    with pytest.raises(BadGraph) as caught:
        read_graph(data)
    assert caught.value.node == at
    assert words in caught.value.reason
    assert caught.value.reason in str(caught.value)


def test_a_number_for_the_id_of_a_node_is_taken_for_its_text() -> None:
    data: dict[str, Any] = {"1": node(), "2": node(x=[1, 0], size=[512, 2], yes=[True, 0])}
    read = read_graph(data)
    assert links(read, "2") == {"x": ("1", 0)}
    assert read["2"]["inputs"] == {"x": ["1", 0], "size": [512, 2], "yes": [True, 0]}
    assert data["2"]["inputs"]["x"] == [1, 0], "what was read is left as it was"
    with pytest.raises(BadGraph, match="circle"):
        read_graph({"1": node(x=[2, 0]), "2": node(x=[1, 0])})


def test_a_list_that_is_no_link_is_named_where_a_server_would_refuse_it() -> None:
    classes = {"A": {"input": {"required": {"x": ["INT"]}}, "output_node": True}}
    (problem,) = check(declare("a", read_graph({"1": node(x=[9, 0])})), classes)
    assert (problem.node, problem.reason.split(",")[0]) == ("1", "x is a list")


def test_what_the_editor_saved_is_told_how_to_export() -> None:
    data = json.loads((DATA / "graphs" / "own_sd15_txt2img_old.editor.json").read_text("utf-8"))
    with pytest.raises(BadGraph, match=r"Export \(API\)"):
        read_graph(data)


@pytest.mark.parametrize("ring", [["1"], ["1", "2"], ["1", "2", "3", "4"]])
def test_a_cycle_is_named_by_its_nodes(ring: list[str]) -> None:
    data = {name: node(x=[ring[n - 1], 0]) for n, name in enumerate(ring)} | {"out": node("SaveImage", images=["1", 0])}
    with pytest.raises(BadGraph, match="circle") as caught:
        read_graph(data)
    assert all(name in caught.value.reason for name in ring)
    assert "out" not in caught.value.reason


def test_lists_that_are_no_links_stay_values() -> None:
    data = {"1": node(size=[3, 4], names=["x", "y", "z"], empty=[], wrapped={"__value__": ["1", 0]})}
    assert read_graph(data) == data
    assert link_of([3, 4]) is None


def test_a_long_chain_is_read_and_walked() -> None:
    chain = {"0": node()} | {str(n): node(x=[str(n - 1), 0]) for n in range(1, 5000)}
    checked = read_graph(chain)
    assert run_order(checked) == tuple(chain)
    assert len(list(upstream(checked, "4999"))) == 5000


def test_every_node_runs_after_what_feeds_it() -> None:
    looked_at = 0
    for path in GRAPHS:
        checked = read_graph(json.loads(path.read_text("utf-8")))
        order = run_order(checked)
        assert sorted(order) == sorted(checked)
        for name in checked:
            assert all(order.index(before) <= order.index(name) for before in upstream(checked, name))
        looked_at += 1
    assert looked_at >= 20


def test_a_node_without_a_title_is_called_by_its_class() -> None:
    checked = read_graph({"1": node("KSampler"), "2": {**node("A"), "_meta": {"title": "Mine"}}})
    assert (title_of(checked, "1"), title_of(checked, "2")) == ("KSampler", "Mine")


HOSTILE = [
    '["4", 0]',
    '{"class_type": "Evil", "inputs": {}}',
    '", "seed": 1',
    "\\",
    "class_type",
    "🦊\x00\n",
    "input_prompt",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_prompt_stays_a_text(text: str) -> None:
    workflow = declare("fox", read_graph(graph("own_sd15_txt2img_old")))
    bound = bind(workflow, {"prompt": text}, draw=lambda: 7)
    assert bound.graph["6"]["inputs"]["text"] == text
    assert [body["class_type"] for body in bound.graph.values()] == [
        body["class_type"] for body in workflow.graph.values()
    ]
    assert read_graph(json.loads(json.dumps(bound.graph))) == bound.graph


WORKFLOWS: list[Workflow] = [declare("one", read_graph(json.loads(path.read_text("utf-8")))) for path in GRAPHS]


@given(data=st.data())
def test_values_change_their_targets_and_nothing_else(data: st.DataObject) -> None:
    workflow = data.draw(st.sampled_from([found for found in WORKFLOWS if found.inputs]))
    names = st.sampled_from([item.name for item in workflow.inputs])
    values = data.draw(st.dictionaries(names, st.one_of(st.text(), st.integers(), st.booleans())))
    before = copy.deepcopy(workflow.graph)
    after = with_values(workflow.graph, workflow, values)
    assert workflow.graph == before
    targets = {target: values[item.name] for item in workflow.inputs if item.name in values for target in item.targets}
    assert list(after) == list(before)
    for name, body in after.items():
        assert {**body, "inputs": {}} == {**before[name], "inputs": {}}
        expected = {field: targets.get((name, field), value) for field, value in before[name]["inputs"].items()}
        assert dict(body["inputs"]) == expected
        assert all(link_of(before[name]["inputs"][field]) is None for at, field in targets if at == name)


def test_a_value_without_a_declared_place_is_refused() -> None:
    workflow = declare("fox", read_graph(graph("own_sd15_txt2img_old")))
    with pytest.raises(ValueError, match="declares no input class_type"):
        with_values(workflow.graph, workflow, {"class_type": "Evil"})
    other = read_graph({"1": node("SaveImage")})
    with pytest.raises(ValueError, match="no field text of node 6"):
        with_values(other, workflow, {"prompt": "a fox"})


def test_results_are_saved_under_the_prefix() -> None:
    checked = read_graph(
        {
            "1": node("EmptyImage", width=8),
            "2": node("SaveImage", images=["1", 0], filename_prefix="mine"),
            "3": node("SaveImageWebsocket", images=["1", 0]),
            "4": node("PreviewImage", images=["1", 0]),
        }
    )
    saved = with_prefix(checked, "chatelier/today/abc")
    assert saved["2"]["inputs"]["filename_prefix"] == "chatelier/today/abc-2", "two nodes save, so each has its name"
    assert saved["3"] == node("SaveImage", images=["1", 0], filename_prefix="chatelier/today/abc-3")
    assert saved["1"] == checked["1"]
    assert saved["4"] == checked["4"]
    assert checked["2"]["inputs"]["filename_prefix"] == "mine"


def test_the_only_saved_result_has_the_prefix_as_it_is() -> None:
    checked = read_graph(
        {"1": node("EmptyImage", width=8), "9:4": node("SaveImage", images=["1", 0], filename_prefix="mine")}
    )
    assert with_prefix(checked, "chatelier/today/abc")["9:4"]["inputs"]["filename_prefix"] == "chatelier/today/abc"
