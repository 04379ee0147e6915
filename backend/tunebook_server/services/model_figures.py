"""Figures of what a model makes of a study's trials: predictions, and where trials are feasible."""

from collections.abc import Mapping

import numpy as np

from tunebook_server.domain.samplers.columns import columns
from tunebook_server.domain.samplers.diagnostics import Predictions, predictions
from tunebook_server.domain.samplers.recorded import order, recorded
from tunebook_server.figures import contour, predicted
from tunebook_server.figures.axis import scale_of
from tunebook_server.figures.figure import Figure
from tunebook_server.services import rungs
from tunebook_server.services.figure_kinds import (
    Asked,
    Kind,
    Table,
    cells,
    table_with_values,
    version_of_trials,
)
from tunebook_server.services.insight_figures import pair


def _predictions(asked: Asked) -> tuple[Predictions | None, np.ndarray, int]:
    """And the places of the history's trials among those of the study, and how many of them have a loss."""
    study, trials = asked.study, asked.snapshot.columns
    history = recorded(trials, study.space, study.objective, rungs.reached(asked.engine, study))
    found = predictions(columns(study.space), history)
    return found, order(trials), int(history.valued.sum())


def _predicted(asked: Asked) -> Figure:
    found, at, valued = _predictions(asked)
    trials, objective = asked.snapshot.columns, asked.study.objective
    if found is None:
        found = Predictions(np.empty(0, np.intp), *(np.empty(0) for _ in range(3)))
    rows = at[found.rows]
    return predicted.draw(
        predicted.PredictedPlot(
            objective,
            ids=trials.ids[rows],
            numbers=trials.numbers[rows],
            values=trials.objective[rows],
            observed=found.observed,
            mean=found.mean,
            deviation=found.deviation,
            explained=found.explained if len(rows) else 0.0,
            trials=valued,
        )
    )


def _predicted_table(asked: Asked, limit: int) -> Table:
    found, at, _ = _predictions(asked)
    if found is None:
        return {name: [] for name in ("trial_id", "number", "observed", "predicted", "deviation")}
    trials, rows = asked.snapshot.columns, at[found.rows][:limit]
    return {
        "trial_id": trials.ids[rows].tolist(),
        "number": trials.numbers[rows].tolist(),
        "observed": cells(found.observed[:limit]),
        "predicted": cells(found.mean[:limit]),
        "deviation": cells(found.deviation[:limit]),
    }


def _feasibility(asked: Asked) -> Figure:
    x, y = (scale_of(key, asked.study.space.parameter(key)) for key in pair(asked))
    plot = contour.compute_feasibility(asked.snapshot.columns, x, y, asked.study.objective)
    return contour.draw(plot)


def _feasibility_table(asked: Asked, limit: int) -> Table:
    scales = [scale_of(key, asked.study.space.parameter(key)) for key in pair(asked)]
    return table_with_values(asked, limit, scales)


def _version(asked: Asked) -> str:
    reached = rungs.reached(asked.engine, asked.study)
    return f"{version_of_trials(asked)}.{0 if reached is None else len(reached)}"


KINDS: Mapping[str, Kind] = {
    "predicted": Kind(_predicted, _predicted_table, _version),
    "feasibility": Kind(_feasibility, _feasibility_table),
}
