"""A search space of ours, as a trial of Optuna is asked for it."""

from typing import Any

from tunebook_server.domain.search_space import Categorical, Fixed, Float, Integer, SearchSpace
from tunebook_server.domain.trial import Value


def suggested(trial: Any, space: SearchSpace) -> dict[str, Value]:
    """Conditional hyperparameters have their keys as names: the same name elsewhere is another one."""
    configuration: dict[str, Value] = {}
    for node in space.active_nodes(configuration):
        each = node.parameter
        value: Value
        if isinstance(each, Fixed):
            value = each.value
        elif isinstance(each, Float):
            value = trial.suggest_float(node.key, each.low, each.high, log=each.scale == "log")
        elif isinstance(each, Integer):
            value = trial.suggest_int(node.key, each.low, each.high, log=each.scale == "log")
        else:
            choices = list(each.choices) if isinstance(each, Categorical) else [False, True]
            value = trial.suggest_categorical(node.key, choices)
        configuration[each.name] = value
    return configuration
