"""Whatever a plugin does wrong, it is named, and everybody else is answered as before."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatelier import Said, Settings
from chatelier.core.gateway import open_runtime
from chatelier.core.plugins import Plugins
from chatelier.core.settings import PluginSettings, load
from chatelier.core.testing.backend import FakeBackend
from chatelier.core.testing.gateway import Parts, serving
from chatelier.core.testing.logs import sent_to
from chatelier.core.testing.platform import FakePlatform
from chatelier.plugins.essentials import Plugin as Essentials

HEAD = """
import asyncio
from contextlib import asynccontextmanager
from pydantic import BaseModel
from chatelier import Backend, Command, Kind, Option, Record, hookimpl

class Own(BaseException): ...
class Wordless(Exception):
    def __str__(self): raise ValueError("no words")
class Model(BaseModel): ...
class Nameless:
    @property
    def name(self): raise RuntimeError("no name")
async def answer(call): ...
"""


def hook(name: str, body: str, arguments: str = "register") -> str:
    return f"@hookimpl\ndef {name}({arguments}): {body}\n"


def command(declaration: str) -> str:
    body = f"register(Command(name='odd', summary='Odd.', handler=answer, {declaration}))"
    return hook("register_commands", body, "register, settings")


def life(body: str) -> str:
    return (
        "@hookimpl\ndef lifespan(gateway):\n    @asynccontextmanager\n    async def life():\n"
        f"        {body}\n        yield\n    return life()\n"
    )


BROKEN = {
    "import exits": "raise SystemExit(3)",
    "import ends a generator": "raise GeneratorExit",
    "import raises its own": "raise Own('odd')",
    "import raises without words": "raise Wordless",
    "has every attribute and none": (
        "class Plugin:\n    def __getattr__(self, name): raise RuntimeError(name)\n"
        "    @hookimpl\n    def register_kinds(self, register): ..."
    ),
    "hook exits": hook("register_commands", "raise SystemExit(3)", "register, settings"),
    "hook ends a generator": hook("register_kinds", "raise GeneratorExit"),
    "hook raises its own": hook("register_commands", "raise Own('odd')", "register, settings"),
    "hook is cancelled": hook("register_kinds", "raise asyncio.CancelledError"),
    "hook raises without words": hook("register_kinds", "raise Wordless"),
    "hook yields": hook("register_commands", "yield 1", "register, settings"),
    "kind is a text": hook("register_kinds", "register('jobs')"),
    "kind has a name of the core's": hook("register_kinds", "register(Kind(name='jobs', record=Record))"),
    "store without an opener": hook("register_stores", "register('foo')"),
    "store with too much": hook("register_stores", "register('foo', 1, 2)"),
    "store whose opener is none": hook("register_stores", "register('odd', None)"),
    "store that is there already": hook("register_stores", "register('memory', print)"),
    "store of no name": hook("register_stores", "register(5, print)"),
    "settings without a model": hook("register_settings", "register('foo')"),
    "settings whose model is none": hook("register_settings", "register('foo', dict)"),
    "settings of no name": hook("register_settings", "register(5, Model)"),
    "settings with a gap": hook("register_settings", "register('a..b', Model)"),
    "settings of all networks": hook("register_settings", "register('platforms', Model)"),
    "a backend that is none": hook("register_backends", "register(5)", "register, settings"),
    "a network that cannot say its name": hook("register_platforms", "register(Nameless())", "register, settings"),
    "a command in no group": command("group=None"),
    "a command with odd limits": command("options=(Option(name='n', type='integer', minimum='a'),)"),
    "a life that is none": hook("lifespan", "return 5", "gateway"),
    "a life that yields by itself": "@hookimpl\nasync def lifespan(gateway): yield",
    "a life that exits": life("raise SystemExit(3)"),
    "a life that raises its own": life("raise Own('odd')"),
    "a life that is cancelled": life("raise asyncio.CancelledError"),
    "a door that yields": "@hookimpl\nasync def admit(event, command): yield 'no'",
}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    with sent_to(stream):
        yield stream


@pytest.fixture
def network() -> FakePlatform:
    return FakePlatform()


@pytest.fixture
def plugins(tmp_path: Path, log: io.StringIO, network: FakePlatform, source: str) -> Plugins:
    """Loaded, a broken one after two that are not."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "crooked.py").write_text(HEAD + source)
    loaded = Plugins(PluginSettings(folder=folder), {"CHATELIER_LOAD_PLUGINS": ""})
    loaded.add(Parts([network], [FakeBackend()]), "parts")
    loaded.add(Essentials, "essentials")
    loaded.load()
    return loaded


@pytest.fixture
def settings(tmp_path: Path, plugins: Plugins) -> Settings:
    environ = {"CHATELIER_DATA_DIR": str(tmp_path), "CHATELIER_STORE": "memory:"}
    return load(None, plugins.settings_models(), environ, broken=plugins.broken)


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN.keys())
async def test_a_plugin_that_is_broken_is_named_and_help_is_given_all_the_same(
    plugins: Plugins, settings: Settings, network: FakePlatform, log: io.StringIO
) -> None:
    async with open_runtime(settings, plugins) as runtime, serving(runtime):
        await network.until(lambda: network.gateway is runtime)
        await network.receive(network.event(Said(text="/help")))
        await network.until(lambda: network.shown)
        assert "/make" in network.last.text
        said = [*plugins.broken, *runtime.problems]
    assert any("crooked" in line for line in said), "what the doctor and the console show"
    assert "crooked" in log.getvalue()
