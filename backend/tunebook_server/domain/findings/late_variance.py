"""Late step-to-step variance: do evaluations near the end differ by more than the values that are compared?

Deep Learning Tuning Playbook, "Examining the training curves": step-to-step variance late in training that is
larger than the differences between scientific values makes the best checkpoint a matter of luck.
"""

from collections.abc import Sequence

import numpy as np

from tunebook_server.domain.findings.finding import Evidence, Finding, Shown, Verdict, not_enough
from tunebook_server.domain.findings.leading import Run, best_of_each_value, leading_runs, ranked_runs
from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.findings.trends import LATE_NEEDED, LATE_SHARE, last, noise

ITEM = "late variance"
GAPS = 1.0  # how many gaps late noise may be
COMPARED = 2
REMEDIES = "A larger batch, more validation examples, learning-rate decay or Polyak averaging would calm it."


def check(results: Results) -> list[Finding]:
    """One finding for the study: late noise against the gap between the two best."""
    places = best_of_each_value(results)
    valued = len(places) >= COMPARED
    pair = (places if valued else results.ranked)[:COMPARED]
    if len(pair) < COMPARED:
        return [not_enough(ITEM, len(pair), COMPARED, "feasible trial")]
    runs = [run for run in (leading_runs(results) if valued else ranked_runs(results)) if run.place in pair]
    if not runs:
        return [not_enough(ITEM, 0, 1, "feasible trial with a curve")]
    long_enough = [run for run in runs if len(last(run.curve, LATE_SHARE)) >= LATE_NEEDED]
    if not long_enough:
        have = max(len(last(run.curve, LATE_SHARE)) for run in runs)
        return [not_enough(ITEM, have, LATE_NEEDED, "late evaluation")]
    gap = float(np.ptp(results.losses[pair]))
    return [_finding(results, long_enough, gap, valued=valued)]


def _finding(results: Results, runs: Sequence[Run], gap: float, *, valued: bool) -> Finding:
    noisiest = max(runs, key=lambda run: noise(run.curve))
    late = noise(noisiest.curve)
    loud = late > results.threshold("late_variance.gaps", GAPS) * gap
    pair = "the two best scientific values" if valued else "the two best trials"
    evidence: dict[str, Evidence] = {
        "trial": noisiest.number,
        "late_noise": late,
        "gap": gap,
        "late_evaluations": len(last(noisiest.curve, LATE_SHARE)),
    }
    sentence = f"Late evaluations scatter by less than {pair} differ."
    if loud:
        scatter = f"Late in trial {noisiest.number}, evaluations scatter by {late:.3g}"
        sentence = f"{scatter}, and {pair} differ by {gap:.3g}: luck can swap them. {REMEDIES}"
    figure = Shown("curves", {"trials": str(noisiest.id)})
    verdict = Verdict.WARN if loud else Verdict.PASS
    return Finding(ITEM, verdict, sentence, evidence, len(runs), figure=figure)
