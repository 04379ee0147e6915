"""One learning rate whose best value lies inside its range, beyond an edge, or near one."""

import numpy as np

from tests.findings.labels.case import ANY, NOT_ENOUGH, PASSES, WARNS, Case, Label, Make, cases
from tests.findings.studies import NOISE, Rule, study
from tunebook_server.domain.findings import Results
from tunebook_server.domain.findings.boundary import ITEM
from tunebook_server.domain.trial import Configuration

SPACE = [
    {"name": "learning_rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
    {"name": "dropout", "type": "float", "low": 0.0, "high": 0.8},
]
INSIDE, PAST_EDGE, BEYOND, BORDERLINE = 1e-2, 3.0, 30.0, 0.35
RATE = "learning_rate"


def bowl(best: float, noise: float, unstable_above: float = np.inf) -> Rule:
    def loss(configuration: Configuration, random: np.random.Generator) -> float | None:
        rate = float(configuration["learning_rate"])
        if rate > unstable_above:
            return None
        miss = (np.log10(rate / best) / 4) ** 2 + 0.02 * (float(configuration["dropout"]) - 0.4) ** 2
        return float(miss + noise * random.standard_normal())

    return loss


def best_at(best: float, trials: int = 60) -> Make:
    return lambda noise, seed: study(SPACE, bowl(best, noise), trials=trials, seed=seed)


def always(loss: float | None) -> Make:
    return lambda _, seed: study(SPACE, lambda *_: loss, seed=seed)


def odd_values(noise: float, seed: int) -> Results:
    results = study(SPACE, bowl(INSIDE, noise), seed=seed)
    for place, value in enumerate([np.inf, -np.inf, np.nan, 0.0, -1.0, 1e308, -1e308]):
        results.columns.values[RATE][place::7] = value
    return results


HOSTILE = {
    "none feasible": always(None),
    "all equal": always(0.5),
    "all huge": always(1e300),
    "odd values": odd_values,
}
CASES: list[Case] = [
    *cases(ITEM, Label.POSITIVE, {"past the edge": best_at(PAST_EDGE)}, NOISE, WARNS, subject=RATE),
    *cases(ITEM, Label.POSITIVE, {"far beyond": best_at(BEYOND)}, NOISE, WARNS, subject=RATE),
    *cases(ITEM, Label.NEGATIVE, {"inside": best_at(INSIDE)}, NOISE, PASSES, subject=RATE),
    *cases(ITEM, Label.BORDERLINE, {"near the edge": best_at(BORDERLINE)}, NOISE, ANY, subject=RATE),
    *cases(ITEM, Label.TOO_LITTLE, {"7 trials": best_at(INSIDE, 7)}, NOISE, NOT_ENOUGH, subject=RATE),
    *cases(ITEM, Label.HOSTILE, HOSTILE, [0.01], ANY, subject=RATE),
]
