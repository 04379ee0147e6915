"""Logs as JSON, one line an event, every control character escaped; of uvicorn and others alike."""

import logging
import sys

import structlog

TEXT_SHOWN = 20_000
PLACES = ("trial_id", "epoch", "study_id")
"""What a line of any logger may concern."""


def _shorten(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {key: _short(value) for key, value in event.items()}


def _short(value: object) -> object:
    if isinstance(value, str) and len(value) > TEXT_SHOWN:
        return f"{value[:TEXT_SHOWN]}… ({len(value)} characters)"
    if isinstance(value, dict):
        return {key: _short(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_short(inside) for inside in value]
    return value


def configure(level: int = logging.INFO) -> None:
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _shorten,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(allow=PLACES), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # json.dumps escapes all but printable ASCII: nothing in a log can move a terminal's cursor.
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
