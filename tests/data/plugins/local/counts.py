"""A plugin that is a class; its state lives on the instance."""

from collections.abc import Callable

from chatelier import hookimpl


class Plugin:
    def __init__(self) -> None:
        self.calls = 0

    @hookimpl
    def register_kinds(self, register: Callable[[object], None]) -> None:
        self.calls += 1
        register(f"call {self.calls}")
        register("kind")
