"""JSON has no word for NaN and the infinities: they travel as the strings "NaN", "Infinity", "-Infinity"."""

import math

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.errors import Invalid

_BY_NAME = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
WORDS = frozenset(_BY_NAME)


def encode(number: float) -> float | str:
    """A finite number as itself, another one as its string."""
    if math.isfinite(number):
        return number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def decode(number: float | str) -> float:
    """The inverse of `encode`; raises Invalid for any other string, for booleans and for integers that
    overflow.
    """
    if isinstance(number, str):
        try:
            return _BY_NAME[number]
        except KeyError:
            raise Invalid(
                f"{number[:40]!r} is not a number", remedy='Use a number, "NaN", "Infinity" or "-Infinity".'
            ) from None
    if isinstance(number, bool):
        raise Invalid(f"{number} is not a number", remedy="Use a number.")
    try:
        return float(number)
    except OverflowError:
        raise Invalid(
            "the number is larger than a float64 holds", remedy='Use at most 1.8e308, or "Infinity".'
        ) from None


def encode_all(numbers: NDArray[np.float64]) -> list[float | str]:
    """`encode` over an array, at the price of one pass where all are finite."""
    plain: list[float | str] = numbers.tolist()
    for place in np.flatnonzero(~np.isfinite(numbers)).tolist():
        plain[place] = encode(float(numbers[place]))
    return plain
