"""One line for every event, with a machine name: JSON for programs, columns for people. No secrets."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from api.settings import Settings, at_terminal

_SECRET = ("token", "secret", "password", "pin", "authorization", "cookie", "digits", "key")


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in event:
        if any(part in _SECRET for part in name.lower().split("_")):
            event[name] = "***"
    return event


def start_logging(settings: Settings) -> None:
    """Send our events and those of the libraries to stderr in one form. Safe to repeat."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact,
    ]
    as_console = settings.log_format == "console" or (settings.log_format == "auto" and at_terminal())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=at_terminal())
        if as_console
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    out = logging.StreamHandler(sys.stderr)
    out.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [out]
    root.setLevel(settings.log_level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        library = logging.getLogger(name)
        library.handlers = []
        library.propagate = True
    # What is routine for them is no event of ours.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic", "apscheduler", "httpx", "aiosqlite"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; call it with the event's machine name and facts: `log.info("site-created", code="qt01")`."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound
