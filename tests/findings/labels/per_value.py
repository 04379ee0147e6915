"""Studies whose scientific values have their share of the trials, too few, or an uneven one."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tests.findings.labels.case import ANY, NOT_ENOUGH, PASSES, Case, Label, Make, cases, says
from tests.findings.studies import NOISE, Rule, study
from tunebook_server.domain.findings import Results, Verdict
from tunebook_server.domain.findings.per_value import ITEM
from tunebook_server.domain.trial import Configuration

Entry = dict[str, object]
LAMB = "<i>lamb</i>"
OPTIMIZER: Entry = {
    "name": "optimizer",
    "type": "categorical",
    "choices": ["adam", "nesterov", LAMB],
    "role": "scientific",
}
RATE: Entry = {"name": "learning_rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"}
NORM: Entry = {"name": "norm", "type": "boolean", "role": "scientific"}
DECAY: Entry = {**RATE, "name": "weight_decay", "role": "scientific"}
WIDTH: Entry = {
    "name": "width",
    "type": "integer",
    "low": 1,
    "high": 1000,
    "scale": "log",
    "role": "scientific",
}
SPACE: list[Entry] = [OPTIMIZER, RATE]


def rule(noise: float = 0.0, infeasible: float = 0.0, ill: str = "") -> Rule:
    def loss(configuration: Configuration, random: np.random.Generator) -> float | None:
        if configuration.get("optimizer") == ill or random.random() < infeasible:
            return None
        return float(
            np.log10(float(configuration["learning_rate"])) ** 2 / 16 + noise * random.standard_normal()
        )

    return loss


def searched(entry: Entry) -> Make:
    return lambda noise, seed: study([entry, RATE], rule(noise, 0.05), seed=seed)


def drawn(results: Results, shares: Sequence[float], seed: int) -> Results:
    """The same trials with optimizers drawn by these shares, as an adaptive search might."""
    column = np.random.default_rng(seed).choice(len(shares), len(results.columns), p=shares).astype(float)
    columns = replace(results.columns, values={**results.columns.values, "optimizer": column})
    return replace(results, columns=columns)


def shared(*shares: float, trials: int = 60) -> Make:
    return lambda noise, seed: drawn(study(SPACE, rule(noise), trials=trials, seed=seed), shares, seed)


def running(noise: float, seed: int) -> Results:
    return replace(study(SPACE, rule(noise), trials=13, seed=seed), budget=60)


def hostile(noise: float, seed: int, loss: float | None = 0.5) -> Results:
    return study([OPTIMIZER, RATE, DECAY, WIDTH, NORM], lambda *_: loss, seed=seed)


def odd_values(noise: float, seed: int) -> Results:
    results = study([OPTIMIZER, RATE, DECAY, WIDTH], rule(), seed=seed)
    for place, value in enumerate([np.inf, -np.inf, np.nan, 0.0, -1.0, 1e308, -1e308]):
        for key in ("weight_decay", "width"):
            results.columns.values[key][place::7] = value
    results.columns.values["optimizer"][:] = np.nan
    return results


UNEVEN = {"two thirds of one": shared(0.64, 0.18, 0.18, trials=90)}
FEW = {"one hardly tried": shared(0.49, 0.49, 0.02)}
NAMED = says(Verdict.WARN, words=LAMB)
BEYOND_CHANCE = says(Verdict.WARN, words="uneven beyond chance")
KEY = "optimizer"
CASES: list[Case] = [
    *cases(ITEM, Label.POSITIVE, UNEVEN, NOISE, BEYOND_CHANCE, subject=KEY),
    *cases(ITEM, Label.POSITIVE, FEW, NOISE, NAMED, subject=KEY),
    *cases(ITEM, Label.NEGATIVE, {"choices": searched(OPTIMIZER)}, NOISE, PASSES, subject=KEY),
    *cases(ITEM, Label.NEGATIVE, {"drawn evenly": shared(1 / 3, 1 / 3, 1 / 3)}, NOISE, PASSES, subject=KEY),
    *cases(ITEM, Label.NEGATIVE, {"on or off": searched(NORM)}, NOISE, PASSES, subject="norm"),
    *cases(ITEM, Label.NEGATIVE, {"a range": searched(DECAY)}, NOISE, PASSES, subject="weight_decay"),
    *cases(ITEM, Label.NEGATIVE, {"whole numbers": searched(WIDTH)}, NOISE, PASSES, subject="width"),
    *cases(ITEM, Label.BORDERLINE, {"0.45": shared(0.45, 0.275, 0.275)}, NOISE, ANY, subject=KEY),
    *cases(ITEM, Label.TOO_LITTLE, {"13 of 60 trials": running}, NOISE, NOT_ENOUGH, subject=KEY),
    *cases(
        ITEM,
        Label.HOSTILE,
        {
            "none feasible": lambda noise, seed: hostile(noise, seed, None),
            "all equal": hostile,
            "all huge": lambda noise, seed: hostile(noise, seed, 1e300),
            "odd values": odd_values,
        },
        [0.0],
        ANY,
        subject=KEY,
    ),
]
