"""What `report` accepts. A wrong type is the caller's bug and raises at once; NaN and infinity are data."""

import math
import operator
from collections.abc import Mapping
from typing import SupportsFloat, SupportsIndex

MAX_NAME_LENGTH = 200
MAX_METRICS = 1000
"""Metrics in one report; keeps a record far below the spool's largest."""
MAX_STEP = 2**63 - 1


def checked_step(step: SupportsIndex) -> int:
    """A step in [0, 2^63); raises TypeError for anything that is not an integer, ValueError out of range."""
    if isinstance(step, bool):
        raise TypeError("step is a bool; give the training step as an integer")
    try:
        number = operator.index(step)
    except TypeError:
        raise TypeError(f"step is {type(step).__name__}; give the training step as an integer") from None
    if not 0 <= number <= MAX_STEP:
        raise ValueError(f"step is {number}; it must be between 0 and 2^63 - 1")
    return number


def checked_values(values: Mapping[str, SupportsFloat]) -> dict[str, float | str]:
    """Values by metric as JSON can carry them: non-finite ones as "NaN", "Infinity" and "-Infinity"."""
    if not isinstance(values, Mapping):
        raise TypeError(f"values is {type(values).__name__}; give a dict such as {{'valid/error': 0.12}}")
    if len(values) > MAX_METRICS:
        raise ValueError(f"{len(values)} metrics in one report; at most {MAX_METRICS} are allowed")
    return {checked_name(name): encode(number(name, value)) for name, value in values.items()}


def checked_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"metric name {name!r} is {type(name).__name__}; use a string")
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise ValueError(f"metric name of {len(name)} characters; use 1 to {MAX_NAME_LENGTH}")
    if not name.isprintable():
        raise ValueError(f"metric name {name!r} has characters that cannot be printed")
    return name


def number(name: str, value: SupportsFloat) -> float:
    """One float from a Python, NumPy or PyTorch scalar."""
    if isinstance(value, (str, bytes, bytearray)) or getattr(value, "ndim", None):
        raise TypeError(f"{name!r} is {_describe(value)}; report one number")
    try:
        # A tensor that carries a gradient warns when it becomes a float.
        return float(value.detach() if hasattr(value, "detach") else value)
    except TypeError:
        raise TypeError(f"{name!r} is {_describe(value)}; report one number") from None
    except OverflowError:
        raise ValueError(f"{name!r} is too large for a 64-bit float") from None


def encode(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _describe(value: object) -> str:
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__} of shape {tuple(shape)}" if shape else type(value).__name__
