"""Learning rates near the edge of stability, and curves that fall and then jump."""

import numpy as np
from numpy.typing import NDArray

from tests.findings.labels.boundary import always
from tests.findings.labels.case import ANY, NO_ALARM, NOT_ENOUGH, PASSES, Case, Label, Make, cases, says
from tests.findings.labels.training_loss import trained
from tests.findings.measured_studies import CURVE_NOISE, SPACE, falling, hostile_of
from tests.findings.studies import NOISE, Rule, study
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.instability import ITEM
from tunebook_server.domain.trial import Configuration

RATE = "learning_rate"
NEAR = says(Verdict.WARN, words="near the edge of stability")
JUMPS = says(Verdict.WARN, words="jump and stay up")


def wall(best: float, edge: float, noise: float) -> Rule:
    """A bowl about `best`, steep enough for its place to be seen, and divergence above `edge`."""

    def loss(configuration: Configuration, random: np.random.Generator) -> float | None:
        rate = float(configuration["learning_rate"])
        miss = np.log10(rate / best) ** 2
        return None if rate > edge else float(miss + noise * random.standard_normal())

    return loss


def walled(best: float, edge: float, *, trials: int = 60) -> Make:
    return lambda noise, seed: study(SPACE, wall(best, edge, noise), seed=seed, trials=trials)


def jumping(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    when, height = random.uniform(0.3, 0.8), random.uniform(0.8, 2.0)
    return np.where(done < when, falling(done, random), height + 0.3)


def spiking(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    values = falling(done, random)
    values[random.integers(20, len(values) - 20) :][:2] += 3.0
    return values


def restarting(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Cosine restarts: it goes up at each, and comes down again."""
    return np.asarray(0.3 + 2.0 * np.exp(-6 * done) + 0.5 * (1 + np.cos(3 * np.pi * (done * 3 % 1) / 3)))


def overfitted(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    return falling(done, random) + done**2


CURVES = {
    f"{shape.__name__}, memory {memory}": trained(shape, memory=memory)
    for shape in (falling, spiking, restarting, overfitted)
    for memory in (0.0, 0.9)
}
ODD = {
    "none feasible": always(None),
    "all equal": always(0.5),
    "all huge": always(1e300),
}
CLEAR = {"wall at twenty times": walled(1e-2, 0.2), "wall outside": walled(1e-2, 2.0)}
JUMPING = {f"jumps, memory {memory}": trained(jumping, memory=memory) for memory in (0.0, 0.9)}
CASES: list[Case] = [
    *cases(ITEM, Label.POSITIVE, {"at the wall": walled(1.0, 0.2)}, NOISE, NEAR, subject=RATE),
    *cases(ITEM, Label.POSITIVE, JUMPING, CURVE_NOISE, JUMPS, subject=RATE),
    *cases(ITEM, Label.NEGATIVE, CLEAR, NOISE, PASSES, subject=RATE),
    *cases(ITEM, Label.NEGATIVE, CURVES, CURVE_NOISE, PASSES, subject=RATE),
    *cases(ITEM, Label.BORDERLINE, {"half of the wall": walled(0.1, 0.2)}, NOISE, ANY, subject=RATE),
    *cases(ITEM, Label.TOO_LITTLE, {"8 trials": walled(1.0, 0.2, trials=8)}, NOISE, NOT_ENOUGH, subject=RATE),
    *cases(ITEM, Label.HOSTILE, hostile_of(["train/loss"]), [0.0], NO_ALARM, subject=RATE),
    *cases(ITEM, Label.HOSTILE, ODD, [0.0], ANY, subject=RATE),
]
