"""The backend `comfyui`: runs workflows on ComfyUI servers of the operator's own."""

from collections.abc import Callable

from pydantic import BaseModel

from chatelier import Backend, Settings, hookimpl

from .server import ComfyServer
from .settings import ComfySettings

__all__ = ["ComfyServer", "ComfySettings", "Plugin"]


class Plugin:
    """One backend a configured server."""

    @hookimpl
    def register_settings(self, register: Callable[[str, type[BaseModel]], None]) -> None:
        register("backends.comfyui", ComfySettings)

    @hookimpl
    def register_backends(self, register: Callable[[Backend], None], settings: Settings) -> None:
        for server in settings.of("backends.comfyui", ComfySettings).servers:
            register(ComfyServer(server))
