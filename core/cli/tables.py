"""Tables on the command line."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDE = 500
"""Columns where nobody looks at a terminal: a program that reads it wants each row on one line."""


def write_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """To stdout. Cells are plain text, whatever they look like."""
    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    console = console if console.is_terminal else Console(width=WIDE)
    console.print(table)
