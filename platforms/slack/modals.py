"""A form as a modal, and what was filled in: https://docs.slack.dev/surfaces/modals."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chatelier import FILE_TYPES, ChatRef, Choice, FileRef, Form, Option, Published, Said, Value, shorten

from . import words
from .limits import ALBUM, FIELD_LABEL, HINT, INPUT, MODAL_BLOCKS, OPTION_TEXT, OPTION_VALUE, OPTIONS, TITLE

Wire = dict[str, Any]
CALLBACK, USE, FIELD = "form", "use_as_input", "value"
COMMAND, WORDS = "command", "words"
NAME = 60
"""Characters of a file's name that a modal keeps."""
TYPES: Mapping[str, tuple[str, ...]] = {
    "image": ("png", "jpg", "jpeg", "gif", "webp", "heic"),
    "video": ("mp4", "mov", "webm", "gif"),
    "audio": ("mp3", "m4a", "wav", "ogg", "flac"),
}


def modal(form: Form, chat: ChatRef) -> Wire:
    """What `views.open` takes. It knows by itself where it was asked for, so that nothing else has to be kept."""
    origin = {"chat": chat.chat, "thread": chat.thread, "direct": chat.direct, "form": form.key}
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "title": _words(form.title, TITLE),
        "submit": _words(words.SUBMIT, TITLE),
        "close": _words(words.CLOSE, TITLE),
        "private_metadata": json.dumps(origin),
        "blocks": [_field(option, form.values.get(option.name)) for option in form.fields[:MODAL_BLOCKS]],
    }


def use(files: Sequence[FileRef], commands: Sequence[Published]) -> Wire:
    """What is to be made of these files: a command that takes some, and the words behind it."""
    takers = [each for each in commands if any(option.type in FILE_TYPES for option in each.options)]
    options = [
        {"text": _words(f"{each.name}: {each.summary}", OPTION_TEXT), "value": each.name} for each in takers[:OPTIONS]
    ]
    kept = [[each.ref, each.name[-NAME:], each.mime, each.size] for each in files[:ALBUM]]
    return {
        "type": "modal",
        "callback_id": USE,
        "title": _words(words.USE_AS_INPUT, TITLE),
        "submit": _words(words.SUBMIT, TITLE),
        "close": _words(words.CLOSE, TITLE),
        "private_metadata": json.dumps(kept),
        "blocks": [
            {
                "type": "input",
                "block_id": COMMAND,
                "label": _words(words.USE_COMMAND, FIELD_LABEL),
                "element": {"type": "static_select", "action_id": FIELD, "options": options},
            },
            {
                "type": "input",
                "block_id": WORDS,
                "optional": True,
                "label": _words(words.USE_WORDS, FIELD_LABEL),
                "element": {"type": "plain_text_input", "action_id": FIELD, "max_length": INPUT},
            },
        ],
    }


def used(view: Mapping[str, Any], account: str) -> Said:
    """As if its person had typed the command, with the files beside it."""
    files = tuple(
        FileRef(platform=account, ref=ref, name=name, mime=mime, size=size)
        for ref, name, mime, size in json.loads(view["private_metadata"])
    )
    given = values(view, account)
    return Said(text=f"/{given[COMMAND]} {given.get(WORDS, '')}".strip(), files=files)


def _field(option: Option, value: str | float | None) -> Wire:
    given = option.default if value is None else value
    block: Wire = {
        "type": "input",
        "block_id": option.name,
        "label": _words(option.label or option.name, FIELD_LABEL),
        "optional": not option.required,
        "element": {**_element(option, given), "action_id": FIELD},
    }
    if option.description:
        block["hint"] = _words(option.description, HINT)
    return block


def _element(option: Option, given: str | float | None) -> Wire:
    if option.type in FILE_TYPES:
        kinds = TYPES.get(option.type)
        return {"type": "file_input", "max_files": 1, **({"filetypes": list(kinds)} if kinds else {})}
    if option.type == "boolean":
        return _switch(is_on=bool(given))
    if option.type == "choice" and _can_choose(option.choices):
        return _select(option.choices, given)
    if option.type in {"integer", "number"}:
        return _number(option, given)
    longest = min(option.max_length, INPUT)
    element: Wire = {"type": "plain_text_input", "multiline": option.rest, "max_length": longest}
    return element | ({"initial_value": str(given)[:longest]} if given not in {None, ""} else {})


def _number(option: Option, given: str | float | None) -> Wire:
    element: Wire = {"type": "number_input", "is_decimal_allowed": option.type == "number"}
    for name, limit in (("min_value", option.minimum), ("max_value", option.maximum), ("initial_value", given)):
        if limit is not None and limit != "":
            whole = option.type == "integer" and not isinstance(limit, str)
            element[name] = str(int(limit)) if whole else str(limit)
    return element


def _switch(*, is_on: bool) -> Wire:
    option = {"text": _words(words.YES, OPTION_TEXT), "value": "true"}
    return {"type": "checkboxes", "options": [option], **({"initial_options": [option]} if is_on else {})}


def _can_choose(choices: tuple[Choice, ...]) -> bool:
    """Whether Slack can hold them: a hundred groups of a hundred."""
    return 0 < len(choices) <= OPTIONS * OPTIONS and all(len(each.value) <= OPTION_VALUE for each in choices)


def _select(choices: tuple[Choice, ...], given: str | float | None) -> Wire:
    options = [{"text": _words(each.label or each.value, OPTION_TEXT), "value": each.value} for each in choices]
    element: Wire = {"type": "static_select"}
    if len(options) <= OPTIONS:
        element["options"] = options
    else:
        element["option_groups"] = [
            {"label": _words(f"{start + 1}-{start + len(part)}", OPTION_TEXT), "options": part}
            for start in range(0, len(options), OPTIONS)
            if (part := options[start : start + OPTIONS])
        ]
    chosen = next((each for each in options if each["value"] == str(given)), None)
    return element | ({"initial_option": chosen} if chosen else {})


def _words(text: str, most: int) -> Wire:
    return {"type": "plain_text", "text": shorten(text or " ", most), "emoji": False}


# --- what comes back


def origin(view: Mapping[str, Any], account: str) -> tuple[ChatRef, str]:
    """Where the form was asked for, and its key. Raises ValueError, KeyError for a view that is none of ours."""
    kept = json.loads(view["private_metadata"])
    chat = ChatRef(platform=account, chat=kept["chat"], thread=kept["thread"], direct=kept["direct"])
    return chat, str(kept["form"])


def values(view: Mapping[str, Any], account: str) -> dict[str, Value]:
    """By option. What was filled in and is empty now is "", what never was is left out."""
    before = {block["block_id"]: block["element"] for block in view["blocks"] if block.get("type") == "input"}
    found: dict[str, Value] = {}
    for name, state in view["state"]["values"].items():
        for value in _given(state[FIELD], account):
            found[name] = value
        if name not in found and before.get(name, {}).keys() & {"initial_value", "initial_option"}:
            found[name] = ""
    return found


def _given(state: Mapping[str, Any], account: str) -> Iterator[Value]:
    """One value, or none."""
    match state["type"]:
        case "checkboxes":
            yield bool(state.get("selected_options"))
        case "static_select":
            if state.get("selected_option"):
                yield str(state["selected_option"]["value"])
        case "file_input":
            for file in (state.get("files") or ())[:1]:
                yield FileRef(
                    platform=account,
                    ref=file["id"],
                    name=file.get("name") or "file",
                    mime=file.get("mimetype") or "",
                    size=int(file.get("size") or 0),
                )
        case _:
            if state.get("value") not in {None, ""}:
                yield str(state["value"])
