"""Two trials differ: is it more than training the same values again would have done?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tunebook_server.domain.findings.repeats import Repeats
from tunebook_server.domain.objective import Objective

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Lead:
    """Of the best of some trials over the next: places in the order given, `gap` in the objective's unit and
    at least 0. `margin`: how far retraining moves it, half the width of its 95 % interval; None where that is
    not known."""

    first: int
    second: int
    gap: float
    margin: float | None

    @property
    def beyond_luck(self) -> bool:
        return self.margin is not None and self.gap > self.margin


def lead(values: Sequence[float | None], objective: Objective, repeats: Repeats | None) -> Lead | None:
    """None where fewer than two have a value; of equals the earlier leads.

    One training each, so the margin is Tukey's for the range of as many single values: it holds for whichever
    two of them turn out first and second. That a trial was picked for being the best of its study is not in
    it: its next training will on average be a little worse.
    """
    losses = [(objective.sign * value, place) for place, value in enumerate(values) if value is not None]
    if len(losses) < 2:
        return None
    (best, first), (after, second) = sorted(losses)[:2]
    margin = None
    if repeats is not None:
        margin = _range_quantile(len(losses), repeats.free) * repeats.deviation
    return Lead(first, second, after - best, margin)


@lru_cache(maxsize=256)
def _range_quantile(values: int, free: int) -> float:
    """In deviations; the integral behind it takes a tenth of a second."""
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(CONFIDENCE, values, free))
