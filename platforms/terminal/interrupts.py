"""Ctrl-C and SIGTERM."""

import asyncio
import os
import signal
from types import TracebackType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """first: set by the first signal; whoever dealt with it clears it. A second one while it is set ends the program at once.

    left: SIGTERM came, which is not only about the job.
    """

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.left = False

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._came, number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    def _came(self, number: int) -> None:
        if self.first.is_set():
            os._exit(128 + number)
        self.left = number == signal.SIGTERM
        self.first.set()
