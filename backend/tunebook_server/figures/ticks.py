"""Round numbers along an axis that we draw ourselves."""

import math

from tunebook_server.figures import labels

WANTED = 4
DIGITS = (1, 2, 5)
APART = 0.11  # of the axis: labels that are closer would touch

Ticks = tuple[tuple[float, str], ...]


def between(low: float, high: float, *, log: bool, whole: bool = False, ends: bool = False) -> Ticks:
    """(Place in [0, 1], label) of a few round numbers, from low to high; with `ends` those of the range, too.

    `low` and `high` are powers of ten on a log axis; `whole`: there is nothing between whole numbers.

    >>> between(0, 3, log=False, whole=True)
    ((0.0, '0'), (0.3333333333333333, '1'), (0.6666666666666666, '2'), (1.0, '3'))
    >>> between(-4, 0, log=True, ends=True)
    ((0.0, '0.0001'), (0.25, '0.001'), (0.5, '0.01'), (0.75, '0.1'), (1.0, '1'))
    """
    half = high / 2 - low / 2
    if half <= 0:
        return ((0.0, _label(low, log=log)),)
    round_ones = _decades(low, high) if log else _multiples(low, high, whole=whole)
    inside = [((value / 2 - low / 2) / half, _label(value, log=log)) for value in round_ones]
    if not ends:
        return tuple(inside)
    free = [tick for tick in inside if APART < tick[0] < 1 - APART]
    return ((0.0, _label(low, log=log)), *free, (1.0, _label(high, log=log)))


def _multiples(low: float, high: float, *, whole: bool) -> list[float]:
    rough = (high / 2 - low / 2) / WANTED * 2
    decade = 10.0 ** math.floor(math.log10(rough))
    step = next((digit * decade for digit in DIGITS if digit * decade >= rough), 10 * decade)
    step = max(step, 1.0) if whole else step
    return [count * step for count in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Whole powers of ten; 1, 2 and 5 times those where fewer than two would be seen."""
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    stride = max(1, math.ceil((last - first) / WANTED))
    if last - first >= 2:
        return [float(power) for power in range(first, last + 1, stride)]
    powers = [power + math.log10(digit) for power in range(first - 1, last + 1) for digit in DIGITS]
    return [power for power in powers if low <= power <= high]


def _label(value: float, *, log: bool) -> str:
    return labels.significant(10.0**value if log else value, 3)
