"""Input bound: how much of a step's time is spent on waiting for data?

Deep Learning Tuning Playbook, "Optimizing the input pipeline": an accelerator that waits for its input trains
slower than it could, whatever the hyperparameters are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.chunk import Points
from tunebook_server.domain.findings.finding import Evidence, Finding, Shown, Verdict, not_enough
from tunebook_server.domain.findings.results import Curves, Results
from tunebook_server.domain.findings.threshold import Threshold
from tunebook_server.domain.metric_roles import MetricRole, find, unit

ITEM = "input bound"
WAIT_SHARE = Threshold(
    "input_bound.wait_share",
    0.20,
    0.01,
    1.0,
    "The share of step time spent on waiting for data above which it warns (playbook).",
)
NEEDED_POINTS = 5
START = 0.1  # of a run: compilation and filling caches
AS_SHARE_MOST = 1.5  # a utilisation that never exceeds it is a share, not a percentage
REMEDIES = "prefetch, preprocess offline, use more input workers."
TO_LOG = "report data_wait and step_time in seconds, and gpu/utilization in percent."


@dataclass(frozen=True, slots=True)
class Measured:
    trial: int
    wait: float | None
    """The share of the step time spent on waiting for data."""
    busy: float | None
    """The GPU utilisation as a share."""
    metrics: tuple[str, ...]


def check(results: Results) -> list[Finding]:
    """Over the trials with a value, by the median trial."""
    measured = [
        found
        for trial in results.columns.ids[results.ranked].tolist()
        if (found := measure(trial, results.curves.get(trial, {}))).metrics
    ]
    limit = results.threshold(WAIT_SHARE)
    waits = [each.wait for each in measured if each.wait is not None]
    busy = [each.busy for each in measured if each.busy is not None]
    evidence: dict[str, Evidence] = {
        "data_wait_share": float(np.median(waits)) if waits else None,
        "waiting_trials": sum(wait > limit for wait in waits),
        "gpu_utilisation": float(np.median(busy)) if busy else None,
    }
    if not measured:
        return [_unknown(results)]
    first = measured[0]
    figure = Shown("curves", {"trials": str(first.trial), "metrics": ",".join(first.metrics)})
    verdict, sentence = _judged(waits, busy, limit)
    return [Finding(ITEM, verdict, sentence, evidence, len(measured), "", figure)]


def measure(trial: int, curves: Curves) -> Measured:
    waiting, stepping, using = (
        find(curves, role)
        for role in (MetricRole.DATA_WAIT, MetricRole.STEP_TIME, MetricRole.GPU_UTILISATION)
    )
    wait = None if waiting is None else _wait_share(curves, waiting, stepping)
    busy = None if using is None else _share(curves[using], using)
    metrics = [waiting, stepping] if wait is not None else []
    metrics += [using] if busy is not None else []
    return Measured(trial, wait, busy, tuple(metric for metric in metrics if metric is not None))


def _wait_share(curves: Curves, waiting: str, stepping: str | None) -> float | None:
    """Where only one of the two names a unit, both are taken to have it."""
    kind, factor = unit(waiting)
    if kind == "share":
        return _share(curves[waiting], waiting)
    if stepping is None:
        return None
    step_kind, step_factor = unit(stepping)
    factor = factor / step_factor if kind and step_kind else 1.0
    return _ratio(curves[waiting], curves[stepping], factor)


def _ratio(wait: Points, step: Points, factor: float) -> float | None:
    """The sum of the one over that of the other, at the steps that have both."""
    _, at_wait, at_step = np.intersect1d(wait.steps, step.steps, assume_unique=True, return_indices=True)
    waits, whole = wait.values[at_wait], step.values[at_step]
    known = np.isfinite(waits) & np.isfinite(whole) & (waits >= 0) & (whole > 0)
    waits, whole = _settled(waits[known]), _settled(whole[known])
    if len(waits) < NEEDED_POINTS:
        return None
    largest = max(float(waits.max()), float(whole.max()))
    return min(1.0, factor * float((waits / largest).sum()) / float((whole / largest).sum()))


def _share(points: Points, metric: str) -> float | None:
    values = _settled(points.values[np.isfinite(points.values) & (points.values >= 0)])
    if len(values) < NEEDED_POINTS:
        return None
    largest = float(values.max())
    if not largest > 0:
        return 0.0
    percent = unit(metric)[1] != 1.0 or largest > AS_SHARE_MOST
    usual = float(np.median(values / largest)) * largest  # a mean of two huge values would overflow
    return min(1.0, usual * (0.01 if percent else 1.0))


def _settled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[int(np.ceil(START * len(values))) :]


def _judged(waits: list[float], busy: list[float], limit: float) -> tuple[Verdict, str]:
    used = f" The GPU is busy {float(np.median(busy)):.0%} of the time." if busy else ""
    if waits:
        share = float(np.median(waits))
        said = f"{share:.0%} of the step time is spent on waiting for data"
        if share > limit:
            return Verdict.WARN, f"{said}: {REMEDIES}{used}"
        return Verdict.PASS, f"{said}.{used}"
    if np.median(busy) >= 1 - limit:
        return Verdict.PASS, f"{used.strip()} It does not wait for data."
    return Verdict.NOT_ENOUGH_DATA, f"{used.strip()} Whether it waits for data is not logged: {TO_LOG}"


def _unknown(results: Results) -> Finding:
    names = {name for curves in results.curves.values() for name in curves}
    if find(names, MetricRole.DATA_WAIT) and find(names, MetricRole.STEP_TIME):
        return not_enough(ITEM, 0, 1, f"trial with {NEEDED_POINTS} points of the data wait after its start")
    sentence = f"Nothing says whether training waits for data: {TO_LOG}"
    return Finding(ITEM, Verdict.NOT_ENOUGH_DATA, sentence, {}, trials=0)
