"""Structured logs: one line an event, with session, turn and epoch, never with spoken text."""

import logging
import sys

import structlog


def configure(service: str, style: str = "console") -> None:
    """Set up logging for the process; `style` is `console` (for people) or `json`."""
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if style == "json":
        # Not dict_tracebacks: it adds the local variables, and those hold what was said.
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        processors.append(structlog.dev.ConsoleRenderer(colors=False, pad_level=False))
    level = structlog.make_filtering_bound_logger(logging.INFO)
    structlog.configure(processors, level, logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    structlog.contextvars.bind_contextvars(service=service)
    # Libraries use the standard module; warnings of theirs are worth a line, chatter is not.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger for one module."""
    return structlog.get_logger(module=name)  # type: ignore[no-any-return]
