"""Saturated early: could training have been shorter without loss?

Deep Learning Tuning Playbook, "Deciding how long to train": where the best step comes early, the study is not
compute-bound, and shorter trials would pay for more of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunebook_server.domain.chunk import Points
from tunebook_server.domain.findings.finding import Evidence, Finding, Shown, Verdict, not_enough
from tunebook_server.domain.findings.leading import Run, leading_runs
from tunebook_server.domain.findings.length import other_length
from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.findings.still_improving import best_step_share, read_ending
from tunebook_server.domain.findings.threshold import Threshold
from tunebook_server.domain.findings.trends import (
    HALF,
    LATE_NEEDED,
    LATE_SHARE,
    drift,
    last,
    least_change,
    levels,
    noise,
    trend,
)

ITEM = "saturated early"
EARLY = Threshold(
    "saturated.half", 0.5, 0.05, 0.95, "The share of the run before which gains must have ended."
)
FIRST_TENTH = 0.10  # playbook: best steps in the first tenth ask for shorter training
GAIN_DEVIATIONS = Threshold(
    "saturated.gain_deviations",
    2.0,
    0.1,
    100.0,
    "Deviations of late noise that a later gain must exceed to count.",
)
MARGIN = 1.5  # a shorter run still holds half as much again as was needed
SHORTER = 0.75  # a length above this share is not worth a study


@dataclass(frozen=True, slots=True)
class Saturation:
    """`share` of the run, and `step`, after which no more was gained than noise."""

    run: Run
    share: float
    step: int
    noise: float
    early: bool


def check(results: Results) -> list[Finding]:
    """One finding for the study. It warns when the best trial of every scientific value saturates: as long as
    one of them still needs its steps, training may not be shorter."""
    runs = leading_runs(results)
    if not runs:
        return [not_enough(ITEM, 0, 1, "feasible trial with a curve")]
    found = [saturation for run in runs if (saturation := _saturation(results, run))]
    if not found:
        have = max(len(last(run.curve, LATE_SHARE)) for run in runs)
        return [not_enough(ITEM, have, LATE_NEEDED, "late evaluation")]
    return [_finding(results, found)]


def _finding(results: Results, found: Sequence[Saturation]) -> Finding:
    latest = max(found, key=lambda saturation: (not saturation.early, saturation.share))
    share, ended = best_step_share(results, FIRST_TENTH, late=False)
    evidence: dict[str, Evidence] = {
        "trial": latest.run.number,
        "saturation_step": latest.step,
        "saturation_share": latest.share,
        "late_noise": latest.noise,
        "compared_trials_that_saturate": sum(saturation.early for saturation in found),
        "compared_trials": len(found),
        "share_of_best_steps_in_first_tenth": share,
        "completed_trials": ended,
    }
    figure = Shown("curves", {"trials": str(latest.run.id)})
    if not latest.early:
        sentence = f"Trial {latest.run.number} needed its run: it gained more than noise until late."
        return Finding(ITEM, Verdict.PASS, sentence, evidence, len(found), figure=figure)
    sentence = (
        f"The best trials gained no more than noise after step {latest.step:,} "
        f"({latest.share:.0%} of the run): the study is not compute-bound, and shorter training would do."
    )
    factor = MARGIN * max(latest.share, FIRST_TENTH)
    shorter = other_length(results.space, factor) if factor <= SHORTER else None
    return Finding(ITEM, Verdict.WARN, sentence, evidence, len(found), figure=figure, proposal=shorter)


def _saturation(results: Results, run: Run) -> Saturation | None:
    """None where the curve is too short to say."""
    curve, ending = run.curve, read_ending(results, run)
    if ending is None or len(last(curve, LATE_SHARE)) < LATE_NEEDED:
        return None
    level = levels(curve)
    best = np.minimum.accumulate(level.values)
    late = noise(curve)
    spread = results.threshold(GAIN_DEVIATIONS) * drift(curve)
    least = max(spread, least_change(curve))
    there = int((best - best[-1] <= least).argmax())
    step = int(level.steps[there])
    length = float(curve.steps[-1] - curve.steps[0])
    share = (step - int(curve.steps[0])) / length
    early = share < results.threshold(EARLY)
    return Saturation(run, share, step, late, early and not ending.improves and not _falls(curve, least))


def _falls(curve: Points, least: float) -> bool:
    """The second half gains steadily, if slowly under its noise."""
    half = trend(last(curve, HALF))
    return half.falls and -half.change > least
