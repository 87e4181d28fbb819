"""The default store: one SQLite file, for one machine (never a network file system), for any number of processes on it."""

from collections.abc import Callable

from chatelier import StoreOpener, hookimpl

from .store import open_sqlite


class Plugin:
    """Offers `sqlite:///absolute/path.db` and `sqlite:relative.db`."""

    @hookimpl
    def register_stores(self, register: Callable[[str, StoreOpener], None]) -> None:
        register("sqlite", open_sqlite)


__all__ = ["Plugin", "open_sqlite"]
