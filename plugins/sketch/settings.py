"""The section `backends.sketch` of the configuration."""

from typing import Literal

from pydantic import Field

from chatelier import Section

SECTION = "backends.sketch"


class SketchSettings(Section):
    enabled: bool | None = Field(
        default=None,
        description="Run workflows in this process, without a ComfyUI server and without a GPU.",
        json_schema_extra={"shown": "only while no other backend is configured"},
    )
    models: Literal["any"] | list[str] = Field(
        default="any",
        description="Model names that it accepts: any, or a list of checkpoints; others as `loras/film.safetensors`.",
    )
    seconds: float = Field(
        default=0,
        ge=0,
        le=3600,
        description="Seconds that each job takes longer than it needs, to see what waiting is like.",
    )
