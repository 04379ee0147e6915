"""Steps that wait for their data, and steps that do not."""

import numpy as np
from numpy.typing import NDArray

from tests.findings.labels.case import ANY, NOT_ENOUGH, PASSES, Case, Label, Make, cases, says
from tests.findings.measured_studies import SPACE, Shape, gentle, hostile_of, logged
from tests.findings.studies import study
from tunebook_server.domain.findings import Results, Verdict
from tunebook_server.domain.findings.input_bound import ITEM

SPREADS = (0.0, 0.1, 0.5)
PREFETCH = says(Verdict.WARN, words="prefetch")


def about(mean: float, spread: float = 0.1) -> Shape:
    """Around `mean`, after a first step that takes far longer."""

    def values(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
        found = mean * np.exp(spread * random.standard_normal(len(done)) - spread**2 / 2)
        found[0] *= 100
        return np.asarray(found)

    return values


def stalling(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Nothing most of the time, then a long wait: 30 % on the whole."""
    return np.where(np.arange(len(done)) % 10 == 9, 0.3, 0.0)


def waiting(share: float, count: int = 120) -> Make:
    return lambda spread, seed: logged(
        {"data_wait": about(0.1 * share, spread), "step_time": about(0.1, spread)}, seed=seed, count=count
    )


def stalled(spread: float, seed: int) -> Results:
    return logged({"data_wait": stalling, "step_time": about(0.1, spread)}, seed=seed)


LITTLE = {
    "3 points": waiting(0.35, 3),
    "nothing logged": lambda _, seed: study(SPACE, gentle, seed=seed),
    "step time only": lambda spread, seed: logged({"step_time": about(0.1, spread)}, seed=seed),
}
ODD = {
    **hostile_of(["data_wait", "step_time"]),
    **hostile_of(["data_wait_share"]),
    **hostile_of(["gpu_util"]),
}
CASES: list[Case] = [
    *cases(ITEM, Label.POSITIVE, {"35 %": waiting(0.35), "stalls": stalled}, SPREADS, PREFETCH),
    *cases(ITEM, Label.NEGATIVE, {"5 %": waiting(0.05)}, SPREADS, PASSES),
    *cases(ITEM, Label.BORDERLINE, {"20 %": waiting(0.2)}, SPREADS, ANY),
    *cases(ITEM, Label.TOO_LITTLE, LITTLE, SPREADS, NOT_ENOUGH),
    *cases(ITEM, Label.HOSTILE, ODD, [0.0], ANY),
]
