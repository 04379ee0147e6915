"""The worker's own log: one JSON object a line on stderr, in ASCII: no control byte reaches a console."""

import json
import logging
import sys
from datetime import UTC, datetime

_logger = logging.getLogger("tunebook.worker")


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(level: int = logging.INFO) -> None:
    """Every logger of this process, Celery's included, writes JSON lines."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [lines]
    root.setLevel(level)
    logging.captureWarnings(True)
    for chatty in ("httpx", "httpcore", "botocore", "aiobotocore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def note(event: str, **fields: object) -> None:
    _logger.info(event, extra={"fields": fields})


def warn(event: str, **fields: object) -> None:
    _logger.warning(event, extra={"fields": fields})


def crash(event: str, **fields: object) -> None:
    """Inside an `except`: with the traceback."""
    _logger.exception(event, extra={"fields": fields})
