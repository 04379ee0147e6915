"""The numbers behind an isolation plot."""

from tunebook_server.domain.isolation import Isolation
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial_columns import TrialColumns
from tunebook_server.figures import value_names
from tunebook_server.figures.axis import Scale
from tunebook_server.services.figure_kinds import Table


def isolation_table(
    columns: TrialColumns, found: Isolation, scale: Scale, objective: Objective, limit: int
) -> Table:
    """A row a value; the interval in the objective's own direction, null where there is no feasible trial."""
    values = found.values[:limit]
    ends = [sorted((objective.sign * each.low, objective.sign * each.high)) for each in values]
    best = [each.best for each in values]
    return {
        "value": [value_names.name(scale, each.first, each.last) for each in values],
        "trials": [each.trials for each in values],
        "infeasible": [each.infeasible for each in values],
        "best": [None if place is None else float(columns.objective[place]) for place in best],
        "low": [None if place is None else low for place, (low, _) in zip(best, ends, strict=True)],
        "high": [None if place is None else high for place, (_, high) in zip(best, ends, strict=True)],
        "trial_id": [None if place is None else int(columns.ids[place]) for place in best],
        "number": [None if place is None else int(columns.numbers[place]) for place in best],
        "wins": [place == found.winner for place in range(len(values))],
    }
