"""Trials for figures: made from a search space and a rule, without a database."""

import numpy as np

from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial_columns import TrialColumns, columns_by_key, state_code

SPACE = SearchSpace.parse(
    [
        {"name": "optimizer", "type": "categorical", "choices": ["nesterov", "adam"], "role": "scientific"},
        {
            "name": "learning_rate",
            "type": "float",
            "low": 1e-4,
            "high": 10,
            "scale": "log",
            "when": {"optimizer": ["adam"]},
        },
        {
            "name": "learning_rate",
            "type": "float",
            "low": 1e-3,
            "high": 1,
            "scale": "log",
            "when": {"optimizer": ["nesterov"]},
        },
        {"name": "layers", "type": "integer", "low": 1, "high": 4},
        {"name": "batch_norm", "type": "boolean"},
        {"name": "batch_size", "type": "fixed", "value": 64},
    ]
)
ADAM = "optimizer=adam/learning_rate"


def trials(count: int, *, infeasible_every: int = 0, running: int = 0, seed: int = 0) -> TrialColumns:
    """Trials with objectives between 0.02 and about 0.5, best where the learning rate is 0.03."""
    random = np.random.default_rng(seed)
    configurations = [SPACE.from_unit(random.random(len(SPACE.dimensions))) for _ in range(count)]
    rates = np.array([float(c["learning_rate"]) for c in configurations])
    objective = 0.02 + 0.03 * np.log10(rates / 0.03) ** 2 + 0.02 * random.random(count)
    states = np.full(count, state_code("completed"), dtype=np.int8)
    if infeasible_every:
        states[::infeasible_every] = state_code("infeasible")
        objective[::infeasible_every] = np.nan
    states[count - running :] = state_code("running")
    numbers = np.arange(count)
    steps = np.where(np.isfinite(objective), 100.0, np.nan)
    values = columns_by_key(SPACE, configurations)
    return TrialColumns(
        numbers + 1000, numbers, states, objective, steps, steps, values, numbers.astype(np.float64)
    )
