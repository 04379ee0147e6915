"""Overfitting: does the validation curve turn round while training goes on getting better?

Deep Learning Tuning Playbook, "Examining the training curves": where the best trial of a value overfits,
regularisation comes first, for values compared on overfitted models may swap places once it is tuned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tunebook_server.domain.changes import Vary
from tunebook_server.domain.chunk import Points
from tunebook_server.domain.document import is_number
from tunebook_server.domain.families import split
from tunebook_server.domain.findings.finding import Finding, Proposal, Shown, Verdict, not_enough
from tunebook_server.domain.findings.leading import Run, leading_runs, ranked_runs, training_losses
from tunebook_server.domain.findings.length import plain_name
from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.findings.threshold import Threshold
from tunebook_server.domain.findings.trends import (
    LATE_NEEDED,
    LATE_SHARE,
    between,
    drift,
    last,
    least_change,
    level_width,
    levels,
    noise,
    progress,
    trend,
)
from tunebook_server.domain.search_space import Fixed, SearchSpace

ITEM = "overfitting"
RISE_DEVIATIONS = Threshold(
    "overfitting.rise_deviations",
    2.0,
    0.1,
    100.0,
    "Deviations of late noise by which the validation curve must rise.",
)
RISING_NEEDED = 8  # evaluations after the minimum: a shorter rise may be the swing of a curve
AROUND = 0.05  # of the run, on either side of a step: what the training curve is averaged over

Field = tuple[float, float, str]
DROPOUT: Field = (0.0, 0.5, "linear")
SMOOTHING: Field = (0.0, 0.2, "linear")
DECAY: Field = (1e-6, 1e-1, "log")  # playbook, "weight decay": 1e-6 for deep models to 1e-2 for shallow ones
REGULARISATION: Mapping[str, Field] = {
    "dropout": DROPOUT,
    "dropout_rate": DROPOUT,
    "dropout_prob": DROPOUT,
    "p_dropout": DROPOUT,
    "label_smoothing": SMOOTHING,
    "weight_decay": DECAY,
    "wd": DECAY,
    "l2": DECAY,
    "l2_reg": DECAY,
    "l2_regularization": DECAY,
    "stochastic_depth": DROPOUT,
    "drop_path": DROPOUT,
    "drop_path_rate": DROPOUT,
}
"""What training commands call it, with the range to search, in the order in which one is proposed."""


@dataclass(frozen=True, slots=True)
class Turn:
    """How a validation curve ended against its minimum; `trained` is how the training loss changed between
    the two, None where none was reported."""

    run: Run
    rise: float
    noise: float
    best_step: int
    trained: float | None
    overfits: bool


def check(results: Results) -> list[Finding]:
    """One finding for the study: the best trial of any scientific value that overfits."""
    if split(results.objective.metric)[0] == "train":
        sentence = "The objective is measured on training examples: report it on validation examples too."
        return [Finding(ITEM, Verdict.NOT_ENOUGH_DATA, sentence, {}, 0)]
    runs = leading_runs(results)
    if not runs:
        return [not_enough(ITEM, 0, 1, "feasible trial with a curve")]
    turns = [turn for run in runs if (turn := _turn(results, run))]
    if not turns:
        have = max(len(last(run.curve, LATE_SHARE)) for run in runs)
        return [not_enough(ITEM, have, LATE_NEEDED, "late evaluation")]
    return [_finding(results, turns)]


def _finding(results: Results, turns: Sequence[Turn]) -> Finding:
    worst = max(turns, key=lambda turn: (turn.overfits, turn.rise / max(turn.noise, 1e-300)))
    everything = [turn.overfits for run in ranked_runs(results) if (turn := _turn(results, run))]
    evidence = {
        "trial": worst.run.number,
        "rise": worst.rise,
        "late_noise": worst.noise,
        "best_step": worst.best_step,
        "training_change": worst.trained,
        "compared_trials_that_overfit": sum(turn.overfits for turn in turns),
        "compared_trials": len(turns),
        "share_of_all_curves_that_overfit": float(np.mean(everything)),
        "curves": len(everything),
    }
    verdict = Verdict.WARN if worst.overfits else Verdict.PASS
    return Finding(
        ITEM,
        verdict,
        _sentence(worst),
        evidence,
        len(everything),
        figure=Shown("curves", {"trials": str(worst.run.id)}),
        proposal=_regularise(results.space) if worst.overfits else None,
    )


def _turn(results: Results, run: Run) -> Turn | None:
    """None where the curve is too short to say."""
    curve = run.curve
    if len(last(curve, LATE_SHARE)) < LATE_NEEDED:
        return None
    level = levels(curve)
    lowest = int(level.values.argmin())
    rise = float(level.values[-1] - level.values[lowest])
    late = noise(curve)
    least = max(results.threshold(RISE_DEVIATIONS) * drift(curve), least_change(curve))
    training = training_losses(results, run.id)
    best_step = int(level.steps[lowest])
    trained = None if training is None else _change(training, best_step, int(level.steps[-1]))
    overfits = rise > least and _turned(curve, best_step) and not _trains_worse(training, trained)
    return Turn(run, rise, late, best_step, trained, overfits)


def _turned(curve: Points, best_step: int) -> bool:
    """The curve rises all along from its minimum, whose own points, chosen for being low, are left out."""
    finite = between(curve, 0.0, 1.0)
    width = level_width(len(finite))
    start = int(np.searchsorted(finite.steps, best_step, side="right")) + width // 2
    rest = finite.at(np.arange(start, len(finite)))
    return len(rest) >= RISING_NEEDED and trend(rest).rises


def _trains_worse(training: Points | None, trained: float | None) -> bool:
    """Training that gets worse too is not overfitting but instability."""
    if training is None or trained is None:
        return False
    return trained > max(RISE_DEVIATIONS.default * drift(training), least_change(training))


def _change(training: Points, start_step: int, end_step: int) -> float | None:
    """Of the training loss between the surroundings of two steps; None where it was not measured there."""
    if not len(training):
        return None
    place = progress(training)
    first, end = (float(np.interp(step, training.steps, place)) for step in (start_step, end_step))
    before, after = (between(training, at - AROUND, at + AROUND) for at in (first, end))
    if not len(before) or not len(after):
        return None
    return float(np.median(after.values) - np.median(before.values))


def _sentence(worst: Turn) -> str:
    if not worst.overfits:
        return "The best trials end close to their best validation results."
    where = (
        f"The validation curve of trial {worst.run.number} gets worse again after step {worst.best_step:,}"
    )
    if worst.trained is None:
        why = "; without a training curve, this may be overfitting or instability"
    elif worst.trained < 0:
        why = " while training goes on improving: it overfits"
    else:
        why = " while training stays as good as it was: it overfits"
    remedy = "Add or retune regularisation (dropout, label smoothing, weight decay) before comparing values."
    return f"{where}{why}. {remedy}"


def _regularise(space: SearchSpace) -> Proposal | None:
    """Searches the first regularisation that the space holds fixed."""
    fixed = [each for each in space.parameters if isinstance(each, Fixed) and is_number(each.value)]
    for word in REGULARISATION:
        named = [each for each in fixed if plain_name(each.name) == word and float(each.value) >= 0]
        if named:
            changes = tuple(Vary(_searched(each, REGULARISATION[word])) for each in named)
            return Proposal(f"Search {named[0].name} in the next study", changes)
    return None


def _searched(fixed: Fixed, field: Field) -> dict[str, object]:
    low, high, scale = field
    value = float(fixed.value)
    if value > 0 or scale == "linear":
        low, high = min(low, value), max(high, value)  # what was held stays inside
    entry: dict[str, object] = {
        "name": fixed.name,
        "type": "float",
        "low": low,
        "high": high,
        "scale": scale,
        "role": "nuisance",
    }
    return entry if fixed.when is None else {**entry, "when": fixed.when.document()}
