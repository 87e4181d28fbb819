"""docs/configuration.md, made from the models: `python -m chatelier.core.settings.page > docs/configuration.md`."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from ..plugins import Plugins
from . import shape
from .document import dotted
from .environment import variable
from .models import Settings

_TOP = """\
# Configuration

<!-- Made by `python -m chatelier.core.settings.page > docs/configuration.md`; change the models instead. -->

Settings come from three places; a later one wins:

1. the defaults below,
2. the file: `--config FILE`, else `config.yaml` in the current folder, else the one that comes with Chatelier,
3. the environment: `CHATELIER_` and the setting's name in capitals, with two underscores for each dot, so that
   `CHATELIER_HTTP__PORT=9000` sets `http.port`; lists are written `a, b` or as YAML `[a, b]`, and their items have numbers
   from 0: `CHATELIER_BACKENDS__COMFYUI__SERVERS__0__URL`.

A relative path is relative to the folder of the file that it stands in, or to the current folder when it comes from the
environment.

**Secrets** need not stand in the file. `${NAME}` anywhere in a text is replaced by the environment variable `NAME`
(`$${NAME}` stands for these very characters), and where the type is *secret*, `{file: /run/secrets/name}` reads a file.

**Mistakes** end the start. Each is one line that names the file, the line, the setting and what to do:

```
config.yaml:12: http.prot: unknown setting; did you mean "port"?
```
"""


def render_page(models: Mapping[str, type[BaseModel]]) -> str:
    """The page for the core and these sections. Raises ValueError for a setting without a description."""
    parts = [_TOP, *_section("The gateway", "", Settings)]
    for name, model in sorted(models.items()):
        parts += _section(f"`{name}`", name, model)
    return "\n".join(parts)


def own_models() -> dict[str, type[BaseModel]]:
    """The sections of the plugins that come with Chatelier, whatever else is installed here."""
    plugins = Plugins()
    plugins.load_entry_points(only_of="chatelier")
    return plugins.settings_models()


def _section(title: str, name: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"## {title}\n"
    if name and model.__doc__ and model.__doc__ != BaseModel.__doc__:
        yield f"{model.__doc__.strip()}\n"
    above = tuple(name.split(".")) if name else ()
    yield f"Environment: `{variable((*above, '…'))}`\n"
    yield "| setting | type | default | meaning |\n|---|---|---|---|"
    for key, info in shape.leaves(model, above):
        if not _is_group(info):
            if not info.description:
                raise ValueError(f"{dotted(key)} has no description")
            cells = (f"`{dotted(key)}`", shape.words(info.annotation), _default(info), info.description)
            yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
    yield ""


def _is_group(info: FieldInfo) -> bool:
    return bool(shape.models(info.annotation)) and not shape.may_be_none(info.annotation)


def _default(info: FieldInfo) -> str:
    if isinstance(info.json_schema_extra, dict) and "shown" in info.json_schema_extra:
        return str(info.json_schema_extra["shown"])
    if info.is_required():
        return "**required**"
    return _shown(info.get_default(call_default_factory=True, validated_data={}))


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr) or value is None or value == "" or value in ((), [], {}):
        return "-"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list | set | frozenset):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`" if isinstance(value, str | int | float | Path) else "see below"


if __name__ == "__main__":
    sys.stdout.write(render_page(own_models()))
