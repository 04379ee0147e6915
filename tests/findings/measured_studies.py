"""Studies whose trials logged curves with a known fault, or none."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tests.findings.studies import LOSS, Rule, study, with_curves
from tunebook_server.domain.chunk import Points
from tunebook_server.domain.findings import Results
from tunebook_server.domain.trial import Configuration

SPACE = [
    {"name": "learning_rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
    {"name": "dropout", "type": "float", "low": 0.0, "high": 0.8},
]
CURVE_NOISE = (0.001, 0.01, 0.05)  # of curves that fall by about 2
HOSTILE = {
    "NaN": np.full(120, np.nan),
    "infinite": np.full(120, np.inf),
    "mixed": np.where(np.arange(120) % 3 == 0, np.nan, np.where(np.arange(120) % 3 == 1, np.inf, 0.5)),
    "constant": np.full(120, 0.25),
    "huge": np.where(np.arange(120) % 2 == 0, 1.7e308, -1.7e308),
    "tiny": np.full(120, 5e-324),
    "one point": np.array([1.0]),
    "no points": np.empty(0),
    "last lost": np.append(np.linspace(2, 1, 119), np.nan),
}
Shape = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]
"""Values over the share of the run that is done, in [0, 1]."""


def points(values: NDArray[np.float64], interval: int = 10) -> Points:
    return Points(interval * np.arange(len(values), dtype=np.int64), values.astype(float))


def falling(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """From about 2.3 to about 0.3, some fast and some slowly."""
    return np.asarray(0.3 + 2.0 * (1 + random.uniform(5, 60) * done) ** -0.8)


def noisy(shape: Shape, noise: float, *, memory: float = 0.0) -> Shape:
    """With noise of which each value keeps a share of the one before."""

    def values(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
        fresh = noise * np.sqrt(1 - memory**2) * random.standard_normal(len(done))
        for place in range(1, len(fresh)):
            fresh[place] += memory * fresh[place - 1]
        return np.asarray(shape(done, random) + fresh)

    return values


def gentle(configuration: Configuration, random: np.random.Generator) -> float | None:
    """A bowl about a learning rate of 0.01; none is infeasible."""
    return float((np.log10(float(configuration["learning_rate"]) / 1e-2) / 4) ** 2)


def logged(
    shapes: Mapping[str, Shape],
    *,
    trials: int = 12,
    count: int = 120,
    seed: int = 0,
    rule: Rule = gentle,
    space: Sequence[Mapping[str, object]] | None = None,
) -> Results:
    """Every trial has a curve of each metric, made by its shape."""
    random = np.random.default_rng(seed + 1_000)
    done = np.linspace(0, 1, count)
    curves = {
        number: {metric: points(shape(done, random)) for metric, shape in shapes.items()}
        for number in range(trials)
    }
    return with_curves(study(space or SPACE, rule, trials=trials, seed=seed), curves)


def hostile(metrics: list[str], values: NDArray[np.float64]) -> Results:
    made = study(SPACE, gentle, trials=12)
    return with_curves(made, {number: {metric: points(values) for metric in metrics} for number in range(12)})


def hostile_of(metrics: list[str]) -> dict[str, Callable[[float, int], Results]]:
    """Every hostile series as a study of a noise level and a seed, neither of which changes it."""
    return {
        f"{metrics[0]}, {name}": lambda _, __, values=values: hostile(metrics, values)  # type: ignore[misc]
        for name, values in HOSTILE.items()
    }


def evaluated(shape: Shape, **options: object) -> Results:
    return logged({LOSS.metric: shape}, **options)  # type: ignore[arg-type]
