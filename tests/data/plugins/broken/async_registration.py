from chatelier import hookimpl


@hookimpl
async def register_commands(register: object) -> None: ...
