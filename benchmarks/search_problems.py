"""What `benchmarks.search` minimises: functions of the literature, and models that are trained for real."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """`loss` gives None for an infeasible configuration; `optimum` None where nobody knows it: then regret is
    taken from the best that any method found."""

    name: str
    space: SearchSpace
    loss: Callable[[Configuration], float | None]
    optimum: float | None
    real: bool = False


def number(name: str, low: float, high: float, *, log: bool = False, **more: object) -> dict[str, object]:
    scale = "log" if log else "linear"
    return {"name": name, "type": "float", "low": low, "high": high, "scale": scale, **more}


def whole(name: str, low: int, high: int, *, log: bool = False, **more: object) -> dict[str, object]:
    return {**number(name, low, high, log=log, **more), "type": "integer"}


def choice(name: str, *choices: object, **more: object) -> dict[str, object]:
    return {"name": name, "type": "categorical", "choices": list(choices), **more}


def cube(dimensions: int, low: float, high: float) -> SearchSpace:
    return SearchSpace.parse([number(f"x{place}", low, high) for place in range(dimensions)])


def vector(configuration: Configuration) -> Array:
    return np.array([float(configuration[f"x{place}"]) for place in range(len(configuration))])


def branin(configuration: Configuration) -> float:
    x, y = float(configuration["x"]), float(configuration["y"])
    bend = y - 5.1 / (4 * np.pi**2) * x**2 + 5 / np.pi * x - 6
    return float(bend**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10)


HARTMANN_A = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
HARTMANN_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
HARTMANN_C = np.array([1.0, 1.2, 3.0, 3.2])


def hartmann(configuration: Configuration) -> float:
    apart = (HARTMANN_A * (vector(configuration) - HARTMANN_P) ** 2).sum(axis=1)
    return float(-HARTMANN_C @ np.exp(-apart))


def hartmann_with_a_hole(configuration: Configuration) -> float | None:
    """The same in four of six dimensions, infeasible in half of the cube, near the best point too."""
    x = vector(configuration)
    if np.sin(9 * x[0]) + x[1] + x[2] * x[3] > 1.1:
        return None
    whole_point = np.array([0.20169, x[0], x[1], x[2], x[3], 0.6573])
    apart = (HARTMANN_A * (whole_point - HARTMANN_P) ** 2).sum(axis=1)
    return float(-HARTMANN_C @ np.exp(-apart))


def ackley_mixed(configuration: Configuration) -> float:
    """Log, integer, categorical and conditional dimensions: the branch decides which numbers there are."""
    rate = np.log10(float(configuration["rate"])) + 2.5
    layers = (int(configuration["layers"]) - 4) / 2
    if configuration["kind"] == "deep":
        rest = [float(configuration["decay"]) - 0.3, (np.log2(float(configuration["width"])) - 7) / 2]
        offset = 0.0
    else:
        rest = [float(configuration["momentum"]) - 0.9]
        offset = {"flat": 0.6, "steep": 1.2}[str(configuration["kind"])]
    x = np.array([rate, layers, *rest])
    root = -20 * np.exp(-0.2 * np.sqrt((x**2).mean()))
    return float(root - np.exp(np.cos(2 * np.pi * x).mean()) + 20 + np.e + offset)


def levy(configuration: Configuration) -> float:
    w = 1 + (vector(configuration) - 1) / 4
    middle = (w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)
    last = (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2)
    return float(np.sin(np.pi * w[0]) ** 2 + middle.sum() + last)


def rosenbrock(configuration: Configuration) -> float:
    """On a log scale, as losses that span decades have it."""
    x = vector(configuration)
    return float(np.log1p((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()))


def diabetes_svr(configuration: Configuration) -> float:
    """Mean squared error of a support vector regression, in units of the target's variance; three folds."""
    from sklearn.svm import SVR

    how: dict[str, Any] = {"kernel": configuration["kernel"], "C": configuration["C"]}
    how |= {name: configuration[name] for name in ("gamma", "degree", "coef0") if name in configuration}
    model = SVR(**how, epsilon=float(configuration["epsilon"]), max_iter=20_000)
    return _folds(model, *diabetes())


def diabetes_boosting(configuration: Configuration) -> float:
    return _folds(boosted(configuration), *diabetes())


def boosted(configuration: Configuration) -> Any:
    """Gradient boosting, not trained yet."""
    from sklearn.ensemble import GradientBoostingRegressor

    return GradientBoostingRegressor(
        learning_rate=float(configuration["learning_rate"]),
        n_estimators=int(configuration["trees"]),
        max_depth=int(configuration["depth"]),
        subsample=float(configuration["subsample"]),
        min_samples_leaf=int(configuration["leaf"]),
        max_features=float(configuration["features"]) if "features" in configuration else None,
        random_state=0,
    )


def cancer_svc(configuration: Configuration) -> float:
    """Log loss of a support vector classification by its margins; three folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    x, y = cancer()
    how = {name: configuration[name] for name in ("gamma", "degree", "coef0") if name in configuration}
    losses = []
    for fold in range(3):
        train = np.arange(len(y)) % 3 != fold
        model = SVC(kernel=configuration["kernel"], C=configuration["C"], max_iter=20_000, **how)
        margins = model.fit(x[train], y[train]).decision_function(x)[:, None]
        chances = LogisticRegression().fit(margins[train], y[train]).predict_proba(margins[~train])[:, 1]
        chances = np.clip(chances, 1e-6, 1 - 1e-6)
        losses.append(-np.mean(np.where(y[~train] == 1, np.log(chances), np.log(1 - chances))))
    return float(np.mean(losses))


def digits_mlp(configuration: Configuration) -> float | None:
    """Validation loss of an MLP after six passes; diverged trainings are infeasible."""
    from benchmarks.learning_curves import curve

    found = curve(configuration, epochs=6)
    return None if not np.isfinite(found[-1]) else float(np.log(min(found)))


@lru_cache(maxsize=1)
def diabetes() -> tuple[Array, Array]:
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return x[order] / x.std(axis=0), (y[order] - y.mean()) / y.std()


@lru_cache(maxsize=1)
def cancer() -> tuple[Array, Array]:
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return ((x - x.mean(axis=0)) / x.std(axis=0))[order], y[order].astype(np.float64)


def _folds(model: Any, x: Array, y: Array) -> float:
    errors = []
    for fold in range(3):
        train = np.arange(len(y)) % 3 != fold
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x[train], y[train])
        errors.append(np.mean((model.predict(x[~train]) - y[~train]) ** 2))
    return float(min(np.mean(errors), 1e6))


def _kernels() -> list[dict[str, object]]:
    both, poly = {"kernel": ["rbf", "poly"]}, {"kernel": ["poly"]}
    return [
        choice("kernel", "rbf", "poly", "linear"),
        number("C", 1e-3, 1e3, log=True),
        number("gamma", 1e-4, 10.0, log=True, when=both),
        whole("degree", 2, 5, when=poly),
        number("coef0", 0.0, 2.0, when=poly),
    ]


def problems() -> Mapping[str, Problem]:
    from benchmarks.learning_curves import SPACE

    found = [
        Problem(
            "Branin",
            SearchSpace.parse([number("x", -5.0, 10.0), number("y", 0.0, 15.0)]),
            branin,
            0.39788735772973816,
        ),
        Problem("Hartmann-6", cube(6, 0.0, 1.0), hartmann, -3.32236801141551),
        Problem(
            "Ackley-mixed",
            SearchSpace.parse(
                [
                    choice("kind", "deep", "flat", "steep"),
                    number("rate", 1e-5, 1.0, log=True),
                    whole("layers", 1, 10),
                    number("decay", 0.0, 1.0, when={"kind": ["deep"]}),
                    whole("width", 8, 2048, log=True, when={"kind": ["deep"]}),
                    number("momentum", 0.0, 1.0, when={"kind": ["flat", "steep"]}),
                ]
            ),
            ackley_mixed,
            None,
        ),
        Problem("hidden region", cube(4, 0.0, 1.0), hartmann_with_a_hole, None),
        Problem("Levy-4", cube(4, -10.0, 10.0), levy, 0.0),
        Problem("log Rosenbrock-5", cube(5, -2.0, 2.0), rosenbrock, 0.0),
        Problem(
            "diabetes, SVR",
            SearchSpace.parse([*_kernels(), number("epsilon", 1e-3, 1.0, log=True)]),
            diabetes_svr,
            None,
            real=True,
        ),
        Problem(
            "diabetes, boosting",
            SearchSpace.parse(
                [
                    number("learning_rate", 1e-3, 1.0, log=True),
                    whole("trees", 10, 100, log=True),
                    whole("depth", 1, 6),
                    number("subsample", 0.3, 1.0),
                    whole("leaf", 1, 50, log=True),
                    number("features", 0.1, 1.0),
                ]
            ),
            diabetes_boosting,
            None,
            real=True,
        ),
        Problem("cancer, SVC", SearchSpace.parse(_kernels()), cancer_svc, None, real=True),
        Problem("digits, MLP", SPACE, digits_mlp, None, real=True),
    ]
    return {problem.name: problem for problem in found}
