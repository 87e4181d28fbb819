"""`chatelier`: the console script."""

from ..errors import ChatelierError
from .commands import program


def main() -> None:
    """An error of ours ends it with its words and no traceback."""
    try:
        program()
    except ChatelierError as error:
        from .context import fail

        fail(error)
