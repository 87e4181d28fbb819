from collections.abc import Generator

from chatelier import hookimpl


@hookimpl(wrapper=True)
def register_commands(register: object) -> Generator[None]:
    yield
