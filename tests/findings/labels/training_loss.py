"""Training losses that rise over the run, fall, or wander."""

import numpy as np
from numpy.typing import NDArray

from tests.findings.labels.case import ANY, NO_ALARM, NOT_ENOUGH, PASSES, Case, Label, Make, cases, says
from tests.findings.measured_studies import CURVE_NOISE, Shape, falling, hostile_of, logged, noisy
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.training_loss import ITEM

BUG = says(Verdict.FAIL, words="probably a bug in the pipeline")


def rising(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray(1.0 + random.uniform(0.3, 1.0) * done ** random.uniform(0.5, 2))


def exploding(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """As a wrong sign in the update makes it: hardly at first, then by ever more."""
    return np.asarray(2.3 + 0.1 * np.expm1(random.uniform(6, 10) * done))


def barely(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    return 1.0 + 0.03 * done


def flat(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    return np.full(len(done), 2.3)


def trained(shape: Shape, *, memory: float = 0.0, count: int = 120) -> Make:
    return lambda noise, seed: logged(
        {"train/loss": noisy(shape, noise, memory=memory)}, seed=seed, count=count
    )


RISING = {
    "120 points": trained(rising),
    "20 points": trained(rising, count=20),
    "explodes": trained(exploding),
    "explodes, 20 points": trained(exploding, count=20),
}
OTHERS = {
    "falls": trained(falling),
    "falls, with memory": trained(falling, memory=0.9),
    "wanders": trained(flat),
    "wanders, with memory": trained(flat, memory=0.9),
}
CASES: list[Case] = [
    *cases(ITEM, Label.POSITIVE, RISING, CURVE_NOISE, BUG),
    *cases(ITEM, Label.NEGATIVE, OTHERS, CURVE_NOISE, PASSES),
    *cases(ITEM, Label.BORDERLINE, {"by 3 %": trained(barely)}, CURVE_NOISE, ANY),
    *cases(ITEM, Label.TOO_LITTLE, {"7 points": trained(rising, count=7)}, CURVE_NOISE, NOT_ENOUGH),
    *cases(ITEM, Label.HOSTILE, hostile_of(["train/loss"]), [0.0], NO_ALARM),
]
