"""Studies whose curves have a known shape: made from formulas of t, the share of the run that has passed."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.findings.studies import LOSS, study, with_curves
from tunebook_server.domain.chunk import Points
from tunebook_server.domain.findings import Results
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial import Configuration
from tunebook_server.domain.trial_columns import state_code

Values = NDArray[np.float64]
Shape = Callable[[Values], Values]

CURVE_NOISE = (0.0, 0.003, 0.01)  # of losses that fall by about 1
OPTIMIZERS = ("adam", "nesterov")
SPACE: Sequence[Mapping[str, object]] = [
    {"name": "optimizer", "type": "categorical", "choices": list(OPTIMIZERS), "role": "scientific"},
    {"name": "learning_rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
    {"name": "steps", "type": "fixed", "value": 4_000},
    {"name": "dropout", "type": "fixed", "value": 0.0},
]
PLAIN_SPACE = [entry for entry in SPACE if entry["name"] == "learning_rate"]
STEPS = np.arange(0, 4_001, 50)  # 81 evaluations
ACCURACY = Objective("valid/accuracy", "maximize")


def settling(speed: float, end: float = 0.2) -> Shape:
    """Falls by 1 towards `end`; at speed 3 it is still on its way, at 15 it has long arrived."""
    return lambda t: end + np.exp(-speed * t)


def turning(rise: float, at: float = 0.4) -> Shape:
    """Reaches its minimum at a share of the run and ends `rise` above it."""
    return lambda t: 0.2 + np.exp(-15 * t) + rise * np.clip((t - at) / (1 - at), 0, None)


def jumping(rise: float, at: float = 0.6) -> Shape:
    return lambda t: 0.2 + np.exp(-15 * t) + rise * (t > at)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One trial's curves: a shape for each split, and what disturbs them. `share` of the run is reported,
    `gap` is added to the whole validation curve."""

    valid: Shape
    train: Shape | None = None
    noise: float = 0.0
    gap: float = 0.0
    share: float = 1.0
    steps: NDArray[np.int64] = field(default_factory=lambda: STEPS)
    correlation: float = 0.0
    outliers: float = 0.0
    quantum: float = 0.0
    nan_tail: int = 0

    def curves(self, seed: object) -> dict[str, Points]:
        random = np.random.default_rng(seed)  # type: ignore[arg-type]
        steps = self.steps[self.steps <= self.share * self.steps[-1]]
        t = steps / self.steps[-1]
        values = self.valid(t) + self.gap + self._noise(random, len(t))
        values = values + self.outliers * (random.random(len(t)) < 0.05)
        if self.quantum:
            values = np.round(values / self.quantum) * self.quantum
        if self.nan_tail:
            values[-self.nan_tail :] = np.nan
        found = {"valid/loss": Points(steps, values)}
        if self.train is not None:
            found["train/loss"] = Points(steps, self.train(t) + 0.3 * self._noise(random, len(t)))
        return found

    def _noise(self, random: np.random.Generator, count: int) -> Values:
        white = random.standard_normal(count)
        for place in range(1, count):
            white[place] = (
                self.correlation * white[place - 1] + np.sqrt(1 - self.correlation**2) * white[place]
            )
        return self.noise * white


def curve_study(
    best: Mapping[str, Drawn] | Drawn,
    *,
    seed: int = 0,
    space: Sequence[Mapping[str, object]] = SPACE,
    rest: Drawn | None = None,
    state: str | None = None,
) -> Results:
    """Twelve trials with curves; the best of each optimizer is drawn as asked, the others a little worse (or
    as `rest`). Objective, best and last steps are those of the curves."""

    def rule(configuration: Configuration, random: np.random.Generator) -> float:
        return float(random.random())

    results = study(space, rule, trials=12, seed=seed)
    values = results.columns.values.get("optimizer", np.zeros(12))
    seen: set[float] = set()
    curves: dict[int, dict[str, Points]] = {}
    for place in np.argsort(results.losses):
        number, value = int(results.columns.numbers[place]), float(values[place])
        drawn = best if isinstance(best, Drawn) else best[OPTIMIZERS[int(value)]]
        if value in seen:
            drawn = replace(rest or drawn, gap=drawn.gap + 0.3 + 0.02 * len(curves))
        seen.add(value)
        curves[number] = drawn.curves((seed, number, round(1e6 * drawn.noise)))
    return measured(with_curves(results, curves), state)


def pair(drawn: Drawn) -> Callable[[float, int], Results]:
    """The study of a noise level and a seed; the second optimizer ends 0.05 above the first."""

    def make(noise: float, seed: int) -> Results:
        each = replace(drawn, noise=noise)
        return curve_study({"adam": each, "nesterov": replace(each, gap=drawn.gap + 0.05)}, seed=seed)

    return make


def recorded(name: str) -> Results:
    """A study of two optimizers, a trial each: a real curve, and the same one 10 % worse."""
    found = json.loads((Path(__file__).parent / "recorded" / "trends.json").read_text())[name]
    steps = np.array(found["steps"], dtype=np.int64)
    curves = {metric: Points(steps, np.array(values)) for metric, values in found["values"].items()}
    worse = {metric: Points(steps, 1.1 * points.values) for metric, points in curves.items()}
    results = study(SPACE[:1], lambda *_: 0.0, trials=2)
    columns = replace(results.columns, values={"optimizer": np.arange(2.0)})
    return measured(with_curves(replace(results, columns=columns), {0: curves, 1: worse}))


def as_accuracy(results: Results) -> Results:
    """Maximised: the validation curve is an accuracy, the only training curve remains a loss."""
    curves = {
        trial: {
            **{name: points for name, points in found.items() if name != LOSS.metric},
            ACCURACY.metric: Points(found[LOSS.metric].steps, 1 - 0.5 * found[LOSS.metric].values),
        }
        for trial, found in results.curves.items()
    }
    columns = replace(results.columns, objective=1 - 0.5 * results.columns.objective)
    return replace(results, objective=ACCURACY, curves=curves, columns=columns)


def in_other_steps(results: Results, factor: int, offset: int) -> Results:
    """Every step counted in another unit, from another start."""
    curves = {
        trial: {name: Points(points.steps * factor + offset, points.values) for name, points in found.items()}
        for trial, found in results.curves.items()
    }
    return replace(results, curves=curves)


def measured(results: Results, state: str | None = None) -> Results:
    """Objective, best and last steps as the curves have them."""
    columns = results.columns
    objective, best_step, last_step = (np.full(len(columns), np.nan) for _ in range(3))
    for place, trial in enumerate(columns.ids.tolist()):
        points = results.curves[trial][LOSS.metric]
        finite = np.where(np.isfinite(points.values), points.values, np.inf)
        if np.isfinite(finite).any():
            objective[place], best_step[place] = finite.min(), points.steps[finite.argmin()]
        last_step[place] = points.steps[-1]
    states = columns.states if state is None else np.full(len(columns), state_code(state), dtype=np.int8)
    return replace(
        results,
        columns=replace(
            columns, objective=objective, best_step=best_step, last_step=last_step, states=states
        ),
    )


def _hostile() -> dict[str, Drawn]:
    """Curves that no honest formula makes."""
    flat, huge, gone = (Drawn(lambda t, v=v: np.full(len(t), v)) for v in (0.5, 1e300, np.nan))  # type: ignore[misc]
    return {
        "flat": flat,
        "huge": huge,
        "NaN": gone,
        "wild": Drawn(lambda t: np.where(t > 0.3, np.inf, 1e200 * (-1) ** np.arange(len(t)))),
        "one point, far": Drawn(settling(3), steps=np.array([2**62])),
        "far steps": Drawn(settling(3), steps=np.arange(50) * 2**57),
        "lost": Drawn(settling(3), settling(3), nan_tail=60),
    }


HOSTILE = {name: pair(drawn) for name, drawn in _hostile().items()}
