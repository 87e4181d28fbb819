"""A plugin that is a module."""

from collections.abc import Callable

from pydantic import BaseModel

from chatelier import hookimpl

__version__ = "3.1"


class Greeting(BaseModel):
    words: str = "hello"


@hookimpl
def register_settings(register: Callable[[str, type[BaseModel]], None]) -> None:
    register("greets", Greeting)
