"""Plugins are found, checked and called; one that is broken is named, and the rest go on."""

import asyncio
import io
import json
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatelier import hookimpl
from chatelier.core.hookspecs import hookspec
from chatelier.core.plugins import Answer, Plugins
from chatelier.core.settings import PluginSettings
from chatelier.core.testing.logs import sent_to

DATA = Path(__file__).parent / "data" / "plugins"


class Hooks:
    """Two hooks of the kind that a gateway asks while it runs."""

    @hookspec
    def price(self, job: str, person: str) -> Awaitable[int | None] | int | None: ...

    @hookspec
    def watched(self, job: str) -> None: ...


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    with sent_to(stream):
        yield stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def local(folder: str, **settings: Any) -> Plugins:
    plugins = Plugins(PluginSettings(folder=DATA / folder, **settings), {"CHATELIER_LOAD_PLUGINS": ""})
    plugins.load()
    return plugins


def asked(*objects: object) -> Plugins:
    plugins = Plugins(hooks=Hooks)
    for n, plugin in enumerate(objects):
        plugins.add(plugin, f"{n}")
    assert not plugins.broken
    return plugins


def names(plugins: Plugins) -> list[str]:
    return [info.name for info in plugins.loaded]


def test_a_folder_gives_modules_classes_and_packages() -> None:
    plugins = local("local")
    assert names(plugins) == ["counts", "greets", "pack"]
    greets = plugins.loaded[1]
    assert (greets.version, greets.hooks) == ("3.1", ("register_settings",))
    assert greets.origin.endswith("greets.py")
    assert not plugins.broken


def test_what_is_registered_comes_in_the_order_of_loading_with_its_plugin() -> None:
    assert local("local").collect("register_kinds") == [
        ("counts", "call 1"),
        ("counts", "kind"),
        ("pack", "from the pack"),
    ]


def test_a_class_is_made_once_for_each_gateway() -> None:
    first, second = local("local"), local("local")
    first.collect("register_kinds")
    assert ("counts", "call 2") in first.collect("register_kinds")
    assert ("counts", "call 1") in second.collect("register_kinds")


def test_a_plugin_that_is_off_is_not_imported() -> None:
    plugins = local("broken", off=("fails_to_import",))
    assert "fails_to_import" not in plugins.broken
    assert plugins.off == ("fails_to_import",)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fails_to_import", "RuntimeError: the moon is full"),
        ("exits", "SystemExit: 3"),
        ("lacks_sdk", "No module named 'absent_sdk'"),
        ("unknown_hook", "unknown hook register_comands; did you mean register_commands?"),
        ("wrong_signature", "weather"),
        ("no_hooks", "mark its functions with @hookimpl"),
        ("async_registration", "register_commands should be a plain function"),
        ("wraps", "register_commands: wrappers are not called here"),
        ("fails_when_made", "no paint left"),
    ],
)
def test_a_broken_plugin_is_named_and_skipped(name: str, reason: str, logged: io.StringIO) -> None:
    plugins = local("broken")
    assert name not in names(plugins)
    assert reason in plugins.broken[name]
    assert "\n" not in plugins.broken[name]
    assert name in {line.get("plugin") for line in lines(logged)}


def test_a_file_that_is_no_python_is_named_and_skipped(tmp_path: Path) -> None:
    (tmp_path / "scribble.py").write_text("def def")
    (tmp_path / "whole.py").write_text((DATA / "local" / "greets.py").read_text())
    plugins = Plugins(PluginSettings(folder=tmp_path), {"CHATELIER_LOAD_PLUGINS": ""})
    plugins.load()
    assert names(plugins) == ["whole"]
    assert "SyntaxError" in plugins.broken["scribble"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    plugins = Plugins(PluginSettings(folder=tmp_path / "none"), {"CHATELIER_LOAD_PLUGINS": ""})
    plugins.load()
    assert "no such folder" in plugins.broken[str(tmp_path / "none")]


def test_a_plugin_that_fails_while_it_registers_is_withdrawn_whole() -> None:
    plugins = local("broken")
    assert "fails_to_register" in names(plugins)
    assert plugins.collect("register_kinds") == []
    assert plugins.broken["fails_to_register"] == "register_kinds: set platforms.moon.phase"
    assert "fails_to_register" not in names(plugins)
    assert ("fails_to_register", "never asked") not in plugins.collect("register_commands")


def test_a_registration_that_returns_a_coroutine_is_withdrawn() -> None:
    plugins = local("broken")
    plugins.collect("register_commands")
    assert "plain function" in plugins.broken["returns_coroutine"]


def test_a_second_plugin_of_a_name_is_named_and_skipped() -> None:
    plugins = local("local")
    plugins.add(Registers("greets"), "greets", origin="elsewhere")
    assert names(plugins).count("greets") == 1
    assert "is taken by" in plugins.broken["greets (elsewhere)"]


def test_one_object_cannot_be_two_plugins() -> None:
    plugin = Registers("one")
    plugins = Plugins()
    plugins.add(plugin, "one")
    plugins.add(plugin, "two")
    assert names(plugins) == ["one"]
    assert "two" in plugins.broken


def test_a_secret_in_an_error_is_not_shown() -> None:
    assert "moonshine" not in local("broken").broken["fails_to_import"]


class Registers:
    def __init__(self, section: str) -> None:
        self.section = section

    @hookimpl
    def register_settings(self, register: Any) -> None:
        register(self.section, PluginSettings)


def test_a_section_of_the_config_has_one_owner() -> None:
    plugins = Plugins()
    for section, name in (("platforms.a", "first"), ("platforms.a", "second"), ("http.more", "third")):
        plugins.add(Registers(section), name)
    assert plugins.settings_models() == {"platforms.a": PluginSettings}
    assert "belongs to first" in plugins.broken["second"]
    assert "belongs to the core" in plugins.broken["third"]


def test_installed_plugins_are_found_and_a_broken_one_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DATA / "installed"))
    plugins = Plugins()
    plugins.load_entry_points(only_of="atelier-greeter")
    assert names(plugins) == ["greeter", "second"]
    assert (plugins.loaded[0].origin, plugins.loaded[0].version) == ("atelier-greeter", "1.2")
    assert "ModuleNotFoundError" in plugins.broken["absent"]
    assert plugins.collect("register_kinds") == [("greeter", "installed"), ("second", "installed")]
    assert plugins.owner_of("atelier_greeter.second") == "second"
    assert plugins.owner_of("atelier_greeter.brush.tip") == "greeter"
    assert plugins.owner_of("asyncio.events") == ""


def test_a_plugin_in_a_module_of_its_package_owns_the_whole_package() -> None:
    plugins = Plugins()
    plugins.load_entry_points(only_of="chatelier")
    assert plugins.owner_of("chatelier.plugins.sketch.engine") == "sketch"
    assert plugins.owner_of("chatelier.plugins.metrics.meter") == "metrics"
    assert plugins.owner_of("chatelier.core.gateway") == ""


def test_the_environment_can_name_the_installed_plugins_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DATA / "installed"))
    plugins = Plugins(environ={"CHATELIER_LOAD_PLUGINS": "greeter, moon"})
    plugins.load()
    assert names(plugins) == ["greeter"]
    assert "CHATELIER_LOAD_PLUGINS" in plugins.broken["moon"]


class Says:
    """Answers with what it was given."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @hookimpl
    def price(self, job: str) -> Any:
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


class SaysLater(Says):
    @hookimpl
    async def price(self, job: str) -> Any:
        await asyncio.sleep(0)
        return super().price(job)


class NeverSays:
    @hookimpl
    async def price(self) -> int:
        await asyncio.Event().wait()
        return 1


class AwaitsCancelled:
    @hookimpl
    async def price(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future


async def test_each_plugin_answers_in_turn_at_once_or_later() -> None:
    plugins = asked(Says(1), SaysLater(2), Says(None))
    answers = [answer async for answer in plugins.answers("price", seconds=5, job="j", person="p")]
    assert answers == [Answer(plugin="0", value=1), Answer(plugin="1", value=2), Answer(plugin="2")]


async def test_one_that_fails_is_named_and_the_others_are_heard(logged: io.StringIO) -> None:
    broken = (SaysLater(RuntimeError("oh")), Says(SystemExit(1)), AwaitsCancelled())
    plugins = asked(*broken, Says(4))
    said = await plugins.every("price", seconds=5, job="j", person="p")
    assert [(answer.plugin, answer.value, type(answer.error).__name__) for answer in said] == [
        ("0", None, "RuntimeError"),
        ("1", None, "RuntimeError"),
        ("2", None, "CancelledError"),
        ("3", 4, "NoneType"),
    ]
    assert [line["plugin"] for line in lines(logged)] == ["0", "1", "2"]


async def test_one_that_takes_too_long_is_left_behind() -> None:
    said = await asked(NeverSays(), Says(4)).every("price", seconds=0.01, job="j", person="p")
    assert isinstance(said[0].error, TimeoutError)
    assert "0.01 s" in str(said[0].error)
    assert said[1].value == 4


async def test_cancelling_who_asks_cancels_the_plugin() -> None:
    plugins = asked(NeverSays())
    task = asyncio.create_task(plugins.every("price", seconds=60, job="j", person="p"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_first_that_has_something_to_say() -> None:
    plugins = asked(Says(None), Says(RuntimeError("oh")), SaysLater(0), Says(7))
    assert await plugins.first("price", seconds=5, job="j", person="p") == Answer(plugin="2", value=0)
    assert await asked(Says(None)).first("price", seconds=5, job="j", person="p") is None


class Doubles:
    @hookimpl
    def price(self, job: str) -> str:
        return job * 2


async def test_a_fold_hands_on_what_the_one_before_said() -> None:
    plugins = asked(Doubles(), Says(None), Doubles())
    assert (await plugins.fold("price", "job", seconds=5, job="ab", person="p")).value == "abababab"
    assert (await asked().fold("price", "job", seconds=5, job="ab", person="p")).value == "ab"


async def test_a_fold_ends_at_the_first_error_with_what_it_had() -> None:
    error = RuntimeError("oh")
    plugins = asked(Doubles(), Says(error), Doubles())
    folded = await plugins.fold("price", "job", seconds=5, job="ab", person="p")
    assert folded == Answer(plugin="1", value="abab", error=error)


class Watches:
    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    @hookimpl
    async def watched(self, job: str) -> None:
        self.seen.append(job)
        raise RuntimeError("seen enough")


async def test_one_plugin_is_asked_by_its_name() -> None:
    seen: list[str] = []
    plugins = asked(Says(1), Watches(seen), Watches(seen))
    assert plugins.implementers("watched") == ["1", "2"]
    answer = await plugins.ask("2", "watched", seconds=5, job="j")
    assert isinstance(answer and answer.error, RuntimeError)
    assert await plugins.ask("0", "watched", seconds=5, job="j") is None
    assert seen == ["j"]


class First(Says):
    @hookimpl(tryfirst=True)
    def price(self, job: str) -> Any:
        return self.value


async def test_who_asks_to_be_first_is_first() -> None:
    plugins = asked(Says(1), Says(2), First(3))
    said = await plugins.every("price", seconds=5, job="j", person="p")
    assert [answer.value for answer in said] == [3, 1, 2]


def test_plain_results_come_with_their_plugin_and_an_error_withdraws() -> None:
    plugins = asked(Says(1), Says(None), Says(ValueError("oh")))
    assert plugins.results("price", job="j", person="p") == [("0", 1)]
    assert plugins.broken == {"2": "price: ValueError: oh"}


async def test_calls_can_be_traced(logged: io.StringIO) -> None:
    plugins = Plugins(environ={"CHATELIER_TRACE_PLUGINS": "1"}, hooks=Hooks)
    plugins.add(Says(1), "talker")
    await plugins.first("price", seconds=5, job="j", person="p")
    assert [(line["plugin"], line["hook"]) for line in lines(logged)] == [("talker", "price")]
