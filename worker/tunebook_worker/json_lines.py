"""Metrics that a job prints instead of importing the SDK: one `{"step": 10, "valid/error": 0.12}` a line."""

import json
import math
from typing import Any

from tunebook.points import MAX_NAME_LENGTH, MAX_STEP, encode

LINE_LIMIT_BYTES = 64 << 10
_NONFINITE = frozenset({"NaN", "Infinity", "-Infinity"})

Value = float | str


def parse(line: bytes) -> dict[str, Any] | None:
    """The report record that this line is, or None for ordinary output.

    "step" is a whole number ≥ 0 and every other member a number, "NaN", "Infinity", "-Infinity", or null,
    which is how JavaScript prints NaN. 10.0 counts as whole: Lua prints steps so.
    """
    if not line.lstrip().startswith(b"{") or len(line) > LINE_LIMIT_BYTES:
        return None
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    step = _step(content.pop("step", None))
    values = {name: _value(value) for name, value in content.items() if _is_name(name)}
    if step is None or not values or len(values) < len(content) or None in values.values():
        return None
    return {"type": "report", "step": step, "values": values}


def _step(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_STEP:
        return None
    return value


def _value(value: object) -> Value | None:
    if value is None:
        return "NaN"
    if isinstance(value, str):
        return value if value in _NONFINITE else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return encode(float(value))
    except OverflowError:
        return encode(math.inf if value > 0 else -math.inf)


def _is_name(name: str) -> bool:
    return 1 <= len(name) <= MAX_NAME_LENGTH and name.isprintable()


class Lines:
    """Cuts a byte stream into lines; one longer than the limit is skipped whole."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def feed(self, content: bytes) -> list[bytes]:
        *lines, rest = (self._rest + content).split(b"\n")
        if self._skipping and lines:
            lines, self._skipping = lines[1:], False
        if self._skipping or len(rest) > LINE_LIMIT_BYTES:
            rest, self._skipping = b"", True
        self._rest = rest
        return lines

    def end(self) -> list[bytes]:
        """The last line, when it has no newline."""
        return [self._rest] if self._rest and not self._skipping else []
