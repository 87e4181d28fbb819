"""config.yaml and the environment, checked against the models: one frozen object, or one line an error."""

import re
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from . import shape, words
from .document import Complaint, Document, Key, dotted, read
from .environment import overlay
from .models import PluginSettings, Settings
from .resolve import Resolver

M = TypeVar("M", bound=BaseModel)

# python-telegram-bot<23,>=22; extra == "telegram"
_NEEDED = re.compile(r"""(?P<name>[\w.-]+).*;.*\bextra\s*==\s*["'](?P<extra>[^"']+)["']""")
NAMESPACES = ("platforms", "backends")


def load(
    path: Path | None,
    models: Mapping[str, type[BaseModel]],
    environ: Mapping[str, str],
    *,
    broken: Mapping[str, str] | None = None,
    plugins: Collection[str] = (),
) -> Settings:
    """The settings of a file (None: defaults) and the environment.

    models: section name ("platforms.web") → the model that a plugin registered for it.
    broken: plugin name → why it could not be loaded; its section is a problem then, not an error.
    plugins: the names of all that were found, for `plugins.off`; empty when nobody looked.
    Raises SettingsError with one line an error, all of them.
    """
    document = read(path)
    overlay(document, environ)
    return _Reading(document, models, environ, broken or {}, plugins).settings()


def load_plugin_settings(path: Path | None, environ: Mapping[str, str]) -> PluginSettings:
    """Which plugins to load: the one section that is needed before the others' models are known. Raises SettingsError."""
    document = read(path)
    overlay(document, environ)
    values = Resolver(document, environ, ()).model(PluginSettings, document.values.get("plugins"), ("plugins",))
    settings = _validated(document, PluginSettings, values, ("plugins",))
    document.check()
    return settings or PluginSettings()


def everywhere(models: Mapping[str, type[BaseModel]]) -> tuple[Key, ...]:
    """Every key that can be written, the core's first."""
    keys = [key for key, _ in shape.leaves(Settings)]
    for section, model in models.items():
        above = tuple(section.split("."))
        keys += [above, *(key for key, _ in shape.leaves(model, above))]
    return tuple(keys)


class _Reading:
    """Takes a document apart into the core's settings and the plugins' sections."""

    def __init__(
        self,
        document: Document,
        models: Mapping[str, type[BaseModel]],
        environ: Mapping[str, str],
        broken: Mapping[str, str],
        plugins: Collection[str],
    ) -> None:
        self.document = document
        self.models: dict[Key, type[BaseModel]] = {tuple(name.split(".")): model for name, model in models.items()}
        self.resolver = Resolver(document, environ, everywhere(models))
        self.absent = {name: f"broken: {reason}" for name, reason in broken.items()}
        self.plugins = plugins
        self.sections: dict[str, BaseModel] = {}
        self.problems: list[str] = []

    def settings(self) -> Settings:
        own = shape.fields(Settings)
        core = {name: value for name, value in self.document.values.items() if name in own}
        resolved = self.resolver.model(Settings, core, ())
        settings = _validated(self.document, Settings, resolved, ()) or Settings()
        off = _off(resolved)
        self.absent |= dict.fromkeys(off, "off: plugins.off names it")
        if self.plugins:
            for n, name in enumerate(off):
                if name not in self.plugins:
                    self._problem(("plugins", "off", n), words.no_such_plugin(name, self.plugins))
        for name, value in self.document.values.items():
            if name not in own:
                self._below((name,), value)
        self.document.check()
        return settings.with_sections(self.sections, tuple(self.problems))

    def _below(self, key: Key, value: Any) -> None:
        if key in self.models:
            self._section(key, value)
        elif not self._names_below(key):
            self._unknown(key)
        elif isinstance(value, dict):
            for name, inner in value.items():
                self._below((*key, name), inner)
        elif value is not None:
            self.document.complain(key, 'should hold sections, such as "web:"')

    def _names_below(self, key: Key) -> list[str]:
        """The sections of a namespace; of the namespaces that are always there at least one, so that they are known."""
        named = [
            str(section[len(key)]) for section in self.models if len(section) > len(key) and section[: len(key)] == key
        ]
        return named or ["<name>"] * (key[0] in NAMESPACES and len(key) == 1)

    def _section(self, key: Key, value: Any) -> None:
        model = self.models[key]
        section = _validated(self.document, model, self.resolver.model(model, value, key), key)
        if section is not None:
            self.sections[dotted(key)] = section

    def _unknown(self, key: Key) -> None:
        name = str(key[-1])
        if name in self.absent:
            self._problem(key, f"not used, its plugin is {self.absent[name]}")
        elif (lacking := _extras().get(name)) is not None:
            mend = f'its plugin is not installed; pip install "chatelier[{name}]"'
            self.document.complain(key, mend if lacking else f'this version has no plugin "{name}"; remove the section')
        elif len(key) == 1:
            known = [*shape.fields(Settings), *NAMESPACES, *(str(section[0]) for section in self.models)]
            self.resolver.unknown(key, dict.fromkeys(known))
        elif meant := words.nearest(name, self._names_below(key[:-1])):
            self.document.complain(key, f'unknown section; did you mean "{meant}"?')
        else:
            self.document.complain(key, "no plugin has this section; install the one that does, or remove it")

    def _problem(self, key: Key, words: str) -> None:
        self.problems.append(str(Complaint(self.document.place(key), key, words)))


def _off(core: dict[str, Any]) -> list[str]:
    """Read before it is known whether the core's settings are right, so that other errors stay true."""
    plugins = core.get("plugins")
    off = plugins.get("off") if isinstance(plugins, dict) else None
    return [name for name in off if isinstance(name, str)] if isinstance(off, list) else []


def _extras() -> dict[str, list[str]]:
    """What can be installed with `chatelier[…]`, and the distributions that each would bring and that are not there."""
    try:
        about = metadata("chatelier")
    except PackageNotFoundError:
        return {}
    needed = [match for line in about.get_all("Requires-Dist") or [] if (match := _NEEDED.match(line))]
    return {
        extra: [match["name"] for match in needed if match["extra"] == extra and not _is_installed(match["name"])]
        for extra in about.get_all("Provides-Extra") or []
    }


def _is_installed(distribution: str) -> bool:
    try:
        metadata(distribution)
    except PackageNotFoundError:
        return False
    return True


def _validated(document: Document, model: type[M], values: Any, key: Key) -> M | None:
    """None when there is an error; the document has its words then."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        complained = {complaint.key for complaint in document.complaints}
        for detail in error.errors(include_url=False):
            inner = _key(values, detail["loc"], missing=detail["type"] == "missing")
            at = (*key, *inner)
            if at not in complained and detail["type"] != "extra_forbidden":
                complained.add(at)
                secret = shape.holds_secret(shape.at(model, inner))
                document.complain(at, words.of_error(detail, at, secret=secret))
        return None


def _key(values: Any, loc: tuple[str | int, ...], *, missing: bool) -> Key:
    """pydantic's location without what only names a member of a union."""
    key: Key = ()
    for n, part in enumerate(loc):
        if isinstance(values, dict | list) and (inner := _inside(values, part)) is not None:
            values, key = inner[0], (*key, part)
        elif missing and n == len(loc) - 1:
            key = (*key, part)
    return key


def _inside(values: dict[str, Any] | list[Any], part: str | int) -> tuple[Any] | None:
    if isinstance(values, dict):
        return (values[part],) if isinstance(part, str) and part in values else None
    return (values[part],) if isinstance(part, int) and part < len(values) else None
