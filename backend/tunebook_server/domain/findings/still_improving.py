"""Still improving: would the compared trials have got better with longer training?

Deep Learning Tuning Playbook, "Deciding how long to train": where the best step always lies in the last
quarter of the run, the study is compute-bound, and longer training may change which value is best.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunebook_server.domain.findings.finding import Evidence, Finding, Shown, Verdict, not_enough
from tunebook_server.domain.findings.leading import Run, leading_runs
from tunebook_server.domain.findings.length import other_length
from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.findings.threshold import Threshold
from tunebook_server.domain.findings.trends import (
    LATE_NEEDED,
    Trend,
    drift,
    last,
    least_change,
    levels,
    noise,
    trend,
)
from tunebook_server.domain.trial import TrialState

ITEM = "still improving"
LATE_QUARTER = 0.25  # playbook: best steps in the last quarter ask for longer training
GAIN_DEVIATIONS = Threshold(
    "still_improving.gain_deviations",
    2.0,
    0.1,
    100.0,
    "Deviations of late noise that the last quarter must gain.",
)
LONGER = Threshold(
    "still_improving.longer", 2.0, 1.1, 100.0, "How many times as long the proposed training is."
)


@dataclass(frozen=True, slots=True)
class Ending:
    """What the last quarter of a run did; `best_late`: its lowest level lies there."""

    run: Run
    trend: Trend
    noise: float
    least: float
    best_late: bool

    @property
    def improves(self) -> bool:
        return self.best_late and self.trend.falls and -self.trend.change > self.least

    @property
    def strength(self) -> float:
        return -self.trend.change / self.least if self.least > 0 else 0.0


def check(results: Results) -> list[Finding]:
    """One finding for the study: any best trial that was still improving. Trials that were stopped say
    nothing here, for their run was cut on purpose."""
    runs = [run for run in leading_runs(results) if not run.stopped]
    if not runs:
        return [not_enough(ITEM, 0, 1, "completed trial with a curve among the best")]
    endings = [ending for run in runs if (ending := read_ending(results, run))]
    if not endings:
        have = max(len(last(run.curve, LATE_QUARTER)) for run in runs)
        return [not_enough(ITEM, have, LATE_NEEDED, "late evaluation")]
    return [_finding(results, endings)]


def _finding(results: Results, endings: Sequence[Ending]) -> Finding:
    clearest = max(endings, key=lambda ending: (ending.improves, ending.strength))
    share, ended = best_step_share(results, LATE_QUARTER)
    sign = results.objective.sign
    ends = sorted((sign * clearest.trend.low, sign * clearest.trend.high))
    evidence: dict[str, Evidence] = {
        "trial": clearest.run.number,
        "gain": -clearest.trend.change,
        "late_noise": clearest.noise,
        "slope_a_step": sign * clearest.trend.slope,
        "slope_low": ends[0],
        "slope_high": ends[1],
        "compared_trials_that_improve": sum(ending.improves for ending in endings),
        "compared_trials": len(endings),
        "share_of_best_steps_in_last_quarter": share,
        "completed_trials": ended,
    }
    figure = Shown("curves", {"trials": str(clearest.run.id)})
    if not clearest.improves:
        sentence = "The best trials had stopped improving before their end."
        return Finding(ITEM, Verdict.PASS, sentence, evidence, len(endings), figure=figure)
    sentence = (
        f"Trial {clearest.run.number} was still improving at its end: the study is compute-bound. "
        "Train longer, with the schedule stretched to match, before a value is called best."
    )
    longer = other_length(results.space, results.threshold(LONGER))
    return Finding(ITEM, Verdict.WARN, sentence, evidence, len(endings), figure=figure, proposal=longer)


def read_ending(results: Results, run: Run) -> Ending | None:
    """None where the last quarter has too few evaluations."""
    quarter = last(run.curve, LATE_QUARTER)
    if len(quarter) < LATE_NEEDED:
        return None
    level = levels(run.curve)
    lowest = int(level.values.argmin())
    best_late = lowest == len(level) - 1 or int(level.steps[lowest]) >= int(quarter.steps[0])
    deviations = results.threshold(GAIN_DEVIATIONS)
    least = max(deviations * drift(run.curve), least_change(run.curve))
    return Ending(run, trend(quarter), noise(run.curve), least, best_late)


def best_step_share(results: Results, share: float, *, late: bool = True) -> tuple[float | None, int]:
    """Of completed trials, the share whose best step lies in the last (or the first) share of their run,
    and how many there are."""
    columns = results.columns
    completed = results.feasible & columns.in_state(TrialState.COMPLETED)
    counted = completed & np.isfinite(columns.best_step) & (columns.last_step > 0)
    if not counted.any():
        return None, 0
    place = columns.best_step[counted] / columns.last_step[counted]
    inside = place >= 1 - share if late else place <= share
    return float(inside.mean()), int(counted.sum())
