"""Evaluations at regular steps, by time, and on other schedules."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tests.findings.labels.case import ANY, NOT_ENOUGH, PASSES, Case, Label, Make, cases, says
from tests.findings.measured_studies import SPACE, gentle
from tests.findings.studies import LOSS, study, with_curves
from tunebook_server.domain.chunk import Points
from tunebook_server.domain.curve import bounded
from tunebook_server.domain.findings import Results, Verdict
from tunebook_server.domain.findings.evaluation_spacing import ITEM

Schedule = Callable[[np.random.Generator], NDArray[np.int64]]
JITTER = (0.03, 0.1, 0.5)  # of the time of an interval
INTERVALS = (10, 250)  # steps


def by_time(jitter: float, interval: float = 100) -> Schedule:
    def steps(random: np.random.Generator) -> NDArray[np.int64]:
        gaps = interval * np.exp(jitter * random.standard_normal(60))
        return np.cumsum(np.maximum(gaps, 1)).astype(np.int64)

    return steps


def interval(random: np.random.Generator) -> int:
    return int(random.integers(*INTERVALS))


def every(random: np.random.Generator) -> NDArray[np.int64]:
    return interval(random) * np.arange(61)


def from_one_to_the_end(random: np.random.Generator) -> NDArray[np.int64]:
    n = interval(random)
    return np.array([1, *range(n, 60 * n, n), 60 * n + n // 3])


def epochs(random: np.random.Generator) -> NDArray[np.int64]:
    """Whole epochs, which are not whole numbers of steps."""
    return np.round(np.arange(60) * random.uniform(20, 200)).astype(np.int64)


def resumed(random: np.random.Generator) -> NDArray[np.int64]:
    n = interval(random)
    again = 30 * n - n // 2
    return np.array([*range(0, 30 * n, n), *range(again, again + 30 * n, n)])


def some_lost(random: np.random.Generator) -> NDArray[np.int64]:
    return np.sort(random.choice(every(random), 57, replace=False))


def doubling(random: np.random.Generator) -> NDArray[np.int64]:
    return int(random.integers(1, 20)) * 2 ** np.arange(16)


def log_axis(random: np.random.Generator) -> NDArray[np.int64]:
    return np.unique(np.geomspace(1, random.uniform(3_000, 30_000), 60).astype(np.int64))


def slower(random: np.random.Generator) -> NDArray[np.int64]:
    n = interval(random)
    return np.array([*range(0, 30 * n, n), *range(30 * n, 300 * n, 10 * n)])


def evaluated(schedule: Schedule, *, seed: int = 0, trials: int = 12, points_most: int = 10_000) -> Results:
    random = np.random.default_rng(seed)
    curves = {}
    for number in range(trials):
        steps = schedule(random).astype(np.int64)
        points = Points(steps, random.standard_normal(len(steps)))
        curves[number] = {LOSS.metric: bounded(points, points_most)}
    return with_curves(study(SPACE, gentle, trials=trials, seed=seed), curves)


def scheduled(schedule: Schedule) -> Make:
    return lambda _, seed: evaluated(schedule, seed=seed)


def timed(jitter: float, seed: int) -> Results:
    return evaluated(by_time(jitter), seed=seed)


def far(count: int) -> Make:
    """Steps nearly as far apart as they can be, and nothing finite at them."""
    points = Points(2**62 // 8 * np.arange(count, dtype=np.int64), np.full(count, np.nan))
    return lambda _, seed: with_curves(study(SPACE, gentle, trials=12, seed=seed), {0: {LOSS.metric: points}})


BY_TIME = says(Verdict.WARN, words="not by time")
REGULAR = {
    each.__name__: scheduled(each) for each in (every, from_one_to_the_end, epochs, resumed, some_lost)
}
IRREGULAR = {each.__name__: scheduled(each) for each in (doubling, log_axis, slower)}
EACH = {"every step": scheduled(lambda _: np.arange(60))}
SHORT = {"3 evaluations": scheduled(lambda random: every(random)[:3])}
CASES: list[Case] = [
    *cases(ITEM, Label.POSITIVE, {"by time": timed, **IRREGULAR}, JITTER, BY_TIME),
    *cases(ITEM, Label.NEGATIVE, {**REGULAR, **EACH}, [0.0], PASSES),
    *cases(ITEM, Label.BORDERLINE, {"nearly regular": timed}, [0.004, 0.008, 0.016], ANY),
    *cases(ITEM, Label.TOO_LITTLE, SHORT, [0.0], NOT_ENOUGH),
    *cases(ITEM, Label.HOSTILE, {f"{n} far steps": far(n) for n in (0, 1, 2, 5, 6)}, [0.0], ANY),
]
