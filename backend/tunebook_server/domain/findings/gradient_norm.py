"""Gradient norm: how often does the clipping threshold clip, or where should one lie?

Deep Learning Tuning Playbook, "Gradient clipping": a threshold at the 90th percentile of the norms is a good
start; one that clips more than half of the steps works as a lower learning rate: set that one instead.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.findings.configuration import configuration_of
from tunebook_server.domain.findings.finding import Evidence, Finding, Shown, Verdict, not_enough
from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.findings.threshold import Threshold
from tunebook_server.domain.metric_roles import MetricRole, find, is_clipping_threshold

ITEM = "gradient norm"
NEEDED_POINTS = 20
PERCENTILE = 0.90  # of the norms: the threshold to start with (playbook)
CLIPPED_SHARE = Threshold(
    "gradient_norm.clipped_share", 0.5, 0.01, 1.0, "The share of steps that may be clipped (playbook)."
)
AT_THRESHOLD = 1e-3  # relative: norms logged after clipping lie at the threshold itself


def check(results: Results) -> list[Finding]:
    """Of the best trial that logged it."""
    longest = 0
    for place in results.ranked.tolist():
        trial = int(results.columns.ids[place])
        curves = results.curves.get(trial, {})
        metric = find(curves, MetricRole.GRADIENT_NORM)
        norms = np.empty(0) if metric is None else curves[metric].values
        measured = norms[~np.isnan(norms) & (norms >= 0)]
        finite = int(np.isfinite(measured).sum())
        longest = max(longest, finite)
        if metric is not None and finite >= NEEDED_POINTS:
            shown = Shown("curves", {"trials": str(trial), "metrics": metric})
            return [_of_trial(results, place, measured, shown)]
    if longest:
        return [replace(not_enough(ITEM, longest, NEEDED_POINTS, "gradient norm"), trials=1)]
    sentence = "No gradient norm is logged: report it as grad/norm, before clipping, with the training loss."
    return [Finding(ITEM, Verdict.NOT_ENOUGH_DATA, sentence, {}, trials=0)]


def _of_trial(results: Results, place: int, norms: NDArray[np.float64], shown: Shown) -> Finding:
    """`norms` without NaN, infinite ones included: a threshold clips them."""
    usual = float(np.quantile(norms[np.isfinite(norms)], PERCENTILE))
    evidence: dict[str, Evidence] = {
        "trial": int(results.columns.numbers[place]),
        "points": len(norms),
        "percentile_90": usual,
        "not_finite": int(np.isinf(norms).sum()),
    }
    clipping = _clipping(results, place)
    if clipping is None:
        sentence = (
            f"Gradients are not known to be clipped; the 90th percentile of their norm, {usual:.3g}, would "
            "be the threshold to start with."
        )
        return Finding(ITEM, Verdict.PASS, sentence, {**evidence, "threshold": usual}, 1, figure=shown)
    name, threshold = clipping
    share = float((norms >= threshold * (1 - AT_THRESHOLD)).mean())
    clips = f"{name} = {threshold:.3g} clips {share:.0%} of the steps of the best trial"
    verdict, sentence = Verdict.PASS, f"{clips}; the 90th percentile of the gradient norm is {usual:.3g}."
    if share > results.threshold(CLIPPED_SHARE):
        verdict = Verdict.WARN
        sentence = f"{clips}: that is a lower learning rate in disguise; lower the learning rate instead."
    evidence |= {"threshold": threshold, "clipped_share": share}
    return Finding(ITEM, verdict, sentence, evidence, 1, figure=shown)


def _clipping(results: Results, place: int) -> tuple[str, float] | None:
    """The hyperparameter that clips this trial's gradients and its value; 0 or infinity switch it off."""
    for name, value in (configuration_of(results, place) or {}).items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and is_clipping_threshold(name) and 0 < float(value) < np.inf:
            return name, float(value)
    return None
