"""Structured logs: pretty on a terminal, JSON lines otherwise, with secrets taken out of whatever is logged."""

import json
import logging
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, TextIO
from urllib.parse import quote

import structlog
from structlog.contextvars import bound_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "***"
SHORTEST = 4
"""Characters of the shortest secret that is looked for in texts: a shorter one would be found in every other word."""

context = bound_contextvars
"""`with context(event=…, order=…, job=…, attempt=…):` puts these into each line that is logged inside."""

_SECRET_KEY = re.compile(
    r"(^|[._-])(token|secret|password|passwd|authorization|cookie|api[_-]?key)$|^secret[._]", re.IGNORECASE
)
_SECRET_TEXT = (
    (re.compile(r"\bbot\d+:[\w-]+"), f"bot{HIDDEN}"),
    (re.compile(r"([?&;][\w.-]*(?:key|signature|sig)=)[^&;\s\"'\\]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\b([\w.-]*(?:token|secret|password|api_?key)=)[^&;\s\"'\\]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"(://[^\s/:@\"']*:)[^\s/@\"']+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"\b(Bearer|Basic|Bot) [\w.~+/=-]{8,}"), rf"\1 {HIDDEN}"),
)
TALKATIVE = ("httpx", "httpcore", "uvicorn", "websockets", "PIL", "asyncio")
"""Loggers that are heard from WARNING on: httpx, for one, says every URL below it."""


class Secrets:
    """Values that must never be written, in each spelling that a log line may have them in."""

    def __init__(self) -> None:
        self._spellings: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, values: Iterable[str]) -> None:
        for value in values:
            if len(value) >= SHORTEST:
                plain = {value, quote(value, safe=""), repr(value)[1:-1]}
                self._spellings |= plain | {json.dumps(text, ensure_ascii=False)[1:-1] for text in plain}
        longest_first = sorted(self._spellings, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def take_out(self, text: str) -> str:
        return self._pattern.sub(HIDDEN, text) if self._pattern else text


_secrets = Secrets()


def hide(values: Iterable[str]) -> None:
    """Never write these values from now on. `Settings.secrets()` gives those of the configuration."""
    _secrets.add(values)


def redact(text: str) -> str:
    """The text without known secrets, bot tokens, passwords in URLs and tokens in queries."""
    text = _secrets.take_out(text)
    for pattern, instead in _SECRET_TEXT:
        text = pattern.sub(instead, text)
    return text


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose lines carry `name`: `log.info("a short fact", key=value)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def configure(level: str = "INFO", *, stream: TextIO | None = None, pretty: bool | None = None) -> None:
    """Send all logs, the standard library's too, to `stream` (stderr). pretty: None for what the stream is."""
    stream = stream or sys.stderr
    pretty = stream.isatty() if pretty is None else pretty
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    root = logging.getLogger()
    root.handlers[:] = [_handler(stream, pretty=pretty)]
    root.setLevel(level)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _handler(stream: TextIO, *, pretty: bool) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        _Formatter(
            foreign_pre_chain=_common(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _hide_by_name,
                _pretty() if pretty else structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
            ],
        )
    )
    return handler


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Redacts the finished line, whatever it was made of: message, values, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _common() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _pretty() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)


def _hide_by_name(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    return _without_secrets(line)


def _without_secrets(values: MutableMapping[str, Any]) -> dict[str, Any]:
    return {
        name: HIDDEN if value and _SECRET_KEY.search(str(name)) else _inside(value) for name, value in values.items()
    }


def _inside(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _without_secrets(dict(value))
    if isinstance(value, list | tuple):
        return [_inside(item) for item in value]
    return value
