from chatelier import hookimpl


async def _later() -> None: ...


@hookimpl
def register_commands(register: object) -> object:
    return _later()
