"""The values that a copied member goes on with."""

import numpy as np

from tunebook_server.domain.hyperparameter import Boolean, Categorical, Fixed, Integer, Searched
from tunebook_server.domain.schedulers.population import Population
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration, Value


def perturbed(
    space: SearchSpace, parent: Configuration, scheduler: Population, chance: np.random.Generator
) -> dict[str, Value]:
    """Near the parent's, in the space as it is now. What becomes active with a new category is drawn anew."""
    drawn = dict(zip(space.keys, chance.random((len(space.keys), 2)), strict=True))
    configuration: dict[str, Value] = {}
    for node in space.active_nodes(configuration):
        parameter, name = node.parameter, node.parameter.name
        anew, where = drawn[node.key]
        if isinstance(parameter, Fixed):
            configuration[name] = parameter.value
        elif name in scheduler.kept and name in parent:
            configuration[name] = parent[name]  # also outside of a space that was narrowed
        elif anew < scheduler.anew or name not in parent or not 0 <= parameter.to_unit(parent[name]) <= 1:
            configuration[name] = parameter.from_unit(where)
        else:
            configuration[name] = _moved(parameter, parent[name], scheduler.factor, up=bool(where < 0.5))
    return configuration


def _moved(parameter: Searched, value: Value, factor: float, *, up: bool) -> Value:
    """One step up or down, inside the range; a category stays."""
    if isinstance(parameter, Categorical | Boolean):
        return value
    number = float(value)
    if parameter.low > 0:
        there = number * factor if up else number / factor
    else:
        step = (factor - 1) * (parameter.high - parameter.low)
        there = number + step if up else number - step
    there = min(max(there, parameter.low), parameter.high)
    if not isinstance(parameter, Integer):
        return there
    whole, least = round(there), int(number) + (1 if up else -1)
    whole = max(whole, least) if up else min(whole, least)
    return min(max(whole, parameter.low), parameter.high)
