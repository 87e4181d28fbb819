"""Finds, checks and loads plugins; the one place that awaits their code."""

import asyncio
import importlib.util
import inspect
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar

import pluggy
from pydantic import BaseModel

from . import hookspecs
from .errors import ChatelierError, Refused
from .log import get_logger, redact
from .settings.environment import LOAD_PLUGINS, TRACE_PLUGINS
from .settings.load import NAMESPACES
from .settings.models import PluginSettings, Settings
from .settings.shape import fields
from .settings.words import nearest
from .storage import Kind, StoreOpener
from .supervise import guarded, reason

T = TypeVar("T")

log = get_logger(__name__)

GROUP = "chatelier"
_LOCAL = "_chatelier_local_"
_PAIRS = frozenset({"register_settings", "register_stores"})
"""Hooks whose `register` takes a name and a thing; the others' takes the thing alone."""
_SECTION = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginInfo:
    """A plugin that is loaded. origin: the distribution or the file that it came from. version: "" when it says none."""

    name: str
    origin: str
    version: str
    hooks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one plugin said to a hook. error: what it raised instead, TimeoutError when it took too long."""

    plugin: str
    value: Any = None
    error: BaseException | None = None


class Plugins:
    """The plugins of one gateway, in the order in which they were loaded.

    hooks: where the hooks are specified.
    environ: `CHATELIER_LOAD_PLUGINS=a,b` loads only these of the installed ones, `CHATELIER_TRACE_PLUGINS=1` logs each call.
    """

    def __init__(
        self,
        settings: PluginSettings | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        hooks: ModuleType | type = hookspecs,
    ) -> None:
        self._settings = settings or PluginSettings()
        environ = environ or {}
        names = environ.get(LOAD_PLUGINS)
        self._only = None if names is None else {name.strip() for name in names.split(",")}
        self._trace = environ.get(TRACE_PLUGINS, "") not in {"", "0"}
        self._hooks = hooks
        self._manager = _manager(hooks)
        self._infos: dict[str, PluginInfo] = {}
        self._in_order: dict[str, list[pluggy.HookImpl]] = {}
        self._broken: dict[str, str] = {}
        self._modules: dict[str, str] = {}
        self._found: set[str] = set()

    @property
    def loaded(self) -> tuple[PluginInfo, ...]:
        return tuple(self._infos.values())

    @property
    def broken(self) -> Mapping[str, str]:
        """Name → why it could not be loaded, or was withdrawn later. A second plugin of a name stands here with its origin."""
        return MappingProxyType(self._broken)

    @property
    def found(self) -> frozenset[str]:
        """The names of all that are there, whether they are loaded, off or broken."""
        return frozenset(self._found)

    @property
    def off(self) -> tuple[str, ...]:
        """What the config switched off."""
        return self._settings.off

    def load(self) -> None:
        """Everything: the installed plugins, then those of the folder."""
        self.load_entry_points()
        if self._settings.folder is not None:
            self.load_folder(self._settings.folder)

    def load_entry_points(self, *, only_of: str = "") -> None:
        """The installed plugins. only_of: a distribution, to leave out the others."""
        installed = entry_points(group=GROUP)
        self._found |= installed.names
        for name in sorted((self._only or set()) - installed.names - {""}):
            self._break(name, f"{LOAD_PLUGINS} names it, but it is not installed")
        for entry in installed:
            origin = entry.dist.name if entry.dist else entry.value
            if (self._only is None or entry.name in self._only) and only_of in {"", origin}:
                version = entry.dist.version if entry.dist else ""
                self._load(entry.name, origin, version, entry.module, partial(_entry, entry))

    def load_folder(self, folder: Path) -> None:
        """Each `*.py` file and each package of the folder, by name; those that start with `_` or `.` are not plugins."""
        if not folder.is_dir():
            self._break(str(folder), "plugins.folder: there is no such folder")
            return
        for path in sorted(folder.iterdir()):
            package = (path / "__init__.py").is_file()
            if path.name[0] not in "._" and (package or path.suffix == ".py"):
                module = _LOCAL + path.stem
                self._load(path.stem, str(path), "", module, partial(_local, path))

    def add(self, plugin: object, name: str, *, origin: str = "", version: str = "", module: str = "") -> None:
        """One plugin: a module, an object, or a class, which is instantiated. A broken one is named in `broken` and skipped."""
        self._load(name, origin, version, module, lambda: plugin)

    def owner_of(self, module: str) -> str:
        """The plugin that a module belongs to, or ""."""
        while module:
            if module in self._modules:
                return self._modules[module]
            module = module.rpartition(".")[0]
        return ""

    def collect(self, hook: str, **arguments: Any) -> list[tuple[str, Any]]:
        """Call a hook that registers: (plugin, what it registered), a pair when `register` takes a name and a thing.

        A plugin that raises is withdrawn: nothing that it registered in this call counts, and its other hooks are not called any more.
        """
        collected = []
        for implementation in self._implementations(hook):
            items: list[Any] = []
            answer = self._call(implementation, hook, {"register": _register(hook, items), **arguments})
            if answer.error is not None:
                self.withdraw(answer.plugin, f"{hook}: {reason(answer.error)}", answer.error)
            else:
                collected += [(answer.plugin, item) for item in items]
        return collected

    def results(self, hook: str, **arguments: Any) -> list[tuple[str, Any]]:
        """Call a plain hook that returns something: (plugin, what it returned). A plugin that raises is withdrawn."""
        found = []
        for implementation in self._implementations(hook):
            answer = self._call(implementation, hook, arguments)
            if answer.error is not None:
                self.withdraw(answer.plugin, f"{hook}: {reason(answer.error)}", answer.error)
            elif answer.value is not None:
                found.append((answer.plugin, answer.value))
        return found

    def settings_models(self) -> dict[str, type[BaseModel]]:
        """Section → model, from `register_settings`."""
        core = {*fields(Settings), *NAMESPACES}
        return self._by_name(
            "register_settings", _section, lambda name: name in core or name.split(".")[0] in fields(Settings)
        )

    def kinds(self, core: Sequence[Kind[Any]]) -> list[Kind[Any]]:
        """The core's, then those from `register_kinds`."""
        names = {kind.name for kind in core}
        return [*core, *self._by_name("register_kinds", _kind, names.__contains__).values()]

    def stores(self) -> dict[str, StoreOpener]:
        """URL scheme → what opens it, from `register_stores`."""
        return self._by_name("register_stores", _store, lambda _: False)

    def _by_name(
        self, hook: str, read: Callable[[Any], tuple[str, T]], is_of_the_core: Callable[[str], bool]
    ) -> dict[str, T]:
        """What was registered. Who registers what `read` refuses, or under a name that is taken, is withdrawn."""
        taken: dict[str, tuple[str, T]] = {}
        for plugin, item in self.collect(hook):
            if plugin in self._broken:
                continue
            try:
                name, thing = read(item)
                if owner := "the core" if is_of_the_core(name) else name in taken and taken[name][0]:
                    raise Refused(f"the name {name} belongs to {owner}")
            except Exception as error:  # noqa: BLE001 - a plugin's object is asked here for the first time
                self.withdraw(plugin, f"{hook}: {reason(error)}", error)
            else:
                taken[name] = (plugin, thing)
        return {name: thing for name, (plugin, thing) in taken.items() if plugin not in self._broken}

    def withdraw(self, name: str, why: str, error: BaseException | None = None) -> None:
        """Go on without a plugin that is loaded; what it registered before stays where it is."""
        if self._infos.pop(name, None) is not None:
            self._manager.unregister(name=name)
            self._in_order.clear()
        self._break(name, why, error)

    async def answers(self, hook: str, *, seconds: float, **arguments: Any) -> AsyncIterator[Answer]:
        """What each plugin says, one after the other, each within `seconds`. An error is logged and ends nobody else's turn."""
        for implementation in self._implementations(hook):
            yield await self._ask(implementation, hook, arguments, seconds)

    def implementers(self, hook: str) -> list[str]:
        """Who has it, in the order of loading."""
        return [implementation.plugin_name for implementation in self._implementations(hook)]

    async def ask(self, plugin: str, hook: str, *, seconds: float, **arguments: Any) -> Answer | None:
        """What this one says, None when it has no such hook (any more). An error is logged and is in the answer."""
        for implementation in self._implementations(hook):
            if implementation.plugin_name == plugin:
                return await self._ask(implementation, hook, arguments, seconds)
        return None

    async def first(self, hook: str, *, seconds: float, **arguments: Any) -> Answer | None:
        """The first plugin that has something to say; None when nobody has."""
        async for answer in self.answers(hook, seconds=seconds, **arguments):
            if answer.error is None and answer.value is not None:
                return answer
        return None

    async def every(self, hook: str, *, seconds: float, **arguments: Any) -> list[Answer]:
        """All that was said, errors too: what an error means is for the caller to decide."""
        said = self.answers(hook, seconds=seconds, **arguments)
        return [answer async for answer in said if answer.error is not None or answer.value is not None]

    async def fold(self, hook: str, subject: str, *, seconds: float, **arguments: Any) -> Answer:
        """Hand `arguments[subject]` from plugin to plugin; each may return another one. The first error ends it and is in the answer."""
        last = Answer(plugin="", value=arguments[subject])
        for implementation in self._implementations(hook):
            answer = await self._ask(implementation, hook, {**arguments, subject: last.value}, seconds)
            if answer.error is not None:
                return Answer(plugin=answer.plugin, value=last.value, error=answer.error)
            if answer.value is not None:
                last = answer
        return last

    def _load(self, name: str, origin: str, version: str, module: str, find: Callable[[], object]) -> None:
        self._found.add(name)
        if name in self._settings.off:
            return
        if name in self._infos:
            self._break(
                f"{name} ({origin})", f"the name {name} is taken by {self._infos[name].origin}; rename one of them"
            )
            return
        try:
            plugin = find()
            plugin = plugin() if inspect.isclass(plugin) else plugin
            hooks = _checked(plugin, self._hooks)
            version = version or str(getattr(plugin, "__version__", ""))
            self._manager.register(plugin, name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a plugin does while it is imported and made
            self._break(name, reason(error), error)
            return
        self._infos[name] = PluginInfo(name=name, origin=origin, version=version, hooks=hooks)
        self._in_order.clear()
        own = plugin.__name__ if inspect.ismodule(plugin) else type(plugin).__module__
        self._modules |= dict.fromkeys({module, own} - {""}, name)
        if package := getattr(sys.modules.get(own), "__package__", ""):
            self._modules.setdefault(package, name)

    def _implementations(self, hook: str) -> list[pluggy.HookImpl]:
        """In the order of loading; pluggy's own is the other way round."""
        if hook not in self._in_order:
            order = {name: n for n, name in enumerate(self._infos)}
            found: list[pluggy.HookImpl] = getattr(self._manager.hook, hook).get_hookimpls()
            self._in_order[hook] = sorted(found, key=lambda one: (one.trylast - one.tryfirst, order[one.plugin_name]))
        return self._in_order[hook]

    def _call(self, implementation: pluggy.HookImpl, hook: str, arguments: Mapping[str, Any]) -> Answer:
        with self._traced(implementation, hook):
            try:
                value = implementation.function(**_accepted(implementation, arguments))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - a plugin's own code, which may even call sys.exit()
                return Answer(plugin=implementation.plugin_name, error=error)
        if inspect.iscoroutine(value):
            value.close()
            error_words = f"{hook} should be a plain function, but it returned a coroutine"
            return Answer(plugin=implementation.plugin_name, error=Refused(error_words))
        return Answer(plugin=implementation.plugin_name, value=value)

    async def _ask(
        self, implementation: pluggy.HookImpl, hook: str, arguments: Mapping[str, Any], seconds: float
    ) -> Answer:
        async def answer() -> Any:
            value = implementation.function(**_accepted(implementation, arguments))
            return await value if inspect.isawaitable(value) else value

        name = implementation.plugin_name
        limit = asyncio.timeout(seconds)
        with self._traced(implementation, hook):
            try:
                async with limit:
                    return Answer(plugin=name, value=await guarded(answer()))
            except asyncio.CancelledError as cancelled:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
                error: BaseException = cancelled  # the plugin awaited something that was cancelled
            except Exception as raised:  # noqa: BLE001 - a plugin's own code
                error = TimeoutError(f"no answer within {seconds:g} s") if limit.expired() else raised
        log.error("plugin failed", plugin=name, hook=hook, reason=reason(error), exc_info=error)
        return Answer(plugin=name, error=error)

    @contextmanager
    def _traced(self, implementation: pluggy.HookImpl, hook: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            if self._trace:
                milliseconds = round((time.perf_counter() - started) * 1000, 2)
                log.info("plugin called", plugin=implementation.plugin_name, hook=hook, milliseconds=milliseconds)

    def _break(self, name: str, why: str, error: BaseException | None = None) -> None:
        self._broken[name] = redact(why)
        bug = None if isinstance(error, ChatelierError) else error
        log.error("plugin is broken, going on without it", plugin=name, reason=why, exc_info=bug)


def _manager(hooks: ModuleType | type) -> pluggy.PluginManager:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hooks)
    return manager


def _checked(plugin: object, hooks: ModuleType | type) -> tuple[str, ...]:
    """The hooks that a plugin implements. Raises Refused when one of them can never work."""
    trial = _manager(hooks)
    known = list(vars(trial.hook))
    try:
        trial.register(plugin, "trial")
    except pluggy.PluginValidationError as error:
        raise Refused(
            "wrong signature: " + " ".join(str(error).split()).partition("hookimpl definition: ")[2]
        ) from error
    callers = trial.get_hookcallers(plugin) or []
    if not callers:
        raise Refused("it has no hooks; mark its functions with @hookimpl")
    for caller in callers:
        if not caller.has_spec():
            near = nearest(caller.name, known)
            raise Refused(f"unknown hook {caller.name}" + (f"; did you mean {near}?" if near else ""))
        for implementation in caller.get_hookimpls():
            if implementation.wrapper or implementation.hookwrapper:
                raise Refused(f"{caller.name}: wrappers are not called here; return a value instead")
            plain = caller.name.startswith("register_") or caller.name == "lifespan"
            if plain and inspect.iscoroutinefunction(implementation.function):
                raise Refused(f"{caller.name} should be a plain function, without async")
            if any(has(implementation.function) for has in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)):
                mend = "put @asynccontextmanager before it" if caller.name == "lifespan" else "return a value instead"
                raise Refused(f"{caller.name} should not yield; {mend}")
    return tuple(sorted(caller.name for caller in callers))


def _entry(entry: EntryPoint) -> object:
    found = entry.load()
    return getattr(found, "Plugin", found) if inspect.ismodule(found) else found


def _local(path: Path) -> object:
    """The module of a file or package, under a private name so that it hides nobody else's, or its class `Plugin`."""
    name = _LOCAL + path.stem
    package = path.is_dir()
    spec = importlib.util.spec_from_file_location(
        name, path / "__init__.py" if package else path, submodule_search_locations=[str(path)] if package else None
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        for known in [known for known in sys.modules if known == name or known.startswith(name + ".")]:
            del sys.modules[known]
        raise
    return getattr(module, "Plugin", module)


def _accepted(implementation: pluggy.HookImpl, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: arguments[name] for name in implementation.argnames}


def _register(hook: str, items: list[Any]) -> Callable[..., None]:
    """What the hook is given; it takes as many arguments as the hook says."""

    def one(thing: Any, /) -> None:
        items.append(thing)

    def pair(name: Any, thing: Any, /) -> None:
        items.append((name, thing))

    register = pair if hook in _PAIRS else one
    register.__qualname__ = "register"  # so is it called in the error about its arguments
    return register


def _section(item: tuple[Any, Any]) -> tuple[str, type[BaseModel]]:
    name, model = item
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise Refused(f"{name!r} needs a pydantic model, and {model!r} is none")
    return _named(name, _SECTION, 'a section, such as "backends.comfyui"'), model


def _kind(kind: Any) -> tuple[str, Kind[Any]]:
    if not isinstance(kind, Kind):
        raise Refused(f"{kind!r} is no Kind")
    return kind.name, kind


def _store(item: tuple[Any, Any]) -> tuple[str, StoreOpener]:
    name, opener = item
    if not callable(opener):
        raise Refused(f"{name!r} needs something that opens a store, and {opener!r} does not")
    return _named(name, _SCHEME, 'the scheme of a URL, such as "sqlite"'), opener


def _named(name: Any, pattern: re.Pattern[str], what: str) -> str:
    if not (isinstance(name, str) and pattern.fullmatch(name)):
        raise Refused(f"{name!r} is not the name of {what}")
    return name
