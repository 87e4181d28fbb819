"""The sketch's hooks."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import typer
from pydantic import BaseModel

from chatelier import Backend, hookimpl

from .cli import app
from .settings import SECTION, SketchSettings

Model = TypeVar("Model", bound=BaseModel)


class Settings(Protocol):
    """What this plugin reads of the gateway's settings."""

    @property
    def data_dir(self) -> Path: ...

    def of(self, section: str, model: type[Model]) -> Model: ...


class Plugin:
    @hookimpl
    def register_settings(self, register: Callable[[str, type[BaseModel]], None]) -> None:
        register(SECTION, SketchSettings)

    @hookimpl
    def register_backends(self, register: Callable[[Backend], None], settings: Settings) -> None:
        declared = settings.of(SECTION, SketchSettings)
        if declared.enabled:
            from .backend import SketchBackend  # noqa: PLC0415 - numpy loads only when the sketch is wanted

            register(SketchBackend(settings.data_dir / "sketch", declared))

    @hookimpl
    def register_cli(self, register: Callable[[str, typer.Typer], None]) -> None:
        register("", app)
