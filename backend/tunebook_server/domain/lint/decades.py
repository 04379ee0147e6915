"""Round ends of ranges on a log scale."""

import math
from collections.abc import Callable

DIGITS = 2


def outwards(low: float, high: float) -> tuple[float, float]:
    """Two positive ends, rounded to two digits so that the range grows."""
    return _rounded(low, math.floor), _rounded(high, math.ceil)


def _rounded(value: float, to: Callable[[float], int]) -> float:
    unit = 10.0 ** (math.floor(math.log10(value)) - DIGITS + 1)
    return float(f"{to(round(value / unit, 9)) * unit:.{DIGITS}g}")
