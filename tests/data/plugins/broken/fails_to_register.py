from collections.abc import Callable

from chatelier import OperatorMust, hookimpl


@hookimpl
def register_kinds(register: Callable[[object], None]) -> None:
    register("half of it")
    raise OperatorMust("set platforms.moon.phase")


@hookimpl
def register_commands(register: Callable[[object], None]) -> None:
    register("never asked")
