"""Figures of the objective against another metric of a study."""

import hashlib
from collections.abc import Mapping
from typing import cast

import numpy as np

from tunebook_server.domain.objective import Direction, Objective
from tunebook_server.domain.pareto import front
from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.samplers.learner import Learner
from tunebook_server.figures import pareto
from tunebook_server.figures.figure import Figure
from tunebook_server.services.figure_kinds import Asked, Kind, Table, version_of_trials
from tunebook_server.storage import evaluations
from tunebook_server.storage.engine import transaction


def _plot(asked: Asked) -> pareto.ParetoPlot:
    """`metric`: the other one, at its last value; `direction`: whether less or more of it is better, by
    default as the sampler's trade-off or its constraint says."""
    columns, objective = asked.snapshot.columns, asked.study.objective
    metric = asked.options.text("metric")
    bounds = [each for each in asked.study.constraints if each.metric == metric]
    usual = "maximize" if bounds and bounds[0].high is None else "minimize"
    chosen = sampler(asked.study.sampler, asked.study.sampler_options)
    traded = chosen.trade_offs if isinstance(chosen, Learner) else ()
    usual = next((each.direction for each in traded if each.metric == metric), usual)
    direction = asked.options.word("direction", ("minimize", "maximize"), usual)
    with transaction(asked.engine) as connection:
        last = evaluations.last_values_of_study(connection, asked.study.id, metric)
    other = np.array([last.get(trial_id, np.nan) for trial_id in columns.ids.tolist()], dtype=np.float64)
    here = columns.feasible & np.isfinite(other)
    return pareto.ParetoPlot(
        objective,
        Objective(metric, cast(Direction, direction), "last"),
        columns.ids[here],
        columns.numbers[here],
        (columns.objective[here], other[here]),
        tuple(bound for each in bounds for bound in (each.low, each.high) if bound is not None),
    )


def _front(asked: Asked) -> Figure:
    return pareto.draw(_plot(asked))


def _history(asked: Asked) -> Figure:
    return pareto.draw_history(_plot(asked))


def _table(asked: Asked, limit: int) -> Table:
    plot = _plot(asked)
    best = set(front(*plot.losses).tolist())
    return {
        "trial_id": plot.ids[:limit].tolist(),
        "number": plot.numbers[:limit].tolist(),
        "objective": plot.values[0][:limit].tolist(),
        "other": plot.values[1][:limit].tolist(),
        "unbeaten": [place in best for place in range(min(limit, len(plot.ids)))],
    }


def _version(asked: Asked) -> str:
    plot = _plot(asked)
    digest = hashlib.blake2b(plot.values[1].tobytes(), digest_size=6).hexdigest()
    return f"{version_of_trials(asked)}.{digest}"


KINDS: Mapping[str, Kind] = {
    "pareto": Kind(_front, _table, _version),
    "hypervolume": Kind(_history, _table, _version),
}
