"""Folders of workflows with their sidecars, and the catalogue over several of them."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chatelier import FolderSource, Loaded, Problem, Workflow, WorkflowSource
from chatelier.core.clock import Timer
from chatelier.core.errors import Unavailable
from chatelier.core.workflows.catalogue import Catalogue
from chatelier.core.workflows.folder import POLL_SECONDS, load_folder
from chatelier.core.workflows.names import free_name, name_from

DATA = Path(__file__).parent / "data"
STANDARD = DATA / "graphs" / "own_sd15_txt2img_old.api.json"


class TurnedClock:
    """A clock whose sleep ends when the test says so."""

    def __init__(self) -> None:
        self.naps: asyncio.Queue[float] = asyncio.Queue()
        self.turns = asyncio.Semaphore(0)

    def now(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.naps.put_nowait(seconds)
        await self.turns.acquire()

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        raise NotImplementedError


class Fixed:
    """A source that a plugin might bring: it gives what it holds, or raises it."""

    def __init__(self, name: str, answer: Loaded | Exception) -> None:
        self.name = name
        self.answer = answer

    async def load(self) -> Loaded:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def changes(self) -> AsyncIterator[None]:
        if isinstance(self.answer, Exception):
            raise self.answer
        for _ in range(0):
            yield


async def load(folder: Path) -> Loaded:
    return await FolderSource(folder).load()


async def one(folder: Path, sidecar: str) -> Workflow:
    """The standard graph with this sidecar, which must be right."""
    shutil.copy(STANDARD, folder / "fox.json")
    (folder / "fox.yaml").write_text(sidecar, "utf-8")
    loaded = await load(folder)
    assert loaded.problems == ()
    return loaded.workflows[0]


async def wrong(folder: Path, sidecar: str) -> list[str]:
    """What is said of the standard graph with this sidecar."""
    shutil.copy(STANDARD, folder / "fox.json")
    (folder / "fox.yaml").write_text(sidecar, "utf-8")
    loaded = await load(folder)
    assert loaded.workflows == ()
    assert {problem.source for problem in loaded.problems} == {str(folder / "fox.yaml")}
    return [problem.reason for problem in loaded.problems]


async def test_every_sample_graph_loads_beside_bad_files(tmp_path: Path) -> None:
    samples = sorted((DATA / "workflows").glob("*.json"))
    assert len(samples) >= 12
    for path in samples:
        shutil.copy(path, tmp_path)
    (tmp_path / "broken.json").write_text("{", "utf-8")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "deep.json").write_text("[" * 100_000, "utf-8")
    (tmp_path / "editor.json").write_bytes((DATA / "graphs" / "own_sd15_txt2img_old.editor.json").read_bytes())
    (tmp_path / "ring.json").write_text(json.dumps({"7": {"class_type": "A", "inputs": {"x": ["7", 0]}}}), "utf-8")
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere.json")
    (tmp_path / "日本.json").write_text("{}", "utf-8")
    (tmp_path / "alone.yaml").write_text("title: x", "utf-8")
    (tmp_path / ".hidden.json").write_text("{", "utf-8")
    (tmp_path / "folder.json").mkdir()
    loaded = await load(tmp_path)
    assert [workflow.name for workflow in loaded.workflows] == [path.stem for path in samples]
    said = {Path(problem.source).name: problem for problem in loaded.problems}
    assert set(said) == {
        "broken.json", "binary.json", "deep.json", "editor.json", "ring.json", "gone.json", "日本.json", "alone.yaml",
    }  # fmt: skip
    assert said["ring.json"].node == "7"
    assert "circle" in said["ring.json"].reason
    assert "line 1" in said["broken.json"].reason
    assert "API" in said["editor.json"].reason
    assert "alone.json" in said["alone.yaml"].reason


async def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "fox.json").write_bytes(b"\xef\xbb\xbf" + STANDARD.read_bytes())
    assert [workflow.name for workflow in (await load(tmp_path)).workflows] == ["fox"]


async def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    loaded = await load(tmp_path / "none")
    assert "no such folder" in loaded.problems[0].reason


async def test_names_come_from_files_and_a_clash_is_told(tmp_path: Path) -> None:
    for name in ("My Fox!.json", "my-fox.json", "Été 2026.json"):
        shutil.copy(STANDARD, tmp_path / name)
    loaded = await load(tmp_path)
    assert sorted(workflow.name for workflow in loaded.workflows) == ["ete_2026", "my_fox"]
    assert [Path(problem.source).name for problem in loaded.problems] == ["my-fox.json"]
    assert "My Fox!.json" in loaded.problems[0].reason


def test_names_are_short_and_free() -> None:
    assert name_from("x" * 99) == "x" * 32
    assert name_from("_-_") == ""
    assert free_name("image", frozenset({"image", "image2"})) == "image3"
    assert len(free_name("x" * 32, frozenset({"x" * 32}))) <= 32


async def test_the_sidecar_wins_over_what_was_inferred(tmp_path: Path) -> None:
    workflow = await one(
        tmp_path,
        """
title: Foxes
description: Only foxes.
category: utility
aliases: [f, fox, f]
expect_seconds: 12.5
run_seconds: 90
tags: [fast, "24gb", fast]
inputs:
  prompt: {required: true, label: Which fox}
  width: {min: 256, max: 1024, step: 64, default: 768}
  negative: {hidden: true, default: cats}
  checkpoint: {default: null}
  size: {node: 5, input: batch_size, choices: [1, 2, 4]}
  sampler: {node: "3", input: sampler_name, description: How}
  steps: {advanced: false, max: null}
outputs: [9]
""",
    )
    found = {item.name: item for item in workflow.inputs}
    assert (workflow.title, workflow.description, workflow.category) == ("Foxes", "Only foxes.", "utility")
    assert (workflow.aliases, workflow.expect_seconds, workflow.outputs) == (("f",), 12.5, ("9",))
    assert (workflow.run_seconds, workflow.tags) == (90, ("fast", "24gb"))
    assert (found["prompt"].required, found["prompt"].default, found["prompt"].label) == (True, None, "Which fox")
    assert (found["width"].minimum, found["width"].maximum, found["width"].step, found["width"].default) == (
        256,
        1024,
        64,
        768,
    )
    assert (found["negative"].hidden, found["negative"].default) == (True, "cats")
    assert found["checkpoint"].default is None
    assert "batch" not in found
    assert (found["size"].choices, found["size"].default) == (("1", "2", "4"), "1")
    assert (found["sampler"].type, found["sampler"].default) == ("text", "euler")
    assert (found["steps"].advanced, found["steps"].maximum) == (False, None)
    assert workflow.inputs[0].name == "prompt"


async def test_what_a_workflow_asks_of_its_server_is_part_of_its_version(tmp_path: Path) -> None:
    versions = {
        (await one(tmp_path, sidecar)).version for sidecar in ("", "tags: [fast]", "run_seconds: 9", "run_seconds: 0")
    }
    assert len(versions) == 3, "saying nothing is the same as 0"


async def test_an_input_may_be_called_as_comfydeploy_calls_it(tmp_path: Path) -> None:
    workflow = await one(tmp_path, "inputs: {input_seed: {label: Luck}}")
    assert next(item for item in workflow.inputs if item.role == "seed").label == "Luck"


async def test_a_name_that_is_wanted_elsewhere_makes_room(tmp_path: Path) -> None:
    workflow = await one(tmp_path, "inputs: {width: {node: 5, input: height}}")
    places = {item.name: item.targets for item in workflow.inputs if item.name.startswith("width")}
    assert places == {"width": (("5", "height"),), "width2": (("5", "width"),)}


async def test_an_added_input_takes_the_type_of_what_is_there(tmp_path: Path) -> None:
    graph = {
        "1": {
            "class_type": "Odd",
            "inputs": {
                "flag": True,
                "whole": 3,
                "part": 0.5,
                "word": "x",
                "list": {"__value__": []},
                "images": ["2", 0],
            },
        },
        "2": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }
    (tmp_path / "odd.json").write_text(json.dumps(graph), "utf-8")
    names = ("flag", "whole", "part", "word", "list")
    lines = "".join(f"  {name}: {{node: 1, input: {name}}}\n" for name in names)
    (tmp_path / "odd.yml").write_text(
        f"inputs:\n{lines}  photo: {{targets: [[2, image]], type: image, required: true}}\n", "utf-8"
    )
    workflow = (await load(tmp_path)).workflows[0]
    types = {item.name: (item.type, item.default) for item in workflow.inputs}
    assert types == {
        "photo": ("image", None),
        "flag": ("boolean", True),
        "whole": ("integer", 3),
        "part": ("number", 0.5),
        "word": ("text", "x"),
        "list": ("text", None),
    }


@pytest.mark.parametrize(
    ("sidecar", "line", "words"),
    [
        ("title: [", 1, "no YAML"),
        ("- one\n- two", 1, "keys with values"),
        ("tilte: x", 1, "did you mean title?"),
        ("zzzzzz: x", 1, "there are title"),
        ("title: x\ncategory: art", 2, "text to image"),
        ("title: x\nexpect_seconds: soon", 2, "valid number"),
        ("title: x\nrun_seconds: long", 2, "valid number"),
        ("run_seconds: -1", 1, "greater than or equal to 0"),
        ("run_seconds: .inf", 1, "finite"),
        ("title: x\ntags: fast", 2, "a list of words"),
        ("tags: [fast, 24]", 1, "a list of words"),
        ("tags: [two words]", 1, "a list of words"),
        ("run_second: 5", 1, "did you mean run_seconds?"),
        ("inputs:\n  width:\n    min: many", 3, "valid number"),
        ("inputs:\n  width:\n    lable: x", 3, "did you mean label?"),
        ("inputs:\n  width:\n    default: [1]", 3, "a text, a number"),
        ("inputs:\n  width:\n    step: 0", 3, "greater than 0"),
        ("inputs:\n  prompt:", 2, "keys with values"),
        ("inputs:\n  prompt: {node: 3}", 2, "both, node and input"),
        ("outputs: 9", 1, "list of node ids"),
        ("\noutputs: [99]", 2, "no node 99"),
        ("aliases: [Big Fox]", 1, "lower-case"),
        ("inputs:\n  colour: {label: x}", 2, "there are prompt, negative"),
        ("inputs:\n  Colour: {node: 3, input: cfg}", 2, "lower-case"),
        ("inputs:\n  x: {node: 99, input: cfg}", 2, "no node 99"),
        ("inputs:\n  x: {node: 3, input: cgf}", 2, "it has seed"),
        ("inputs:\n  x: {node: 3, input: model}", 2, "comes from node 4"),
        ("inputs:\n  width: {min: 9, max: 3}", 2, "min 9 is more than max 3"),
        ("inputs:\n  width: {default: wide}", 2, "'wide'"),
        ("inputs:\n  width: {default: 4000}", 2, "not between"),
        ("inputs:\n  negative: {type: choice}", 2, "choices"),
        ("inputs:\n  negative: {choices: [a, b]}", 2, "none of the choices a, b"),
        ("inputs:\n  prompt: {hidden: true, required: true}", 2, "hidden and required"),
    ],
)
async def test_a_mistake_in_a_sidecar_is_one_line_with_its_place_and_mend(
    tmp_path: Path, sidecar: str, line: int, words: str
) -> None:
    reasons = await wrong(tmp_path, sidecar)
    assert len(reasons) == 1
    assert reasons[0].startswith(f"line {line}, ")
    assert words in reasons[0]
    assert "\n" not in reasons[0]


async def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    assert len(await wrong(tmp_path, "tilte: x\nexpect_seconds: -1\ninputs: {width: {lable: y}}")) == 3
    assert len(await wrong(tmp_path, "inputs: {a: {label: x}, b: {label: y}}")) == 2


async def test_a_sidecar_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    shutil.copy(STANDARD, tmp_path / "fox.json")
    (tmp_path / "fox.yaml").write_bytes(b"title: \xff")
    assert "UTF-8" in (await load(tmp_path)).problems[0].reason


async def test_a_change_is_seen_and_no_change_is_not(tmp_path: Path) -> None:
    shutil.copy(STANDARD, tmp_path / "fox.json")
    clock = TurnedClock()
    source = FolderSource(tmp_path, clock=clock)
    await source.load()
    changes = source.changes()
    waiting = asyncio.ensure_future(anext(changes))
    clock.turns.release()
    naps = [await clock.naps.get(), await clock.naps.get()]
    assert not waiting.done()
    (tmp_path / "fox.yaml").write_text("title: New", "utf-8")
    clock.turns.release()
    await asyncio.wait_for(waiting, 10)
    assert (await source.load()).workflows[0].title == "New"
    assert set(naps) == {POLL_SECONDS}
    await changes.aclose()


async def test_a_folder_without_a_clock_never_changes(tmp_path: Path) -> None:
    assert [item async for item in FolderSource(tmp_path).changes()] == []


def catalogue_of(*sources: WorkflowSource) -> Catalogue:
    return Catalogue(sources)


async def test_the_first_source_keeps_a_name_and_the_other_is_told(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(STANDARD, tmp_path / folder / "fox.json")
        shutil.copy(STANDARD, tmp_path / folder / f"only_{folder}.json")
        (tmp_path / folder / f"only_{folder}.yaml").write_text("aliases: [fox, vulpes]", "utf-8")
    catalogue = catalogue_of(FolderSource(tmp_path / "a"), FolderSource(tmp_path / "b"))
    await catalogue.refresh()
    assert [workflow.name for workflow in catalogue.workflows] == ["fox", "only_a", "only_b"]
    fox, vulpes = catalogue.get("fox"), catalogue.get("vulpes")
    assert fox is not None
    assert fox.source == str(tmp_path / "a" / "fox.json")
    assert vulpes is catalogue.get("only_a")
    assert catalogue.get("nothing") is None
    told = sorted((Path(problem.source).name, problem.reason.split(" is ")[0]) for problem in catalogue.problems)
    assert told == [
        ("fox.json", "the name fox"),
        ("only_a.json", "the name fox"),
        ("only_b.json", "the name fox"),
        ("only_b.json", "the name vulpes"),
    ]


async def test_a_workflow_with_the_name_of_a_command_is_told_and_not_on_offer(tmp_path: Path) -> None:
    for name in ("help", "fox"):
        shutil.copy(STANDARD, tmp_path / f"{name}.json")
    (tmp_path / "fox.yaml").write_text("aliases: [start, vulpes]", "utf-8")
    catalogue = Catalogue([FolderSource(tmp_path)], reserved=["help", "start"])
    await catalogue.refresh()
    assert [workflow.name for workflow in catalogue.workflows] == ["fox"]
    assert catalogue.get("vulpes") is catalogue.get("fox")
    assert catalogue.get("start") is catalogue.get("help") is None
    told = {(Path(problem.source).name, problem.reason.partition(" is ")[0]) for problem in catalogue.problems}
    assert told == {("help.json", "/help"), ("fox.json", "/start")}


async def test_a_refresh_swaps_at_once_and_tells_only_of_changes(tmp_path: Path) -> None:
    shutil.copy(STANDARD, tmp_path / "fox.json")
    catalogue = catalogue_of(FolderSource(tmp_path))
    told: list[int] = []
    catalogue.listeners.append(lambda: told.append(len(catalogue.workflows)))
    await catalogue.refresh()
    await catalogue.refresh()
    before = catalogue.get("fox")
    shutil.copy(DATA / "graphs" / "own_sd15_img2img.api.json", tmp_path / "fox.json")
    shutil.copy(STANDARD, tmp_path / "wolf.json")
    await catalogue.refresh()
    assert told == [1, 2]
    after = catalogue.get("fox")
    assert before is not None
    assert after is not None
    assert before.version != after.version


async def test_a_source_that_fails_keeps_what_it_had_and_stops_nobody(tmp_path: Path) -> None:
    shutil.copy(STANDARD, tmp_path / "fox.json")
    good = await load(tmp_path)
    away = Fixed("away", good)
    catalogue = catalogue_of(
        away, Fixed("crash", KeyError("secret")), Fixed("rest", Loaded(problems=(Problem(source="r", reason="x"),)))
    )
    await catalogue.refresh()
    away.answer = Unavailable("the account does not answer")
    await catalogue.refresh()
    assert catalogue.get("fox") is good.workflows[0]
    reasons = {problem.source: problem.reason for problem in catalogue.problems}
    assert set(reasons) == {"away", "crash", "r"}
    assert "does not answer" in reasons["away"]
    assert "secret" not in reasons["crash"]


@pytest.mark.parametrize(
    "answer",
    [None, [], {"workflows": ()}, Loaded(workflows=("fox",)), Loaded(problems=(None,)), Loaded(workflows=7)],  # type: ignore[arg-type] # a plugin's bug
)
async def test_a_source_that_answers_with_something_else_is_a_problem(tmp_path: Path, answer: Any) -> None:
    shutil.copy(STANDARD, tmp_path / "fox.json")
    odd = Fixed("odd", Loaded())
    catalogue = catalogue_of(odd, FolderSource(tmp_path))
    await catalogue.refresh()
    odd.answer = answer
    await catalogue.refresh()
    assert [workflow.name for workflow in catalogue.workflows] == ["fox"]
    (problem,) = catalogue.problems
    assert problem.source == "odd"
    assert "could not be loaded" in problem.reason


async def test_watching_refreshes_after_a_change_and_survives_a_broken_source(tmp_path: Path) -> None:
    clock = TurnedClock()
    catalogue = catalogue_of(Fixed("crash", KeyError()), FolderSource(tmp_path, clock=clock))
    await catalogue.refresh()
    changed = asyncio.Event()
    catalogue.listeners.append(changed.set)
    watching = asyncio.create_task(catalogue.watch())
    shutil.copy(STANDARD, tmp_path / "fox.json")
    os.utime(tmp_path / "fox.json", (1, 1))
    clock.turns.release()
    await asyncio.wait_for(changed.wait(), 10)
    assert catalogue.get("fox") is not None
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("NaN", "no number"),
        ("-Infinity", "no number"),
        ("9" * 5_000, "5000 digits"),
        ("[" * 900 + "]" * 900, "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_one_bad_file_is_named_and_the_others_are_there(tmp_path: Path, value: str, reason: str) -> None:
    shutil.copy(STANDARD, tmp_path / "fox.json")
    text = '{"1": {"class_type": "EmptyImage", "inputs": {"width": VALUE}}}'.replace("VALUE", value)
    (tmp_path / "bad.json").write_text(text, "utf-8")
    loaded = load_folder(tmp_path)
    assert [workflow.name for workflow in loaded.workflows] == ["fox"]
    (problem,) = loaded.problems
    assert Path(problem.source).name == "bad.json"
    assert reason in problem.reason
