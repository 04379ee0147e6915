"""Periodicity: does the validation metric go up and down with a period?

Deep Learning Tuning Playbook, "Examining the training curves": a periodic validation metric hints at training
data that is not shuffled properly, or at test data that overlaps it. A cyclic learning rate explains it too.
"""

from dataclasses import dataclass, replace

import numpy as np

from tunebook_server.domain.findings.finding import Evidence, Finding, Shown, Verdict, not_enough
from tunebook_server.domain.findings.periods import POINTS_NEEDED, START, Period, period
from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.findings.threshold import Threshold
from tunebook_server.domain.metric_roles import MetricRole, find

ITEM = "periodicity"
CHANCE = Threshold(
    "periodicity.chance",
    0.01,
    1e-9,
    0.5,
    "The probability of such a period by chance, in any curve, below which it warns (playbook).",
)
NEEDED_POINTS = int(np.ceil(POINTS_NEEDED / (1 - START)))
SAME_PERIOD = 0.1  # relative: the learning rate's and the metric's


@dataclass(frozen=True, slots=True)
class Found:
    trial: int
    number: int
    period: Period
    scheduled: bool
    """The logged learning rate has that period too."""


def check(results: Results) -> list[Finding]:
    """Over every feasible trial whose curve is long enough; the chance is multiplied by their number."""
    found: list[Found] = []
    longest, looked_at = 0, 0
    for place in results.ranked.tolist():
        trial = int(results.columns.ids[place])
        points = results.objective_curve(trial)
        if points is None:
            continue
        finite = int(np.isfinite(points.values).sum())
        longest = max(longest, finite)
        looked_at += finite >= NEEDED_POINTS
        strongest = period(points)
        if strongest is not None:
            scheduled = _scheduled(results, trial, strongest)
            found.append(Found(trial, int(results.columns.numbers[place]), strongest, scheduled))
    if not looked_at:
        return [replace(not_enough(ITEM, longest, NEEDED_POINTS, "evaluation"), trials=int(longest > 0))]
    return [_finding(results, found, looked_at)]


def _scheduled(results: Results, trial: int, strongest: Period) -> bool:
    curves = results.curves[trial]
    metric = find(curves, MetricRole.LEARNING_RATE)
    cycle = None if metric is None else period(curves[metric])
    return (
        cycle is not None
        and cycle.chance < CHANCE.default
        and abs(cycle.steps - strongest.steps) <= SAME_PERIOD * strongest.steps
    )


def _finding(results: Results, found: list[Found], looked_at: int) -> Finding:
    limit = results.threshold(CHANCE) / looked_at
    significant = [each for each in found if each.period.chance < limit]
    unexplained = [each for each in significant if not each.scheduled]
    shown = min(unexplained or significant or found, key=lambda each: each.period.chance, default=None)
    evidence: dict[str, Evidence] = {"trials": looked_at, "periodic": len(significant)}
    if shown is None:
        sentence = f"No period in {results.objective.metric}: it does not fluctuate about its trend."
        return Finding(ITEM, Verdict.PASS, sentence, evidence, looked_at)
    evidence |= {
        "trial": shown.number,
        "period": shown.period.steps,
        "chance": min(1.0, shown.period.chance * looked_at),
        "share_of_variance": shown.period.share,
    }
    figure = Shown("curves", {"trials": str(shown.trial), "metrics": results.objective.metric})
    verdict = Verdict.WARN if unexplained else Verdict.PASS
    return Finding(
        ITEM,
        verdict,
        _sentence(results, shown, significant, unexplained, looked_at),
        evidence,
        looked_at,
        "",
        figure,
    )


def _sentence(
    results: Results, shown: Found, significant: list[Found], unexplained: list[Found], looked_at: int
) -> str:
    trials = f"{looked_at} trial{'' if looked_at == 1 else 's'}"
    metric, steps = results.objective.metric, f"about {shown.period.steps:.3g} steps"
    if unexplained:
        return (
            f"{metric} goes up and down every {steps} in {len(unexplained)} of {trials}: training "
            "data is not shuffled properly, or test data overlaps it, unless something is scheduled with "
            "that period."
        )
    if significant:
        return f"{metric} goes up and down every {steps}, as the learning rate does."
    return f"No significant period in {metric} in {trials}."
