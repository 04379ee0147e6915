"""What can be written into the filter of this very study."""

import math
from collections.abc import Iterator

from tunebook_server.domain.filters import spelling
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.search_space import Boolean, Categorical, Float, Integer, SearchSpace
from tunebook_server.domain.trial_columns import choices

LARGEST = 1.7e308
"""Three digits of anything above may be more than a number holds."""
NEAR_THE_BEST = 0.1
"""Of the best value: as far as an example looks behind it."""


def examples(space: SearchSpace, objective: Objective, best: float | None) -> list[str]:
    """`best`: the best value so far."""
    return list(_examples(space, objective, best))


def _examples(space: SearchSpace, objective: Objective, best: float | None) -> Iterator[str]:
    metric = objective.metric
    if best is not None and math.isfinite(best):
        limit = best + objective.sign * NEAR_THE_BEST * abs(best)
        limit = min(max(limit, -LARGEST), LARGEST)
        yield f"{spelling.objective(metric)} {'<=' if objective.sign > 0 else '>='} {limit:.3g}"
    for parameter in space.varied:
        if isinstance(parameter, Float | Integer):
            yield f"{spelling.spelled(space.key(parameter), metric)} > {parameter.from_unit(0.5):.2g}"
            break
    for parameter in space.varied:
        if isinstance(parameter, Categorical | Boolean):
            name = spelling.spelled(space.key(parameter), metric)
            yield f"{name} = {spelling.value(choices(parameter)[0])} and not state = infeasible"
            break
    yield "state in (failed, infeasible) or duration > 3600"
    yield "note is not none"
