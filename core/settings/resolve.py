"""From what was written to what the models take: names checked, `${NAME}` and secret files read, paths made absolute."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from . import shape, words
from .document import Document, Key

_REFERENCE = re.compile(r"\$(\$?)\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Resolver:
    """everywhere: every key that some model has, for suggestions."""

    document: Document
    environ: Mapping[str, str]
    everywhere: tuple[Key, ...]

    def model(self, model: type[BaseModel], values: Any, key: Key) -> Any:
        """What `model` can validate."""
        return self._value(values, model, key)

    def unknown(self, key: Key, siblings: Iterable[str]) -> None:
        place = self.document.place(key)
        if place.variable:
            self.document.complain((), words.unknown_variable(place.words, self.everywhere), at=place)
        else:
            self.document.complain(key, words.unknown(key, siblings, self.everywhere))

    def _value(self, value: Any, annotation: Any, key: Key) -> Any:
        if isinstance(value, dict):
            return self._mapping(value, annotation, key)
        if isinstance(value, list):
            return self._items(value, annotation, key)
        if isinstance(value, str):
            return self._text(value, annotation, key)
        if value is None and shape.models(annotation) and not shape.may_be_none(annotation):
            return {}
        return value

    def _mapping(self, values: dict[str, Any], annotation: Any, key: Key) -> Any:
        if shape.holds_secret(annotation):
            return self._secret_file(values, key)
        models = shape.models(annotation)
        if not models:
            inner = shape.of_items(annotation)
            return {name: self._value(value, inner, (*key, name)) for name, value in values.items()}
        known = {name: info for model in models for name, info in shape.fields(model).items()}
        resolved = {}
        for name, value in values.items():
            if name in known:
                resolved[name] = self._value(value, known[name].annotation, (*key, name))
            else:
                self.unknown((*key, name), known)
        return resolved

    def _items(self, values: list[Any], annotation: Any, key: Key) -> list[Any]:
        inner = shape.of_items(annotation)
        return [self._value(value, inner, (*key, n)) for n, value in enumerate(values)]

    def _text(self, text: str, annotation: Any, key: Key) -> Any:
        place = self.document.place(key)
        if place.variable and shape.holds_list(annotation):
            return self._items([item.strip() for item in text.split(",") if item.strip()], annotation, key)
        if not place.variable:
            text = _REFERENCE.sub(lambda match: self._reference(match, key), text)
        if shape.holds_path(annotation):
            if not text.strip() and not any(said.key == key for said in self.document.complaints):
                self.document.complain(key, "is empty; give it a path or leave it out")
            return place.folder / Path(text).expanduser()
        return text

    def _reference(self, match: re.Match[str], key: Key) -> str:
        escaped, name = match.groups()
        if escaped:
            return f"${{{name}}}"
        if not name.strip():
            self.document.complain(
                key, "${} lacks the name of an environment variable; write $${} for these very characters"
            )
        elif name not in self.environ:
            mend = "set it, or write $${…} for these very characters"
            self.document.complain(key, f"the environment variable {name} is not set; {mend}")
        return self.environ.get(name, "")

    def _secret_file(self, values: dict[str, Any], key: Key) -> str:
        file = values.get("file")
        if set(values) != {"file"} or not isinstance(file, str):
            self.document.complain(key, "should be text or {file: path}")
            return ""
        path = self._text(file, Path, (*key, "file"))
        try:
            secret = Path(path).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            self.document.complain((*key, "file"), f"the secret cannot be read from {path}: {reason}")
            return ""
        if not secret:
            self.document.complain((*key, "file"), f"{path} is empty; write the secret into it")
        return secret
