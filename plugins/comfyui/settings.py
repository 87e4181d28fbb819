"""`backends.comfyui` in the configuration."""

from collections import Counter
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from chatelier import Section


class ServerSettings(Section):
    """One ComfyUI server."""

    url: str = Field(description="Where the server answers, such as `http://127.0.0.1:8188`.")
    name: str = Field(
        default="", pattern=r"^\S*$", description="What it is called here. Without one: `comfyui:<host>:<port>`."
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="Sent with every request, such as `Authorization` for a proxy before it."
    )
    verify_tls: bool = Field(default=True, description="Whether the certificate of an `https` server is checked.")

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("write the whole address, such as http://127.0.0.1:8188")
        if "@" in parts.netloc:
            raise ValueError("a password does not belong in the address; set the Authorization header in headers")
        if parts.query or parts.fragment:
            raise ValueError("the address of a server has no ? and no #")
        _ = parts.port  # raises ValueError when it is no number or out of range
        return url.rstrip("/")

    @property
    def address(self) -> str:
        """Host and port."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"

    @property
    def called(self) -> str:
        """The name of its backend."""
        return self.name or f"comfyui:{self.address}"

    @property
    def plain_headers(self) -> dict[str, str]:
        """With the secrets, for the wire."""
        return {name: value.get_secret_value() for name, value in self.headers.items()}


class ComfySettings(Section):
    """ComfyUI servers that run workflows."""

    servers: tuple[ServerSettings, ...] = Field(default=(), description="The servers, each with its own `url`.")

    @model_validator(mode="after")
    def _once(self) -> Self:
        twice = [name for name, times in Counter(server.called for server in self.servers).items() if times > 1]
        if twice:
            raise ValueError(f"two servers are called {twice[0]}; give one of them another name")
        return self
