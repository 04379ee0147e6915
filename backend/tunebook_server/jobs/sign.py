"""The sign of life of a control worker: a file that each sweep touches, so that one that hangs is seen."""

import math
import time
from pathlib import Path

LONGEST_SWEEPS, PATIENCE_SECONDS = 3.0, 60.0
"""A sweep that compacts many curves takes its time; one that takes longer than these hangs."""


def touch(folder: Path) -> None:
    """Its folder is made where it is missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _file(folder).touch(mode=0o600)


def age_seconds(folder: Path) -> float:
    """Since the last sweep began; infinity when there was none."""
    try:
        return time.time() - _file(folder).stat().st_mtime
    except FileNotFoundError:
        return math.inf


def _file(folder: Path) -> Path:
    return folder / "control.alive"
