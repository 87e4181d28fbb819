"""What is declared is documented, and each of these checks saw as much as it should."""

import ast
import asyncio
import inspect
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import click
import pytest
from blockbuster import BlockingError
from pydantic import BaseModel

import chatelier
from chatelier import Command, Settings, SystemClock, escape
from chatelier.core import hookspecs
from chatelier.core.cli.commands import program
from chatelier.core.commands.help import help_for, overview
from chatelier.core.commands.registry import LAST_GROUP, Registry
from chatelier.core.generation.workflow_commands import command_for
from chatelier.core.hookspecs import HOOKS
from chatelier.core.plugins import Plugins
from chatelier.core.registered import catalogue_of
from chatelier.core.settings import load, shape
from chatelier.core.settings.document import dotted
from chatelier.core.settings.page import own_models
from chatelier.core.workflows.workflow import Loaded

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
TESTS = sorted((ROOT / "tests").glob("test_*.py"))
README = (ROOT / "README.md").read_text()
LINK = re.compile(r"\]\((?!https?:)(?P<file>[^)#\s]*)(?:#(?P<place>[^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    """Those that come with Chatelier."""
    found = Plugins()
    found.load_entry_points(only_of="chatelier")
    assert not found.broken
    return found


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "workflows").mkdir()
    return Settings(data_dir=tmp_path)


# --- hooks


def test_the_list_of_hooks_is_what_is_marked_as_one() -> None:
    marked = [name for name, one in vars(hookspecs).items() if hasattr(one, "chatelier_spec")]
    assert list(HOOKS) == marked
    assert len(HOOKS) >= 11


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_has_one_line_and_a_section_with_its_exact_arguments(name: str) -> None:
    hook = getattr(hookspecs, name)
    assert hook.__doc__
    assert "\n" not in hook.__doc__
    arguments = ", ".join(inspect.signature(hook).parameters)
    sections = re.split(r"^### ", (DOCS / "plugins.md").read_text(), flags=re.MULTILINE)
    (section,) = [one for one in sections if one.startswith(f"`{name}({arguments})`\n")]
    assert len(section.split()) > 10


def test_the_sections_of_the_hooks_are_in_the_order_of_the_hooks() -> None:
    headed = re.findall(r"^### `(\w+)\(", (DOCS / "plugins.md").read_text(), re.MULTILINE)
    assert tuple(headed) == tuple(HOOKS)


def test_every_hook_is_used_by_a_plugin_of_ours_or_by_an_example(plugins: Plugins) -> None:
    examples = Plugins()
    examples.load_folder(ROOT / "examples" / "plugins")
    examples.load_folder(ROOT / "examples" / "quiet-hours")
    assert not examples.broken
    used = {hook for info in (*plugins.loaded, *examples.loaded) for hook in info.hooks}
    assert used == set(HOOKS)
    assert len(plugins.loaded) >= 8
    assert len(examples.loaded) >= 2


def test_every_hook_has_a_test_with_its_name() -> None:
    named = re.findall(r"^(?:async )?def test_(\w+)\(", "\n".join(map(Path.read_text, TESTS)), re.MULTILINE)
    assert [hook for hook in HOOKS if not any(re.match(rf"{hook}(_|$)", name) for name in named)] == []
    assert len(named) >= 500


# --- commands


def commands(plugins: Plugins, settings: Settings) -> list[Command]:
    return [command for _, command in plugins.collect("register_commands", settings=settings)]


def test_every_command_has_a_summary_a_group_and_help(plugins: Plugins, settings: Settings) -> None:
    found = commands(plugins, settings)
    registry = Registry()
    for command in found:
        registry.add(command)
        assert command.summary
        assert command.group != LAST_GROUP
        assert all(option.description for option in command.options), command.name
        assert all(example.startswith(f"/{command.name}") for example in command.examples)
        assert f"/{command.name}" in help_for(command)
        assert f"/{command.name}" in overview(registry, operator=True)
    assert len(found) >= 7


async def shipped(plugins: Plugins, settings: Settings) -> Loaded:
    catalogue = catalogue_of(settings, plugins, SystemClock(), ())
    await catalogue.refresh()
    return Loaded(workflows=catalogue.workflows, problems=catalogue.problems)


async def test_every_shipped_workflow_says_what_it_does(plugins: Plugins, settings: Settings) -> None:
    found = await shipped(plugins, settings)
    assert not found.problems
    page = (DOCS / "workflows.md").read_text()
    for workflow in found.workflows:
        assert workflow.description
        assert workflow.outputs
        assert f"| `/{workflow.name}` |" in page
        assert escape(workflow.description.splitlines()[0]) in help_for(command_for(workflow))
    assert {"make", "effect", "upscale"} < {workflow.name for workflow in found.workflows}
    assert len(found.workflows) >= 5


async def test_no_command_takes_the_name_of_another(plugins: Plugins, settings: Settings) -> None:
    registry = Registry()
    for command in commands(plugins, settings):
        registry.add(command)
    found = await shipped(plugins, settings)
    assert registry.replace_group("workflows", map(command_for, found.workflows)) == ()
    assert len(registry) >= 12


# --- the public names


def test_every_public_name_is_used_by_a_plugin_of_ours_or_stands_on_the_page_for_authors() -> None:
    files = [file for folder in ("platforms", "plugins", "examples") for file in (ROOT / folder).rglob("*.py")]
    used = {
        alias.name
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "chatelier"
        for alias in node.names
    }
    named = set(re.findall(r"`(\w+)", (DOCS / "plugins.md").read_text()))
    assert [name for name in chatelier.__all__ if name not in used | named] == []
    assert len(used) >= 50
    assert len(files) >= 50


FIRST = """
import ast, importlib, pathlib, sys
import chatelier

stub = ast.parse(pathlib.Path(chatelier.__file__).with_suffix(".pyi").read_text())
first = {node.module: node.names[0].name for node in stub.body if isinstance(node, ast.ImportFrom)}
for name in first.values():
    for known in [known for known in sys.modules if known.partition(".")[0] == "chatelier"]:
        del sys.modules[known]
    getattr(importlib.import_module("chatelier"), name)
print(len(first), [name for name in chatelier.__all__ if not hasattr(chatelier, name)])
"""


def test_any_public_name_can_be_the_first_that_is_imported() -> None:
    """They are imported when they are used, so no other import has to come before."""
    command = [sys.executable, "-c", FIRST]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - Python
    assert done.returncode == 0, done.stderr
    parts, missing = done.stdout.split(maxsplit=1)
    assert missing == "[]\n"
    assert int(parts) >= 40
    assert len(chatelier.__all__) >= 100


# --- settings


def test_every_setting_is_on_the_page() -> None:
    page = (DOCS / "configuration.md").read_text()
    models: dict[str, type[BaseModel]] = {"": Settings, **own_models()}
    keys = [
        dotted(key)
        for section, model in models.items()
        for key, info in shape.leaves(model, tuple(section.split(".")) if section else ())
        if shape.may_be_none(info.annotation) or not shape.models(info.annotation)
    ]
    assert [key for key in keys if f"\n| `{key}` |" not in page] == []
    assert len(keys) >= 30
    assert len(models) >= 4


# --- the command line


def programs(group: click.Group, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*above, name), command
        if isinstance(command, click.Group):
            yield from programs(command, (*above, name))


def test_every_program_has_help_and_stands_in_the_readme() -> None:
    found = dict(programs(program))
    rows = [line for line in README.splitlines() if line.startswith("| `chatelier ")]
    for words, command in found.items():
        assert command.help, words
        for parameter in command.params:
            assert getattr(parameter, "help", "") or parameter.param_type_name == "argument", (words, parameter.name)
        (row,) = [row for row in rows if row.startswith(f"| `chatelier {words[0]}") and row[13 + len(words[0])] in " `"]
        assert len(words) == 1 or re.search(rf"[` ]{words[1]}`", row), words
    assert len(rows) == len({words[0] for words in found})
    assert len(found) >= 15


def test_the_commands_of_make_that_are_written_down_are_there() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    written = [
        target
        for page in PAGES
        for target in re.findall(r"^    make (\w+)|`make (\w+)`", page.read_text(), re.MULTILINE)
    ]
    named = {one for pair in written for one in pair if one}
    assert named <= targets
    assert {"run", "test", "check"} <= named


# --- pages


def anchors(page: Path) -> set[str]:
    """What GitHub makes of its headings."""
    headings = HEADING.findall(page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_links_lead_somewhere() -> None:
    links = [(page, link) for page in PAGES for link in LINK.finditer(page.read_text())]
    for page, link in links:
        target = page.parent / link["file"] if link["file"] else page
        assert target.exists(), f"{page.name}: {link['file']}"
        assert not link["place"] or link["place"] in anchors(target), f"{page.name}: #{link['place']}"
    assert len(links) >= 20


def test_every_page_is_reached_from_the_readme() -> None:
    pages = {path.name for path in DOCS.glob("*.md")}
    linked = {Path(link["file"]).name for link in LINK.finditer(README) if link["file"].startswith("docs/")}
    assert pages <= linked
    assert len(pages) >= 7


def test_every_folder_on_the_map_is_there() -> None:
    folders = re.findall(r"`((?:core|platforms|plugins|src|tests|bench|examples|docs)/[\w./]*)`", README)
    assert [folder for folder in folders if not (ROOT / folder).exists()] == []
    parts = {f"core/{path.parent.name}/" for path in (ROOT / "core").glob("*/__init__.py")}
    modules = {f"core/{path.name}" for path in (ROOT / "core").glob("*.py")} - {"core/__init__.py"}
    assert (parts | modules) - set(folders) == set()
    assert len(parts) >= 10
    assert len(modules) >= 12
    assert len(folders) >= 30


# --- who imports whom


def test_the_import_contracts_are_kept_by_all_modules() -> None:
    """The linter reaches the parts through links; a glob that found nothing would pass as well."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(  # noqa: S603 - the linter, on this tree
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout
    analysed = re.search(r"Analyzed (\d+) files", done.stdout)
    assert analysed is not None
    assert int(analysed[1]) >= 100


def test_every_plugin_of_ours_is_under_the_contract_of_independence() -> None:
    entries = ConfigParser()
    entries.read(ROOT / "entrypoints.txt")
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    (independent,) = [contract["modules"] for contract in contracts if contract["type"] == "independence"]
    named = [*entries["chatelier"].values(), *entries["chatelier.cli"].values()]
    assert set(independent) == {".".join(name.split(".")[:3]) for name in named}
    assert len(independent) >= 8


# --- the tests themselves


async def test_what_blocks_the_event_loop_fails_the_test_that_runs_it(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("")
    with pytest.raises(BlockingError):
        load(config, {}, {})
    assert (await asyncio.to_thread(load, config, {}, {})).store, "in a thread it may wait"


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_a_skipped_test_fails_the_run_where_nothing_may_be_skipped(tmp_path: Path, ci: str, code: int) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_skips.py").write_text(
        "import pytest\n\ndef test_fine(): pass\n\ndef test_without(): pytest.skip('no such tool: apt install it')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(  # noqa: S603 - pytest on a file of ours
        command, cwd=tmp_path, env={**os.environ, "CI": ci}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, done.stdout
    assert "1 passed, 1 skipped" in done.stdout
    assert ("test_without: Skipped: no such tool: apt install it" in done.stdout) is bool(ci)
