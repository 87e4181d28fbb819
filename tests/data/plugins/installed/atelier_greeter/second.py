from collections.abc import Callable

from chatelier import hookimpl


class Plugin:
    @hookimpl
    def register_kinds(self, register: Callable[[object], None]) -> None:
        register("installed")
