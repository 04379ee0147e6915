"""Search-space boundary: is the best trial near the edge of what was searched?

Deep Learning Tuning Playbook, "Identifying bad search space boundaries": a space whose best trials crowd at
an edge is suspect, and should be widened that way before the study's conclusions are believed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.changes import Range
from tunebook_server.domain.findings.finding import Finding, Proposal, Shown, Verdict, not_enough
from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.findings.threshold import Threshold
from tunebook_server.domain.search_space import Float, Integer

ITEM = "boundary"
NEEDED_TRIALS = Threshold(
    "boundary.needed_trials",
    10,
    1,
    10_000,
    "Feasible trials below which nothing is said: the best of few is near an edge by chance.",
)
EDGE = Threshold(
    "boundary.edge", 0.10, 0.01, 0.45, "The outer share of a range, on its scale, that counts as its edge."
)
EDGE_SHARE = Threshold(
    "boundary.edge_share",
    0.5,
    0.05,
    1.0,
    "The share of resamples with their best trial at an edge above which it warns.",
)
RESAMPLES = 1_000
SHARE_DIGITS = 4  # 2.4e-55 says no more than 0
TOP_TRIALS = 3
TOP_SHARE = 0.05
GOOD_SHARE = 0.10  # the trials whose region a narrower range would hold
GOOD_SPAN = 0.5  # of the range: a good region under it can be narrowed to
GOOD_MARGIN = 0.15  # of the range, left on both sides of the good region
GOOD_NEEDED = 5
WIDEN_DECADES = 1.0
WIDEN_SHARE = 0.5  # of the width of a linear range
BEYOND_INFEASIBLE = 0.5  # of the trials nearer the edge than the best ones


@dataclass(frozen=True, slots=True)
class Edge:
    """How strongly the best trials press against one end of a range."""

    high: bool
    share: float
    """Of bootstrap resamples whose best trial lies within `EDGE` of this end."""
    top_all: bool
    infeasible: bool
    """What lies between the best trials and this end is mostly infeasible."""

    @property
    def word(self) -> str:
        return "upper" if self.high else "lower"


def check(results: Results) -> list[Finding]:
    """One finding for every numeric hyperparameter that is searched."""
    return [
        _check(results, parameter)
        for parameter in results.space.varied
        if isinstance(parameter, Float | Integer) and results.space.key(parameter) in results.columns.values
    ]


def _check(results: Results, parameter: Float | Integer) -> Finding:
    key = results.space.key(parameter)
    units = results.units(key)
    here = results.ranked[np.isfinite(units[results.ranked])]
    need = int(results.threshold(NEEDED_TRIALS))
    if len(here) < need:
        return not_enough(ITEM, len(here), need, "feasible trial", subject=key)
    top = units[here[: max(TOP_TRIALS, int(np.ceil(TOP_SHARE * len(here))))]]
    lower, upper = (_edge(results, units, here, top, high=high) for high in (False, True))
    limit = results.threshold(EDGE_SHARE)
    evidence = {
        "best": float(results.columns.values[key][here[0]]),
        "best_place": float(units[here[0]]),
        "lower_edge_share": round(lower.share, SHARE_DIGITS),
        "upper_edge_share": round(upper.share, SHARE_DIGITS),
        "low": parameter.low,
        "high": parameter.high,
    }
    shown = Shown("axis", {"parameter": key})
    for edge in sorted((lower, upper), key=lambda edge: -edge.share):
        if edge.share > limit or edge.top_all:
            return Finding(
                ITEM,
                Verdict.WARN,
                _crowded(parameter, edge),
                evidence,
                len(here),
                key,
                shown,
                None if edge.infeasible else _wider(parameter, key, edge),
            )
    sentence = f"The best values of {parameter.name} lie inside the range."
    return Finding(
        ITEM, Verdict.PASS, sentence, evidence, len(here), key, shown, _narrower(parameter, key, units[here])
    )


def _edge(
    results: Results,
    units: NDArray[np.float64],
    here: NDArray[np.intp],
    top: NDArray[np.float64],
    *,
    high: bool,
) -> Edge:
    """`here`: places of the feasible trials, the best first."""
    distance = 1 - units if high else units
    edge = results.threshold(EDGE)
    near = distance[here] <= edge
    beyond = np.isfinite(distance) & (distance < float(np.median(distance[here[: len(top)]])))
    infeasible, feasible = int((beyond & results.infeasible).sum()), int((beyond & results.feasible).sum())
    return Edge(
        high,
        share_of_best(near),
        bool((distance[here[: len(top)]] <= edge).all()),
        infeasible > BEYOND_INFEASIBLE * (infeasible + feasible) and infeasible >= TOP_TRIALS,
    )


def share_of_best(marked: NDArray[np.bool_]) -> float:
    """The share of bootstrap resamples whose best trial is marked, exactly; `marked` from best to worst.

    The best of a resample of n trials with replacement is the k-th best with probability
    ((n - k + 1)^n - (n - k)^n) / n^n: the resamples that hold none better than it, less those without it.
    """
    n = len(marked)
    left = (np.arange(n, -1, -1) / n) ** n
    return float((left[:-1] - left[1:])[marked].sum())


def _crowded(parameter: Float | Integer, edge: Edge) -> str:
    end = parameter.high if edge.high else parameter.low
    where = f"The best values of {parameter.name} crowd at the {edge.word} edge of its range ({end:.4g})"
    if edge.infeasible:
        return f"{where}, and beyond them trials are infeasible: widening would not help; look at stability."
    return f"{where}: better ones may lie beyond."


def _wider(parameter: Float | Integer, key: str, edge: Edge) -> Proposal | None:
    low, high = float(parameter.low), float(parameter.high)
    if parameter.scale == "log":
        factor = 10**WIDEN_DECADES
        low, high = (low, high * factor) if edge.high else (low / factor, high)
    elif edge.high and low >= 0 and high <= 1:
        high = 1 - (1 - high) / 10  # a share stays a share: 0.99 becomes 0.999
    else:
        width = WIDEN_SHARE * (high - low)
        low, high = (low, high + width) if edge.high else (low - width, high)
    if isinstance(parameter, Integer):
        low, high = float(np.floor(low)), float(np.ceil(high))
        if parameter.scale == "log" or parameter.low >= 1:
            low = max(low, 1.0)  # counts stay counts
    elif parameter.low >= 0:
        low = max(low, 0.0)
    if (low, high) == (parameter.low, parameter.high):
        return None
    return Proposal(f"Widen {parameter.name} to {low:.4g} … {high:.4g}", (Range(key, low, high),))


def _narrower(parameter: Float | Integer, key: str, units: NDArray[np.float64]) -> Proposal | None:
    """Round the good region, where that is well inside; `units` from the best trial to the worst."""
    good = units[: int(np.ceil(GOOD_SHARE * len(units)))]
    if len(good) < GOOD_NEEDED or np.ptp(good) >= GOOD_SPAN:
        return None
    start, end = max(0.0, good.min() - GOOD_MARGIN), min(1.0, good.max() + GOOD_MARGIN)
    if end - start > 1 - EDGE.default:
        return None
    low, high = (_at(parameter, u) for u in (start, end))
    if not low < high:
        return None
    return Proposal(f"Narrow {parameter.name} to {low:.4g} … {high:.4g}", (Range(key, low, high),))


def _at(parameter: Float | Integer, u: float) -> float:
    low, high = float(parameter.low), float(parameter.high)
    value = low * (high / low) ** u if parameter.scale == "log" else low + u * (high - low)
    if isinstance(parameter, Integer):
        return float(round(value))
    return float(f"{value:.3g}")
