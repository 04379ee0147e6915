"""Evaluation spacing: are trials evaluated at regular intervals of steps?

Deep Learning Tuning Playbook, "Evaluation settings": evaluate at regular step intervals, not at regular time
intervals; otherwise a faster trial is evaluated at fewer steps, and best checkpoints cannot be compared.
"""

from dataclasses import dataclass, replace

import numpy as np

from tunebook_server.domain.chunk import Steps
from tunebook_server.domain.findings.finding import Finding, Shown, Verdict, not_enough
from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.findings.threshold import Threshold

ITEM = "evaluation spacing"
NEEDED_POINTS = 6  # four intervals besides the first and the last
TOLERANCE = 0.01  # of the interval: epochs that are not whole numbers of steps
TOLERANCE_FROM = 5  # steps: from here on an interval may be one step longer or shorter
ODD_SHARE = Threshold(
    "evaluation_spacing.odd_share",
    0.2,
    0.0,
    1.0,
    "The share of a trial's intervals that may differ from the usual one.",
)
IRREGULAR_SHARE = 0.5  # of the trials
THINNED_FROM = 500  # points: a longer curve may have been thinned, so that intervals are multiples of one
THINNED_SMALLEST = 0.05  # of the intervals of a thinned curve are that one


@dataclass(frozen=True, slots=True)
class Spacing:
    interval: float
    """The median interval in steps."""
    odd: float
    """The share of intervals that differ from it."""
    shortest: float
    longest: float


def check(results: Results) -> list[Finding]:
    found: dict[int, Spacing] = {}
    longest = 0
    for trial in results.columns.ids[results.ranked].tolist():
        points = results.objective_curve(trial)
        if points is None:
            continue
        longest = max(longest, len(points))
        if len(points) >= NEEDED_POINTS:
            found[trial] = spacing(points.steps)
    if not found:
        return [replace(not_enough(ITEM, longest, NEEDED_POINTS, "evaluation"), trials=int(longest > 0))]
    return [_finding(results, found)]


def spacing(steps: Steps) -> Spacing:
    """Without the first and the last interval: a run may start at step 0 or 1, and end when it ends."""
    gaps = np.diff(steps.astype(float))[1:-1]
    interval = float(np.median(gaps))
    allowed = max(1.0 if interval >= TOLERANCE_FROM else 0.0, TOLERANCE * interval)
    odd = np.abs(gaps - interval) > allowed
    if len(steps) >= THINNED_FROM:
        smallest = float(gaps.min())
        if (gaps == smallest).mean() >= THINNED_SMALLEST:
            odd &= gaps % smallest != 0
    return Spacing(interval, float(odd.mean()), float(gaps.min()), float(gaps.max()))


def _finding(results: Results, found: dict[int, Spacing]) -> Finding:
    """`found` from the best trial on."""
    most = results.threshold(ODD_SHARE)
    irregular = {trial: each for trial, each in found.items() if each.odd > most}
    warned = len(irregular) >= IRREGULAR_SHARE * len(found)
    shown = list(irregular if warned else found)[:5]
    first = found[shown[0]]
    evidence = {
        "irregular": len(irregular),
        "trials": len(found),
        "interval": first.interval,
        "shortest": first.shortest,
        "longest": first.longest,
        "odd_share": first.odd,
    }
    figure = Shown("curves", {"trials": ",".join(map(str, shown)), "metrics": results.objective.metric})
    if not warned:
        sentence = f"Trials are evaluated at regular intervals, every {first.interval:g} steps."
        if irregular:
            sentence = (
                f"{len(found) - len(irregular)} of {len(found)} trials are evaluated at regular intervals."
            )
        return Finding(ITEM, Verdict.PASS, sentence, evidence, len(found), "", figure)
    sentence = (
        f"{len(irregular)} of {len(found)} trials are evaluated at irregular intervals, {first.shortest:g} "
        f"to {first.longest:g} steps: evaluate at regular step intervals, not by time, so that the best "
        "evaluations of trials can be compared."
    )
    return Finding(ITEM, Verdict.WARN, sentence, evidence, len(found), "", figure)
