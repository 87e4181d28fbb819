"""The code in the documentation and in examples/ does what is said there."""

import asyncio
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chatelier import FileRef, Platform, Pressed, Runtime, Said, Settings
from chatelier.core.gateway import open_runtime
from chatelier.core.plugins import Plugins
from chatelier.core.settings import PluginSettings
from chatelier.testing import FakeBackend, FakePlatform, Parts, running
from files import decoded, encoded

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n# (?P<name>\w+\.py)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAMS = {"guests.py"}
"""Of the page's files, those with commands for the command line."""
IDEA = ROOT / "examples" / "plugins" / "idea.py"
QUIET_HOURS = ROOT / "examples" / "quiet-hours" / "quiet_hours" / "__init__.py"


@pytest.fixture(scope="module")
def blocks() -> dict[str, str]:
    """The Python files of docs/plugins.md."""
    page = (ROOT / "docs" / "plugins.md").read_text()
    found = {match["name"]: match["code"] for match in BLOCK.finditer(page)}
    assert len(found) == page.count("```python\n") >= 4
    return found


@pytest.fixture
def folder(blocks: dict[str, str], tmp_path: Path) -> Path:
    """The plugins of the page, as somebody would save them."""
    place = tmp_path / "plugins"
    place.mkdir()
    for name, code in blocks.items():
        if not name.startswith("test_") and name not in PROGRAMS:
            (place / name).write_text(code)
    return place


@asynccontextmanager
async def serving(tmp_path: Path, folder: Path) -> AsyncIterator[Runtime]:
    """A gateway with SQLite, the essential commands and the plugins of a folder."""
    declared = PluginSettings(folder=folder)
    plugins = Plugins(declared, {"CHATELIER_LOAD_PLUGINS": "sqlite,essentials"})
    plugins.load()
    assert not plugins.broken
    async with open_runtime(Settings(data_dir=tmp_path, plugins=declared), plugins) as runtime:
        assert runtime.problems == []
        stop = asyncio.Event()
        task = asyncio.create_task(runtime.serve(stop))
        try:
            yield runtime
        finally:
            stop.set()
            await task


async def within(true: Callable[[], Any], seconds: float = 15.0) -> Any:
    """What `true` gives, as soon as that is something."""
    async with asyncio.timeout(seconds):
        while not (found := true()):  # noqa: ASYNC110 - files set no event
            await asyncio.sleep(0.02)
        return found


async def test_a_letter_in_the_mailbox_is_answered_by_the_parrot(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    graph = {"1": {"class_type": "Parrot", "inputs": {"text": "Hello"}, "_meta": {"title": "$words"}}}
    (tmp_path / "workflows" / "parrot.json").write_text(json.dumps(graph))
    out = tmp_path / "mailbox" / "out"
    async with serving(tmp_path, folder) as runtime:
        assert {"sign", "guests", "parrot"} <= set(runtime.registry.names())
        assert isinstance(runtime.platforms["mailbox"], Platform)
        (tmp_path / "mailbox" / "in" / "ada.1.txt").write_text("/parrot --words Ahoy")
        await within(lambda: any("Ahoy, Ahoy!" in letter.read_text() for letter in out.glob("ada.*.txt")))
        assert not list((tmp_path / "mailbox" / "in").iterdir())


async def test_a_picture_is_inverted_as_the_page_says(folder: Path, tmp_path: Path) -> None:
    network = FakePlatform()
    network.files["black"] = encoded(Image.new("RGB", (4, 4)), "PNG")
    async with running(tmp_path, Parts([network], [FakeBackend()]), plugin_of(folder / "invert.py")()) as runtime:
        said = Said(text="/invert", files=(FileRef(platform="fake", ref="black"),))
        await network.receive(network.event(said))
        await network.until(lambda: network.shown)
        (media,) = network.last.message.media
        data = b"".join([piece async for piece in runtime.blobs.open(media.blob.sha256)])
    assert decoded(data).getpixel((1, 1)) == (255, 255, 255)


def test_the_test_on_the_page_passes(folder: Path, blocks: dict[str, str]) -> None:
    (folder / "test_guestbook.py").write_text(blocks["test_guestbook.py"])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", str(folder)]
    done = subprocess.run(  # noqa: S603 - pytest on a file of ours
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_the_command_on_the_page_counts(blocks: dict[str, str], tmp_path: Path) -> None:
    package, about = tmp_path / "chatelier_guestbook", tmp_path / "chatelier_guestbook-1.0.dist-info"
    package.mkdir()
    about.mkdir()
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text(blocks["guestbook.py"])
    (package / "guests.py").write_text(blocks["guests.py"])
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: chatelier-guestbook\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[chatelier]\nguestbook = chatelier_guestbook.plugin\n"
        "[chatelier.cli]\nguests = chatelier_guestbook.guests:guests\n"
    )

    def said(*words: str) -> str:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "chatelier", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "CHATELIER_DATA_DIR": str(tmp_path / "var")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert "guests     Count the entries of the guest book." in said("--help")
    assert "Thank you" in said("say", "/sign It was lovely")
    assert said("guests") == "1 were here.\n", "she signed"


def plugin_of(file: Path) -> Any:
    """The class `Plugin` of an example."""
    spec = importlib.util.spec_from_file_location(f"example_{file.parent.name}_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Plugin


async def test_an_idea_can_be_made_by_its_button(tmp_path: Path) -> None:
    network, backend = FakePlatform(), FakeBackend()
    idea = plugin_of(IDEA)
    async with running(tmp_path, Parts([network], [backend]), idea):
        await network.receive(network.event(Said(text="/idea wild")))
        await network.until(lambda: network.shown)
        offered = network.last
        assert "storm" in offered.text
        await network.receive(network.event(Pressed(payload=offered.button("Make it"), message_id=offered.id)))
        await network.until(lambda: network.last.message.media)
    drawn = [run.attempt.graph["1"]["inputs"]["text"] for run in backend.runs.values()]
    assert [f"How about {prompt}?" for prompt in drawn] == [offered.text]


@pytest.mark.parametrize(("hour", "made"), [(21, True), (22, False), (3, False), (7, True)])
async def test_nothing_is_made_in_the_quiet_hours(tmp_path: Path, hour: int, made: bool) -> None:
    network = FakePlatform()
    quiet = plugin_of(QUIET_HOURS)
    at = quiet(lambda: datetime(2026, 1, 15, hour, 30, tzinfo=UTC))
    async with running(tmp_path, Parts([network], [FakeBackend()]), at):
        await network.receive(network.event(Said(text="/make a fox")))
        await network.until(lambda: network.shown and (network.last.message.media or "quiet" in network.last.text))
        assert bool(network.last.message.media) is made
        await network.receive(network.event(Said(text="/hours")))
        await network.until(lambda: "22:00 to 7:00" in network.last.text)


def test_hours_within_a_day_or_across_midnight_or_none() -> None:
    models: dict[str, Any] = {}
    plugin_of(QUIET_HOURS)().register_settings(models.__setitem__)
    hours = models["quiet_hours"]

    def quiet(start: int, end: int) -> set[int]:
        return {
            hour for hour in range(24) if hours(start=start, end=end).covers(datetime(2026, 1, 15, hour, tzinfo=UTC))
        }

    assert quiet(12, 14) == {12, 13}
    assert quiet(22, 2) == {22, 23, 0, 1}
    assert quiet(5, 5) == set()
