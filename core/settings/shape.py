"""What a pydantic model says about its fields, read from the annotations, so that any plugin's model will do."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from .document import Key

Models = Mapping[str, type[BaseModel]]


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields by the names that the config uses."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def choices(annotation: Any) -> tuple[Any, ...]:
    """The types that a value may have: unions taken apart, Annotated and aliases looked through."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return choices(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        return tuple(choice for part in get_args(annotation) for choice in choices(part))
    if (alias := getattr(annotation, "__value__", None)) is not None:
        return choices(alias)
    return (annotation,)


def _is(annotation: Any, kind: type) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, kind)


def models(annotation: Any) -> list[type[BaseModel]]:
    return [choice for choice in choices(annotation) if _is(choice, BaseModel)]


def holds_secret(annotation: Any) -> bool:
    return any(_is(choice, SecretStr) for choice in choices(annotation))


def holds_path(annotation: Any) -> bool:
    return any(_is(choice, Path) for choice in choices(annotation))


def holds_list(annotation: Any) -> bool:
    return any((get_origin(choice) or choice) in {list, tuple, set, frozenset} for choice in choices(annotation))


def may_be_none(annotation: Any) -> bool:
    return annotation is Any or any(choice in {None, NoneType} for choice in choices(annotation))


def of_items(annotation: Any) -> Any:
    """What the items of a list or the values of a mapping are, Any when that is not said."""
    for choice in choices(annotation):
        if get_origin(choice) is not None and (args := [arg for arg in get_args(choice) if arg is not Ellipsis]):
            return args[-1]
    return Any


def at(annotation: Any, key: Key) -> Any:
    """What the value at this key below it is, Any when that is not said."""
    for part in key:
        known = {name: info for model in models(annotation) for name, info in fields(model).items()}
        annotation = known[str(part)].annotation if str(part) in known else of_items(annotation)
    return annotation


def words(annotation: Any) -> str:
    """The type in plain English, for the page of all settings."""
    named = [_words(choice) for choice in choices(annotation) if choice not in {None, NoneType}]
    return " or ".join(dict.fromkeys(named))


_PLAIN = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    SecretStr: "secret",
    Path: "path",
    Any: "anything",
}


def _words(choice: Any) -> str:
    origin, args = get_origin(choice), get_args(choice)
    if origin is Literal:
        return " or ".join(f"`{arg}`" for arg in args)
    if _is(origin or choice, Mapping):
        return f"mapping of {words(of_items(choice))}"
    if (origin or choice) in {list, tuple, set, frozenset}:
        return f"list of {words(of_items(choice))}"
    if _is(choice, BaseModel):
        return "settings"
    return _PLAIN.get(choice) or str(getattr(choice, "__name__", choice)).lower()


def leaves(model: type[BaseModel], above: Key = (), seen: tuple[type, ...] = ()) -> Iterator[tuple[Key, FieldInfo]]:
    """Every field, groups before what is in them. `<name>` stands for a name that the operator chooses, `<n>` for a place in a list."""
    for name, info in fields(model).items():
        key = (*above, name)
        yield key, info
        inside, annotation = key, info.annotation
        if not models(annotation) and models(of_items(annotation)):
            inside = (*key, "<n>" if holds_list(annotation) else "<name>")
            annotation = of_items(annotation)
        for inner in models(annotation):
            if inner not in (*seen, model):
                yield from leaves(inner, inside, (*seen, model))
