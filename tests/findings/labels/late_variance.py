"""Late evaluations that scatter by more, or by less, than what is compared differs."""

from dataclasses import replace

import numpy as np

from tests.findings.curve_studies import HOSTILE, PLAIN_SPACE, Drawn, curve_study, measured, settling
from tests.findings.labels.case import ANY, NOT_ENOUGH, PASSES, WARNS, Case, Label, Make, cases
from tests.findings.studies import study, with_curves
from tunebook_server.domain.findings import Results
from tunebook_server.domain.findings.late_variance import ITEM
from tunebook_server.domain.objective import Objective

LOUD = (0.02, 0.05, 0.1)  # of losses that fall by about 1
CALM = (0.001, 0.003, 0.01)
GAP = 0.05
LAST = Objective("valid/loss", evaluation="last")


def compared(noise: float, gap: float, seed: int, **drawn: object) -> Results:
    """The second optimizer ends `gap` above the first."""
    best = Drawn(settling(15), noise=noise, **drawn)  # type: ignore[arg-type]
    return curve_study({"adam": best, "nesterov": replace(best, gap=gap)}, seed=seed)


def apart(gap: float, **drawn: object) -> Make:
    return lambda noise, seed: compared(noise, gap, seed, **drawn)


def by_the_last(gap: float) -> Make:
    """The last evaluation counts."""

    def make(noise: float, seed: int) -> Results:
        results = compared(noise, gap, seed)
        last = [results.curves[trial][LAST.metric].values[-1] for trial in results.columns.ids.tolist()]
        return replace(results, objective=LAST, columns=replace(results.columns, objective=np.array(last)))

    return make


def searched(width: float, trials: int) -> Make:
    """Nothing is scientific: the best trial lies `width` under the worst ones of a bowl."""

    def make(noise: float, seed: int) -> Results:
        results = study(PLAIN_SPACE, lambda *_: 0.0, trials=trials, seed=seed)
        gaps = width * (2 * results.units("learning_rate") - 1) ** 2
        curves = {
            number: Drawn(settling(15), noise=noise, gap=float(gap)).curves((seed, number))
            for number, gap in enumerate(gaps)
        }
        return measured(with_curves(results, curves))

    return make


SCATTERED = {
    "two alike": apart(0.0),
    "two alike, correlated": apart(0.0, correlation=0.5),
    "two alike, the last counts": by_the_last(0.0),
    "40 alike": searched(0.0, 40),
    "200 alike": searched(0.0, 200),
}
APART = {
    "two": apart(GAP),
    "two, with spikes": apart(GAP, outliers=0.5),
    "two, correlated": apart(GAP, correlation=0.5),
    "two, the last counts": by_the_last(GAP),
    "40 trials": searched(0.5, 40),
    "200 trials": searched(0.5, 200),
}
SHORT = {"2 late evaluations": apart(0.0, steps=np.arange(0, 1_000, 100)), "5 trials": searched(0.5, 5)}
CASES: list[Case] = [
    *cases(ITEM, Label.POSITIVE, SCATTERED, LOUD, WARNS),
    *cases(ITEM, Label.NEGATIVE, APART, CALM, PASSES),
    *cases(ITEM, Label.BORDERLINE, {"as far as noise": apart(GAP)}, [0.03, 0.05, 0.08], ANY),
    *cases(ITEM, Label.TOO_LITTLE, SHORT, CALM, NOT_ENOUGH),
    *cases(ITEM, Label.HOSTILE, HOSTILE, [0.0], ANY),
]
