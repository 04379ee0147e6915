"""Gradient norms under thresholds that clip seldom, mostly, or not at all."""

import numpy as np
from numpy.typing import NDArray

from tests.findings.labels.case import ANY, NO_ALARM, NOT_ENOUGH, PASSES, Case, Label, Make, cases, says
from tests.findings.measured_studies import SPACE, Shape, hostile_of, logged
from tunebook_server.domain.findings import Results, Verdict
from tunebook_server.domain.findings.gradient_norm import ITEM

SPREADS = (0.1, 0.3, 1.0)  # of the logarithm of a norm whose median is 1


def norms(spread: float) -> Shape:
    def values(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
        return np.asarray(np.exp(spread * random.standard_normal(len(done))))

    return values


def with_clip(threshold: object, name: str = "clip_norm") -> list[dict[str, object]]:
    return [*SPACE, {"name": name, "type": "fixed", "value": threshold}]


def clipped_at(quantile_deviations: float, count: int = 120) -> Make:
    """The threshold so many deviations above the median of the logarithm."""
    return lambda spread, seed: logged(
        {"grad/norm": norms(spread)},
        seed=seed,
        count=count,
        space=with_clip(float(np.exp(spread * quantile_deviations))),
    )


def unclipped(spread: float, seed: int) -> Results:
    return logged({"grad/norm": norms(spread)}, seed=seed)


DISGUISED = says(Verdict.WARN, words="lower the learning rate instead")
SELDOM = {"10 % of the steps": clipped_at(1.3), "no threshold": unclipped}
CASES: list[Case] = [
    *cases(ITEM, Label.POSITIVE, {"69 % of the steps": clipped_at(-0.5)}, SPREADS, DISGUISED),
    *cases(ITEM, Label.NEGATIVE, SELDOM, SPREADS, PASSES),
    *cases(ITEM, Label.BORDERLINE, {"half of the steps": clipped_at(0.0)}, SPREADS, ANY),
    *cases(ITEM, Label.TOO_LITTLE, {"15 points": clipped_at(-0.5, 15)}, SPREADS, NOT_ENOUGH),
    *cases(ITEM, Label.HOSTILE, hostile_of(["grad/norm"]), [0.0], NO_ALARM),
]
