from chatelier import hookimpl


class Plugin:
    def __init__(self) -> None:
        raise ValueError("no paint left")

    @hookimpl
    def register_commands(self, register: object) -> None: ...
