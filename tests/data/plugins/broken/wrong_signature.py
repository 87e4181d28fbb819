from chatelier import hookimpl


@hookimpl
def register_commands(register: object, weather: object) -> None: ...
