"""The worker's own log: one JSON object a line on stderr, in ASCII: no control byte reaches a console."""

import json
import logging
import sys
from datetime import UTC, datetime

TEXT_SHOWN = 20_000

_logger = logging.getLogger("tunebook.worker")
_place: dict[str, object] = {}


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _short(record.getMessage()),
            **_place,
            **{name: _short(value) for name, value in getattr(record, "fields", {}).items()},
        }
        if record.exc_info:
            line["traceback"] = _short(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


def _short(value: object) -> object:
    """A text of a person or a server has no end of its own."""
    if isinstance(value, str) and len(value) > TEXT_SHOWN:
        return f"{value[:TEXT_SHOWN]}… ({len(value)} characters)"
    return value


def configure(level: int = logging.INFO) -> None:
    """Every logger of this process, Celery's included, writes JSON lines."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [lines]
    root.setLevel(level)
    logging.captureWarnings(True)
    for chatty in ("botocore", "aiobotocore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def concern(**place: object) -> None:
    """Every later line of this process, whoever writes it, is about this trial and attempt."""
    _place.update(place)


def note(event: str, **fields: object) -> None:
    _logger.info(event, extra={"fields": fields})


def warn(event: str, **fields: object) -> None:
    _logger.warning(event, extra={"fields": fields})


def crash(event: str, **fields: object) -> None:
    """Inside an `except`: with the traceback."""
    _logger.exception(event, extra={"fields": fields})
