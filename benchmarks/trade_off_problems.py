"""What `benchmarks.trade_offs` minimises: two losses at once, of the literature and of real models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.search_problems import Array, boosted, cancer, choice, cube, diabetes, number, vector, whole
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration

Losses = tuple[float, float]


@dataclass(frozen=True)
class Problem:
    """`reference`: what a point must be better than, in both losses, to count; `volume`: what the true front
    dominates up to there, None where nobody knows it."""

    space: SearchSpace
    losses: Callable[[Configuration], Losses]
    reference: Losses
    volume: float | None
    real: bool = False


def zdt(shape: Callable[[Array, Array], Array], configuration: Configuration) -> Losses:
    """Zitzler, Deb & Thiele, "Comparison of multiobjective evolutionary algorithms: empirical results", 2000:
    the first number moves along the front, the others lead away from it."""
    first, *rest = vector(configuration)
    g = 1 + 9 * np.mean(rest)
    return float(first), float(g * shape(first, first / g))


def convex(first: Array, share: Array) -> Array:
    return np.asarray(1 - np.sqrt(share))


def concave(first: Array, share: Array) -> Array:
    return np.asarray(1 - share**2)


def in_pieces(first: Array, share: Array) -> Array:
    return np.asarray(1 - np.sqrt(share) - share * np.sin(10 * np.pi * first))


def volume(shape: Callable[[Array, Array], Array], reference: Losses) -> float:
    """What the true front dominates."""
    first = np.linspace(0, 1, 1_000_001)
    lowest = np.minimum.accumulate(shape(first, first))
    return float((reference[1] - lowest).mean() + (reference[0] - 1) * (reference[1] - lowest[-1]))


def branin_currin(configuration: Configuration) -> Losses:
    x, y = vector(configuration)
    a, b = 15 * x - 5, 15 * y
    branin = (b - 5.1 / (4 * np.pi**2) * a**2 + 5 / np.pi * a - 6) ** 2
    branin += 10 * (1 - 1 / (8 * np.pi)) * np.cos(a) + 10
    damping = 1 - np.exp(-1 / (2 * y)) if y > 0 else 1.0
    currin = damping * (2300 * x**3 + 1900 * x**2 + 2092 * x + 60) / (100 * x**3 + 500 * x**2 + 4 * x + 20)
    return float(branin), float(currin)


def boosting(configuration: Configuration) -> Losses:
    """Squared error on diabetes, in units of the target's variance, and log10 of the model's nodes."""
    x, y = diabetes()
    errors, nodes = [], 0
    for fold in range(3):
        train = np.arange(len(y)) % 3 != fold
        model = boosted(configuration).fit(x[train], y[train])
        errors.append(np.mean((model.predict(x[~train]) - y[~train]) ** 2))
        nodes += sum(tree.tree_.node_count for tree in model.estimators_.ravel())
    return float(np.mean(errors)), float(np.log10(nodes))


def support_vectors(configuration: Configuration) -> Losses:
    """Share of errors on breast cancer, smoothed by the margins, and share of support vectors."""
    from sklearn.svm import SVC

    x, y = cancer()
    losses, kept = [], 0.0
    for fold in range(3):
        train = np.arange(len(y)) % 3 != fold
        how = {"gamma": configuration["gamma"]} if "gamma" in configuration else {}
        model = SVC(kernel=configuration["kernel"], C=configuration["C"], max_iter=20_000, **how)
        margins = model.fit(x[train], y[train]).decision_function(x[~train]) * (2 * y[~train] - 1)
        losses.append(np.mean(1 / (1 + np.exp(np.clip(4 * margins, -50, 50)))))
        kept += len(model.support_) / train.sum() / 3
    return float(np.mean(losses)), float(kept)


def problems() -> Mapping[str, Problem]:
    unit, far = cube(5, 0.0, 1.0), (1.1, 2.5)
    shapes = {"ZDT1": convex, "ZDT2": concave, "ZDT3": in_pieces}
    trees = [
        number("learning_rate", 1e-3, 1.0, log=True),
        whole("trees", 2, 200, log=True),
        whole("depth", 1, 6),
        number("subsample", 0.3, 1.0),
        whole("leaf", 1, 50, log=True),
    ]
    kernels = [
        choice("kernel", "rbf", "linear"),
        number("C", 1e-3, 1e3, log=True),
        number("gamma", 1e-4, 10.0, log=True, when={"kernel": ["rbf"]}),
    ]
    return {
        **{
            name: Problem(unit, partial(zdt, shape), far, volume(shape, far))
            for name, shape in shapes.items()
        },
        "Branin-Currin": Problem(cube(2, 0.0, 1.0), branin_currin, (18.0, 6.0), 59.36011874867746),
        "boosting, error and size": Problem(SearchSpace.parse(trees), boosting, (1.0, 4.5), None, real=True),
        "SVC, error and size": Problem(
            SearchSpace.parse(kernels), support_vectors, (0.5, 1.0), None, real=True
        ),
    }
