"""The backend `comfyui`: runs workflows on ComfyUI servers of the operator's own."""

from collections.abc import Callable

from pydantic import BaseModel

from chatelier import Backend, Settings, hookimpl

from .settings import ComfySettings

__all__ = ["ComfySettings", "Plugin"]


class Plugin:
    """One backend a configured server."""

    @hookimpl
    def register_settings(self, register: Callable[[str, type[BaseModel]], None]) -> None:
        register("backends.comfyui", ComfySettings)

    @hookimpl
    def register_backends(self, register: Callable[[Backend], None], settings: Settings) -> None:
        servers = settings.of("backends.comfyui", ComfySettings).servers
        if servers:
            from .server import ComfyServer  # noqa: PLC0415 - aiohttp loads only where there is a server to talk to

            for server in servers:
                register(ComfyServer(server))
