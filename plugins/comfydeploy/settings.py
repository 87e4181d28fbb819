"""`backends.comfydeploy` in the configuration."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from chatelier import Section

SECTION = "backends.comfydeploy"
OLD_HOST = "www.comfydeploy.com"
"""Where older accounts are: it has other calls for the same things."""


class DeploymentSettings(Section):
    """A deployment that the account does not list."""

    id: str = Field(pattern=r"^[\w-]+$", description="The deployment's id, as its page at ComfyDeploy shows it.")
    inputs: dict[str, Literal["text", "integer", "number", "boolean", "image", "video", "audio", "file"]] = Field(
        default_factory=dict,
        description="What people may set: the ids of its inputs, each with `text`, `integer`, `number`, `boolean`, `image`, "
        "`video`, `audio` or `file`.",
    )


class ComfyDeploySettings(Section):
    """A ComfyDeploy account: each workflow that is deployed there is a command, and runs there."""

    api_key: SecretStr = Field(description="The account's API key, best as `${COMFYDEPLOY_API_KEY}`.")
    base_url: str = Field(
        default="https://api.comfydeploy.com/api",
        description="Where the API answers; `https://www.comfydeploy.com/api` for older accounts.",
    )
    poll_seconds: float = Field(
        default=3.0, ge=0.05, le=300, description="Seconds between two looks at a job that runs there."
    )
    name: str = Field(default="comfydeploy", pattern=r"^\S+$", description="What the account is called here.")
    places: int = Field(
        default=8, ge=1, le=1000, description="Jobs that the account is given at a time; its machines scale with them."
    )
    tags: tuple[str, ...] = Field(
        default=(), description="Tags of this backend: a workflow that asks for one runs only where it is."
    )
    weight: float = Field(
        default=1.0, gt=0, description="Its speed beside other backends, until that was measured; 2 is twice as fast."
    )
    gpu: str = Field(
        default="",
        pattern=r"^[\w-]*$",
        description="GPU to ask for, such as `L40S` or `H100`; without one, each deployment's own.",
    )
    environments: tuple[str, ...] = Field(
        default=(),
        description="Deployments of these environments serve, such as `[production, staging]`.",
        json_schema_extra={"shown": "`production` where a workflow has one, else any"},
    )
    deployments: dict[str, DeploymentSettings] = Field(
        default_factory=dict,
        description="Deployments of an older account, which lists none: the command's name, with `id` and `inputs`.",
    )

    @field_validator("api_key")
    @classmethod
    def _there(cls, key: SecretStr) -> SecretStr:
        value = key.get_secret_value()
        if not value or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError("should be the key as ComfyDeploy shows it, under Settings > API keys")
        return key

    @field_validator("base_url")
    @classmethod
    def _plain(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("write the whole address, such as https://api.comfydeploy.com/api")
        if "@" in parts.netloc:
            raise ValueError("a key does not belong in the address; set api_key")
        if parts.query or parts.fragment:
            raise ValueError("the address of an API has no ? and no #")
        _ = parts.port  # raises ValueError when it is no number or out of range
        return url.rstrip("/").removesuffix("/run")

    @property
    def address(self) -> str:
        """Host, and port where one is given."""
        return urlsplit(self.base_url).netloc

    @property
    def is_old(self) -> bool:
        return urlsplit(self.base_url).hostname == OLD_HOST
