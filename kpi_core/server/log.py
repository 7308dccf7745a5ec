"""The log: one line an event, on standard error, with nothing in it that is a secret.

Secrets are kept out twice: a field with a telling name (password, token, cookie ...) is blanked whatever it holds, and
the database password is blanked wherever its text turns up, exceptions of drivers included. What libraries log through
the standard library takes the same way out.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from kpi_core.server.settings import Settings, redacted

__all__ = ["configure"]

TELLING = re.compile(r"passw|secret|token|cookie|authorization|ticket|credential|code$", re.IGNORECASE)
LOGGERS = ("kpi_core", "apscheduler")
BLANK = "***"


def configure(settings: Settings) -> None:
    """Set up structlog and the loggers of ours and of the scheduler. Calling it again changes nothing but the level."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        Blanks(settings.database),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer()],
    )
    for name in LOGGERS:
        _send(logging.getLogger(name), formatter, settings.log_level.upper())
    logging.getLogger("apscheduler").setLevel(logging.WARNING)


class Blanks:
    """A processor that blanks secrets."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url

    def __call__(self, logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for name, value in event.items():
            if TELLING.search(name):
                event[name] = BLANK
            elif isinstance(value, str):
                event[name] = redacted(value, self._url)
        return event


def _renderer() -> structlog.typing.Processor:
    if sys.stderr.isatty():
        return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])


def _send(logger: logging.Logger, formatter: logging.Formatter, level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
