"""Vizier's Gaussian-process bandit (Song et al., 2024), asked and told as our samplers are."""

from typing import Any

import numpy as np

from tunebook_server.domain.search_space import Categorical, Fixed, Float, Integer, SearchSpace
from tunebook_server.domain.trial import Configuration, Value

LOSS = "loss"


class Vizier:
    """It knows no conditions: of a conditional space it chooses all hyperparameters, and those that do not
    apply are left out. It is told what is infeasible, and which trials are pending."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        import jax
        from vizier import algorithms, pyvizier
        from vizier._src.algorithms.designers.gp_bandit import VizierGPBandit

        self._vizier, self._algorithms, self._space = pyvizier, algorithms, space
        problem = pyvizier.ProblemStatement()
        for node in space.nodes:
            _add(pyvizier, problem.search_space.root, node.key, node.parameter)
        goal = pyvizier.ObjectiveMetricGoal.MINIMIZE
        problem.metric_information.append(pyvizier.MetricInformation(name=LOSS, goal=goal))
        self._designer = VizierGPBandit(problem, rng=jax.random.PRNGKey(seed))
        self._pending: dict[int, Any] = {}
        self._ended: list[Any] = []
        self._made = 0

    def ask(self) -> tuple[int, Configuration]:
        ended, self._ended = self._ended, []
        self._designer.update(
            self._algorithms.CompletedTrials(ended),
            self._algorithms.ActiveTrials(list(self._pending.values())),
        )
        number, self._made = self._made, self._made + 1
        (suggested,) = self._designer.suggest(1)
        self._pending[number] = trial = suggested.to_trial(number + 1)
        return number, self._configuration(trial.parameters.as_dict())

    def tell(self, number: int, loss: float | None) -> None:
        trial = self._pending.pop(number)
        if loss is None or not np.isfinite(loss):
            trial.complete(self._vizier.Measurement(), infeasibility_reason="infeasible")
        else:
            trial.complete(self._vizier.Measurement(metrics={LOSS: loss}))
        self._ended.append(trial)

    def _configuration(self, chosen: dict[str, Any]) -> Configuration:
        configuration: dict[str, Value] = {}
        for node in self._space.active_nodes(configuration):
            each = node.parameter
            configuration[each.name] = (
                each.value if isinstance(each, Fixed) else _value(each, chosen[node.key])
            )
        return configuration


def _add(pyvizier: Any, root: Any, key: str, parameter: Any) -> None:
    if isinstance(parameter, Float | Integer):
        scale = pyvizier.ScaleType.LOG if parameter.scale == "log" else pyvizier.ScaleType.LINEAR
        add = root.add_float_param if isinstance(parameter, Float) else root.add_int_param
        add(key, parameter.low, parameter.high, scale_type=scale)
    elif not isinstance(parameter, Fixed):
        root.add_categorical_param(key, [str(place) for place in range(len(_choices(parameter)))])


def _value(parameter: Any, chosen: Any) -> Value:
    if isinstance(parameter, Float):
        return float(chosen)
    if isinstance(parameter, Integer):
        return int(chosen)
    return _choices(parameter)[int(chosen)]


def _choices(parameter: Any) -> list[Value]:
    return list(parameter.choices) if isinstance(parameter, Categorical) else [False, True]
