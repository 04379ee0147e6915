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


def sentence(found: Lead | None, names: Sequence[str], objective: Objective, repeats: Repeats | None) -> str:
    """What may be said of the lead, and what to do to know more. `names`: one a trial."""
    if found is None:
        return "Fewer than two of these trials have a value: there is nothing to compare yet."
    first, second = names[found.first], names[found.second]
    if found.gap == 0:
        return f"{first} and {second} reached the same value."
    side = "lower" if objective.direction == "minimize" else "higher"
    said = f"{first} is {found.gap:.3g} {side} than {second}"
    if repeats is None or found.margin is None:
        return (
            f"{said}, but one trial each says little: no values were trained often enough to know how far "
            "luck moves the objective. Train both again, several times, before you call one better."
        )
    spread = (
        f"Training the same values again moves the objective by {repeats.deviation:.3g} (standard deviation, "
        f"from {repeats.free} repeats), so luck explains a lead of up to {found.margin:.3g} (95 %)"
    )
    if found.beyond_luck:
        return f"{said}. {spread}: this one is larger. Train both again before you adopt it."
    return f"{said}. {spread}: this one may be luck."
