"""Logs: one set-up for structlog and the standard library's logging, on stderr.

For people on a terminal, or one JSON document a line for whatever collects them.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import Processor

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "console", "json"]

_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters: escape sequences can rewrite what a terminal shows
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"  # marks that hide or reorder text
)
_UNSAFE_IN_TRACEBACKS: Final = re.compile(f"(?![\n\t]){_UNSAFE.pattern}")
_MANY_LINES: Final = ("exception", "stack")

CHATTY: Final = ("asyncio", "aiohttp.access")
"""Loggers whose INFO is noise: the server writes one line of its own for each request."""


def set_up_logs(level: Level = "info", format: Format = "auto", stream: TextIO | None = None) -> None:  # noqa: A002
    """Send every log of this process to `stream` (stderr): the events of `level` and above.

    `auto` means `console` on a terminal and `json` elsewhere. Calling it again replaces the set-up before.
    """
    target = stream if stream is not None else sys.stderr
    on_terminal = target.isatty()
    to_people = format == "console" or (format == "auto" and on_terminal)
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    _route_standard_logging(target, number, _to_people(colours=on_terminal) if to_people else _to_programs())


def escape(text: str) -> str:
    """`text`, in which what could steer or fool a terminal is spelt out as Python would spell it."""
    return _UNSAFE.sub(_spelt_out, text)


def _spelt_out(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _to_people(*, colours: bool) -> list[Processor]:
    console = structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)
    return [structlog.processors.format_exc_info, _escape_event, console]


def _to_programs() -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _route_standard_logging(target: TextIO, level: int, final: list[Processor]) -> None:
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)
    # A log that can't be written (the terminal is gone, the disk is full) must not fail the work it tells of.
    logging.raiseExceptions = False


def _escape_event(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return {escape(key): _escaped(key, value) for key, value in event.items()}


def _escaped(key: str, value: Any) -> Any:
    if not isinstance(value, str):
        # Everything else is shown by its repr, which escapes; an object's own repr may not.
        return value if isinstance(value, int | float | None) else escape(repr(value))
    if key in _MANY_LINES:
        return _UNSAFE_IN_TRACEBACKS.sub(_spelt_out, value)
    return escape(value)
