"""`platforms.web` in the configuration."""

from pydantic import BaseModel, ConfigDict, Field


class WebSettings(BaseModel):
    """The chat page in the browser."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=True, description="Whether the chat page is there at all.")
    upload_bytes: int = Field(default=50_000_000, ge=1, description="The largest file that a person may send.")
    history: int = Field(default=200, ge=1, le=1000, description="How many messages the page shows when it opens.")
