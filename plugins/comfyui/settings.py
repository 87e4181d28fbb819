"""`backends.comfyui` in the configuration."""

import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, FilePath, SecretStr, field_validator, model_validator

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
    ca_file: FilePath | None = Field(
        default=None, description="Certificates, in PEM, of who else may have signed the server's, such as your own CA."
    )
    client_certificate: FilePath | None = Field(
        default=None, description="A certificate, in PEM, for a server that asks who calls."
    )
    client_key: FilePath | None = Field(
        default=None, description="Its key, in PEM and without a password, where it is not in the same file."
    )
    tags: tuple[str, ...] = Field(default=(), description="What workflows may ask for, such as `big` or `video`.")
    weight: float = Field(
        default=1.0, gt=0, description="Its speed beside the other servers', used until it was measured."
    )
    places: int = Field(
        default=2, ge=1, description="Jobs that it is given at a time: one runs, the others are queued behind it."
    )

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

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.client_key and not self.client_certificate:
            raise ValueError("client_key needs its client_certificate")
        if urlsplit(self.url).scheme == "http":
            if self.ca_file or self.client_certificate:
                raise ValueError("certificates are used with https only; correct the url")
        else:
            self.tls()
        return self

    def tls(self) -> ssl.SSLContext | None:
        """None for a server without TLS. Reads files. Raises ValueError for those that are no certificate or no key of it."""
        if urlsplit(self.url).scheme == "http":
            return None
        context = ssl.create_default_context()
        if not self.verify_tls:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.ca_file:
            with _readable("ca_file holds no certificates in PEM"):
                context.load_verify_locations(self.ca_file)
        if self.client_certificate:
            with _readable(
                "client_certificate and client_key are no certificate in PEM and its key without a password"
            ):
                # Without a password of ours it would be asked for on the terminal.
                context.load_cert_chain(self.client_certificate, self.client_key, password=b"")
        return context

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


@contextmanager
def _readable(otherwise: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(otherwise) from error
