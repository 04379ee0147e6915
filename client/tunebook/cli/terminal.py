"""What reaches the screen: user text made harmless, tables, a progress line."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

_BAR_WIDTH = 24


def clean(value: object) -> str:
    """Text that cannot move the cursor, hide or reorder anything: what is not printable becomes an escape."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def number(value: object) -> str:
    """A metric or hyperparameter in at most six significant digits; anything else as clean text."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value).lower() if isinstance(value, bool) else clean(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Left-aligned columns; the last one may be as long as it likes."""
    cells = [list(heads), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    widths[-1] = 0
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def moment(text: str) -> str:
    """A time of the API by this machine's clock, to the minute."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"


def is_interactive(stream: TextIO) -> bool:
    """Whether a line may be redrawn in place; CI logs and pipes get whole lines."""
    return stream.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


def bar(done: int, of: int, stream: TextIO) -> str:
    full, empty = ("█", "░") if "utf" in (stream.encoding or "").lower() else ("#", ".")
    filled = _BAR_WIDTH * min(done, of) // max(of, 1)
    return full * filled + empty * (_BAR_WIDTH - filled)


class ProgressLine:
    """One line redrawn in place on a terminal; elsewhere one per change, `every_seconds` apart or more."""

    def __init__(self, stream: TextIO | None = None, *, every_seconds: float = 5.0) -> None:
        self._stream = stream or sys.stdout
        self._every_seconds = every_seconds
        self._interactive = is_interactive(self._stream)
        self._last, self._written_at = "", float("-inf")

    def show(self, done: int, of: int, text: str, *, now: float) -> None:
        """`now` on any steady clock, in seconds."""
        if self._interactive:
            line = f"{bar(done, of, self._stream)} {done}/{of}  {text}"
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[2K{line[:width]}")
            self._stream.flush()
        elif (line := f"{done}/{of}  {text}") != self._last and now - self._written_at >= self._every_seconds:
            self._stream.write(f"{line}\n")
            self._stream.flush()
            self._last, self._written_at = line, now

    def note(self, text: str) -> None:
        """A line that stays, above the one that is redrawn."""
        self.clear()
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def clear(self) -> None:
        if self._interactive:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()


def tell(fault: Mapping[str, Any], *, before: str) -> None:
    """One wrong or doubtful value of a document, and what to do about it."""
    field = clean(fault.get("field") or "document")
    print(f"{before}{field}: {clean(fault.get('problem', ''))}", file=sys.stderr)
    if fault.get("remedy"):
        print(f"      {clean(fault['remedy'])}", file=sys.stderr)
