from chatelier import hookimpl


@hookimpl
def register_comands(register: object) -> None: ...
