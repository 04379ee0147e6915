"""Late step-to-step variance: do evaluations near the end differ by more than the values that are compared?

Deep Learning Tuning Playbook, "Examining the training curves": step-to-step variance late in training that is
larger than the differences between scientific values makes the best checkpoint a matter of luck.

Two best evaluations that noise alone parts are often a whole deviation apart. So the gap of two values is the
smaller of that of their objectives and that of the levels of their curves, in which noise averages out. In a
study without scientific values the two best of many trials are always close; what it compares is its trials,
and the gap is that from its middle trial to the first quarter, which more trials do not narrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunebook_server.domain.findings.finding import Evidence, Finding, Shown, Verdict, not_enough
from tunebook_server.domain.findings.leading import Run, best_of_each_value, leading_runs, ranked_runs
from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.findings.threshold import Threshold
from tunebook_server.domain.findings.trends import LATE_NEEDED, LATE_SHARE, last, levels, noise

ITEM = "late variance"
GAPS = Threshold(
    "late_variance.gaps", 1.0, 0.05, 100.0, "How many gaps between what is compared late noise may be."
)
COMPARED = 2
QUARTER_NEEDED = 8  # trials whose quarter and middle are compared: two lie before the quarter
REMEDIES = "A larger batch, more validation examples, learning-rate decay or Polyak averaging would calm it."


@dataclass(frozen=True, slots=True)
class Gap:
    """What late noise is compared with; `between` names it."""

    width: float
    between: str


def check(results: Results) -> list[Finding]:
    """One finding for the study: late noise against the gap between what is compared."""
    valued = bool(results.scientific)
    places = best_of_each_value(results)[:COMPARED] if valued else results.ranked
    need, noun = (COMPARED, "scientific value") if valued else (QUARTER_NEEDED, "feasible trial")
    if len(places) < need:
        return [not_enough(ITEM, len(places), need, noun)]
    runs = leading_runs(results) if valued else ranked_runs(results)
    runs = [run for run in runs if run.place in places[:COMPARED]]
    if not runs:
        return [not_enough(ITEM, 0, 1, "feasible trial with a curve")]
    long_enough = [run for run in runs if len(last(run.curve, LATE_SHARE)) >= LATE_NEEDED]
    if not long_enough:
        have = max(len(last(run.curve, LATE_SHARE)) for run in runs)
        return [not_enough(ITEM, have, LATE_NEEDED, "late evaluation")]
    gap = _of_values(results, long_enough) if valued else _of_trials(results)
    return [_finding(results, long_enough, gap)]


def _of_values(results: Results, runs: Sequence[Run]) -> Gap:
    """Of the two best; by their objectives alone where one of them has no curve."""
    width = float(np.ptp(results.losses[best_of_each_value(results)[:COMPARED]]))
    if len(runs) == COMPARED:
        width = min(width, float(np.ptp([_level(results, run) for run in runs])))
    return Gap(width, "the two best scientific values")


def _level(results: Results, run: Run) -> float:
    """What the objective would be without noise."""
    if results.objective.evaluation == "last":
        return float(np.median(last(run.curve, LATE_SHARE).values))
    return float(levels(run.curve).values.min())


def _of_trials(results: Results) -> Gap:
    quarter, middle = np.quantile(results.losses[results.ranked], [0.25, 0.5])
    return Gap(float(middle - quarter), "the best quarter and the middle of the trials")


def _finding(results: Results, runs: Sequence[Run], gap: Gap) -> Finding:
    noisiest = max(runs, key=lambda run: noise(run.curve))
    late = noise(noisiest.curve)
    loud = late > results.threshold(GAPS) * gap.width
    evidence: dict[str, Evidence] = {
        "trial": noisiest.number,
        "late_noise": late,
        "gap": gap.width,
        "gap_between": gap.between,
        "late_evaluations": len(last(noisiest.curve, LATE_SHARE)),
    }
    sentence = f"Late evaluations scatter by less than {gap.between} differ."
    if loud:
        scatter = f"Late in trial {noisiest.number}, evaluations scatter by {late:.3g}"
        sentence = f"{scatter}, and {gap.between} differ by {gap.width:.3g}: luck can swap them. {REMEDIES}"
    figure = Shown("curves", {"trials": str(noisiest.id)})
    verdict = Verdict.WARN if loud else Verdict.PASS
    return Finding(ITEM, verdict, sentence, evidence, len(runs), figure=figure)
