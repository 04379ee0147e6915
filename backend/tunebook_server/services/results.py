"""What the checklist looks at: all trials as columns, and the curves of a bounded choice of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.chunk import Points
from tunebook_server.domain.curve import Curve
from tunebook_server.domain.families import split
from tunebook_server.domain.findings import Results
from tunebook_server.domain.findings.leading import best_of_each_value
from tunebook_server.domain.findings.repeats import repeat_deviation
from tunebook_server.domain.metric_roles import role_of
from tunebook_server.domain.study import Study
from tunebook_server.services import curve_samples, curves, trial_columns
from tunebook_server.storage.engine import Engine

BEST_TRIALS = 5
SPREAD_TRIALS = 20  # evenly over the ranks, so that a share of them is a share of the study
INFEASIBLE_TRIALS = 5
METRICS_MOST = 24
POINTS_OF_A_CURVE = 2_000


def read(engine: Engine, study: Study) -> Results:
    """The results of a study as new as `study`, or newer; at most some fifty trials' curves are read."""
    columns = trial_columns.read(engine, study).columns
    found = Results(
        thresholds=study.checks,
        objective=study.objective,
        space=study.space,
        budget=study.budget,
        columns=columns,
        retrain_deviation=repeat_deviation(columns, study.objective),
        seed=study.seed % 2**32,
    )
    chosen = columns.ids[_chosen(found)].tolist()
    read = _curves(engine, study, chosen)
    thinned = [curve for curve in read if curve.decimated and _noise_matters(curve.metric, study)]
    return replace(found, curves=_by_trial(read), samples=_by_trial(curve_samples.runs(engine, thinned)))


def _curves(engine: Engine, study: Study, trial_ids: list[int]) -> list[Curve]:
    if not trial_ids:
        return []
    names = _looked_at(curves.metric_names(engine, study_id=study.id), study.objective.metric)
    return curves.read(engine, trial_ids=trial_ids, metrics=names, max_points=POINTS_OF_A_CURVE)


def _by_trial(read: Sequence[Curve]) -> Mapping[int, Mapping[str, Points]]:
    found: dict[int, dict[str, Points]] = defaultdict(dict)
    for curve in read:
        found[curve.trial_id][curve.metric] = Points(curve.steps, curve.values)
    return found


def _noise_matters(metric: str, study: Study) -> bool:
    """The objective and what may be its training curve."""
    return metric == study.objective.metric or split(metric)[0] == "train"


def _looked_at(names: Sequence[str], objective: str) -> list[str]:
    """The objective, its counterparts on other splits, and metrics that a finding knows by their names."""
    family = split(objective)[1]
    wanted = [name for name in names if split(name)[1] == family or role_of(name) is not None]
    return sorted(wanted, key=lambda name: (name != objective, split(name)[1] != family, name))[:METRICS_MOST]


def _chosen(results: Results) -> NDArray[np.intp]:
    """Places of the best trials, of the best of each scientific value, of a spread over all ranks, and of the
    newest infeasible ones.
    """
    ranked = results.ranked
    places = [*ranked[:BEST_TRIALS].tolist(), *best_of_each_value(results).tolist()]
    if len(ranked):
        places += ranked[np.linspace(0, len(ranked) - 1, SPREAD_TRIALS).astype(int)].tolist()
    places += np.flatnonzero(results.infeasible)[-INFEASIBLE_TRIALS:].tolist()
    return np.array(list(dict.fromkeys(places)), dtype=np.intp)
