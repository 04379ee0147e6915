"""Studies that sampled their good region well, or hit it a few times by luck."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tests.findings.labels.case import ANY, NOT_ENOUGH, PASSES, WARNS, Case, Label, Make, cases
from tests.findings.studies import NOISE, Rule, study
from tunebook_server.domain.findings import Results
from tunebook_server.domain.findings.sampling import ITEM
from tunebook_server.domain.trial import Configuration

Entry = dict[str, object]
RATE: Entry = {"name": "learning_rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"}
MANY: list[Entry] = [
    RATE,
    *({"name": f"dropout_{place}", "type": "float", "low": 0.0, "high": 1.0} for place in range(5)),
]
KNOWN_FROM = 0.01  # the least deviation between retrainings


def units(configuration: Configuration) -> np.ndarray:
    rate = (np.log10(float(configuration["learning_rate"])) + 4) / 4
    others = [float(value) for name, value in configuration.items() if name.startswith("dropout")]
    return np.array([rate, *others])


def bowl(noise: float, infeasible: float = 0.0) -> Rule:
    """Losses from 0 to 1: the mean square distance from the middle."""

    def loss(configuration: Configuration, random: np.random.Generator) -> float | None:
        if random.random() < infeasible:
            return None
        far = (2 * units(configuration) - 1) ** 2
        return float(far.mean() + noise * random.standard_normal())

    return loss


def needle(noise: float) -> Rule:
    """Flat at 1, but for a narrow funnel down to 0 a tenth of the range wide."""

    def loss(configuration: Configuration, random: np.random.Generator) -> float:
        far = np.abs(units(configuration)[0] - 0.37) / 0.05
        return float(min(1.0, far) + noise * random.standard_normal())

    return loss


def made(space: list[Entry], rule: Callable[[float], Rule], trials: int, *, retrained: bool = False) -> Make:
    """`retrained`: the noise is known, as the deviation between retrainings."""

    def make(noise: float, seed: int) -> Results:
        known = max(noise, KNOWN_FROM) if retrained else None
        return replace(study(space, rule(noise), trials=trials, seed=seed), retrain_deviation=known)

    return make


def luck(noise: float, seed: int) -> Results:
    """Equally good trials: the best is the luckiest, and the others lie several deviations behind it."""
    results = study([RATE], lambda _, random: noise * float(random.standard_normal()), seed=seed)
    return replace(results, retrain_deviation=noise)


def hostile(loss: float | None, deviation: float | None) -> Make:
    return lambda _, seed: replace(study([RATE], lambda *_: loss, seed=seed), retrain_deviation=deviation)


def far_apart(_: float, seed: int) -> Results:
    far = iter([-8e307, 8e307, 0.0] * 20)
    return study([RATE], lambda *_: next(far), seed=seed)


NEEDLES = {
    "needle": made([RATE], needle, 40),
    "needle, noise known": made([RATE], needle, 40, retrained=True),
}
ENOUGH = {
    "one, 60 trials": made([RATE], bowl, 60),
    "two, 100 trials": made([RATE, MANY[1]], bowl, 100),
    "one, 200 trials, noise known": made([RATE], bowl, 200, retrained=True),
}
DEVIATIONS = (None, 0.0, np.nan, np.inf, 1e-300)
ODD = {
    **{f"none feasible, {each}": hostile(None, each) for each in DEVIATIONS},
    **{f"all {loss:g}, {each}": hostile(loss, each) for loss in (0.5, 1e300) for each in DEVIATIONS},
    "as far apart as doubles": far_apart,
}
CASES: list[Case] = [
    *cases(ITEM, Label.POSITIVE, NEEDLES, NOISE, WARNS),
    *cases(ITEM, Label.POSITIVE, {"six, 40 trials": made(MANY, bowl, 40, retrained=True)}, NOISE[:2], WARNS),
    *cases(ITEM, Label.NEGATIVE, ENOUGH, NOISE, PASSES),
    *cases(ITEM, Label.NEGATIVE, {"luck alone": luck}, [0.01, 0.1, 1.0], PASSES),
    *cases(ITEM, Label.BORDERLINE, {"three, 40 trials": made(MANY[:3], bowl, 40)}, NOISE, ANY),
    *cases(ITEM, Label.TOO_LITTLE, {"7 trials": made([RATE], bowl, 7)}, NOISE, NOT_ENOUGH),
    *cases(ITEM, Label.HOSTILE, ODD, [0.0], ANY),
]
