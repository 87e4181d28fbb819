"""Logs that a test reads."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from ..log import TALKATIVE, configure


@contextmanager
def sent_to(stream: TextIO, level: str = "DEBUG") -> Iterator[None]:
    """All logs as JSON lines to this stream for a while."""
    root = logging.getLogger()
    handlers, root_level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in TALKATIVE}
    configure(level, stream=stream, pretty=False)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(root_level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
