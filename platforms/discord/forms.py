"""A form as a modal, and what comes back. A modal has five places."""

from collections.abc import Mapping, Sequence
from typing import Any

from chatelier import FileRef, Form, Option, Submitted, Value

from . import words
from .commands import FILES
from .inbound import file_of
from .limits import CHOICE, CHOICES, MODAL_FIELDS, MODAL_LABEL, MODAL_TEXT, MODAL_TITLE

LABEL, TEXT_INPUT, SELECT, UPLOAD = 18, 4, 3, 19
"""Types of components."""
SHORT, PARAGRAPH = 1, 2
LONG_TEXT = 200
"""Characters from which on a text has more than one line."""


def modal(form: Form) -> dict[str, Any]:
    return {
        "custom_id": form.key,
        "title": form.title[:MODAL_TITLE] or form.key[:MODAL_TITLE],
        "components": [_labelled(field, form.values.get(field.name, field.default)) for field in shown(form)],
    }


def shown(form: Form) -> Sequence[Option]:
    """The five that matter most, in their order: what is required and not known, then what is not for experts."""

    def weight(field: Option) -> tuple[bool, bool]:
        return not (field.required and field.name not in form.values), field.advanced

    chosen = sorted(form.fields, key=weight)[:MODAL_FIELDS]
    return [field for field in form.fields if field in chosen]


def first_of(form: Form) -> str:
    """What is asked for before all else, as people read it."""
    field = next((each for each in form.fields if each.required and each.name not in form.values), form.fields[0])
    return field.label or field.name


def filled(data: Mapping[str, Any], account: str) -> Submitted:
    return Submitted(form=str(data.get("custom_id", "")), values=submitted(data, account))


def submitted(data: Mapping[str, Any], account: str) -> dict[str, Value]:
    """What was filled in, by name. A place that was left empty is no value, unless it is a text: then it is empty."""
    found: dict[str, Value] = {}
    files = data.get("resolved", {}).get("attachments", {})
    for row in data.get("components", ()):
        for inner in row.get("components", ()) or (row.get("component"),):
            if inner:
                found |= _value(inner, files, account)
    return found


def _value(inner: Mapping[str, Any], files: Mapping[str, Any], account: str) -> dict[str, Value]:
    name = str(inner.get("custom_id", "")).partition(".")[2]
    if inner.get("type") == UPLOAD:
        given = [files[id_] for id_ in inner.get("values", ()) if id_ in files]
        uploaded: FileRef | None = file_of(given[0], account) if given else None
        return {name: uploaded} if uploaded else {}
    if "values" in inner:
        return {name: inner["values"][0]} if inner["values"] else {}
    value, is_text = str(inner.get("value", "")), inner.get("custom_id", "").startswith("text.")
    return {name: value} if value or is_text else {}


def _labelled(field: Option, value: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": LABEL,
        "label": (field.label or field.name)[:MODAL_LABEL],
        "component": _component(field, value),
    }
    about = _about(field)
    return {**made, "description": about} if about else made


def _about(field: Option) -> str:
    """In a line of a hundred: what it is, and between which numbers."""
    limits = ""
    if field.type in ("integer", "number") and field.minimum is not None and field.maximum is not None:
        limits = f"{field.minimum:g} to {field.maximum:g}"
    return " · ".join(part for part in (" ".join(field.description.split()), limits) if part)[:CHOICE]


def _component(field: Option, value: Any) -> dict[str, Any]:
    if field.type in FILES:
        return {"type": UPLOAD, "custom_id": f"file.{field.name}", "min_values": 0, "max_values": 1, "required": False}
    if field.type == "boolean":
        return _select(
            field, [("true", words.YES), ("false", words.NO)], "true" if value in (True, "true") else "false"
        )
    if field.type == "choice" and 0 < len(field.choices) <= CHOICES:
        known = [(each.value[:CHOICE], (each.label or each.value)[:CHOICE]) for each in field.choices]
        return _select(field, known, str(value) if value is not None else "")
    longest = min(field.max_length, MODAL_TEXT) if field.type == "text" else CHOICE
    made: dict[str, Any] = {
        "type": TEXT_INPUT,
        "custom_id": f"{'text' if field.type == 'text' else 'other'}.{field.name}",
        "style": PARAGRAPH if field.type == "text" and longest > LONG_TEXT else SHORT,
        "required": field.required,
        "max_length": longest,
    }
    text = "" if value is None else str(value)
    return {**made, "value": text[:longest]} if text else made


def _select(field: Option, known: Sequence[tuple[str, str]], chosen: str) -> dict[str, Any]:
    return {
        "type": SELECT,
        "custom_id": f"choice.{field.name}",
        "required": field.required,
        "min_values": 1 if field.required else 0,
        "options": [{"value": value, "label": label, "default": value == chosen} for value, label in known],
    }
