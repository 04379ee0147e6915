"""Sampling: are there enough trials for the best one to be more than luck?

Deep Learning Tuning Playbook, "Has the study sampled enough points in good regions?" and "Determining the
number of trials for each study" (its third figure).

Where the deviation σ between retrainings is known, every trial carries that much noise, and the best one is
the luckiest: of five equally good trials it lies 1.16 σ below their mean. The good region and the limit of
the spread allow for that luck. Without it a study of one flat hyperparameter with 300 trials, 30 of them as
good as the best, would be called too small every second time.
"""

from dataclasses import dataclass
from math import ceil, floor, inf, isfinite, log, log10, prod

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.best_of_k import Doubling, campaigns, doubling, quantiles
from tunebook_server.domain.changes import Trials
from tunebook_server.domain.findings.finding import Evidence, Finding, Proposal, Shown, Verdict, not_enough
from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.findings.threshold import Threshold
from tunebook_server.domain.search_space import Boolean, Categorical
from tunebook_server.domain.study_limits import TRIALS_MOST

ITEM = "sampling"
NEEDED_TRIALS = Threshold(
    "sampling.needed_trials", 10, 4, 10_000, "Feasible trials below which nothing is said."
)
DOUBLINGS_NEED = 4  # trials, of which a quarter and a half are compared with all
GOOD_NEEDED = Threshold(
    "sampling.good_needed", 5, 1, 1_000, "Trials in the good region below which it warns."
)
LUCK_OF_FIVE = 1.163  # deviations: expected extreme of 5 normal values, as many as are needed
LUCK_OF_THREE = 0.846  # of 3: the quartiles of the best of half are the best trial and the third
GOOD_SHARE = Threshold(
    "sampling.good_share",
    0.10,
    0.001,
    0.5,
    "The share of the feasible range that is the good region, without retrainings.",
)
MOST_TIMES = 4  # the budget: beyond it fewer hyperparameters help more than more trials
RESAMPLES = 1_000
STRATA_MOST = 20
ROUNDING = 1e-9  # of the feasible range: trials at the border of the good region count, in every unit


@dataclass(frozen=True, slots=True)
class Sampled:
    """`ended`: feasible and infeasible trials; `width` of the good region in units of the objective;
    `quartile_range` of the best of half of the trials, `wide` where retraining does not explain it; `gain`
    expected of twice as many; `gained_share` of resampled studies whose second half gained more than the
    width; `wanted`: trials in all.
    """

    ended: int
    good: int
    width: float
    quartile_range: float
    wide: bool
    gain: float
    gained_share: float
    wanted: int


def check(results: Results) -> list[Finding]:
    have = len(results.ranked)
    need = max(DOUBLINGS_NEED, int(results.threshold(NEEDED_TRIALS)))
    if have < need:
        return [not_enough(ITEM, have, need, "feasible trial")]
    sampled = _sampled(results)
    few = sampled.good < results.threshold(GOOD_NEEDED)
    exhausted = sampled.ended >= _combinations(results)
    warns = (few or sampled.wide) and not exhausted
    return [
        Finding(
            ITEM,
            Verdict.WARN if warns else Verdict.PASS,
            _sentence(results, sampled, few=few, warns=warns),
            _evidence(results, sampled, warns=warns),
            have,
            figure=Shown("best-of-k"),
            proposal=_more(results, sampled) if warns else None,
        )
    ]


def outcomes(results: Results) -> NDArray[np.float64]:
    """A loss a trial, NaN for those that have not ended: an infeasible one counts as the worst feasible."""
    worst = results.losses[results.ranked[-1]]
    return np.where(results.infeasible, worst, np.where(results.feasible, results.losses, np.nan))


def _sampled(results: Results) -> Sampled:
    losses = results.losses[results.ranked]
    best, spread = float(losses[0]), float(losses[-1]) - float(losses[0])
    deviation = _deviation(results)
    if deviation is None:
        width, limit = results.threshold(GOOD_SHARE) * spread, inf
    else:
        width, limit = (1 + LUCK_OF_FIVE) * deviation, (1 + LUCK_OF_THREE) * deviation
    every = outcomes(results)
    here = np.isfinite(every)
    every, strata, ended = every[here], _strata(results)[here], int(here.sum())
    half = ended // 2
    quartile_range = float(np.ptp(quantiles(every, [half], [0.25, 0.75])))
    paths = campaigns(every, [half, 2 * half], resamples=RESAMPLES, seed=results.seed, strata=strata)
    good = int((losses - best <= width + ROUNDING * spread).sum())
    curve = doubling(every)
    excess = max(quartile_range / limit, curve.next / width if width > 0 else 0.0)
    return Sampled(
        ended=ended,
        good=good,
        width=width,
        quartile_range=quartile_range,
        wide=quartile_range > limit,
        gain=curve.next,
        gained_share=float((paths[:, 0] - paths[:, 1] > width).mean()),
        wanted=_wanted(results, ended, good=good, excess=excess, curve=curve),
    )


def _wanted(results: Results, ended: int, *, good: int, excess: float, curve: Doubling) -> int:
    """Enough for the good region at the share seen so far, and for the curve to be flat: gain and spread of
    the best shrink by one ratio with every doubling, and are `excess` times too wide now."""
    times = results.threshold(GOOD_NEEDED) / good
    if excess > 1:
        doublings = log(excess) / -log(curve.ratio) if 0 < curve.ratio < 1 else MOST_TIMES
        times = max(times, 2 ** min(doublings, MOST_TIMES))
    wanted = ceil(ended * min(times, MOST_TIMES))
    step: int = 10 ** max(0, floor(log10(wanted)) - 1)  # two digits: the curve knows no more
    return int(min(ceil(wanted / step) * step, _combinations(results)))


def _deviation(results: Results) -> float | None:
    """Between retrainings; of a training that repeats exactly, nothing can be learned from it."""
    deviation = results.retrain_deviation
    return deviation if deviation is not None and isfinite(deviation) and deviation > 0 else None


def _strata(results: Results) -> NDArray[np.intp]:
    """Trials by their scientific choices, each of which has its share of a study by design."""
    combined = np.zeros(len(results.columns), dtype=np.intp)
    for parameter in results.scientific:
        if isinstance(parameter, Categorical | Boolean):
            column = np.nan_to_num(results.columns.values[results.space.key(parameter)], nan=-1)
            joined = np.unique(combined * (STRATA_MOST + column.max() + 2) + column, return_inverse=True)[1]
            combined = joined if joined.max(initial=0) < STRATA_MOST else combined
    return combined


def _combinations(results: Results) -> int:
    """Configurations that the space can hold at most."""
    counts = [each.size for each in results.space.dimensions]
    return TRIALS_MOST if None in counts else min(TRIALS_MOST, prod(count for count in counts if count))


def _sentence(results: Results, sampled: Sampled, *, few: bool, warns: bool) -> str:
    lie = "lies" if sampled.good == 1 else "lie"
    region = f"{sampled.good:,} of {sampled.ended:,} trials {lie} within {sampled.width:.2g} of the best"
    if not warns:
        if sampled.ended >= _combinations(results):
            return f"{region}, and every configuration has been tried."
        return f"{region}; twice as many would improve the best result by about {sampled.gain:.2g}."
    start = (
        f"Only {region}" if few else f"{region}, but the best of half of them varies by more than retraining"
    )
    left = results.budget - sampled.ended
    if left > 0 and sampled.wanted <= results.budget:
        return f"{start}: the best result is partly luck. The trials still to come may be enough."
    remedy = f"about {sampled.wanted:,} trials are wanted"
    if len(results.nuisance) > 1:
        remedy += f", or fewer nuisance hyperparameters than {len(results.nuisance)}"
    return f"{start}: the best result is partly luck; {remedy}."


def _evidence(results: Results, sampled: Sampled, *, warns: bool) -> dict[str, Evidence]:
    return {
        "good_trials": sampled.good,
        "ended_trials": sampled.ended,
        "good_width": sampled.width,
        "best_of_half_quartile_range": sampled.quartile_range,
        "retrain_deviation": _deviation(results),
        "doubling_gain": sampled.gain,
        "gained_share": sampled.gained_share,
        "wanted_trials": sampled.wanted if warns else None,
    }


def _more(results: Results, sampled: Sampled) -> Proposal | None:
    if sampled.wanted <= max(results.budget, sampled.ended):
        return None
    title = f"Search with {sampled.wanted:,} trials instead of {results.budget:,}"
    return Proposal(title, (Trials(sampled.wanted),))
