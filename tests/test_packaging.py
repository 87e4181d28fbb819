"""What pip installs is what is in the tree, under no other name, and enough for the main job."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
PARTS = ("core", "platforms", "plugins")
SDKS = ("telegram", "discord", "slack_bolt", "aiohttp", "motor", "pymongo", "av", "pillow_heif")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def files(*folders: str) -> Iterator[Path]:
    """Every file of the tree below these, without what Python and tools leave there; links are not followed."""
    for folder in folders:
        for place, within, names in os.walk(ROOT / folder):
            within[:] = [name for name in within if name != "__pycache__" and not name.startswith(".")]
            yield from (Path(place, name) for name in names)


def run(*command: str | Path, cwd: Path, environ: Mapping[str, str] | None = None) -> str:
    """What it printed. A failure is shown with all of its words."""
    done = subprocess.run(  # noqa: S603 - pip, Python and chatelier
        [str(part) for part in command], cwd=cwd, env=environ, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def declared_entry_points() -> set[tuple[str, str, str]]:
    """(group, name, value) of entrypoints.txt."""
    parser = ConfigParser(delimiters="=")
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names keep their case
    parser.read(ROOT / "entrypoints.txt")
    return {(group, name, value) for group in parser.sections() for name, value in parser[group].items()}


# --- names


def imported(code: str) -> Iterator[str]:
    """Every module that the code imports by its full name, also by `import_module`."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(module)), *_]):
                yield module


def test_nothing_imports_a_part_by_its_bare_name() -> None:
    """Another package of that name would take its place, or lose it."""
    sources = {
        path: path.read_text() for path in files(*PARTS, "tests", "bench", "examples", "docs") if path.suffix == ".py"
    }
    sources |= {path: path.read_text() for path in (ROOT / "src" / "chatelier").glob("*.py")}
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *files("docs", "examples")]
    blocks = {
        path / str(n): code
        for path in pages
        if path.suffix == ".md"
        for n, code in enumerate(BLOCK.findall(path.read_text()))
    }
    bare = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, code in (sources | blocks).items()
        for name in imported(code)
        if name.partition(".")[0] in PARTS
    ]
    assert not bare
    assert len(sources) >= 100
    assert len(blocks) >= 4


def test_the_search_for_bare_names_finds_them() -> None:
    code = "import core.chat\nfrom plugins import x\nimport importlib\nimportlib.import_module('platforms.web')\nfrom .core import y"
    assert list(imported(code)) == ["core.chat", "plugins", "importlib", "platforms.web"]


def test_installed_entry_points_are_those_declared() -> None:
    installed = distribution("chatelier").entry_points
    found = {(entry.group, entry.name, entry.value) for entry in installed}
    assert found == declared_entry_points(), (
        "run: make test (or pip install -e .), so that pip reads entrypoints.txt again"
    )
    assert len(found) >= 8


# --- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist, which is built from a copy: what an earlier build left in the tree does not count."""
    copy = tmp_path_factory.mktemp("copy") / "chatelier"
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "var", "build", "dist", "tests")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=unwanted)
    run(sys.executable, "-m", "build", "--outdir", copy / "dist", cwd=copy)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_what_the_tree_holds(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        tree = {f"chatelier/{path.relative_to(ROOT)}": path for path in files(*PARTS)}
        package = ROOT / "src" / "chatelier"
        tree |= {f"chatelier/{path.name}": path for path in package.iterdir() if path.is_file()}
        tree["chatelier_pytest.py"] = ROOT / "src" / "chatelier_pytest.py"
        assert names == set(tree)
        assert all(archive.read(name) == path.read_bytes() for name, path in tree.items())
    assert len(names) >= 100
    for example in (
        "config.yaml",
        "py.typed",
        "platforms/web/page/index.html",
        "plugins/console/page/console.css",
        "plugins/sqlite/migrations/0001_uniques.sql",
        "plugins/starter/workflows/make.json",
        "plugins/starter/workflows/make.yaml",
    ):
        assert f"chatelier/{example}" in names


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has this wheel and what it asks for, and nothing else."""
    place = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", place / "venv", cwd=place)
    programs = place / "venv" / "bin"
    run(programs / "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=place)
    return programs


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has just installed it."""
    return {"HOME": str(tmp_path), "PATH": os.defpath, "LANG": "C.UTF-8"}


@pytest.mark.slow
def test_an_empty_environment_has_the_commands_and_entry_points(
    installed: Path, tmp_path: Path, home: Mapping[str, str]
) -> None:
    program = (
        "import importlib.metadata, json\n"
        "entries = importlib.metadata.distribution('chatelier').entry_points\n"
        "print(json.dumps([[entry.group, entry.name, entry.value] for entry in entries]))"
    )
    found = json.loads(run(installed / "python", "-c", program, cwd=tmp_path, environ=home))
    assert {tuple(entry) for entry in found} == declared_entry_points()
    assert "/make" in run(installed / "chatelier", "say", "/help", cwd=tmp_path, environ=home)
    assert "/make" in run(installed / "python", "-m", "chatelier", "say", "/help", cwd=tmp_path, environ=home)


@pytest.mark.slow
@pytest.mark.parametrize("said", ["/grain", "/make a red fox in the snow"])
def test_an_empty_environment_makes_a_picture(
    installed: Path, tmp_path: Path, home: Mapping[str, str], said: str
) -> None:
    out = tmp_path / "out"
    answer = json.loads(run(installed / "chatelier", "say", said, "--out", out, "--json", cwd=tmp_path, environ=home))
    assert answer["state"] == "done"
    (saved,) = answer["files"]
    with Image.open(saved) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) >= 64
    assert Path(saved).parent == out


# --- what is loaded


def test_the_base_loads_no_sdk_of_a_network_or_a_database(tmp_path: Path) -> None:
    here = [name for name in SDKS if find_spec(name)]
    if not here:
        pytest.skip("the extras are not installed: pip install -e '.[all]'")
    program = (
        "import json, sys\n"
        "from chatelier.core.cli.main import main\n"
        "sys.argv = ['chatelier', 'plugins']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    printed = run(sys.executable, "-c", program, cwd=tmp_path)
    loaded = {name.partition(".")[0] for name in json.loads(printed.splitlines()[-1])}
    assert not loaded & set(SDKS)
    assert {"chatelier", "pluggy", "pydantic"} <= loaded


DESCRIBES = {
    "chatelier",
    "chatelier.core",
    "chatelier.core.cli",
    "chatelier.core.cli.brought",
    "chatelier.core.cli.commands",
    "chatelier.core.cli.main",
    "chatelier.core.cli.options",
    "chatelier.core.errors",
    "chatelier.platforms",
    "chatelier.platforms.slack",
    "chatelier.platforms.slack.commands",
    "chatelier.platforms.terminal",
    "chatelier.platforms.terminal.commands",
    "chatelier.plugins",
    "chatelier.plugins.sketch",
    "chatelier.plugins.sketch.cli",
}
"""What says which commands there are; of all else nothing is needed to read a help."""
COMPLETION = {"_CHATELIER_COMPLETE": "bash_complete", "COMP_WORDS": "chatelier s", "COMP_CWORD": "1"}


def loaded_by(program: str, cwd: Path, environ: Mapping[str, str] | None = None) -> tuple[str, set[str]]:
    """What it printed, and the modules that were loaded in the end."""
    printed = run(sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules)", cwd=cwd, environ=environ)
    *lines, modules = printed.splitlines()
    return "\n".join(lines), set(modules.split())


@pytest.mark.parametrize(
    ("words", "more", "said"),
    [
        (["--help"], {}, "  jobs "),
        (["jobs", "--help"], {}, "  cancel "),
        (["backends", "set", "--help"], {}, "--weight"),
        (["say", "--help"], {}, "--attach"),
        (["sketch", "--help"], {}, "--fault"),
        ([], COMPLETION, "sketch"),
    ],
    ids=["chatelier", "a group", "a command", "a plugin's command", "another plugin's command", "completion"],
)
def test_help_and_completion_load_only_what_describes_the_commands(
    tmp_path: Path, words: list[str], more: Mapping[str, str], said: str
) -> None:
    main = (
        "import sys\n"
        f"sys.argv = ['chatelier', *{words}]\n"
        "from chatelier.core.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
    )
    printed, loaded = loaded_by(main, tmp_path, {**os.environ, **more})
    assert said in printed
    _, bare = loaded_by("", tmp_path)
    of_others = {name.partition(".")[0] for name in loaded - bare} - sys.stdlib_module_names
    assert of_others == {"chatelier", "click", "lazy_loader"}
    assert {name for name in loaded if name.startswith("chatelier")} <= DESCRIBES
    assert not loaded & {"asyncio", "ssl", "sqlite3"}
