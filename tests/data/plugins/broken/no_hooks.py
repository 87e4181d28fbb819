def register_commands(register: object) -> None:
    """Somebody forgot the marker."""
