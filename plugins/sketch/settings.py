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
    tags: tuple[str, ...] = Field(default=(), description="What workflows may ask for, such as `draft`.")
    weight: float = Field(
        default=1.0, gt=0, description="Its speed beside other backends', used until it was measured."
    )
    places: int = Field(
        default=2, ge=1, description="Jobs that it is given at a time: one runs, the others are queued behind it."
    )
