"""Instability: is the best learning rate close to where training diverges, or do curves jump?

Deep Learning Tuning Playbook, "How can optimization failures be debugged and mitigated?": a best learning
rate near the edge of stability hides better ones above it, and a loss that falls and then jumps is
unstable in the middle of the run. Five to ten times the best rate shows which of the two holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.changes import Change, Draw, Range, Trials
from tunebook_server.domain.document import NUMBER_LIMIT
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.findings.configuration import configuration_of
from tunebook_server.domain.findings.finding import Evidence, Finding, Proposal, Shown, Verdict, not_enough
from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.findings.threshold import Threshold
from tunebook_server.domain.findings.training_series import BEFORE, WINDOW, jump, training_series
from tunebook_server.domain.metric_roles import is_learning_rate
from tunebook_server.domain.search_space import Float
from tunebook_server.domain.trial import Value

ITEM = "instability"
NEAR = Threshold(
    "instability.near",
    2.0,
    1.0,
    1_000.0,
    "How many times the best learning rate the threshold of divergence must be (playbook).",
)
DOUBLE_CHECK = (1.0, 5.0, 10.0)  # times the best rate (playbook)
NEEDED_TRIALS = Threshold(
    "instability.needed_trials", 10, 3, 10_000, "Ended trials below which nothing is said."
)
NEEDED_INFEASIBLE = 3  # above the threshold: fewer may have failed for another reason
CHANCE = 1e-3  # that infeasible trials lie above a threshold by luck; low, since it is chosen to be the best
BEST_TRIALS = 3
JUMPING_SHARE = Threshold(
    "instability.jumping_share", 0.2, 0.0, 1.0, "The share of curves that may fall, then jump and stay up."
)
REMEDIES = (
    "What helps, in this order: learning-rate warmup, gradient clipping, another optimiser, normalisation or "
    "residual connections, a lower rate."
)


@dataclass(frozen=True, slots=True)
class Jumps:
    """Of the curves that are long enough to show one, the best trial first; `metric` is what they measure."""

    metric: str
    trials: tuple[int, ...]
    found: tuple[float | None, ...]
    """The step of the jump of each, None for none."""

    @property
    def jumping(self) -> list[int]:
        return [trial for trial, step in zip(self.trials, self.found, strict=True) if step is not None]

    @property
    def of_best(self) -> int:
        return sum(step is not None for step in self.found[:BEST_TRIALS])


def check(results: Results) -> list[Finding]:
    """One finding a learning rate that is searched, each over its own trials; one for the rest, if any."""
    rates = [
        results.space.key(parameter)
        for parameter in results.space.varied
        if isinstance(parameter, Float) and is_learning_rate(parameter.name)
    ]
    rest = np.ones(len(results.columns), dtype=bool)
    findings: list[Finding] = []
    for key in rates:
        here = np.isfinite(results.columns.values[key])
        rest &= ~here
        findings.append(_of_rate(results, key, here))
    others = _jumps(results, rest)
    if not rates or others.trials:
        findings.append(_of_rest(results, others))
    return findings


def threshold_of(rates: NDArray[np.float64], infeasible: NDArray[np.bool_]) -> float | None:
    """The rate that separates the infeasible trials above from the feasible ones below best; None where none
    separates them beyond chance. `rates` positive, one a trial, feasible or infeasible."""
    from scipy.stats import hypergeom

    order = np.argsort(rates, kind="stable")
    rates, infeasible = rates[order], infeasible[order]
    above = np.cumsum(infeasible[::-1])[::-1]  # infeasible trials from each place on
    count, total = len(rates), int(infeasible.sum())
    if total < NEEDED_INFEASIBLE:
        return None
    left_out = (total - above) + (np.arange(count, 0, -1) - above)  # errors of a cut below each place
    cuts = np.flatnonzero(np.append(False, rates[1:] > rates[:-1]))
    if not len(cuts):
        return None
    cut = int(cuts[left_out[cuts].argmin()])
    chance = float(hypergeom.sf(above[cut] - 1, count, total, count - cut))
    if above[cut] < NEEDED_INFEASIBLE or chance > CHANCE:
        return None
    return float(np.sqrt(rates[cut - 1]) * np.sqrt(rates[cut]))


def _of_rate(results: Results, key: str, here: NDArray[np.bool_]) -> Finding:
    rates = results.columns.values[key]
    known = here & (rates > 0) & (results.feasible | results.infeasible)
    ranked = results.ranked[known[results.ranked]]
    jumps = _jumps(results, here)
    often = _jump_often(results, jumps)
    few = _too_few(results, key, int(known.sum()), len(ranked))
    if few is not None and not often:
        return few
    threshold = threshold_of(rates[known], results.infeasible[known]) if few is None else None
    best = float(rates[ranked[0]]) if len(ranked) else None
    near = threshold is not None and best is not None and near_threshold(results, best, threshold)
    evidence: dict[str, Evidence] = {"best": best, "infeasible_above": threshold, **_counts(jumps)}
    bad = near or often
    parts = [_near_words(results, key, best, threshold, near=near), _jump_words(jumps, often=bad)]
    return Finding(
        ITEM,
        Verdict.WARN if bad else Verdict.PASS,
        " ".join([*(part for part in parts if part), *([REMEDIES] if bad else [])]),
        evidence,
        int(known.sum()),
        key,
        Shown("axis", {"parameter": key}) if near or not jumps.trials else _curves(jumps),
        _double_check(results, key, int(ranked[0])) if bad and len(ranked) else None,
    )


def _too_few(results: Results, key: str, known: int, feasible: int) -> Finding | None:
    """`known`: the trials that were feasible or not."""
    need = int(results.threshold(NEEDED_TRIALS))
    if known < need:
        return not_enough(ITEM, known, need, "trial", subject=key)
    return None if feasible else not_enough(ITEM, 0, 1, "feasible trial", subject=key)


def near_threshold(results: Results, best: float, threshold: float) -> bool:
    return threshold <= results.threshold(NEAR) * best


def _of_rest(results: Results, jumps: Jumps) -> Finding:
    if not jumps.trials:
        noun = f"feasible trial with a training curve of {BEFORE + WINDOW} points"
        return not_enough(ITEM, 0, 1, noun)
    often = _jump_often(results, jumps)
    sentence = _jump_words(jumps, often=often)
    return Finding(
        ITEM,
        Verdict.WARN if often else Verdict.PASS,
        f"{sentence} {REMEDIES}" if often else sentence,
        _counts(jumps),
        len(jumps.trials),
        "",
        _curves(jumps),
    )


def _jumps(results: Results, here: NDArray[np.bool_]) -> Jumps:
    trials: list[int] = []
    found: list[float | None] = []
    metric = ""
    for trial in results.columns.ids[results.ranked[here[results.ranked]]].tolist():
        series = training_series(results, trial)
        if series is not None and len(series) >= BEFORE + WINDOW:
            trials.append(trial)
            found.append(jump(series))
            metric = metric or series.metric
    return Jumps(metric, tuple(trials), tuple(found))


def _jump_often(results: Results, jumps: Jumps) -> bool:
    share = results.threshold(JUMPING_SHARE)
    return jumps.of_best > 0 or len(jumps.jumping) > share * len(jumps.trials)


def _counts(jumps: Jumps) -> dict[str, Evidence]:
    steps = [step for step in jumps.found if step is not None]
    return {
        "curves": len(jumps.trials),
        "jumping": len(jumps.jumping),
        "best_jumping": jumps.of_best,
        "jump_step": steps[0] if steps else None,
    }


def _near_words(
    results: Results, key: str, best: float | None, threshold: float | None, *, near: bool
) -> str:
    name = results.space.parameter(key).name
    if best is None:
        return ""
    if threshold is None:
        return f"No {name} was found above which trials are infeasible."
    where = f"trials are infeasible above about {threshold:.3g}, {threshold / best:.3g} times the best {name}"
    if near:
        return f"The best {name}, {best:.3g}, is near the edge of stability: {where}."
    return f"The best {name}, {best:.3g}, keeps clear of instability: {where}."


def _jump_words(jumps: Jumps, *, often: bool) -> str:
    jumping = len(jumps.jumping)
    if not jumps.trials:
        return ""
    if not jumping:
        return f"None of {len(jumps.trials)} training curves jumps."
    counted = f"{jumping} of {len(jumps.trials)} training curves fall, then jump and stay up"
    if not often:
        return f"{counted}, none of them of the best trials."
    return f"{counted}, {jumps.of_best} of them among the best {min(BEST_TRIALS, len(jumps.trials))}."


def _curves(jumps: Jumps) -> Shown:
    shown = jumps.jumping[:5] or list(jumps.trials[:5])
    return Shown("curves", {"trials": ",".join(map(str, shown)), "metrics": jumps.metric})


def _double_check(results: Results, key: str, place: int) -> Proposal | None:
    """The best trial again at its rate, and at five and ten times that."""
    parameter, best = results.space.parameter(key), configuration_of(results, place)
    if not isinstance(parameter, Float) or best is None:
        return None
    rate = float(results.columns.values[key][place])
    if not _in_space(results, {**best, parameter.name: parameter.low}):
        return None
    rates = [rate * factor for factor in DOUBLE_CHECK if rate * factor <= NUMBER_LIMIT]
    tried = results.columns.values[key][results.feasible | results.infeasible]
    if all(np.isclose(tried, each, rtol=1e-6, atol=0.0).any() for each in rates):
        return None  # this is the double check
    changes: list[Change] = []
    low, high = min(parameter.low, rates[0]), max(parameter.high, rates[-1])
    if (low, high) != (parameter.low, parameter.high):
        changes.append(Range(key, low, high))
    configurations = [{**best, parameter.name: each} for each in rates]
    changes += [Trials(len(rates)), Draw("manual", {"configurations": configurations})]
    return Proposal(f"Double-check {parameter.name} at {', '.join(f'{each:.3g}' for each in rates)}", changes)


def _in_space(results: Results, configuration: Mapping[str, Value]) -> bool:
    """Not where another value was recorded outside its range."""
    try:
        results.space.check(configuration)
    except Invalid:
        return False
    return True
