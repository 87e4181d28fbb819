"""What the page says → the core's language."""

import json
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from chatelier import Called, Event, FileRef, Pressed, Said, Submitted, Value

from . import words
from .people import ACCOUNT, Visitor
from .records import WebFile

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
Name = Annotated[str, Field(max_length=100)]
Text = Annotated[str, AfterValidator(lambda text: text.replace("\0", ""))]
"""What people typed. NUL shows as nothing, and not everything that a text goes through can hold it."""
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Wire(BaseModel):
    """Fields that are not known are from a newer page and mean nothing here."""

    model_config = ConfigDict(frozen=True)


class ChosenFile(Wire):
    """A file as the value of an option: what the upload answered."""

    file: str


Given = Text | bool | int | Finite | ChosenFile


class Hello(Wire):
    type: Literal["hello"]


class Say(Wire):
    type: Literal["say"]
    id: Id
    text: Text = ""
    files: tuple[str, ...] = ()
    reply_to: Name = ""


class Call(Wire):
    type: Literal["call"]
    id: Id
    command: Name
    options: dict[Name, Given] = {}
    reply_to: Name = ""


class Press(Wire):
    type: Literal["press"]
    id: Id
    payload: Annotated[str, Field(max_length=100)]
    message: Name = ""


class Submit(Wire):
    type: Literal["submit"]
    id: Id
    form: Name
    values: dict[Name, Given] = {}


class Complete(Wire):
    """n: comes back with the answer, so that a late one is known as such."""

    type: Literal["complete"]
    n: int
    command: Name
    option: Name = ""
    typed: Annotated[str, Field(max_length=1000)] = ""


class Earlier(Wire):
    """Messages above the place that the page shows first."""

    type: Literal["earlier"]
    before: Annotated[int, Field(ge=0, le=2**53)]


Act = Say | Call | Press | Submit
"""What becomes an event."""

INCOMING: TypeAdapter[Act | Hello | Complete | Earlier] = TypeAdapter(
    Annotated[Say | Call | Press | Submit | Hello | Complete | Earlier, Field(discriminator="type")]
)


_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def refusal(text: str, error: ValidationError) -> tuple[str, str]:
    """The id in a text that could not be read, so that the page knows what was refused, and the words for the person."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return "", words.NOT_UNDERSTOOD
    found = raw.get("id") if isinstance(raw, dict) else None
    id_ = found if isinstance(found, str) and len(found) <= 64 else ""
    faults = {each["type"] for each in error.errors(include_url=False, include_context=False, include_input=False)}
    if "finite_number" in faults:
        return id_, words.NUMBER_TOO_LARGE
    # Python reads half of a pair of surrogates, pydantic does not.
    is_halved = "json_invalid" in faults and _HALF.search(text)
    return id_, words.HALF_CHARACTER if is_halved else words.NOT_UNDERSTOOD


def message_key(visitor: Visitor, act: Act) -> str:
    """The page's id made unique among all people: one person cannot take another's."""
    return f"{visitor.id}.{act.id}"


def file_refs(act: Act) -> list[str]:
    match act:
        case Say():
            return list(act.files)
        case Call():
            return [value.file for value in act.options.values() if isinstance(value, ChosenFile)]
        case Submit():
            return [value.file for value in act.values.values() if isinstance(value, ChosenFile)]
        case Press():
            return []


def answered(act: Act) -> str:
    """The key of the message that it answers, or ""."""
    return act.reply_to if isinstance(act, Say | Call) else ""


def shown_text(act: Act) -> str | None:
    """What stands in the conversation as the person's own message; None for what is no message."""
    match act:
        case Say():
            return act.text
        case Call():
            options = [f"{name}: {value}" for name, value in act.options.items() if not isinstance(value, ChosenFile)]
            return "\n".join([f"/{act.command}", *options])
        case Press() | Submit():
            return None


def event(visitor: Visitor, act: Act, files: dict[str, WebFile]) -> Event:
    """files: by the references that `act` names."""
    refs = {key: _file_ref(file) for key, file in files.items()}
    body: Said | Called | Pressed | Submitted
    match act:
        case Say():
            body = Said(text=act.text, files=tuple(refs[key] for key in act.files), reply_to=act.reply_to)
        case Call():
            body = Called(command=act.command, options=_values(act.options, refs), reply_to=act.reply_to)
        case Press():
            body = Pressed(payload=act.payload, message_id=act.message)
        case Submit():
            body = Submitted(form=act.form, values=_values(act.values, refs))
    return Event(
        keys=(message_key(visitor, act),),
        chat=visitor.chat,
        sender=visitor.handle,
        name=visitor.name,
        operator=visitor.operator,
        body=body,
    )


def _values(given: dict[str, Given], refs: dict[str, FileRef]) -> dict[str, Value]:
    return {name: refs[value.file] if isinstance(value, ChosenFile) else value for name, value in given.items()}


def _file_ref(file: WebFile) -> FileRef:
    return FileRef(platform=ACCOUNT, ref=file.key, name=file.name, mime=file.blob.mime, size=file.blob.size)
