"""The sketch's hooks."""

from collections.abc import Callable

from pydantic import BaseModel

from chatelier import Backend, Settings, hookimpl

from .settings import SECTION, SketchSettings


class Plugin:
    @hookimpl
    def register_settings(self, register: Callable[[str, type[BaseModel]], None]) -> None:
        register(SECTION, SketchSettings)

    @hookimpl
    def register_backends(self, register: Callable[[Backend], None], settings: Settings) -> None:
        declared = settings.of(SECTION, SketchSettings)
        # Where a real server is configured, nobody wants a sketch instead of its picture.
        wanted = not settings.beside(SECTION) if declared.enabled is None else declared.enabled
        if wanted:
            from .backend import SketchBackend  # noqa: PLC0415 - numpy loads only when the sketch is wanted

            register(SketchBackend(settings.data_dir / "sketch", declared))
