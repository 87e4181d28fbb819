"""`platforms.web` in the configuration."""

from pydantic import Field

from chatelier import Section


class WebSettings(Section):
    """The chat page in the browser."""

    enabled: bool = Field(default=True, description="Whether the chat page is there at all.")
    upload_bytes: int = Field(default=50_000_000, ge=1, description="The largest file that a person may send.")
    waiting_files: int = Field(
        default=40, ge=1, le=1000, description="How many files a person may have added and not sent yet."
    )
    waiting_bytes: int = Field(
        default=200_000_000,
        ge=1,
        description="How large these may be together. One file alone may always have `upload_bytes`.",
    )
    history: int = Field(default=200, ge=1, le=1000, description="How many messages the page shows when it opens.")
