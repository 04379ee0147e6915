"""What one trial was given, put together again from the columns."""

from collections.abc import Mapping

import numpy as np

from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.search_space import Boolean, Categorical, Fixed, Integer, Searched
from tunebook_server.domain.trial import Value
from tunebook_server.domain.trial_columns import choices


def configuration_of(results: Results, place: int) -> Mapping[str, Value] | None:
    """By name; None where a value that should be there was not recorded. Hyperparameters of one possible
    value have it."""
    found: dict[str, Value] = {}
    for node in results.space.active_nodes(found):
        parameter = node.parameter
        if isinstance(parameter, Fixed):
            found[parameter.name] = parameter.value
            continue
        column = results.columns.values.get(node.key)
        value = None if column is None else _value(parameter, float(column[place]))
        if value is None and parameter.size == 1:
            value = parameter.from_unit(0.5)
        if value is None:
            return None
        found[parameter.name] = value
    return found


def _value(parameter: Searched, recorded: float) -> Value | None:
    if not np.isfinite(recorded):
        return None
    if isinstance(parameter, Categorical | Boolean):
        choice: Value = choices(parameter)[int(recorded)]
        return choice
    return int(recorded) if isinstance(parameter, Integer) else recorded
