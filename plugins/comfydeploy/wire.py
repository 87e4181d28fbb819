"""ComfyDeploy's JSON, as far as it is used. Its own client's strict model fails on real replies: nothing here fails on a field.

A field that is missing, null or of another type counts as not said; numbers may be texts; newer fields are let through.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

W = TypeVar("W", bound="Wire")
Phase = Literal["waiting", "running", "ended"]

WAITING = frozenset({"not-started", "queued"})
RUNNING = frozenset({"started", "running", "uploading"})
TERMINAL = frozenset({"success", "failed", "timeout", "cancelled"})
RESULTS = ("outputs", "output", "result", "images", "files", "imageUrl", "videoUrl")
"""Where results were seen: the first is today's, the others are of older accounts and of wrappers around them."""

MILLISECONDS = 100_000_000_000
"""A timestamp above is in milliseconds: in seconds it would be the year 5138."""


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _moment(value: Any) -> datetime | None:
    """A text without a zone is UTC."""
    try:
        if isinstance(value, str):
            said = datetime.fromisoformat(value)
            return said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)
        number = _number(value)
        seconds = number / 1000 if number is not None and number > MILLISECONDS else number
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _fields(value: Any) -> dict[str, Any] | None:
    return {str(key): each for key, each in value.items()} if isinstance(value, Mapping) else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(each) for each in value if _text(each)) if isinstance(value, list | tuple) else ()


Text = Annotated[str, BeforeValidator(_text)]
Number = Annotated[float | None, BeforeValidator(_number)]
Moment = Annotated[datetime | None, BeforeValidator(_moment)]
Fields = Annotated[dict[str, Any] | None, BeforeValidator(_fields)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]


class Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class InputType(Wire):
    """One input of a deployment."""

    input_id: str = Field(min_length=1)
    type: Text = ""
    class_type: Text = ""
    default_value: Any = None
    min_value: Number = None
    max_value: Number = None
    enum_options: Texts = ()
    display_name: Text = ""
    description: Text = ""


class OutputType(Wire):
    class_type: str = Field(min_length=1)


def _inputs(value: Any) -> tuple[InputType, ...]:
    return parsed(InputType, value)


def _outputs(value: Any) -> tuple[OutputType, ...]:
    return parsed(OutputType, value)


class Deployment(Wire):
    """workflow: what it deploys, as far as it is told: its name. run_timeout: seconds."""

    id: str = Field(min_length=1)
    workflow_id: Text = ""
    workflow: Fields = None
    environment: Text = ""
    description: Text = ""
    gpu: Text = ""
    concurrency_limit: Number = None
    run_timeout: Number = None
    updated_at: Moment = None
    input_types: Annotated[tuple[InputType, ...], BeforeValidator(_inputs)] = ()
    output_types: Annotated[tuple[OutputType, ...], BeforeValidator(_outputs)] = ()

    @property
    def called(self) -> str:
        """What it deploys, by its name."""
        return _text((self.workflow or {}).get("name"))


class Queued(Wire):
    run_id: str = Field(min_length=1)


class Uploaded(Wire):
    file_url: str = Field(min_length=1)


class OldUpload(Wire):
    """Where to put a file, and where it is then."""

    upload_url: str = Field(min_length=1)
    download_url: str = Field(min_length=1)


class Run(Wire):
    """workflow_inputs, webhook: as it was queued; None and "" where they are not told. results: of any shape."""

    id: Text = Field(default="", validation_alias=AliasChoices("id", "run_id"))
    status: Text = ""
    created_at: Moment = None
    started_at: Moment = None
    ended_at: Moment = None
    live_status: Text = ""
    progress: Number = None
    queue_position: Number = None
    workflow_inputs: Fields = None
    webhook: Text = ""
    results: Any = None

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, said: Any) -> Any:
        if not isinstance(said, Mapping):
            return said
        first, *others = RESULTS
        loose = {key: said[key] for key in others if said.get(key)}
        return {**said, "results": said.get(first) or loose}

    @property
    def state(self) -> str:
        said = self.status.strip().lower()
        return "cancelled" if said == "canceled" else said

    @property
    def phase(self) -> Phase:
        """A status of a later version counts as running once the run has begun."""
        if self.state in TERMINAL:
            return "ended"
        return "waiting" if self.state in WAITING or (not self.started_at and self.state not in RUNNING) else "running"

    @property
    def fraction(self) -> float | None:
        """0 to 1; a number above 1 is in per cent."""
        if self.progress is None or self.progress < 0:
            return None
        return min(1.0, self.progress / 100 if self.progress > 1 else self.progress)


def items(answer: Any) -> list[Any]:
    """A list, or the first one in an object around it (`{"data": […], "total": 2}`)."""
    if isinstance(answer, Mapping):
        answer = next((value for value in answer.values() if isinstance(value, list)), [])
    return list(answer) if isinstance(answer, list | tuple) else []


def parsed(model: type[W], answer: Any) -> tuple[W, ...]:
    """Without those that cannot be used at all."""
    found = []
    for item in items(answer):
        try:
            found.append(model.model_validate(item))
        except ValidationError:
            continue
    return tuple(found)
